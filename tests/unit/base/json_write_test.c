#include "unit.h"

#include "sluice/base/json.h"
#include "sluice/base/rng.h"

#include <float.h>
#include <math.h>

static void test_structure(void **state)
{
    (void)state;
    struct buf out;
    struct json_writer w;
    buf_init(&out, 1000);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_member_str(&w, "s", STR("x"));
    json_member_str(&w, "none", STR_NONE);
    json_member_str(&w, "empty", STR(""));
    json_member_i64(&w, "min", INT64_MIN);
    json_member_double(&w, "d", 0.5);
    json_member_bool(&w, "t", true);
    json_key_write(&w, STR("a"));
    json_array_begin(&w);
    json_array_begin(&w);
    json_array_end(&w);
    json_object_begin(&w);
    json_object_end(&w);
    json_write_null(&w);
    json_write_raw(&w, STR("{\"raw\":1}"));
    json_write_bool(&w, false);
    json_array_end(&w);
    json_key_write(&w, STR("last"));
    json_object_begin(&w);
    json_object_end(&w);
    json_object_end(&w);
    assert_int_equal(buf_failed(&out), 0);
    assert_str(buf_str(&out),
               "{\"s\":\"x\",\"none\":null,\"empty\":\"\",\"min\":-9223372036854775808,\"d\":0.5,"
               "\"t\":true,\"a\":[[],{},null,{\"raw\":1},false],\"last\":{}}");
    buf_done(&out);
}

static void assert_written(struct str value, const char *expected)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 10000);
    json_writer_init(&w, &out);
    json_write_str(&w, value);
    assert_str(buf_str(&out), expected);
    buf_done(&out);
}

static void test_strings(void **state)
{
    (void)state;
    assert_written(STR("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    assert_written(STR("\b\f\n\r\t\x01\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    assert_written((struct str){"a\0b", 3}, "\"a\\u0000b\"");
    assert_written(STR("Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"),
                   "\"Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
    /* A line of the log stays JSON whatever a peer has sent. */
    assert_written(STR("a\xff"
                       "b\xe2\x82"),
                   "\"a\xef\xbf\xbd"
                   "b\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_written(STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_written(STR("\"\xff\""), "\"\\\"\xef\xbf\xbd\\\"\"");
}

static void assert_number(double value, const char *expected)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 100);
    json_writer_init(&w, &out);
    json_write_double(&w, value);
    assert_str(buf_str(&out), expected);
    buf_done(&out);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_number(0, "0");
    assert_number(-3, "-3");
    assert_number(1000000, "1000000");
    assert_number(9007199254740991.0, "9007199254740991");
    assert_number(0.1, "0.1");
    assert_number(1.0 / 3, "0.33333333333333331");
    assert_number(2.5e-9, "2.5e-09");
    assert_number(1e300, "1e+300");
    assert_number((double)NAN, "null");
    assert_number((double)INFINITY, "null");
    assert_number((double)-INFINITY, "null");
}

static void test_every_double_comes_back(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, unit_seed());
    struct buf out;
    struct json_writer w;
    buf_init(&out, 100);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_next(&rng);
        double value = 0;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value)) {
            continue;
        }
        buf_reset(&out);
        json_writer_init(&w, &out);
        json_write_double(&w, value);
        struct json json;
        assert_int_equal(json_parse(&json, buf_str(&out), 0, NULL), 0);
        assert_true(json_number(json.root) == value);
        json_done(&json);
    }
    buf_done(&out);
}

static void test_errors_collect_in_the_buffer(void **state)
{
    (void)state;
    for (size_t max = 0; max < 26; max++) {
        struct buf out;
        struct json_writer w;
        buf_init(&out, max);
        json_writer_init(&w, &out);
        json_object_begin(&w);
        json_member_str(&w, "key", STR("a\nb"));
        json_member_i64(&w, "n", 12345);
        json_object_end(&w);
        assert_int_equal(buf_failed(&out), max < 24 ? ERR_TOO_BIG : 0);
        buf_done(&out);
    }
}

