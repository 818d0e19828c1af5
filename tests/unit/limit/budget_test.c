#include "unit.h"

#include "sluice/limit/budget.h"

static uint32_t taken(struct budget *budget, mono_ns now)
{
    uint32_t count = 0;

    while (budget_take(budget, now)) {
        count++;
    }
    return count;
}

static void test_ten_at_the_start(void **state)
{
    struct budget budget;

    (void)state;
    budget_init(&budget, S);
    assert_int_equal(taken(&budget, S), 10);
    assert_int_equal(budget_at(&budget), 11 * S);
}

static void test_ten_successes_earn_one(void **state)
{
    struct budget budget;

    (void)state;
    budget_init(&budget, S);
    (void)taken(&budget, S);
    for (uint32_t i = 1; i <= 1000; i++) {
        budget_earn(&budget, 5, S);
        assert_int_equal(budget_take(&budget, S), i % 10 == 0);
    }
}

static void test_one_is_given_in_ten_seconds(void **state)
{
    struct budget budget;
    mono_ns now = S;

    (void)state;
    budget_init(&budget, now);
    (void)taken(&budget, now);
    for (uint32_t i = 0; i < 100; i++) {
        mono_ns at = budget_at(&budget);
        assert_true(at == now + BUDGET_TOKEN_NS);
        assert_false(budget_take(&budget, at - 1));
        assert_true(budget_take(&budget, at));
        now = at;
    }
    assert_int_equal(taken(&budget, now - 50 * S), 0); /* an older time gives nothing */
}

static void test_what_is_kept_is_bounded(void **state)
{
    struct budget budget;

    (void)state;
    budget_init(&budget, S);
    assert_int_equal(taken(&budget, 1000000 * S), 10);
    for (uint32_t i = 0; i < 10000; i++) {
        budget_earn(&budget, 5, 1000000 * S);
    }
    assert_int_equal(taken(&budget, 1000000 * S), 50); /* ten seconds of calls */
    budget_earn(&budget, 1e18, MONO_NEVER - 1);
    assert_true(taken(&budget, MONO_NEVER - 1) >= 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_at_the_start),
        cmocka_unit_test(test_ten_successes_earn_one),
        cmocka_unit_test(test_one_is_given_in_ten_seconds),
        cmocka_unit_test(test_what_is_kept_is_bounded),
    };

    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}
