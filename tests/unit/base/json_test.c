#include "unit.h"

#include "sluice/base/json.h"

#include <float.h>
#include <math.h>

/* A copy of exactly the text's size, so that the sanitizer sees any byte read beyond it. */
static int parse(struct json *json, struct str text, int flags, struct error *e)
{
    char *copy = malloc(text.len == 0 ? 1 : text.len);
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    *e = (struct error){0};
    int rc = json_parse(json, (struct str){copy, text.len}, flags, e);
    free(copy); /* the tree stands alone */
    return rc;
}

static void assert_refused(struct str text, int flags, int expected_rc, const char *expected_text)
{
    struct json json = {(struct json_value *)(void *)&json};
    struct error e;
    int rc = parse(&json, text, flags, &e);
    if (rc != expected_rc || e.code != rc || strstr(e.text, expected_text) == NULL) {
        fail_msg("%.*s: %s, \"%s\"; wanted %s, \"%s\"", STR_FMT(text), err_name(rc), e.text,
                 err_name(expected_rc), expected_text);
    }
    assert_ptr_equal(json.root, &json); /* set only on success */
    assert_int_equal(json_parse(&json, text, flags, NULL), expected_rc);
}

/* What the text means, written compactly. */
static void assert_reads_as(struct str text, int flags, const char *expected)
{
    struct json json;
    struct error e;
    if (parse(&json, text, flags, &e) != 0) {
        fail_msg("%.*s: %s", STR_FMT(text), e.text);
    }
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(json_write_value(&out, json.root), 0);
    assert_str(buf_str(&out), expected);
    buf_done(&out);
    json_done(&json);
}

static void test_values(void **state)
{
    (void)state;
    assert_reads_as(STR("null"), 0, "null");
    assert_reads_as(STR(" true "), 0, "true");
    assert_reads_as(STR("\t\r\n false\n"), 0, "false");
    assert_reads_as(STR("\"\""), 0, "\"\"");
    assert_reads_as(STR("[]"), 0, "[]");
    assert_reads_as(STR("[ ]"), 0, "[]");
    assert_reads_as(STR("{ }"), 0, "{}");
    assert_reads_as(STR("[1, [2, {\"a\" : [ ]}], {}, null]"), 0, "[1,[2,{\"a\":[]}],{},null]");
    assert_reads_as(STR("{\"a\":{\"b\":[true,false]},\"c\":\"d\"}"), 0,
                    "{\"a\":{\"b\":[true,false]},\"c\":\"d\"}");
    assert_reads_as(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\uD83D\\uDE00\""), 0,
                    "\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa9\xf0\x9f\x98\x80\"");
    assert_reads_as(STR("\"Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \x7f\""), 0,
                    "\"Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \x7f\"");
    assert_reads_as(STR("[0,-0,-1.5,1e3,1E+2,12.5e-1]"), 0, "[0,0,-1.5,1000,100,1.25]");
}

static void test_reading(void **state)
{
    (void)state;
    struct json json;
    struct error e;
    assert_int_equal(
        parse(&json, STR("{\"n\":7,\"s\":\"x\",\"b\":true,\"z\":null,\"a\":[1,2,3]}"), 0, &e), 0);
    const struct json_value *root = json.root;
    assert_int_equal(json_type(root), JSON_OBJECT);
    assert_int_equal(json_count(root), 5);
    int64_t n = 0;
    assert_int_equal(json_i64(json_get(root, "n"), &n), 0);
    assert_int_equal(n, 7);
    assert_str(json_string(json_get(root, "s")), "x");
    assert_true(json_bool(json_get(root, "b")));
    assert_int_equal(json_type(json_get(root, "z")), JSON_NULL);
    assert_str(json_string(json_get_str(root, STR("s"))), "x");
    const struct json_value *array = json_get(root, "a");
    double sum = 0;
    for (const struct json_value *v = json_first(array); v != NULL; v = json_next(v)) {
        sum += json_number(v);
        assert_null(json_key(v).ptr);
    }
    assert_true(sum == 6);
    const char *const keys[] = {"n", "s", "b", "z", "a"};
    size_t i = 0;
    for (const struct json_value *v = json_first(root); v != NULL; v = json_next(v)) {
        assert_str(json_key(v), keys[i++]);
    }
    json_done(&json);
    json_done(&json);
}

