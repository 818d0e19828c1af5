/* When has a request arrived? The HTTP client's answer against peers that accept, read and answer
 * late or never, and what happens to bytes that were still on their way. */
#include "client_support.h"

#include <semaphore.h>
#include <signal.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define BIG_BYTES    ((size_t)256 * 1024) /* fits our send buffer, not SMALL_BUFFER */
#define SMALL_BUFFER 8192

static char big_body[BIG_BYTES];

static struct str big(void)
{
    memset(big_body, 'b', sizeof(big_body));
    return (struct str){big_body, sizeof(big_body)};
}

/* No use of the 1 s default where the peer's window stays shut on purpose. */
static const struct http_client_config patient = {.max_flight_ns = 60 * NS_PER_S};

/* The one connection of the server has bytes that nobody read. */
static bool has_bytes(void *context)
{
    struct script_server *server = context;
    int bytes = 0;
    return atomic_load(&server->open) > 0 && ioctl(server->peers[0].fd, FIONREAD, &bytes) == 0 &&
           bytes > 0;
}

static bool has_open_connection(void *server)
{
    return atomic_load(&((struct script_server *)server)->open) > 0;
}

static bool has_lost_all(void *server)
{
    return atomic_load(&((struct script_server *)server)->open) == 0;
}

static const char *script_silent(struct script_server *server, struct peer *peer, unsigned nth)
{
    (void)server;
    (void)peer;
    (void)nth;
    return NULL;
}

/* ---- arrival is seen at the peer's kernel ---- */

static void test_arrival_comes_before_a_slow_response(void **state)
{
    (void)state;
    struct test t;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.no_answer = true});
    test_begin(&t, NULL);
    for (int i = 0; i < 5;
         i++) { /* on a new connection and on a reused one, with and without body */
        struct http_call_request request = post(url_of(server, url), STR("slow"));
        if (i % 2 == 1) {
            request = get(url);
        }
        struct probe p = {0};
        start(&t, &p, &request);
        run_until(&t, is_arrived, &p, "arrival");
        assert_int_equal(p.done, 0);
        server_set(server, &server->answering, true);
        until_done(&p);
        assert_int_equal(p.result.error, 0);
        assert_int_equal(p.result.reused, i > 0);
        assert_true(p.result.arrived_at == p.arrived_at);
        assert_true(p.result.arrived_at <= p.result.ended_at);
        server_set(server, &server->answering, false);
    }
    test_end(&t);
    server_stop(server);
}

static struct script_server *whole_server;
static unsigned whole_requests;

/* The loop stands still in here: what the peer gets now left us before. */
static void expect_whole_request(struct probe *probe)
{
    mono_ns deadline = loop_now() + 5 * NS_PER_S;
    (void)probe;
    whole_requests++;
    while (atomic_load(&whole_server->requests) < whole_requests) {
        if (loop_now() > deadline) {
            fail_msg("arrival was told of a request that was not written in full");
        }
        (void)poll(NULL, 0, 1);
    }
}

static void test_arrival_means_the_whole_request(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 1000, 16384, 65000, 65536, 70000, 1000000, 8000000};
    struct test t;
    char url[64];
    char *body = MEM_NEW_ARRAY(8000000, char);
    whole_requests = 0;
    for (size_t i = 0; i < SL_COUNT(sizes) * 3; i++) {
        struct probe p = {.on_arrived = expect_whole_request};
        /* Silent, so that no response takes the place of the arrival. */
        whole_server = server_start(&(struct server_options){.script = script_silent});
        whole_requests = 0;
        test_begin(&t, &patient);
        struct http_call_request request =
            post(url_of(whole_server, url), (struct str){body, sizes[i % SL_COUNT(sizes)]});
        start(&t, &p, &request);
        run_until(&t, is_arrived, &p, "arrival");
        test_end(&t);
        assert_int_equal(p.arrived, 1);
        server_stop(whole_server);
    }
    free(body);
}

