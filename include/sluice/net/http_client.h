/*
 * http_client: every outgoing HTTP request, on curl multi and libuv, and the moment by which a
 * request has certainly arrived.
 *
 * Events of a request, all on the loop's thread and never before http_client_submit() returned:
 *   on_arrived  at most once: the peer's TCP acknowledged the last byte (SIOCOUTQ = 0; the clock is
 *               read after the ioctl). Never comes where it cannot be observed (a Unix socket) or
 *               when the response was faster; then the response is the arrival.
 *   on_done     exactly once, last: response or error; also after cancel (ERR_CANCELED).
 * Both may submit, cancel and close. An answer that came before the whole request was acknowledged
 * (413, or one that was meant for nobody) is no arrival: the connection is reset, and what was sent
 * may arrive until max_flight after ended_at.
 *
 * TCP sockets reset on close while a request is unfinished (linger 0 from the moment they are
 * opened, so also on kill -9; TCP_USER_TIMEOUT = max_flight from the first byte), so nothing
 * travels later than max_flight after ended_at. A peer that keeps its window shut for max_flight is
 * cut off for the same reason. libcurl's hidden re-send on a dead reused connection is stopped and
 * reported as ERR_RESET. Names are never resolved here when `addresses` are given (net/resolver
 * keeps them), so a slow resolver holds no permit; a change of addresses counts for the next new
 * connection. HTTP/1.1 only; no redirects, no Expect. A proxy only
 * where a client is made with one: behind it an arrival at the proxy is all that is seen.
 */
#ifndef SLUICE_NET_HTTP_CLIENT_H
#define SLUICE_NET_HTTP_CLIENT_H

#include "sluice/base/buf.h"
#include "sluice/base/clock.h"
#include "sluice/base/err.h"
#include "sluice/base/str.h"
#include "sluice/net/http_server.h" /* struct http_header */
#include "sluice/runtime/loop.h"

#include <stdbool.h>

struct http_client;
struct http_call; /* one running request */

struct http_client_config {
    uint32_t connections_max;      /* whole client; 0: 1024 */
    uint32_t host_connections_max; /* per host; 0: no bound but the above */
    size_t response_max_bytes;     /* body; longer ends with ERR_TOO_BIG; 0: 1 MiB */
    int64_t max_flight_ns;         /* TCP_USER_TIMEOUT and what callers add after a reset; 0: 1 s */
    const char *ca_file;           /* NULL: the system's */
    const char *proxy;             /* http://[user:password@]host:port; NULL: none */
    bool proxy_from_environment;   /* without proxy: HTTPS_PROXY, http_proxy, NO_PROXY … count */
    const char *user_agent;
};

struct http_result {
    int error;    /* 0: complete response; else ERR_RESOLVE, CONNECT, TLS, RESET, TIMEOUT, TOO_BIG,
                     PROTOCOL, CANCELED */
    int status;   /* also set when the body failed */
    bool written; /* a byte of the request may have been written */
    bool early;   /* complete response, but not all of the request was acknowledged */
    bool arrived; /* on_arrived came (or the response implies it: not an early one) */
    mono_ns arrived_at; /* valid with arrived */
    mono_ns ended_at;   /* response complete, or the socket was reset/closed */
    int64_t connect_ns; /* 0 on a reused connection */
    bool reused;
    struct str body;                   /* valid in on_done only */
    const struct http_header *headers; /* response headers, the first HTTP_HEADERS_MAX or 64 KiB of
                                          them; valid in on_done only */
    uint32_t header_count;
    char detail[160]; /* libcurl's text, no secrets */
};

struct http_call_events {
    void (*on_arrived)(void *context, mono_ns arrived_at, mono_ns now); /* may be NULL */
    void (*on_done)(void *context, const struct http_result *result, mono_ns now);
};

struct http_call_request {
    const char *method; /* "POST" */
    const char *url;
    const struct http_header *headers;
    uint32_t header_count;
    struct str body;                        /* borrowed until on_done */
    int64_t connect_timeout_ns, timeout_ns; /* total; both > 0 */
    const char *unix_socket;                /* NULL or path */
    const char *addresses; /* "1.2.3.4,::1" for the URL's host, or NULL to let curl resolve */
    bool observe_arrival;
    bool tls_skip_verify; /* tests only; default verifies */
};

struct http_client *http_client_new(struct loop *loop, const struct http_client_config *config);
/* Strings of request except body are copied. Completion contract above. ERR_INVALID (URL, method,
 * header, timeout), ERR_TOO_BIG (headers), ERR_NOMEM, ERR_CLOSED (after http_client_close()).
 * *ret_call is valid until its on_done returned. */
SL_MUST_CHECK int http_client_submit(struct http_client *client,
                                     const struct http_call_request *request,
                                     const struct http_call_events *events, void *context,
                                     struct http_call **ret_call);
/* Closes the connection now; on_done with ERR_CANCELED follows from the loop (or the real end, if
 * that was first). */
void http_client_cancel(struct http_call *call);
/* Calls submitted whose on_done did not come yet. */
uint32_t http_client_running(const struct http_client *client);
/* Running calls complete with ERR_CANCELED; frees itself when the handles are closed. Until then it
 * keeps the loop running. */
void http_client_close(struct http_client *client);

#endif
