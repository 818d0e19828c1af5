#include "unit.h"

#include "sluice/base/buf.h"

static void test_appends(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_str(buf_str(&b), "");
    assert_int_equal(buf_adds(&b, "GET "), 0);
    assert_int_equal(buf_add(&b, STR("/jobs")), 0);
    assert_int_equal(buf_addc(&b, '?'), 0);
    assert_int_equal(buf_addf(&b, "n=%d&s=%s", 7, "x"), 0);
    assert_int_equal(buf_add(&b, STR_NONE), 0);
    assert_str(buf_str(&b), "GET /jobs?n=7&s=x");
    assert_int_equal(b.ptr[b.len], 0);
    buf_consume(&b, 4);
    assert_str(buf_str(&b), "/jobs?n=7&s=x");
    buf_truncate(&b, 5);
    assert_string_equal(buf_str(&b).ptr, "/jobs");
    buf_consume(&b, 5);
    assert_str(buf_str(&b), "");
    buf_consume(&b, 0);
    buf_done(&b);
    buf_done(&b);
    assert_str(buf_str(&b), "");
}

static void test_maximum_is_exact_and_failure_sticks(void **state)
{
    (void)state;
    for (size_t max = 0; max < 300; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++) {
            assert_int_equal(buf_addc(&b, 'x'), 0);
        }
        assert_int_equal(buf_failed(&b), 0);
        assert_int_equal(buf_addc(&b, 'y'), ERR_TOO_BIG);
        assert_int_equal(b.len, max);
        assert_true(b.cap <= max + 1);
        buf_consume(&b, max / 2);
        assert_int_equal(buf_addc(&b, 'y'), ERR_TOO_BIG); /* or a hole would go unnoticed */
        assert_int_equal(buf_failed(&b), ERR_TOO_BIG);
        assert_null(buf_reserve(&b, 0));
        buf_reset(&b);
        assert_int_equal(buf_failed(&b), 0);
        assert_int_equal(buf_add(&b, STR("")), 0);
        buf_done(&b);
    }
}

static void test_format_at_the_edges(void **state)
{
    (void)state;
    /* Formats that end one before, at and one after the capacity and the maximum. */
    for (int before = 0; before < 140; before++) {
        for (int len = 0; len < 140; len += 7) {
            struct buf b;
            buf_init(&b, 200);
            assert_int_equal(buf_addf(&b, "%0*d", before, 0), 0);
            size_t len_before = b.len;
            int rc =
                buf_addf(&b, "%.*s", len,
                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
            bool fits = len_before + (size_t)len <= 200;
            assert_int_equal(rc, fits ? 0 : ERR_TOO_BIG);
            assert_int_equal(b.len, fits ? len_before + (size_t)len : len_before);
            assert_int_equal(strlen(buf_str(&b).ptr), b.len);
            buf_done(&b);
        }
    }
}

static void test_reserve_and_take(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    char *room = buf_reserve(&b, 100);
    assert_non_null(room);
    memset(room, 'r', 100);
    buf_commit(&b, 40);
    assert_int_equal(b.len, 40);
    assert_int_equal(b.ptr[40], 0);
    size_t len = 0;
    char *taken = buf_take(&b, &len);
    assert_int_equal(len, 40);
    assert_int_equal(b.len, 0);
    free(taken);
    assert_int_equal(buf_adds(&b, "again"), 0);
    taken = buf_take(&b, NULL);
    assert_string_equal(taken, "again");
    free(taken);
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_maximum_is_exact_and_failure_sticks),
        cmocka_unit_test(test_format_at_the_edges),
        cmocka_unit_test(test_reserve_and_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
