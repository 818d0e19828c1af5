#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/rng.h"
#include "sluice/limit/concurrency.h"

#define HOLD (2 * NS_PER_S)

static void assert_waits(struct concurrency *c, mono_ns now, enum limit_reason reason, mono_ns at)
{
    struct limit_verdict verdict = concurrency_check(c, now);
    assert_false(verdict.admit);
    assert_int_equal(verdict.reason, reason);
    assert_int_equal(verdict.at, at);
}

static void assert_admits(struct concurrency *c, mono_ns now)
{
    struct limit_verdict verdict = concurrency_check(c, now);
    assert_true(verdict.admit);
    assert_int_equal(verdict.reason, LIMIT_REASON_NONE);
    assert_int_equal(verdict.at, now);
}

static void test_bound(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 2, HOLD, false, 0);
    assert_admits(&c, 0);
    concurrency_take(&c);
    assert_admits(&c, 0);
    concurrency_take(&c);
    assert_waits(&c, 0, LIMIT_REASON_CONCURRENCY, MONO_NEVER);
    concurrency_end(&c, true, 5);
    assert_admits(&c, 5);
    assert_int_equal(concurrency_used(&c, 5), 1);
    concurrency_end(&c, true, 6);
    assert_int_equal(concurrency_used(&c, 6), 0);
    concurrency_done(&c);
}

static void test_aborted_attempt_lingers(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 2, HOLD, false, 0);
    concurrency_take(&c);
    concurrency_take(&c);
    concurrency_end(&c, false, 10);
    concurrency_end(&c, false, 20);
    assert_int_equal(concurrency_used(&c, 20), 2);
    assert_waits(&c, 20, LIMIT_REASON_CONCURRENCY, 10 + HOLD);
    assert_waits(&c, 9 + HOLD, LIMIT_REASON_CONCURRENCY, 10 + HOLD);
    assert_admits(&c, 10 + HOLD);
    concurrency_take(&c);
    assert_waits(&c, 10 + HOLD, LIMIT_REASON_CONCURRENCY, 20 + HOLD);
    assert_admits(&c, 20 + HOLD);
    concurrency_done(&c);
}

static void test_no_hold_frees_at_once(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 1, 0, true, 7);
    assert_admits(&c, 7);
    concurrency_take(&c);
    concurrency_end(&c, false, 8);
    assert_admits(&c, 8);
    concurrency_resize(&c, 3);
    assert_admits(&c, 8);
    concurrency_done(&c);
}

static void test_unclean_start_waits(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 1, HOLD, true, 100);
    assert_waits(&c, 100, LIMIT_REASON_COLD, 100 + HOLD);
    assert_waits(&c, 99 + HOLD, LIMIT_REASON_COLD, 100 + HOLD);
    assert_admits(&c, 100 + HOLD);
    concurrency_done(&c);
}

static void test_resize_keeps_what_runs(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 4, HOLD, false, 0);
    for (int i = 0; i < 4; i++) {
        concurrency_take(&c);
    }
    for (int i = 0; i < 3; i++) {
        concurrency_end(&c, false, i);
    }
    concurrency_resize(&c, 2);
    assert_int_equal(concurrency_used(&c, 3), 4);
    assert_waits(&c, 3, LIMIT_REASON_CONCURRENCY, 2 + HOLD); /* three of four have to go */
    assert_admits(&c, 2 + HOLD);
    assert_int_equal(concurrency_used(&c, 1 + HOLD), 1);
    concurrency_end(&c, false, 2 + HOLD);
    concurrency_resize(&c, 7); /* the ring is copied while its start is not at index 0 */
    assert_int_equal(concurrency_used(&c, 2 + HOLD), 1);
    for (int i = 0; i < 6; i++) {
        assert_admits(&c, 2 + HOLD);
        concurrency_take(&c);
    }
    assert_waits(&c, 2 + HOLD, LIMIT_REASON_CONCURRENCY, 2 + HOLD + HOLD);
    concurrency_done(&c);
}

static void test_clock_that_goes_back(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 2, HOLD, false, 0);
    concurrency_take(&c);
    concurrency_take(&c);
    concurrency_end(&c, false, 1000);
    concurrency_end(&c, false, 500);
    assert_int_equal(concurrency_used(&c, 999 + HOLD), 2);
    assert_int_equal(concurrency_used(&c, 1000 + HOLD), 0);
    concurrency_done(&c);
}

#define STEPS 200000
#define MOST  9

/* Against a plain list of the times at which each attempt stops counting. */
static void test_against_a_model(void **state)
{
    (void)state;
    struct concurrency c;
    struct rng rng;
    mono_ns ends[STEPS / 100] = {0};
    uint32_t end_count = 0, running = 0, bound = 3;
    mono_ns now = 0;

    rng_init(&rng, 11);
    concurrency_init(&c, bound, 50, false, 0);
    for (int step = 0; step < STEPS; step++) {
        now += rng_between(&rng, 0, 5);
        uint32_t lingering = 0;
        for (uint32_t i = 0; i < end_count; i++) {
            if (ends[i] > now) {
                ends[lingering++] = ends[i];
            }
        }
        end_count = lingering;
        assert_int_equal(concurrency_used(&c, now), running + lingering);
        struct limit_verdict verdict = concurrency_check(&c, now);
        assert_int_equal(verdict.admit, running + lingering < bound);
        assert_true(verdict.admit || verdict.at > now);
        if (verdict.admit && rng_between(&rng, 0, 2) > 0) {
            concurrency_take(&c);
            running++;
        } else if (running > 0 && rng_between(&rng, 0, 2) == 0) {
            bool responded = rng_between(&rng, 0, 1) == 0;
            concurrency_end(&c, responded, now);
            running--;
            if (!responded) {
                ends[end_count++] = now + 50;
            }
        } else if (rng_between(&rng, 0, 50) == 0) {
            bound = (uint32_t)rng_between(&rng, 1, MOST);
            concurrency_resize(&c, bound);
        }
    }
    concurrency_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_aborted_attempt_lingers),
        cmocka_unit_test(test_no_hold_frees_at_once),
        cmocka_unit_test(test_unclean_start_waits),
        cmocka_unit_test(test_resize_keeps_what_runs),
        cmocka_unit_test(test_clock_that_goes_back),
        cmocka_unit_test(test_against_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
