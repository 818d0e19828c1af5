/*
 * Adaptive concurrency against an API of 20 servers with room for 20 more calls, that has half of
 * them for a while: all of the capacity is used, hardly anything is rejected.
 */
#include "sim_kit.h"

#define PHASE  (60 * S)
#define SETTLE (5 * S) /* to find the new capacity */

static uint64_t seed;

struct phase {
    double goodput; /* of what the servers can do */
    double in_flight;
    double rejected; /* share of the calls */
};

static struct phase measure(struct kit *kit, mono_ns from, uint32_t servers)
{
    const struct route_config *route = flow_route_config(sim_route(kit->sim, 0));
    struct phase phase = {0};
    uint32_t samples = 0;

    sim_run_until(kit->sim, from + SETTLE);
    kit_report(kit);
    uint64_t done = kit->queue_report.delivered, calls = kit->target_report.calls;
    uint64_t rejected = kit->target_report.rejected;
    while (sim_now(kit->sim) < from + PHASE) {
        sim_run_until(kit->sim, mono_min(sim_now(kit->sim) + 100 * MS, from + PHASE));
        phase.in_flight += flow_target_concurrency(route->target)->in_flight;
        samples++;
    }
    kit_report(kit);
    double capacity = servers * (double)(PHASE - SETTLE) / (double)(50 * MS);
    phase.goodput = (double)(kit->queue_report.delivered - done) / capacity;
    phase.rejected = (double)(kit->target_report.rejected - rejected) /
                     (double)(kit->target_report.calls - calls);
    phase.in_flight /= samples;
    print_message("%u servers: goodput %.3f, rejected %.4f, %.1f in flight\n", servers,
                  phase.goodput, phase.rejected, phase.in_flight);
    return phase;
}

static struct kit capacity(struct sim_latency latency)
{
    struct kit kit = kit_new();

    kit.limit.measured_only = true;
    kit.queue.endless = true;
    kit.target.latency = latency;
    kit.target.request_delay = SIM_LATENCY_CONSTANT(5 * MS);
    kit.target.response_delay = SIM_LATENCY_CONSTANT(5 * MS);
    kit.target.concurrency = 200;
    kit.target.servers = 20;
    kit.target.server_queue = 20;
    kit.target.low_servers = 10;
    kit.target.low_from = PHASE;
    kit.target.low_until = 2 * PHASE;
    return kit;
}

static void follows_the_capacity(void **state)
{
    const struct sim_latency shapes[] = {SIM_LATENCY_LOGNORMAL(50 * MS, 0.2),
                                         SIM_LATENCY_LOGNORMAL(50 * MS, 1.0)};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(shapes); i++) {
        struct kit kit = capacity(shapes[i]);
        kit.target.adaptive = true;
        kit_start(&kit, seed);
        for (uint32_t p = 0; p < 3; p++) {
            uint32_t servers = p == 1 ? 10 : 20;
            struct phase phase = measure(&kit, p * PHASE, servers);
            assert_true(phase.goodput >= 0.96);
            assert_true(phase.rejected <= 0.013);
            assert_true(phase.in_flight <= servers + 20 + 1);
        }
        assert_true(kit.target_report.rejected * 100 <= kit.target_report.calls);
        assert_i2_concurrency(&kit);
        assert_i3_no_loss(&kit);
        assert_i5_receives(&kit);
        kit_done(&kit);
    }
}

/* What it is for: with all 200 at once, most calls are rejected, or the gate stands still. */
static void without_it(void **state)
{
    struct kit kit = capacity(SIM_LATENCY_LOGNORMAL(50 * MS, 0.2));

    (void)state;
    kit_start(&kit, seed);
    assert_true(measure(&kit, 0, 20).goodput < 0.9);
    kit_done(&kit);
}

/* Where the rate limit decides, it stays what it is. */
static void a_rate_limit_freezes_it(void **state)
{
    struct kit kit = kit_new();
    const struct route_config *route;

    (void)state;
    kit.queue.endless = true;
    kit.target.adaptive = true;
    kit.target.concurrency = 200;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 3600 * S);
    kit_report(&kit);
    route = flow_route_config(sim_route(kit.sim, 0));
    /* It grows with what runs at once, and that is what the limit lets through: far below 200. */
    assert_in_range(flow_target_concurrency(route->target)->bound, 10,
                    2 * kit.target_report.in_flight_peak);
    assert_true(kit.target_report.in_flight_peak < 20);
    assert_i1_window(&kit);
    assert_true(kit.limit_report.utilisation >= 0.985); /* I6 */
    kit_done(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_capacity),
        cmocka_unit_test(without_it),
        cmocka_unit_test(a_rate_limit_freezes_it),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("adaptive", tests, NULL, NULL);
}
