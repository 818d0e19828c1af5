/*
 * I7: messages of one group are called in order, one at a time, whatever fails; another group never
 * waits for it. And leases: extended while a message is held, given up when they are lost.
 */
#include "sim_kit.h"

static uint64_t seed;

static struct kit fifo_kit(uint32_t groups)
{
    struct kit kit = kit_new();

    kit.limit.limit = kit_limit(50, S);
    kit.target.concurrency = 32;
    kit.queue.groups = groups;
    kit.queue.receive_max = 10;
    kit.queue.visibility_ns = 60 * S;
    kit.route.retry.max_attempts = 0;
    kit.route.retry.max_backoff_ns = 10 * S;
    return kit;
}

static void groups_in_order(void **state)
{
    struct kit kit = fifo_kit(20);

    (void)state;
    kit.queue.backlog = 3000;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.order_broken, 0); /* I7 */
    assert_i3_all_delivered(&kit);
    assert_int_equal(kit.queue_report.receive_count_max, 1);
    assert_int_equal(kit.queue_report.repeated, 0);
    /* One at a time and 20 groups: no more than 20 at once. */
    assert_true(kit.target_report.in_flight_peak <= 20);
    kit_done(&kit);
}

static void order_survives_failures(void **state)
{
    struct kit kit = fifo_kit(10);

    (void)state;
    kit.queue.backlog = 600;
    kit.target.fail_share = 0.2;
    kit.target.fail_status = 500;
    kit.target.fail_latency = SIM_LATENCY_CONSTANT(5 * MS);
    kit.target.throttle_share = 0.02;
    kit.target.lost_share = 0.02;
    kit.queue.settle_fail_share = 0.05;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 8 * 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.order_broken, 0); /* I7 */
    assert_i3_all_delivered(&kit);
    kit_done(&kit);
}

/* Messages that can never succeed go to the dead-letter queue and their group goes on. */
static void order_with_dead_letters(void **state)
{
    struct kit kit = fifo_kit(5);

    (void)state;
    kit.queue.backlog = 500;
    kit.target.fail_share = 0.1;
    kit.target.fail_status = 400;
    kit.target.fail_latency = SIM_LATENCY_CONSTANT(5 * MS);
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.order_broken, 0);
    assert_true(kit.queue_report.dead > 0);
    assert_i3_no_loss(&kit);
    assert_int_equal(kit.queue_report.left, 0);
    kit_done(&kit);
}

/* Without one, the group waits with it: order before progress. Nothing is handed back. */
static void order_without_dead_letters(void **state)
{
    struct kit kit = fifo_kit(5);

    (void)state;
    kit.queue.backlog = 300;
    kit.route.has_dead_letter = false;
    kit.target.fail_share = 0.1;
    kit.target.fail_status = 400;
    kit.target.fail_latency = SIM_LATENCY_CONSTANT(5 * MS);
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 8 * 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.order_broken, 0);
    assert_int_equal(kit.queue_report.hand_backs, 0);
    assert_i3_all_delivered(&kit);
    kit_done(&kit);
}

/* One slow group, at its first message for an hour, and 19 others. */
static void other_groups_do_not_wait(void **state)
{
    struct kit kit = fifo_kit(20);

    (void)state;
    kit.queue.backlog = 2000;
    kit.target.timeout_ns = 3600 * S;
    kit.target.latency = SIM_LATENCY_BIMODAL(50 * MS, 600 * S, 0.002);
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 600 * S);
    kit_report(&kit);
    /* A few groups stand; what they hold up is theirs alone. */
    assert_true(kit.queue_report.delivered > 600);
    assert_true(sim_run_until_empty(kit.sim, 20 * 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.order_broken, 0);
    assert_int_equal(kit.queue_report.receive_count_max, 1);
    assert_i3_all_delivered(&kit);
    kit_done(&kit);
}

