#include "unit.h"

static void assert_says(struct concurrency *c, mono_ns now, enum limit_reason reason, mono_ns at)
{
    struct limit_verdict verdict = concurrency_check(c, now);
    assert_int_equal(verdict.admit, reason == LIMIT_REASON_NONE);
    assert_string_equal(limit_reason_name(verdict.reason), limit_reason_name(reason));
    if (!verdict.admit) {
        assert_int_equal(verdict.at, at);
    }
}

static void test_at_most_k(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 2, 0, true, 0); /* unclean, but no hold: starts at once */
    assert_says(&c, 0, LIMIT_REASON_NONE, 0);
    concurrency_take(&c);
    concurrency_take(&c);
    assert_says(&c, S, LIMIT_REASON_CONCURRENCY, MONO_NEVER);
    concurrency_end(&c, false, S); /* no hold: the end of the socket is the end */
    assert_says(&c, S, LIMIT_REASON_NONE, 0);
    assert_int_equal(concurrency_used(&c, S), 1);
    concurrency_end(&c, true, S);
    assert_int_equal(concurrency_used(&c, S), 0);
    concurrency_done(&c);
}

static void test_without_a_response_a_slot_lingers(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 3, 10 * S, false, 0);
    for (int i = 0; i < 3; i++) {
        concurrency_take(&c);
    }
    concurrency_end(&c, false, S);
    concurrency_end(&c, false, 2 * S);
    assert_int_equal(concurrency_used(&c, 2 * S), 3);
    assert_int_equal(c.in_flight, 1);
    assert_says(&c, 2 * S, LIMIT_REASON_CONCURRENCY, 11 * S);
    assert_says(&c, 11 * S - 1, LIMIT_REASON_CONCURRENCY, 11 * S);
    assert_says(&c, 11 * S, LIMIT_REASON_NONE, 0);
    concurrency_take(&c);
    assert_says(&c, 11 * S, LIMIT_REASON_CONCURRENCY, 12 * S);
    concurrency_end(&c, true, 11 * S); /* answered: nothing lingers */
    assert_says(&c, 11 * S, LIMIT_REASON_NONE, 0);
    assert_int_equal(concurrency_used(&c, 100 * S), 1);
    concurrency_done(&c);
}

static void test_unclean_start(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 3, 10 * S, true, S);
    assert_says(&c, S, LIMIT_REASON_COLD, 11 * S);
    assert_says(&c, 11 * S, LIMIT_REASON_NONE, 0);
    concurrency_done(&c);
    concurrency_init(&c, 3, 10 * S, false, S);
    assert_says(&c, S, LIMIT_REASON_NONE, 0);
    concurrency_done(&c);
}

static void test_quiet(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 2, 10 * S, true, 100 * S);
    assert_false(concurrency_is_quiet(&c, 110 * S - 1)); /* what the process before left */
    assert_true(concurrency_is_quiet(&c, 110 * S));
    concurrency_take(&c);
    assert_false(concurrency_is_quiet(&c, 110 * S));
    concurrency_end(&c, false, 111 * S);
    assert_false(concurrency_is_quiet(&c, 121 * S - 1));
    assert_true(concurrency_is_quiet(&c, 121 * S));
    concurrency_done(&c);
}

static void test_resize(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 4, 10 * S, false, 0);
    for (int i = 0; i < 4; i++) {
        concurrency_take(&c);
    }
    for (int i = 0; i < 3; i++) {
        concurrency_end(&c, false, (i + 1) * S);
    }
    concurrency_resize(&c, 2); /* one runs, three linger: two of these have to end, and one more */
    assert_says(&c, 3 * S, LIMIT_REASON_CONCURRENCY, 13 * S);
    concurrency_resize(&c, 1);
    assert_says(&c, 3 * S, LIMIT_REASON_CONCURRENCY, MONO_NEVER);
    concurrency_end(&c, false, 4 * S);
    assert_says(&c, 4 * S, LIMIT_REASON_CONCURRENCY, 14 * S);
    concurrency_resize(&c, 6);
    assert_says(&c, 4 * S, LIMIT_REASON_NONE, 0);
    for (int i = 0; i < 2; i++) {
        concurrency_take(&c);
        concurrency_end(&c, false, 5 * S);
    }
    assert_int_equal(concurrency_used(&c, 5 * S), 6);
    assert_says(&c, 5 * S, LIMIT_REASON_CONCURRENCY, 11 * S);
    assert_int_equal(concurrency_used(&c, 14 * S), 2);
    assert_int_equal(concurrency_used(&c, 15 * S), 0);
    concurrency_done(&c);
}

