/*
 * client_support: what the tests of the HTTP client share. A scripted HTTP server on raw sockets
 * with its own thread (loopback only), and a loop with a client whose calls leave their marks.
 */
#ifndef SLUICE_TESTS_UNIT_NET_CLIENT_SUPPORT_H
#define SLUICE_TESTS_UNIT_NET_CLIENT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/mem.h"
#include "sluice/net/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DEADLINE_NS (20 * NS_PER_S)
#define PEERS_MAX   128

#define ANSWER_OK    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ANSWER_CLOSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

/* ---- the server ---- */

struct peer {
    int fd; /* -1: free */
    char *in;
    size_t len, cap;
    unsigned requests;
};

struct script_server {
    int listen_fd, wake[2];
    uint16_t port;
    pthread_t thread;
    struct peer peers[PEERS_MAX];
    /* For each complete request, on the server's thread; nth counts from 1 over all connections.
       Returns the answer to write, or NULL after acting itself. */
    const char *(*script)(struct script_server *server, struct peer *peer, unsigned nth);
    void *context;
    pthread_mutex_t lock;
    char last[65536]; /* the last request, under lock */
    atomic_bool stop, accepting, reading, answering;
    atomic_uint requests, connections, open, open_peak, fins, resets;
};

static inline void server_wake(struct script_server *server)
{
    assert_int_equal(write(server->wake[1], "x", 1), 1);
}

static inline void peer_close(struct script_server *server, struct peer *peer)
{
    (void)close(peer->fd);
    free(peer->in);
    *peer = (struct peer){.fd = -1};
    atomic_fetch_sub(&server->open, 1);
}

static inline void peer_reset(struct script_server *server, struct peer *peer)
{
    struct linger linger = {1, 0};
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    peer_close(server, peer);
}

static inline void peer_write(struct peer *peer, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t n = send(peer->fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        text += n;
        len -= (size_t)n;
    }
}

/* Length of the first whole request in the buffer, or 0. */
static inline size_t request_length(const struct peer *peer)
{
    const char *end = peer->len == 0 ? NULL : memmem(peer->in, peer->len, "\r\n\r\n", 4);
    int64_t body = 0;
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - peer->in) + 4;
    const char *length = memmem(peer->in, head, "Content-Length: ", 16);
    if (length != NULL) {
        struct str digits = {length + 16, strspn(length + 16, "0123456789")};
        assert_int_equal(str_to_i64(digits, 0, INT32_MAX, &body), 0);
    }
    return head + (size_t)body <= peer->len ? head + (size_t)body : 0;
}

static inline void peer_serve(struct script_server *server, struct peer *peer)
{
    size_t len;
    while (peer->fd >= 0 && atomic_load(&server->answering) && (len = request_length(peer)) > 0) {
        size_t kept = len < sizeof(server->last) - 1 ? len : sizeof(server->last) - 1;
        pthread_mutex_lock(&server->lock);
        memcpy(server->last, peer->in, kept);
        server->last[kept] = '\0';
        pthread_mutex_unlock(&server->lock);
        memmove(peer->in, peer->in + len, peer->len - len);
        peer->len -= len;
        peer->requests++;
        unsigned nth = atomic_fetch_add(&server->requests, 1) + 1;
        const char *answer = server->script(server, peer, nth);
        if (answer != NULL) {
            peer_write(peer, answer);
        }
    }
}

static inline void peer_read(struct script_server *server, struct peer *peer)
{
    if (peer->cap - peer->len < 65536) {
        peer->cap = peer->cap * 2 + 65536;
        peer->in = realloc(peer->in, peer->cap);
    }
    ssize_t n = recv(peer->fd, peer->in + peer->len, peer->cap - peer->len, MSG_DONTWAIT);
    if (n > 0) {
        peer->len += (size_t)n;
        peer_serve(server, peer);
    } else if (n == 0) {
        atomic_fetch_add(&server->fins, 1);
        peer_close(server, peer);
    } else if (errno != EAGAIN) {
        atomic_fetch_add(&server->resets, 1);
        peer_close(server, peer);
    }
}

static inline void server_accept(struct script_server *server)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (server->peers[i].fd < 0) {
            int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0) {
                server->peers[i].fd = fd;
                atomic_fetch_add(&server->connections, 1);
                unsigned open = atomic_fetch_add(&server->open, 1) + 1;
                if (open > atomic_load(&server->open_peak)) {
                    atomic_store(&server->open_peak, open);
                }
            }
            return;
        }
    }
}

