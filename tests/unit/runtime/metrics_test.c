#include "unit/base/unit.h"

#include "sluice/runtime/metrics.h"

static const char *const labels[] = {"target", "code", NULL};

static struct metric *series(struct metric_family *family, const char *target, const char *code)
{
    return metric_series(family, (const char *const[]){target, code});
}

static void test_series(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric_family *family =
        metrics_family(metrics, METRIC_COUNTER, "requests_total", "Requests.", labels);
    char target[] = "legacy";
    struct metric *ok = series(family, target, "2xx");
    target[0] = 'L'; /* the values were copied */
    struct metric *failed = series(family, "legacy", "5xx");
    assert_ptr_not_equal(ok, failed);
    assert_ptr_equal(series(family, "legacy", "2xx"), ok);
    assert_true(metric_value(ok) == 0);
    metric_add(ok, 1);
    metric_add(ok, 2.5);
    metric_add(failed, 1);
    assert_true(metric_value(ok) == 3.5);
    assert_true(metric_value(failed) == 1);
    struct metric *gauge =
        metric_series(metrics_family(metrics, METRIC_GAUGE, "in_flight", "Calls.", NULL), NULL);
    metric_set(gauge, 7);
    metric_add(gauge, -2);
    assert_true(metric_value(gauge) == 5);
    metrics_free(metrics);
    metrics_free(NULL);
}

static void test_histogram(void **state)
{
    (void)state;
    static const double bounds[] = {0.1, 0.5, 1};
    struct metrics *metrics = metrics_new();
    struct metric_family *family =
        metrics_family(metrics, METRIC_HISTOGRAM, "seconds", "Time.", NULL);
    metric_family_bounds(family, bounds, 3);
    struct metric *metric = metric_series(family, NULL);
    static const double values[] = {0.05, 0.1, 0.100001, 0.5, 0.75, 1, 1.5, 100};
    double sum = 0;
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        metric_observe(metric, values[i]);
        sum += values[i];
    }
    const double *got_bounds;
    const uint64_t *counts;
    assert_int_equal(metric_histogram_buckets(metric, &got_bounds, &counts), 3);
    assert_memory_equal(got_bounds, bounds, sizeof(bounds));
    assert_int_equal(counts[0], 2); /* a bound belongs to its bucket */
    assert_int_equal(counts[1], 2);
    assert_int_equal(counts[2], 2);
    assert_int_equal(counts[3], 2);
    assert_int_equal(metric_histogram_count(metric), SL_COUNT(values));
    assert_true(metric_histogram_sum(metric) == sum);
    metrics_free(metrics);
}

struct seen {
    char text[512];
    uint32_t samples;
};

static void see_family(void *context, const char *name, const char *help, enum metric_type type)
{
    struct seen *seen = context;
    size_t len = strlen(seen->text);
    (void)snprintf(seen->text + len, sizeof(seen->text) - len, "[%s|%s|%d]", name, help, type);
}

static void see_sample(void *context, const char *const *names, const char *const *values,
                       uint32_t count, const struct metric *metric)
{
    struct seen *seen = context;
    seen->samples++;
    for (uint32_t i = 0; i < count && seen->samples < 10; i++) {
        size_t len = strlen(seen->text);
        (void)snprintf(seen->text + len, sizeof(seen->text) - len, "%s=%s,", names[i], values[i]);
    }
    size_t len = strlen(seen->text);
    if (seen->samples < 10) {
        (void)snprintf(seen->text + len, sizeof(seen->text) - len, "%g;", metric_value(metric));
    }
}

static const struct metrics_visitor visitor = {see_family, see_sample};

static void set_now(void *context)
{
    metric_set(context, metric_value(context) + 1);
}

static void test_visit(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric_family *family =
        metrics_family(metrics, METRIC_COUNTER, "b_total", "Second name, made first.", labels);
    struct metric *gauge =
        metric_series(metrics_family(metrics, METRIC_GAUGE, "a", "First name.", NULL), NULL);
    struct metrics_collector collector = {.collect = set_now, .context = gauge};
    (void)series(family, "y", "1");
    (void)series(family, "x", "1");
    metrics_collector_add(metrics, &collector);
    struct seen seen = {0};
    metrics_visit(metrics, &visitor, &seen);
    assert_string_equal(seen.text, "[b_total|Second name, made first.|0]"
                                   "target=y,code=1,0;target=x,code=1,0;[a|First name.|1]1;");
    metrics_collector_remove(metrics, &collector);
    metrics_collector_remove(metrics, &collector);
    seen = (struct seen){0};
    metrics_visit(metrics, &visitor, &seen);
    assert_true(metric_value(gauge) == 1);
    metrics_free(metrics);
}

static void test_bounded(void **state)
{
    (void)state;
    static const char *const names[] = {"n", NULL};
    struct metrics *metrics = metrics_new();
    struct metric_family *first = metrics_family(metrics, METRIC_COUNTER, "a_total", "A.", names);
    struct metric_family *second =
        metrics_family(metrics, METRIC_HISTOGRAM, "b_seconds", "B.", names);
    char value[16];
    struct metric *overflow = NULL;
    for (uint32_t i = 0; i < METRIC_SERIES_MAX + 10; i++) {
        (void)snprintf(value, sizeof(value), "%u", i);
        struct metric *metric = metric_series(first, (const char *const[]){value});
        metric_add(metric, 1);
        overflow = metric;
    }
    assert_true(metric_value(overflow) == 10);
    /* of its own type, so that it can be used as any other */
    metric_observe(metric_series(second, (const char *const[]){"x"}), 1);
    struct seen seen = {0};
    metrics_visit(metrics, &visitor, &seen);
    assert_int_equal(seen.samples, METRIC_SERIES_MAX + 2);
    /* What is forgotten makes room again, in any family. */
    metric_family_clear(first);
    struct metric *again = metric_series(second, (const char *const[]){"y"});
    assert_true(again != metric_series(second, (const char *const[]){"z"}));
    assert_true(metric_value(metric_series(first, (const char *const[]){"1"})) == 0);
    struct seen after = {0};
    metrics_visit(metrics, &visitor, &after);
    assert_int_equal(after.samples, 4);
    metrics_free(metrics);
}

static void make_twice(void)
{
    struct metrics *metrics = metrics_new();
    (void)metrics_family(metrics, METRIC_COUNTER, "a_total", "A.", NULL);
    (void)metrics_family(metrics, METRIC_GAUGE, "a_total", "A.", NULL);
}

static void count_down(void)
{
    struct metrics *metrics = metrics_new();
    metric_add(metric_series(metrics_family(metrics, METRIC_COUNTER, "a_total", "A.", NULL), NULL),
               -1);
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    assert_int_not_equal(unit_end_of(make_twice), 0);
    assert_int_not_equal(unit_end_of(count_down), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series),        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_visit),         cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
