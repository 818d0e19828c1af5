#include "sluice/sqs/arn.h"
#include "sluice/sqs/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void urls_name_a_queue(void **state)
{
    (void)state;
    static const struct {
        const char *url, *account, *name;
    } rows[] = {
        {"http://127.0.0.1:9324/000000000000/jobs", "000000000000", "jobs"},
        {"https://sqs.eu-west-1.amazonaws.com/123456789012/jobs.fifo", "123456789012", "jobs.fifo"},
        {"HTTP://h/1/jobs/", "1", "jobs"},
        {"http://h/prefix/queue/1/jobs", "1", "jobs"},
        {"/000000000000/jobs", "000000000000", "jobs"},
        {"000000000000/jobs", "000000000000", "jobs"},
        {"jobs", NULL, "jobs"},
        {"http://h/jobs", NULL, "jobs"},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sqs_queue_ref ref;
        assert_int_equal(sqs_queue_url_parse(str_from(rows[i].url), &ref), 0);
        assert_true(str_equal(ref.name, str_from(rows[i].name)));
        assert_int_equal(ref.account.ptr == NULL, rows[i].account == NULL);
        if (rows[i].account != NULL) {
            assert_true(str_equal(ref.account, str_from(rows[i].account)));
        }
    }
    static const char *const bad[] = {"",         "/",         "//",           "http://",
                                      "http://h", "http://h/", "https://h:1//"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        struct sqs_queue_ref ref;
        assert_int_equal(sqs_queue_url_parse(str_from(bad[i]), &ref), ERR_INVALID);
    }
    struct sqs_queue_ref ref;
    assert_int_equal(sqs_queue_url_parse(STR_NONE, &ref), ERR_INVALID);
}

static void endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *url, *origin, *host, *region;
    } rows[] = {
        {"https://sqs.eu-west-1.amazonaws.com/1/q", "https://sqs.eu-west-1.amazonaws.com",
         "sqs.eu-west-1.amazonaws.com", "eu-west-1"},
        {"https://sqs-fips.us-east-2.api.aws/1/q", "https://sqs-fips.us-east-2.api.aws",
         "sqs-fips.us-east-2.api.aws", "us-east-2"},
        {"https://sqs.cn-north-1.amazonaws.com.cn/1/q", "https://sqs.cn-north-1.amazonaws.com.cn",
         "sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"},
        {"https://queue.amazonaws.com/1/q", "https://queue.amazonaws.com", "queue.amazonaws.com",
         "us-east-1"},
        {"https://eu-central-1.queue.amazonaws.com/1/q", "https://eu-central-1.queue.amazonaws.com",
         "eu-central-1.queue.amazonaws.com", "eu-central-1"},
        {"http://127.0.0.1:9324/1/q", "http://127.0.0.1:9324", "127.0.0.1:9324", NULL},
        {"https://h:443/1/q", "https://h:443", "h", NULL},
        {"http://[::1]:80/1/q", "http://[::1]:80", "[::1]", NULL},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sqs_endpoint e;
        assert_int_equal(sqs_endpoint_parse(str_from(rows[i].url), &e), 0);
        assert_true(str_equal(e.origin, str_from(rows[i].origin)));
        assert_true(str_equal(e.host, str_from(rows[i].host)));
        assert_int_equal(e.region.ptr == NULL, rows[i].region == NULL);
        assert_true(rows[i].region == NULL || str_equal(e.region, str_from(rows[i].region)));
    }
    static const char *const bad[] = {"jobs",           "/1/jobs",       "ftp://h/1/q",
                                      "http://h/q",     "http:///1/q",   "http://a b/1/q",
                                      "http://u@h/1/q", "http://:80/1/q"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        struct sqs_endpoint e;
        assert_int_equal(sqs_endpoint_parse(str_from(bad[i]), &e), ERR_INVALID);
    }
}

static void arns_and_urls_are_built(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 8192);
    struct str arn = sqs_arn_build(&arena, STR("eu-west-1"), STR("123456789012"), STR("jobs"));
    assert_string_equal(arn.ptr, "arn:aws:sqs:eu-west-1:123456789012:jobs");
    struct sqs_arn parts;
    assert_int_equal(sqs_arn_parse(arn, &parts), 0);
    assert_true(str_equal(parts.region, STR("eu-west-1")));
    assert_true(str_equal(parts.account, STR("123456789012")));
    assert_true(str_equal(parts.name, STR("jobs")));
    struct str url = sqs_queue_url_build(&arena, STR("http://h:1"), STR("000000000000"), STR("q"));
    assert_string_equal(url.ptr, "http://h:1/000000000000/q");
    static const char *const bad[] = {"",
                                      "jobs",
                                      "arn:aws:sns:r:1:q",
                                      "arn:aws:sqs:r:1",
                                      "arn:aws:sqs:r:1:",
                                      "arn:aws:sqs:r:1:q:x",
                                      "arn:aws:sqs::1:q"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_int_equal(sqs_arn_parse(str_from(bad[i]), &parts), ERR_INVALID);
    }
    arena_done(&arena);
    arena_init(&arena, 16);
    assert_null(sqs_arn_build(&arena, STR("eu-west-1"), STR("123456789012"), STR("jobs")).ptr);
    arena_done(&arena);
}

static bool wants(const char *pattern, const char *name)
{
    struct str item = str_from(pattern);
    struct sqs_strings list = {&item, 1, true};
    return sqs_filter_message_attribute(&list, str_from(name));
}

static void filters(void **state)
{
    (void)state;
    assert_true(wants("All", "x"));
    assert_true(wants(".*", "x"));
    assert_true(wants("*", "x"));
    assert_true(wants("color", "color"));
    assert_true(wants("col.*", "color"));
    assert_true(wants("a.*", "a.b"));
    assert_false(wants("color", "colors"));
    assert_false(wants("b.*", "a.b"));
    assert_false(wants("all", "x"));
    assert_false(sqs_filter_message_attribute(&(struct sqs_strings){0}, STR("x")));
    struct str old_name = STR("SentTimestamp");
    struct str new_name = STR("SenderId");
    struct sqs_receive_in in = {.attribute_names = {&old_name, 1, true},
                                .system_attribute_names = {&new_name, 1, true}};
    assert_true(sqs_filter_system_attribute(&in, STR("SentTimestamp")));
    assert_true(sqs_filter_system_attribute(&in, STR("SenderId")));
    assert_false(sqs_filter_system_attribute(&in, STR("AWSTraceHeader")));
    new_name = STR("All");
    assert_true(sqs_filter_system_attribute(&in, STR("AWSTraceHeader")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_name_a_queue),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(arns_and_urls_are_built),
        cmocka_unit_test(filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
