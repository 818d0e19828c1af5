/* The state of limits in the file: rows that are replaced or added to, the latest first, what is
 * forgotten, and that a record is all there or not at all. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    return 0;
}

static int teardown(void **state)
{
    kit_done(*state);
    free(*state);
    return 0;
}

static void save(struct kit *kit, struct store_quota *quota, bool commit)
{
    quota->how = STORE_QUOTA_SAVE;
    assert_int_equal(engine_begin(&kit->engine, kit->now_ms, kit->now_ms), 0);
    assert_int_equal(engine_quota(&kit->engine, quota), 0);
    if (commit) {
        assert_int_equal(engine_commit(&kit->engine), 0);
    } else {
        engine_rollback(&kit->engine);
    }
}

static struct store_quota_row loaded[STORE_QUOTA_ROWS_MAX];

static void load(struct kit *kit, const char *name, struct store_quota *ret)
{
    *ret = (struct store_quota){.name = str_from(name), .how = STORE_QUOTA_LOAD, .rows = loaded};
    assert_int_equal(engine_begin(&kit->engine, kit->now_ms, kit->now_ms), 0);
    assert_int_equal(engine_quota(&kit->engine, ret), 0);
    assert_int_equal(engine_commit(&kit->engine), 0);
}

static void assert_row(const struct store_quota *quota, uint32_t i, int64_t period, int64_t until,
                       uint64_t used)
{
    assert_true(i < quota->count);
    assert_int_equal(quota->rows[i].period, period);
    assert_int_equal(quota->rows[i].until, until);
    assert_int_equal(quota->rows[i].used, used);
}

static void test_nothing(void **state)
{
    struct store_quota quota;
    load(*state, "a", &quota);
    assert_false(quota.found);
    assert_int_equal(quota.count, 0);
}

static void test_save_and_load(void **state)
{
    struct kit *kit = *state;
    struct store_quota_row rows[2] = {{100, 200, 5}, {200, 300, 1}};
    struct store_quota quota = {.name = STR("a"), .rows = rows, .count = 2, .outstanding = 7};
    struct store_quota other = {.name = STR("b"), .rows = rows, .count = 1, .outstanding = 1};
    struct store_quota read;
    quota.clock_ms = 42;
    quota.mark = UINT32_MAX;
    quota.stamp = (struct calendar_stamp){"boot", 11, 12};
    save(kit, &quota, true);
    save(kit, &other, true);
    rows[0].used = 6; /* replaced */
    quota.count = 1;
    quota.outstanding = 8;
    save(kit, &quota, true);
    quota.outstanding = 9;
    rows[0].used = 7;
    save(kit, &quota, false); /* rolled back: neither the row nor the state */
    kit_reopen(kit);
    load(kit, "a", &read);
    assert_true(read.found);
    assert_int_equal(read.outstanding, 8);
    assert_int_equal(read.clock_ms, 42);
    assert_int_equal(read.mark, UINT32_MAX);
    assert_string_equal(read.stamp.boot_id, "boot");
    assert_int_equal(read.stamp.boottime_ms, 11);
    assert_int_equal(read.stamp.realtime, 12);
    assert_int_equal(read.count, 2);
    assert_row(&read, 0, 200, 300, 1);
    assert_row(&read, 1, 100, 200, 6);
    load(kit, "b", &read);
    assert_int_equal(read.count, 1);
    assert_int_equal(read.outstanding, 1);
}

static void test_add_and_forget(void **state)
{
    struct kit *kit = *state;
    struct store_quota_row row = {100, 100, 5};
    struct store_quota quota = {.name = STR("a"), .rows = &row, .count = 1, .add = true};
    struct store_quota read;
    save(kit, &quota, true);
    row.used = 2;
    save(kit, &quota, true);
    load(kit, "a", &read);
    assert_row(&read, 0, 100, 100, 7);
    row = (struct store_quota_row){300, 300, 1};
    quota.forget_before = 101;
    save(kit, &quota, true);
    load(kit, "a", &read);
    assert_int_equal(read.count, 1);
    assert_row(&read, 0, 300, 300, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_save_and_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_and_forget, setup, teardown),
    };
    return cmocka_run_group_tests_name("quotas", tests, NULL, NULL);
}
