/* The mock API: its sliding log against brute force, its arguments, and the program as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/mock_api_options.h"
#include "cli/mock_api_stats.h"
#include "cli/mock_api_window.h"
#include "sluice/base/clock.h"
#include "sluice/base/json.h"
#include "sluice/base/rng.h"
#include "sluice/cli/mock_api.h"
#include "sluice/runtime/loop.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the sliding log ---- */

#define STAMPS 400

/* Every window that begins at a stamp: O(n²). */
static uint64_t brute_peak(const int64_t *stamps, size_t count, int64_t span)
{
    uint64_t peak = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t held = 0;
        for (size_t j = 0; j < count; j++) {
            held += stamps[j] >= stamps[i] && stamps[j] < stamps[i] + span;
        }
        peak = held > peak ? held : peak;
    }
    return peak;
}

static uint64_t brute_peak_with(const int64_t *stamps, size_t count, int64_t span, int64_t stamp)
{
    uint64_t peak = 0;
    for (int64_t begin = stamp - span + 1; begin <= stamp; begin++) {
        uint64_t held = 1;
        for (size_t j = 0; j < count; j++) {
            held += stamps[j] >= begin && stamps[j] < begin + span;
        }
        peak = held > peak ? held : peak;
    }
    return peak;
}

static void test_window_against_brute_force(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 11);
    for (int round = 0; round < 60; round++) {
        int64_t span = rng_between(&rng, 1, 50), lateness = rng_between(&rng, 0, 100), now = 0;
        int64_t stamps[STAMPS];
        struct window_log log;
        window_log_init(&log, span, lateness);
        for (size_t i = 0; i < STAMPS; i++) {
            now += rng_between(&rng, 0, rng_unit(&rng) < 0.1 ? 200 : 6);
            stamps[i] = now - rng_between(&rng, 0, rng_unit(&rng) < 0.3 ? lateness : 0);
            uint64_t with = brute_peak_with(stamps, i, span, stamps[i]);
            assert_int_equal(window_log_peak_with(&log, stamps[i]), with);
            assert_int_equal(window_log_add(&log, stamps[i]), with);
            assert_int_equal(log.peak, brute_peak(stamps, i + 1, span));
        }
        assert_true(log.is_exact);
        window_log_done(&log);
    }
}

static void test_window_is_half_open(void **state)
{
    (void)state;
    struct window_log log;
    window_log_init(&log, 100, 0);
    assert_int_equal(window_log_add(&log, 0), 1);
    assert_int_equal(window_log_add(&log, 99), 2);
    assert_int_equal(window_log_add(&log, 100), 2);
    assert_int_equal(window_log_add(&log, 200), 1); /* (100, 200]: neither of the two before */
    assert_int_equal(log.peak, 2);
    window_log_reset(&log);
    assert_int_equal(log.peak, 0);
    assert_int_equal(window_log_add(&log, 0), 1);
    window_log_done(&log);
}

static void test_window_memory_is_bounded_and_says_so(void **state)
{
    (void)state;
    struct window_log log;
    window_log_init(&log, NS_PER_S, 0);
    for (int64_t i = 0; i < (int64_t)WINDOW_LOG_MAX; i++) {
        (void)window_log_add(&log, i);
    }
    assert_true(log.is_exact);
    assert_int_equal(log.peak, WINDOW_LOG_MAX);
    (void)window_log_add(&log, (int64_t)WINDOW_LOG_MAX);
    assert_false(log.is_exact);
    assert_int_equal(log.capacity, WINDOW_LOG_MAX);
    window_log_done(&log);

    window_log_init(&log, 100, 50);
    (void)window_log_add(&log, 0);
    (void)window_log_add(&log, 1000);
    assert_true(log.is_exact);
    (void)window_log_add(&log, 90); /* later than what was promised: its window began with 0 */
    assert_false(log.is_exact);
    window_log_done(&log);
}

/* ---- arguments ---- */

static int parse(struct mock_options *ret, struct error *e, const char *const *args)
{
    char *argv[40];
    char text[40][64];
    int argc = 0;
    str_copy(text[argc], sizeof(text[0]), STR("mock-api"));
    argv[argc] = text[argc];
    for (argc = 1; args[argc - 1] != NULL; argc++) {
        str_copy(text[argc], sizeof(text[0]), str_from(args[argc - 1]));
        argv[argc] = text[argc];
    }
    argv[argc] = NULL;
    *e = (struct error){0};
    return mock_options_parse(argc, argv, ret, e);
}

