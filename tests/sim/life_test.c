/*
 * The life of the process: drain, kill; routes that share; the same seed twice.
 */
#include "sim_kit.h"

static uint64_t seed;

/* A stop hands back no more than the calls of the next two seconds (I5). */
static void drain_hands_back_little(void **state)
{
    static const int64_t visibilities[] = {0, 60 * S};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(visibilities); i++) {
        for (int at = 1; at < 12; at++) {
            struct kit kit = kit_new();
            kit.queue.backlog = 1000;
            kit.queue.visibility_ns = visibilities[i];
            kit_start(&kit, seed + (uint64_t)at);
            sim_run_until(kit.sim, at * 2 * S + at * 137 * MS);
            assert_true(sim_drain(kit.sim, sim_now(kit.sim) + 60 * S));
            assert_true(flow_is_drained(sim_flow(kit.sim)));
            kit_report(&kit);
            assert_true(kit.queue_report.hand_backs <= 10); /* 5 per second, two seconds */
            assert_i3_no_loss(&kit);
            assert_int_equal(kit.queue_report.left + kit.queue_report.acked, 1000);
            assert_int_equal(kit.queue_report.repeated, 0);
            kit_done(&kit);
        }
    }
}

/* In the middle of an outage, and with everything failing, a drain ends as well. */
static void drain_in_an_outage(void **state)
{
    (void)state;
    for (int kind = SIM_REFUSED; kind <= SIM_UNRESOLVED; kind++) {
        struct kit kit = kit_new();
        kit.queue.backlog = 1000;
        kit.queue.visibility_ns = 60 * S;
        kit.queue.settle_fail_share = 0.3;
        kit.target.outages[0] = (struct sim_outage){
            .from = 20 * S, .until = 400 * S, .kind = (enum sim_outage_kind)kind, .status = 503};
        kit.target.outage_count = 1;
        kit_start(&kit, seed);
        sim_run_until(kit.sim, 100 * S);
        assert_true(sim_drain(kit.sim, 200 * S));
        kit_report(&kit);
        assert_i3_no_loss(&kit);
        assert_int_equal(kit.queue_report.dead, 0);
        kit_done(&kit);
    }
}

/* Killed again and again while a backlog drains: nothing is lost, the window holds across every
 * restart, and only what was in flight or settling at a kill is repeated. */
static void kills(void **state)
{
    static const int64_t visibilities[] = {0, 20 * S};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(visibilities); i++) {
        struct kit kit = kit_new();
        struct rng rng;
        rng_init(&rng, seed);
        kit.limit.limit = kit_limit(50, S);
        kit.target.concurrency = 16;
        kit.target.latency = SIM_LATENCY_LOGNORMAL(100 * MS, 1.0);
        kit.target.request_delay = SIM_LATENCY_BIMODAL(MS, 900 * MS, 0.05);
        kit.queue.backlog = 3000;
        kit.queue.visibility_ns = visibilities[i];
        kit_start(&kit, seed);
        for (int kill = 0; kill < 20; kill++) {
            sim_run_until(kit.sim, sim_now(kit.sim) + rng_between(&rng, 10 * MS, 8 * S));
            sim_kill(kit.sim);
        }
        assert_true(sim_run_until_empty(kit.sim, 3600 * S));
        kit_report(&kit);
        print_message("20 kills: peak %u, repeated %llu\n", kit.limit_report.peak,
                      (unsigned long long)kit.queue_report.repeated);
        assert_i3_all_delivered(&kit);
        assert_i1_window(&kit);
        assert_true(kit.queue_report.repeated <= 20 * 2 * 16);
        kit_done(&kit);
    }
}

static void same_seed_same_run(void **state)
{
    struct kit kits[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        kits[i] = kit_new();
        kits[i].queue.endless = true;
        kits[i].queue.visibility_ns = 30 * S;
        kits[i].queue.settle_fail_share = 0.1;
        kits[i].target.fail_share = 0.1;
        kits[i].target.fail_status = 500;
        kits[i].target.throttle_share = 0.02;
        kit_start(&kits[i], i < 2 ? seed : seed + 1);
        sim_run_until(kits[i].sim, 1800 * S);
        kit_report(&kits[i]);
        kit_done(&kits[i]);
    }
    assert_memory_equal(&kits[0].limit_report, &kits[1].limit_report, sizeof(kits[0].limit_report));
    assert_memory_equal(&kits[0].stats, &kits[1].stats, sizeof(kits[0].stats));
    assert_int_equal(kits[0].queue_report.received, kits[1].queue_report.received);
    assert_int_not_equal(kits[0].limit_report.last, kits[2].limit_report.last);
}

