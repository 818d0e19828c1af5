/* The HTTP client: connections, addresses, proxies, bounds. */
#include "client_support.h"

#include <netdb.h>

/* In place of the C library's: no test here may ask for a name. */
static atomic_uint resolver_calls;

__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **ret)
{
    (void)host;
    (void)service;
    (void)hints;
    (void)ret;
    atomic_fetch_add(&resolver_calls, 1);
    return EAI_NONAME;
}

static void test_unix_socket(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char dir[] = "/tmp/sluice-client-XXXXXX", path[128];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/s.sock", dir);
    struct script_server *server = server_start(&(struct server_options){.unix_path = path});
    test_begin(&t, NULL);
    struct http_call_request request = post("http://localhost/admin", STR("x"));
    request.unix_socket = path;
    for (int i = 0; i < 3; i++) {
        call_ok(&t, &p, &request);
        assert_int_equal(p.arrived, 0); /* not observed: the response says it */
        assert_true(p.result.arrived_at == p.result.ended_at);
    }
    assert_true(server_last_has(server, "POST /admin HTTP/1.1\r\nHost: localhost\r\n"));
    assert_int_equal(atomic_load(&server->connections), 1);
    test_end(&t);
    server_stop(server);
    (void)unlink(path);
    (void)rmdir(dir);
}

static const char *script_answer_close(struct script_server *server, struct peer *peer,
                                       unsigned nth)
{
    (void)server;
    (void)peer;
    (void)nth;
    return ANSWER_CLOSE;
}

static void test_address_change_is_honoured(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *one =
        server_start(&(struct server_options){.script = script_answer_close});
    struct script_server *two = server_start(&(struct server_options){
        .script = script_answer_close, .ip = "127.0.0.2", .port = one->port});
    unsigned calls = atomic_load(&resolver_calls);
    test_begin(&t, NULL);
    (void)snprintf(url, sizeof(url), "http://api.test:%u/path", (unsigned int)one->port);
    struct http_call_request request = post(url, STR("x"));
    request.addresses = "127.0.0.1";
    call_ok(&t, &p, &request);
    call_ok(&t, &p, &request);
    assert_int_equal(atomic_load(&one->requests), 2);
    request.addresses = "127.0.0.2";
    call_ok(&t, &p, &request);
    assert_int_equal(atomic_load(&one->requests), 2);
    assert_int_equal(atomic_load(&two->requests), 1);
    assert_true(server_last_has(two, "Host: api.test:"));
    request.addresses = "127.0.0.3,127.0.0.1"; /* the first one refuses */
    call_ok(&t, &p, &request);
    assert_int_equal(atomic_load(&one->requests), 3);
    assert_int_equal(p.arrived, 1);
    assert_int_equal(atomic_load(&resolver_calls), calls);
    test_end(&t);
    server_stop(one);
    server_stop(two);
}

/* A port where a connection attempt hangs: the queue of its listener is full. */
struct hole {
    int listen_fd, fillers[8];
    uint16_t port;
};

