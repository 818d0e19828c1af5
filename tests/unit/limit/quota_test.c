/* A quota's periods: what counts for which of them, and what a record says. */
#include "unit.h"

#define HOUR LIMIT_HOUR_NS

static struct limit_config quota_of(uint32_t requests)
{
    return (struct limit_config){
        .kind = LIMIT_QUOTA, .requests = requests, .per_ns = HOUR, .max_flight_ns = S};
}

/* The hour `id` begins at id hours. */
static void tell(struct limit *limit, int64_t id, mono_ns now)
{
    const struct limit_period told[2] = {{id, id * HOUR, (id + 1) * HOUR},
                                         {id + 1, (id + 1) * HOUR, (id + 2) * HOUR}};
    limit_quota_periods(limit, told, now);
}

static struct limit *quota_at_zero(uint32_t requests)
{
    struct limit *limit = limit_at_zero(quota_of(requests));
    assert_waits(limit, 1, 0, LIMIT_REASON_QUOTA, MONO_NEVER); /* no period is known */
    tell(limit, 0, 0);
    return limit;
}

static void test_a_period(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(3);
    call(limit, 1, 10 * S);
    call(limit, 2, 20 * S);
    assert_waits(limit, 1, 30 * S, LIMIT_REASON_QUOTA, HOUR + S);
    assert_waits(limit, 1, HOUR + S - 1, LIMIT_REASON_QUOTA, HOUR + S);
    assert_int_equal(limit_free_permits(limit, HOUR + S - 1), 0);
    assert_admits(limit, 3, HOUR + S);
    assert_waits(limit, 4, HOUR + S, LIMIT_REASON_QUOTA, MONO_NEVER); /* more than there ever is */
    limit_free(limit);
}

static void test_both_sides_of_a_boundary_are_charged(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(3);
    call(limit, 1, HOUR - S - 1); /* of the first hour, surely */
    call(limit, 1, HOUR - S);     /* of either */
    call(limit, 1, HOUR);         /* of either */
    assert_waits(limit, 1, HOUR, LIMIT_REASON_QUOTA, HOUR + S);
    call(limit, 1, HOUR + S);
    tell(limit, 1, HOUR + S);
    assert_waits(limit, 1, HOUR + S, LIMIT_REASON_QUOTA, 2 * HOUR + S);
    limit_free(limit);
}

static void test_what_is_under_way_counts_on(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(3);
    start(limit, 1, 10 * S);
    start(limit, 1, 10 * S);
    start(limit, 1, 10 * S);
    assert_int_equal(limit_free_permits(limit, HOUR + S), 0);
    limit_arrived(limit, 1, HOUR - S - 1, HOUR + S); /* it was the first hour's */
    assert_int_equal(limit_free_permits(limit, HOUR + S), 1);
    limit_refund(limit, 1, HOUR + S); /* it was nobody's */
    assert_int_equal(limit_free_permits(limit, HOUR + S), 2);
    limit_arrived(limit, 1, HOUR, HOUR + S); /* who knows */
    assert_int_equal(limit_free_permits(limit, HOUR + S), 2);
    limit_free(limit);
}

static void test_a_refund_gives_back(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(1);
    start(limit, 1, 10 * S);
    assert_waits(limit, 1, 10 * S, LIMIT_REASON_QUOTA, HOUR + S);
    limit_refund(limit, 1, 11 * S);
    assert_admits(limit, 1, 11 * S);
    limit_free(limit);
}

/* Lost calls count on while they may arrive, and no longer, also when losses go on and on. */
static void test_lost_calls(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(10000);
    for (mono_ns now = 10 * S; now <= HOUR - 2 * S; now += S) {
        start(limit, 1, now);
        limit_unknown(limit, 1, now, now);
    }
    uint32_t free_permits = limit_free_permits(limit, HOUR + S);
    assert_true(free_permits < 10000); /* the last one may arrive then */
    assert_true(free_permits >= 9996);
    limit_free(limit);
}

static void test_an_unknown_next_period_is_waited_for(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(5);
    assert_admits(limit, 1, HOUR + S); /* goes on by itself once */
    assert_admits(limit, 1, 2 * HOUR - S - 1);
    assert_waits(limit, 1, 2 * HOUR - S, LIMIT_REASON_QUOTA, MONO_NEVER);
    tell(limit, 1, 2 * HOUR - S);
    assert_admits(limit, 1, 2 * HOUR - S);
    limit_free(limit);
}

