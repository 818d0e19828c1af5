#include "unit.h"

static void test_reason_names(void **state)
{
    (void)state;
    assert_string_equal(limit_reason_name(LIMIT_REASON_NONE), "none");
    assert_string_equal(limit_reason_name(LIMIT_REASON_PERMIT), "permit");
    assert_string_equal(limit_reason_name(LIMIT_REASON_UNAVAILABLE), "unavailable");
    assert_string_equal(limit_reason_name(LIMIT_REASON__COUNT), "unknown");
}

static void refused(struct limit_config config, const char *where)
{
    struct error e = {0};
    struct limit *limit = NULL;
    assert_int_equal(limit_config_check(&config, &e), ERR_RANGE);
    assert_string_equal(e.where, where);
    assert_true(strlen(e.text) > 0);
    assert_int_equal(limit_new(&config, 0, &limit), ERR_RANGE);
    assert_null(limit);
}

static void test_bad_configuration_is_refused(void **state)
{
    (void)state;
    struct limit_config config = window_of(5, S);
    assert_int_equal(limit_config_check(&config, NULL), 0);
    refused(window_of(0, S), "requests");
    refused(window_of(LIMIT_REQUESTS_MAX + 1, S), "requests");
    refused(window_of(5, 0), "per");
    refused(window_of(5, -1), "per");
    refused(window_of(5, LIMIT_PER_MAX_NS + 1), "per");
    config.guard_ns = -1;
    refused(config, "guard");
    config = window_of(5, S);
    config.max_flight_ns = -1;
    refused(config, "max_flight");
    refused(bucket_of(5, S, 0), "burst");
    refused(bucket_of(5, S, LIMIT_REQUESTS_MAX + 1), "burst");
    refused(bucket_of(1, LIMIT_PER_MAX_NS, 2), "burst"); /* two years to fill */
}

static void test_a_new_limit_is_cold(void **state)
{
    (void)state;
    struct limit_config config = window_of(5, S);
    config.guard_ns = 10 * MS;
    config.pace = true;
    struct limit *limit = limit_at_zero(config);
    const mono_ns cold_until = 2 * S + 10 * MS; /* W + max_flight + guard */
    assert_waits(limit, 1, 0, LIMIT_REASON_COLD, cold_until);
    assert_int_equal(limit_free_permits(limit, cold_until - 1), 0);
    assert_waits(limit, 1, cold_until - 1, LIMIT_REASON_COLD, cold_until);
    assert_admits(limit, 1, cold_until);
    assert_int_equal(limit_free_permits(limit, cold_until), 5);
    limit_free(limit);
    limit_free(NULL);
}

static void test_a_permit_is_free_w_after_the_arrival(void **state)
{
    (void)state;
    struct limit_config config = window_of(2, S);
    config.guard_ns = 10 * MS;
    struct limit *limit = limit_at_zero(config);
    start(limit, 1, 10 * S);
    start(limit, 1, 10 * S);
    assert_waits(limit, 1, 10 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    assert_waits(limit, 1, 3600 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, 3599 * S, 3600 * S);
    const mono_ns due = 3600 * S + 10 * MS;
    assert_waits(limit, 1, 3600 * S, LIMIT_REASON_PERMIT, due);
    assert_waits(limit, 1, due - 1, LIMIT_REASON_PERMIT, due);
    start(limit, 1, due);
    assert_waits(limit, 1, due, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_free(limit);
}

static void test_arrivals_in_another_order(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(3, S));
    for (int i = 0; i < 3; i++) {
        start(limit, 1, 10 * S);
    }
    limit_arrived(limit, 1, 12 * S, 12 * S);
    limit_arrived(limit, 1, 11 * S, 12 * S);
    limit_arrived(limit, 1, 11 * S + 5, 12 * S);
    call(limit, 1, 12 * S);
    assert_waits(limit, 1, 12 * S, LIMIT_REASON_PERMIT, 12 * S + 5);
    call(limit, 1, 12 * S + 5);
    assert_waits(limit, 1, 12 * S + 5, LIMIT_REASON_PERMIT, 13 * S);
    limit_free(limit);
}

static void test_unknown_is_held_for_max_flight_too(void **state)
{
    (void)state;
    struct limit_config config = window_of(1, S);
    config.guard_ns = 10 * MS;
    struct limit *limit = limit_at_zero(config);
    start(limit, 1, 10 * S);
    limit_unknown(limit, 1, 11 * S, 11 * S + 500 * MS);
    assert_waits(limit, 1, 12 * S, LIMIT_REASON_PERMIT, 13 * S + 10 * MS);
    assert_admits(limit, 1, 13 * S + 10 * MS);
    limit_free(limit);
}

static void test_a_refund_is_free_at_once(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(2, S));
    call(limit, 1, 10 * S);
    start(limit, 1, 10 * S);
    limit_refund(limit, 1, 10 * S + 1);
    assert_int_equal(limit_free_permits(limit, 10 * S + 1), 1);
    call(limit, 1, 10 * S + 1); /* and only that one */
    assert_waits(limit, 1, 10 * S + 1, LIMIT_REASON_PERMIT, 11 * S);
    limit_free(limit);
}