static void test_wrong_types_are_harmless(void **state)
{
    (void)state;
    struct json json;
    struct error e;
    assert_int_equal(parse(&json, STR("[\"text\"]"), 0, &e), 0);
    const struct json_value *text = json_first(json.root);
    int64_t n = 5;
    assert_int_equal(json_i64(text, &n), ERR_INVALID);
    assert_int_equal(n, 5);
    assert_true(json_number(text) == 0);
    assert_false(json_bool(text));
    assert_null(json_get(json.root, "text"));
    assert_null(json_string(json.root).ptr);
    assert_int_equal(json_count(text), 0);
    assert_null(json_get(NULL, "x"));
    assert_null(json_first(NULL));
    assert_null(json_next(NULL));
    assert_null(json_key(NULL).ptr);
    assert_null(json_string(NULL).ptr);
    assert_int_equal(json_i64(NULL, &n), ERR_INVALID);
    assert_int_equal(json_type(NULL), JSON_NULL);
    assert_string_equal(json_type_name(JSON_OBJECT), "object");
    assert_string_equal(json_type_name((enum json_type)99), "unknown");
    json_done(&json);
}

static void test_trap_lookup_is_case_sensitive(void **state)
{
    (void)state;
    struct json json;
    struct error e;
    assert_int_equal(parse(&json, STR("{\"Name\":1,\"name\":2}"), 0, &e), 0);
    assert_true(json_number(json_get(json.root, "name")) == 2);
    assert_true(json_number(json_get(json.root, "Name")) == 1);
    assert_null(json_get(json.root, "NAME"));
    /* A key asked for with a NUL in it is no other key. */
    assert_null(json_get_str(json.root, (struct str){"name\0x", 6}));
    assert_null(json_get_str(json.root, STR("nam")));
    json_done(&json);
}

static void test_trap_duplicate_keys(void **state)
{
    (void)state;
    assert_refused(STR("{\"a\":1,\"a\":2}"), 0, ERR_DUPLICATE, "line 1, column 8");
    assert_refused(STR("{\"\":1,\"\":2}"), 0, ERR_DUPLICATE, "");
    assert_refused(STR("{\"a\":1,\"\\u0061\":2}"), 0, ERR_DUPLICATE, "\"a\" is there twice");
    assert_reads_as(STR("[{\"a\":1},{\"a\":2}]"), 0, "[{\"a\":1},{\"a\":2}]");
    assert_reads_as(STR("{\"a\":{\"a\":{\"a\":1}}}"), 0, "{\"a\":{\"a\":{\"a\":1}}}");

    struct json json;
    struct error e;
    struct str text = STR("{\n  // the pace\n  \"limits\": {\"x\": {\"b\": 1}},\n  \"routes\": [0, "
                          "{\"q\": 1,\n    \"q\": 2}]\n}");
    assert_int_equal(parse(&json, text, JSON_COMMENTS, &e), ERR_DUPLICATE);
    assert_string_equal(e.where, "routes[1].q");
    assert_string_equal(e.text, "line 5, column 5: the key \"q\" is there twice");

    /* A path longer than its room is cut, no more. */
    struct buf long_text;
    buf_init(&long_text, 100000);
    for (int i = 0; i < 20; i++) {
        (void)buf_addf(&long_text, "{\"%01000d\":", i);
    }
    (void)buf_adds(&long_text, "{\"k\":1,\"k\":2}");
    for (int i = 0; i < 20; i++) {
        (void)buf_addc(&long_text, '}');
    }
    assert_refused(buf_str(&long_text), 0, ERR_DUPLICATE, "\"k\" is there twice");
    buf_done(&long_text);
}

/* {"k0":0,"k1":1,…}, and one key once more at the end. */
static void write_object(struct buf *text, int count, int again)
{
    struct json_writer w;
    json_writer_init(&w, text);
    json_object_begin(&w);
    for (int i = 0; i < count; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        json_member_i64(&w, key, i);
    }
    if (again >= 0) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", again);
        json_member_i64(&w, key, -1);
    }
    json_object_end(&w);
    assert_int_equal(buf_failed(text), 0);
}

