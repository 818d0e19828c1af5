/*
 * http_server_internal: what the files of the HTTP server share.
 *   http_server.c             the server: accepting, draining, closing
 *   http_server_listen.c      addresses and listening sockets
 *   http_server_connection.c  one connection: its states, reading, writing, deadlines
 *   http_server_request.c     bytes → request, by llhttp
 *   http_server_answer.c      answer → bytes
 */
#ifndef SLUICE_NET_HTTP_SERVER_INTERNAL_H
#define SLUICE_NET_HTTP_SERVER_INTERNAL_H

#include "sluice/net/http_server.h"

#include "tls.h"

#include <llhttp.h>
#include <sys/types.h>

/*
 * HANDSHAKE  of TLS; what comes is not yet HTTP
 * IDLE       no byte of a request yet
 * HEAD       some of a request's head
 * BODY       the head, and some of the body
 * HANDLED    the handler has the request
 * FLUSHING   answers wait for the socket; no request is begun before they are gone
 * LINGERING  the last answer is sent; what still comes is thrown away, so that it is not lost by a
 *            reset
 * CLOSED     the socket is closed; memory lives until the handle is closed and the exchange
 * answered
 */
#define CONNECTION_STATE_MAP(XX)                                                                   \
    XX(HANDSHAKE)                                                                                  \
    XX(IDLE)                                                                                       \
    XX(HEAD)                                                                                       \
    XX(BODY)                                                                                       \
    XX(HANDLED)                                                                                    \
    XX(FLUSHING)                                                                                   \
    XX(LINGERING)                                                                                  \
    XX(CLOSED)

enum connection_state {
#define XX(name) CONNECTION_##name,
    CONNECTION_STATE_MAP(XX)
#undef XX
};

/* A piece of the request, relative to its first byte: the buffer may move while it grows. */
struct span {
    size_t at, len;
};

struct request {
    llhttp_t parser;
    struct span target, body;
    struct span names[HTTP_HEADERS_MAX], values[HTTP_HEADERS_MAX];
    uint32_t header_count;
    bool in_name, in_value;
    bool head_done, done, keep_alive, expect_continue;
    uint64_t body_raw_bytes; /* of a chunked body, with its chunk heads */
    int refusal_status;      /* 0: none */
    char refusal_text[192];
};

struct http_exchange {
    struct http_request_view view;
    struct http_header headers[HTTP_HEADERS_MAX];
    void (*on_close)(void *context);
    void *on_close_context;
    bool open; /* the handler owes an answer */
};

struct connection {
    struct http_server *server;
    struct list_node node;        /* on server->connections until CLOSED */
    struct list_node resume_node; /* on server->resume */
    uv_poll_t poll;
    int fd;
    struct tls_session *tls; /* NULL: plain */
    int poll_mask;
    enum connection_state state;
    bool handle_closed;
    bool advancing;   /* connection_advance() is on the stack */
    bool peer_done;   /* it sends no more, and all it sent was read */
    bool peer_ending; /* it sends no more; there may be something to read before its end */
    bool close_after; /* when the answers are written */
    bool linger;
    bool is_unix, is_loopback;

    struct loop_timer timer; /* lazy: armed at or before `deadline` */
    mono_ns deadline;

    struct buf in; /* [start, pos) is the current request so far, [pos, len) not parsed yet */
    size_t start, pos;
    struct buf out;
    size_t out_sent;
    size_t lingered_bytes;
    mono_ns read_at;
    int64_t kernel_stamp_ns; /* of the last segment of the last read */

    struct request request;
    struct http_exchange exchange;
};

struct listener {
    struct http_server *server;
    struct list_node node;
    uv_poll_t poll;
    int fd;
    bool is_unix;
    char *path; /* of a socket file that is ours to remove, else NULL */
    dev_t device;
    ino_t inode;
};

struct http_server {
    struct loop *loop;
    struct http_server_config config;
    http_handler handler;
    void *context;
    struct list listeners, connections;
    struct list resume; /* connections with work that must not run inside http_respond() */
    struct loop_hook hook;
    struct loop_timer accept_retry;
    uint32_t handle_count; /* listeners and connections whose memory still lives */
    uint16_t port;
    bool draining, closing, accept_paused;
    int64_t date_second;
    char date[40];
};

/* http_server.c */
void server_release(struct http_server *server); /* one handle less; the last frees it */
void server_resume(struct http_server *server,
                   struct connection *connection); /* this turn or next */
void server_accept_more(struct http_server *server);
int server_listener_add(struct http_server *server, int fd, bool is_unix, const char *path);

/* http_server_connection.c */
void connection_open(struct http_server *server, int fd, bool is_unix, bool is_loopback);
void connection_close(struct connection *connection);
void connection_resume(struct connection *connection);
/* The exchange is over: the answer is in `out`, unless the connection was closed before. */
void connection_answered(struct connection *connection);
bool connection_is_idle(const struct connection *connection);

/* http_server_request.c */
enum request_progress { REQUEST_MORE, REQUEST_DONE, REQUEST_REFUSED };
void request_begin(struct connection *connection);
/* Parses [pos, len). */
enum request_progress request_parse(struct connection *connection);
/* After REQUEST_DONE: fills the exchange's view. ERR_SYNTAX sets the refusal. */
SL_MUST_CHECK int request_view(struct connection *connection);

/* http_server_answer.c: appends to `out`; sets close_after when the connection cannot go on. */
void answer_append(struct connection *connection, const struct http_response *response);
void answer_append_text(struct connection *connection, int status, const char *text, bool close);

#endif