/* The ring of those that linger is copied while it does not begin at its first place. */
static void test_resize_of_a_ring_in_use(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 3, 10 * S, false, 0);
    for (int i = 0; i < 3; i++) {
        concurrency_take(&c);
        concurrency_end(&c, false, i * S);
    }
    assert_int_equal(concurrency_used(&c, 11 * S), 1);
    concurrency_take(&c);
    concurrency_end(&c, false, 11 * S);
    concurrency_resize(&c, 8);
    concurrency_resize(&c, 2);
    assert_says(&c, 11 * S, LIMIT_REASON_CONCURRENCY, 12 * S);
    assert_int_equal(concurrency_used(&c, 12 * S), 1);
    concurrency_take(&c);
    assert_says(&c, 12 * S, LIMIT_REASON_CONCURRENCY, 21 * S);
    concurrency_done(&c);
}

static void test_time_that_goes_back(void **state)
{
    (void)state;
    struct concurrency c;
    concurrency_init(&c, 2, 10 * S, false, 0);
    concurrency_take(&c);
    concurrency_take(&c);
    concurrency_end(&c, false, 2 * S);
    concurrency_end(&c, false, 1 * S); /* waits for the one before: the ring stays ordered */
    assert_says(&c, 12 * S - 1, LIMIT_REASON_CONCURRENCY, 12 * S);
    assert_int_equal(concurrency_used(&c, 12 * S - 1), 2);
    concurrency_resize(&c, 1);
    assert_says(&c, 11 * S, LIMIT_REASON_CONCURRENCY, 12 * S);
    assert_int_equal(concurrency_used(&c, 12 * S), 0);
    concurrency_done(&c);
}

/* Against a plain list of what runs and lingers. */
static void test_random_operations(void **state)
{
    (void)state;
    struct concurrency c;
    struct rng rng;
    mono_ns ends[64];
    uint32_t lingering = 0, running = 0, bound = 5;
    mono_ns now = 0;
    rng_init(&rng, 3);
    concurrency_init(&c, bound, S, false, 0);
    for (int step = 0; step < 50000; step++) {
        now += rng_between(&rng, 0, 300 * MS);
        for (uint32_t i = 0; i < lingering;) {
            if (ends[i] <= now) {
                ends[i] = ends[--lingering];
            } else {
                i++;
            }
        }
        assert_int_equal(concurrency_used(&c, now), running + lingering);
        struct limit_verdict verdict = concurrency_check(&c, now);
        assert_int_equal(verdict.admit, running + lingering < bound);
        int64_t what = rng_between(&rng, 0, 9);
        if (what < 5 && verdict.admit) {
            concurrency_take(&c);
            running++;
        } else if (what < 9 && running > 0) {
            bool responded = rng_between(&rng, 0, 1) == 0;
            concurrency_end(&c, responded, now);
            running--;
            if (!responded) {
                ends[lingering++] = now + S;
            }
        } else if (what == 9) {
            bound = (uint32_t)rng_between(&rng, 1, 30);
            concurrency_resize(&c, bound);
        }
    }
    concurrency_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_most_k),
        cmocka_unit_test(test_without_a_response_a_slot_lingers),
        cmocka_unit_test(test_unclean_start),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_resize_of_a_ring_in_use),
        cmocka_unit_test(test_time_that_goes_back),
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests_name("concurrency", tests, NULL, NULL);
}