/* Calls far longer than the visibility: extended again and again, received once. */
static void long_calls_keep_their_lease(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.queue.backlog = 100;
    kit.queue.visibility_ns = 30 * S;
    kit.target.timeout_ns = 3600 * S;
    kit.target.latency = SIM_LATENCY_UNIFORM(60 * S, 900 * S);
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 24 * 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.receive_count_max, 1);
    assert_int_equal(kit.queue_report.repeated, 0);
    assert_int_equal(kit.stats.leases_lost, 0);
    assert_i3_all_delivered(&kit);
    kit_done(&kit);
}

/* Paused for an hour: what is held stays held, and no call starts. */
static void paused_for_an_hour(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.queue.backlog = 500;
    kit.queue.visibility_ns = 30 * S;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 20 * S);
    flow_route_pause(sim_route(kit.sim, 0), true);
    sim_run_until(kit.sim, 60 * S);
    kit_report(&kit);
    uint64_t calls = kit.target_report.calls;
    assert_int_equal(kit.stats.blocked_by, LIMIT_REASON_PAUSED);
    sim_run_until(kit.sim, 3600 * S);
    kit_report(&kit);
    assert_int_equal(kit.target_report.calls, calls);
    assert_true(kit.stats.throttle_wait_ns[LIMIT_REASON_PAUSED] > 3000 * S);
    flow_route_pause(sim_route(kit.sim, 0), false);
    assert_true(sim_run_until_empty(kit.sim, 7200 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.receive_count_max, 1);
    assert_i3_all_delivered(&kit);
    assert_i1_window(&kit);
    kit_done(&kit);
}

/* The process stands still for longer than a lease: what it held is another receiver's. It forgets
 * those, calls none of them on a lease that has passed, and loses none. */
static void stalled_beyond_the_lease(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.queue.backlog = 500;
    kit.queue.visibility_ns = 30 * S;
    kit_start(&kit, seed);
    sim_stall(kit.sim, 20 * S, 23 * S); /* SIGSTOP for 3 s: nothing is noticed */
    sim_stall(kit.sim, 40 * S, 90 * S);
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_true(kit.stats.leases_lost > 0);
    assert_i3_all_delivered(&kit);
    assert_i1_window(&kit);
    assert_true(kit.queue_report.repeated <= kit.target.concurrency);
    assert_int_equal(kit.queue_report.receive_count_max, 2);
    kit_done(&kit);
}

static void stalled_groups_keep_their_order(void **state)
{
    struct kit kit = fifo_kit(5);

    (void)state;
    kit.queue.backlog = 500;
    kit.queue.visibility_ns = 20 * S;
    kit_start(&kit, seed);
    for (int i = 0; i < 5; i++) {
        sim_stall(kit.sim, (20 + 60 * i) * S, (50 + 60 * i) * S);
    }
    assert_true(sim_run_until_empty(kit.sim, 2 * 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.order_broken, 0);
    assert_i3_all_delivered(&kit);
    kit_done(&kit);
}

/* Twelve hours are over long before the target is back (here: ten minutes of fifty). What waits
 * goes back while it is still ours, and is received again; no lease is lost, no order. */
static void beyond_the_cap(void **state)
{
    static const uint32_t groups[] = {0, 10};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(groups); i++) {
        struct kit kit = fifo_kit(groups[i]);
        kit.queue.backlog = 500;
        kit.queue.lease_cap_ns = 600 * S;
        kit.route.retry.max_backoff_ns = 120 * S;
        kit.target.outages[0] = (struct sim_outage){
            .from = 5 * S, .until = 3000 * S, .kind = SIM_STATUS, .status = 503};
        kit.target.outage_count = 1;
        kit_start(&kit, seed);
        assert_true(sim_run_until_empty(kit.sim, 3 * 3600 * S));
        kit_report(&kit);
        assert_true(kit.stats.waits_handed_back > 0);
        assert_int_equal(kit.stats.leases_lost, 0);
        assert_in_range(kit.queue_report.receive_count_max, 2, 6); /* once in ten minutes */
        assert_int_equal(kit.queue_report.order_broken, 0);
        assert_int_equal(kit.queue_report.repeated, 0);
        assert_i3_all_delivered(&kit);
        kit_done(&kit);
    }
}

