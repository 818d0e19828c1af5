/* The HTTP server: requests in any pieces, what it refuses, its connections and their ends. */
#include "server_support.h"

#include <sys/resource.h>

static const struct http_server_config defaults;

static const char post[] = "POST /a/b?c=d HTTP/1.1\r\nHost: h\r\nX-Test:  v w \r\nContent-Length: "
                           "5\r\n\r\nhello";
static const char post_answer[] = "POST path=/a/b query=c=d host=h x=v w body=hello;";
static const char chunked[] =
    "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    "a;ext=\"1\"\r\n0123456789\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
static const char chunked_answer[] = "PUT path=/c query= host=h x= body=abc0123456789!;";

static void test_bytes_one_at_a_time(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    for (size_t i = 0; i < sizeof(post) - 1; i++) {
        client_send(fd, post + i, 1);
    }
    expect_answer(fd, 200, post_answer);
    for (size_t i = 0; i < sizeof(chunked) - 1; i++) {
        client_send(fd, chunked + i, 1);
    }
    expect_answer(fd, 200, chunked_answer);
    (void)close(fd);
    finish(f);
}

/* A stream of requests, cut at random: always the same answers in the same order. */
static void test_pipelined_in_random_pieces(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    struct rng rng;
    rng_init(&rng, 7);
    for (int round = 0; round < 20; round++) {
        char stream[32 * (sizeof(post) + sizeof(chunked))];
        bool is_chunked[32];
        size_t len = 0;
        for (size_t i = 0; i < SL_COUNT(is_chunked); i++) {
            is_chunked[i] = rng_unit(&rng) < 0.5;
            const char *text = is_chunked[i] ? chunked : post;
            memcpy(stream + len, text, strlen(text));
            len += strlen(text);
        }
        int fd = client_open(f);
        for (size_t at = 0; at < len;) {
            size_t piece = (size_t)rng_between(&rng, 1, round < 10 ? 40 : 3000);
            piece = piece > len - at ? len - at : piece;
            client_send(fd, stream + at, piece);
            at += piece;
        }
        for (size_t i = 0; i < SL_COUNT(is_chunked); i++) {
            expect_answer(fd, 200, is_chunked[i] ? chunked_answer : post_answer);
        }
        (void)close(fd);
    }
    finish(f);
}

/* While one answer is pending, the next requests wait and are not lost, many or few of them. */
static void test_pipelined_behind_a_deferred_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct http_server_config config = {.kernel_stamps = i == 1};
        struct fixture *f = start(&config);
        int fd = client_open(f);
        client_text(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        wait_count(&f->deferred_count, 1);
        for (int n = 0; n < 200; n++) {
            client_text(fd, post);
        }
        client_text(fd, "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(atomic_load(&f->handled), 1);
        on_loop(f, answer_deferred);
        expect_answer(fd, 200, "deferred 0;");
        for (int n = 0; n < 200; n++) {
            expect_answer(fd, 200, post_answer);
        }
        expect_answer(fd, 200, "path=/last");
        (void)close(fd);
        finish(f);
    }
}

