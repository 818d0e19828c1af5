/* The HTTP client: requests, responses, errors, connections, and the traps of curl multi on libuv.
 */
#include "client_support.h"

#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>

/* ---- a resolver of our own, in place of the C library's ---- */

static atomic_bool resolver_stuck;
static atomic_uint resolver_calls, resolver_running;
static sem_t resolver_released;

__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **ret)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (host != NULL && strstr(host, ".test") != NULL) {
        atomic_fetch_add(&resolver_calls, 1);
        atomic_fetch_add(&resolver_running, 1);
        if (atomic_load(&resolver_stuck)) {
            while (sem_wait(&resolver_released) != 0) {
            }
        }
        atomic_fetch_sub(&resolver_running, 1);
        return EAI_NONAME;
    }
    return real(host, service, hints, ret);
}

/* ---- requests and responses ---- */

static const char *script_header(struct script_server *server, struct peer *peer, unsigned nth)
{
    (void)server;
    (void)peer;
    (void)nth;
    return "HTTP/1.1 100 Continue\r\nX-Probe: early\r\n\r\n"
           "HTTP/1.1 201 Created\r\nX-Probe:  a value \r\nTransfer-Encoding: chunked\r\n\r\n"
           "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
}

static void test_post_carries_body_and_headers(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.script = script_header});
    const struct http_header headers[] = {{STR("X-One"), STR("1")}, {STR("X-Empty"), STR("")}};
    test_begin(&t, NULL);

    struct http_call_request request = post(url_of(server, url), STR("the body"));
    request.headers = headers;
    request.header_count = 2;
    call(&t, &p, &request);
    assert_int_equal(p.result.error, 0);
    assert_int_equal(p.result.status, 201);
    assert_string_equal(p.body, "abcde");
    assert_string_equal(p.header, "a value");
    assert_true(p.result.written && p.result.arrived);
    assert_true(p.result.connect_ns > 0);
    assert_false(p.result.reused);
    assert_true(server_last_has(server, "POST /path HTTP/1.1\r\n"));
    assert_true(server_last_has(server, "\r\nX-One: 1\r\nX-Empty:\r\n"));
    assert_true(server_last_has(server, "\r\nContent-Length: 8\r\n"));
    assert_true(server_last_has(server, "\r\n\r\nthe body"));
    assert_true(server_last_has(server, "User-Agent: sluice-test\r\n"));
    assert_false(server_last_has(server, "Expect"));
    assert_false(server_last_has(server, "Content-Type"));
    test_end(&t);
    server_stop(server);
}

static void test_methods(void **state)
{
    (void)state;
    static const struct {
        const char *method, *body, *line, *length;
    } rows[] = {
        {"GET", NULL, "GET /path HTTP/1.1\r\n", NULL},
        {"DELETE", NULL, "DELETE /path HTTP/1.1\r\n", NULL},
        {"POST", NULL, "POST /path HTTP/1.1\r\n", "Content-Length: 0\r\n"},
        {"PUT", "xy", "PUT /path HTTP/1.1\r\n", "Content-Length: 2\r\n"},
        {"GET", NULL, "GET /path HTTP/1.1\r\n", NULL},
        {"POST", "xyz", "POST /path HTTP/1.1\r\n", "Content-Length: 3\r\n"},
    };
    struct test t;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){0});
    test_begin(&t, NULL);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct probe p;
        struct http_call_request request = post(url_of(server, url), str_from(rows[i].body));
        request.method = rows[i].method;
        call_ok(&t, &p, &request);
        assert_string_equal(p.body, "ok");
        assert_true(server_last_has(server, rows[i].line));
        assert_true(rows[i].length != NULL ? server_last_has(server, rows[i].length)
                                           : !server_last_has(server, "Content-Length"));
        assert_int_equal(p.result.reused, i > 0);
        assert_int_equal(p.result.connect_ns > 0, i == 0);
    }
    assert_int_equal(atomic_load(&server->connections), 1);
    test_end(&t);
    server_stop(server);
}

static const char *script_head(struct script_server *server, struct peer *peer, unsigned nth)
{
    (void)server;
    (void)peer;
    return nth == 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" : ANSWER_OK;
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.script = script_head});
    test_begin(&t, NULL);
    struct http_call_request request = get(url_of(server, url));
    request.method = "HEAD";
    call_ok(&t, &p, &request);
    assert_string_equal(p.body, "");
    assert_true(server_last_has(server, "HEAD /path"));
    request.method = "GET"; /* the pooled handle has forgotten HEAD */
    call_ok(&t, &p, &request);
    assert_string_equal(p.body, "ok");
    test_end(&t);
    server_stop(server);
}

