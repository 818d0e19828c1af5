#include "unit.h"

#define TOKEN (200 * MS) /* 5 per second */

static void test_it_starts_empty(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 10));
    assert_waits(limit, 1, 0, LIMIT_REASON_COLD, S + TOKEN);
    assert_int_equal(limit_free_permits(limit, S), 0);
    assert_waits(limit, 3, S + TOKEN, LIMIT_REASON_PERMIT, S + 3 * TOKEN);
    assert_int_equal(limit_free_permits(limit, S + 3 * TOKEN), 3);
    assert_int_equal(limit_free_permits(limit, 100 * S), 10);
    limit_free(limit);
}

static void test_a_burst_and_then_the_rate(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 3));
    const mono_ns now = 100 * S;
    for (int i = 0; i < 3; i++) {
        call(limit, 1, now);
    }
    assert_waits(limit, 1, now, LIMIT_REASON_PERMIT, now + TOKEN);
    assert_waits(limit, 1, now + TOKEN - 1, LIMIT_REASON_PERMIT, now + TOKEN);
    call(limit, 1, now + TOKEN);
    assert_waits(limit, 3, now + TOKEN, LIMIT_REASON_PERMIT, now + 4 * TOKEN);
    assert_waits(limit, 4, now + 100 * S, LIMIT_REASON_PERMIT, MONO_NEVER); /* deeper than that */
    limit_free(limit);
}

static void test_the_interval_is_rounded_up(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(7, S, 1));
    call(limit, 1, 100 * S);
    assert_waits(limit, 1, 100 * S, LIMIT_REASON_PERMIT, 100 * S + 142857143);
    limit_free(limit);
}

/* max(tat, now) + (u + weight - burst) * T <= now */
static void test_a_call_under_way_counts_as_arriving_now(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 2));
    start(limit, 1, 100 * S);
    start(limit, 1, 100 * S);
    assert_waits(limit, 1, 500 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, 499 * S, 500 * S);
    /* One still under way, the other charged: full again long ago, less the one under way. */
    start(limit, 1, 500 * S);
    assert_waits(limit, 1, 500 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, 500 * S, 500 * S);
    assert_waits(limit, 1, 500 * S, LIMIT_REASON_PERMIT, 500 * S + TOKEN);
    limit_free(limit);
}

static void test_unknown_counts_when_it_must_have_arrived(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 1));
    start(limit, 1, 100 * S);
    limit_unknown(limit, 1, 100 * S, 100 * S);
    assert_waits(limit, 1, 100 * S, LIMIT_REASON_PERMIT, 101 * S);
    assert_waits(limit, 1, 101 * S, LIMIT_REASON_PERMIT, 101 * S + TOKEN);
    assert_admits(limit, 1, 101 * S + TOKEN);
    limit_free(limit);
}

static void test_unknown_leaves_the_rest_of_a_deep_bucket(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 3));
    start(limit, 2, 100 * S);
    limit_unknown(limit, 2, 100 * S, 100 * S);
    call(limit, 1, 100 * S);
    assert_waits(limit, 1, 100 * S, LIMIT_REASON_PERMIT, 100 * S + TOKEN);
    assert_waits(limit, 2, 100 * S + TOKEN, LIMIT_REASON_PERMIT, 101 * S); /* all but these two */
    assert_waits(limit, 2, 101 * S, LIMIT_REASON_PERMIT, 101 * S + TOKEN);
    assert_admits(limit, 1, 101 * S);
    limit_free(limit);
}

static void test_guard_and_refund(void **state)
{
    (void)state;
    struct limit_config config = bucket_of(5, S, 1);
    config.guard_ns = 10 * MS;
    struct limit *limit = limit_at_zero(config);
    assert_waits(limit, 1, 0, LIMIT_REASON_COLD, S + TOKEN + 10 * MS);
    start(limit, 1, 100 * S);
    limit_refund(limit, 1, 100 * S);
    call(limit, 1, 100 * S);
    assert_waits(limit, 1, 100 * S, LIMIT_REASON_PERMIT, 100 * S + TOKEN + 10 * MS);
    limit_free(limit);
}

static void resize(struct limit *limit, uint32_t requests, uint32_t burst, mono_ns now)
{
    struct limit_config config = *limit_config(limit);
    config.requests = requests;
    config.burst = burst;
    assert_int_equal(limit_resize(limit, &config, now), 0);
}

static void test_resize_keeps_the_level(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 4));
    const mono_ns now = 100 * S;
    call(limit, 3, now); /* one token left */
    resize(limit, 5, 8, now);
    assert_int_equal(limit_free_permits(limit, now), 1); /* a deeper one is not filled by that */
    resize(limit, 10, 8, now);
    assert_int_equal(limit_free_permits(limit, now), 1);
    assert_int_equal(limit_free_permits(limit, now + S), 8);
    resize(limit, 10, 2, now + S);
    assert_int_equal(limit_free_permits(limit, now + S), 2);
    resize(limit, 10, 8, now + S); /* what did not fit in between is gone */
    assert_int_equal(limit_free_permits(limit, now + S), 2);
    limit_free(limit);
}