/* An answer while the request is on its way: to its head, or even meant for nobody. */
static void test_answer_before_the_request(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        size_t body_bytes;
    } cases[] = {
        /* All of it is in the kernel; libcurl would keep the connection. */
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200000},
        /* libcurl gives the rest up and closes. */
        {"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n", (size_t)32 << 20},
    };
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct test t;
        struct probe p = {0};
        char url[64], got[4096];
        char *body = MEM_NEW_ARRAY(cases[i].body_bytes, char);
        struct script_server *server =
            server_start(&(struct server_options){.receive_buffer = 4096, .no_accept = true});
        test_begin(&t, &patient);
        struct http_call_request request =
            post(url_of(server, url), (struct str){body, cases[i].body_bytes});
        start(&t, &p, &request);
        for (int turns = 0; turns < 20; turns++) {
            (void)uv_run(loop_uv(t.loop), UV_RUN_NOWAIT);
        }
        int fd = accept(server->listen_fd, NULL, NULL);
        assert_true(fd >= 0);
        ssize_t len = (ssize_t)strlen(cases[i].answer);
        assert_int_equal(write(fd, cases[i].answer, (size_t)len), len);
        until_done(&p);
        assert_int_equal(p.result.error, 0);
        assert_int_equal(p.arrived, 0);
        assert_true(p.result.early);
        assert_false(p.result.arrived);
        do { /* what had arrived; then the reset, and nothing later */
            len = read(fd, got, sizeof(got));
        } while (len > 0);
        assert_int_equal(len, -1);
        assert_int_equal(errno, ECONNRESET);
        (void)close(fd);
        test_end(&t);
        server_stop(server);
        free(body);
    }
}

static void test_peer_that_never_accepts_has_the_request(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.no_accept = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("x"));
    start(&t, &p, &request);
    run_until(&t, is_arrived, &p, "arrival");
    http_client_cancel(p.call);
    until_done(&p);
    assert_int_equal(p.result.error, ERR_CANCELED);
    assert_int_equal(p.arrived, 1);
    assert_true(p.result.arrived && p.result.written);
    assert_true(p.result.arrived_at == p.arrived_at);
    test_end(&t);
    server_stop(server);
}

static void test_full_receive_buffer_is_no_arrival(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.receive_buffer = SMALL_BUFFER, .no_read = true});
    test_begin(&t, &patient);
    struct http_call_request request = post(url_of(server, url), big());
    request.timeout_ns = NS_PER_S;
    start(&t, &p, &request);
    until_done(&p);
    assert_int_equal(p.result.error, ERR_TIMEOUT);
    assert_int_equal(p.arrived, 0);
    assert_true(p.result.written);
    assert_false(p.result.arrived);

    request.timeout_ns = 20 * NS_PER_S;
    p = (struct probe){0};
    start(&t, &p, &request);
    run_until(&t, has_open_connection, server, "the connection");
    assert_int_equal(p.arrived, 0);
    server_set(server, &server->answering, false);
    server_set(server, &server->reading, true);
    run_until(&t, is_arrived, &p, "arrival once the peer reads");
    assert_int_equal(p.done, 0);
    server_set(server, &server->answering, true);
    until_done(&p);
    assert_int_equal(p.result.error, 0);
    test_end(&t);
    server_stop(server);
}

/* The counters of the call before, on the same handle and connection, must not count. */
static void test_reused_connection_that_stalls(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.receive_buffer = SMALL_BUFFER});
    test_begin(&t, &patient);
    struct http_call_request request = post(url_of(server, url), big());
    call_ok(&t, &p, &request);
    server_set(server, &server->reading, false);
    request.timeout_ns = NS_PER_S;
    call(&t, &p, &request);
    assert_int_equal(p.result.error, ERR_TIMEOUT);
    assert_true(p.result.reused);
    assert_false(p.result.arrived);
    assert_int_equal(p.arrived, 0);
    assert_int_equal(atomic_load(&server->requests), 1);
    test_end(&t);
    server_stop(server);
}

static void reset_peers(struct script_server *server)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (server->peers[i].fd >= 0) {
            peer_reset(server, &server->peers[i]);
        }
    }
}

static const char *script_reset_at_end(struct script_server *server, struct peer *peer,
                                       unsigned nth)
{
    (void)peer;
    (void)nth;
    reset_peers(server);
    return NULL;
}

static void test_reset_after_arrival(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.script = script_reset_at_end, .no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("x"));
    start(&t, &p, &request);
    run_until(&t, is_arrived, &p, "arrival");
    server_set(server, &server->answering, true);
    until_done(&p);
    assert_int_equal(p.result.error, ERR_RESET);
    assert_true(p.result.arrived && p.result.written);
    test_end(&t);
    server_stop(server);
}