static void test_the_pacer_spreads(void **state)
{
    (void)state;
    struct limit_config config = window_of(7, S);
    config.pace = true;
    struct limit *limit = limit_at_zero(config);
    const int64_t interval = 142857143; /* rounded up */
    const int64_t tolerance = interval / 2;
    call(limit, 1, 10 * S);
    assert_waits(limit, 1, 10 * S, LIMIT_REASON_PACER, 10 * S + interval - tolerance);
    call(limit, 1, 10 * S + interval + 50 * MS); /* late: caught up with */
    assert_waits(limit, 1, 10 * S + interval + 50 * MS, LIMIT_REASON_PACER,
                 10 * S + 2 * interval + 50 * MS - tolerance);
    call(limit, 1, 10 * S + 2 * interval + 50 * MS - tolerance);
    assert_waits(limit, 1, 10 * S + 2 * interval, LIMIT_REASON_PACER,
                 10 * S + 3 * interval + 50 * MS - tolerance);
    limit_free(limit);
}

static void test_the_pacer_catches_up_ten_ms(void **state)
{
    (void)state;
    struct limit_config config = window_of(1000, S);
    config.pace = true;
    struct limit *limit = limit_at_zero(config);
    mono_ns now = 10 * S;
    uint32_t count = 0;
    for (; limit_check(limit, 1, now).admit; count++) {
        limit_take(limit, 1, now);
    }
    assert_int_equal(count, 11);
    assert_waits(limit, 1, now, LIMIT_REASON_PACER, now + MS);
    limit_free(limit);
}

static void test_weight(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(5, S));
    assert_waits(limit, 6, 10 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    call(limit, 2, 10 * S);
    call(limit, 2, 10 * S + 100);
    assert_waits(limit, 2, 10 * S + 200, LIMIT_REASON_PERMIT, 11 * S);
    call(limit, 1, 10 * S + 300);
    assert_waits(limit, 1, 10 * S + 300, LIMIT_REASON_PERMIT, 11 * S);
    assert_admits(limit, 2, 11 * S);
    assert_waits(limit, 3, 11 * S, LIMIT_REASON_PERMIT, 11 * S + 100);
    assert_waits(limit, 5, 11 * S + 100, LIMIT_REASON_PERMIT, 11 * S + 300);
    start(limit, 5, 11 * S + 300);
    assert_int_equal(limit_free_permits(limit, 11 * S + 300), 0);
    limit_refund(limit, 5, 11 * S + 300);
    assert_int_equal(limit_free_permits(limit, 11 * S + 300), 5);
    limit_free(limit);
}

static void test_the_gate(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(1, S));
    limit_gate(limit, 20 * S);
    limit_gate(limit, 15 * S); /* the latest wins */
    assert_waits(limit, 1, 10 * S, LIMIT_REASON_GATE, 20 * S);
    call(limit, 1, 20 * S);
    limit_gate(limit, 20 * S + 1);
    assert_waits(limit, 1, 20 * S, LIMIT_REASON_PERMIT, 21 * S); /* what lasts longest is named */
    limit_gate(limit, 30 * S);
    assert_waits(limit, 1, 20 * S, LIMIT_REASON_GATE, 30 * S);
    limit_free(limit);
}

static void test_time_does_not_go_back(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(1, S));
    call(limit, 1, 10 * S);
    assert_waits(limit, 1, 9 * S, LIMIT_REASON_PERMIT, 11 * S);
    assert_waits(limit, 1, 11 * S - 1, LIMIT_REASON_PERMIT, 11 * S);
    assert_admits(limit, 1, 11 * S);
    assert_admits(limit, 1, 5 * S); /* still the newest time seen */
    limit_take(limit, 1, 5 * S);
    /* 100 ms ago by a clock that has lost 6 s. */
    limit_arrived(limit, 1, 5 * S - 100 * MS, 5 * S);
    assert_waits(limit, 1, 6 * S, LIMIT_REASON_PERMIT, 12 * S - 100 * MS);
    limit_free(limit);
}

