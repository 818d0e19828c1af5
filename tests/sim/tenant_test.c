/*
 * Tenants of one route, and limits that hold for each of them: one that sends a hundred times as
 * much as the others makes them wait hardly longer, and one that has used up its own limit holds up
 * nobody.
 */
#include "sim_kit.h"

static uint64_t seed;

#define TENANTS 21

/* Twenty quiet tenants, half of the limit among them; and one that has a hundred times as much to
 * send as each, or nothing. */
static double quiet_p99(uint32_t requests, bool noisy, const struct sim_queue_config *queue)
{
    struct kit kit = kit_new();
    double p99;

    kit.limit.limit = kit_limit(requests, S);
    kit.target.concurrency = 200;
    kit.target.latency = SIM_LATENCY_LOGNORMAL(100 * MS, 1.0);
    kit.queue.tenants = TENANTS;
    kit.queue.arrivals_per_second = requests / 2.0;
    kit.queue.receive_max = queue->receive_max;
    kit.queue.visibility_ns = queue->visibility_ns;
    kit.queue.receive_latency = queue->receive_latency;
    if (noisy) {
        kit.queue.backlog = 1000;
        kit.queue.burst_count = requests * 5 / 2;
        kit.queue.bursts = 200;
        kit.queue.burst_every_ns = S; /* 2.5 of the limit: a hundred times a quiet tenant's */
    }
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 10 * S); /* warm */
    sim_queue_quiet_forget(kit.sim, 0);
    sim_run_until(kit.sim, 200 * S);
    kit_report(&kit);
    p99 = sim_queue_quiet_wait_s(kit.sim, 0, 0.99);
    print_message("%4u/s %s p50 %.3f s, p99 %.3f s, utilisation %.3f\n", requests,
                  noisy ? "with it" : "alone  ", sim_queue_quiet_wait_s(kit.sim, 0, 0.5), p99,
                  kit.limit_report.utilisation);
    assert_i1_never_above(&kit);
    assert_i3_no_loss(&kit);
    if (noisy) {
        assert_true(kit.limit_report.utilisation >
                    0.97); /* I6, and there was something to suffer */
        assert_true(kit.queue_report.left > 20u * requests);
    }
    kit_done(&kit);
    return p99;
}

static void noisy_tenant(void **state)
{
    static const struct sim_queue_config queues[] = {
        {.receive_latency = SIM_LATENCY_UNIFORM(NS_PER_MS / 2, 3 * MS)}, /* embedded */
        {.receive_max = 10,
         .visibility_ns = 30 * S,
         .receive_latency = SIM_LATENCY_UNIFORM(5 * MS, 20 * MS)}}; /* SQS */

    static const uint32_t paces[] = {5, 20, 200};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(queues); i++) {
        for (size_t j = 0; j < SL_COUNT(paces); j++) {
            double alone = quiet_p99(paces[j], false, &queues[i]);
            double beside = quiet_p99(paces[j], true, &queues[i]);
            print_message("     ratio %.2f\n", beside / alone);
            /* Where alone they hardly wait at all: ten permits at most. */
            assert_true(i > 0 || beside <= 2 * alone || beside <= 10.0 / paces[j]);
        }
    }
}

/* Each key at its limit, never above, and all the others unaffected. */
static void each_key_its_limit(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(5, S);
    kit.limit.keys_max = 1000;
    kit.target.concurrency = 400;
    kit.target.latency = SIM_LATENCY_LOGNORMAL(50 * MS, 1.0);
    kit.queue.tenants = TENANTS;
    kit.queue.backlog = 3000; /* of one tenant: ten minutes of it */
    kit.queue.arrivals_per_second = 40;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 10 * S);
    sim_queue_quiet_forget(kit.sim, 0);
    sim_run_until(kit.sim, 120 * S);
    kit_report(&kit);
    print_message("quiet ones: p99 %.3f s; received %llu, handed back %llu, held %u, peak %u\n",
                  sim_queue_quiet_wait_s(kit.sim, 0, 0.99),
                  (unsigned long long)kit.queue_report.received,
                  (unsigned long long)kit.queue_report.hand_backs, kit.queue_report.held_peak,
                  kit.limit_report.peak);
    assert_int_equal(kit.limit_report.peak, 5); /* I1, for each key */
    assert_i3_no_loss(&kit);
    /* The backlog's own: 5 a second and hardly less; the quiet ones: all of what was sent. */
    uint64_t quiet = kit.queue_report.sent - 3000;
    assert_true(kit.stats.started >= 118 * 5 * 0.95 + (double)quiet * 0.98);
    assert_true(kit.stats.started <= 120 * 5 + quiet + 1);
    assert_true(sim_queue_quiet_wait_s(kit.sim, 0, 0.99) < 1.2); /* two a second: its own limit */
    assert_true(kit.queue_report.held_peak <= 1000);
    assert_true(kit.stats.throttle_wait_ns[LIMIT_REASON_KEY] > 60 * S);
    kit_done(&kit);
}

/* All that comes in is called in the end, through a kill and failures, and the limit of each key
 * holds; then nothing is held. */
static void keys_through_trouble(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(2, S);
    kit.limit.keys_max = 10; /* fewer than there are tenants */
    kit.target.concurrency = 64;
    kit.target.latency = SIM_LATENCY_LOGNORMAL(200 * MS, 1.0);
    kit.target.request_delay = SIM_LATENCY_EXPONENTIAL(20 * MS);
    kit.target.fail_share = 0.05;
    kit.target.fail_status = 500;
    kit.target.lost_share = 0.02;
    kit.target.throttle_share = 0.01;
    kit.queue.tenants = TENANTS;
    kit.queue.backlog = 100;
    kit.queue.arrivals_per_second = 10;
    kit.route.retry.max_attempts = 0;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 60 * S);
    sim_kill(kit.sim);
    sim_run_until(kit.sim, 200 * S);
    kit_report(&kit);
    print_message("peak %u, delivered %llu of %llu, keys full %.1f s\n", kit.limit_report.peak,
                  (unsigned long long)kit.queue_report.delivered,
                  (unsigned long long)kit.queue_report.sent,
                  (double)kit.stats.throttle_wait_ns[LIMIT_REASON_KEYS_FULL] / 1e9);
    assert_i1_window(&kit);
    assert_i3_no_loss(&kit);
    assert_true(kit.stats.throttle_wait_ns[LIMIT_REASON_KEYS_FULL] > 0);
    assert_true(sim_drain(kit.sim, 400 * S));
    kit_done(&kit);
}

/* FIFO groups as keys: order stays, and a group at its limit is passed over (I7). */
static void groups_as_keys(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(2, S);
    kit.limit.keys_max = 100;
    kit.target.concurrency = 32;
    kit.queue.groups = 20;
    kit.queue.receive_max = 10;
    kit.queue.visibility_ns = 60 * S;
    kit.queue.backlog = 1000;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 300 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.order_broken, 0);
    assert_i1_window(&kit);
    assert_i3_all_delivered(&kit);
    assert_int_equal(kit.queue_report.hand_backs, 0);
    kit_done(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noisy_tenant),
        cmocka_unit_test(each_key_its_limit),
        cmocka_unit_test(keys_through_trouble),
        cmocka_unit_test(groups_as_keys),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("tenant", tests, NULL, NULL);
}
