/*
 * Ten minutes without the API, in every form. Waiting costs nothing: no receive count rises, no
 * attempt is counted that never got there, nothing reaches the dead-letter queue, and when the API
 * is back the drain goes on within one retry interval.
 */
#include "sim_kit.h"

#define OUTAGE_FROM  (60 * S)
#define OUTAGE_UNTIL (660 * S)

static uint64_t seed;

struct outage {
    const char *name;
    enum sim_outage_kind kind;
    int status;
    int64_t retry_after_ns;
    uint32_t max_attempts; /* of the route; 0: no bound */
    bool leased;
};

static const struct outage outages[] = {
    {"refused, leased", SIM_REFUSED, 0, 0, 5, true},
    {"refused, held", SIM_REFUSED, 0, 0, 5, false},
    {"503, leased", SIM_STATUS, 503, 0, 5, true},
    {"503 with Retry-After 30 s", SIM_STATUS, 503, 30 * S, 5, true},
    {"429, held", SIM_STATUS, 429, 0, 5, false},
    {"name does not resolve", SIM_UNRESOLVED, 0, 0, 5, true},
    {"500, five attempts", SIM_STATUS, 500, 0, 5, true},
    {"500, no bound of attempts", SIM_STATUS, 500, 0, 0, true},
    {"black hole, five attempts", SIM_BLACK_HOLE, 0, 0, 5, true},
};

static struct kit outage_kit(const struct outage *outage)
{
    struct kit kit = kit_new();

    kit.queue.backlog = 2000;
    kit.queue.visibility_ns = outage->leased ? 60 * S : 0;
    kit.queue.receive_max = 10;
    kit.queue.max_receives = 3;
    kit.route.retry.max_attempts = outage->max_attempts;
    kit.target.outages[0] = (struct sim_outage){.from = OUTAGE_FROM,
                                                .until = OUTAGE_UNTIL,
                                                .kind = outage->kind,
                                                .status = outage->status,
                                                .retry_after_ns = outage->retry_after_ns};
    kit.target.outage_count = 1;
    return kit;
}

static void ten_minutes(const struct outage *outage)
{
    struct kit kit = outage_kit(outage);
    mono_ns retry_ns = kit.route.retry.max_backoff_ns;

    kit_start(&kit, seed);
    sim_run_until(kit.sim, OUTAGE_UNTIL - 1);
    kit_report(&kit);
    uint64_t delivered_before = kit.queue_report.delivered;
    uint32_t held = kit.queue_report.held_peak;
    assert_true(kit.target_report.last_success < OUTAGE_FROM + 30 * S);

    /* One retry interval, and a call. */
    sim_run_until(kit.sim, OUTAGE_UNTIL + retry_ns + 5 * S);
    kit_report(&kit);
    assert_true(kit.queue_report.delivered > delivered_before);
    assert_true(kit.target_report.last_success > OUTAGE_UNTIL);

    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    print_message("%-26s calls %llu for %llu, held %u, most attempts %u\n", outage->name,
                  (unsigned long long)kit.target_report.calls,
                  (unsigned long long)kit.queue_report.sent, held, kit.queue_report.attempts_max);
    assert_int_equal(kit.queue_report.receive_count_max, 1); /* I5 */
    assert_i5_receives(&kit);
    assert_int_equal(kit.queue_report.dead, 0);
    assert_int_equal(kit.queue_report.dead_by_receives, 0);
    assert_int_equal(kit.queue_report.hand_backs, 0);
    assert_i3_all_delivered(&kit);
    assert_i1_window(&kit);
    assert_i2_concurrency(&kit);
    assert_i8_bounded(&kit);
    /* Amplification: against what was to be called, and against what the limit would have let
     * through in that time. */
    uint64_t again = kit.target_report.calls - kit.queue_report.sent;
    assert_true(kit.target_report.calls * 10 <= kit.queue_report.sent * 12);
    assert_true(again * 20 <= (OUTAGE_UNTIL - OUTAGE_FROM) / S * kit.limit.limit.requests);
    assert_int_equal(kit.target_report.calls_open, 0);
    assert_int_equal(kit.target_report.received_open, 0);
    if (outage->kind == SIM_REFUSED || outage->status == 503 || outage->status == 429) {
        assert_int_equal(kit.queue_report.attempts_max, 1); /* the one that succeeded */
    }
    kit_done(&kit);
}

static void outages_cost_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(outages); i++) {
        ten_minutes(&outages[i]);
    }
}

/* While the API is away the probes get rarer: no storm, and no more receives than needed. */
static void outage_is_probed_gently(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct kit kit = outage_kit(&outages[i]);
        kit_start(&kit, seed);
        sim_run_until(kit.sim, OUTAGE_FROM + 120 * S);
        kit_report(&kit);
        uint64_t calls = kit.target_report.calls, received = kit.queue_report.received;
        sim_run_until(kit.sim, OUTAGE_UNTIL - 1);
        kit_report(&kit);
        print_message("%-26s %llu calls in the last 8 minutes of the outage\n", outages[i].name,
                      (unsigned long long)(kit.target_report.calls - calls));
        assert_int_equal(kit.queue_report.received, received); /* nothing new meanwhile */
        assert_true(kit.target_report.calls - calls < 480);    /* at 5/s it would be 2,400 */
        kit_done(&kit);
    }
}

