#include "unit.h"

struct pair {
    struct limit *fast, *slow;
    struct limit_set set;
};

/* 5 per second at arrival, and 8 per minute at response. */
static struct pair pair_new(void)
{
    struct limit_config slow = window_of(8, 60 * S);
    slow.hold = LIMIT_HOLD_RESPONSE;
    struct pair pair = {.fast = limit_at_zero(window_of(5, S)), .slow = limit_at_zero(slow)};
    pair.set = (struct limit_set){.limits = {pair.fast, pair.slow}, .count = 2};
    return pair;
}

static void pair_done(struct pair *pair)
{
    limit_free(pair->fast);
    limit_free(pair->slow);
}

static void assert_free(const struct pair *pair, mono_ns now, uint32_t fast, uint32_t slow)
{
    assert_int_equal(limit_free_permits(pair->fast, now), fast);
    assert_int_equal(limit_free_permits(pair->slow, now), slow);
}

static void test_empty_set_admits(void **state)
{
    (void)state;
    const struct limit_set none = {0};
    struct limit_grant grant;
    assert_true(limit_set_check(&none, 1, 5).admit);
    limit_grant_take(&grant, &none, 1, 5);
    limit_grant_arrived(&grant, 6, 6);
    limit_grant_response(&grant, 7, 7);
    assert_int_equal(grant.open, 0);
}

static void test_the_longest_wait_is_the_verdict(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    struct limit_verdict verdict = limit_set_check(&pair.set, 1, 0);
    assert_false(verdict.admit);
    assert_int_equal(verdict.at, 61 * S);
    const mono_ns now = 100 * S;
    struct limit_grant grant;
    limit_grant_take(&grant, &pair.set, 5, now);
    limit_grant_response(&grant, now, now);
    verdict = limit_set_check(&pair.set, 1, now);
    assert_int_equal(verdict.at, now + S); /* the fast one; the slow one admits */
    verdict = limit_set_check(&pair.set, 4, now);
    assert_int_equal(verdict.at, now + 60 * S);
    limit_gate(pair.fast, now + 100 * S);
    verdict = limit_set_check(&pair.set, 4, now);
    assert_int_equal(verdict.reason, LIMIT_REASON_GATE);
    assert_int_equal(verdict.at, now + 100 * S);
    pair_done(&pair);
}

static void test_each_limit_is_settled_at_its_event(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    const mono_ns now = 100 * S;
    struct limit_grant grant;
    limit_grant_take(&grant, &pair.set, 2, now);
    assert_free(&pair, now, 3, 6);
    limit_grant_arrived(&grant, now + 1, now + 1);
    limit_grant_arrived(&grant, now + 500 * MS, now + 500 * MS); /* a second time: nothing */
    assert_free(&pair, now + S, 3, 6);
    assert_free(&pair, now + S + 1, 5, 6);
    limit_grant_response(&grant, now + 5 * S, now + 5 * S);
    assert_int_equal(grant.open, 0);
    limit_grant_unknown(&grant, now + 9 * S, now + 9 * S); /* all is settled: nothing */
    limit_grant_refund(&grant, now + 9 * S);
    assert_free(&pair, now + 65 * S - 1, 5, 6);
    assert_free(&pair, now + 65 * S, 5, 8);
    pair_done(&pair);
}

/* No acknowledgement was seen, but here is the response: then it has arrived. */
static void test_a_response_settles_all(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    const mono_ns now = 100 * S;
    struct limit_grant grant;
    limit_grant_take(&grant, &pair.set, 1, now);
    limit_grant_response(&grant, now + S, now + S);
    assert_free(&pair, now + 2 * S - 1, 4, 7);
    assert_free(&pair, now + 2 * S, 5, 7);
    pair_done(&pair);
}

static void test_unknown_after_arrival(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    const mono_ns now = 100 * S;
    struct limit_grant grant;
    limit_grant_take(&grant, &pair.set, 1, now);
    limit_grant_arrived(&grant, now, now);
    limit_grant_unknown(&grant, now + 2 * S, now + 2 * S);
    assert_free(&pair, now + 2 * S, 5, 7); /* that it arrived is known */
    assert_free(&pair, now + 63 * S - 1, 5, 7);
    assert_free(&pair, now + 63 * S, 5, 8);
    pair_done(&pair);
}

static void test_refund_settles_all(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    struct limit_grant grant;
    limit_grant_take(&grant, &pair.set, 3, 100 * S);
    limit_grant_refund(&grant, 100 * S);
    assert_free(&pair, 100 * S, 5, 8);
    pair_done(&pair);
}

/* Nothing was tried: as if the call had never been thought of, its pace too. A refund keeps that.
 */
static void test_withdrawal_gives_the_pace_back(void **state)
{
    (void)state;
    struct limit_config config = window_of(5, S);
    config.pace = true;
    struct limit *limit = limit_at_zero(config);
    const struct limit_set set = {.limits = {limit}, .count = 1};
    struct limit_grant grant;
    mono_ns now = 100 * S;
    limit_grant_take(&grant, &set, 1, now);
    assert_int_equal(limit_check(limit, 1, now).reason, LIMIT_REASON_PACER);
    mono_ns paced = limit_check(limit, 1, now).at;
    limit_grant_withdraw(&grant, now);
    assert_int_equal(grant.open, 0);
    assert_int_equal(limit_free_permits(limit, now), 5);
    assert_true(limit_check(limit, 1, now).admit);
    limit_grant_take(&grant, &set, 1, now);
    assert_int_equal(limit_check(limit, 1, now).at, paced); /* and no more than that */
    limit_grant_refund(&grant, now);
    assert_int_equal(limit_free_permits(limit, now), 5);
    assert_int_equal(limit_check(limit, 1, now).at, paced);
    limit_free(limit);
}

/* The hold of a limit is changed while a call is under way: it is settled once all the same. */
static void test_hold_changes_under_way(void **state)
{
    (void)state;
    struct pair pair = pair_new();
    const mono_ns now = 100 * S;
    struct limit_grant grant;
    struct limit_config config = *limit_config(pair.fast);
    limit_grant_take(&grant, &pair.set, 1, now);
    config.hold = LIMIT_HOLD_RESPONSE;
    assert_int_equal(limit_resize(pair.fast, &config, now), 0);
    limit_grant_arrived(&grant, now, now);
    assert_free(&pair, now + 10 * S, 4, 7);
    limit_grant_response(&grant, now + 10 * S, now + 10 * S);
    assert_free(&pair, now + 11 * S, 5, 7);
    pair_done(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_set_admits),
        cmocka_unit_test(test_the_longest_wait_is_the_verdict),
        cmocka_unit_test(test_each_limit_is_settled_at_its_event),
        cmocka_unit_test(test_a_response_settles_all),
        cmocka_unit_test(test_unknown_after_arrival),
        cmocka_unit_test(test_refund_settles_all),
        cmocka_unit_test(test_withdrawal_gives_the_pace_back),
        cmocka_unit_test(test_hold_changes_under_way),
    };
    return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}