static void test_slow_clients(void **state)
{
    (void)state;
    const struct http_server_config config = {.header_timeout_ns = SHORT_TIMEOUT,
                                              .body_timeout_ns = SHORT_TIMEOUT,
                                              .idle_timeout_ns = 5 * NS_PER_S};
    struct fixture *f = start(&config);
    int head = client_open(f), body = client_open(f);
    client_text(head, "GET / HTTP/1.1\r\nHost: h\r\nX-");
    client_text(body, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel");
    expect_answer(head, 408, "headers");
    expect_closed(head);
    expect_answer(body, 408, "body");
    expect_closed(body);
    assert_int_equal(atomic_load(&f->handled), 0);
    (void)close(head);
    (void)close(body);
    finish(f);
}

static void test_idle_connections_are_closed(void **state)
{
    (void)state;
    const struct http_server_config config = {.idle_timeout_ns = SHORT_TIMEOUT};
    struct fixture *f = start(&config);
    int fresh = client_open(f), used = client_open(f);
    client_text(used, post);
    expect_answer(used, 200, post_answer);
    expect_closed(fresh);
    expect_closed(used);
    (void)close(fresh);
    (void)close(used);
    finish(f);
}

static void expect_refusal(struct fixture *f, const char *request, int status, const char *part)
{
    int fd = client_open(f);
    client_text(fd, request);
    expect_answer(fd, status, part);
    expect_closed(fd);
    (void)close(fd);
}

static void test_malformed_requests(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
        const char *part;
    } cases[] = {
        {"nonsense\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.1\r\n\r\n", 400, "Host"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host"},
        {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n d\r\n\r\n", 400, "folded"},
        {"GET / HTTP/1.1\r\nHost: a\r\nB : c\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\r\n: c\r\n\r\n", 400, "without a name"},
        {"GET / HTTP/1.1\r\nHost: a\r\nB: \x01\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, ""},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nab", 400, "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400, ""},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         400, "Transfer-Encoding"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
         "3\r\n\r\n0\r\n\r\n",
         400, "Transfer-Encoding"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "malformed"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, x\r\n\r\n", 400, "malformed"},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP/1.0"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\rXhello\r\n", 400, ""},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0", 400, ""},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, ""},
        {"GET relative HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "CONNECT"},
        {"DESCRIBE / RTSP/1.0\r\n\r\n", 400, ""},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417, "100-continue"},
        {"\x16\x03\x01\x02\x01\x01\xfc\x03\x03", 400, "malformed"},
    };
    struct fixture *f = start(&defaults);
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        print_message("case %zu\n", i);
        expect_refusal(f, cases[i].request, cases[i].status, cases[i].part);
    }
    assert_int_equal(atomic_load(&f->handled), 0);
    finish(f);
}

/* Damaged requests, in pieces: whatever is answered, the server lives and serves the next. */
static void test_damaged_requests(void **state)
{
    (void)state;
    const struct http_server_config config = {.header_timeout_ns = SHORT_TIMEOUT,
                                              .body_timeout_ns = SHORT_TIMEOUT};
    struct fixture *f = start(&config);
    struct rng rng;
    char text[sizeof(post) + sizeof(chunked)];
    rng_init(&rng, 23);
    for (int round = 0; round < 600; round++) {
        size_t len = sizeof(post) - 1 + sizeof(chunked) - 1;
        memcpy(text, post, sizeof(post) - 1);
        memcpy(text + sizeof(post) - 1, chunked, sizeof(chunked) - 1);
        for (int64_t n = rng_between(&rng, 1, 4); n > 0; n--) {
            size_t at = (size_t)rng_between(&rng, 0, (int64_t)len - 1);
            static const char likely[] = "\r\n :;,0\x00\xff";
            text[at] = rng_unit(&rng) < 0.5
                           ? likely[rng_between(&rng, 0, (int64_t)sizeof(likely) - 2)]
                           : (char)rng_between(&rng, 0, 255);
        }
        int fd = client_open(f);
        size_t cut = (size_t)rng_between(&rng, 0, (int64_t)len);
        (void)send(fd, text, cut, MSG_NOSIGNAL);
        (void)send(fd, text + cut, len - cut, MSG_NOSIGNAL);
        (void)close(fd);
    }
    int fd = client_open(f);
    client_text(fd, post);
    expect_answer(fd, 200, post_answer);
    (void)close(fd);
    finish(f);
}

