/* The peak that /metrics shows, against a brute-force count. */
#include "deliver/delivery_internal.h"

#include "sluice/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>

#define STARTS 400

static uint32_t brute_force(const mono_ns *stamps, uint32_t count, int64_t per_ns)
{
    uint32_t peak = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t in_window = 0;
        for (uint32_t j = i; j < count && stamps[j] < stamps[i] + per_ns; j++) {
            in_window++;
        }
        peak = in_window > peak ? in_window : peak;
    }
    return peak;
}

static void test_equals_brute_force(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 7);
    for (int round = 0; round < 200; round++) {
        struct window_peak peak = {0};
        mono_ns stamps[STARTS], now = 0;
        int64_t mean_gap = rng_between(&rng, 1, 400) * NS_PER_MS;
        window_peak_init(&peak, STARTS, NS_PER_S);
        for (uint32_t i = 0; i < STARTS; i++) {
            now += (int64_t)rng_exponential(&rng, (double)mean_gap);
            stamps[i] = now;
            window_peak_add(&peak, 1, now);
        }
        assert_int_equal(peak.peak, brute_force(stamps, STARTS, NS_PER_S));
        window_peak_done(&peak);
    }
}

static void test_window_is_half_open(void **state)
{
    struct window_peak peak = {0};

    (void)state;
    window_peak_init(&peak, 5, NS_PER_S);
    window_peak_add(&peak, 1, 0);
    window_peak_add(&peak, 1, NS_PER_S - 1);
    assert_int_equal(peak.peak, 2);
    window_peak_add(&peak, 1, NS_PER_S);
    assert_int_equal(peak.peak, 2);
    window_peak_done(&peak);
}

/* A violation must show: more than N are counted. */
static void test_counts_beyond_the_limit(void **state)
{
    struct window_peak peak = {0};

    (void)state;
    window_peak_init(&peak, 5, NS_PER_S);
    window_peak_add(&peak, 3, 10);
    window_peak_add(&peak, 4, 20);
    assert_int_equal(peak.peak, 7);
    window_peak_done(&peak);
}

static void test_a_new_limit_keeps_the_stamps_and_begins_its_own_peak(void **state)
{
    struct window_peak peak = {0};

    (void)state;
    window_peak_init(&peak, 10, NS_PER_S);
    for (int i = 0; i < 10; i++) {
        window_peak_add(&peak, 1, i);
    }
    assert_int_equal(peak.peak, 10);
    window_peak_init(&peak, 2, NS_PER_S);
    assert_int_equal(peak.peak, 0);
    window_peak_add(&peak, 1, 100);
    assert_int_equal(peak.peak, 11);
    window_peak_done(&peak);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_brute_force),
        cmocka_unit_test(test_window_is_half_open),
        cmocka_unit_test(test_counts_beyond_the_limit),
        cmocka_unit_test(test_a_new_limit_keeps_the_stamps_and_begins_its_own_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
