/* What holds for both kinds of limit, and what is rare: the end of time, resizes while cold. */
#include "unit.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

static const mono_ns t0 = 100 * S; /* when the limits of these tests are warm */

static void test_resize_while_calls_are_out(void **state)
{
    (void)state;
    struct limit_config config = window_of(4, S);
    struct limit *limit = limit_at_zero(config);
    for (int i = 0; i < 4; i++) {
        start(limit, 1, t0);
    }
    config.requests = 2;
    assert_int_equal(limit_resize(limit, &config, t0), 0);
    for (int i = 4; i > 0; i--) { /* the later they become known, the earlier they arrived */
        mono_ns known = t0 + (10 - i) * 10 * MS;
        limit_arrived(limit, 1, t0 + i * 10 * MS, known);
    }
    assert_int_equal(limit_free_permits(limit, t0 + 40 * MS + S - 1), 0);
    assert_int_equal(limit_free_permits(limit, t0 + 40 * MS + S), 2);
    limit_free(limit);
}

static void test_far_times_do_not_overflow(void **state)
{
    (void)state;
    struct limit_config config = window_of(1, LIMIT_PER_MAX_NS);
    config.guard_ns = LIMIT_FLIGHT_MAX_NS;
    config.max_flight_ns = LIMIT_FLIGHT_MAX_NS;
    config.pace = true;
    mono_ns late = INT64_MAX - 2 * LIMIT_FLIGHT_MAX_NS - LIMIT_PER_MAX_NS;
    struct limit *limit = limit_at_zero(config);
    call(limit, 1, late);
    assert_waits(limit, 1, late, LIMIT_REASON_PERMIT,
                 late + LIMIT_PER_MAX_NS + LIMIT_FLIGHT_MAX_NS);
    mono_ns next = late + LIMIT_PER_MAX_NS + LIMIT_FLIGHT_MAX_NS;
    start(limit, 1, next);
    limit_unknown(limit, 1, next, next); /* its time would lie beyond the end of time */
    assert_waits(limit, 1, next, LIMIT_REASON_PERMIT, MONO_NEVER);
    assert_int_equal(limit_free_permits(limit, INT64_MAX - 1), 0);
    limit_free(limit);
}

/* The wait after a start is no debt in tokens, which another rate would make shorter or longer. */
static void test_bucket_resize_while_cold(void **state)
{
    (void)state;
    struct limit_config config = bucket_of(1, S, 1);
    struct limit *limit = limit_at_zero(config);
    config.requests = 1000;
    assert_int_equal(limit_resize(limit, &config, 1), 0);
    assert_waits(limit, 1, 1, LIMIT_REASON_COLD, S + 1 * MS);
    config.requests = 1;
    config.per_ns = 60 * S;
    assert_int_equal(limit_resize(limit, &config, 2), 0);
    assert_waits(limit, 1, 2, LIMIT_REASON_COLD, S + 60 * S);
    assert_admits(limit, 1, 61 * S);
    limit_free(limit);
}

#define MODEL_CALLS 3000

struct model_call {
    mono_ns counts_until; /* MONO_NEVER while it is out */
    uint32_t weight;
};

/* A window is: admit when the calls that still count, and this one, are at most N. */
static uint64_t model_units(const struct model_call *calls, uint32_t count, mono_ns now)
{
    uint64_t units = 0;
    for (uint32_t i = 0; i < count; i++) {
        units += calls[i].counts_until > now ? calls[i].weight : 0;
    }
    return units;
}

static void test_window_against_a_model(void **state)
{
    (void)state;
    struct model_call *calls = MEM_NEW_ARRAY(MODEL_CALLS, struct model_call);
    const struct limit_config config = window_of(9, 1000);
    struct limit *limit = limit_at_zero(config);
    uint32_t count = 0;
    mono_ns now = t0;
    struct rng rng;

    rng_init(&rng, 5);
    while (count < MODEL_CALLS) {
        uint32_t weight = (uint32_t)rng_between(&rng, 1, 4);
        now += rng_between(&rng, 0, 60);
        bool expected = model_units(calls, count, now) + weight <= config.requests;
        assert_int_equal(limit_check(limit, weight, now).admit, expected);
        if (expected) {
            limit_take(limit, weight, now);
            calls[count++] = (struct model_call){MONO_NEVER, weight};
        }
        for (uint32_t i = count > 50 ? count - 50 : 0; i < count; i++) {
            if (calls[i].counts_until != MONO_NEVER || rng_between(&rng, 0, 5) > 0) {
                continue;
            }
            switch (rng_between(&rng, 0, 5)) {
            case 0:
                limit_refund(limit, calls[i].weight, now);
                calls[i].counts_until = now;
                break;
            case 1:
                limit_unknown(limit, calls[i].weight, now, now);
                calls[i].counts_until = now + config.max_flight_ns + config.per_ns;
                break;
            default:
                limit_arrived(limit, calls[i].weight, now, now);
                calls[i].counts_until = now + config.per_ns;
            }
        }
        if (rng_between(&rng, 0, 200) == 0) {
            now += config.max_flight_ns;
        }
    }
    limit_free(limit);
    free(calls);
}

/* With weights as well: asking before the time of a verdict is of no use. */
static void test_verdict_time_is_exact(void **state)
{
    (void)state;
    const struct limit_config configs[] = {window_of(7, S), bucket_of(7, S, 3)};
    for (size_t i = 0; i < 2; i++) {
        struct limit *limit = limit_at_zero(configs[i]);
        struct rng rng;
        mono_ns now = t0;
        rng_init(&rng, 6 + i);
        for (int step = 0; step < 20000; step++) {
            uint32_t weight = (uint32_t)rng_between(&rng, 1, 3);
            struct limit_verdict verdict = limit_check(limit, weight, now);
            if (!verdict.admit) {
                assert_true(verdict.at > now);
                assert_false(limit_check(limit, weight, verdict.at - 1).admit);
                now = verdict.at;
                continue; /* may need more than one step: others may have to come free as well */
            }
            call(limit, weight, now);
            now += rng_between(&rng, 0, 100 * MS);
        }
        limit_free(limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize_while_calls_are_out),
        cmocka_unit_test(test_far_times_do_not_overflow),
        cmocka_unit_test(test_bucket_resize_while_cold),
        cmocka_unit_test(test_window_against_a_model),
        cmocka_unit_test(test_verdict_time_is_exact),
    };
    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
