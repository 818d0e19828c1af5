/*
 * The promise, on every kind of latency and failure: N is reached and never passed (I1), no more
 * than K at once (I2), nothing lost (I3), no permit left unused while there is work (I6).
 */
#include "sim_kit.h"

#define HOUR (3600 * S)

static uint64_t seed;

struct shape {
    const char *name;
    struct sim_latency latency;
};

static const struct shape shapes[] = {
    {"constant 1 ms", SIM_LATENCY_CONSTANT(MS)},
    {"constant 600 ms", SIM_LATENCY_CONSTANT(600 * MS)},
    {"uniform 10 to 1190 ms", SIM_LATENCY_UNIFORM(10 * MS, 1190 * MS)},
    {"exponential 600 ms", SIM_LATENCY_EXPONENTIAL(600 * MS)},
    {"lognormal 600 ms cv 1", SIM_LATENCY_LOGNORMAL(600 * MS, 1.0)},
    {"lognormal 600 ms cv 2", SIM_LATENCY_LOGNORMAL(600 * MS, 2.0)},
    {"bimodal 50 ms, 10 % 4 s", SIM_LATENCY_BIMODAL(50 * MS, 4 * S, 0.1)},
};

static void saturate(struct kit *kit, int64_t duration_ns)
{
    kit->queue.endless = true;
    kit_start(kit, seed);
    sim_run_until(kit->sim, sim_now(kit->sim) + duration_ns);
    kit_report(kit);
}

static void assert_promise(const struct kit *kit)
{
    assert_i1_window(kit);
    assert_i2_concurrency(kit);
    assert_i3_no_loss(kit);
    assert_i5_receives(kit);
    assert_i8_bounded(kit);
}

static void latencies_hold_arrival(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(shapes); i++) {
        struct kit kit = kit_new();
        kit.target.latency = shapes[i].latency;
        kit.target.concurrency = 16; /* the limit decides, not the concurrency */
        kit.target.timeout_ns = HOUR;
        saturate(&kit, HOUR);
        print_message("%-26s peak %u, utilisation %.4f\n", shapes[i].name, kit.limit_report.peak,
                      kit.limit_report.utilisation);
        assert_promise(&kit);
        assert_true(kit.limit_report.utilisation >= 0.985); /* I6 */
        assert_int_equal(kit.queue_report.repeated, 0);
        kit_done(&kit);
    }
}

/* Provable where the application reads, whatever it does before reading; the price is W/(W + the
 * call's time). */
static void latencies_hold_response(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT(shapes); i++) {
        struct kit kit = kit_new();
        kit.limit.limit.hold = LIMIT_HOLD_RESPONSE;
        kit.target.latency = shapes[i].latency;
        kit.target.app_delay = SIM_LATENCY_UNIFORM(0, 100 * MS);
        kit.target.concurrency = 16;
        saturate(&kit, HOUR);
        double call_s = (double)sim_latency_mean_ns(&shapes[i].latency) / 1e9 + 0.05;
        print_message("%-26s peak %u, read %u, utilisation %.4f\n", shapes[i].name,
                      kit.limit_report.peak, kit.limit_report.app_peak,
                      kit.limit_report.utilisation);
        assert_promise(&kit);
        assert_int_equal(kit.limit_report.app_peak, 5);
        assert_true(kit.limit_report.utilisation >= 0.95 / (1 + call_s));
        kit_done(&kit);
    }
}

/* A network that delays some requests and acknowledgements for long: a log of send times breaks. */
static void jitter(void **state)
{
    static const struct shape delays[] = {
        {"uniform 0 to 20 ms", SIM_LATENCY_UNIFORM(0, 20 * MS)},
        {"exponential 5 ms", SIM_LATENCY_EXPONENTIAL(5 * MS)},
        {"1 % 200 ms", SIM_LATENCY_BIMODAL(MS, 200 * MS, 0.01)},
        {"10 % 900 ms", SIM_LATENCY_BIMODAL(MS, 900 * MS, 0.1)},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(delays); i++) {
        struct kit kit = kit_new();
        kit.target.concurrency = 16;
        kit.target.request_delay = delays[i].latency;
        kit.target.ack_delay = delays[i].latency;
        saturate(&kit, HOUR);
        double ack_s = 2 * (double)sim_latency_mean_ns(&delays[i].latency) / 1e9;
        print_message("%-26s peak %u, utilisation %.4f\n", delays[i].name, kit.limit_report.peak,
                      kit.limit_report.utilisation);
        assert_promise(&kit);
        assert_true(kit.limit_report.utilisation >= 0.96 / (1 + ack_s + 0.01));
        kit_done(&kit);
    }
}

struct failing {
    const char *name;
    double fail_share, throttle_share, lost_share, floor;
    int64_t fail_ns, retry_after_ns;
    bool with_dead;
};