static void test_duplicates_in_objects_of_any_size(void **state)
{
    (void)state;
    const int counts[] = {1, 2, 15, 16, 17, 18, 100, 200000};
    for (size_t i = 0; i < SL_COUNT(counts); i++) {
        struct buf text;
        buf_init(&text, 8 << 20);
        write_object(&text, counts[i], -1);
        struct json json;
        struct error e;
        assert_int_equal(parse(&json, buf_str(&text), 0, &e), 0);
        assert_int_equal(json_count(json.root), counts[i]);
        json_done(&json);
        const int again[] = {0, counts[i] / 2, counts[i] - 1};
        for (size_t j = 0; j < SL_COUNT(again); j++) {
            buf_reset(&text);
            write_object(&text, counts[i], again[j]);
            assert_refused(buf_str(&text), 0, ERR_DUPLICATE, "is there twice");
        }
        buf_done(&text);
    }
}

static void check_i64(const char *text, int expected_rc, int64_t expected)
{
    struct json json;
    struct error e;
    int64_t value = -77;
    assert_int_equal(parse(&json, str_from(text), 0, &e), 0);
    int rc = json_i64(json.root, &value);
    if (rc != expected_rc || value != (rc == 0 ? expected : -77)) {
        fail_msg("%s: %s, %lld", text, err_name(rc), (long long)value);
    }
    json_done(&json);
}

static void test_trap_integers_lose_digits(void **state)
{
    (void)state;
    check_i64("0", 0, 0);
    check_i64("-0", 0, 0);
    check_i64("1e3", 0, 1000);
    check_i64("2147483648", 0, INT64_C(2147483648)); /* beyond cJSON's int */
    check_i64("9007199254740991", 0, INT64_C(9007199254740991));
    check_i64("-9007199254740991", 0, INT64_C(-9007199254740991));
    check_i64("9007199254740992", ERR_INVALID, 0);
    check_i64("9007199254740993", ERR_INVALID, 0); /* as a double it is the one above */
    check_i64("-9007199254740993", ERR_INVALID, 0);
    check_i64("1e300", ERR_INVALID, 0);
    check_i64("1.5", ERR_INVALID, 0);
}

static void test_trap_numbers(void **state)
{
    (void)state;
    assert_refused(STR("1e400"), 0, ERR_RANGE, "line 1, column 1");
    assert_refused(STR("[1,-1e400]"), 0, ERR_RANGE, "line 1, column 4");
    /* cJSON reads 63 characters of a number. */
    assert_reads_as(STR("0.1000000000000000000000000000000000000000000000000000000000000"), 0,
                    "0.1");
    assert_refused(STR("0.10000000000000000000000000000000000000000000000000000000000000"), 0,
                   ERR_RANGE, "longer than 63");
    static const char *const bad[] = {"01",  "-01",  "1.",  ".5",       "-.5",  "+1",
                                      "-",   "1e",   "1e+", "0x1",      "1..2", "1.e",
                                      "nan", "-inf", "NaN", "Infinity", "1_0",  "1f"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_refused(str_from(bad[i]), 0, ERR_SYNTAX, "line 1");
        assert_refused(str_from(bad[i]), JSON_COMMENTS, ERR_SYNTAX, "line 1");
    }
}

static void test_trap_trailing_text(void **state)
{
    (void)state;
    assert_refused(STR("{} x"), 0, ERR_SYNTAX,
                   "line 1, column 4: expected nothing more, found 'x'");
    assert_refused(STR("1 2"), 0, ERR_SYNTAX, "column 3");
    assert_refused(STR("{}{}"), 0, ERR_SYNTAX, "column 3");
    assert_refused(STR("null\0"), 0, ERR_SYNTAX, "found byte 0x00");
    assert_refused(STR("[1]]"), 0, ERR_SYNTAX, "column 4");
    assert_refused(STR("[1],"), JSON_COMMENTS, ERR_SYNTAX, "column 4");
    assert_refused(STR("truetrue"), 0, ERR_SYNTAX, "column 5");
    assert_refused(STR(""), 0, ERR_SYNTAX, "found the end");
    assert_refused(STR_NONE, 0, ERR_SYNTAX, "found the end");
    assert_refused(STR(""), JSON_COMMENTS, ERR_SYNTAX, "found the end");
    assert_refused(STR("  \n"), 0, ERR_SYNTAX, "line 2, column 1");
}

