/* The HTTP server: requests in any pieces, what it refuses, what it answers. */
#include "server_support.h"

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

/* While one answer is pending, the next requests wait and are not lost, many or few of them, even
 * when the client has closed its side behind them. */
static void test_pipelined_behind_a_deferred_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct http_server_config config = {.kernel_stamps = i % 2 == 1};
        const bool half_closed = i >= 2;
        struct fixture *f = start(&config);
        int fd = client_open(f);
        client_text(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
        wait_count(&f->deferred_count, 1);
        for (int n = 0; n < 200; n++) {
            client_text(fd, post);
        }
        client_text(fd, "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_int_equal(half_closed ? shutdown(fd, SHUT_WR) : 0, 0);
        assert_int_equal(atomic_load(&f->handled), 1);
        on_loop(f, answer_deferred);
        expect_answer(fd, 200, "deferred 0;");
        for (int n = 0; n < 200; n++) {
            expect_answer(fd, 200, post_answer);
        }
        expect_answer(fd, 200, "path=/last");
        if (half_closed) {
            expect_closed(fd);
        }
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
