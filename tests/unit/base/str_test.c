#include "unit.h"

#include "sluice/base/str.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(str_equal(STR("a"), STR("a")));
    assert_false(str_equal(STR("a"), STR("A")));
    assert_false(str_equal(STR("a"), STR("ab")));
    assert_true(str_equal(STR_NONE, STR("")));
    assert_true(str_equal_nocase(STR("Content-Type"), STR("content-tYPE")));
    assert_false(str_equal_nocase(STR("a["), STR("a{"))); /* only letters differ by 0x20 */
    assert_true(str_starts_with(STR("queue.fifo"), STR("queue")));
    assert_true(str_ends_with(STR("queue.fifo"), STR(".fifo")));
    assert_false(str_ends_with(STR("fifo"), STR(".fifo")));
    assert_true(str_starts_with(STR_NONE, STR("")));
    assert_true(str_ends_with(STR("x"), STR("")));
    assert_int_equal(str_compare(STR("a"), STR("a")), 0);
    assert_true(str_compare(STR("a"), STR("ab")) < 0);
    assert_true(str_compare(STR("b"), STR("ab")) > 0);
    assert_true(str_compare(STR("\xc3\xa9"), STR("z")) > 0); /* bytes are unsigned */
    assert_null(str_from(NULL).ptr);
    assert_int_equal(str_from("abc").len, 3);
    assert_true(str_equal_secret(STR("hunter2"), STR("hunter2")));
    assert_false(str_equal_secret(STR("hunter2"), STR("hunter3")));
    assert_false(str_equal_secret(STR("hunter2"), STR("hunter")));
}

static void test_trim_and_next(void **state)
{
    (void)state;
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR("  ")), "");
    struct str rest = STR("a,,b,");
    struct str part = STR_NONE;
    const char *const expected[] = {"a", "", "b", ""};
    for (size_t i = 0; i < SL_COUNT(expected); i++) {
        assert_true(str_next(&rest, ',', &part));
        assert_str(part, expected[i]);
    }
    assert_false(str_next(&rest, ',', &part));
    rest = STR("");
    assert_true(str_next(&rest, ',', &part));
    assert_str(part, "");
    assert_false(str_next(&rest, ',', &part));
}

static void check_i64(const char *text, int64_t min, int64_t max, int expected_rc, int64_t expected)
{
    int64_t value = -77;
    int rc = str_to_i64(str_from(text), min, max, &value);
    if (rc != expected_rc || value != (rc == 0 ? expected : -77)) {
        fail_msg("\"%s\": %s, %lld", text, err_name(rc), (long long)value);
    }
}