static void test_resize_with_calls_under_way(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 4));
    const mono_ns now = 100 * S;
    start(limit, 3, now);
    start(limit, 1, now);
    resize(limit, 5, 2, now);
    assert_waits(limit, 1, now, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 3, now + 1, now + 1);
    limit_unknown(limit, 1, now + 1, now + 1);
    assert_waits(limit, 1, now + 1, LIMIT_REASON_PERMIT, now + 1 + 3 * TOKEN);
    assert_admits(limit, 1, now + 3 * S);
    limit_free(limit);
}

/* More arrived than the bucket holds by now: what is owed is owed after another resize as well. */
static void test_resize_forgives_nothing(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 4));
    const mono_ns now = 100 * S;
    start(limit, 4, now);
    resize(limit, 5, 1, now);
    limit_arrived(limit, 4, now, now); /* three more than one */
    assert_waits(limit, 1, now, LIMIT_REASON_PERMIT, now + 4 * TOKEN);
    resize(limit, 10, 1, now);
    assert_waits(limit, 1, now, LIMIT_REASON_PERMIT, now + 2 * TOKEN);
    resize(limit, 10, 3, now);
    assert_waits(limit, 1, now, LIMIT_REASON_PERMIT, now + 2 * TOKEN);
    limit_free(limit);
}

static void test_the_largest_buckets(void **state)
{
    (void)state;
    struct limit_config slow = bucket_of(1, LIMIT_PER_MAX_NS, 1);
    struct limit_config deep = bucket_of(1, 30 * S, LIMIT_REQUESTS_MAX);
    struct limit_config fast = bucket_of(LIMIT_REQUESTS_MAX, 1, LIMIT_REQUESTS_MAX);
    const struct limit_config *const all[] = {&slow, &deep, &fast};
    for (size_t i = 0; i < SL_COUNT(all); i++) {
        struct limit *limit = limit_at_zero(*all[i]);
        mono_ns now = 2 * LIMIT_PER_MAX_NS;
        call(limit, all[i]->burst, now);
        assert_false(limit_check(limit, 1, now).admit);
        /* From the slowest to the fastest and back: no overflow, and never fuller than it was. */
        if (i == 0) {
            assert_int_equal(limit_resize(limit, &fast, now), 0);
            assert_int_equal(limit_free_permits(limit, now), 0);
            assert_int_equal(limit_resize(limit, &slow, now), 0);
            assert_int_equal(limit_free_permits(limit, now), 0);
        }
        limit_free(limit);
    }
}

/* The target that asked for a pause gets one call when it is over, not a bucketful. */
static void test_behind_a_gate_it_starts_with_one_token(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(5, S, 10));
    limit_gate(limit, 100 * S);
    limit_gate(limit, 90 * S); /* earlier: changes nothing */
    assert_int_equal(limit_gated_until(limit), 100 * S);
    assert_waits(limit, 1, 100 * S - 1, LIMIT_REASON_GATE, 100 * S);
    call(limit, 1, 100 * S);
    assert_waits(limit, 1, 100 * S, LIMIT_REASON_PERMIT, 100 * S + TOKEN);
    /* Not asked for a while, it has filled up meanwhile. */
    limit_gate(limit, 200 * S);
    assert_int_equal(limit_free_permits(limit, 200 * S + 3 * TOKEN), 4);
    assert_int_equal(limit_free_permits(limit, 300 * S), 10);
    limit_free(limit);
}

/* The pause is no debt of tokens: a slower rate during it makes it no longer. */
static void test_a_gate_over_a_resize(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(bucket_of(100, S, 10));
    const struct limit_config slow = bucket_of(1, S, 10);
    assert_int_equal(limit_free_permits(limit, 50 * S), 10);
    limit_gate(limit, 900 * S);
    assert_int_equal(limit_resize(limit, &slow, 60 * S), 0);
    assert_waits(limit, 1, 60 * S, LIMIT_REASON_GATE, 900 * S);
    call(limit, 1, 900 * S);
    assert_waits(limit, 1, 900 * S, LIMIT_REASON_PERMIT, 901 * S);
    limit_free(limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_behind_a_gate_it_starts_with_one_token),
        cmocka_unit_test(test_a_gate_over_a_resize),
        cmocka_unit_test(test_it_starts_empty),
        cmocka_unit_test(test_a_burst_and_then_the_rate),
        cmocka_unit_test(test_the_interval_is_rounded_up),
        cmocka_unit_test(test_a_call_under_way_counts_as_arriving_now),
        cmocka_unit_test(test_unknown_counts_when_it_must_have_arrived),
        cmocka_unit_test(test_unknown_leaves_the_rest_of_a_deep_bucket),
        cmocka_unit_test(test_guard_and_refund),
        cmocka_unit_test(test_resize_keeps_the_level),
        cmocka_unit_test(test_resize_with_calls_under_way),
        cmocka_unit_test(test_resize_forgives_nothing),
        cmocka_unit_test(test_the_largest_buckets),
    };
    return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
