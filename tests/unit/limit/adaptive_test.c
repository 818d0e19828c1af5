#include "unit.h"

#include "sluice/limit/adaptive.h"

static struct adaptive of(uint32_t most)
{
    struct adaptive a;
    adaptive_init(&a, most, S);
    return a;
}

static void test_starts_low_and_within_its_bound(void **state)
{
    (void)state;
    for (uint32_t most = 1; most <= 20; most++) {
        struct adaptive a = of(most);
        assert_int_equal(adaptive_bound(&a), most < 10 ? most : 10);
        for (uint32_t i = 0; i < 1000; i++) {
            adaptive_succeeded(&a, adaptive_bound(&a), false);
        }
        assert_int_equal(adaptive_bound(&a), most);
        for (uint32_t i = 0; i < 1000; i++) {
            adaptive_overloaded(&a, S + i, S + i);
        }
        assert_int_equal(adaptive_bound(&a), 1);
    }
}

static void test_a_round_of_calls_adds_one(void **state)
{
    struct adaptive a = of(1000);

    (void)state;
    for (uint32_t round = 10; round < 200; round++) {
        assert_in_range(adaptive_bound(&a), round - 1, round);
        for (uint32_t i = 0; i < round; i++) {
            adaptive_succeeded(&a, round, false);
        }
    }
}

static void test_what_is_not_used_proves_nothing(void **state)
{
    struct adaptive a = of(1000);

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        adaptive_succeeded(&a, 4, false);
        adaptive_succeeded(&a, 10, true); /* the rate limit is what holds back */
    }
    assert_int_equal(adaptive_bound(&a), 10);
    adaptive_succeeded(&a, 5, false);
    assert_true(a.limit > 10);
}

static void test_one_decrease_for_the_calls_under_way(void **state)
{
    struct adaptive a = of(1000);

    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        adaptive_overloaded(&a, S, 2 * S);
        adaptive_overloaded(&a, 2 * S - 1, 2 * S + i);
    }
    assert_int_equal(adaptive_bound(&a), 9);
    adaptive_overloaded(&a, 2 * S, 3 * S);
    assert_int_equal(adaptive_bound(&a), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_low_and_within_its_bound),
        cmocka_unit_test(test_a_round_of_calls_adds_one),
        cmocka_unit_test(test_what_is_not_used_proves_nothing),
        cmocka_unit_test(test_one_decrease_for_the_calls_under_way),
    };

    return cmocka_run_group_tests_name("adaptive", tests, NULL, NULL);
}