/* A peer that resets with most of the request unread: the queue of a dead socket is not "empty". */
static void test_reset_before_arrival(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.receive_buffer = SMALL_BUFFER, .no_read = true});
    test_begin(&t, &patient);
    struct http_call_request request = post(url_of(server, url), big());
    start(&t, &p, &request);
    run_until(&t, has_bytes, server, "the first bytes");
    atomic_store(&server->stop, true);
    server_wake(server);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    reset_peers(server);
    until_done(&p);
    assert_int_equal(p.result.error, ERR_RESET);
    assert_true(p.result.written);
    assert_false(p.result.arrived);
    assert_int_equal(p.arrived, 0);
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
    test_end(&t);
    server_stop(server);
}

static void test_without_observation(void **state)
{
    (void)state;
    struct test t;
    struct probe p;
    char url[64];
    struct script_server *server = server_start(&(struct server_options){0});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("x"));
    request.observe_arrival = false;
    call_ok(&t, &p, &request);
    assert_int_equal(p.arrived, 0);
    assert_true(p.result.arrived_at == p.result.ended_at);
    test_end(&t);
    server_stop(server);
}

/* ---- what was on its way when a call ended ---- */

static void test_abort_leaves_nothing_behind(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    char url[64];
    struct script_server *server = server_start(&(struct server_options){
        .script = script_silent, .receive_buffer = SMALL_BUFFER, .no_read = true});
    test_begin(&t, &patient);
    struct http_call_request request = post(url_of(server, url), big());
    start(&t, &p, &request);
    run_until(&t, has_bytes, server, "the first bytes");
    http_client_cancel(p.call);
    until_done(&p);
    assert_int_equal(p.result.error, ERR_CANCELED);
    assert_true(p.result.written);
    assert_false(p.result.arrived);
    /* The peer reads on now, and finds the connection reset instead of the rest of the request. */
    server_set(server, &server->reading, true);
    run_until(&t, has_lost_all, server, "the reset");
    assert_int_equal(atomic_load(&server->resets), 1);
    assert_int_equal(atomic_load(&server->requests), 0);
    test_end(&t);
    server_stop(server);
}

static void test_flight_is_limited_by_the_kernel(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    char url[64];
    struct script_server *server =
        server_start(&(struct server_options){.receive_buffer = SMALL_BUFFER, .no_read = true});
    test_begin(&t, &(struct http_client_config){.max_flight_ns = 200 * NS_PER_MS});
    struct http_call_request request = post(url_of(server, url), big());
    start(&t, &p, &request);
    until_done(&p); /* long before its own timeout */
    assert_int_equal(p.result.error, ERR_RESET);
    assert_false(p.result.arrived);
    test_end(&t);
    server_stop(server);
}

static void test_idle_connections_close_with_a_fin(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0}, q = {0};
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("x"));
    start(&t, &p, &request);
    start(&t, &q, &request);
    run_until(&t, is_arrived, &p, "arrival");
    run_until(&t, is_arrived, &q, "arrival");
    server_set(server, &server->answering, true);
    until_done(&p);
    until_done(&q);
    http_client_close(t.client);
    t.client = NULL;
    run_until(&t, has_lost_all, server, "the end of the connections");
    assert_int_equal(atomic_load(&server->fins), 2);
    assert_int_equal(atomic_load(&server->resets), 0);
    test_end(&t);
    server_stop(server);
}

/* ---- many at once ---- */

#define MANY 64

static bool all_arrived(void *context)
{
    const struct probe *probes = context;
    for (size_t i = 0; i < MANY; i++) {
        if (probes[i].arrived == 0) {
            return false;
        }
    }
    return true;
}

static bool all_done(void *context)
{
    const struct probe *probes = context;
    for (size_t i = 0; i < MANY; i++) {
        if (probes[i].done == 0) {
            return false;
        }
    }
    return true;
}

