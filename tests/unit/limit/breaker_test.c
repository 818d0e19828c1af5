#include "unit.h"

#include "sluice/limit/breaker.h"

static struct rng rng;

static const struct breaker_config ordinary = {
    .enabled = true, .failure_percent = 50, .max_open_ns = BREAKER_MAX_OPEN_NS};

static struct breaker fresh(void)
{
    struct breaker b;
    breaker_init(&b, &ordinary, 0);
    return b;
}

/* A call that starts and ends at once. True: the state changed. */
static bool ends(struct breaker *b, enum breaker_result result, mono_ns now)
{
    return breaker_ended(b, breaker_started(b, 0, now), result, &rng, now);
}

static void end_all(struct breaker *b, uint32_t count, enum breaker_result result, mono_ns now)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_false(ends(b, result, now));
    }
}

/* Opened and waited for: HALF_OPEN. */
static mono_ns half_open(struct breaker *b, mono_ns now)
{
    end_all(b, BREAKER_UNREACHED - 1, BREAKER_NOT_REACHED, now);
    assert_true(ends(b, BREAKER_NOT_REACHED, now));
    now = mono_max(now, b->until);
    assert_true(breaker_tick(b, now));
    return now;
}

static void test_opens_when_half_of_twenty_failed(void **state)
{
    struct breaker b = fresh();

    (void)state;
    end_all(&b, 10, BREAKER_SUCCEEDED, S);
    end_all(&b, 9, BREAKER_FAILED, S);
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_true(ends(&b, BREAKER_FAILED, S));
    assert_int_equal(b.state, BREAKER_OPEN);
    assert_int_equal(b.cause, BREAKER_CAUSE_FAILURES);
    assert_int_equal(b.calls, 20);
    assert_int_equal(b.failures, 10);
    assert_true(b.until >= S && b.until <= S + BREAKER_OPEN_NS);
    struct limit_verdict verdict = breaker_check(&b, 0, 8, S);
    assert_false(verdict.admit);
    assert_int_equal(verdict.reason, LIMIT_REASON_BREAKER);
    assert_int_equal(verdict.at, b.until);
}