static void hole_open(struct hole *hole, const char *ip, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(in);
    int on = 1;
    assert_int_equal(inet_pton(AF_INET, ip, &in.sin_addr), 1);
    hole->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(hole->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(hole->listen_fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(hole->listen_fd, 0), 0);
    assert_int_equal(getsockname(hole->listen_fd, (struct sockaddr *)&in, &len), 0);
    hole->port = ntohs(in.sin_port);
    for (size_t i = 0; i < SL_COUNT(hole->fillers); i++) {
        hole->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(hole->fillers[i], (struct sockaddr *)&in, sizeof(in));
    }
}

static void hole_close(struct hole *hole)
{
    for (size_t i = 0; i < SL_COUNT(hole->fillers); i++) {
        (void)close(hole->fillers[i]);
    }
    (void)close(hole->listen_fd);
}

/* The socket of the attempt that hung is closed by libcurl without a word, and its number is used
   again for the next address. */
static void test_address_that_hangs_is_passed_over(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct hole hole;
    struct script_server *server = server_start(&(struct server_options){0});
    hole_open(&hole, "127.0.0.2", server->port);
    test_begin(&t, NULL);
    (void)snprintf(url, sizeof(url), "http://api.test:%u/path", (unsigned int)server->port);
    struct http_call_request request = post(url, STR("x"));
    request.addresses = "127.0.0.2,127.0.0.1";
    request.connect_timeout_ns = 400 * NS_PER_MS;
    call_ok(&t, &p, &request);
    assert_int_equal(atomic_load(&server->requests), 1);
    test_end(&t);
    hole_close(&hole);
    server_stop(server);
}

static void test_connection_attempts_end(void **state)
{
    (void)state;
    struct test t;
    char url[64];
    struct hole hole;
    hole_open(&hole, "127.0.0.1", 0);
    test_begin(&t, NULL);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/path", (unsigned int)hole.port);
    struct http_call_request request = post(url, STR("x"));
    for (int i = 0; i < 8; i++) {
        struct probe canceled = {0}, late = {0};
        start(&t, &canceled, &request);
        for (int turns = 0; turns < i / 2; turns++) { /* at every stage of the beginning */
            (void)uv_run(loop_uv(t.loop), UV_RUN_NOWAIT);
        }
        http_client_cancel(canceled.call);
        request.connect_timeout_ns = (i + 1) * 10 * NS_PER_MS;
        start(&t, &late, &request);
        request.connect_timeout_ns = 10 * NS_PER_S;
        until_done(&canceled);
        until_done(&late);
        assert_int_equal(canceled.result.error, ERR_CANCELED);
        assert_int_equal(late.result.error, ERR_TIMEOUT);
        assert_false(canceled.result.written || late.result.written);
    }
    test_end(&t);
    hole_close(&hole);
}

static void test_proxies_of_the_environment_are_ignored(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    struct test t;
    struct probe p;
    char url[64], proxy_url[64];
    struct script_server *server = server_start(&(struct server_options){0});
    struct script_server *proxy = server_start(&(struct server_options){0});
    (void)url_of(proxy, proxy_url);
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_int_equal(setenv(names[i], proxy_url, 1), 0);
    }
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("x"));
    call_ok(&t, &p, &request);
    assert_int_equal(atomic_load(&server->requests), 1);
    assert_int_equal(atomic_load(&proxy->connections), 0);
    test_end(&t);
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
    server_stop(server);
    server_stop(proxy);
}

static const char *script_redirect(struct script_server *server, struct peer *peer, unsigned nth)
{
    (void)server;
    (void)peer;
    (void)nth;
    return "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
}

static void test_redirects_are_answers(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.script = script_redirect});
    test_begin(&t, NULL);
    struct http_call_request request = get(url_of(server, url));
    call(&t, &p, &request);
    assert_int_equal(p.result.error, 0);
    assert_int_equal(p.result.status, 302);
    assert_int_equal(atomic_load(&server->requests), 1);
    test_end(&t);
    server_stop(server);
}

#define CROWD 300

static int crowd_left;

static void crowd_done(struct probe *probe)
{
    (void)probe;
    crowd_left--;
}

static bool crowd_over(void *unused)
{
    (void)unused;
    return crowd_left == 0;
}

static void test_connections_are_bounded(void **state)
{
    (void)state;
    struct test t;
    static struct probe probes[CROWD];
    char url[64];
    struct script_server *server = server_start(&(struct server_options){0});
    test_begin(&t, &(struct http_client_config){.host_connections_max = 8});
    struct http_call_request request = post(url_of(server, url), STR("x"));
    crowd_left = CROWD;
    for (size_t i = 0; i < CROWD; i++) {
        probes[i] = (struct probe){.on_done = crowd_done};
        start(&t, &probes[i], &request);
    }
    assert_int_equal(http_client_running(t.client), CROWD);
    run_until(&t, crowd_over, NULL, "all calls");
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(probes[i].done, 1);
        assert_int_equal(probes[i].result.error, 0);
    }
    assert_int_equal(atomic_load(&server->requests), CROWD);
    assert_true(atomic_load(&server->open_peak) <= 8);
    assert_true(atomic_load(&server->open_peak) >= 2);
    test_end(&t);
    server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_address_change_is_honoured),
        cmocka_unit_test(test_address_that_hangs_is_passed_over),
        cmocka_unit_test(test_connection_attempts_end),
        cmocka_unit_test(test_proxies_of_the_environment_are_ignored),
        cmocka_unit_test(test_redirects_are_answers),
        cmocka_unit_test(test_connections_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