static void test_good_arguments(void **state)
{
    (void)state;
    struct mock_options o;
    struct error e;
    assert_int_equal(parse(&o, &e, (const char *[]){NULL}), 0);
    assert_int_equal(o.requests, 0);
    assert_int_equal(o.per_ns, NS_PER_S);
    assert_int_equal(o.latency.mean_ns, 0);
    assert_int_equal(o.seed, 1);

    const char *const all[] = {"--limit",
                               "5/2s",
                               "--concurrency",
                               "3",
                               "--latency",
                               "600ms:1",
                               "--errors",
                               "10%:503:50ms",
                               "--close-share",
                               "0.25",
                               "--retry-after",
                               "7",
                               "--outage",
                               "1s-2s",
                               "--outage=3s-4s:blackhole",
                               "--duration",
                               "1m",
                               "--seed",
                               "9",
                               NULL};
    assert_int_equal(parse(&o, &e, all), 0);
    assert_int_equal(o.requests, 5);
    assert_int_equal(o.per_ns, 2 * NS_PER_S);
    assert_int_equal(o.concurrency, 3);
    assert_int_equal(o.latency.mean_ns, 600 * NS_PER_MS);
    assert_true(o.latency.cv == 1.0);
    assert_true(o.error_share == 0.1);
    assert_int_equal(o.error_status, 503);
    assert_int_equal(o.error_latency.mean_ns, 50 * NS_PER_MS);
    assert_true(o.close_share == 0.25);
    assert_int_equal(o.retry_after, 7);
    assert_int_equal(o.outage_count, 2);
    assert_int_equal(o.outages[0].mode, MOCK_OUTAGE_REFUSE);
    assert_int_equal(o.outages[0].begin_ns, NS_PER_S);
    assert_int_equal(o.outages[1].mode, MOCK_OUTAGE_BLACKHOLE);
    assert_int_equal(o.outages[1].end_ns, 4 * NS_PER_S);
    assert_int_equal(o.duration_ns, 60 * NS_PER_S);
    assert_int_equal(o.seed, 9);

    const char *const constant[] = {"--latency", "const:1ms", "--errors", "0.5", NULL};
    assert_int_equal(parse(&o, &e, constant), 0);
    assert_int_equal(o.latency.mean_ns, NS_PER_MS);
    assert_int_equal(o.error_latency.mean_ns, NS_PER_MS); /* the latency's, where none is given */
    assert_int_equal(o.error_status, 500);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"--limit", "0/1s"},
        {"--limit", "5/0s"},
        {"--limit", "five"},
        {"--concurrency", "0"},
        {"--concurrency", "x"},
        {"--latency", "600"},
        {"--latency", "1s:-1"},
        {"--latency", "1s:11"},
        {"--latency", "1s:"},
        {"--latency", "const:"},
        {"--latency", "const:1s:1"},
        {"--errors", "110%"},
        {"--errors", "10%:200"},
        {"--errors", "10%:500:x"},
        {"--errors", "nan"},
        {"--close-share", "2"},
        {"--close-share", "-1%"},
        {"--outage", "5s"},
        {"--outage", "5s-1s"},
        {"--outage", "1s-1s"},
        {"--outage", "1s-2s:gone"},
        {"--duration", "0s"},
        {"--duration", "soon"},
        {"--retry-after", "0"},
        {"--seed", "-1"},
        {"--listen", ""},
        {"--report", ""},
    };
    struct mock_options o;
    struct error e;
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        const char *const args[] = {bad[i][0], bad[i][1], NULL};
        assert_int_not_equal(parse(&o, &e, args), 0);
        /* Names the option, the value and what is allowed. */
        assert_non_null(strstr(e.text, bad[i][0]));
        assert_non_null(strstr(e.text, bad[i][1]));
        assert_non_null(strstr(e.text, "give "));
    }
    assert_int_not_equal(parse(&o, &e, (const char *[]){"--nonsense", NULL}), 0);
    assert_non_null(strstr(e.text, "--nonsense"));
    assert_int_not_equal(parse(&o, &e, (const char *[]){"--limit", NULL}), 0);
    assert_non_null(strstr(e.text, "needs a value"));
    assert_int_not_equal(parse(&o, &e, (const char *[]){"extra", NULL}), 0);
    assert_non_null(strstr(e.text, "extra"));
}

