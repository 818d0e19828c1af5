#include "unit/base/unit.h"

#include "sluice/base/clock.h"
#include "sluice/base/json.h"
#include "sluice/runtime/log.h"

#include <math.h>
#include <pthread.h>

#define LINES_MAX (1024u * 1024)

/* 2021-05-03 11:47:12.494 UTC, as in the manual of the format. */
#define WALL_NS (INT64_C(1620042432494) * NS_PER_MS)

static int64_t now_ns; /* monotonic; the wall clock stands still */

static int64_t test_clock(clockid_t id)
{
    return id == CLOCK_REALTIME ? WALL_NS : now_ns;
}

/* The sink of a test: an unlinked file. */
static int sink_open(enum log_format format, enum log_level level)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = dup(fileno(file));
    (void)fclose(file);
    now_ns = 1;
    log_init(&(struct log_config){
        .fd = fd, .format = format, .level = level, .service = "payment", .clock_ns = test_clock});
    return fd;
}

static struct str sink_read(int fd, struct buf *out)
{
    buf_init(out, LINES_MAX);
    char *room;
    ssize_t n;
    off_t at = 0;
    while ((room = buf_reserve(out, 65536)) != NULL && (n = pread(fd, room, 65536, at)) > 0) {
        buf_commit(out, (size_t)n);
        at += n;
    }
    return buf_str(out);
}

static void sink_close(int fd, struct buf *out)
{
    buf_done(out);
    (void)close(fd);
    log_init(&(struct log_config){.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO});
}

static void assert_line(struct str line, struct json *json)
{
    struct error e = {0};
    if (json_parse(json, line, JSON_STRICT, &e) != 0) {
        fail_msg("no JSON: %s: %.*s", e.text, STR_FMT(line));
    }
}

static void test_key_order(void **state)
{
    struct buf out;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    log_write(LOG_LEVEL_INFO, "collect.c:9", "Collecting payment",
              (const struct log_field[]){LOG_BOOL("cold_start", true), LOG_I64("size", 128),
                                         LOG_DOUBLE("duration_ms", 598.4), LOG_STR("gone", NULL),
                                         LOG_ERR("error", ERR_TIMEOUT), LOG_SLICE("id", STR("a"))},
              6);
    assert_str(
        sink_read(fd, &out),
        "{\"level\":\"INFO\",\"location\":\"collect.c:9\",\"message\":\"Collecting payment\","
        "\"timestamp\":\"2021-05-03 11:47:12,494+0000\",\"service\":\"payment\","
        "\"cold_start\":true,\"size\":128,\"duration_ms\":598.4,\"error\":\"TIMEOUT\","
        "\"id\":\"a\"}\n");
    sink_close(fd, &out);
}

static int evaluated;

static int64_t expensive(void)
{
    evaluated++;
    return 1;
}

static void test_levels(void **state)
{
    struct buf out;
    enum log_level level;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_WARNING);
    LOG_DEBUG("no", LOG_I64("n", expensive()));
    LOG_INFO("no", LOG_I64("n", expensive()));
    assert_int_equal(evaluated, 0);
    LOG_WARNING("yes", LOG_I64("n", expensive()));
    LOG_ERROR("yes");
    LOG_CRITICAL("yes");
    assert_int_equal(evaluated, 1);
    struct str rest = sink_read(fd, &out);
    static const char *const levels[] = {"WARNING", "ERROR", "CRITICAL"};
    for (size_t i = 0; i < SL_COUNT(levels); i++) {
        struct str line;
        struct json json;
        assert_true(str_next(&rest, '\n', &line));
        assert_line(line, &json);
        assert_str(json_string(json_get(json.root, "level")), levels[i]);
        assert_true(
            str_starts_with(json_string(json_get(json.root, "location")), STR("log_test.c:")));
        json_done(&json);
    }
    assert_int_equal(rest.len, 0);
    sink_close(fd, &out);
    assert_true(log_level_parse(STR("warning"), &level) && level == LOG_LEVEL_WARNING);
    assert_true(log_level_parse(STR("DEBUG"), &level) && level == LOG_LEVEL_DEBUG);
    assert_false(log_level_parse(STR("warn"), &level));
}

