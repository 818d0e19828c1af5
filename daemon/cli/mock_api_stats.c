#include "mock_api_stats.h"

#include "sluice/base/clock.h"
#include "sluice/base/json.h"

#include <stdio.h>

/* Stamps are read connection by connection: after a pause of the process the last of them may be
 * as old as the pause. */
#define LATENESS_NS (10 * NS_PER_S)

/* Values of the map of ids. */
static char id_arrived, id_delivered;

void mock_stats_init(struct mock_stats *stats, int64_t per_ns, uint64_t seed)
{
    *stats = (struct mock_stats){.generation = 1};
    window_log_init(&stats->kernel, per_ns, LATENESS_NS);
    window_log_init(&stats->application, per_ns, 0);
    map_init(&stats->ids, MOCK_IDS_MAX, seed);
}

void mock_stats_done(struct mock_stats *stats)
{
    window_log_done(&stats->kernel);
    window_log_done(&stats->application);
    map_done(&stats->ids);
}

void mock_stats_reset(struct mock_stats *stats)
{
    struct mock_stats fresh = {
        .generation = stats->generation + 1,
        .in_flight = stats->in_flight,
        .in_flight_peak = stats->in_flight,
        .kernel = stats->kernel,
        .application = stats->application,
    };
    uint64_t seed = stats->ids.seed;

    map_done(&stats->ids);
    *stats = fresh;
    window_log_reset(&stats->kernel);
    window_log_reset(&stats->application);
    map_init(&stats->ids, MOCK_IDS_MAX, seed);
}

static void count_arrived_id(struct mock_stats *stats, struct str id)
{
    if (id.len == 0) {
        return;
    }
    if (map_get(&stats->ids, id) != NULL) {
        stats->arrivals_repeated++;
    } else if (map_set(&stats->ids, id, &id_arrived) == 0) {
        stats->distinct++;
    } else {
        stats->ids_exceeded = true;
    }
}

void mock_stats_arrival(struct mock_stats *stats, struct str id, int64_t kernel_ns,
                        int64_t application_ns)
{
    if (stats->arrivals == 0 || kernel_ns < stats->first_ns) {
        stats->first_ns = kernel_ns;
    }
    if (stats->arrivals == 0 || kernel_ns > stats->last_ns) {
        stats->last_ns = kernel_ns;
    }
    stats->arrivals++;
    (void)window_log_add(&stats->kernel, kernel_ns);
    (void)window_log_add(&stats->application, application_ns);
    if (stats->in_flight > stats->in_flight_peak) {
        stats->in_flight_peak = stats->in_flight;
    }
    count_arrived_id(stats, id);
}

static void count_delivered_id(struct mock_stats *stats, struct str id)
{
    void *was = id.len > 0 ? map_get(&stats->ids, id) : NULL;

    if (was == &id_delivered) {
        stats->delivered_repeated++;
    } else if (was != NULL && map_set(&stats->ids, id, &id_delivered) == 0) {
        stats->delivered_distinct++;
    }
}

void mock_stats_answer(struct mock_stats *stats, struct str id, int status)
{
    stats->status_counts[status]++;
    if (status >= 200 && status < 300) {
        stats->delivered++;
        count_delivered_id(stats, id);
    }
}

/* Of what the limit allows: the first call opens the interval, so it is not in it. */
static double utilisation(const struct mock_stats *stats, const struct mock_options *options)
{
    double span_ns = (double)(stats->last_ns - stats->first_ns);
    double calls = (double)stats->arrivals - 1;

    if (span_ns <= 0) {
        return 0;
    }
    return calls * (double)options->per_ns / (double)options->requests / span_ns;
}

static void write_times(struct json_writer *w, const struct mock_stats *stats,
                        const struct mock_options *options)
{
    if (stats->arrivals == 0) {
        json_key_write(w, STR("first_arrival_seconds"));
        json_write_null(w);
        json_key_write(w, STR("last_arrival_seconds"));
        json_write_null(w);
    } else {
        json_member_double(w, "first_arrival_seconds", (double)stats->first_ns / 1e9);
        json_member_double(w, "last_arrival_seconds", (double)stats->last_ns / 1e9);
    }
    if (options->requests > 0) {
        json_member_double(w, "utilisation", utilisation(stats, options));
    } else {
        json_key_write(w, STR("utilisation"));
        json_write_null(w);
    }
}

static void write_limits(struct json_writer *w, const struct mock_options *options)
{
    json_key_write(w, STR("limit"));
    if (options->requests > 0) {
        json_write_i64(w, options->requests);
    } else {
        json_write_null(w);
    }
    json_member_double(w, "window_seconds", (double)options->per_ns / 1e9);
    json_key_write(w, STR("concurrency"));
    if (options->concurrency > 0) {
        json_write_i64(w, options->concurrency);
    } else {
        json_write_null(w);
    }
}

static void write_statuses(struct json_writer *w, const struct mock_stats *stats)
{
    char key[16];

    json_key_write(w, STR("statuses"));
    json_object_begin(w);
    for (size_t status = 0; status < SL_COUNT(stats->status_counts); status++) {
        if (stats->status_counts[status] > 0) {
            (void)snprintf(key, sizeof(key), "%zu", status);
            json_member_i64(w, status == MOCK_STATUS_CLOSED ? "closed" : key,
                            (int64_t)stats->status_counts[status]);
        }
    }
    json_object_end(w);
}

void mock_stats_report(const struct mock_stats *stats, const struct mock_options *options,
                       int64_t uptime_ns, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_object_begin(&w);
    write_limits(&w, options);
    json_member_double(&w, "uptime_seconds", (double)uptime_ns / 1e9);
    json_member_i64(&w, "arrivals", (int64_t)stats->arrivals);
    json_member_i64(&w, "rejected", (int64_t)(stats->rejected_limit + stats->rejected_concurrency));
    json_member_i64(&w, "rejected_limit", (int64_t)stats->rejected_limit);
    json_member_i64(&w, "rejected_concurrency", (int64_t)stats->rejected_concurrency);
    json_member_i64(&w, "delivered", (int64_t)stats->delivered);
    json_member_i64(&w, "delivered_distinct", (int64_t)stats->delivered_distinct);
    json_member_i64(&w, "repeated", (int64_t)stats->delivered_repeated);
    json_member_i64(&w, "distinct", (int64_t)stats->distinct);
    json_member_i64(&w, "arrivals_repeated", (int64_t)stats->arrivals_repeated);
    json_member_bool(&w, "ids_exceeded", stats->ids_exceeded);
    json_member_i64(&w, "window_peak", (int64_t)stats->kernel.peak);
    json_member_i64(&w, "application_window_peak", (int64_t)stats->application.peak);
    json_member_bool(&w, "peaks_exact", stats->kernel.is_exact && stats->application.is_exact);
    json_member_i64(&w, "unstamped", (int64_t)stats->unstamped);
    json_member_i64(&w, "in_flight", stats->in_flight);
    json_member_i64(&w, "in_flight_peak", stats->in_flight_peak);
    write_times(&w, stats, options);
    write_statuses(&w, stats);
    json_object_end(&w);
    (void)buf_addc(out, '\n');
}
