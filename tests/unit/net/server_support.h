/*
 * server_support: what the tests of the HTTP server share: a server with its loop on a thread of
 * its own, and a client on a raw blocking socket. Loopback and socket files only.
 */
#ifndef SLUICE_TESTS_UNIT_NET_SERVER_SUPPORT_H
#define SLUICE_TESTS_UNIT_NET_SERVER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/mem.h"
#include "sluice/base/rng.h"
#include "sluice/net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE_S    20
#define BIG_BODY      ((size_t)12 * 1024 * 1024)
#define ANSWER_MAX    ((size_t)16 * 1024)
#define DEFERRED_MAX  64
#define SHORT_TIMEOUT (150 * NS_PER_MS)

struct deferred {
    struct http_exchange *exchange;
    atomic_bool closed;
};

struct fixture {
    struct loop *loop;
    struct http_server *server;
    pthread_t thread;
    uint16_t port;
    int loop_result;
    struct deferred deferred[DEFERRED_MAX]; /* the loop's; count is read by the test */
    atomic_uint deferred_count, handled, closed_count;
    atomic_bool keep_open; /* at the end exchanges are answered after the close */
    char *big;
    struct loop_work work;
    void (*work_function)(struct fixture *f);
    sem_t work_done;
};

/* ---- the handler ---- */

static inline void on_exchange_closed(void *context)
{
    struct deferred *deferred = context;
    atomic_store(&deferred->closed, true);
}

static inline void defer(struct fixture *f, struct http_exchange *exchange, bool wants_close)
{
    unsigned n = atomic_load(&f->deferred_count);
    f->deferred[n].exchange = exchange;
    if (wants_close) {
        http_exchange_on_close(exchange, on_exchange_closed, &f->deferred[n]);
    }
    atomic_store(&f->deferred_count, n + 1);
}

static inline void answer_echo(struct http_exchange *exchange,
                               const struct http_request_view *request)
{
    char text[4096];
    struct str x = http_request_header(request, "x-test");

    (void)snprintf(text, sizeof(text), "%.*s path=%.*s query=%.*s host=%.*s x=%.*s body=%.*s;",
                   STR_FMT(request->method), STR_FMT(request->path), STR_FMT(request->query),
                   STR_FMT(request->host), STR_FMT(x),
                   request->body.len < 2000 ? (int)request->body.len : 0, request->body.ptr);
    http_respond_text(exchange, 200, text);
}

static inline void answer_facts(struct http_exchange *exchange,
                                const struct http_request_view *request)
{
    char text[256];
    uint64_t sum = 0;

    for (size_t i = 0; i < request->body.len; i++) {
        sum = sum * 31 + (unsigned char)request->body.ptr[i];
    }
    (void)snprintf(text, sizeof(text), "stamp=%lld unix=%d loopback=%d len=%zu sum=%llu;",
                   (long long)request->kernel_stamp_ns, request->from_unix_socket,
                   request->peer_is_loopback, request->body.len, (unsigned long long)sum);
    http_respond_text(exchange, 200, text);
}

static inline void on_request(void *context, struct http_exchange *exchange,
                              const struct http_request_view *request)
{
    struct fixture *f = context;

    atomic_fetch_add(&f->handled, 1);
    if (str_equal(request->path, STR("/defer"))) {
        defer(f, exchange, true);
    } else if (str_equal(request->path, STR("/hold"))) {
        defer(f, exchange, false);
    } else if (str_equal(request->path, STR("/abort"))) {
        http_exchange_abort(exchange);
    } else if (str_equal(request->path, STR("/facts"))) {
        answer_facts(exchange, request);
    } else if (str_equal(request->path, STR("/big"))) {
        http_respond(exchange, &(struct http_response){.status = 200, .body = {f->big, BIG_BODY}});
    } else if (str_equal(request->path, STR("/close"))) {
        http_respond(exchange,
                     &(struct http_response){.status = 204, .close = true, .body = STR("gone")});
    } else if (str_equal(request->path, STR("/inject"))) {
        const struct http_header header = {STR("X-Bad"), STR("a\r\nX-Evil: b")};
        http_respond(exchange,
                     &(struct http_response){.status = 200, .headers = &header, .header_count = 1});
    } else {
        answer_echo(exchange, request);
    }
}

/* ---- the server's thread ---- */

static inline void *run_loop(void *context)
{
    struct fixture *f = context;
    f->loop_result = loop_run(f->loop);
    return NULL;
}

static inline void run_work(void *context)
{
    struct fixture *f = context;
    f->work_function(f);
    (void)sem_post(&f->work_done);
}

/* Runs it on the loop's thread and waits. */
static inline void on_loop(struct fixture *f, void (*function)(struct fixture *f))
{
    f->work_function = function;
    f->work = (struct loop_work){.callback = run_work, .context = f};
    loop_post(f->loop, &f->work);
    while (sem_wait(&f->work_done) != 0) {
    }
}