static void test_invalid_requests_are_refused(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    struct http_header bad[] = {{STR("X"), STR("a\r\nEvil: 1")}, {STR("X:"), STR("a")}};
    struct http_header many[HTTP_HEADERS_MAX + 1];
    test_begin(&t, NULL);
    for (size_t i = 0; i < SL_COUNT(many); i++) {
        many[i] = (struct http_header){STR("X"), STR("1")};
    }
    struct http_call_request request = get("http://127.0.0.1:1/");
    struct http_call_request cases[8];
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        cases[i] = request;
    }
    cases[0].headers = &bad[0];
    cases[0].header_count = 1;
    cases[1].headers = &bad[1];
    cases[1].header_count = 1;
    cases[2].headers = many;
    cases[2].header_count = SL_COUNT(many);
    cases[3].url = "ftp://127.0.0.1/";
    cases[4].url = "/relative";
    cases[5].timeout_ns = 0;
    cases[6].connect_timeout_ns = -1;
    cases[7].method = "GET /x HTTP/1.1\r\nEvil: 1";
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        int error = http_client_submit(t.client, &cases[i], &probe_events, &p, &p.call);
        assert_int_equal(error, i == 2 ? ERR_TOO_BIG : ERR_INVALID);
    }
    assert_int_equal(http_client_running(t.client), 0);
    assert_int_equal(p.done, 0);
    test_end(&t);
}

/* ---- errors ---- */

static const char *script_by_number(struct script_server *server, struct peer *peer, unsigned nth)
{
    switch (nth) {
    case 1: /* longer than the client's maximum */
        return "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789";
    case 2: /* truncated */
        peer_write(peer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        peer_close(server, peer);
        return NULL;
    case 3:
        peer_write(peer, "SSH-2.0-OpenSSH_9.2\r\n");
        peer_close(server, peer);
        return NULL;
    case 4: /* nothing at all, on a new connection */
        peer_close(server, peer);
        return NULL;
    default:
        return ANSWER_OK;
    }
}

static void test_bad_responses(void **state)
{
    (void)state;
    static const int expected[] = {ERR_TOO_BIG, ERR_RESET, ERR_PROTOCOL, ERR_RESET};
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.script = script_by_number});
    test_begin(&t, &(struct http_client_config){.response_max_bytes = 19});
    struct http_call_request request = post(url_of(server, url), STR("x"));
    for (size_t i = 0; i < SL_COUNT(expected); i++) {
        call(&t, &p, &request);
        assert_int_equal(p.result.error, expected[i]);
        assert_true(p.result.written);
        assert_int_equal(p.result.status, i < 2 ? 200 : 0);
        assert_true(p.result.detail[0] != '\0');
    }
    call_ok(&t, &p, &request);
    assert_string_equal(p.result.detail, "");
    assert_int_equal(atomic_load(&server->requests), 5);
    test_end(&t);
    server_stop(server);
}

static void test_not_written_when_refused_or_not_resolved(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){0});
    (void)url_of(server, url);
    server_stop(server); /* nobody listens there now */
    test_begin(&t, NULL);
    struct http_call_request request = post(url, STR("x"));
    call(&t, &p, &request);
    assert_int_equal(p.result.error, ERR_CONNECT);
    assert_false(p.result.written || p.result.arrived);
    assert_int_equal(p.arrived, 0);

    request.url = "http://unknown.test/";
    call(&t, &p, &request);
    assert_int_equal(p.result.error, ERR_RESOLVE);
    assert_false(p.result.written || p.result.arrived);
    test_end(&t);
}

static void test_last_completion_by_timeout_is_not_lost(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("x"));
    request.timeout_ns = 30 * NS_PER_MS;
    call(&t, &p, &request);
    assert_int_equal(p.result.error, ERR_TIMEOUT);
    assert_int_equal(http_client_running(t.client), 0);
    test_end(&t);
    server_stop(server);
}

static bool resolver_idle(void *unused)
{
    (void)unused;
    return atomic_load(&resolver_running) == 0;
}

