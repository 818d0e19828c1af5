#include "sim_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LOG_FIRST 1024

void sim_log_add(struct sim_log *log, mono_ns at, uint32_t weight)
{
    SL_ASSERT(log->count == 0 || log->at[log->count - 1] <= at);
    if (log->count == log->capacity) {
        size_t capacity = log->capacity == 0 ? LOG_FIRST : 2 * log->capacity;
        mono_ns *times = MEM_NEW_ARRAY(capacity, mono_ns);
        uint32_t *weights = MEM_NEW_ARRAY(capacity, uint32_t);
        if (log->count > 0) {
            memcpy(times, log->at, log->count * sizeof(times[0]));
            memcpy(weights, log->weight, log->count * sizeof(weights[0]));
        }
        free(log->at);
        free(log->weight);
        log->at = times;
        log->weight = weights;
        log->capacity = capacity;
    }
    log->at[log->count] = at;
    log->weight[log->count++] = weight;
}

void sim_log_done(struct sim_log *log)
{
    free(log->at);
    free(log->weight);
    *log = (struct sim_log){0};
}

/* The fullest window ends with an arrival: for each, what lies less than W before it, and it. */
uint32_t sim_log_peak(const struct sim_log *log, int64_t per_ns)
{
    uint32_t inside = 0, peak = 0;
    size_t first = 0;

    for (size_t last = 0; last < log->count; last++) {
        inside += log->weight[last];
        while (log->at[last] - log->at[first] >= per_ns) {
            inside -= log->weight[first++];
        }
        peak = inside > peak ? inside : peak;
    }
    return peak;
}

void sim_limit_arrival(struct sim_limit *limit, uint32_t key, mono_ns at, uint32_t weight)
{
    sim_log_add(&limit->host, at, weight);
    if (limit->config.keys_max == 0) {
        return;
    }
    if (key >= limit->key_count) {
        struct sim_log *logs = MEM_NEW_ARRAY((size_t)key + 1, struct sim_log);
        if (limit->key_count > 0) {
            memcpy(logs, limit->by_key, limit->key_count * sizeof(logs[0]));
        }
        free(limit->by_key);
        limit->by_key = logs;
        limit->key_count = key + 1;
    }
    sim_log_add(&limit->by_key[key], at, weight);
}

void sim_limit_logs_done(struct sim_limit *limit)
{
    for (uint32_t i = 0; i < limit->key_count; i++) {
        sim_log_done(&limit->by_key[i]);
    }
    free(limit->by_key);
    sim_log_done(&limit->host);
    sim_log_done(&limit->app);
}

static uint32_t peak_at_host(const struct sim_limit *limit)
{
    int64_t per_ns = limit->config.limit.per_ns;
    uint32_t peak = 0;

    if (limit->config.keys_max == 0) {
        return sim_log_peak(&limit->host, per_ns);
    }
    for (uint32_t i = 0; i < limit->key_count; i++) {
        uint32_t one = sim_log_peak(&limit->by_key[i], per_ns);
        peak = one > peak ? one : peak;
    }
    return peak;
}

void sim_limit_report(const struct sim *sim, uint32_t limit, struct sim_limit_report *ret)
{
    const struct sim_limit *of = sim->limits[limit];
    const struct limit_config *config = &of->config.limit;
    const struct sim_log *host = &of->host;
    uint64_t weight = 0;

    *ret = (struct sim_limit_report){
        .arrivals = host->count,
        .peak = peak_at_host(of),
        .app_peak = sim_log_peak(&of->app, config->per_ns),
    };
    if (host->count < 2) {
        return;
    }
    ret->first = host->at[0];
    ret->last = host->at[host->count - 1];
    for (size_t i = 1; i < host->count; i++) {
        weight += host->weight[i];
    }
    ret->per_second =
        (double)weight * (double)NS_PER_S / (double)mono_max(ret->last - ret->first, 1);
    ret->utilisation =
        ret->per_second * (double)config->per_ns / (double)NS_PER_S / (double)config->requests;
}

void sim_target_report(const struct sim *sim, uint32_t target, struct sim_target_report *ret)
{
    *ret = sim->targets[target]->report;
}

void sim_queue_report(const struct sim *sim, uint32_t queue, struct sim_queue_report *ret)
{
    *ret = sim->queues[queue]->report;
    ret->left = sim->queues[queue]->live;
}

static int compare_waits(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

double sim_queue_quiet_wait_s(const struct sim *sim, uint32_t queue, double quantile)
{
    const struct sim_queue *of = sim->queues[queue];

    SL_ASSERT(of->quiet_count > 0);
    qsort(of->quiet_waits, of->quiet_count, sizeof(double), compare_waits);
    return of->quiet_waits[(size_t)(quantile * (double)(of->quiet_count - 1))];
}

void sim_queue_quiet_forget(struct sim *sim, uint32_t queue)
{
    sim->queues[queue]->quiet_count = 0;
}
