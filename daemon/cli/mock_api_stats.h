/*
 * mock_api_stats: what the mock API counts, and its report. No clock, no I/O.
 */
#ifndef SLUICE_CLI_MOCK_API_STATS_H
#define SLUICE_CLI_MOCK_API_STATS_H

#include "mock_api_options.h"
#include "mock_api_window.h"

#include "sluice/base/buf.h"
#include "sluice/base/map.h"

#define MOCK_IDS_MAX       ((size_t)500000) /* message ids remembered */
#define MOCK_STATUS_CLOSED 0                /* no answer: the connection was closed */

struct mock_stats {
    uint32_t generation; /* counts the measurements: calls of an earlier one no longer count */
    uint64_t arrivals, rejected_limit, rejected_concurrency, unstamped;
    uint64_t delivered, delivered_distinct, delivered_repeated;
    uint64_t distinct, arrivals_repeated;
    bool ids_exceeded;
    uint64_t status_counts[600];
    uint32_t in_flight, in_flight_peak; /* in_flight is the caller's, and outlives a reset */
    int64_t first_ns, last_ns;          /* kernel stamps */
    struct window_log kernel, application;
    struct map ids;
};

void mock_stats_init(struct mock_stats *stats, int64_t per_ns, uint64_t seed);
void mock_stats_done(struct mock_stats *stats);
void mock_stats_reset(struct mock_stats *stats);

/* A call arrived; in_flight counts it already. kernel_ns is wall time, application_ns any clock. */
void mock_stats_arrival(struct mock_stats *stats, struct str id, int64_t kernel_ns,
                        int64_t application_ns);
/* A call of this measurement was answered. */
void mock_stats_answer(struct mock_stats *stats, struct str id, int status);
/* One JSON object and a newline. */
void mock_stats_report(const struct mock_stats *stats, const struct mock_options *options,
                       int64_t uptime_ns, struct buf *out);

#endif