static void test_slow_resolver_does_not_block_the_loop(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    assert_int_equal(sem_init(&resolver_released, 0, 0), 0);
    atomic_store(&resolver_stuck, true);
    test_begin(&t, NULL);
    struct http_call_request request = get("http://slow.test/");
    request.timeout_ns = 100 * NS_PER_MS;
    call(&t, &p, &request); /* ends, although the look-up never does before it is released */
    assert_int_equal(p.result.error, ERR_TIMEOUT);
    assert_false(p.result.written);
    assert_int_equal(atomic_load(&resolver_running), 1);
    atomic_store(&resolver_stuck, false);
    assert_int_equal(sem_post(&resolver_released), 0);
    run_until(&t, resolver_idle, NULL, "the end of the look-up");
    test_end(&t);
}

/* ---- the traps of curl multi on libuv ---- */

/* A timeout of 0 is served in the same turn, so the connection is begun when the turn ends. */
static void test_start_costs_no_timer(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.no_accept = true});
    struct pollfd listening = {.fd = server->listen_fd, .events = POLLIN};
    test_begin(&t, NULL);
    struct http_call_request request = get(url_of(server, url));
    start(&t, &p, &request);
    assert_int_equal(poll(&listening, 1, 0), 0);
    (void)uv_run(loop_uv(t.loop), UV_RUN_NOWAIT);
    assert_int_equal(poll(&listening, 1, 0), 1);
    server_set(server, &server->accepting, true);
    until_done(&p);
    assert_int_equal(p.result.error, 0);
    test_end(&t);
    server_stop(server);
}

static const char *chain_url;

static void submit_again(struct probe *probe)
{
    struct http_call_request request = post(chain_url, STR("again"));
    probe->on_done = NULL;
    probe->done = 0;
    start(probe->test, probe, &request);
}

static void cancel_other(struct probe *probe)
{
    int before = probe->other->done;
    http_client_cancel(probe->other->call);
    http_client_cancel(probe->other->call);
    assert_int_equal(probe->other->done, before);
}

static void test_submit_and_cancel_from_on_done(void **state)
{
    (void)state;
    struct test t;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){0});
    struct script_server *silent = server_start(&(struct server_options){.no_answer = true});
    char silent_url[64];
    test_begin(&t, NULL);
    chain_url = url_of(server, url);
    struct http_call_request request = post(url, STR("x"));
    struct http_call_request never = post(url_of(silent, silent_url), STR("x"));

    struct probe p = {.on_done = submit_again};
    start(&t, &p, &request);
    until_done(&p);
    assert_int_equal(p.result.error, 0);
    assert_int_equal(atomic_load(&server->requests), 2);

    struct probe other = {0};
    struct probe q = {.on_done = cancel_other, .other = &other};
    start(&t, &other, &never);
    start(&t, &q, &request);
    until_done(&q);
    until_done(&other);
    assert_int_equal(q.result.error, 0);
    assert_int_equal(other.result.error, ERR_CANCELED);

    struct probe third = {0}; /* from on_arrived as well */
    struct probe r = {.on_arrived = cancel_other, .other = &third};
    start(&t, &third, &never);
    start(&t, &r, &never);
    until_done(&third);
    http_client_cancel(r.call);
    until_done(&r);
    assert_int_equal(r.arrived, 1);
    assert_int_equal(third.result.error, ERR_CANCELED);
    test_end(&t);
    server_stop(server);
    server_stop(silent);
}

static bool server_has_request(void *server)
{
    return atomic_load(&((struct script_server *)server)->connections) > 0;
}

static bool server_lost_all(void *server)
{
    return atomic_load(&((struct script_server *)server)->open) == 0;
}