static void test_trap_nul(void **state)
{
    (void)state;
    assert_refused(STR("\"ab\\u0000cd\""), 0, ERR_NUL_CHARACTER, "column 4");
    assert_refused(STR("{\"a\\u0000\":1}"), 0, ERR_NUL_CHARACTER, "");
    assert_refused(STR("\"a\0b\""), 0, ERR_NUL_CHARACTER, "column 3");
    assert_reads_as(STR("\"\\\\u0000\""), 0, "\"\\\\u0000\""); /* an escaped backslash before it */
}

static void test_trap_strings(void **state)
{
    (void)state;
    for (int c = 1; c < 0x20; c++) { /* cJSON takes them as they stand */
        char text[] = {'"', (char)c, '"'};
        assert_refused((struct str){text, 3}, 0, ERR_SYNTAX, "column");
    }
    static const char *const bad[] = {"\"",
                                      "\"abc",
                                      "\"\\\"",
                                      "\"\\",
                                      "\"\\x41\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\\u123",
                                      "\"\\u\"",
                                      "\"\\U0041\"",
                                      "'a'",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800x\"",
                                      "\"\\ud800\\u0041\"",
                                      "\"\\ud800\\ud800\"",
                                      "\"\\ud800\\u",
                                      "\"\\'\"",
                                      "\"\\ud83d\\",
                                      "\"\\ud83d\\ude0"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_refused(str_from(bad[i]), 0, ERR_SYNTAX, "line 1");
    }
}

static void test_trap_utf8(void **state)
{
    (void)state;
    assert_refused(STR("\"\xff\""), 0, ERR_SYNTAX,
                   "line 1, column 2: byte 0xff is not valid UTF-8");
    assert_refused(STR("\"\xc0\x80\""), 0, ERR_SYNTAX, "UTF-8");     /* overlong NUL */
    assert_refused(STR("\"\xed\xa0\x80\""), 0, ERR_SYNTAX, "UTF-8"); /* surrogate */
    assert_refused(STR("\"\xe2\x82"), 0, ERR_SYNTAX, "UTF-8");
    assert_refused(STR("\"\xe2\x82\""), 0, ERR_SYNTAX, "UTF-8");
    assert_refused(STR("{\"\xe9\":1}"), 0, ERR_SYNTAX, "UTF-8");
    assert_refused(STR("\xef\xbb\xbf{}"), 0, ERR_SYNTAX, "byte 0xef"); /* byte order mark */
    /* Columns count characters, not bytes. */
    assert_refused(STR("[\"\xc3\xa9\xf0\x9f\x98\x80\", x]"), 0, ERR_SYNTAX, "column 8");
}

static void test_trap_depth(void **state)
{
    (void)state;
    char text[200000];
    memset(text, '[', sizeof(text));
    assert_refused((struct str){text, sizeof(text)}, 0, ERR_TOO_DEEP, "column 33");
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    struct json json;
    struct error e;
    assert_int_equal(parse(&json, (struct str){text, (size_t)2 * JSON_DEPTH_MAX}, 0, &e), 0);
    json_done(&json);
    for (size_t i = 0; i < sizeof(text); i += 5) {
        memcpy(text + i, "{\"a\":", 5);
    }
    assert_refused((struct str){text, sizeof(text)}, 0, ERR_TOO_DEEP, "nested deeper than 32");
}

static void test_structure(void **state)
{
    (void)state;
    static const char *const bad[] = {"[",          "{",
                                      "]",          "}",
                                      ",",          "[,]",
                                      "[1,]",       "[1 2]",
                                      "[1}",        "{]",
                                      "{1:2}",      "{a:1}",
                                      "{\"a\"}",    "{\"a\":}",
                                      "{\"a\":1,}", "{,}",
                                      "{\"a\" 1}",  "{\"a\":1 \"b\":2}",
                                      "[1,,2]",     "{\"a\":1,,\"b\":2}",
                                      "tru",        "True",
                                      "nul",        "[1",
                                      "{\"a\":1",   "{\"a\":",
                                      "{\"a\"",     "// c\n1",
                                      "/* */1",     "[\v1]",
                                      "[\f1]",      "\302\2401"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_refused(str_from(bad[i]), 0, ERR_SYNTAX, "expected");
    }
    assert_refused(STR("{\"a\":1\n \"b\":2}"), 0, ERR_SYNTAX,
                   "line 2, column 2: expected ',' or '}', found '\"'");
    assert_refused(STR("[1\n"), 0, ERR_SYNTAX,
                   "line 2, column 1: expected ',' or ']', found the end of the text");
}