/* So many messages fail again and again that they would fill all the room: the longest waits go
 * back, heads of groups with those behind them, and everything else is delivered meanwhile. */
static void poison_leaves_room(void **state)
{
    static const struct {
        uint32_t groups, backlog;
        int64_t visibility_ns;
    } cases[] = {{0, 5000, 60 * S}, {0, 5000, 0}, {1200, 2800, 60 * S}, {1200, 2800, 0}};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct kit kit = fifo_kit(cases[i].groups);
        kit.limit.limit = kit_limit(100, S);
        kit.queue.visibility_ns = cases[i].visibility_ns;
        kit.queue.receive_max = 0;
        kit.queue.backlog = cases[i].backlog;
        kit.queue.failing_share = 0.25;
        kit.target.latency = SIM_LATENCY_CONSTANT(20 * MS);
        kit.route.retry = (struct retry_config){
            .max_attempts = 4, .min_backoff_ns = 1800 * S, .max_backoff_ns = 3600 * S};
        kit_start(&kit, seed);
        sim_run_until(kit.sim, 600 * S);
        kit_report(&kit);
        print_message("%u groups, %s: %llu of %llu delivered, %llu handed back, held %u\n",
                      cases[i].groups, cases[i].visibility_ns > 0 ? "leased" : "held",
                      (unsigned long long)kit.queue_report.delivered,
                      (unsigned long long)kit.queue_report.sent,
                      (unsigned long long)kit.stats.waits_handed_back, kit.queue_report.held_peak);
        assert_true(kit.stats.waits_handed_back > 0);
        if (cases[i].groups == 0) {
            assert_int_equal(kit.queue_report.delivered,
                             kit.queue_report.sent - kit.queue_report.scripted);
        } else { /* a group waits for its head */
            assert_true(kit.queue_report.delivered > kit.queue_report.sent / 3);
        }
        assert_true(sim_run_until_empty(kit.sim, 48 * 3600 * S));
        kit_report(&kit);
        assert_int_equal(kit.queue_report.dead, kit.queue_report.scripted);
        assert_int_equal(kit.queue_report.order_broken, 0); /* I7 */
        assert_int_equal(kit.queue_report.attempts_max, 4);
        assert_int_equal(kit.queue_report.repeated, 0);
        assert_i3_no_loss(&kit);
        kit_done(&kit);
    }
}

/* Every extension fails: messages are lost to others, but not for good. */
static void extensions_fail(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.queue.backlog = 200;
    kit.queue.visibility_ns = 30 * S;
    kit.queue.extend_fail_share = 1;
    kit.target.fail_share = 0.5;
    kit.target.fail_status = 500;
    kit.route.retry.max_attempts = 0;
    kit.route.retry.min_backoff_ns = 20 * S;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 4 * 3600 * S));
    kit_report(&kit);
    assert_true(kit.stats.leases_lost > 0);
    assert_i3_all_delivered(&kit);
    kit_done(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_in_order),
        cmocka_unit_test(order_survives_failures),
        cmocka_unit_test(order_with_dead_letters),
        cmocka_unit_test(order_without_dead_letters),
        cmocka_unit_test(other_groups_do_not_wait),
        cmocka_unit_test(long_calls_keep_their_lease),
        cmocka_unit_test(paused_for_an_hour),
        cmocka_unit_test(stalled_beyond_the_lease),
        cmocka_unit_test(stalled_groups_keep_their_order),
        cmocka_unit_test(beyond_the_cap),
        cmocka_unit_test(poison_leaves_room),
        cmocka_unit_test(extensions_fail),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