static void test_cancel_ends_once(void **state)
{
    (void)state;
    struct test t;
    char url[64];
    struct script_server *silent = server_start(&(struct server_options){.no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(silent, url), STR("x"));

    struct probe at_once = {0}; /* before a byte is written */
    start(&t, &at_once, &request);
    http_client_cancel(at_once.call);
    http_client_cancel(at_once.call);
    assert_int_equal(at_once.done, 0);
    until_done(&at_once);
    assert_int_equal(at_once.result.error, ERR_CANCELED);
    assert_false(at_once.result.written);

    struct probe in_flight = {0};
    start(&t, &in_flight, &request);
    run_until(&t, is_arrived, &in_flight, "arrival");
    run_until(&t, server_has_request, silent, "the connection");
    http_client_cancel(in_flight.call);
    assert_int_equal(in_flight.done, 0);
    until_done(&in_flight);
    assert_int_equal(in_flight.result.error, ERR_CANCELED);
    assert_true(in_flight.result.written && in_flight.result.arrived);
    run_until(&t, server_lost_all, silent, "the end of the connection");
    assert_int_equal(http_client_running(t.client), 0);
    test_end(&t);
    server_stop(silent);
}

static void test_close_cancels_what_runs(void **state)
{
    (void)state;
    struct test t;
    char url[64];
    struct probe probes[5];
    struct script_server *silent = server_start(&(struct server_options){.no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(silent, url), STR("x"));
    for (size_t i = 0; i < SL_COUNT(probes); i++) {
        probes[i] = (struct probe){0};
        start(&t, &probes[i], &request);
    }
    run_until(&t, is_arrived, &probes[4], "arrival");
    test_end(&t);
    for (size_t i = 0; i < SL_COUNT(probes); i++) {
        assert_int_equal(probes[i].done, 1);
        assert_int_equal(probes[i].result.error, ERR_CANCELED);
    }
    server_stop(silent);
}

static void close_client(struct probe *probe)
{
    struct test *t = probe->test;
    struct http_call_request request = get("http://127.0.0.1:1/");
    http_client_close(t->client);
    assert_int_equal(http_client_submit(t->client, &request, &probe_events, probe, &probe->call),
                     ERR_CLOSED);
    t->client = NULL;
}

static void test_close_from_on_done(void **state)
{
    (void)state;
    struct test t;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){0});
    struct script_server *silent = server_start(&(struct server_options){.no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = get(url_of(server, url));
    struct probe p = {.on_done = close_client};
    struct probe other = {0};
    start(&t, &p, &request);
    request.url = url_of(silent, url);
    start(&t, &other, &request);
    until_done(&p);
    until_done(&other);
    assert_int_equal(other.result.error, ERR_CANCELED);
    test_end(&t);
    server_stop(server);
    server_stop(silent);
}

/* ---- the hidden re-send ---- */

static const char *script_close_second(struct script_server *server, struct peer *peer,
                                       unsigned nth)
{
    if (nth % 2 == 0) {
        peer_close(server, peer); /* took the request, says nothing */
        return NULL;
    }
    return ANSWER_OK;
}

static void test_request_is_sent_once(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.script = script_close_second});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("once"));
    for (unsigned attempt = 1; attempt <= 10; attempt++) {
        call(&t, &p, &request);
        assert_int_equal(atomic_load(&server->requests), attempt);
        assert_int_equal(p.result.error, attempt % 2 == 0 ? ERR_RESET : 0);
        assert_true(p.result.written);
        if (attempt % 2 == 0) {
            assert_string_equal(p.result.detail, "the connection was closed without an answer");
        }
    }
    assert_int_equal(atomic_load(&server->connections), 5); /* none was opened for a re-send */
    test_end(&t);
    server_stop(server);
}

static const char *script_close_with_idle(struct script_server *server, struct peer *peer,
                                          unsigned nth)
{
    if (nth == 3) {
        peer_close(server, peer);
        return NULL;
    }
    return ANSWER_OK;
}

/* With a second idle connection at hand, the re-send would need no new one. */
static void test_request_is_not_sent_again_on_an_idle_connection(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0}, q = {0};
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.script = script_close_with_idle, .no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("once"));
    start(&t, &p, &request);
    start(&t, &q, &request);
    run_until(&t, is_arrived, &p, "arrival");
    run_until(&t, is_arrived, &q, "arrival");
    server_set(server, &server->answering, true);
    until_done(&p);
    until_done(&q);
    assert_int_equal(atomic_load(&server->connections), 2);
    call(&t, &p, &request);
    assert_int_equal(p.result.error, ERR_RESET);
    assert_int_equal(atomic_load(&server->requests), 3);
    call_ok(&t, &p, &request);
    assert_int_equal(atomic_load(&server->requests), 4);
    test_end(&t);
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_post_carries_body_and_headers),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_invalid_requests_are_refused),
        cmocka_unit_test(test_bad_responses),
        cmocka_unit_test(test_not_written_when_refused_or_not_resolved),
        cmocka_unit_test(test_last_completion_by_timeout_is_not_lost),
        cmocka_unit_test(test_slow_resolver_does_not_block_the_loop),
        cmocka_unit_test(test_start_costs_no_timer),
        cmocka_unit_test(test_submit_and_cancel_from_on_done),
        cmocka_unit_test(test_cancel_ends_once),
        cmocka_unit_test(test_close_cancels_what_runs),
        cmocka_unit_test(test_close_from_on_done),
        cmocka_unit_test(test_request_is_sent_once),
        cmocka_unit_test(test_request_is_not_sent_again_on_an_idle_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