/* ---- what is counted ---- */

static void test_ids_distinct_and_repeated(void **state)
{
    (void)state;
    struct mock_stats stats;
    mock_stats_init(&stats, NS_PER_S, 1);
    mock_stats_arrival(&stats, STR("a"), 1, 1);
    mock_stats_answer(&stats, STR("a"), 500);
    mock_stats_arrival(&stats, STR("a"), 2, 2); /* a retry: arrived twice, delivered once */
    mock_stats_answer(&stats, STR("a"), 201);
    mock_stats_arrival(&stats, STR("b"), 3, 3);
    mock_stats_answer(&stats, STR("b"), 201);
    mock_stats_arrival(&stats, STR("b"), 4, 4);
    mock_stats_answer(&stats, STR("b"), 201);
    mock_stats_arrival(&stats, STR(""), 5, 5);
    mock_stats_answer(&stats, STR(""), 201);
    assert_int_equal(stats.arrivals, 5);
    assert_int_equal(stats.distinct, 2);
    assert_int_equal(stats.arrivals_repeated, 2);
    assert_int_equal(stats.delivered, 4);
    assert_int_equal(stats.delivered_distinct, 2);
    assert_int_equal(stats.delivered_repeated, 1);
    mock_stats_reset(&stats);
    assert_int_equal(stats.arrivals + stats.distinct + stats.delivered, 0);
    mock_stats_arrival(&stats, STR("a"), 9, 9);
    assert_int_equal(stats.arrivals_repeated, 0);
    mock_stats_done(&stats);
}

/* ---- the program ---- */

struct program {
    pid_t pid;
    int errors, report; /* its stderr and stdout */
    uint16_t port;
};

static void read_line(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len < size - 1 && read(fd, out + len, 1) == 1 && out[len] != '\n') {
        len++;
    }
    out[len] = '\0';
}