static void resize(struct limit *limit, uint32_t requests, int64_t per_ns, mono_ns now)
{
    struct limit_config config = *limit_config(limit);
    config.requests = requests;
    config.per_ns = per_ns;
    assert_int_equal(limit_resize(limit, &config, now), 0);
    assert_int_equal(limit_config(limit)->requests, requests);
}

static void test_resize_of_n_keeps_history(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(4, S));
    for (int i = 0; i < 3; i++) {
        call(limit, 1, 10 * S + i);
    }
    start(limit, 1, 10 * S + 3);
    resize(limit, 2, S, 10 * S + 10); /* fewer: wait until used < N */
    assert_waits(limit, 1, 10 * S + 10, LIMIT_REASON_PERMIT, 11 * S + 2);
    limit_arrived(limit, 1, 10 * S + 4, 10 * S + 20);
    assert_waits(limit, 2, 11 * S + 2, LIMIT_REASON_PERMIT, 11 * S + 4);
    start(limit, 1, 11 * S + 2);
    resize(limit, 5, S, 11 * S + 2); /* more: the new ones are free, the used ones are not */
    assert_int_equal(limit_free_permits(limit, 11 * S + 2), 3);
    start(limit, 3, 11 * S + 2);
    assert_waits(limit, 1, 11 * S + 2, LIMIT_REASON_PERMIT, 11 * S + 4);
    limit_free(limit);
}

/* More calls under way than the new N; one of them turns out to have arrived long ago, while the
 * permits that went were of later arrivals. */
static void test_resize_to_fewer_than_are_held(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(4, S));
    for (int i = 0; i < 3; i++) {
        start(limit, 1, 10 * S);
    }
    call(limit, 1, 15 * S); /* three are still on their way */
    resize(limit, 2, S, 15 * S + 1);
    assert_waits(limit, 1, 15 * S + 1, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, 10 * S, 15 * S + 2); /* the third: more than N even now */
    assert_waits(limit, 1, 15 * S + 2, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, 10 * S, 15 * S + 3);
    /* Its own W is over, but a call arrived at 15 s and another is under way: that is two. */
    assert_waits(limit, 1, 15 * S + 3, LIMIT_REASON_PERMIT, 16 * S);
    assert_admits(limit, 1, 16 * S);
    limit_free(limit);
}

static void test_resize_of_w_keeps_history(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(2, S));
    call(limit, 1, 10 * S);
    call(limit, 1, 10 * S + 200 * MS);
    resize(limit, 2, 500 * MS, 10 * S + 300 * MS); /* shorter */
    assert_waits(limit, 1, 10 * S + 300 * MS, LIMIT_REASON_PERMIT, 10 * S + 500 * MS);
    call(limit, 1, 10 * S + 500 * MS);
    resize(limit, 2, 10 * S, 12 * S); /* longer: what was free is not */
    assert_waits(limit, 1, 12 * S, LIMIT_REASON_PERMIT, 20 * S + 200 * MS);
    resize(limit, 4, 10 * S, 12 * S); /* nor are more: a third call arrived at 10 s */
    assert_waits(limit, 1, 12 * S, LIMIT_REASON_PERMIT, 20 * S);
    call(limit, 1, 3600 * S);
    resize(limit, 4, 60 * S, 3600 * S); /* after a long rest there is nothing to wait for */
    assert_int_equal(limit_free_permits(limit, 3600 * S), 3);
    limit_free(limit);
}

static void test_resize_keeps_the_cold_hold(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(2, S));
    resize(limit, 100, 10 * S, S / 2);
    assert_waits(limit, 1, 2 * S, LIMIT_REASON_COLD, 11 * S);
    resize(limit, 100, 100 * MS, 3 * S / 2);
    assert_admits(limit, 100, 3 * S / 2);
    limit_free(limit);
}

static void test_resize_refuses(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(2, S));
    struct limit_config config = bucket_of(5, S, 1);
    assert_int_equal(limit_resize(limit, &config, 0), ERR_INVALID);
    config = window_of(0, S);
    assert_int_equal(limit_resize(limit, &config, 0), ERR_RANGE);
    assert_int_equal(limit_config(limit)->requests, 2);
    limit_free(limit);
}