static inline void *server_run(void *context)
{
    struct script_server *server = context;
    while (!atomic_load(&server->stop)) {
        struct pollfd fds[PEERS_MAX + 2];
        bool accepting = atomic_load(&server->accepting);
        bool reading = atomic_load(&server->reading);
        fds[0] = (struct pollfd){.fd = server->wake[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = accepting ? server->listen_fd : -1, .events = POLLIN};
        for (size_t i = 0; i < PEERS_MAX; i++) {
            fds[i + 2] =
                (struct pollfd){.fd = reading ? server->peers[i].fd : -1, .events = POLLIN};
        }
        (void)poll(fds, PEERS_MAX + 2, -1);
        if (fds[0].revents != 0) {
            char bytes[64];
            (void)!read(server->wake[0], bytes, sizeof(bytes));
        }
        for (size_t i = 0; i < PEERS_MAX; i++) {
            if (fds[i + 2].revents != 0) {
                peer_read(server, &server->peers[i]);
            } else if (server->peers[i].fd >= 0) {
                peer_serve(server, &server->peers[i]);
            }
        }
        if (fds[1].revents != 0) {
            server_accept(server);
        }
    }
    return NULL;
}

static inline const char *script_ok(struct script_server *server, struct peer *peer, unsigned nth)
{
    (void)server;
    (void)peer;
    (void)nth;
    return ANSWER_OK;
}

struct server_options {
    const char *(*script)(struct script_server *server, struct peer *peer, unsigned nth);
    const char *ip, *unix_path;
    uint16_t port;
    int receive_buffer; /* 0: the system's */
    bool no_accept, no_read, no_answer;
};

static inline void server_bind(struct script_server *server, const struct server_options *o)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(o->port)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(in);
    int on = 1;
    if (o->unix_path != NULL) {
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", o->unix_path);
        server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&un, sizeof(un)), 0);
        return;
    }
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, o->ip != NULL ? o->ip : "127.0.0.1", &in.sin_addr), 1);
    (void)setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (o->receive_buffer > 0) {
        (void)setsockopt(server->listen_fd, SOL_SOCKET, SO_RCVBUF, &o->receive_buffer, sizeof(int));
    }
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&in, &len), 0);
    server->port = ntohs(in.sin_port);
}

static inline struct script_server *server_start(const struct server_options *o)
{
    struct script_server *server = MEM_NEW(struct script_server);
    server->script = o->script != NULL ? o->script : script_ok;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        server->peers[i].fd = -1;
    }
    server_bind(server, o);
    assert_int_equal(listen(server->listen_fd, 128), 0);
    assert_int_equal(pipe2(server->wake, O_CLOEXEC), 0);
    assert_int_equal(pthread_mutex_init(&server->lock, NULL), 0);
    atomic_store(&server->accepting, !o->no_accept);
    atomic_store(&server->reading, !o->no_read);
    atomic_store(&server->answering, !o->no_answer);
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
    return server;
}

static inline void server_stop(struct script_server *server)
{
    atomic_store(&server->stop, true);
    server_wake(server);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (server->peers[i].fd >= 0) {
            peer_close(server, &server->peers[i]);
        }
    }
    (void)close(server->listen_fd);
    (void)close(server->wake[0]);
    (void)close(server->wake[1]);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

static inline void server_set(struct script_server *server, atomic_bool *what, bool value)
{
    atomic_store(what, value);
    server_wake(server);
}

static inline bool server_last_has(struct script_server *server, const char *text)
{
    pthread_mutex_lock(&server->lock);
    bool has = strstr(server->last, text) != NULL;
    pthread_mutex_unlock(&server->lock);
    return has;
}

/* ---- the client ---- */

struct test {
    struct loop *loop;
    struct http_client *client;
};

/* What became of one call. */
struct probe {
    struct test *test;
    struct http_call *call;
    int arrived, done;
    bool arrived_after_done;
    mono_ns arrived_at;
    struct http_result result;
    char body[4096], header[256]; /* the value of header "X-Probe" */
    void (*on_arrived)(struct probe *probe);
    void (*on_done)(struct probe *probe);
    struct probe *other;
};

