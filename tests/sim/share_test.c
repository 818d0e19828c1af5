/*
 * Routes that name one limit: it goes to the highest priority that can use it, and among equals by
 * share; none of it is lost while anybody has work (I6), and it is never passed (I1).
 */
#include "sim_kit.h"

#define MINUTE (60 * S)

static uint64_t seed;

struct side {
    uint32_t share, priority, weight, concurrency;
    int64_t latency_ns;
    double arrivals; /* a second; 0: endless */
};

#define SIDES_MAX 3

/* Routes of one limit, each with a queue and a target of its own. */
struct shared {
    struct kit kit;
    bool heavy;
    uint64_t permits[SIDES_MAX]; /* of the time that was measured */
};

static void build(struct shared *shared, const struct side *sides, uint32_t count)
{
    struct kit *kit = &shared->kit;

    kit->sim = sim_new(seed);
    (void)sim_limit_add(kit->sim, &kit->limit);
    for (uint32_t i = 0; i < count; i++) {
        kit->target.concurrency = sides[i].concurrency > 0 ? sides[i].concurrency : 400;
        kit->target.latency = SIM_LATENCY_LOGNORMAL(sides[i].latency_ns, 1.0);
        kit->target.timeout_ns = 3600 * S;
        kit->queue.endless = sides[i].arrivals == 0;
        kit->queue.arrivals_per_second = sides[i].arrivals;
        kit->route.queue = sim_queue_add(kit->sim, &kit->queue);
        kit->route.target = sim_target_add(kit->sim, &kit->target);
        kit->route.share = sides[i].share;
        kit->route.priority = sides[i].priority;
        kit->route.weight = sides[i].weight;
        shared->heavy = shared->heavy || sides[i].weight > 1;
        (void)sim_route_add(kit->sim, &kit->route);
    }
}

static uint64_t permits_of(struct shared *shared, uint32_t route)
{
    struct route_stats stats;
    struct route *r = sim_route(shared->kit.sim, route);

    flow_route_stats(r, &stats);
    return stats.started * flow_route_config(r)->weight;
}

/* Counts what each takes from now on. */
static void run_on(struct shared *shared, uint32_t count, int64_t duration_ns)
{
    struct sim *sim = shared->kit.sim;
    uint64_t before[SIDES_MAX];

    for (uint32_t i = 0; i < count; i++) {
        before[i] = permits_of(shared, i);
    }
    sim_run_until(sim, sim_now(sim) + duration_ns);
    for (uint32_t i = 0; i < count; i++) {
        shared->permits[i] = permits_of(shared, i) - before[i];
    }
    kit_report(&shared->kit);
}

static double part(const struct shared *shared, uint32_t i, uint32_t count)
{
    uint64_t all = 0;

    for (uint32_t j = 0; j < count; j++) {
        all += shared->permits[j];
    }
    return (double)shared->permits[i] / (double)all;
}

static void assert_ratio(const struct shared *shared, double wanted)
{
    double ratio = (double)shared->permits[0] / (double)shared->permits[1];

    print_message("%llu to %llu: %.3f, utilisation %.4f\n", (unsigned long long)shared->permits[0],
                  (unsigned long long)shared->permits[1], ratio,
                  shared->kit.limit_report.utilisation);
    assert_true(ratio >= wanted * 0.95 && ratio <= wanted * 1.05);
    if (shared->heavy) { /* several permits at once come free together more seldom */
        assert_i1_never_above(&shared->kit);
        assert_true(shared->kit.limit_report.utilisation >= 0.9);
    } else {
        assert_i1_window(&shared->kit);
        assert_true(shared->kit.limit_report.utilisation >= 0.97); /* I6 */
    }
}

struct pair_case {
    const char *name;
    uint32_t requests, seconds, rest_s; /* both busy; one of them stopped */
    struct side sides[2];
    double ratio;
};

/* 3 to 1, whatever the calls take, weigh and come in: and all of it when one has stopped. */
static void by_share(void **state)
{
    static const struct pair_case cases[] = {
        {"equal", 5, 900, 60, {{1, 0, 1, 0, 600 * MS, 0}, {1, 0, 1, 0, 600 * MS, 0}}, 1},
        {"3 to 1", 5, 900, 60, {{3, 0, 1, 0, 600 * MS, 0}, {1, 0, 1, 0, 600 * MS, 0}}, 3},
        {"75 to 25", 5, 900, 60, {{75, 0, 1, 0, 600 * MS, 0}, {25, 0, 1, 0, 600 * MS, 0}}, 3},
        {"the larger is slow", 5, 900, 60, {{3, 0, 1, 0, 4 * S, 0}, {1, 0, 1, 0, 20 * MS, 0}}, 3},
        {"the smaller is slow", 5, 900, 60, {{3, 0, 1, 0, 20 * MS, 0}, {1, 0, 1, 0, 4 * S, 0}}, 3},
        {"the larger is heavy",
         50,
         120,
         20,
         {{3, 0, 5, 0, 600 * MS, 0}, {1, 0, 1, 0, 600 * MS, 0}},
         3},
        {"the smaller is heavy",
         50,
         120,
         20,
         {{3, 0, 1, 0, 600 * MS, 0}, {1, 0, 5, 0, 600 * MS, 0}},
         3},
        {"1000 a second", 1000, 20, 5, {{3, 0, 1, 0, 50 * MS, 0}, {1, 0, 1, 0, 200 * MS, 0}}, 3},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct shared shared = {.kit = kit_new()};
        shared.kit.limit.limit = kit_limit(cases[i].requests, S);
        print_message("%-22s ", cases[i].name);
        build(&shared, cases[i].sides, 2);
        run_on(&shared, 2, cases[i].seconds * S);
        assert_ratio(&shared, cases[i].ratio);
        for (uint32_t stopped = 0; stopped < 2; stopped++) { /* the other gets all */
            flow_route_pause(sim_route(shared.kit.sim, stopped), true);
            run_on(&shared, 2, cases[i].rest_s * S);
            assert_int_equal(shared.permits[stopped], 0);
            assert_true((double)shared.permits[1 - stopped] >=
                        (shared.heavy ? 0.88 : 0.96) * cases[i].rest_s * cases[i].requests);
            flow_route_pause(sim_route(shared.kit.sim, stopped), false);
            run_on(&shared, 2,
                   cases[i].rest_s * S); /* no credit for the time it did not want anything */
            assert_true(part(&shared, 0, 2) >= 0.9 * cases[i].ratio / (cases[i].ratio + 1));
            assert_true(part(&shared, 1, 2) >= 0.9 / (cases[i].ratio + 1));
        }
        kit_done(&shared.kit);
    }
}