/* What is sent in small pieces after the refusal does not destroy the answer. */
static void test_too_large(void **state)
{
    (void)state;
    const struct http_server_config config = {.header_max_bytes = 1024, .body_max_bytes = 4096};
    struct fixture *f = start(&config);
    char text[8192];

    int fd = client_open(f);
    client_text(fd, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    memset(text, 'x', sizeof(text));
    client_send(fd, text, 1500);
    expect_answer(fd, 431, "shorter");
    (void)close(fd);

    fd = client_open(f);
    client_text(fd, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    client_send(fd, text, 1000); /* with the end of the head in the same read */
    client_text(fd, "\r\n\r\n");
    expect_answer(fd, 431, "shorter");
    (void)close(fd);

    fd = client_open(f);
    client_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4097\r\n\r\n");
    expect_answer(fd, 413, "smaller"); /* before a byte of the body was sent */
    client_send(fd, text, 4097);
    expect_closed(fd);
    (void)close(fd);

    fd = client_open(f);
    client_text(fd, "POST /facts HTTP/1.1\r\nHost: h\r\nContent-Length: 4096\r\n\r\n");
    client_send(fd, text, 4096);
    expect_answer(fd, 200, "len=4096 ");
    (void)close(fd);
    finish(f);
}

static void test_too_large_in_pieces(void **state)
{
    (void)state;
    const struct http_server_config config = {.header_max_bytes = 1024, .body_max_bytes = 4096};
    struct fixture *f = start(&config);

    int fd = client_open(f);
    client_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    client_text(fd, "1000\r\n");
    for (int i = 0; i < 4096; i++) {
        client_text(fd, "y");
    }
    client_text(fd, "\r\n1\r\nz\r\n");
    expect_answer(fd, 413, "smaller");
    (void)close(fd);

    fd = client_open(f);
    client_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < HTTP_HEADERS_MAX; i++) {
        client_text(fd, "a: b\r\n");
    }
    expect_answer(fd, 431, "64");
    (void)close(fd);

    fd = client_open(f); /* an endless chunk extension */
    client_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    char *endless = mem_zalloc(1, 200001);
    memset(endless, 'e', 200000);
    for (size_t at = 0; at < 200000; at += 1000) {
        if (send(fd, endless + at, 1000, MSG_NOSIGNAL) < 0) {
            break; /* it closed after its answer */
        }
    }
    free(endless);
    expect_answer(fd, 413, "chunks");
    (void)close(fd);
    finish(f);
}

static void test_large_bodies(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    size_t len = (size_t)2 * 1024 * 1024;
    char *body = mem_zalloc(1, len), facts[128], head[128];
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)('a' + i % 23);
        sum = sum * 31 + (unsigned char)body[i];
    }
    (void)snprintf(facts, sizeof(facts), "len=%zu sum=%llu;", len, (unsigned long long)sum);
    int fd = client_open(f);
    (void)snprintf(head, sizeof(head),
                   "POST /facts HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", len);
    client_text(fd, head);
    client_send(fd, body, len);
    expect_answer(fd, 200, facts);
    client_text(fd, "POST /facts HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < len; at += 5000) {
        size_t piece = len - at < 5000 ? len - at : 5000;
        (void)snprintf(head, sizeof(head), "%zx\r\n", piece);
        client_text(fd, head);
        client_send(fd, body + at, piece);
        client_text(fd, "\r\n");
    }
    client_text(fd, "0\r\n\r\n");
    expect_answer(fd, 200, facts);
    free(body);
    (void)close(fd);
    finish(f);
}

static void test_expect_continue(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    client_text(fd,
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
    expect_answer(fd, 100, "Continue");
    client_text(fd, "ab");
    expect_answer(fd, 200, "body=ab;");
    client_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
                    "99999999\r\n\r\n");
    expect_answer(fd, 413, "smaller");
    (void)close(fd);
    finish(f);
}

