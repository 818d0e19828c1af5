#include "sluice/runtime/metrics.h"

#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct metric {
    struct list_node node; /* in family->series */
    struct metric_family *family;
    char *labels[METRIC_LABELS_MAX];
    double value;     /* counter, gauge; histogram: sum */
    uint64_t count;   /* histogram */
    uint64_t *counts; /* histogram: one more than bounds, the last is +Inf */
};

struct metric_family {
    struct list_node node; /* in metrics->families */
    struct metrics *metrics;
    enum metric_type type;
    const char *name, *help;
    const char *label_names[METRIC_LABELS_MAX];
    uint32_t label_count;
    double bounds[METRIC_BUCKETS_MAX];
    uint32_t bound_count;
    struct list series;
    struct metric *overflow; /* on series too; NULL until the registry is full */
    struct list_node *found; /* in series: the last one asked for; NULL: none yet */
};

struct metrics {
    struct list families;
    struct list collectors;
    uint32_t series_count;
};

struct metrics *metrics_new(void)
{
    struct metrics *metrics = MEM_NEW(struct metrics);
    list_init(&metrics->families);
    list_init(&metrics->collectors);
    return metrics;
}

static void metric_free(struct metric *metric)
{
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        free(metric->labels[i]);
    }
    free(metric->counts);
    free(metric);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    struct list_node *node;
    while ((node = list_pop(&metrics->families)) != NULL) {
        struct metric_family *family = LIST_ENTRY(node, struct metric_family, node);
        while ((node = list_pop(&family->series)) != NULL) {
            metric_free(LIST_ENTRY(node, struct metric, node));
        }
        free(family);
    }
    free(metrics);
}

static bool family_exists(const struct metrics *metrics, const char *name)
{
    LIST_FOR(&metrics->families, node)
    {
        if (strcmp(LIST_ENTRY(node, struct metric_family, node)->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static struct metric *series_new(struct metric_family *family, const char *const *values)
{
    struct metric *metric = MEM_NEW(struct metric);
    metric->family = family;
    for (uint32_t i = 0; i < family->label_count; i++) {
        metric->labels[i] = mem_dup(values[i], strlen(values[i]));
    }
    if (family->type == METRIC_HISTOGRAM) {
        metric->counts = MEM_NEW_ARRAY(METRIC_BUCKETS_MAX + 1, uint64_t);
    }
    list_push(&family->series, &metric->node);
    return metric;
}

struct metric_family *metrics_family(struct metrics *metrics, enum metric_type type,
                                     const char *name, const char *help,
                                     const char *const *label_names)
{
    SL_ASSERT(!family_exists(metrics, name));
    struct metric_family *family = MEM_NEW(struct metric_family);
    family->metrics = metrics;
    family->type = type;
    family->name = name;
    family->help = help;
    for (uint32_t i = 0; label_names != NULL && label_names[i] != NULL; i++) {
        SL_ASSERT(i < METRIC_LABELS_MAX);
        family->label_names[i] = label_names[i];
        family->label_count++;
    }
    list_init(&family->series);
    list_push(&metrics->families, &family->node);
    return family;
}

void metric_family_bounds(struct metric_family *family, const double *bounds, uint32_t count)
{
    SL_ASSERT(family->type == METRIC_HISTOGRAM);
    SL_ASSERT(count <= METRIC_BUCKETS_MAX);
    /* Counts of another set of bounds would be nonsense. */
    SL_ASSERT(family->series.count == 0);
    for (uint32_t i = 0; i < count; i++) {
        SL_ASSERT(i == 0 || bounds[i] > bounds[i - 1]);
        family->bounds[i] = bounds[i];
    }
    family->bound_count = count;
}

static bool labels_equal(const struct metric *metric, const char *const *values)
{
    for (uint32_t i = 0; i < metric->family->label_count; i++) {
        if (strcmp(metric->labels[i], values[i]) != 0) {
            return false;
        }
    }
    return true;
}

static struct metric *series_overflow(struct metric_family *family)
{
    static const char *const other[METRIC_LABELS_MAX] = {"other", "other", "other", "other"};
    if (family->overflow == NULL) {
        family->overflow = series_new(family, other);
    }
    return family->overflow;
}

struct metric *metric_series(struct metric_family *family, const char *const *label_values)
{
    struct list_node *node = family->found != NULL ? family->found : &family->series.head;

    /* From there on: a collector asks for all of them, each time in the same order. */
    for (size_t left = family->series.count; left > 0; left--) {
        node = node->next != &family->series.head ? node->next : family->series.head.next;
        struct metric *metric = LIST_ENTRY(node, struct metric, node);
        if (labels_equal(metric, label_values)) {
            family->found = node;
            return metric;
        }
    }
    if (family->metrics->series_count >= METRIC_SERIES_MAX) {
        return series_overflow(family);
    }
    family->metrics->series_count++;
    return series_new(family, label_values);
}

void metric_family_clear(struct metric_family *family)
{
    struct list_node *node;

    family->metrics->series_count -= (uint32_t)family->series.count - (family->overflow != NULL);
    while ((node = list_pop(&family->series)) != NULL) {
        metric_free(LIST_ENTRY(node, struct metric, node));
    }
    family->overflow = NULL;
    family->found = NULL;
}

void metric_add(struct metric *metric, double value)
{
    SL_ASSERT(metric->family->type != METRIC_HISTOGRAM);
    SL_ASSERT(metric->family->type != METRIC_COUNTER || value >= 0);
    metric->value += value;
}

void metric_set(struct metric *metric, double value)
{
    SL_ASSERT(metric->family->type != METRIC_HISTOGRAM);
    metric->value = value;
}

void metric_observe(struct metric *metric, double value)
{
    const struct metric_family *family = metric->family;
    SL_ASSERT(family->type == METRIC_HISTOGRAM);
    uint32_t i = 0;
    while (i < family->bound_count && value > family->bounds[i]) {
        i++;
    }
    metric->counts[i]++;
    metric->count++;
    metric->value += value;
}

double metric_value(const struct metric *metric)
{
    return metric->value;
}

double metric_histogram_sum(const struct metric *metric)
{
    return metric->value;
}

uint64_t metric_histogram_count(const struct metric *metric)
{
    return metric->count;
}

uint32_t metric_histogram_buckets(const struct metric *metric, const double **ret_bounds,
                                  const uint64_t **ret_counts)
{
    *ret_bounds = metric->family->bounds;
    *ret_counts = metric->counts;
    return metric->family->bound_count;
}

void metrics_collector_add(struct metrics *metrics, struct metrics_collector *collector)
{
    list_push(&metrics->collectors, &collector->node);
}

void metrics_collector_remove(struct metrics *metrics, struct metrics_collector *collector)
{
    if (list_is_linked(&collector->node)) {
        list_remove(&metrics->collectors, &collector->node);
    }
}

void metrics_visit(struct metrics *metrics, const struct metrics_visitor *visitor, void *context)
{
    LIST_FOR(&metrics->collectors, collector_node)
    {
        struct metrics_collector *collector =
            LIST_ENTRY(collector_node, struct metrics_collector, node);
        collector->collect(collector->context);
    }
    LIST_FOR(&metrics->families, family_node)
    {
        struct metric_family *family = LIST_ENTRY(family_node, struct metric_family, node);
        visitor->family(context, family->name, family->help, family->type);
        LIST_FOR(&family->series, node)
        {
            struct metric *metric = LIST_ENTRY(node, struct metric, node);
            visitor->sample(context, family->label_names, (const char *const *)metric->labels,
                            family->label_count, metric);
        }
    }
}