static void test_comments(void **state)
{
    (void)state;
    assert_reads_as(STR("// first\n{ /* a */ \"a\" /**/ : // x\n 1 /* \n */ , }\n// last"),
                    JSON_COMMENTS, "{\"a\":1}");
    assert_reads_as(STR("[1,2,]"), JSON_COMMENTS, "[1,2]");
    assert_reads_as(STR("[1,2, // no more\n /* really */ ]"), JSON_COMMENTS, "[1,2]");
    assert_reads_as(STR("{\"u\":\"http://x/*y*/\",\"l\":[[],],}"), JSON_COMMENTS,
                    "{\"u\":\"http://x/*y*/\",\"l\":[[]]}");
    assert_reads_as(STR("{\"a\":1}//\r\n"), JSON_COMMENTS, "{\"a\":1}");
    assert_reads_as(STR("/*/ */1/***/"), JSON_COMMENTS, "1");
    assert_reads_as(STR("[\"a,]\",]"), JSON_COMMENTS, "[\"a,]\"]");
    static const char *const bad[] = {"[,]", "{,}", "[1,,]", "{\"a\":1,,}", "[1/]",      "1 / 2",
                                      "/",   "//",  "/**/",  "[1,//]",      "{\"a\":,}", "1 # x"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_refused(str_from(bad[i]), JSON_COMMENTS, ERR_SYNTAX, "expected");
    }
    assert_refused(STR("[1]\n/* never ends *"), JSON_COMMENTS, ERR_SYNTAX,
                   "line 2, column 1: comment without an end");
    assert_refused(STR("/*/"), JSON_COMMENTS, ERR_SYNTAX, "comment without an end");
    assert_refused(STR("{ // \xff\n}"), JSON_COMMENTS, ERR_SYNTAX, "UTF-8");
    assert_refused(STR("/* a\nb */ [1,\n /* c */ x]"), JSON_COMMENTS, ERR_SYNTAX,
                   "line 3, column 10: expected a value, found 'x'");
}

static void test_large_string(void **state)
{
    (void)state;
    const size_t size = 1 << 20;
    struct buf text;
    buf_init(&text, 3 * size);
    (void)buf_adds(&text, "{\"MessageBody\":\"");
    for (size_t i = 0; i < size / 2; i++) {
        (void)buf_adds(&text, i % 64 == 0 ? "\\n" : "\xc3\xa9");
    }
    (void)buf_adds(&text, "\"}");
    struct json json;
    struct error e;
    assert_int_equal(parse(&json, buf_str(&text), 0, &e), 0);
    struct str body = json_string(json_get(json.root, "MessageBody"));
    assert_int_equal(body.len, size - size / 2 / 64);
    struct buf out;
    buf_init(&out, 3 * size);
    assert_int_equal(json_write_value(&out, json.root), 0);
    assert_true(str_equal(buf_str(&out), buf_str(&text)));
    buf_done(&out);
    buf_done(&text);
    json_done(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_wrong_types_are_harmless),
        cmocka_unit_test(test_trap_lookup_is_case_sensitive),
        cmocka_unit_test(test_trap_duplicate_keys),
        cmocka_unit_test(test_duplicates_in_objects_of_any_size),
        cmocka_unit_test(test_trap_integers_lose_digits),
        cmocka_unit_test(test_trap_numbers),
        cmocka_unit_test(test_trap_trailing_text),
        cmocka_unit_test(test_trap_nul),
        cmocka_unit_test(test_trap_strings),
        cmocka_unit_test(test_trap_utf8),
        cmocka_unit_test(test_trap_depth),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_large_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
