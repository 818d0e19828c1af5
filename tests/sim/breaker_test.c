/*
 * The breaker, the retry budget and whose failure it was, over hours: what is probed, what comes
 * back how fast, and what is never given up although everything fails.
 */
#include "sim_kit.h"

#define OUTAGE_FROM  (60 * S)
#define OUTAGE_UNTIL (660 * S)

static uint64_t seed;

static enum breaker_state state_of(const struct kit *kit)
{
    const struct route_config *route = flow_route_config(sim_route(kit->sim, 0));

    return flow_target_breaker(route->target)->state;
}

static struct kit down(enum sim_outage_kind kind, int status)
{
    struct kit kit = kit_new();

    kit.target.outages[0] = (struct sim_outage){
        .from = OUTAGE_FROM, .until = OUTAGE_UNTIL, .kind = kind, .status = status};
    kit.target.outage_count = 1;
    return kit;
}

/* Back within one open interval; then a tenth of the pace, and all of it ten seconds later. */
static void comes_back_gently(void **state)
{
    static const enum sim_outage_kind kinds[] = {SIM_REFUSED, SIM_STATUS, SIM_BLACK_HOLE};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(kinds); i++) {
        struct kit kit = down(kinds[i], 500);
        struct sim_limit_report at_close, early, late, later;

        kit.limit.limit = kit_limit(50, S);
        kit.target.concurrency = 64;
        kit.target.latency = SIM_LATENCY_CONSTANT(100 * MS);
        kit.target.timeout_ns = 5 * S;
        kit.queue.endless = true;
        kit_start(&kit, seed);
        sim_run_until(kit.sim, OUTAGE_UNTIL);
        kit_report(&kit);
        assert_true(kit.target_report.opened > 0);
        assert_true(state_of(&kit) != BREAKER_CLOSED);
        while (state_of(&kit) != BREAKER_CLOSED) {
            sim_run_until(kit.sim, sim_now(kit.sim) + 10 * MS);
            assert_true(sim_now(kit.sim) < OUTAGE_UNTIL + BREAKER_MAX_OPEN_NS + 20 * S);
        }
        mono_ns closed = sim_now(kit.sim);
        sim_limit_report(kit.sim, 0, &at_close);
        sim_run_until(kit.sim, closed + 2 * S);
        sim_limit_report(kit.sim, 0, &early);
        sim_run_until(kit.sim, closed + 11 * S);
        sim_limit_report(kit.sim, 0, &late);
        sim_run_until(kit.sim, closed + 13 * S);
        sim_limit_report(kit.sim, 0, &later);
        print_message("closed %.1f s after the outage, then %llu and %llu calls in 2 s\n",
                      (double)(closed - OUTAGE_UNTIL) / (double)S,
                      (unsigned long long)(early.arrivals - at_close.arrivals),
                      (unsigned long long)(later.arrivals - late.arrivals));
        assert_in_range(early.arrivals - at_close.arrivals, 8, 30); /* 19 % of 100 on average */
        assert_in_range(later.arrivals - late.arrivals, 95, 101);
        kit_report(&kit);
        assert_int_equal(kit.target_report.calls_open, 0);
        assert_int_equal(kit.target_report.received_open, 0);
        assert_int_equal(kit.queue_report.dead, 0);
        assert_i1_window(&kit);
        assert_i2_concurrency(&kit);
        assert_i5_receives(&kit);
        kit_done(&kit);
    }
}

/* With few messages the breaker never has its twenty results: they are not given up all the same.
 */
static void few_messages_outlast_it_too(void **state)
{
    (void)state;
    for (uint32_t backlog = 2; backlog <= 12; backlog += 5) {
        struct kit kit = down(SIM_STATUS, 500);
        kit.target.outages[0].from = 0;
        kit.queue.backlog = backlog;
        kit.queue.visibility_ns = 60 * S;
        kit_start(&kit, seed);
        assert_true(sim_run_until_empty(kit.sim, OUTAGE_UNTIL + 130 * S));
        kit_report(&kit);
        print_message("%u messages, ten minutes of 500: %llu calls, most attempts %u\n", backlog,
                      (unsigned long long)kit.target_report.calls, kit.queue_report.attempts_max);
        assert_int_equal(kit.queue_report.dead, 0);
        assert_int_equal(kit.queue_report.receive_count_max, 1);
        assert_i3_all_delivered(&kit);
        assert_i5_receives(&kit);
        assert_true(kit.target_report.calls <= backlog + 10 + 66 + 20); /* budget, its reserve */
        kit_done(&kit);
    }
}

/* An API that is called every twelve seconds has its breaker, too. */
static void a_slow_one(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(5, 60 * S);
    kit.queue.backlog = 300;
    kit.target.outages[0] =
        (struct sim_outage){.from = 600 * S, .until = 4200 * S, .kind = SIM_STATUS, .status = 500};
    kit.target.outage_count = 1;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 4200 * S);
    kit_report(&kit);
    assert_true(kit.target_report.opened > 0);
    assert_true(sim_run_until_empty(kit.sim, 4 * 3600 * S));
    kit_report(&kit);
    assert_int_equal(kit.queue_report.dead, 0);
    assert_i3_all_delivered(&kit);
    assert_i1_window(&kit);
    assert_true(kit.target_report.calls <= 300 + 150); /* of the 300 more of that hour */
    kit_done(&kit);
}

/* Messages that always fail reach the dead-letter queue; the others do not wait for them, also
 * where they are the first of the queue and open the breaker of a healthy API. */
static void poison_does_not_keep_it_open(void **state)
{
    static const uint32_t counts[] = {1, 5, 60};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(counts); i++) {
        struct kit kit = kit_new();
        mono_ns delivered;

        kit.queue.backlog = 1000;
        kit.queue.poison = counts[i];
        kit.target.fail_status = 500;
        kit.target.fail_latency = SIM_LATENCY_CONSTANT(50 * MS);
        kit.route.retry.max_backoff_ns = 10 * S;
        kit_start(&kit, seed);
        do {
            sim_run_until(kit.sim, sim_now(kit.sim) + S);
            kit_report(&kit);
            delivered = sim_now(kit.sim);
            assert_true(delivered < 24 * 3600 * S);
        } while (kit.queue_report.delivered < 1000 - counts[i]);
        assert_true(sim_run_until_empty(kit.sim, delivered + 3600 * S) || counts[i] > 1);
        kit_report(&kit);
        print_message(
            "%u poison: the others done after %lld s (200 s alone), opened %llu, dead "
            "%llu, left %llu\n",
            counts[i], (long long)(delivered / S), (unsigned long long)kit.target_report.opened,
            (unsigned long long)kit.queue_report.dead, (unsigned long long)kit.queue_report.left);
        assert_i3_no_loss(&kit);
        assert_i5_receives(&kit);
        assert_true(counts[i] > 1 || kit.target_report.opened == 0);
        kit_done(&kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_gently),
        cmocka_unit_test(few_messages_outlast_it_too),
        cmocka_unit_test(a_slow_one),
        cmocka_unit_test(poison_does_not_keep_it_open),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