/* The wall clock was set: times of a period change, what is over does not come back. */
static void test_the_clock_is_set(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(2);
    call(limit, 2, 10 * S);
    const struct limit_period ahead[2] = {{7, 0, HOUR}, {8, HOUR, 2 * HOUR}};
    limit_quota_periods(limit, ahead, 20 * S); /* forward, over whole periods */
    call(limit, 2, 20 * S);
    tell(limit, 0, 30 * S); /* and back */
    assert_waits(limit, 1, 30 * S, LIMIT_REASON_QUOTA, HOUR + S);
    const struct limit_period later[2] = {{7, 0, 3 * HOUR}, {8, 3 * HOUR, 4 * HOUR}};
    limit_quota_periods(limit, later, 40 * S); /* the same period ends later now */
    assert_waits(limit, 1, 40 * S, LIMIT_REASON_QUOTA, 3 * HOUR + S);
    limit_free(limit);
}

static void test_a_clock_set_forward_into_the_next_period(void **state)
{
    (void)state;
    struct limit *limit = quota_at_zero(2);
    start(limit, 1, 10 * S);
    call(limit, 1, 10 * S);
    const struct limit_period told[2] = {{1, 0, HOUR}, {2, HOUR, 2 * HOUR}};
    limit_quota_periods(limit, told, 20 * S);
    assert_int_equal(limit_free_permits(limit, 20 * S), 1); /* one is under way yet */
    limit_free(limit);
}

static void test_resize(void **state)
{
    (void)state;
    struct limit_config config = quota_of(2);
    struct limit *limit = quota_at_zero(2);
    call(limit, 2, 10 * S);
    config.requests = 3;
    assert_int_equal(limit_resize(limit, &config, 11 * S), 0);
    call(limit, 1, 11 * S);
    config.requests = 1;
    assert_int_equal(limit_resize(limit, &config, 12 * S), 0);
    assert_int_equal(limit_free_permits(limit, 12 * S), 0);
    config.per_ns = LIMIT_DAY_NS;
    assert_int_equal(limit_resize(limit, &config, 13 * S), ERR_INVALID);
    config.per_ns = 2 * HOUR;
    struct error e = {.code = 0};
    assert_int_equal(limit_config_check(&config, &e), ERR_RANGE);
    assert_string_equal(e.where, "per");
    limit_free(limit);
}

/* ---- claims ---- */

static struct limit *saved_at_zero(struct limit_config config, uint64_t outstanding)
{
    config.saved = true;
    struct limit *limit = limit_at_zero(config);
    assert_waits(limit, 1, 0, LIMIT_REASON_COLD, MONO_NEVER);
    if (config.kind == LIMIT_QUOTA) {
        tell(limit, 0, 0);
    }
    limit_restored(limit, outstanding, 0);
    return limit;
}

static void claim(struct limit *limit, mono_ns now, struct limit_record *ret)
{
    limit_claim_want(limit, 1);
    assert_true(limit_claim_begin(limit, false, ret, now));
}

static void test_claims(void **state)
{
    (void)state;
    struct limit_record record;
    struct limit_use use;
    struct limit *limit = saved_at_zero(quota_of(20000), 0);

    assert_false(limit_claim_begin(limit, false, &record, 0)); /* nobody wants it */
    assert_waits(limit, 1, 0, LIMIT_REASON_CLAIM, MONO_NEVER);
    claim(limit, 0, &record);
    assert_int_equal(record.outstanding, 2); /* 20,000 / 10,000 */
    assert_false(limit_claim_begin(limit, false, &record, 0));
    assert_waits(limit, 1, 0, LIMIT_REASON_CLAIM, MONO_NEVER); /* not written yet */
    limit_claim_end(limit, false);
    assert_waits(limit, 1, 0, LIMIT_REASON_CLAIM, MONO_NEVER);
    assert_true(limit_claim_begin(limit, false, &record, 0)); /* wanted still */
    limit_claim_end(limit, true);
    start(limit, 1, S);
    limit_claim_used(limit, &use);
    assert_int_equal(use.in_force, 1);
    assert_false(use.is_being_written);
    start(limit, 1, S);
    limit_arrived(limit, 1, S, S);
    assert_waits(limit, 1, S, LIMIT_REASON_CLAIM, MONO_NEVER);
    claim(limit, S, &record);
    assert_int_equal(record.outstanding, 1 + 2); /* one under way */
    assert_int_equal(record.period_count, 1);
    assert_int_equal(record.periods[0].used, 1);
    limit_claim_used(limit, &use);
    assert_int_equal(use.in_force, 2);
    assert_true(use.is_being_written);
    assert_int_equal(use.being_written, 1);
    limit_refund(limit, 1, S); /* its claim is free for another */
    limit_claim_end(limit, true);
    start(limit, 3, 2 * S);
    assert_waits(limit, 1, 2 * S, LIMIT_REASON_CLAIM, MONO_NEVER);
    limit_arrived(limit, 3, 2 * S, 2 * S);
    assert_true(limit_claim_begin(limit, true, &record, 3 * S)); /* the end */
    assert_int_equal(record.outstanding, 0);
    assert_int_equal(record.periods[0].used, 4);
    limit_claim_end(limit, true);
    limit_free(limit);
}

