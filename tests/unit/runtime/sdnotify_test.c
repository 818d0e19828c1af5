#include "unit/base/unit.h"

#include "sluice/base/clock.h"
#include "sluice/runtime/log.h"
#include "sluice/runtime/sdnotify.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEADLINE_MS 10000

/* systemd's end: an abstract socket, so that nothing is left behind. */
static int listener_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int len = snprintf(name, sizeof(name), "@sluice-sdnotify-test-%ld", (long)getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)len - 1);
    socklen_t address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, address_len), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static const char *receive(int fd)
{
    static char text[2048];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, DEADLINE_MS) != 1) {
        fail_msg("nothing was sent");
    }
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void nothing_more(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
}

static void loop_end(struct loop *loop)
{
    loop_stop(loop);
    assert_int_equal(loop_run(loop), 0);
    loop_free(loop);
}

static void test_states(void **state)
{
    (void)state;
    int fd = listener_open();
    struct loop *loop = loop_new();
    struct sdnotify *sd = sdnotify_new(loop);
    assert_true(sdnotify_is_active(sd));
    sdnotify_ready(sd, "draining\ncreatejob");
    assert_string_equal(receive(fd), "READY=1\nSTATUS=draining createjob\n");
    sdnotify_ready(sd, NULL);
    assert_string_equal(receive(fd), "READY=1\n");
    sdnotify_status(sd, "%d in flight", 3);
    assert_string_equal(receive(fd), "STATUS=3 in flight\n");
    sdnotify_reloading(sd);
    assert_true(str_starts_with(str_from(receive(fd)), STR("RELOADING=1\nMONOTONIC_USEC=")));
    sdnotify_stopping(sd, 30 * NS_PER_S);
    assert_string_equal(receive(fd), "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\n");
    nothing_more(fd);
    sdnotify_free(sd);
    loop_end(loop);
    (void)close(fd);
    (void)unsetenv("NOTIFY_SOCKET");
}

static void test_without_systemd(void **state)
{
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    struct loop *loop = loop_new();
    struct sdnotify *sd = sdnotify_new(loop);
    assert_false(sdnotify_is_active(sd));
    sdnotify_ready(sd, "x");
    sdnotify_status(sd, "x");
    sdnotify_reloading(sd);
    sdnotify_stopping(sd, 0);
    sdnotify_free(sd);
    assert_int_equal(setenv("NOTIFY_SOCKET", "vsock:2:1", 1), 0);
    log_init(&(struct log_config){.fd = STDERR_FILENO, .level = LOG_LEVEL_CRITICAL});
    sd = sdnotify_new(loop);
    assert_false(sdnotify_is_active(sd));
    sdnotify_free(sd);
    sdnotify_free(NULL);
    (void)unsetenv("NOTIFY_SOCKET");
    loop_end(loop);
}

/* A run of the loop that ends by itself, with what keeps it turning meanwhile. */
struct run {
    struct loop *loop;
    struct sdnotify *sd;
    int fd;
    uint32_t fed, wanted, asked;
    bool alive;
    struct loop_timer timer;
};

static bool is_alive(void *context)
{
    struct run *run = context;
    run->asked++;
    return run->alive;
}

static void look(void *context, mono_ns now)
{
    struct run *run = context;
    char text[64];
    ssize_t n;
    while ((n = recv(run->fd, text, sizeof(text), MSG_DONTWAIT)) > 0) {
        assert_int_equal(n, strlen("WATCHDOG=1\n"));
        assert_memory_equal(text, "WATCHDOG=1\n", (size_t)n);
        run->fed++;
    }
    if (run->alive ? run->fed >= run->wanted : run->asked >= run->wanted) {
        sdnotify_free(run->sd);
        run->sd = NULL;
        loop_stop(run->loop);
    } else {
        loop_timer_set(run->loop, &run->timer, mono_add(now, 2 * NS_PER_MS));
    }
}

static void run_watchdog(struct run *run)
{
    run->fd = listener_open();
    run->loop = loop_new();
    run->sd = sdnotify_new(run->loop);
    sdnotify_set_alive(run->sd, is_alive, run);
    run->timer = (struct loop_timer){.callback = look, .context = run};
    loop_timer_set(run->loop, &run->timer, loop_now());
    assert_int_equal(loop_run(run->loop), 0);
    loop_free(run->loop);
    (void)close(run->fd);
    (void)unsetenv("NOTIFY_SOCKET");
}

static void test_watchdog(void **state)
{
    (void)state;
    char pid[24];
    log_init(&(struct log_config){.fd = STDERR_FILENO, .level = LOG_LEVEL_CRITICAL});
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_int_equal(setenv("WATCHDOG_USEC", "20000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    struct run good = {.alive = true, .wanted = 3};
    run_watchdog(&good);
    assert_true(good.fed >= 3);
    /* Who should make progress says that it does not: not one message. */
    struct run stuck = {.alive = false, .wanted = 3};
    run_watchdog(&stuck);
    assert_int_equal(stuck.fed, 0);
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

static void test_watchdog_of_another_process(void **state)
{
    (void)state;
    assert_int_equal(setenv("WATCHDOG_USEC", "2000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    int fd = listener_open();
    struct loop *loop = loop_new();
    struct sdnotify *sd = sdnotify_new(loop);
    sdnotify_free(sd);
    loop_end(loop);
    nothing_more(fd);
    (void)close(fd);
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    (void)unsetenv("NOTIFY_SOCKET");
}

/* In a child, whose descriptors 3 and 4 can be taken. */
static void inherit_two(void)
{
    struct sdnotify_fd fds[SDNOTIFY_FDS_MAX];
    char pid[24];
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    (void)setenv("LISTEN_PID", pid, 1);
    (void)setenv("LISTEN_FDS", "2", 1);
    (void)setenv("LISTEN_FDNAMES", "sqs", 1);
    (void)dup2(STDERR_FILENO, 3);
    (void)dup2(STDERR_FILENO, 4);
    uint32_t count = sdnotify_listen_fds(fds);
    bool good = count == 2 && fds[0].fd == 3 && fds[1].fd == 4 && strcmp(fds[0].name, "sqs") == 0 &&
                strcmp(fds[1].name, "unknown") == 0 && (fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 &&
                (fcntl(4, F_GETFD) & FD_CLOEXEC) != 0;
    _exit(good ? 77 : 1);
}

static void test_listen_fds(void **state)
{
    (void)state;
    struct sdnotify_fd fds[SDNOTIFY_FDS_MAX];
    assert_int_equal(unit_end_of(inherit_two), 77);
    assert_int_equal(sdnotify_listen_fds(fds), 0);
    assert_int_equal(setenv("LISTEN_PID", "1", 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
    assert_int_equal(sdnotify_listen_fds(fds), 0); /* meant for another process */
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),     cmocka_unit_test(test_without_systemd),
        cmocka_unit_test(test_watchdog),   cmocka_unit_test(test_watchdog_of_another_process),
        cmocka_unit_test(test_listen_fds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
