/*
 * sim_kit: what the simulations share: the seed, the ordinary case (5 per second, 8 at once,
 * 600 ms with the spread of a real function), and the invariants by name.
 */
#ifndef SLUICE_TESTS_SIM_KIT_H
#define SLUICE_TESTS_SIM_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/digest.h"
#include "sluice/base/str.h"
#include "sluice/sim/sim.h"

#include <stdlib.h>

#define MS NS_PER_MS
#define S  NS_PER_S

/* SLUICE_SEED of the environment, else a new one; printed so that a failure can be repeated. */
static inline uint64_t kit_seed(void)
{
    int64_t seed = 0;
    const char *wanted = getenv("SLUICE_SEED");
    if (wanted == NULL || str_to_i64(str_from(wanted), 0, INT64_MAX, &seed) != 0) {
        digest_random(&seed, sizeof(seed));
        seed &= INT32_MAX;
    }
    print_message("SLUICE_SEED=%lld\n", (long long)seed);
    return (uint64_t)seed;
}

static inline struct limit_config kit_limit(uint32_t requests, int64_t per_ns)
{
    return (struct limit_config){
        .kind = LIMIT_WINDOW,
        .hold = LIMIT_HOLD_ARRIVAL,
        .requests = requests,
        .per_ns = per_ns,
        .guard_ns = LIMIT_GUARD_NS,
        .max_flight_ns = LIMIT_MAX_FLIGHT_NS,
        .pace = true,
    };
}

/* Everything of one route; change what the test is about, then kit_start. */
struct kit {
    struct sim_limit_config limit;
    struct sim_target_config target;
    struct sim_queue_config queue;
    struct sim_route_config route;
    struct sim *sim;
    struct sim_limit_report limit_report;
    struct sim_target_report target_report;
    struct sim_queue_report queue_report;
    struct route_stats stats;
};

static inline struct kit kit_new(void)
{
    return (struct kit){
        .limit = {.limit = kit_limit(5, S)},
        .target = {.concurrency = 8,
                   .timeout_ns = 30 * S,
                   .breaker = {.enabled = true,
                               .failure_percent = 50,
                               .max_open_ns = BREAKER_MAX_OPEN_NS},
                   .latency = SIM_LATENCY_LOGNORMAL(600 * MS, 1.0),
                   .request_delay = SIM_LATENCY_UNIFORM(50 * NS_PER_US, 150 * NS_PER_US),
                   .ack_delay = SIM_LATENCY_UNIFORM(50 * NS_PER_US, 150 * NS_PER_US),
                   .response_delay = SIM_LATENCY_UNIFORM(50 * NS_PER_US, 150 * NS_PER_US),
                   .status_latency = SIM_LATENCY_CONSTANT(5 * MS)},
        .queue = {.receive_latency = SIM_LATENCY_UNIFORM(1 * MS, 20 * MS),
                  .settle_latency = SIM_LATENCY_UNIFORM(1 * MS, 20 * MS)},
        .route = {.limit_count = 1,
                  .has_dead_letter = true,
                  .retry = {.max_attempts = 5,
                            .min_backoff_ns = S,
                            .max_backoff_ns = 60 * S,
                            .max_doublings = 16}},
    };
}

static inline void kit_start(struct kit *kit, uint64_t seed)
{
    kit->sim = sim_new(seed);
    (void)sim_limit_add(kit->sim, &kit->limit);
    (void)sim_target_add(kit->sim, &kit->target);
    (void)sim_queue_add(kit->sim, &kit->queue);
    (void)sim_route_add(kit->sim, &kit->route);
}

static inline void kit_report(struct kit *kit)
{
    sim_limit_report(kit->sim, 0, &kit->limit_report);
    sim_target_report(kit->sim, 0, &kit->target_report);
    sim_queue_report(kit->sim, 0, &kit->queue_report);
    flow_route_stats(sim_route(kit->sim, 0), &kit->stats);
}

static inline void kit_done(struct kit *kit)
{
    sim_free(kit->sim);
    kit->sim = NULL;
}

/* I1: N was reached, so the limit was put to the test, and never passed. */
static inline void assert_i1_window(const struct kit *kit)
{
    const struct limit_config *limit = &kit->limit.limit;

    assert_int_equal(kit->limit_report.peak, limit->requests);
    if (limit->hold == LIMIT_HOLD_RESPONSE) {
        assert_in_range(kit->limit_report.app_peak, 1, limit->requests);
    }
}

/* I1 where the load need not reach N. */
static inline void assert_i1_never_above(const struct kit *kit)
{
    assert_true(kit->limit_report.peak <= kit->limit.limit.requests);
}

static inline void assert_i2_concurrency(const struct kit *kit)
{
    assert_true(kit->target_report.in_flight_peak <= kit->target.concurrency);
}

/* I3: what was sent was done, or lies in a dead-letter queue, or is still there. */
static inline void assert_i3_no_loss(const struct kit *kit)
{
    const struct sim_queue_report *q = &kit->queue_report;

    assert_int_equal(q->lost, 0);
    assert_int_equal(q->sent, q->acked + q->dead + q->dead_by_receives + q->left);
}

static inline void assert_i3_all_delivered(const struct kit *kit)
{
    assert_i3_no_loss(kit);
    assert_int_equal(kit->queue_report.left, 0);
    assert_int_equal(kit->queue_report.delivered, kit->queue_report.sent);
    assert_int_equal(kit->queue_report.acked, kit->queue_report.sent);
}

/* I5: no message was received and given up uncalled, nothing counted that never got there. */
static inline void assert_i5_receives(const struct kit *kit)
{
    assert_int_equal(kit->queue_report.receives_uncalled, 0);
    assert_int_equal(kit->queue_report.unreached_counted, 0);
}

/* I8: messages outside a call are bounded by what can be called within two seconds, and what was
 * received to probe a failing target with. */
static inline void assert_i8_bounded(const struct kit *kit)
{
    const struct limit_config *limit = &kit->limit.limit;
    double calls = 2.0 * limit->requests * (double)S / (double)limit->per_ns;

    assert_true(kit->queue_report.held_peak <=
                calls + kit->target.concurrency + 10 + (double)kit->target_report.opened);
}

#endif