/* ---- random trees ---- */

static void write_random_string(struct rng *rng, struct buf *text)
{
    static const char *const pieces[] = {"a",   "B",        "\\\"",           "\\\\",
                                         "\\n", "\xc3\xa9", "\\u20ac",        "/",
                                         " ",   "{",        "\\ud83d\\ude00", ","};
    (void)buf_addc(text, '"');
    for (int64_t i = rng_between(rng, 0, 6); i > 0; i--) {
        (void)buf_adds(text, pieces[rng_between(rng, 0, (int64_t)SL_COUNT(pieces) - 1)]);
    }
    (void)buf_addc(text, '"');
}

static void write_random_value(struct rng *rng, struct buf *text, int depth)
{
    static const char *const leaves[] = {"null", "true", "false", "0", "-1.5", "1e5", "12345678"};
    int64_t kind = rng_between(rng, 0, depth > 5 ? 1 : 3);
    if (kind == 0) {
        (void)buf_adds(text, leaves[rng_between(rng, 0, (int64_t)SL_COUNT(leaves) - 1)]);
        return;
    }
    if (kind == 1) {
        write_random_string(rng, text);
        return;
    }
    int64_t count = rng_between(rng, 0, 4);
    (void)buf_addc(text, kind == 2 ? '[' : '{');
    for (int64_t i = 0; i < count; i++) {
        (void)buf_adds(text, i > 0 ? " , " : "");
        if (kind == 3) {
            (void)buf_addf(text, "\"%lld\" :", (long long)i);
        }
        write_random_value(rng, text, depth + 1);
    }
    (void)buf_addc(text, kind == 2 ? ']' : '}');
}

/* Whatever is accepted is written as text that is accepted and means the same. */
static bool check_round_trip(struct str text, int flags)
{
    struct json json;
    if (json_parse(&json, text, flags, NULL) != 0) {
        return false;
    }
    struct buf once, twice;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    assert_int_equal(json_write_value(&once, json.root), 0);
    json_done(&json);
    assert_int_equal(json_parse(&json, buf_str(&once), JSON_STRICT, NULL), 0);
    assert_int_equal(json_write_value(&twice, json.root), 0);
    json_done(&json);
    assert_true(str_equal(buf_str(&once), buf_str(&twice)));
    buf_done(&once);
    buf_done(&twice);
    return true;
}

static void test_random_trees_and_their_mutations(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, unit_seed());
    struct buf text;
    buf_init(&text, 1 << 20);
    int accepted = 0;
    int refused = 0;
    for (int i = 0; i < 3000; i++) {
        buf_reset(&text);
        write_random_value(&rng, &text, 0);
        assert_true(check_round_trip(buf_str(&text), JSON_STRICT));
        assert_true(check_round_trip(buf_str(&text), JSON_COMMENTS));
        for (int j = 0; j < 10; j++) {
            static const char bytes[] = "{}[]\",:\\/*u0d8\n\x01\xff 1e.-+tn";
            size_t at = (size_t)rng_between(&rng, 0, (int64_t)text.len - 1);
            char before = text.ptr[at];
            text.ptr[at] = bytes[rng_between(&rng, 0, (int64_t)sizeof(bytes) - 1)];
            bool ok = check_round_trip(buf_str(&text), j % 2 == 0 ? JSON_STRICT : JSON_COMMENTS);
            text.ptr[at] = before;
            accepted += ok ? 1 : 0;
            refused += ok ? 0 : 1;
        }
    }
    print_message("mutations: %d accepted, %d refused\n", accepted, refused);
    assert_true(accepted > 100 && refused > 100); /* both sides were exercised */
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_every_double_comes_back),
        cmocka_unit_test(test_errors_collect_in_the_buffer),
        cmocka_unit_test(test_random_trees_and_their_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
