/*
 * metrics: the registry. Families of counters, gauges and histograms with a fixed label set; series
 * are made when a route, target … is made, so known series export 0 from the start. Written on the
 * loop's thread only. Values read at scrape time come from a collect callback. Text rendering is
 * observe/prometheus. Names follow the vocabulary; labels have few values, never ids or URLs.
 */
#ifndef SLUICE_RUNTIME_METRICS_H
#define SLUICE_RUNTIME_METRICS_H

#include "sluice/base/err.h"
#include "sluice/base/list.h"
#include "sluice/base/str.h"

#include <stdint.h>

#define METRIC_LABELS_MAX  4
#define METRIC_SERIES_MAX  10000 /* per registry (I8) */
#define METRIC_BUCKETS_MAX 16

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metrics;       /* registry */
struct metric_family; /* name, help, type, label names */
struct metric;        /* one series */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* label_names: NULL-terminated array or NULL. bounds: histogram only, ascending, +Inf is added. The
 * strings must outlive the registry (literals); the arrays are copied. The same name twice is a bug
 * (asserts). */
struct metric_family *metrics_family(struct metrics *metrics, enum metric_type type,
                                     const char *name, const char *help,
                                     const char *const *label_names);
/* Before the first series. */
void metric_family_bounds(struct metric_family *family, const double *bounds, uint32_t count);
/* The series with these label values (as many as names, copied; NULL without labels); made on first
 * use. Walks the family: keep the pointer, do not ask per call. NULL never: at METRIC_SERIES_MAX
 * the family's overflow series (every label "other") is returned. */
struct metric *metric_series(struct metric_family *family, const char *const *label_values);

/* Forgets all series of the family, for those whose labels come and go; pointers to them are
 * invalid. */
void metric_family_clear(struct metric_family *family);

void metric_add(struct metric *metric, double value); /* counter, gauge */
void metric_set(struct metric *metric, double value); /* gauge; counter only to mirror a total */
void metric_observe(struct metric *metric, double value); /* histogram */
double metric_value(const struct metric *metric);
double metric_histogram_sum(const struct metric *metric);
uint64_t metric_histogram_count(const struct metric *metric);

/* Called before rendering, to set gauges from live state. */
struct metrics_collector {
    struct list_node node;
    void (*collect)(void *context);
    void *context;
};
void metrics_collector_add(struct metrics *metrics, struct metrics_collector *collector);
void metrics_collector_remove(struct metrics *metrics, struct metrics_collector *collector);

/* Walk for renderers: families in order of making, series in order of making. */
struct metrics_visitor {
    void (*family)(void *context, const char *name, const char *help, enum metric_type type);
    /* labels: count pairs name, value. */
    void (*sample)(void *context, const char *const *names, const char *const *values,
                   uint32_t count, const struct metric *metric);
};
void metrics_visit(struct metrics *metrics, const struct metrics_visitor *visitor, void *context);
/* Histogram series: bucket i holds observations in (bounds[i-1], bounds[i]] (not cumulative
 * here); counts has one more, beyond the last bound. Returns the number of bounds. */
uint32_t metric_histogram_buckets(const struct metric *metric, const double **ret_bounds,
                                  const uint64_t **ret_counts);

#endif