static void run_child(int errors, int report, const char *const *args)
{
    char *argv[24] = {NULL};
    int argc = 0;
    static char name[] = "mock-api", listen[] = "--listen", address[] = "127.0.0.1:0";
    argv[argc++] = name;
    argv[argc++] = listen;
    argv[argc++] = address;
    for (; args[argc - 3] != NULL; argc++) {
        argv[argc] = strdup(args[argc - 3]);
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
    (void)dup2(errors, STDERR_FILENO);
    (void)dup2(report, STDOUT_FILENO);
    int code = cli_mock_api(argc, argv);
    for (int i = 3; i < argc; i++) {
        free(argv[i]);
    }
    exit(code);
}

static struct program program_start(const char *const *args)
{
    struct program program = {0};
    int errors[2], report[2];
    char line[256];
    assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    (void)fflush(NULL);
    program.pid = fork();
    assert_true(program.pid >= 0);
    if (program.pid == 0) {
        run_child(errors[1], report[1], args);
    }
    (void)close(errors[1]);
    (void)close(report[1]);
    program.errors = errors[0];
    program.report = report[0];
    read_line(program.errors, line, sizeof(line));
    const char *colon = strrchr(line, ':');
    int64_t port = 0;
    assert_non_null(colon);
    assert_int_equal(str_to_i64(str_from(colon + 1), 1, UINT16_MAX, &port), 0);
    program.port = (uint16_t)port;
    return program;
}

/* SIGTERM; the exit code, and the report in *ret_json. */
static int program_end(struct program *program, struct json *ret_json)
{
    char report[8192];
    int status = 0;
    (void)kill(program->pid, SIGTERM);
    read_line(program->report, report, sizeof(report));
    assert_int_equal(waitpid(program->pid, &status, 0), program->pid);
    assert_int_equal(json_parse(ret_json, str_from(report), JSON_STRICT, NULL), 0);
    (void)close(program->errors);
    (void)close(program->report);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int program_connect(const struct program *program)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(program->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int send_call(const struct program *program, const char *method, const char *path,
                     const char *id)
{
    char request[256];
    int fd = program_connect(program);
    assert_true(fd >= 0);
    int len = snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: h\r\nSluice-Message-Id: %s\r\nConnection: "
                       "close\r\n\r\n",
                       method, path, id);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    return fd;
}

/* Reads to the end: the status, 0 when there was no answer. */
static int read_answer(int fd, char *answer, size_t size)
{
    size_t len = 0;
    ssize_t got;
    while (len < size - 1 && (got = recv(fd, answer + len, size - 1 - len, 0)) > 0) {
        len += (size_t)got;
    }
    answer[len] = '\0';
    (void)close(fd);
    return len > 12 ? (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + answer[11] - '0' : 0;
}

static int call(const struct program *program, const char *method, const char *path, const char *id,
                const char *part)
{
    char answer[8192];
    int status = read_answer(send_call(program, method, path, id), answer, sizeof(answer));
    assert_non_null(strstr(answer, part));
    return status;
}

static int64_t figure(const struct json *report, const char *key)
{
    int64_t number = -1;
    assert_int_equal(json_i64(json_get(report->root, key), &number), 0);
    return number;
}

static void test_limit_is_enforced_and_counted(void **state)
{
    (void)state;
    char log_path[] = "/tmp/sluice-test-XXXXXX", line[256];
    struct json report;
    int log_fd = mkstemp(log_path);
    assert_true(log_fd >= 0);
    const char *const args[] = {"--limit", "3/1h", "--retry-after", "9", "--log", log_path, NULL};
    struct program program = program_start(args);
    assert_int_equal(call(&program, "POST", "/jobs", "m1", "created"), 201);
    assert_int_equal(call(&program, "POST", "/jobs", "m2", "created"), 201);
    assert_int_equal(call(&program, "GET", "/stats", "m9", "\"arrivals\":2,"), 200);
    assert_int_equal(call(&program, "GET", "/healthz", "m9", "ok"), 200);
    assert_int_equal(call(&program, "GET", "/reset", "m9", "POST"), 405);
    assert_int_equal(call(&program, "POST", "/jobs", "m2", "created"), 201);
    assert_int_equal(call(&program, "POST", "/jobs", "m3", "Retry-After: 9\r\n"), 429);
    assert_int_equal(call(&program, "POST", "/jobs", "m3", "too many"), 429);
    assert_int_equal(program_end(&program, &report), 0);
    assert_int_equal(figure(&report, "arrivals"), 5);
    assert_int_equal(figure(&report, "rejected"), 2);
    assert_int_equal(figure(&report, "delivered"), 3);
    assert_int_equal(figure(&report, "delivered_distinct"), 2);
    assert_int_equal(figure(&report, "repeated"), 1);
    assert_int_equal(figure(&report, "distinct"), 3);
    assert_int_equal(figure(&report, "window_peak"), 5);
    assert_int_equal(figure(&report, "application_window_peak"), 5);
    assert_int_equal(figure(&report, "in_flight"), 0);
    assert_int_equal(figure(&report, "in_flight_peak"), 1);
    assert_true(json_bool(json_get(report.root, "peaks_exact")));
    assert_true(json_number(json_get(report.root, "utilisation")) > 1);
    json_done(&report);

    FILE *log = fdopen(log_fd, "r");
    for (int i = 0; i < 5; i++) {
        struct str rest, part[4];
        assert_non_null(fgets(line, sizeof(line), log));
        rest = str_from(line);
        for (size_t j = 0; j < 4; j++) {
            assert_true(str_next(&rest, ' ', &part[j]));
        }
        assert_true(str_starts_with(part[3], i < 3 ? STR("201") : STR("429")));
        assert_true(str_equal(part[2], i == 0 ? STR("m1") : i < 3 ? STR("m2") : STR("m3")));
    }
    assert_null(fgets(line, sizeof(line), log));
    (void)fclose(log);
    (void)unlink(log_path);
}

static void test_concurrency_is_enforced(void **state)
{
    (void)state;
    char answer[8192];
    struct json report;
    struct program program =
        program_start((const char *[]){"--concurrency", "2", "--latency", "1h", NULL});
    int first = send_call(&program, "POST", "/", "a"),
        second = send_call(&program, "POST", "/", "b");
    mono_ns deadline = loop_now() + 20 * NS_PER_S;
    do {
        (void)read_answer(send_call(&program, "GET", "/stats", ""), answer, sizeof(answer));
        assert_true(loop_now() < deadline);
    } while (strstr(answer, "\"in_flight\":2,") == NULL);
    assert_int_equal(call(&program, "POST", "/", "c", "too many"), 429);
    assert_int_equal(program_end(&program, &report), 0);
    assert_int_equal(read_answer(first, answer, sizeof(answer)), 0);
    assert_int_equal(read_answer(second, answer, sizeof(answer)), 0);
    assert_int_equal(figure(&report, "in_flight_peak"), 3);
    assert_int_equal(figure(&report, "rejected"), 1);
    assert_int_equal(figure(&report, "delivered"), 0);
    json_done(&report);
}

static void test_errors_closes_and_reset(void **state)
{
    (void)state;
    struct json report;
    struct program program = program_start((const char *[]){"--errors", "100%:502:1ms", NULL});
    assert_int_equal(call(&program, "POST", "/", "a", "as asked for"), 502);
    assert_int_equal(call(&program, "POST", "/reset", "", "new measurement"), 200);
    assert_int_equal(program_end(&program, &report), 0);
    assert_int_equal(figure(&report, "arrivals"), 0);
    assert_int_equal(json_type(json_get(report.root, "first_arrival_seconds")), JSON_NULL);
    json_done(&report);

    program = program_start((const char *[]){"--close-share", "100%", NULL});
    assert_int_equal(call(&program, "POST", "/", "a", ""), 0);
    assert_int_equal(program_end(&program, &report), 0);
    assert_int_equal(figure(&report, "arrivals"), 1);
    const struct json_value *statuses = json_get(report.root, "statuses");
    int64_t closed = 0;
    assert_int_equal(json_i64(json_get(statuses, "closed"), &closed), 0);
    assert_int_equal(closed, 1);
    json_done(&report);
}

static void test_outages(void **state)
{
    (void)state;
    char answer[8192];
    struct json report;
    struct program program = program_start((const char *[]){"--outage", "0-1h:503", NULL});
    assert_int_equal(call(&program, "POST", "/", "a", ""), 503);
    assert_int_equal(call(&program, "GET", "/stats", "", "\"arrivals\":1,"), 200);
    assert_int_equal(program_end(&program, &report), 0);
    json_done(&report);

    /* Taken and never answered; the connection ends with the outage. */
    program = program_start((const char *[]){"--outage", "0-1s:blackhole", NULL});
    assert_int_equal(read_answer(send_call(&program, "POST", "/", "a"), answer, sizeof(answer)), 0);
    assert_int_equal(call(&program, "POST", "/", "a", ""), 201);
    assert_int_equal(program_end(&program, &report), 0);
    assert_int_equal(figure(&report, "arrivals"), 2);
    assert_int_equal(figure(&report, "arrivals_repeated"), 1);
    json_done(&report);

    /* Refused, and back on the same port. */
    program = program_start((const char *[]){"--outage", "0-1s", NULL});
    mono_ns deadline = loop_now() + 20 * NS_PER_S;
    int refused = 0, fd;
    do { /* the very first one may come before the outage */
        fd = program_connect(&program);
        refused += fd < 0;
        if (fd >= 0) {
            (void)close(fd);
        }
        assert_true(loop_now() < deadline);
    } while (fd < 0 || refused == 0);
    assert_int_equal(call(&program, "POST", "/", "a", ""), 201);
    assert_int_equal(program_end(&program, &report), 0);
    json_done(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_against_brute_force),
        cmocka_unit_test(test_window_is_half_open),
        cmocka_unit_test(test_window_memory_is_bounded_and_says_so),
        cmocka_unit_test(test_good_arguments),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_ids_distinct_and_repeated),
        cmocka_unit_test(test_limit_is_enforced_and_counted),
        cmocka_unit_test(test_concurrency_is_enforced),
        cmocka_unit_test(test_errors_closes_and_reset),
        cmocka_unit_test(test_outages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