/* What a route leaves, having little to do or a bound of its own, goes to the others. */
static void what_one_leaves(void **state)
{
    static const struct side sides[] = {
        {8, 0, 1, 1, 2 * S, 0}, /* at most one call in two seconds */
        {1, 0, 1, 0, 600 * MS, 0},
        {1, 0, 1, 0, 600 * MS, 0.5},
    };
    struct shared shared = {.kit = kit_new()};
    struct sim_queue_report small;

    (void)state;
    build(&shared, sides, 3);
    run_on(&shared, 3, 30 * MINUTE);
    sim_queue_report(shared.kit.sim, 2, &small);
    print_message("%.3f, %.3f, %.3f; utilisation %.4f, the small one waits %.2f s\n",
                  part(&shared, 0, 3), part(&shared, 1, 3), part(&shared, 2, 3),
                  shared.kit.limit_report.utilisation, small.wait_mean_s);
    assert_i1_window(&shared.kit);
    assert_true(shared.kit.limit_report.utilisation >= 0.98); /* I6 */
    assert_true(part(&shared, 0, 3) >= 0.08 && part(&shared, 0, 3) <= 0.12);
    /* It asks for less than its share: everything of it is called at once. */
    assert_true(shared.permits[2] >= 30 * 60 * 0.5 * 0.85);
    assert_true(small.wait_mean_s < 1);
    kit_done(&shared.kit);
}

static void by_priority(void **state)
{
    static const struct side busy[] = {
        {1, 0, 1, 0, 600 * MS, 0}, {1, 5, 1, 0, 600 * MS, 0}, {1000, 4, 1, 0, 600 * MS, 0}};
    static const struct side seldom[] = {{1, 0, 1, 0, 600 * MS, 0}, {1, 1, 1, 0, 600 * MS, 2}};
    struct shared shared = {.kit = kit_new()};
    struct sim_queue_report first;

    (void)state;
    build(&shared, busy, 3);
    run_on(&shared, 3, 10 * MINUTE);
    print_message("%.3f, %.3f, %.3f\n", part(&shared, 0, 3), part(&shared, 1, 3),
                  part(&shared, 2, 3));
    assert_true(part(&shared, 1, 3) >= 0.98);
    flow_route_pause(sim_route(shared.kit.sim, 1), true);
    run_on(&shared, 3, 10 * MINUTE);
    assert_true(part(&shared, 2, 3) >= 0.98);
    assert_true(shared.kit.limit_report.utilisation >= 0.97);
    kit_done(&shared.kit);

    /* What the higher one does not want is not lost. */
    shared = (struct shared){.kit = kit_new()};
    build(&shared, seldom, 2);
    run_on(&shared, 2, 30 * MINUTE);
    sim_queue_report(shared.kit.sim, 1, &first);
    print_message("%.3f, %.3f; utilisation %.4f, the higher one waits %.2f s\n",
                  part(&shared, 0, 2), part(&shared, 1, 2), shared.kit.limit_report.utilisation,
                  first.wait_mean_s);
    assert_i1_window(&shared.kit);
    assert_true(shared.kit.limit_report.utilisation >= 0.98);
    assert_true(shared.permits[1] >= 30 * 60 * 2 * 0.9);
    assert_true(first.wait_mean_s < 0.6);
    kit_done(&shared.kit);
}

/* A small share is worth few messages held, and enough for all of it when the others stop (I5). */
static void receives_by_share(void **state)
{
    static const struct side sides[] = {{19, 0, 1, 0, 20 * MS, 0}, {1, 0, 1, 0, 20 * MS, 0}};
    struct shared shared = {.kit = kit_new()};
    struct sim_queue_report report;

    (void)state;
    shared.kit.limit.limit = kit_limit(100, S);
    build(&shared, sides, 2);
    run_on(&shared, 2, 2 * MINUTE);
    assert_ratio(&shared, 19);
    sim_queue_report(shared.kit.sim, 1, &report);
    print_message("held %u\n", report.held_peak);
    assert_true(report.held_peak <= 2 * 5 + 2 * 10); /* two seconds, and what is settled */
    assert_int_equal(report.receives_uncalled, 0);
    kit_done(&shared.kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_share),
        cmocka_unit_test(what_one_leaves),
        cmocka_unit_test(by_priority),
        cmocka_unit_test(receives_by_share),
    };

    seed = kit_seed();
    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
