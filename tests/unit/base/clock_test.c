#include "unit.h"

#include "sluice/base/clock.h"

static void test_add_saturates(void **state)
{
    (void)state;
    assert_true(mono_add(1, 2) == 3);
    assert_true(mono_add(MONO_NEVER, 1) == MONO_NEVER);
    assert_true(mono_add(MONO_NEVER, NS_PER_S) == MONO_NEVER);
    assert_true(mono_add(MONO_NEVER - 5, 6) == MONO_NEVER);
    assert_true(mono_add(10 * NS_PER_S, -NS_PER_MS) == 9999 * NS_PER_MS);
    assert_true(mono_min(3, MONO_NEVER) == 3);
    assert_true(mono_max(3, MONO_NEVER) == MONO_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_add_saturates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