/* Failures at any speed are calls like others: they take permits, and their retries too. */
static void failures(void **state)
{
    static const struct failing cases[] = {
        {"10 % 500 after 1 ms", 0.1, 0, 0, 0.975, MS, 0, false},
        {"10 % 500 after 50 ms", 0.1, 0, 0, 0.985, 50 * MS, 0, false},
        {"30 % 500 after 1 ms", 0.3, 0, 0, 0.9, MS, 0, true},
        {"5 % 429", 0, 0.05, 0, 0.4, 0, 0, false},
        {"5 % 429, Retry-After 2 s", 0, 0.05, 0, 0.3, 0, 2 * S, false},
        {"5 % answers lost", 0, 0, 0.05, 0.5, 0, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct kit kit = kit_new();
        kit.target.concurrency = 16;
        kit.target.fail_share = cases[i].fail_share;
        kit.target.fail_status = 500;
        kit.target.fail_latency = SIM_LATENCY_CONSTANT(cases[i].fail_ns);
        kit.target.throttle_share = cases[i].throttle_share;
        kit.target.retry_after_ns = cases[i].retry_after_ns;
        kit.target.lost_share = cases[i].lost_share;
        saturate(&kit, HOUR);
        print_message("%-26s peak %u, utilisation %.4f, dead %llu, repeated %llu, held %u\n",
                      cases[i].name, kit.limit_report.peak, kit.limit_report.utilisation,
                      (unsigned long long)kit.queue_report.dead,
                      (unsigned long long)kit.queue_report.repeated, kit.queue_report.held_peak);
        assert_i1_window(&kit);
        assert_i2_concurrency(&kit);
        assert_i3_no_loss(&kit);
        assert_i5_receives(&kit);
        assert_true(kit.limit_report.utilisation >= cases[i].floor);
        assert_true(cases[i].with_dead || kit.queue_report.dead <= 2);
        assert_true(cases[i].lost_share > 0 || kit.queue_report.repeated == 0);
        kit_done(&kit);
    }
}

/* The target enforces the same limit itself, with a sliding log: it never has to say 429. */
static void own_limit_never_rejects(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.target.own_requests = 5;
    kit.target.own_per_ns = S;
    kit.target.concurrency = 16;
    kit.queue.visibility_ns = 60 * S; /* where a receive is a request */
    saturate(&kit, 4 * HOUR);
    assert_promise(&kit);
    assert_int_equal(kit.target_report.rejected, 0);
    /* A receive is a request too: few, for several messages each. */
    assert_true(kit.queue_report.receives * 4 <= kit.target_report.calls);
    kit_done(&kit);
}

/* Without the limit, concurrency alone: what this is all for. */
static void concurrency_alone_breaks_the_limit(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.measured_only = true;
    kit.target.concurrency = 2;
    saturate(&kit, HOUR);
    print_message("concurrency 2, no limit: %u in a second\n", kit.limit_report.peak);
    assert_true(kit.limit_report.peak > 2 * 4);
    assert_i2_concurrency(&kit);
    kit_done(&kit);
}

static void fast_limit(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit = kit_limit(1000, S);
    kit.target.concurrency = 200;
    kit.target.latency = SIM_LATENCY_LOGNORMAL(50 * MS, 1.0);
    saturate(&kit, 60 * S);
    print_message("1000/s: peak %u, utilisation %.4f, held %u\n", kit.limit_report.peak,
                  kit.limit_report.utilisation, kit.queue_report.held_peak);
    assert_i1_window(&kit);
    assert_true(kit.limit_report.utilisation >= 0.98);
    assert_i5_receives(&kit);
    kit_done(&kit);
}

/* Bursts with gaps: demand on and off, where limiters that save up permits fail. */
static void bursts(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.queue.burst_count = 37;
    kit.queue.bursts = 200;
    kit.queue.burst_every_ns = 11 * S;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 2 * HOUR));
    kit_report(&kit);
    assert_i1_window(&kit);
    assert_i3_all_delivered(&kit);
    assert_i5_receives(&kit);
    assert_int_equal(kit.queue_report.receive_count_max, 1);
    /* I6: the wait is what the limit makes it: 37 calls at 5 a second, and the cold start. */
    assert_true(kit.queue_report.wait_max_s <= 37 / 4.9 + 2.5);
    kit_done(&kit);
}

/* A bucket of 5 per second and depth 10: at most 10 + 5·t in any t, with the same hold. */
static void bucket(void **state)
{
    struct kit kit = kit_new();

    (void)state;
    kit.limit.limit.kind = LIMIT_BUCKET;
    kit.limit.limit.burst = 10;
    kit.target.own_requests = 0;
    kit.target.concurrency = 16;
    kit.queue.burst_count = 30;
    kit.queue.bursts = 100;
    kit.queue.burst_every_ns = 20 * S;
    kit_start(&kit, seed);
    assert_true(sim_run_until_empty(kit.sim, 2 * HOUR));
    kit_report(&kit);
    print_message("bucket 5/s, depth 10: peak %u\n", kit.limit_report.peak);
    assert_in_range(kit.limit_report.peak, 10, 14); /* half-open: b + ⌈rW⌉ − 1 */
    assert_i3_all_delivered(&kit);
    kit_done(&kit);
}

/* Two limits on one route: both hold. */
static void two_limits(void **state)
{
    struct kit kit = kit_new();
    struct sim_limit_config minute = {.limit = kit_limit(100, 60 * S)};
    struct sim_limit_report report;

    (void)state;
    kit.queue.endless = true;
    kit.route.limits[1] = 1;
    kit.route.limit_count = 2;
    kit.sim = sim_new(seed);
    (void)sim_limit_add(kit.sim, &kit.limit);
    (void)sim_limit_add(kit.sim, &minute);
    (void)sim_target_add(kit.sim, &kit.target);
    (void)sim_queue_add(kit.sim, &kit.queue);
    (void)sim_route_add(kit.sim, &kit.route);
    sim_run_until(kit.sim, HOUR);
    kit_report(&kit);
    sim_limit_report(kit.sim, 1, &report);
    assert_true(kit.limit_report.peak <= 5);
    assert_int_equal(report.peak, 100);
    assert_true(report.utilisation > 0.97);
    kit_done(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latencies_hold_arrival),
        cmocka_unit_test(latencies_hold_response),
        cmocka_unit_test(jitter),
        cmocka_unit_test(failures),
        cmocka_unit_test(own_limit_never_rejects),
        cmocka_unit_test(concurrency_alone_breaks_the_limit),
        cmocka_unit_test(fast_limit),
        cmocka_unit_test(bursts),
        cmocka_unit_test(bucket),
        cmocka_unit_test(two_limits),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