/* A Retry-After is obeyed by everybody on the limit: no call starts before it. */
static void retry_after_gates_the_limit(void **state)
{
    struct kit kit = kit_new();
    struct sim_limit_report before, after;

    (void)state;
    kit.queue.endless = true;
    kit.target.latency = SIM_LATENCY_CONSTANT(50 * MS);
    kit.target.outages[0] = (struct sim_outage){.from = 10 * S,
                                                .until = 10 * S + 150 * MS,
                                                .kind = SIM_STATUS,
                                                .status = 429,
                                                .retry_after_ns = 20 * S};
    kit.target.outage_count = 1;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 11 * S);
    sim_limit_report(kit.sim, 0, &before);
    sim_run_until(kit.sim, 30 * S);
    sim_limit_report(kit.sim, 0, &after);
    assert_int_equal(before.arrivals, after.arrivals);
    sim_run_until(kit.sim, 40 * S);
    sim_limit_report(kit.sim, 0, &after);
    assert_true(after.arrivals > before.arrivals + 40);
    kit_report(&kit);
    assert_i1_window(&kit);
    kit_done(&kit);
}

/* With a bound of attempts, an API that fails three calls in ten gets a message that often, then
 * the dead-letter queue has it: none is lost. */
static void bound_of_attempts(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.queue.backlog = 2000;
    kit.route.retry.max_attempts = 3;
    kit.route.retry.max_backoff_ns = 5 * S;
    kit.target.fail_share = 0.3;
    kit.target.fail_status = 500;
    kit.target.fail_latency = SIM_LATENCY_CONSTANT(MS);
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_in_range(kit.queue_report.dead, 20, 100); /* 2,000 · 0.3³ = 54 ± 7 */
    assert_int_equal(kit.queue_report.attempts_max, 3);
    assert_i3_no_loss(&kit);
    assert_i1_window(&kit);
    kit_done(&kit);
}

/* Without a dead-letter queue a message that can never succeed stays in its queue, called once in
 * max_backoff, and does not hold up the others. */
static void no_dead_letter_queue(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.queue.backlog = 100;
    kit.route.has_dead_letter = false;
    kit.target.fail_share = 0.05;
    kit.target.fail_status = 400;
    kit.target.fail_latency = SIM_LATENCY_CONSTANT(MS);
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_i3_all_delivered(&kit);
    assert_i5_receives(&kit);
    assert_true(kit.queue_report.hand_backs > 0);
    kit_done(&kit);
}

/* An API that gave up answering may still work: with abort_hold the bound holds there too (I2). */
static void abort_hold(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(50, S);
    kit.queue.endless = true;
    kit.target.concurrency = 4;
    kit.target.timeout_ns = S;
    kit.target.abort_hold_ns = 2 * S;
    kit.target.latency = SIM_LATENCY_UNIFORM(500 * MS, 2500 * MS);
    kit.route.retry.max_attempts = 0;
    kit_start(&kit, seed);
    sim_run_until(kit.sim, 1800 * S);
    kit_report(&kit);
    assert_int_equal(kit.target_report.work_peak, 4);
    assert_i2_concurrency(&kit);
    assert_i3_no_loss(&kit);
    kit_done(&kit);
}

/* The source fails, in every step; nothing is lost and nothing called without need. */
static void source_fails(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(50, S);
    kit.target.concurrency = 64;
    kit.queue.backlog = 2000;
    kit.queue.visibility_ns = 30 * S;
    kit.queue.receive_max = 10;
    kit.queue.receive_fail_share = 0.3;
    kit.queue.settle_fail_share = 0.2;
    kit.queue.settle_lost_share = 0.2;
    kit.queue.extend_fail_share = 0.3;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_i3_all_delivered(&kit);
    assert_i1_window(&kit);
    assert_true(kit.queue_report.repeated <=
                5); /* a settlement that failed until the lease ended */
    kit_done(&kit);
}

/* A standard queue may deliver twice: the API sees it twice, the queue is emptied all the same. */
static void duplicates(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(50, S);
    kit.target.concurrency = 64;
    kit.queue.backlog = 1000;
    kit.queue.visibility_ns = 90 * S;
    kit.queue.duplicate_share = 0.05;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 3600 * S));
    kit_report(&kit);
    assert_i3_all_delivered(&kit);
    assert_i1_window(&kit);
    assert_true(kit.queue_report.repeated > 0);
    kit_done(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outages_cost_nothing),
        cmocka_unit_test(outage_is_probed_gently),
        cmocka_unit_test(retry_after_gates_the_limit),
        cmocka_unit_test(bound_of_attempts),
        cmocka_unit_test(no_dead_letter_queue),
        cmocka_unit_test(abort_hold),
        cmocka_unit_test(source_fails),
        cmocka_unit_test(duplicates),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("outage", tests, NULL, NULL);
}