static void test_fewer_than_half_leave_it_closed(void **state)
{
    struct breaker b = fresh();

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) { /* 49 of any hundred */
        assert_false(ends(&b, i % 100 >= 51 ? BREAKER_FAILED : BREAKER_SUCCEEDED, S));
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_forgets_by_count_and_by_time(void **state)
{
    struct breaker b = fresh();

    (void)state;
    end_all(&b, 100, BREAKER_SUCCEEDED, S);
    end_all(&b, 49, BREAKER_FAILED, S);
    assert_true(ends(&b, BREAKER_FAILED, S)); /* 50 of the last 100, not of 150 */

    b = fresh();
    end_all(&b, 9, BREAKER_FAILED, S);
    end_all(&b, 9, BREAKER_FAILED, S + BREAKER_MEMORY_NS); /* the others are forgotten */
    assert_true(ends(&b, BREAKER_FAILED, S + BREAKER_MEMORY_NS));
}

static void test_five_in_a_row_that_never_reached_it(void **state)
{
    struct breaker b = fresh();

    (void)state;
    end_all(&b, 90, BREAKER_SUCCEEDED, S);
    end_all(&b, 4, BREAKER_NOT_REACHED, S);
    end_all(&b, 1, BREAKER_THROTTLED, S); /* somebody answers */
    end_all(&b, 4, BREAKER_NOT_REACHED, S);
    end_all(&b, 1, BREAKER_IGNORED, S); /* says nothing */
    assert_true(ends(&b, BREAKER_NOT_REACHED, S));
    assert_int_equal(b.cause, BREAKER_CAUSE_UNREACHED);
    assert_true(b.unreached);
    assert_int_equal(b.calls, 5);
}

static void test_throttled_answers_count_neither_way(void **state)
{
    struct breaker b = fresh();

    (void)state;
    end_all(&b, 1000, BREAKER_THROTTLED, S);
    end_all(&b, 9, BREAKER_FAILED, S);
    end_all(&b, 1000, BREAKER_THROTTLED, S);
    assert_true(ends(&b, BREAKER_FAILED, S));
}

static void test_results_of_before_are_old_news(void **state)
{
    struct breaker b = fresh();
    uint32_t before = breaker_started(&b, 0, 0);

    (void)state;
    mono_ns now = half_open(&b, S);
    assert_false(breaker_ended(&b, before, BREAKER_SUCCEEDED, &rng, now));
    assert_false(breaker_ended(&b, before, BREAKER_FAILED, &rng, now));
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    assert_true(breaker_check(&b, 8, 8, now).admit); /* nor do they take the probe's place */
}

static void test_one_probe_at_a_time_and_three_successes(void **state)
{
    struct breaker b = fresh();
    mono_ns now = half_open(&b, S);

    (void)state;
    for (uint32_t i = 0; i < BREAKER_PROBES; i++) {
        assert_true(breaker_check(&b, 0, 8, now).admit);
        uint32_t probe = breaker_started(&b, 0, now);
        assert_false(breaker_check(&b, 1, 8, now).admit);
        assert_int_equal(breaker_check(&b, 1, 8, now).at, MONO_NEVER);
        assert_int_equal(breaker_ended(&b, probe, BREAKER_SUCCEEDED, &rng, now), i == 2);
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
    assert_int_equal(b.entered[BREAKER_OPEN], 1);
    assert_int_equal(b.entered[BREAKER_HALF_OPEN], 1);
    assert_int_equal(b.entered[BREAKER_CLOSED], 1);
    end_all(&b, 4, BREAKER_NOT_REACHED, now); /* what was before is forgotten */
}

static void test_a_throttled_probe_makes_room_for_the_next(void **state)
{
    struct breaker b = fresh();
    mono_ns now = half_open(&b, S);

    (void)state;
    end_all(&b, 100, BREAKER_THROTTLED, now);
    end_all(&b, 100, BREAKER_IGNORED, now);
    assert_int_equal(b.state, BREAKER_HALF_OPEN);
    assert_true(breaker_check(&b, 0, 8, now).admit);
}

/* Full jitter below a bound that doubles, at most max_open. */
static void test_open_times(void **state)
{
    enum { ROUNDS = 400, STEPS = 10 };
    double sum[STEPS] = {0};

    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct breaker b = fresh();
        mono_ns now = half_open(&b, S);
        for (uint32_t k = 1; k < STEPS; k++) {
            int64_t bound = mono_min(BREAKER_OPEN_NS << k, BREAKER_MAX_OPEN_NS);
            end_all(&b, 2, BREAKER_SUCCEEDED, now); /* not enough of them */
            assert_true(ends(&b, BREAKER_FAILED, now));
            assert_int_equal(b.cause, BREAKER_CAUSE_PROBE_FAILED);
            assert_true(b.until >= now && b.until <= now + bound);
            sum[k] += (double)(b.until - now) / (double)bound;
            assert_false(breaker_tick(&b, b.until - 1));
            now = b.until;
            assert_true(breaker_tick(&b, now));
        }
    }
    for (uint32_t k = 1; k < STEPS; k++) { /* means of 400 uniform draws: 0.5 ± 0.014 */
        assert_true(sum[k] / ROUNDS > 0.4 && sum[k] / ROUNDS < 0.6);
    }
}

static mono_ns closed_again(struct breaker *b, mono_ns now)
{
    now = half_open(b, now);
    end_all(b, 2, BREAKER_SUCCEEDED, now);
    assert_true(ends(b, BREAKER_SUCCEEDED, now));
    return now;
}

static void test_ramp_of_concurrency(void **state)
{
    struct breaker b = fresh();
    mono_ns now = closed_again(&b, S), end = now + BREAKER_RAMP_NS;
    uint32_t used = 0;

    (void)state;
    assert_int_equal(breaker_share_permille(&b, now), 100);
    while (used < 50) { /* as many as may run, then the time it names: one more */
        struct limit_verdict verdict = breaker_check(&b, used, 50, now);
        if (verdict.admit) {
            (void)breaker_started(&b, 0, now);
            used++;
            assert_true((double)used / 50 <=
                        0.1 + 0.9 * (double)(now - b.changed_at) / (double)BREAKER_RAMP_NS + 1e-6);
            continue;
        }
        assert_int_equal(verdict.reason, LIMIT_REASON_BREAKER);
        assert_true(verdict.at > now && verdict.at <= end);
        now = verdict.at;
    }
    assert_true(now > end - S && now <= end);
    assert_int_equal(breaker_share_permille(&b, end), 1000);
    assert_true(breaker_check(&b, 1, 1, end).admit); /* the bound itself is not ours to keep */
}

static void test_ramp_of_the_pace(void **state)
{
    struct breaker b = fresh();
    mono_ns start = closed_again(&b, S), now = start;
    uint32_t started = 0, first_half = 0;

    (void)state;
    while (now < start + BREAKER_RAMP_NS) { /* 100 per second, one at a time */
        struct limit_verdict verdict = breaker_check(&b, 0, 8, now);
        if (verdict.admit) {
            started++;
            first_half += now < start + BREAKER_RAMP_NS / 2 ? 1 : 0;
            (void)breaker_started(&b, 10 * MS, now);
            assert_true(b.ramp_next >= mono_min(now + 10 * MS, start + BREAKER_RAMP_NS));
        } else {
            now = verdict.at;
        }
    }
    assert_in_range(started, 500, 560); /* 55 % of 1,000 */
    assert_in_range(first_half, 140, 175);
}

/* A target that is down again before the ramp is over is not probed from one second again. */
static void test_a_relapse_goes_on_doubling(void **state)
{
    struct breaker b = fresh();
    mono_ns now = closed_again(&b, S);

    (void)state;
    assert_int_equal(b.doublings, 1);
    now = closed_again(&b, now + BREAKER_RAMP_NS - 1);
    assert_int_equal(b.doublings, 2);
    (void)closed_again(&b, now + BREAKER_RAMP_NS);
    assert_int_equal(b.doublings, 1);
}

static void test_disabled_it_never_opens(void **state)
{
    struct breaker b;

    (void)state;
    breaker_init(&b, &(struct breaker_config){0}, 0);
    end_all(&b, 1000, BREAKER_FAILED, S);
    end_all(&b, 1000, BREAKER_NOT_REACHED, S);
    assert_true(breaker_check(&b, 0, 8, S).admit);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
    assert_string_equal(breaker_state_name((enum breaker_state)99), "unknown");
    assert_string_equal(breaker_cause_name(BREAKER_CAUSE_PROBE_FAILED), "probe_failed");
    assert_string_equal(breaker_cause_name((enum breaker_cause)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_when_half_of_twenty_failed),
        cmocka_unit_test(test_fewer_than_half_leave_it_closed),
        cmocka_unit_test(test_forgets_by_count_and_by_time),
        cmocka_unit_test(test_five_in_a_row_that_never_reached_it),
        cmocka_unit_test(test_throttled_answers_count_neither_way),
        cmocka_unit_test(test_results_of_before_are_old_news),
        cmocka_unit_test(test_one_probe_at_a_time_and_three_successes),
        cmocka_unit_test(test_a_throttled_probe_makes_room_for_the_next),
        cmocka_unit_test(test_open_times),
        cmocka_unit_test(test_ramp_of_concurrency),
        cmocka_unit_test(test_ramp_of_the_pace),
        cmocka_unit_test(test_a_relapse_goes_on_doubling),
        cmocka_unit_test(test_disabled_it_never_opens),
        cmocka_unit_test(test_names),
    };

    rng_init(&rng, 1);
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
