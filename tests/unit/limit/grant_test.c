#include "limit_kit.h"

/* Two limits: by arrival 2 per second, by response 3 per second. */
struct fixture {
    struct limit *by_arrival, *by_response;
    struct limit_set set;
    struct limit_grant grant;
};

static int setup(void **state)
{
    static struct fixture f;
    struct limit_config config = kit_window(2, S);
    config.hold = LIMIT_HOLD_ARRIVAL;
    f.by_arrival = kit_limit(&config, 0);
    config.requests = 3;
    config.hold = LIMIT_HOLD_RESPONSE;
    f.by_response = kit_limit(&config, 0);
    f.set = (struct limit_set){.limits = {f.by_arrival, f.by_response}, .count = 2};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    limit_free(f->by_arrival);
    limit_free(f->by_response);
    return 0;
}

static void assert_free(struct fixture *f, mono_ns now, uint32_t by_arrival, uint32_t by_response)
{
    assert_int_equal(limit_free_permits(f->by_arrival, now), by_arrival);
    assert_int_equal(limit_free_permits(f->by_response, now), by_response);
}

static void test_each_limit_is_settled_at_its_event(void **state)
{
    struct fixture *f = *state;
    const mono_ns t = 10 * S;
    limit_grant_take(&f->grant, &f->set, 1, t);
    assert_free(f, t, 1, 2);
    limit_grant_arrived(&f->grant, t + 1 * MS, t + 1 * MS);
    limit_grant_response(&f->grant, t + 600 * MS, t + 600 * MS);
    assert_free(f, t + S, 1, 2);
    assert_free(f, t + S + 1 * MS, 2, 2); /* the first counts from the arrival on */
    assert_free(f, t + S + 599 * MS, 2, 2);
    assert_free(f, t + S + 600 * MS, 2, 3);
    assert_int_equal(f->grant.open, 0);
}

static void test_later_events_change_nothing(void **state)
{
    struct fixture *f = *state;
    const mono_ns t = 10 * S;
    limit_grant_take(&f->grant, &f->set, 1, t);
    limit_grant_response(&f->grant, t, t); /* without an acknowledgement: settles both */
    assert_int_equal(f->grant.open, 0);
    limit_grant_arrived(&f->grant, t + 500 * MS, t + 500 * MS);
    limit_grant_response(&f->grant, t + 500 * MS, t + 500 * MS);
    limit_grant_unknown(&f->grant, t + 500 * MS, t + 500 * MS);
    limit_grant_refund(&f->grant, t + 500 * MS);
    assert_free(f, t + S - 1, 1, 2);
    assert_free(f, t + S, 2, 3);
}

static void test_unknown_after_the_arrival(void **state)
{
    struct fixture *f = *state;
    const mono_ns t = 10 * S;
    limit_grant_take(&f->grant, &f->set, 1, t);
    limit_grant_arrived(&f->grant, t, t);
    limit_grant_unknown(&f->grant, t + 500 * MS, t + 500 * MS);
    assert_free(f, t + S, 2, 2); /* the arrival was certain, the response never came */
    assert_free(f, t + 2500 * MS - 1, 2, 2);
    assert_free(f, t + 2500 * MS, 2, 3); /* reset + max_flight + W */
}

static void test_refund_gives_all_back(void **state)
{
    struct fixture *f = *state;
    const mono_ns t = 10 * S;
    limit_grant_take(&f->grant, &f->set, 2, t);
    assert_free(f, t, 0, 1);
    limit_grant_refund(&f->grant, t + 1);
    assert_free(f, t + 1, 2, 3);
    assert_int_equal(f->grant.open, 0);
}

static void test_hold_changes_while_open(void **state)
{
    struct fixture *f = *state;
    const mono_ns t = 10 * S;
    struct limit_config config = *limit_config(f->by_arrival);
    limit_grant_take(&f->grant, &f->set, 1, t);
    config.hold = LIMIT_HOLD_RESPONSE;
    assert_int_equal(limit_resize(f->by_arrival, &config, t), 0);
    limit_grant_arrived(&f->grant, t + 1 * MS, t + 1 * MS);
    assert_int_equal(f->grant.open, 3);
    limit_grant_response(&f->grant, t + 600 * MS, t + 600 * MS);
    assert_free(f, t + S + 600 * MS - 1, 1, 2);
    assert_free(f, t + S + 600 * MS, 2, 3);
}

static void test_set_admits_when_all_do(void **state)
{
    struct fixture *f = *state;
    const mono_ns t = 10 * S;
    assert_true(limit_set_check(&f->set, 2, t).admit);
    struct limit_verdict verdict = limit_set_check(&f->set, 3, t);
    assert_false(verdict.admit); /* the first never can, and nothing was taken of the second */
    assert_int_equal(verdict.at, MONO_NEVER);
    assert_free(f, t, 2, 3);
    kit_call(f->by_arrival, 1, t);
    kit_call(f->by_arrival, 1, t + 100 * MS);
    verdict = limit_set_check(&f->set, 1, t + 200 * MS);
    assert_false(verdict.admit);
    assert_int_equal(verdict.at, t + S);
    limit_gate(f->by_response, t + 5 * S);
    verdict = limit_set_check(&f->set, 1, t + 200 * MS);
    assert_int_equal(verdict.reason, LIMIT_REASON_GATE); /* the one that waits longest */
    assert_int_equal(verdict.at, t + 5 * S);
    assert_true(limit_set_check(&f->set, 1, t + 5 * S).admit);
}

static void test_empty_set(void **state)
{
    struct fixture *f = *state;
    const struct limit_set none = {.count = 0};
    assert_true(limit_set_check(&none, 7, 0).admit);
    limit_grant_take(&f->grant, &none, 7, 0);
    assert_int_equal(f->grant.open, 0);
    limit_grant_arrived(&f->grant, 1, 1);
    limit_grant_unknown(&f->grant, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_limit_is_settled_at_its_event, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_events_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_after_the_arrival, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refund_gives_all_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold_changes_while_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_admits_when_all_do, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_set, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