/* The loop is not running yet: further listeners may be added until fixture_run(). */
static inline struct fixture *fixture_new(const struct http_server_config *config)
{
    struct fixture *f = MEM_NEW(struct fixture);
    struct error e = {0};

    f->loop = loop_new();
    f->server = http_server_new(f->loop, config, on_request, f);
    f->big = mem_zalloc(1, BIG_BODY);
    memset(f->big, 'b', BIG_BODY);
    assert_int_equal(http_server_listen(f->server, STR("127.0.0.1:0"), 0, &e), 0);
    f->port = http_server_port(f->server);
    assert_int_not_equal(f->port, 0);
    assert_int_equal(sem_init(&f->work_done, 0, 0), 0);
    return f;
}

static inline void fixture_run(struct fixture *f)
{
    assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f), 0);
}

static inline struct fixture *start(const struct http_server_config *config)
{
    struct fixture *f = fixture_new(config);
    fixture_run(f);
    return f;
}

static inline void answer_deferred(struct fixture *f)
{
    for (unsigned i = 0; i < atomic_load(&f->deferred_count); i++) {
        if (f->deferred[i].exchange != NULL) {
            char text[32];
            (void)snprintf(text, sizeof(text), "deferred %u;", i);
            http_respond_text(f->deferred[i].exchange, 200, text);
            f->deferred[i].exchange = NULL;
        }
    }
}

static inline void close_server(struct fixture *f)
{
    http_server_close(f->server);
    answer_deferred(f); /* after the close: it must do nothing */
    loop_stop(f->loop);
}

/* Ends everything and asserts that nothing is left. */
static inline void finish(struct fixture *f)
{
    on_loop(f, close_server);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    assert_int_equal(f->loop_result, 0);
    loop_free(f->loop);
    (void)sem_destroy(&f->work_done);
    free(f->big);
    free(f);
}

static const struct http_server_config defaults;

static const char post[] = "POST /a/b?c=d HTTP/1.1\r\nHost: h\r\nX-Test:  v w \r\nContent-Length: "
                           "5\r\n\r\nhello";
static const char post_answer[] = "POST path=/a/b query=c=d host=h x=v w body=hello;";
static const char chunked[] =
    "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    "a;ext=\"1\"\r\n0123456789\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
static const char chunked_answer[] = "PUT path=/c query= host=h x= body=abc0123456789!;";

/* ---- the client ---- */

static inline void set_patience(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
}

static inline int client_open(const struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(f->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    set_patience(fd);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static inline void client_send(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        len -= (size_t)sent;
    }
}

static inline void client_text(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

/* Reads up to the end of the connection (or max): how much. */
static inline size_t client_read_all(int fd, char *out, size_t max)
{
    size_t len = 0;
    while (len < max - 1) {
        ssize_t got = recv(fd, out + len, max - 1 - len, 0);
        if (got < 0) {
            assert_int_equal(errno, ECONNRESET); /* and not EAGAIN: out of patience */
        }
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    out[len] = '\0';
    return len;
}

/* Reads one answer into out (head and body, as text); its status, 0 when the peer closed first. */
static inline int client_answer(int fd, char *out)
{
    size_t len = 0, want = 0;
    int status = 0;

    out[0] = '\0';
    for (;;) {
        const char *end = strstr(out, "\r\n\r\n");
        if (end != NULL && want == 0) {
            const char *length = strstr(out, "Content-Length: ");
            int64_t body = 0;
            if (length != NULL && length < end) {
                const char *digits = length + 16;
                struct str number = {digits, strcspn(digits, "\r")};
                assert_int_equal(str_to_i64(number, 0, INT32_MAX, &body), 0);
            }
            want = (size_t)(end - out) + 4 + (size_t)body;
            status = (out[9] - '0') * 100 + (out[10] - '0') * 10 + (out[11] - '0');
        }
        if (want != 0 && len >= want) {
            assert_int_equal(len, want);
            return status;
        }
        /* Byte by byte in the head, so that the next answer stays in the socket. */
        size_t room = want == 0 ? 1 : want - len;
        assert_true(len + room < ANSWER_MAX);
        ssize_t got = recv(fd, out + len, room, 0);
        if (got <= 0) {
            assert_true(got == 0 || errno == ECONNRESET);
            return 0;
        }
        len += (size_t)got;
        out[len] = '\0';
    }
}

static inline void expect_answer(int fd, int status, const char *part)
{
    char *answer = mem_zalloc(1, ANSWER_MAX);
    int got = client_answer(fd, answer);
    if (got != status || strstr(answer, part) == NULL) {
        fail_msg("wanted %d with \"%s\", got %d: %s", status, part, got, answer);
    }
    free(answer);
}

static inline void expect_closed(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    assert_true(got == 0 || (got < 0 && errno == ECONNRESET));
}

static inline void wait_count(const atomic_uint *count, unsigned wanted)
{
    struct timespec pause = {.tv_nsec = 1000000};
    mono_ns deadline = loop_now() + PATIENCE_S * NS_PER_S;
    while (atomic_load(count) < wanted) {
        assert_true(loop_now() < deadline);
        (void)nanosleep(&pause, NULL);
    }
}

static inline void wait_true(const atomic_bool *flag)
{
    struct timespec pause = {.tv_nsec = 1000000};
    mono_ns deadline = loop_now() + PATIENCE_S * NS_PER_S;
    while (!atomic_load(flag)) {
        assert_true(loop_now() < deadline);
        (void)nanosleep(&pause, NULL);
    }
}

#endif