static void test_i64(void **state)
{
    (void)state;
    check_i64("0", 0, 10, 0, 0);
    check_i64("-0", 0, 10, 0, 0);
    check_i64("007", 0, 10, 0, 7);
    check_i64("11", 0, 10, ERR_RANGE, 0);
    check_i64("-1", 0, 10, ERR_RANGE, 0);
    check_i64("9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX);
    check_i64("-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN);
    check_i64("9223372036854775808", INT64_MIN, INT64_MAX, ERR_RANGE, 0);
    check_i64("-9223372036854775809", INT64_MIN, INT64_MAX, ERR_RANGE, 0);
    /* A value that wraps all the way round must not come back into range. */
    check_i64("18446744073709551617", INT64_MIN, INT64_MAX, ERR_RANGE, 0);
    check_i64("184467440737095516170000000000000000000001", 0, 10, ERR_RANGE, 0);
    static const char *const bad[] = {"",    "-",    "+1",  " 1",  "1 ",      "1x",
                                      "--1", "0x10", "1.0", "1e3", "\xd9\xa1"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        check_i64(bad[i], INT64_MIN, INT64_MAX, ERR_SYNTAX, 0);
    }
    int64_t value = 0;
    assert_int_equal(str_to_i64((struct str){"1\0", 2}, 0, 9, &value), ERR_SYNTAX);
    assert_int_equal(str_to_i64((struct str){"123", 2}, 0, 99, &value), 0); /* not one byte more */
    assert_int_equal(value, 12);
}

static void test_double(void **state)
{
    (void)state;
    double value = 0;
    assert_int_equal(str_to_double(STR("-1.5e3"), &value), 0);
    assert_true(value == -1500.0);
    assert_int_equal(str_to_double(STR("0.1"), &value), 0);
    assert_true(value == 0.1);
    assert_int_equal(str_to_double(STR("1e400"), &value), ERR_RANGE);
    assert_int_equal(str_to_double(STR("1e-400"), &value), 0);
    static const char *const bad[] = {"",   ".5",  "5.",  "+1", "1e",   "nan", "inf", "0x1",  " 1",
                                      "1 ", "1,5", "1e+", "-",  "1..2", "1f",  "-.5", "1e5.5"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        if (str_to_double(str_from(bad[i]), &value) != ERR_SYNTAX) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
    assert_int_equal(str_to_double((struct str){"1.25", 3}, &value), 0);
    assert_true(value == 1.2);
}

static void check_quantity(int (*parse)(struct str, int64_t *), const char *text, int expected_rc,
                           int64_t expected)
{
    int64_t value = -77;
    int rc = parse(str_from(text), &value);
    if (rc != expected_rc || value != (rc == 0 ? expected : -77)) {
        fail_msg("\"%s\": %s, %lld", text, err_name(rc), (long long)value);
    }
}

static void test_duration(void **state)
{
    (void)state;
    check_quantity(str_to_duration, "0s", 0, 0);
    check_quantity(str_to_duration, "100us", 0, 100000);
    check_quantity(str_to_duration, "250ms", 0, 250000000);
    check_quantity(str_to_duration, "1s", 0, 1000000000);
    check_quantity(str_to_duration, "1.5s", 0, 1500000000);
    check_quantity(str_to_duration, "0.000000001s", 0, 1);
    check_quantity(str_to_duration, "10m", 0, INT64_C(600000000000));
    check_quantity(str_to_duration, "12h", 0, INT64_C(43200000000000));
    check_quantity(str_to_duration, "7d", 0, INT64_C(604800000000000));
    check_quantity(str_to_duration, "106751d", 0, INT64_C(9223286400000000000));
    check_quantity(str_to_duration, "106752d", ERR_RANGE, 0);
    check_quantity(str_to_duration, "99999999999999999999s", ERR_RANGE, 0);
    static const char *const bad[] = {"",     "s",   "1",     "-1s",    "+1s",   "1 s",
                                      " 1s",  "1s ", "1S",    "1.s",    ".5s",   "1e3s",
                                      "1sec", "1M",  "1m30s", "1.2.3s", "0.5ns", "1.0000000001s"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        check_quantity(str_to_duration, bad[i], ERR_SYNTAX, 0);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    check_quantity(str_to_bytes, "512", 0, 512);
    check_quantity(str_to_bytes, "512B", 0, 512);
    check_quantity(str_to_bytes, "64KiB", 0, 65536);
    check_quantity(str_to_bytes, "1.5MiB", 0, 1572864);
    check_quantity(str_to_bytes, "2GiB", 0, INT64_C(2147483648));
    check_quantity(str_to_bytes, "8388608TiB", ERR_RANGE, 0);
    check_quantity(str_to_bytes, "1MB", ERR_SYNTAX, 0); /* a power of ten, or of two? */
    check_quantity(str_to_bytes, "1.5", ERR_SYNTAX, 0);
    check_quantity(str_to_bytes, "KiB", ERR_SYNTAX, 0);
}

/* One code point encoded; surrogates and overlong forms only as the caller asks for them. */
static size_t encode(uint32_t c, size_t len, char *out)
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    if (len == 1) {
        out[0] = (char)c;
        return 1;
    }
    for (size_t i = len; i-- > 1;) {
        out[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)(lead[len] | c);
    return len;
}

static void test_utf8_every_code_point(void **state)
{
    (void)state;
    static const uint32_t first_of_len[] = {0, 0, 0x80, 0x800, 0x10000};
    for (uint32_t c = 0; c < 0x120000; c++) {
        for (size_t len = 1; len <= 4; len++) {
            static const uint32_t end_of_len[] = {0, 0x80, 0x800, 0x10000, 0x200000};
            if (c >= end_of_len[len]) {
                continue;
            }
            char text[4];
            size_t n = encode(c, len, text);
            bool valid = c >= first_of_len[len] && c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
            if (str_is_utf8((struct str){text, n}) != valid) {
                fail_msg("U+%04X in %zu bytes", c, len);
            }
        }
    }
}

static void test_utf8_prefix(void **state)
{
    (void)state;
    assert_true(str_is_utf8(STR("")));
    assert_true(str_is_utf8(STR_NONE));
    assert_true(str_is_utf8(STR("plain text of more than eight bytes: Gr\xc3\xbc\xc3\x9f")));
    assert_int_equal(str_utf8_prefix(STR("12345678\xff")), 8);
    assert_int_equal(str_utf8_prefix(STR("1234567\xe2\x82")), 7); /* cut short */
    assert_int_equal(str_utf8_prefix(STR("\xe2\x82\xac\x80")), 3);
    assert_int_equal(str_utf8_prefix(STR("\xc0\x80")), 0);
    /* A heap block of the exact size: the sanitizer sees a byte read too many. */
    for (size_t len = 1; len < 24; len++) {
        char *text = malloc(len);
        memset(text, 'a', len);
        text[len - 1] = (char)0xf0;
        assert_int_equal(str_utf8_prefix((struct str){text, len}), len - 1);
        free(text);
    }
}

/* Each byte at each place, in a heap block of the exact size. */
static void test_plain_prefix(void **state)
{
    (void)state;
    assert_int_equal(str_plain_prefix(STR_NONE), 0);
    for (size_t len = 1; len < 20; len++) {
        char *text = malloc(len);
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                memset(text, 'a', len);
                text[at] = (char)c;
                bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
                assert_int_equal(str_plain_prefix((struct str){text, len}), plain ? len : at);
            }
        }
        free(text);
    }
}

static void test_copy(void **state)
{
    (void)state;
    char dst[4] = "xyz";
    assert_string_equal(str_copy(dst, sizeof(dst), STR("abcdef")), "abc");
    assert_string_equal(str_copy(dst, sizeof(dst), STR("ab")), "ab");
    assert_string_equal(str_copy(dst, sizeof(dst), STR_NONE), "");
    assert_ptr_equal(str_copy(dst, 0, STR("ab")), dst);
    assert_string_equal(dst, "");
}

/* The meaning itself, without the trick. */
static bool matches_by_trying(struct str s, struct str pattern)
{
    if (pattern.len == 0) {
        return s.len == 0;
    }
    struct str rest = {pattern.ptr + 1, pattern.len - 1};
    if (pattern.ptr[0] != '*') {
        return s.len > 0 && s.ptr[0] == pattern.ptr[0] &&
               matches_by_trying((struct str){s.ptr + 1, s.len - 1}, rest);
    }
    for (size_t i = 0; i <= s.len; i++) {
        if (matches_by_trying((struct str){s.ptr + i, s.len - i}, rest)) {
            return true;
        }
    }
    return false;
}

static void test_matches(void **state)
{
    (void)state;
    assert_true(str_matches(STR("jobs"), STR("jobs")));
    assert_true(str_matches(STR("jobs"), STR("*")));
    assert_true(str_matches(STR(""), STR("*")));
    assert_true(str_matches(STR("jobs-eu-1"), STR("jobs-*")));
    assert_false(str_matches(STR("jobs"), STR("jobs-*")));
    assert_false(str_matches(STR("jobs"), STR("job")));
    assert_false(str_matches(STR("jobs"), STR("")));
    assert_false(str_matches(STR("Jobs"), STR("jobs")));
    /* Every text and pattern of up to six characters. */
    int matched = 0;
    for (int t = 0; t < 1 << 7; t++) {
        for (int p = 0; p < 2187; p++) {
            char text[8];
            char pattern[8];
            size_t n = 0;
            size_t m = 0;
            for (int bits = t; bits > 1; bits /= 2) {
                text[n++] = "ab"[bits % 2];
            }
            for (int digits = p; digits > 0; digits /= 3) {
                pattern[m++] = "ab*"[digits % 3];
            }
            struct str s = {text, n};
            struct str q = {pattern, m};
            assert_int_equal(str_matches(s, q), matches_by_trying(s, q));
            matched += str_matches(s, q);
        }
    }
    assert_true(matched > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_trim_and_next),
        cmocka_unit_test(test_i64),
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_utf8_every_code_point),
        cmocka_unit_test(test_utf8_prefix),
        cmocka_unit_test(test_plain_prefix),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