/* A pace of one a day must not hold up the first call at a new pace. */
static void test_resize_shortens_what_the_pacer_owes(void **state)
{
    (void)state;
    struct limit_config config = window_of(1, 86400 * S);
    config.pace = true;
    struct limit *limit = limit_at_zero(config);
    mono_ns now = 100000 * S;
    call(limit, 1, now);
    resize(limit, 1000, S, now + 2 * S);
    assert_admits(limit, 1, now + 2 * S);
    limit_free(limit);
}

static void test_the_longest_windows(void **state)
{
    (void)state;
    const uint32_t sizes[] = {1, 7, LIMIT_REQUESTS_MAX};
    for (size_t i = 0; i < SL_COUNT(sizes); i++) {
        struct limit_config config = window_of(sizes[i], LIMIT_PER_MAX_NS);
        config.pace = true;
        config.guard_ns = config.max_flight_ns = LIMIT_FLIGHT_MAX_NS;
        struct limit *limit = limit_at_zero(config);
        mono_ns now = limit_check(limit, 1, 0).at;
        assert_int_equal(now, LIMIT_PER_MAX_NS + 2 * LIMIT_FLIGHT_MAX_NS);
        start(limit, sizes[i], now);
        limit_unknown(limit, sizes[i], now, now);
        assert_waits(limit, sizes[i], now, LIMIT_REASON_PERMIT,
                     now + LIMIT_PER_MAX_NS + 2 * LIMIT_FLIGHT_MAX_NS);
        limit_free(limit);
    }
    assert_true(
        limit_config_check(
            &(struct limit_config){.kind = LIMIT_WINDOW, .requests = 1, .per_ns = INT64_MAX},
            NULL) == ERR_RANGE);
}

/* Whatever happened before: not a ns before the time of the verdict, and then for certain. */
static void test_the_time_of_a_verdict_is_exact(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 7);
    for (int round = 0; round < 200; round++) {
        struct limit_config config = window_of((uint32_t)rng_between(&rng, 1, 20), S);
        config.pace = round % 2 == 0;
        config.guard_ns = rng_between(&rng, 0, 10 * MS);
        struct limit *limit = limit_at_zero(config);
        mono_ns now = 0;
        uint32_t held = 0;
        for (int step = 0; step < 200; step++) {
            struct limit_verdict verdict = limit_check(limit, 1, now);
            if (verdict.admit) {
                limit_take(limit, 1, now);
                held++;
            } else if (verdict.at != MONO_NEVER) {
                assert_false(limit_check(limit, 1, verdict.at - 1).admit);
                now = verdict.at;
                assert_admits(limit, 1, now);
                continue;
            }
            if (held > 0 && rng_between(&rng, 0, 1) == 0) {
                now += rng_between(&rng, 0, 50 * MS);
                limit_arrived(limit, 1, now, now);
                held--;
            }
        }
        limit_free(limit);
    }
}

static void test_pace_per_second(void **state)
{
    (void)state;
    struct limit *limit = limit_at_zero(window_of(30, 60 * S));
    assert_float_equal(limit_pace_per_second(limit), 0.5, 1e-12);
    limit_free(limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reason_names),
        cmocka_unit_test(test_bad_configuration_is_refused),
        cmocka_unit_test(test_a_new_limit_is_cold),
        cmocka_unit_test(test_a_permit_is_free_w_after_the_arrival),
        cmocka_unit_test(test_arrivals_in_another_order),
        cmocka_unit_test(test_unknown_is_held_for_max_flight_too),
        cmocka_unit_test(test_a_refund_is_free_at_once),
        cmocka_unit_test(test_the_pacer_spreads),
        cmocka_unit_test(test_the_pacer_catches_up_ten_ms),
        cmocka_unit_test(test_weight),
        cmocka_unit_test(test_the_gate),
        cmocka_unit_test(test_time_does_not_go_back),
        cmocka_unit_test(test_resize_of_n_keeps_history),
        cmocka_unit_test(test_resize_to_fewer_than_are_held),
        cmocka_unit_test(test_resize_of_w_keeps_history),
        cmocka_unit_test(test_resize_keeps_the_cold_hold),
        cmocka_unit_test(test_resize_refuses),
        cmocka_unit_test(test_resize_shortens_what_the_pacer_owes),
        cmocka_unit_test(test_the_longest_windows),
        cmocka_unit_test(test_the_time_of_a_verdict_is_exact),
        cmocka_unit_test(test_pace_per_second),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
