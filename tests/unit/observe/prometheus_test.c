#include "unit/base/unit.h"

#include "sluice/observe/prometheus.h"
#include "sluice/runtime/process.h"

#include <math.h>

static const char *const target_labels[] = {"target", "code", NULL};
static const double bounds[] = {0.05, 0.4, 1, 10};

/* A registry with one family of each kind and values that are hard to write. */
static struct metrics *make(void)
{
    struct metrics *metrics = metrics_new();
    struct metric_family *requests =
        metrics_family(metrics, METRIC_COUNTER, "sluice_target_requests_total",
                       "Calls by answer; a back\\slash and a\nnewline.", target_labels);
    metric_add(metric_series(requests, (const char *const[]){"legacy", "2xx"}), 7991);
    metric_add(metric_series(requests, (const char *const[]){"quo\"te\\\n", "5xx"}), 0);
    (void)metrics_family(metrics, METRIC_GAUGE, "sluice_empty", "Never had a series.", NULL);
    struct metric_family *pace =
        metrics_family(metrics, METRIC_GAUGE, "sluice_pace_requests_per_second", "Pace.", NULL);
    metric_set(metric_series(pace, NULL), 0.1);
    struct metric_family *duration =
        metrics_family(metrics, METRIC_HISTOGRAM, "sluice_target_request_duration_seconds",
                       "Time of one attempt.", (const char *const[]){"target", NULL});
    metric_family_bounds(duration, bounds, SL_COUNT(bounds));
    struct metric *series = metric_series(duration, (const char *const[]){"legacy"});
    metric_observe(series, 0.05);
    metric_observe(series, 0.5);
    metric_observe(series, 11);
    return metrics;
}

static void test_text(void **state)
{
    (void)state;
    struct buf out;
    struct metrics *metrics = make();
    buf_init(&out, 65536);
    assert_int_equal(prometheus_render(metrics, &out), 0);
    assert_str(
        buf_str(&out),
        "# HELP sluice_target_requests_total Calls by answer; a back\\\\slash and a\\nnewline.\n"
        "# TYPE sluice_target_requests_total counter\n"
        "sluice_target_requests_total{target=\"legacy\",code=\"2xx\"} 7991\n"
        "sluice_target_requests_total{target=\"quo\\\"te\\\\\\n\",code=\"5xx\"} 0\n"
        "# HELP sluice_pace_requests_per_second Pace.\n"
        "# TYPE sluice_pace_requests_per_second gauge\n"
        "sluice_pace_requests_per_second 0.1\n"
        "# HELP sluice_target_request_duration_seconds Time of one attempt.\n"
        "# TYPE sluice_target_request_duration_seconds histogram\n"
        "sluice_target_request_duration_seconds_bucket{target=\"legacy\",le=\"0.05\"} 1\n"
        "sluice_target_request_duration_seconds_bucket{target=\"legacy\",le=\"0.4\"} 1\n"
        "sluice_target_request_duration_seconds_bucket{target=\"legacy\",le=\"1\"} 2\n"
        "sluice_target_request_duration_seconds_bucket{target=\"legacy\",le=\"10\"} 2\n"
        "sluice_target_request_duration_seconds_bucket{target=\"legacy\",le=\"+Inf\"} 3\n"
        "sluice_target_request_duration_seconds_sum{target=\"legacy\"} 11.55\n"
        "sluice_target_request_duration_seconds_count{target=\"legacy\"} 3\n");
    buf_done(&out);
    metrics_free(metrics);
}

static void assert_number(double value, const char *text)
{
    struct buf out;
    char expected[128];
    struct metrics *metrics = metrics_new();
    struct metric *metric =
        metric_series(metrics_family(metrics, METRIC_GAUGE, "a", "A.", NULL), NULL);
    buf_init(&out, 1024);
    metric_set(metric, value);
    assert_int_equal(prometheus_render(metrics, &out), 0);
    (void)snprintf(expected, sizeof(expected), "# HELP a A.\n# TYPE a gauge\na %s\n", text);
    assert_str(buf_str(&out), expected);
    buf_done(&out);
    metrics_free(metrics);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_number(0, "0");
    assert_number(-1.5, "-1.5");
    assert_number(1.0 / 3, "0.3333333333333333");
    assert_number(0.1 + 0.2, "0.30000000000000004");
    assert_number(1795436100, "1795436100");
    assert_number(9007199254740993.0, "9007199254740992");
    assert_number(1e300, "1e+300");
    assert_number((double)INFINITY, "+Inf");
    assert_number((double)-INFINITY, "-Inf");
    assert_number((double)NAN, "NaN");
}

static void test_no_room(void **state)
{
    (void)state;
    struct metrics *metrics = make();
    for (size_t max = 0; max < 1000; max += 37) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(prometheus_render(metrics, &out), ERR_TOO_BIG);
        buf_done(&out);
    }
    metrics_free(metrics);
}

/* The judge of the format itself, where it is installed. */
static void test_promtool(void **state)
{
    (void)state;
    struct buf out;
    FILE *promtool = popen("command -v promtool", "re");
    assert_non_null(promtool);
    bool installed = fgetc(promtool) != EOF;
    if (pclose(promtool) != 0 || !installed) {
        print_message("SKIP: promtool is not installed (package prometheus)\n");
        skip();
    }
    struct metrics *metrics = make();
    struct process_metrics *process = process_metrics_new(metrics);
    buf_init(&out, 65536);
    assert_int_equal(prometheus_render(metrics, &out), 0);
    promtool = popen("promtool check metrics", "we");
    assert_non_null(promtool);
    assert_int_equal(fwrite(buf_str(&out).ptr, 1, out.len, promtool), out.len);
    assert_int_equal(pclose(promtool), 0);
    buf_done(&out);
    process_metrics_free(process);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_promtool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
