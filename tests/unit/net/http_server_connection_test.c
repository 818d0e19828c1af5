/* The HTTP server: its connections and their ends, its listeners. */
#include "server_support.h"

#include <sys/resource.h>

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