/* Two routes on one limit take turns; a third with a limit of its own does not disturb that. */
static void routes_share_fairly(void **state)
{
    struct kit kit = kit_new();
    struct sim_limit_config fast = {.limit = kit_limit(100, S)};
    struct sim_limit_report shared;
    struct route_stats stats[3];

    (void)state;
    kit.queue.endless = true;
    kit.target.concurrency = 100;
    kit.sim = sim_new(seed);
    (void)sim_limit_add(kit.sim, &kit.limit);
    (void)sim_limit_add(kit.sim, &fast);
    (void)sim_target_add(kit.sim, &kit.target);
    for (uint32_t i = 0; i < 3; i++) {
        (void)sim_queue_add(kit.sim, &kit.queue);
        kit.route.queue = i;
        kit.route.limits[0] = i < 2 ? 0 : 1;
        (void)sim_route_add(kit.sim, &kit.route);
    }
    sim_run_until(kit.sim, 1800 * S);
    for (uint32_t i = 0; i < 3; i++) {
        flow_route_stats(sim_route(kit.sim, i), &stats[i]);
    }
    sim_limit_report(kit.sim, 0, &shared);
    print_message("shared: %llu and %llu, other: %llu\n", (unsigned long long)stats[0].started,
                  (unsigned long long)stats[1].started, (unsigned long long)stats[2].started);
    assert_int_equal(shared.peak, 5);
    assert_true(stats[0].started + 2 >= stats[1].started);
    assert_true(stats[1].started + 2 >= stats[0].started);
    assert_true(shared.utilisation > 0.98); /* I6 */
    assert_true(stats[2].started > 50000);
    kit_done(&kit);
}

/* A call that weighs three permits gets its turn among calls that weigh one: as many permits. */
static void heavy_calls_are_not_starved(void **state)
{
    struct kit kit = kit_new();
    struct route_stats light, heavy;

    (void)state;
    kit.queue.endless = true;
    kit.target.concurrency = 64;
    kit.sim = sim_new(seed);
    (void)sim_limit_add(kit.sim, &kit.limit);
    (void)sim_target_add(kit.sim, &kit.target);
    for (uint32_t i = 0; i < 2; i++) {
        (void)sim_queue_add(kit.sim, &kit.queue);
        kit.route.queue = i;
        kit.route.weight = i == 0 ? 1 : 3;
        (void)sim_route_add(kit.sim, &kit.route);
    }
    sim_run_until(kit.sim, 1800 * S);
    kit_report(&kit);
    flow_route_stats(sim_route(kit.sim, 0), &light);
    flow_route_stats(sim_route(kit.sim, 1), &heavy);
    print_message("light %llu, heavy %llu, peak %u\n", (unsigned long long)light.started,
                  (unsigned long long)heavy.started, kit.limit_report.peak);
    assert_i1_window(&kit);
    assert_true(3 * heavy.started + 6 >= light.started);
    assert_true(light.started + 6 >= 3 * heavy.started);
    assert_true(kit.limit_report.utilisation > 0.75);
    kit_done(&kit);
}

/* A route's share of the target's concurrency is its own bound, and named when it says no. */
static void share_of_the_concurrency(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.measured_only = true;
    kit.queue.endless = true;
    kit.route.concurrency = 3;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 300 * S);
    kit_report(&kit);
    assert_int_equal(kit.target_report.in_flight_peak, 3);
    assert_int_equal(kit.stats.blocked_by, LIMIT_REASON_ROUTE_CONCURRENCY);
    assert_true(kit.stats.throttle_wait_ns[LIMIT_REASON_ROUTE_CONCURRENCY] > 0);
    kit_done(&kit);
}

/* One call a minute: a message is not received a minute ahead (I5). */
static void slow_limit_receives_late(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(1, 60 * S);
    kit.queue.backlog = 30;
    kit_start(&kit, seed);
    for (int i = 0; i < 10; i++) {
        sim_run_until(kit.sim, (100 + 60 * i) * S);
        kit_report(&kit);
        uint32_t held = kit.stats.held[MESSAGE_READY] + kit.stats.held[MESSAGE_BUFFERED];
        mono_ns next = kit.limit_report.last + 60 * S;
        assert_true(held == 0 || next - sim_now(kit.sim) <= 3 * S);
    }
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_i1_window(&kit);
    assert_int_equal(kit.queue_report.held_peak, 1);
    assert_i3_all_delivered(&kit);
    assert_true(kit.limit_report.utilisation > 0.98);
    kit_done(&kit);
}

/* Bound and rate change while calls run. */
static void changes_while_running(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.measured_only = true;
    kit.queue.endless = true;
    kit_start(&kit, seed);
    struct concurrency *concurrency =
        flow_target_concurrency(flow_route_config(sim_route(kit.sim, 0))->target);
    for (uint32_t i = 0; i < 50; i++) {
        sim_run_until(kit.sim, sim_now(kit.sim) + 3 * S);
        concurrency_resize(concurrency, 1 + (i * 7) % 20);
    }
    kit_report(&kit);
    assert_true(kit.target_report.in_flight_peak <= 20);
    kit_done(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drain_hands_back_little),
        cmocka_unit_test(drain_in_an_outage),
        cmocka_unit_test(kills),
        cmocka_unit_test(same_seed_same_run),
        cmocka_unit_test(routes_share_fairly),
        cmocka_unit_test(heavy_calls_are_not_starved),
        cmocka_unit_test(share_of_the_concurrency),
        cmocka_unit_test(slow_limit_receives_late),
        cmocka_unit_test(changes_while_running),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
