#include "unit/base/unit.h"

#include "flow/flow_internal.h"

static void doubles_then_grows_linearly(void **state)
{
    /* The example of Google Cloud Tasks: 10 s, 20, 40, 80, then by 80, at most 300. */
    static const int64_t seconds[] = {10, 20, 40, 80, 160, 240, 300, 300, 300};
    const struct retry_config retry = {
        .min_backoff_ns = 10 * NS_PER_S, .max_backoff_ns = 300 * NS_PER_S, .max_doublings = 3};

    (void)state;
    for (uint32_t k = 0; k < SL_COUNT(seconds); k++) {
        assert_int_equal(retry_backoff_bound_ns(&retry, k), seconds[k] * NS_PER_S);
    }
}

static void never_overflows(void **state)
{
    const struct retry_config retry = {.min_backoff_ns = 3600 * NS_PER_S,
                                       .max_backoff_ns = 43200 * NS_PER_S,
                                       .max_doublings = UINT32_MAX};
    const struct retry_config linear = {
        .min_backoff_ns = INT64_MAX / 2, .max_backoff_ns = INT64_MAX, .max_doublings = 0};
    const struct retry_config zero = {.max_backoff_ns = NS_PER_S, .max_doublings = 5};

    (void)state;
    for (uint32_t k = 4; k != 0; k = k * 3 + 1 > k ? k * 3 + 1 : 0) {
        assert_int_equal(retry_backoff_bound_ns(&retry, k), 43200 * NS_PER_S);
        assert_int_equal(retry_backoff_bound_ns(&zero, k), 0);
        assert_true(retry_backoff_bound_ns(&linear, k) > 0);
    }
    assert_int_equal(retry_backoff_bound_ns(&retry, UINT32_MAX), 43200 * NS_PER_S);
}

/* Full jitter: anything between nothing and the bound, evenly. */
static void full_jitter(void **state)
{
    const struct retry_config retry = {
        .min_backoff_ns = NS_PER_S, .max_backoff_ns = 60 * NS_PER_S, .max_doublings = 16};
    struct rng rng;

    (void)state;
    rng_init(&rng, unit_seed());
    for (uint32_t k = 0; k < 10; k++) {
        int64_t bound = retry_backoff_bound_ns(&retry, k), low = 0, sum = 0;
        for (int i = 0; i < 4000; i++) {
            int64_t wait = retry_backoff_ns(&retry, k, &rng);
            assert_in_range(wait, 0, bound);
            low += wait < bound / 10 ? 1 : 0;
            sum += wait / 4000;
        }
        assert_in_range(low, 250, 550); /* a tenth of them, 400, give or take seven deviations */
        assert_in_range(sum, bound * 45 / 100, bound * 55 / 100);
    }
}

static void plain_backoff_has_a_bound(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, unit_seed());
    for (uint32_t k = 0; k < 1000; k++) {
        assert_in_range(backoff_ns(RECEIVE_BACKOFF_NS, k, &rng), 0, BACKOFF_MAX_NS);
    }
}

static void rate_of_ends(void **state)
{
    struct end_rate rate = {.since = 0};

    (void)state;
    for (int i = 1; i <= 200; i++) { /* 50 a second */
        end_rate_note(&rate, i * 20 * NS_PER_MS);
    }
    double per_second = end_rate_per_second(&rate, 4 * NS_PER_S);
    assert_true(per_second > 45 && per_second < 55);
    /* Then silence: the figure decays. */
    assert_true(end_rate_per_second(&rate, 64 * NS_PER_S) < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_then_grows_linearly),
        cmocka_unit_test(never_overflows),
        cmocka_unit_test(full_jitter),
        cmocka_unit_test(plain_backoff_has_a_bound),
        cmocka_unit_test(rate_of_ends),
    };

    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
