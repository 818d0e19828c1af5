#include "unit.h"

#include "sluice/base/json.h"

/* The examples of RFC 6901 §5, and what is none. */
static const char text[] = "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"m~n\":8,"
                           "\"deep\":{\"list\":[{\"x\":7}]},\"01\":9}";

static const struct {
    const char *pointer;
    const char *value; /* NULL: nothing */
} rows[] = {
    {"/foo", "[\"bar\",\"baz\"]"},
    {"/foo/0", "\"bar\""},
    {"/foo/1", "\"baz\""},
    {"/", "0"},
    {"/a~1b", "1"},
    {"/c%d", "2"},
    {"/m~0n", "8"},
    {"/deep/list/0/x", "7"},
    {"/01", "9"},
    {"/foo/2", NULL},
    {"/foo/00", NULL},
    {"/foo/-", NULL},
    {"/foo/-1", NULL},
    {"/foo/", NULL},
    {"/foo/0/x", NULL},
    {"/nothing", NULL},
    {"foo", NULL},
    {"/m~2n", NULL},
    {"/m~", NULL},
    {"/foo/99999999999999999999", NULL},
};

static void test_examples(void **state)
{
    struct json json;
    struct buf out;

    (void)state;
    assert_int_equal(json_parse(&json, str_from(text), JSON_STRICT, NULL), 0);
    assert_ptr_equal(json_pointer(json.root, STR("")), json.root);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const struct json_value *value = json_pointer(json.root, str_from(rows[i].pointer));
        if (rows[i].value == NULL) {
            assert_null(value);
            continue;
        }
        buf_init(&out, 1024);
        assert_int_equal(json_write_value(&out, value), 0);
        assert_string_equal(buf_str(&out).ptr, rows[i].value);
        buf_done(&out);
    }
    assert_null(json_pointer(NULL, STR("/a")));
    json_done(&json);
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(json_pointer_is_valid(STR("")));
    assert_true(json_pointer_is_valid(STR("/order/id")));
    assert_false(json_pointer_is_valid(STR("order")));
    assert_false(json_pointer_is_valid(STR("/~")));
    assert_false(json_pointer_is_valid(STR("/\xff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
