/*
 * tls: one TLS connection on a non-blocking socket, for http_server_connection. Reads and writes as
 * recv() and send() do: -1 with errno EAGAIN when the socket is not ready.
 */
#ifndef SLUICE_NET_TLS_SESSION_H
#define SLUICE_NET_TLS_SESSION_H

#include "sluice/net/tls.h"

#include <stdbool.h>
#include <sys/types.h>

/* A read into as much room takes the whole of a record, so nothing that was read from the socket
 * stays behind where poll does not see it. */
#define TLS_RECORD_BYTES ((size_t)16 * 1024)

struct tls_session;

enum tls_progress {
    TLS_DONE,
    TLS_AGAIN,      /* when the socket is ready: tls_session_wants_write() says for what */
    TLS_PLAIN_HTTP, /* the client speaks HTTP without TLS */
    TLS_FAILED,
};

/* fd stays the caller's. NULL: no memory. */
struct tls_session *tls_session_new(struct tls *tls, int fd);
void tls_session_free(struct tls_session *session);
enum tls_progress tls_session_handshake(struct tls_session *session);
bool tls_session_wants_write(const struct tls_session *session);
/* 0: the client ended its side properly. */
ssize_t tls_session_read(struct tls_session *session, void *room, size_t len);
/* A part may be taken; after EAGAIN the same bytes come first again. */
ssize_t tls_session_write(struct tls_session *session, const void *bytes, size_t len);
/* Bytes read from the socket that the last read had no room for. */
bool tls_session_has_more(const struct tls_session *session);
/* Tells the client that no more comes, as far as the socket takes it. */
void tls_session_end(struct tls_session *session);

#endif