static void test_each_of_many_arrives(void **state)
{
    (void)state;
    struct test t;
    static struct probe probes[MANY];
    char url[64];
    struct script_server *server = server_start(&(struct server_options){.no_answer = true});
    test_begin(&t, NULL);
    struct http_call_request request = post(url_of(server, url), STR("x"));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MANY; i++) {
            probes[i] = (struct probe){0};
            start(&t, &probes[i], &request);
        }
        run_until(&t, all_arrived, probes, "every arrival");
        server_set(server, &server->answering, true);
        run_until(&t, all_done, probes, "every end");
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(probes[i].result.error, 0);
            assert_int_equal(probes[i].arrived, 1);
            assert_int_equal(probes[i].done, 1);
            assert_true(probes[i].result.arrived_at == probes[i].arrived_at);
        }
        server_set(server, &server->answering, false);
    }
    assert_int_equal(atomic_load(&server->requests), 2 * MANY);
    test_end(&t);
    server_stop(server);
}

/* ---- TLS ---- */

struct tls_server {
    int listen_fd;
    uint16_t port;
    pthread_t thread;
    SSL_CTX *ctx;
    sem_t answer;
    atomic_uint requests, failures;
    unsigned connections; /* to accept */
};

static SSL_CTX *tls_context(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void tls_serve(struct tls_server *server, SSL *ssl)
{
    char text[4096];
    while (SSL_read(ssl, text, sizeof(text)) > 0) { /* a request is one record here */
        atomic_fetch_add(&server->requests, 1);
        while (sem_wait(&server->answer) != 0) {
        }
        (void)SSL_write(ssl, ANSWER_OK, sizeof(ANSWER_OK) - 1);
    }
}

static void *tls_run(void *context)
{
    struct tls_server *server = context;
    for (unsigned i = 0; i < server->connections; i++) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        SSL *ssl = SSL_new(server->ctx);
        (void)SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            tls_serve(server, ssl);
        } else {
            atomic_fetch_add(&server->failures, 1);
        }
        SSL_free(ssl);
        (void)close(fd);
    }
    return NULL;
}

static void tls_start(struct tls_server *server, unsigned connections)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    *server = (struct tls_server){.connections = connections, .ctx = tls_context()};
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&in, &len), 0);
    server->port = ntohs(in.sin_port);
    assert_int_equal(listen(server->listen_fd, 16), 0);
    assert_int_equal(sem_init(&server->answer, 0, 0), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, tls_run, server), 0);
}

static void tls_stop(struct tls_server *server)
{
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    SSL_CTX_free(server->ctx);
    (void)sem_destroy(&server->answer);
    (void)close(server->listen_fd);
}

static void test_tls(void **state)
{
    (void)state;
    struct test t;
    struct probe p = {0};
    struct tls_server server;
    char url[64];
    tls_start(&server, 2);
    test_begin(&t, NULL);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", (unsigned int)server.port);
    struct http_call_request request = post(url, STR("secret"));
    call(&t, &p, &request); /* nobody vouches for the certificate */
    assert_int_equal(p.result.error, ERR_TLS);
    assert_false(p.result.written);

    request.tls_skip_verify = true;
    for (unsigned i = 0; i < 3; i++) {
        p = (struct probe){0};
        start(&t, &p, &request);
        run_until(&t, is_arrived, &p, "arrival over TLS");
        assert_int_equal(p.done, 0);
        assert_int_equal(sem_post(&server.answer), 0);
        until_done(&p);
        assert_int_equal(p.result.error, 0);
        assert_int_equal(p.result.reused, i > 0);
    }
    assert_int_equal(atomic_load(&server.requests), 3);
    assert_int_equal(atomic_load(&server.failures), 1);
    test_end(&t);
    tls_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrival_comes_before_a_slow_response),
        cmocka_unit_test(test_arrival_means_the_whole_request),
        cmocka_unit_test(test_answer_before_the_request),
        cmocka_unit_test(test_peer_that_never_accepts_has_the_request),
        cmocka_unit_test(test_full_receive_buffer_is_no_arrival),
        cmocka_unit_test(test_reused_connection_that_stalls),
        cmocka_unit_test(test_reset_after_arrival),
        cmocka_unit_test(test_reset_before_arrival),
        cmocka_unit_test(test_without_observation),
        cmocka_unit_test(test_abort_leaves_nothing_behind),
        cmocka_unit_test(test_flight_is_limited_by_the_kernel),
        cmocka_unit_test(test_idle_connections_close_with_a_fin),
        cmocka_unit_test(test_each_of_many_arrives),
        cmocka_unit_test(test_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
