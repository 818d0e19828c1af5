#include "sluice/observe/prometheus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct render {
    struct buf *out;
    /* The family's head is written with its first series: a family without one says nothing. */
    const char *name, *help;
    enum metric_type type;
    bool head_written;
};

/* Backslash, newline and, in label values, the quote. */
static void add_escaped(struct buf *out, const char *text, bool quote)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\') {
            buf_adds(out, "\\\\");
        } else if (*text == '\n') {
            buf_adds(out, "\\n");
        } else if (*text == '"' && quote) {
            buf_adds(out, "\\\"");
        } else {
            buf_addc(out, *text);
        }
    }
}

/* The shortest text that reads back as the same number. */
static void add_number(struct buf *out, double value)
{
    if (isnan(value)) {
        buf_adds(out, "NaN");
        return;
    }
    if (isinf(value)) {
        buf_adds(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        size_t before = out->len;
        if (buf_addf(out, "%.*g", digits, value) != 0) {
            return;
        }
        if (digits == 17 || strtod(out->ptr + before, NULL) == value) {
            return;
        }
        out->len = before;
    }
}

static void add_head(struct render *r)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    if (r->head_written) {
        return;
    }
    r->head_written = true;
    buf_addf(r->out, "# HELP %s ", r->name);
    add_escaped(r->out, r->help, false);
    buf_addf(r->out, "\n# TYPE %s %s\n", r->name, types[r->type]);
}

struct labels {
    const char *const *names, *const *values;
    uint32_t count;
};

/* name_suffix{labels,le="…"} — le NULL: none. */
static void add_series(struct render *r, const char *suffix, const struct labels *labels,
                       const double *le)
{
    buf_addf(r->out, "%s%s", r->name, suffix);
    if (labels->count == 0 && le == NULL) {
        buf_addc(r->out, ' ');
        return;
    }
    for (uint32_t i = 0; i < labels->count; i++) {
        buf_addf(r->out, "%s%s=\"", i == 0 ? "{" : ",", labels->names[i]);
        add_escaped(r->out, labels->values[i], true);
        buf_addc(r->out, '"');
    }
    if (le != NULL) {
        buf_addf(r->out, "%sle=\"", labels->count == 0 ? "{" : ",");
        add_number(r->out, *le);
        buf_addc(r->out, '"');
    }
    buf_adds(r->out, "} ");
}

static void add_histogram(struct render *r, const struct labels *labels,
                          const struct metric *metric)
{
    const double *bounds;
    const uint64_t *counts;
    uint32_t count = metric_histogram_buckets(metric, &bounds, &counts);
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= count; i++) {
        double bound = i < count ? bounds[i] : (double)INFINITY;
        sum += counts[i];
        add_series(r, "_bucket", labels, &bound);
        buf_addf(r->out, "%llu\n", (unsigned long long)sum);
    }
    add_series(r, "_sum", labels, NULL);
    add_number(r->out, metric_histogram_sum(metric));
    buf_addc(r->out, '\n');
    add_series(r, "_count", labels, NULL);
    buf_addf(r->out, "%llu\n", (unsigned long long)sum);
}

static void visit_family(void *context, const char *name, const char *help, enum metric_type type)
{
    struct render *r = context;
    r->name = name;
    r->help = help;
    r->type = type;
    r->head_written = false;
}

static void visit_sample(void *context, const char *const *names, const char *const *values,
                         uint32_t count, const struct metric *metric)
{
    struct render *r = context;
    const struct labels labels = {names, values, count};
    add_head(r);
    if (r->type == METRIC_HISTOGRAM) {
        add_histogram(r, &labels, metric);
        return;
    }
    add_series(r, "", &labels, NULL);
    add_number(r->out, metric_value(metric));
    buf_addc(r->out, '\n');
}

int prometheus_render(struct metrics *metrics, struct buf *out)
{
    static const struct metrics_visitor visitor = {visit_family, visit_sample};
    struct render render = {.out = out};
    metrics_visit(metrics, &visitor, &render);
    return buf_failed(out);
}