static void test_restored_quota(void **state)
{
    (void)state;
    struct limit_config config = quota_of(10);
    config.saved = true;
    struct limit *limit = limit_at_zero(config);
    struct limit_record record;

    tell(limit, 0, 0);
    limit_restore_quota(limit, (uint64_t[2]){4, 0});
    limit_restored(limit, 3, 0); /* they may arrive until max_flight */
    assert_int_equal(limit_free_permits(limit, 0), 3);
    claim(limit, 0, &record);
    assert_int_equal(record.outstanding, 3 + 1);
    assert_int_equal(record.periods[0].used, 4);
    limit_claim_end(limit, false);
    claim(limit, 2 * S, &record);
    assert_int_equal(record.outstanding, 1);
    assert_int_equal(record.periods[0].used, 7);
    limit_claim_end(limit, true);
    limit_free(limit);
}

static void test_restored_window(void **state)
{
    (void)state;
    struct limit_config config = window_of(10, HOUR);
    config.saved = true;
    struct limit *limit = limit_at_zero(config);
    struct limit_record record;

    limit_restore(limit, 4, -HOUR + 10 * S);
    limit_restore(limit, 3, -100 * S);
    limit_restored(limit, 2, 0);
    assert_int_equal(limit_free_permits(limit, 0), 1);
    assert_int_equal(limit_free_permits(limit, 10 * S), 5);
    claim(limit, 0, &record);
    assert_int_equal(record.outstanding, 1);
    assert_int_equal(record.arrived, 2); /* taken to have */
    limit_claim_end(limit, true);
    call(limit, 1, 10 * S);
    assert_int_equal(limit_free_permits(limit, HOUR + S - 1), 7);
    assert_int_equal(limit_free_permits(limit, HOUR + S), 9);
    assert_int_equal(limit_free_permits(limit, HOUR + 10 * S), 10);
    limit_free(limit);
}

static void test_more_restored_than_there_are(void **state)
{
    (void)state;
    struct limit_config config = window_of(2, HOUR);
    config.saved = true;
    struct limit *limit = limit_at_zero(config);
    limit_restore(limit, 100, -200 * S);
    limit_restore(limit, 1, -100 * S);
    limit_restored(limit, 0, 0);
    assert_waits(limit, 1, 0, LIMIT_REASON_PERMIT, HOUR - 200 * S);
    limit_free(limit);
}

/* A claim is asked for when nothing else says no. */
static void test_a_set_waits_for_the_rest_first(void **state)
{
    (void)state;
    struct limit *quota = saved_at_zero(quota_of(5), 0);
    struct limit *second = limit_at_zero(window_of(1, S));
    const struct limit_set set = {{quota, second}, 2};
    struct limit_record record;

    struct limit_verdict verdict = limit_set_check(&set, 1, S);
    assert_int_equal(verdict.reason, LIMIT_REASON_COLD);
    assert_int_equal(verdict.at, 2 * S);
    verdict = limit_set_check(&set, 1, 2 * S);
    assert_int_equal(verdict.reason, LIMIT_REASON_CLAIM);
    limit_set_want(&set, 1, 2 * S);
    assert_true(limit_claim_begin(quota, false, &record, 2 * S));
    limit_claim_end(quota, true);
    assert_true(limit_set_check(&set, 1, 2 * S).admit);
    limit_free(quota);
    limit_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_period),
        cmocka_unit_test(test_both_sides_of_a_boundary_are_charged),
        cmocka_unit_test(test_what_is_under_way_counts_on),
        cmocka_unit_test(test_a_refund_gives_back),
        cmocka_unit_test(test_lost_calls),
        cmocka_unit_test(test_an_unknown_next_period_is_waited_for),
        cmocka_unit_test(test_the_clock_is_set),
        cmocka_unit_test(test_a_clock_set_forward_into_the_next_period),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_restored_quota),
        cmocka_unit_test(test_restored_window),
        cmocka_unit_test(test_more_restored_than_there_are),
        cmocka_unit_test(test_a_set_waits_for_the_rest_first),
    };
    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
