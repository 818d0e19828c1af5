/*
 * http_server: HTTP/1.1 server over TCP (with TLS, if wanted) and Unix sockets, parsed by llhttp.
 *
 * A server has listeners; each parsed request comes whole (header and body bounded) to one handler,
 * which answers now or later, exactly once, with http_respond(). Requests of one connection are
 * handled one at a time, in order (pipelined ones wait). Answers by itself: 400 malformed,
 * 408 slow client, 413 body too large, 417, 431 header too large, 501 CONNECT, 503 too many
 * connections, 505. Keep-alive with idle timeout; Expect: 100-continue is answered; an offered
 * Upgrade is not taken. HEAD is given to the handler like GET, its body is not sent. Strict where
 * parsers could disagree (request smuggling). Loop thread only.
 */
#ifndef SLUICE_NET_HTTP_SERVER_H
#define SLUICE_NET_HTTP_SERVER_H

#include "sluice/base/buf.h"
#include "sluice/base/clock.h"
#include "sluice/base/err.h"
#include "sluice/base/str.h"
#include "sluice/net/tls.h"
#include "sluice/runtime/loop.h"

#include <stdbool.h>

#define HTTP_HEADERS_MAX 64

struct http_server;
struct http_exchange; /* one request and its answer; valid until http_respond() returned */

struct http_header {
    struct str name, value;
};

struct http_server_config {
    size_t header_max_bytes;  /* 0: 32 KiB; also the count is bounded by HTTP_HEADERS_MAX */
    size_t body_max_bytes;    /* 0: 2 MiB */
    uint32_t connections_max; /* 0: 1024 */
    /* 0: 10 s, 30 s, 75 s. The first two for the whole head and body; the last also for a client
     * that does not read its answer. */
    int64_t header_timeout_ns, body_timeout_ns, idle_timeout_ns;
    /* SO_TIMESTAMPNS: the request knows when its last segment arrived. The kernel begins to stamp
     * some 100 ms after the first listener asks for it. */
    bool kernel_stamps;
    /* Connections over TCP speak TLS and nothing else; a handshake has header_timeout_ns. Unix
     * sockets do not. NULL: none does. Borrowed until the server has closed; without stamps. */
    struct tls *tls;
};

/* A whole request. Strings are valid until http_respond(). */
struct http_request_view {
    struct str method, target; /* target: as on the wire */
    struct str path, query;    /* split at '?', not decoded; never absent */
    struct str host;           /* of an absolute target, else the header; absent in HTTP/1.0 */
    const struct http_header *headers;
    uint32_t header_count;
    struct str body;
    bool from_unix_socket;
    bool is_tls;
    bool peer_is_loopback;   /* also for a Unix socket */
    mono_ns received_at;     /* clock read after the last byte was read */
    int64_t kernel_stamp_ns; /* CLOCK_REALTIME ns of the segment that completed it; 0 when off */
};

typedef void (*http_handler)(void *context, struct http_exchange *exchange,
                             const struct http_request_view *request);

/* handler runs once per request on the loop's thread. */
struct http_server *http_server_new(struct loop *loop, const struct http_server_config *config,
                                    http_handler handler, void *context);
/* "127.0.0.1:9324", "[::1]:9324", "0.0.0.0:0", "unix:/path" (mode is the file's, e.g. 0600, stale
 * socket files are replaced). *e says what failed and what to do. */
SL_MUST_CHECK int http_server_listen(struct http_server *server, struct str address, uint32_t mode,
                                     struct error *e);
/* Listens on an inherited socket (systemd). Takes the fd. */
SL_MUST_CHECK int http_server_listen_fd(struct http_server *server, int fd, struct error *e);
/* Port of the first TCP listener, 0 when none (for port 0). */
uint16_t http_server_port(const struct http_server *server);
/* Stops accepting; idle connections close; running exchanges may finish. */
void http_server_drain(struct http_server *server);
/* Connections now open. */
uint32_t http_server_connections(const struct http_server *server);
/* Closes everything; frees itself when the handles are closed. Open exchanges get their close
 * callback. */
void http_server_close(struct http_server *server);

/* The value of a header by lower-case name, STR_NONE when absent. */
struct str http_request_header(const struct http_request_view *request,
                               const char *lower_case_name);

/* Called once if the peer went away (or the server closed) before the answer; http_respond() must
 * still be called, and does nothing then. For long polls. Without a callback a peer that has only
 * closed its sending side still gets its answer. Never called from inside this function. */
void http_exchange_on_close(struct http_exchange *exchange, void (*callback)(void *context),
                            void *context);
const struct http_request_view *http_exchange_request(const struct http_exchange *exchange);

struct http_response {
    int status;
    const char *content_type;          /* NULL: no body type header */
    struct str body;                   /* copied */
    const struct http_header *headers; /* more headers; CR, LF, NUL in values become spaces */
    uint32_t header_count;
    bool close; /* close the connection after it */
};
/* Allowed inside the handler; the handler is never called from inside it. */
void http_respond(struct http_exchange *exchange, const struct http_response *response);
/* Instead of http_respond(): closes the connection without an answer. */
void http_exchange_abort(struct http_exchange *exchange);
/* Plain text, for errors. */
void http_respond_text(struct http_exchange *exchange, int status, const char *text);

#endif
