/*
 * http_client_internal: what the files of the HTTP client share.
 *
 *   http_client.c          submit, cancel, deliver, close: the life of a call and of the client
 *   http_client_easy.c     one call as libcurl options; its response; libcurl's codes as ours
 *   http_client_multi.c    curl multi on libuv: sockets, the timer, draining
 *   http_client_sockets.c  every socket ever opened, whose request it carries, and when that
 * arrived
 *
 * libcurl's callbacks record facts and return; no caller's code ever runs inside libcurl. Callers
 * are told from the loop's hook alone, so they may submit, cancel and close as they like.
 */
#ifndef SLUICE_NET_HTTP_CLIENT_INTERNAL_H
#define SLUICE_NET_HTTP_CLIENT_INTERNAL_H

#include "sluice/base/list.h"
#include "sluice/net/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#define CLIENT_PORT_BUCKETS 256 /* a power of two */

enum call_place {
    CALL_IDLE,    /* pooled, with its easy handle */
    CALL_RUNNING, /* in the multi */
    CALL_DONE,    /* ended, on_done to be called by the hook */
};

/* How far the request is known to have come:
 *   CONNECTING → WRITING (PREREQ: the first byte may be written) → WRITTEN (the kernel has the
 * last) → ARRIVED (the peer's kernel has it). UNOBSERVED: nobody looks. */
enum call_phase {
    PHASE_CONNECTING,
    PHASE_WRITING,
    PHASE_WRITTEN,
    PHASE_ARRIVED,
    PHASE_UNOBSERVED,
};

struct header_span {
    size_t name, name_len, value, value_len; /* offsets in header_text */
};

struct http_call {
    struct list_node node;       /* client->idle, running or done, as place says */
    struct list_node watch_node; /* client->writing or arrived, as phase says */
    struct list_node abort_node; /* client->aborting */
    struct http_client *client;
    CURL *easy;
    struct http_call_events events;
    void *context;
    enum call_place place;
    enum call_phase phase;
    bool observe;
    bool is_unix;
    bool many_addresses; /* its host may have more than one */
    bool told_arrived;
    bool too_big;
    bool answered;        /* a final status line came */
    bool unacknowledged;  /* it lost its socket while bytes of it were on their way */
    uint32_t write_count; /* PREREQ calls: the second one is libcurl's hidden re-send */
    size_t body_bytes;
    struct client_socket *socket; /* that carries the request; NULL when unknown or closed */
    struct loop_timer ack_timer;
    int64_t ack_step_ns;
    mono_ns arrived_at;

    /* The request's strings. libcurl keeps pointers to the lists. */
    struct buf text;
    struct curl_slist headers[HTTP_HEADERS_MAX + 2];
    struct curl_slist resolve;
    char *url;      /* what the easy handle has, NULL: none yet */
    char host[256]; /* the URL's; empty when it is an address already */
    uint16_t port;

    struct buf body;
    struct buf header_text;
    struct header_span spans[HTTP_HEADERS_MAX];
    struct http_header response_headers[HTTP_HEADERS_MAX];
    uint32_t response_header_count;
    struct http_result result;
    char error_text[CURL_ERROR_SIZE];
};

/* One file descriptor that libcurl uses. Ours (opened by on_open) or libcurl's own (resolver). */
struct client_socket {
    uv_poll_t poll;
    struct http_client *client;
    struct http_call *call; /* whose request it carries; NULL: idle */
    struct list *list;      /* the list that node is on: client->unnamed or one of ports */
    struct list_node node;
    int fd;
    uint64_t inode; /* tells the socket from a later one of the same descriptor */
    int action;     /* what libcurl asked last (CURL_POLL_*), kept over CURL_POLL_REMOVE */
    int wanted;     /* uv events libcurl wants now */
    int polled;     /* uv events polled now */
    bool has_poll;
    bool foreign; /* libcurl opened and closes it */
    bool carried; /* a request: it is a connection now, and closed by our callback only */
    bool clean;   /* every request it carried was answered in full */
    uint16_t local_port;
    uint16_t peer_port;
    char peer_ip[INET6_ADDRSTRLEN];
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    uint32_t connections_max;
    uint32_t host_connections_max;
    size_t response_max_bytes;
    int64_t max_flight_ns;
    char *ca_file, *proxy;
    bool proxy_from_environment;
    char *user_agent;