/* Whatever a value holds, the line is one line of valid JSON and the value comes back. */
static void test_hostile_values(void **state)
{
    struct buf out;
    (void)state;
    uint64_t seed = unit_seed();
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    const uint32_t rounds = 500;
    for (uint32_t i = 0; i < rounds; i++) {
        char bytes[64];
        for (size_t j = 0; j < sizeof(bytes); j++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[j] = (char)(seed >> 56);
        }
        LOG_INFO("random", LOG_SLICE("value", ((struct str){bytes, seed % sizeof(bytes)})));
    }
    LOG_INFO("quote \" slash \\ newline \n tab \t nul-free \x01 del \x7f",
             LOG_STR("utf8", "Grüße \xf0\x9f\x9a\xb0"), LOG_STR("bad", "a\xff\xc3"),
             LOG_DOUBLE("nan", (double)NAN));
    struct str rest = sink_read(fd, &out);
    struct str line;
    struct json json;
    for (uint32_t i = 0; i < rounds; i++) {
        assert_true(str_next(&rest, '\n', &line));
        struct error e = {0};
        int rc = json_parse(&json, line, JSON_STRICT, &e);
        /* The one thing the reader refuses in valid JSON is a NUL character. */
        if (rc != 0 && rc != ERR_NUL_CHARACTER) {
            fail_msg("%s: %.*s", e.text, STR_FMT(line));
        }
        if (rc == 0) {
            json_done(&json);
        }
    }
    assert_true(str_next(&rest, '\n', &line));
    assert_line(line, &json);
    assert_str(json_string(json_get(json.root, "message")),
               "quote \" slash \\ newline \n tab \t nul-free \x01 del \x7f");
    assert_str(json_string(json_get(json.root, "utf8")), "Grüße \xf0\x9f\x9a\xb0");
    assert_str(json_string(json_get(json.root, "bad")), "a\xef\xbf\xbd\xef\xbf\xbd");
    assert_int_equal(json_type(json_get(json.root, "nan")), JSON_NULL);
    json_done(&json);
    sink_close(fd, &out);
}

static void test_long_lines(void **state)
{
    struct buf out;
    struct json json;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    char *wide = malloc(3 * LOG_LINE_MAX + 1);
    for (size_t i = 0; i < LOG_LINE_MAX; i++) {
        memcpy(wide + 3 * i, "\xe2\x82\xac", 3); /* a euro: three bytes, so cuts fall inside */
    }
    wide[3 * LOG_LINE_MAX] = '\0';
    char *controls = malloc(LOG_LINE_MAX);
    memset(controls, 1, LOG_LINE_MAX - 1);
    controls[LOG_LINE_MAX - 1] = '\0';
    LOG_INFO("one long value", LOG_STR("a", wide), LOG_I64("b", 2));
    LOG_INFO("many", LOG_STR("a", wide), LOG_STR("b", wide), LOG_STR("c", wide), LOG_STR("d", wide),
             LOG_STR("e", wide), LOG_I64("f", 6));
    log_write(LOG_LEVEL_INFO, controls, controls,
              (const struct log_field[]){LOG_STR("controls", controls)}, 1);
    struct str rest = sink_read(fd, &out);
    struct str line;
    assert_true(str_next(&rest, '\n', &line));
    assert_line(line, &json);
    assert_int_equal(json_string(json_get(json.root, "a")).len, LOG_VALUE_MAX / 3 * 3);
    assert_true(json_bool(json_get(json.root, "truncated")));
    assert_non_null(json_get(json.root, "b"));
    json_done(&json);
    assert_true(str_next(&rest, '\n', &line));
    assert_true(line.len < LOG_LINE_MAX);
    assert_line(line, &json);
    assert_non_null(json_get(json.root, "c"));
    assert_null(json_get(json.root, "e"));
    assert_true(json_bool(json_get(json.root, "truncated")));
    json_done(&json);
    assert_true(str_next(&rest, '\n', &line));
    assert_true(line.len < LOG_LINE_MAX);
    assert_line(line, &json);
    assert_null(json_get(json.root, "controls"));
    json_done(&json);
    assert_int_equal(rest.len, 0);
    free(wide);
    free(controls);
    sink_close(fd, &out);
}

static void test_text(void **state)
{
    struct buf out;
    (void)state;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    int fd = sink_open(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    LOG_WARNING("settle failed", LOG_STR("route", "createjob"), LOG_I64("attempts", 3),
                LOG_STR("why", "two words\x1b[31m"), LOG_STR("empty", ""), LOG_BOOL("ok", false));
    assert_str(sink_read(fd, &out),
               "11:47:12.494 WARNING  settle failed route=createjob attempts=3 "
               "why=\"two words\\u001b[31m\" empty=\"\" ok=false\n");
    sink_close(fd, &out);
}

static void warn_here(uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        LOG_WARNING("again", LOG_I64("i", i));
    }
}

