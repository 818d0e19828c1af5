#include "unit/base/unit.h"

#include "sluice/runtime/process.h"

#include <time.h>

struct want {
    const char *name;
    double value;
    bool current;
};

static void see_family(void *context, const char *name, const char *help, enum metric_type type)
{
    struct want *want = context;
    (void)help;
    (void)type;
    want->current = strcmp(name, want->name) == 0;
}

static void see_sample(void *context, const char *const *names, const char *const *values,
                       uint32_t count, const struct metric *metric)
{
    struct want *want = context;
    (void)names;
    (void)values;
    (void)count;
    if (want->current) {
        want->value = metric_value(metric);
    }
}

/* What the registry says now; -1: there is no such metric. */
static double read_metric(struct metrics *metrics, const char *name)
{
    static const struct metrics_visitor visitor = {see_family, see_sample};
    struct want want = {.name = name, .value = -1};
    metrics_visit(metrics, &visitor, &want);
    return want.value;
}

static void test_values(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct process_metrics *process = process_metrics_new(metrics);
    double fds = read_metric(metrics, "process_open_fds");
    assert_true(fds >= 3);
    int fd = dup(STDERR_FILENO);
    assert_true(read_metric(metrics, "process_open_fds") == fds + 1);
    (void)close(fd);
    assert_true(read_metric(metrics, "process_open_fds") == fds);
    assert_true(read_metric(metrics, "process_max_fds") >= fds);

    double resident = read_metric(metrics, "process_resident_memory_bytes");
    assert_true(resident > 100000);
    assert_true(read_metric(metrics, "process_virtual_memory_bytes") >= resident);

    double cpu = read_metric(metrics, "process_cpu_seconds_total");
    assert_true(cpu >= 0);
    volatile uint64_t sum = 0;
    while (read_metric(metrics, "process_cpu_seconds_total") <= cpu) { /* it moves */
        sum = sum + 1;
    }

    /* We started a moment ago, not at the epoch and not in the future. */
    double start = read_metric(metrics, "process_start_time_seconds");
    double now = (double)time(NULL);
    assert_true(start <= now + 1);
    assert_true(start >= now - 3600);
    process_metrics_free(process);
    process_metrics_free(NULL);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