static void test_versions_methods_targets(void **state)
{
    (void)state;
    char answer[ANSWER_MAX];
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    client_text(fd, "GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_answer(fd, 200, "GET path=/p query=q host=other:81 ");
    client_text(fd, "GET http://other HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_answer(fd, 200, "GET path=/ query= host=other ");
    client_text(fd, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_answer(fd, 200, "OPTIONS path=* query= host=h ");
    client_text(fd, "GET /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    expect_answer(fd, 200, "path=/up");
    client_text(fd, "\r\nGET /after-empty-line HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_answer(fd, 200, "path=/after-empty-line");
    client_text(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect_answer(fd, 200, "Connection: keep-alive\r\n");
    client_text(fd, "HEAD /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    size_t len = client_read_all(fd, answer, sizeof(answer));
    assert_true(len > 4 && strcmp(answer + len - 4, "\r\n\r\n") == 0);
    assert_non_null(strstr(answer, "Content-Length: "));
    assert_null(strstr(answer, "Content-Length: 0"));
    assert_non_null(strstr(answer, "Connection: close"));
    (void)close(fd);

    fd = client_open(f);
    client_text(fd, "GET /old HTTP/1.0\r\n\r\n");
    expect_answer(fd, 200, "path=/old");
    expect_closed(fd);
    (void)close(fd);

    fd = client_open(f);
    client_text(fd, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n");
    len = client_read_all(fd, answer, sizeof(answer));
    assert_non_null(strstr(answer, "HTTP/1.1 204 "));
    assert_null(strstr(answer, "Content-Length"));
    assert_true(strcmp(answer + len - 4, "\r\n\r\n") == 0);
    (void)close(fd);
    finish(f);
}

static void test_answer_headers_cannot_be_injected(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    client_text(fd, "GET /inject HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_answer(fd, 200, "X-Bad: a  X-Evil: b\r\n");
    (void)close(fd);
    finish(f);
}

static void test_abort_closes_without_an_answer(void **state)
{
    (void)state;
    char answer[64];
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    client_text(fd, post);
    expect_answer(fd, 200, post_answer);
    client_text(fd, "GET /abort HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(client_read_all(fd, answer, sizeof(answer)), 0);
    (void)close(fd);
    finish(f);
}

static void reset_connection(int fd)
{
    struct linger linger = {1, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    (void)close(fd);
}

static void test_peer_leaves_during_a_deferred_answer(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int closes = client_open(f), resets = client_open(f), stays = client_open(f);
    client_text(closes, "GET /defer HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_count(&f->deferred_count, 1);
    client_text(resets, "GET /defer HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_count(&f->deferred_count, 2);
    client_text(stays, "GET /defer HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_count(&f->deferred_count, 3);
    (void)close(closes);
    wait_true(&f->deferred[0].closed);
    reset_connection(resets);
    wait_true(&f->deferred[1].closed);
    on_loop(f, answer_deferred); /* for the first two: nothing */
    expect_answer(stays, 200, "deferred 2;");
    assert_false(atomic_load(&f->deferred[2].closed));
    (void)close(stays);
    finish(f);
}

/* Pipelined bytes fill the buffer: the end of the peer is noticed all the same. */
static void test_peer_leaves_with_bytes_unread(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    client_text(fd, "GET /defer HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_count(&f->deferred_count, 1);
    for (int i = 0; i < 500; i++) {
        client_text(fd, post);
    }
    (void)close(fd);
    wait_true(&f->deferred[0].closed);
    assert_int_equal(atomic_load(&f->handled), 1);
    finish(f);
}

static void test_half_closed_peer_gets_its_answer(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int deferred = client_open(f), at_once = client_open(f);
    client_text(deferred, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)shutdown(deferred, SHUT_WR);
    wait_count(&f->deferred_count, 1);
    client_text(at_once, post);
    (void)shutdown(at_once, SHUT_WR);
    expect_answer(at_once, 200, post_answer);
    expect_closed(at_once);
    on_loop(f, answer_deferred);
    expect_answer(deferred, 200, "deferred 0;");
    expect_closed(deferred);
    (void)close(deferred);
    (void)close(at_once);
    finish(f);
}

static void listen_for_close(struct fixture *f)
{
    http_exchange_on_close(f->deferred[0].exchange, on_exchange_closed, &f->deferred[0]);
}

static void nothing(struct fixture *f)
{
    (void)f;
}

static void test_on_close_asked_for_too_late(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int fd = client_open(f), other = client_open(f);
    client_text(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)close(fd);
    wait_count(&f->deferred_count, 1);
    for (int i = 0; i < 20; i++) { /* turns, so that the end was seen */
        client_text(other, post);
        expect_answer(other, 200, post_answer);
        on_loop(f, nothing);
    }
    on_loop(f, listen_for_close);
    wait_true(&f->deferred[0].closed);
    (void)close(other);
    finish(f);
}

static void test_server_closes_under_open_exchanges(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    client_text(fd, "GET /defer HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_count(&f->deferred_count, 1);
    struct deferred *deferred = &f->deferred[0];
    assert_false(atomic_load(&deferred->closed));
    finish(f); /* closes, then answers: it must do nothing, and nothing may leak */
    expect_closed(fd);
    (void)close(fd);
}

static void drain(struct fixture *f)
{
    http_server_drain(f->server);
}

static void test_drain(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int idle = client_open(f), running = client_open(f), half = client_open(f);
    client_text(idle, post);
    expect_answer(idle, 200, post_answer);
    client_text(running, "GET /defer HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_count(&f->deferred_count, 1);
    client_text(half, "GET /half HTTP/1.1\r\nHost: h\r\n");
    on_loop(f, nothing);
    client_text(half, "X: y\r\n");
    for (int i = 0; i < 50; i++) {
        on_loop(f, nothing); /* turns: the half request is read */
    }
    on_loop(f, drain);
    expect_closed(idle);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(f->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int refused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(refused, (struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    client_text(half, "\r\n");
    expect_answer(half, 200, "Connection: close");
    expect_closed(half);
    on_loop(f, answer_deferred);
    expect_answer(running, 200, "Connection: close");
    expect_closed(running);
    (void)close(idle);
    (void)close(running);
    (void)close(half);
    (void)close(refused);
    finish(f);
}

static void test_many_connections(void **state)
{
    (void)state;
    const struct http_server_config config = {.connections_max = 300};
    struct fixture *f = start(&config);
    int fds[300];
    for (size_t i = 0; i < SL_COUNT(fds); i++) {
        fds[i] = client_open(f);
        client_text(fds[i], post);
    }
    for (size_t i = 0; i < SL_COUNT(fds); i++) {
        expect_answer(fds[i], 200, post_answer);
    }
    int over = client_open(f);
    expect_answer(over, 503, "too many connections");
    expect_closed(over);
    (void)close(over);
    (void)close(fds[0]);
    /* There is room again as soon as the server has seen that one leave. */
    mono_ns deadline = loop_now() + PATIENCE_S * NS_PER_S;
    char answer[ANSWER_MAX];
    int status;
    do {
        int fd = client_open(f);
        client_text(fd, post);
        status = client_answer(fd, answer);
        (void)close(fd);
        assert_true(loop_now() < deadline);
    } while (status != 200);
    for (size_t i = 1; i < SL_COUNT(fds); i++) {
        client_text(fds[i], chunked);
    }
    for (size_t i = 1; i < SL_COUNT(fds); i++) {
        expect_answer(fds[i], 200, chunked_answer);
        (void)close(fds[i]);
    }
    finish(f);
}

/* Out of files, a connection waits in the backlog, and is served when there are some again. */
static void test_out_of_files(void **state)
{
    (void)state;
    struct rlimit before, none;
    struct fixture *f = start(&defaults);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(f->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    set_patience(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    client_text(fd, post);
    for (int i = 0; i < 20; i++) {
        on_loop(f, nothing);
    }
    assert_int_equal(atomic_load(&f->handled), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_answer(fd, 200, post_answer);
    (void)close(fd);
    finish(f);
}

static void close_from_handler(void *context, struct http_exchange *exchange,
                               const struct http_request_view *request)
{
    struct fixture *f = context;
    (void)request;
    http_server_close(f->server);
    http_respond_text(exchange, 200, "nobody reads this");
    loop_stop(f->loop);
}

static void test_server_closes_inside_its_handler(void **state)
{
    (void)state;
    struct fixture *f = MEM_NEW(struct fixture);
    struct error e = {0};
    char answer[64];
    f->loop = loop_new();
    f->server = http_server_new(f->loop, &defaults, close_from_handler, f);
    assert_int_equal(http_server_listen(f->server, STR("127.0.0.1:0"), 0, &e), 0);
    f->port = http_server_port(f->server);
    fixture_run(f);
    int fd = client_open(f);
    client_text(fd, post);
    assert_int_equal(client_read_all(fd, answer, sizeof(answer)), 0);
    (void)close(fd);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    assert_int_equal(f->loop_result, 0);
    loop_free(f->loop);
    free(f);
}

static void test_kernel_stamps(void **state)
{
    (void)state;
    const struct http_server_config config = {.kernel_stamps = true};
    struct fixture *f = start(&config);
    int fd = client_open(f);
    char answer[ANSWER_MAX];
    int64_t stamp = 0, last = 0;
    /* The kernel begins to stamp a while after the first socket asked for it. */
    mono_ns deadline = loop_now() + PATIENCE_S * NS_PER_S;
    int stamped = 0;
    while (stamped < 100) {
        struct timespec before, after;
        (void)clock_gettime(CLOCK_REALTIME, &before);
        client_text(fd, "GET /facts HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(client_answer(fd, answer), 200);
        (void)clock_gettime(CLOCK_REALTIME, &after);
        const char *digits = strstr(answer, "stamp=") + 6;
        assert_int_equal(
            str_to_i64((struct str){digits, strcspn(digits, " ")}, 0, INT64_MAX, &stamp), 0);
        assert_true(loop_now() < deadline);
        if (stamp != 0) {
            stamped++;
            assert_true(stamp >= before.tv_sec * NS_PER_S + before.tv_nsec);
            assert_true(stamp <= after.tv_sec * NS_PER_S + after.tv_nsec);
            assert_true(stamp > last);
            last = stamp;
        }
    }
    (void)close(fd);
    finish(f);
}

static void test_answer_to_a_slow_reader(void **state)
{
    (void)state;
    struct fixture *f = start(&defaults);
    int fd = client_open(f);
    client_text(fd, "GET /big HTTP/1.1\r\nHost: h\r\n\r\nGET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    client_text(fd, "GET /next HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    size_t max = 2 * BIG_BODY + 16384;
    char *all = mem_zalloc(1, max);
    size_t len = client_read_all(fd, all, max), count = 0;
    for (size_t i = 0; i < len; i++) {
        count += all[i] == 'b';
    }
    assert_true(count >= 2 * BIG_BODY && count < 2 * BIG_BODY + 16);
    assert_non_null(strstr(all, "path=/next"));
    free(all);
    (void)close(fd);
    finish(f);
}

static void count_connections(struct fixture *f)
{
    atomic_store(&f->closed_count, http_server_connections(f->server) == 0);
}

static void test_a_client_that_never_reads_is_dropped(void **state)
{
    (void)state;
    const struct http_server_config config = {.idle_timeout_ns = SHORT_TIMEOUT};
    struct fixture *f = start(&config);
    int fd = client_open(f);
    client_text(fd, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_count(&f->handled, 1);
    mono_ns deadline = loop_now() + PATIENCE_S * NS_PER_S;
    do {
        on_loop(f, count_connections);
        assert_true(loop_now() < deadline);
    } while (atomic_load(&f->closed_count) == 0);
    (void)close(fd);
    finish(f);
}

static int unix_open(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    str_copy(address.sun_path, sizeof(address.sun_path), str_from(path));
    set_patience(fd);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void test_unix_sockets(void **state)
{
    (void)state;
    char directory[] = "/tmp/sluice-test-XXXXXX", path[64], address[80];
    struct error e = {0};
    struct stat file;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/s", directory);
    (void)snprintf(address, sizeof(address), "unix:%s", path);

    FILE *plain = fopen(path, "w");
    assert_non_null(plain);
    (void)fclose(plain);
    struct fixture *f = fixture_new(&defaults);
    assert_int_equal(http_server_listen(f->server, str_from(address), 0600, &e), ERR_DUPLICATE);
    assert_non_null(strstr(e.text, "no socket"));
    assert_int_equal(unlink(path), 0);

    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* its owner died */
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    str_copy(name.sun_path, sizeof(name.sun_path), str_from(path));
    assert_int_equal(bind(stale, (struct sockaddr *)&name, sizeof(name)), 0);
    (void)close(stale);
    mode_t mask = umask(0);
    assert_int_equal(http_server_listen(f->server, str_from(address), 0600, &e), 0);
    (void)umask(mask);
    assert_int_equal(lstat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(http_server_listen(f->server, str_from(address), 0600, &e), ERR_BUSY);
    assert_non_null(strstr(e.text, "in use"));
    fixture_run(f);

    int fd = unix_open(path);
    assert_true(fd >= 0);
    client_text(fd, "GET /facts HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_answer(fd, 200, "unix=1 loopback=1");
    int tcp = client_open(f);
    client_text(tcp, "GET /facts HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_answer(tcp, 200, "unix=0 loopback=1");
    (void)close(tcp);
    (void)close(fd);
    finish(f);
    assert_int_equal(lstat(path, &file), -1); /* removed with its listener */
    assert_int_equal(rmdir(directory), 0);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",       "9324",     ":9324",     "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000",
        "host:1", "::1:9324", "[::1:9324", "[::1]",     "unix:",      "127.0.0.1:12x",
    };
    struct fixture *f = fixture_new(&defaults);
    struct error e = {0};
    char address[64], text[400];
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_int_equal(http_server_listen(f->server, str_from(bad[i]), 0600, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, "127.0.0.1:9324"));
    }
    memset(text, 'x', sizeof(text));
    memcpy(text, "unix:/", 6);
    assert_int_equal(http_server_listen(f->server, (struct str){text, sizeof(text)}, 0600, &e),
                     ERR_TOO_BIG);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", f->port);
    assert_int_equal(http_server_listen(f->server, str_from(address), 0600, &e), ERR_BUSY);
    assert_non_null(strstr(e.text, "in use"));
    assert_int_equal(http_server_listen_fd(f->server, dup(STDIN_FILENO), &e), ERR_INVALID);
    assert_int_equal(http_server_listen(f->server, STR("localhost:0"), 0600, &e), 0);
    fixture_run(f);
    finish(f);
}

static void test_inherited_socket(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(&defaults);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct error e = {0};
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(http_server_listen_fd(f->server, fd, &e), 0);
    f->port = ntohs(address.sin_port);
    fixture_run(f);
    int client = client_open(f);
    client_text(client, post);
    expect_answer(client, 200, post_answer);
    (void)close(client);
    finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_one_at_a_time),
        cmocka_unit_test(test_pipelined_in_random_pieces),
        cmocka_unit_test(test_pipelined_behind_a_deferred_answer),
        cmocka_unit_test(test_slow_clients),
        cmocka_unit_test(test_idle_connections_are_closed),
        cmocka_unit_test(test_malformed_requests),
        cmocka_unit_test(test_damaged_requests),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_too_large_in_pieces),
        cmocka_unit_test(test_large_bodies),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_versions_methods_targets),
        cmocka_unit_test(test_answer_headers_cannot_be_injected),
        cmocka_unit_test(test_abort_closes_without_an_answer),
        cmocka_unit_test(test_peer_leaves_during_a_deferred_answer),
        cmocka_unit_test(test_peer_leaves_with_bytes_unread),
        cmocka_unit_test(test_half_closed_peer_gets_its_answer),
        cmocka_unit_test(test_on_close_asked_for_too_late),
        cmocka_unit_test(test_server_closes_under_open_exchanges),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_out_of_files),
        cmocka_unit_test(test_server_closes_inside_its_handler),
        cmocka_unit_test(test_kernel_stamps),
        cmocka_unit_test(test_answer_to_a_slow_reader),
        cmocka_unit_test(test_a_client_that_never_reads_is_dropped),
        cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_inherited_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