static size_t count_lines(struct str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += text.ptr[i] == '\n';
    }
    return count;
}

static void test_repeats(void **state)
{
    struct buf out;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    warn_here(LOG_REPEAT_MAX + 30);
    LOG_WARNING("another place is not suppressed");
    now_ns += LOG_REPEAT_NS - 1;
    warn_here(1);
    assert_int_equal(count_lines(sink_read(fd, &out)), LOG_REPEAT_MAX + 1);
    assert_null(strstr(buf_str(&out).ptr, "suppressed\":"));
    buf_done(&out);
    now_ns += 1;
    warn_here(2);
    struct str text = sink_read(fd, &out);
    assert_int_equal(count_lines(text), LOG_REPEAT_MAX + 3);
    const char *first = strstr(text.ptr, ",\"i\":0,\"suppressed\":31}\n");
    assert_non_null(first);
    assert_null(strstr(strchr(first, '\n'), "suppressed\":"));
    sink_close(fd, &out);
}

/* One line per message is a promise: nothing of INFO is left out. */
static void test_info_is_never_suppressed(void **state)
{
    struct buf out;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    for (uint32_t i = 0; i < 10 * LOG_REPEAT_MAX; i++) {
        LOG_INFO("message acknowledged", LOG_I64("i", i));
    }
    assert_int_equal(count_lines(sink_read(fd, &out)), 10 * LOG_REPEAT_MAX);
    sink_close(fd, &out);
}

static void fail_here(const char *route, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        LOG_WARNING("failed", LOG_I64("i", i), LOG_STR("route", route));
    }
}

static void test_a_loud_route_silences_no_other(void **state)
{
    struct buf out;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    fail_here("loud", 10 * LOG_REPEAT_MAX);
    fail_here("quiet", 2);
    fail_here(NULL, 1);
    struct str text = sink_read(fd, &out);
    assert_int_equal(count_lines(text), LOG_REPEAT_MAX + 3);
    assert_non_null(strstr(text.ptr, "\"i\":1,\"route\":\"quiet\""));
    sink_close(fd, &out);
}

static void test_each_is_never_suppressed(void **state)
{
    struct buf out;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    for (uint32_t i = 0; i < 3 * LOG_REPEAT_MAX; i++) {
        LOG_EACH(i % 2 == 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "settled", LOG_I64("i", i));
        LOG_EACH(LOG_LEVEL_DEBUG, "below the level");
    }
    assert_int_equal(count_lines(sink_read(fd, &out)), 3 * LOG_REPEAT_MAX);
    sink_close(fd, &out);
}

static void *write_many(void *context)
{
    for (uint32_t i = 0; i < 300; i++) {
        LOG_INFO("from a thread", LOG_STR("text", context), LOG_I64("i", i));
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct buf out;
    struct str line;
    (void)state;
    int fd = sink_open(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    pthread_t threads[4];
    char text[] = "a value of some length, so that lines would mix if they could";
    for (size_t i = 0; i < SL_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, text), 0);
    }
    /* The sink may be set up anew meanwhile. */
    for (int i = 0; i < 100; i++) {
        log_init(
            &(struct log_config){.fd = fd, .format = LOG_FORMAT_JSON, .level = LOG_LEVEL_INFO});
    }
    for (size_t i = 0; i < SL_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct str rest = sink_read(fd, &out);
    uint32_t count = 0;
    while (rest.len > 0 && str_next(&rest, '\n', &line)) {
        struct json json;
        assert_line(line, &json);
        json_done(&json);
        count++;
    }
    assert_int_equal(count, 4 * 300);
    sink_close(fd, &out);
}

static void test_full_sink(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    uint64_t before = log_dropped_count();
    log_init(&(struct log_config){.fd = pipe_fds[1], .format = LOG_FORMAT_JSON});
    char *value = malloc(4000);
    memset(value, 'x', 3999);
    value[3999] = '\0';
    for (int i = 0; i < 40; i++) { /* a pipe takes 64 KiB */
        LOG_INFO("fills the pipe", LOG_STR("value", value));
    }
    free(value);
    assert_true(log_dropped_count() > before);
    log_init(&(struct log_config){.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO});
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_order),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_hostile_values),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_info_is_never_suppressed),
        cmocka_unit_test(test_a_loud_route_silences_no_other),
        cmocka_unit_test(test_each_is_never_suppressed),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_full_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
