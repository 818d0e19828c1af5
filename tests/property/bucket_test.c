/*
 * The bucket limit against a server with a token bucket of the same rate and depth, which an
 * earlier sender has emptied as late as it could: its level never falls below zero, whatever the
 * delay. SLUICE_PROPERTY_SENDS scales it as it does the window's test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limiter_harness.h"

#define SENDS_DEFAULT 10500000
#define SHARE         8 /* of the sends of the window's test */
#define CASE_SENDS    600

static const struct limit_config buckets[] = {
    {.kind = LIMIT_BUCKET,
     .requests = 5,
     .per_ns = NS_PER_S,
     .burst = 1,
     .max_flight_ns = NS_PER_S},
    {.kind = LIMIT_BUCKET,
     .requests = 5,
     .per_ns = NS_PER_S,
     .burst = 10,
     .max_flight_ns = NS_PER_S},
    {.kind = LIMIT_BUCKET, /* an interval that is no whole number of ns, and a fast one */
     .requests = 7000,
     .per_ns = NS_PER_S,
     .burst = 100,
     .max_flight_ns = NS_PER_S},
    {.kind = LIMIT_BUCKET,
     .requests = 3,
     .per_ns = 60 * NS_PER_S,
     .burst = 2,
     .max_flight_ns = 100 * NS_PER_MS},
};

static const uint32_t rounds[] = {
    0,
    TROUBLE_CLOCK | TROUBLE_TIMER,
    TROUBLE_UNKNOWN | TROUBLE_REFUND,
    TROUBLE_RESTART,
    TROUBLE_RESIZE,
    TROUBLE_WEIGHT | TROUBLE_UNKNOWN | TROUBLE_TIMER,
    TROUBLE_RESTART | TROUBLE_RESIZE,
    TROUBLE_RESTART | TROUBLE_CLOCK | TROUBLE_UNKNOWN | TROUBLE_REFUND | TROUBLE_WEIGHT,
};

static uint64_t run_seed;

static bool run_cell(uint32_t number, enum demand demand, enum delay delay, uint64_t sends_wanted)
{
    const struct limit_config *config = &buckets[number];
    uint64_t sends = 0, violations = 0;
    double lowest = config->burst, utilisation = 0;
    struct outcome o;

    for (uint32_t round = 0; round < SL_COUNT(rounds) || sends < sends_wanted; round++) {
        const struct scenario s = {
            .config = *config,
            .delay = delay,
            .demand = demand,
            .trouble = rounds[round % SL_COUNT(rounds)],
            .sends = CASE_SENDS,
            .seed = harness_mix(run_seed, (number * 2 + demand) * 4 + delay, round),
        };
        scenario_run(&real_limiter, &s, &o);
        assert_int_equal(o.sends, s.sends);
        sends += o.sends;
        violations += o.violations;
        if (s.trouble == 0) {
            lowest = o.lowest < lowest ? o.lowest : lowest;
            utilisation = o.utilisation;
        }
        if (o.violations > 0) {
            print_message("VIOLATED in round %u: lowest level %.6f\n", round, o.lowest);
        }
    }
    /* The next call would have been one too many. Into a deep, fast bucket several tokens come
     * while the calls of one burst arrive at different times. */
    bool deep = config->burst > 10 && delay != DELAY_NONE;
    bool reached = deep || lowest < 1;
    /* While it waits for the acknowledgement of the only token there is none for another call. */
    bool used = demand == DEMAND_ON_OFF || config->burst == 1 || utilisation >= 0.97;
    print_message("%u per %lldms depth %-3u %-9s %-8s %7" PRIu64
                  " sends, lowest level %.3f, utilisation %.4f%s%s%s\n",
                  config->requests, (long long)(config->per_ns / NS_PER_MS), config->burst,
                  demand_names[demand], delay_names[delay], sends, lowest, utilisation,
                  violations > 0 ? " VIOLATED" : "", reached ? "" : " NEVER REACHED",
                  used ? "" : " TOO SLOW");
    return violations == 0 && reached && used;
}

static void the_server_never_runs_dry(void **state)
{
    const uint32_t cells = SL_COUNT(buckets) * DEMAND__COUNT * DELAY__COUNT;
    uint64_t sends = harness_number("SLUICE_PROPERTY_SENDS", SENDS_DEFAULT) / SHARE / cells;
    uint32_t failed = 0;

    (void)state;
    for (uint32_t i = 0; i < cells; i++) {
        failed += run_cell(i / 8, (enum demand)(i / 4 % 2), (enum delay)(i % 4), sends) ? 0 : 1;
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_server_never_runs_dry)};

    run_seed = harness_seed();
    return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
