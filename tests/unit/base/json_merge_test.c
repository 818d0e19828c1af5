#include "unit.h"

#include "sluice/base/json.h"

/* RFC 7396, appendix A; and what the configuration needs. */
static void test_merge(void **state)
{
    static const struct {
        const char *base, *patch, *expected;
    } rows[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct json base, patch;
        struct json_writer w;
        struct buf out;
        assert_int_equal(json_parse(&base, str_from(rows[i].base), JSON_STRICT, NULL), 0);
        assert_int_equal(json_parse(&patch, str_from(rows[i].patch), JSON_STRICT, NULL), 0);
        buf_init(&out, 4096);
        json_writer_init(&w, &out);
        json_write_merged(&w, base.root, patch.root);
        assert_str(buf_str(&out), rows[i].expected);
        buf_done(&out);
        json_done(&base);
        json_done(&patch);
    }
}

static void test_redacted_url(void **state)
{
    static const char *const rows[][2] = {
        {"http://a/b", "http://a/b"},
        {"https://a:1/b?key=secret&x", "https://a:1/b?***"},
        {"http://user:pass@a/b", "http://***@a/b"},
        {"http://user:p@ss@a/b@c?d", "http://***@a/b@c?***"},
        {"https://a?k=1", "https://a?***"},
        {"", ""},
        {"no url", "no url"},
    };
    char out[200];

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_string_equal(str_redact_url(out, sizeof(out), str_from(rows[i][0])), rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_redacted_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