    struct loop_hook hook;
    struct loop_timer timer; /* libcurl's own */
    uv_async_t keeper;       /* keeps the loop running until the client is closed */
    bool drive;              /* libcurl asked for a timeout of 0 */
    bool drive_all;          /* a call may have moved on to its next address */
    bool in_hook;
    bool closing;
    bool torn_down;
    uint32_t handles_open; /* uv handles not yet closed */

    struct list idle;
    struct list running;
    struct list done;
    struct list writing;  /* PHASE_WRITING: looked at every turn */
    struct list arrived;  /* PHASE_ARRIVED, on_arrived to be called by the hook */
    struct list aborting; /* to be ended by the hook: cannot be done inside libcurl */

    void **sockets; /* struct client_socket * by file descriptor */
    size_t socket_capacity;
    struct list unnamed; /* sockets whose local port is not known yet */
    struct list ports[CLIENT_PORT_BUCKETS];
};

/* ---- http_client.c ---- */

/* Takes the call out of the multi (its socket is closed unless it may be used again) and queues its
   completion. code is libcurl's; error, when not 0, overrides what code means. */
void http_call_finish(struct http_call *call, CURLcode code, int error);
void http_client_free_when_closed(struct http_client *client);

/* ---- http_client_easy.c ---- */

/* A call with an easy handle and all options that never change. NULL without memory. */
struct http_call *http_call_new(struct http_client *client);
void http_call_free(struct http_call *call);
/* Every option that may change from call to call. ERR_INVALID, ERR_TOO_BIG, ERR_NOMEM. */
SL_MUST_CHECK int http_call_prepare(struct http_call *call,
                                    const struct http_call_request *request);
/* Fills result from libcurl's code, but for the times. */
void http_call_read_result(struct http_call *call, CURLcode code, int error);

/* ---- http_client_multi.c ---- */

/* NULL without memory. */
CURLM *http_multi_new(struct http_client *client);
/* One curl_multi_socket_action() and everything that ended by it. */
void http_multi_action(struct http_client *client, curl_socket_t fd, int flags);
/* The same for what the callbacks asked for. Once a turn, from the hook. */
void http_multi_drive(struct http_client *client);
/* Stops polling; the socket is freed when its handle is closed. */
void http_multi_forget_socket(struct client_socket *s);

/* ---- http_client_sockets.c ---- */

/* The context of open and prerequest is the call, that of close the client. */
curl_socket_t http_sockets_on_open(void *context, curlsocktype purpose,
                                   struct curl_sockaddr *address);
int http_sockets_on_close(void *context, curl_socket_t fd);
int http_sockets_on_prerequest(void *context, char *peer_ip, char *local_ip, int peer_port,
                               int local_port);
struct client_socket *http_sockets_find(const struct http_client *client, int fd);
/* A socket of this file descriptor in the table; NULL without memory. */
struct client_socket *http_sockets_add(struct http_client *client, int fd);
void http_sockets_remove(struct client_socket *s);
void http_sockets_remove_all(struct http_client *client);
/* False when libcurl closed the descriptor without a word, as it does while it connects. */
bool http_sockets_is_open(const struct client_socket *s);
/* Before the call's end is timed: bytes of it that are on their way are cut off now, so that none
   arrives later than max_flight after that. */
void http_sockets_end_flight(struct http_call *call);
/* The call no longer has its socket; clean: the request was answered in full. */
void http_sockets_release(struct http_call *call, bool clean);
/* Looks at every call in PHASE_WRITING. Once a turn, outside libcurl. */
void http_sockets_look(struct http_client *client);
/* The one place that changes the phase. */
void http_call_set_phase(struct http_call *call, enum call_phase phase);

#endif