static inline void probe_arrived(void *context, mono_ns arrived_at, mono_ns now)
{
    struct probe *probe = context;
    assert_true(arrived_at <= now);
    probe->arrived++;
    probe->arrived_after_done = probe->done > 0;
    probe->arrived_at = arrived_at;
    if (probe->on_arrived != NULL) {
        probe->on_arrived(probe);
    }
}

static inline void probe_done(void *context, const struct http_result *result, mono_ns now)
{
    struct probe *probe = context;
    assert_true(result->ended_at <= now);
    probe->done++;
    probe->result = *result;
    str_copy(probe->body, sizeof(probe->body), result->body);
    for (uint32_t i = 0; i < result->header_count; i++) {
        if (str_equal_nocase(result->headers[i].name, STR("x-probe"))) {
            str_copy(probe->header, sizeof(probe->header), result->headers[i].value);
        }
    }
    probe->result.body = STR_NONE;
    probe->result.headers = NULL;
    if (probe->on_done != NULL) {
        probe->on_done(probe);
    }
}

static const struct http_call_events probe_events = {probe_arrived, probe_done};

static inline void test_begin(struct test *test, const struct http_client_config *config)
{
    static const struct http_client_config usual = {.user_agent = "sluice-test"};
    test->loop = loop_new();
    test->client = http_client_new(test->loop, config != NULL ? config : &usual);
}

/* Everything closed, nothing leaked. */
static inline void test_end(struct test *test)
{
    if (test->client != NULL) {
        http_client_close(test->client);
    }
    loop_stop(test->loop);
    assert_int_equal(loop_run(test->loop), 0);
    loop_free(test->loop);
}

static inline struct http_call_request get(const char *url)
{
    return (struct http_call_request){.method = "GET",
                                      .url = url,
                                      .connect_timeout_ns = 10 * NS_PER_S,
                                      .timeout_ns = 15 * NS_PER_S,
                                      .observe_arrival = true};
}

static inline struct http_call_request post(const char *url, struct str body)
{
    struct http_call_request request = get(url);
    request.method = "POST";
    request.body = body;
    return request;
}

static inline void start(struct test *test, struct probe *probe,
                         const struct http_call_request *request)
{
    probe->test = test;
    assert_int_equal(http_client_submit(test->client, request, &probe_events, probe, &probe->call),
                     0);
    assert_int_equal(probe->done, 0); /* never before submit returned */
}

static inline void on_tick(void *context, mono_ns now)
{
    (void)context;
    (void)now;
}

/* Turns of the loop until the condition holds (looked at every few ms), or the test fails. */
static inline void run_until(struct test *test, bool (*condition)(void *), void *context,
                             const char *what)
{
    mono_ns deadline = loop_now() + DEADLINE_NS;
    struct loop_timer tick = {.callback = on_tick};
    while (!condition(context)) {
        if (loop_now() > deadline) {
            fail_msg("not in time: %s", what);
        }
        loop_timer_set(test->loop, &tick, loop_now() + 2 * NS_PER_MS);
        (void)uv_run(loop_uv(test->loop), UV_RUN_ONCE);
    }
    loop_timer_clear(test->loop, &tick);
}

static inline bool is_done(void *probe)
{
    return ((struct probe *)probe)->done > 0;
}

static inline bool is_arrived(void *probe)
{
    return ((struct probe *)probe)->arrived > 0;
}

static inline void until_done(struct probe *probe)
{
    run_until(probe->test, is_done, probe, "a call's end");
    assert_int_equal(probe->done, 1);
    assert_false(probe->arrived_after_done);
    assert_true(probe->arrived <= 1);
}

static inline void call(struct test *test, struct probe *probe,
                        const struct http_call_request *request)
{
    *probe = (struct probe){.test = test};
    start(test, probe, request);
    until_done(probe);
}

static inline void call_ok(struct test *test, struct probe *probe,
                           const struct http_call_request *request)
{
    call(test, probe, request);
    if (probe->result.error != 0) {
        fail_msg("%s: %s", err_name(probe->result.error), probe->result.detail);
    }
    assert_int_equal(probe->result.status, 200);
    assert_true(probe->result.arrived && probe->result.written);
}

static inline const char *url_of(const struct script_server *server, char url[64])
{
    (void)snprintf(url, 64, "http://127.0.0.1:%u/path", (unsigned int)server->port);
    return url;
}

#endif
