/* SigV4 against vectors computed with botocore, and the verifying side. */
#include "sluice/sqs/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define DATE   "20261123T120000Z"
#define HOST   "sqs.us-east-1.amazonaws.com"

static const struct sigv4_credentials credentials = {
    {"AKIDEXAMPLE", 11}, {SECRET, sizeof(SECRET) - 1}, {NULL, 0}};

#define HEADER(n, v) ((struct sigv4_header){STR(n), STR(v)})

struct vector {
    const char *name;
    struct sigv4_header headers[6];
    uint32_t header_count;
    const char *body, *signed_headers, *signature;
};

static const struct vector *vectors(size_t *count)
{
    static struct vector all[3];
    all[0] = (struct vector){"json receive",
                             {HEADER("Content-Type", "application/x-amz-json-1.0"),
                              HEADER("Host", HOST), HEADER("X-Amz-Date", DATE),
                              HEADER("X-Amz-Target", "AmazonSQS.ReceiveMessage")},
                             4,
                             "{\"QueueUrl\":\"https://sqs.us-east-1.amazonaws.com/123456789012/q\","
                             "\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20}",
                             "content-type;host;x-amz-date;x-amz-target",
                             "3ccf5fe8512c4178abc492aec126f7b09755cdf388bb3fb92ce30660248c1179"};
    all[1] = (struct vector){"json with token",
                             {HEADER("x-amz-target", "AmazonSQS.ListQueues"), HEADER("host", HOST),
                              HEADER("x-amz-security-token", "FwoGZXIvYXdzEXAMPLETOKEN=="),
                              HEADER("content-type", "application/x-amz-json-1.0"),
                              HEADER("x-amz-date", DATE)},
                             5,
                             "{}",
                             "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
                             "3ce2e853fdd84ce8d244ea30c2e15579bedd5488179a598df78c4704f5414809"};
    all[2] = (struct vector){
        "query",
        {HEADER("Content-Type", "  application/x-www-form-urlencoded;  charset=utf-8 "),
         HEADER("Host", HOST), HEADER("X-Amz-Date", DATE)},
        3,
        "Action=ListQueues&Version=2012-11-05",
        "content-type;host;x-amz-date",
        "69359469d5967f91d91e80401e24249f5ac68caa822466f6f35d33fbb39ebd97"};
    *count = SL_COUNT(all);
    return all;
}

static struct sigv4_request request_of(const struct vector *v)
{
    return (struct sigv4_request){STR("POST"), STR("/"),        STR_NONE,
                                  v->headers,  v->header_count, str_from(v->body)};
}

static void signs_as_botocore_does(void **state)
{
    (void)state;
    size_t count;
    const struct vector *v = vectors(&count);
    for (size_t i = 0; i < count; i++) {
        struct buf out;
        buf_init(&out, 4096);
        struct sigv4_request request = request_of(&v[i]);
        assert_int_equal(sigv4_sign(&request, &credentials, STR("us-east-1"), STR("sqs"), &out), 0);
        struct buf wanted;
        buf_init(&wanted, 4096);
        buf_addf(&wanted,
                 "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/us-east-1/sqs/aws4_request, "
                 "SignedHeaders=%s, Signature=%s",
                 v[i].signed_headers, v[i].signature);
        assert_string_equal(out.ptr, wanted.ptr);
        struct sigv4_authorization a;
        assert_int_equal(sigv4_parse(buf_str(&out), &a), 0);
        assert_true(str_equal(a.access_key_id, STR("AKIDEXAMPLE")));
        assert_true(str_equal(a.date, STR("20261123")));
        assert_true(str_equal(a.region, STR("us-east-1")));
        assert_true(str_equal(a.service, STR("sqs")));
        assert_true(sigv4_verify(&request, &a, STR(SECRET)));
        assert_false(sigv4_verify(&request, &a, STR("another secret")));
        buf_done(&wanted);
        buf_done(&out);
    }
}

static bool verifies(const struct sigv4_request *signed_request,
                     const struct sigv4_request *sent_request)
{
    struct buf out;
    buf_init(&out, 8192);
    assert_int_equal(sigv4_sign(signed_request, &credentials, STR("eu-west-1"), STR("sqs"), &out),
                     0);
    struct sigv4_authorization a;
    assert_int_equal(sigv4_parse(buf_str(&out), &a), 0);
    bool ok = sigv4_verify(sent_request, &a, STR(SECRET));
    buf_done(&out);
    return ok;
}

static void any_change_breaks_it(void **state)
{
    (void)state;
    struct sigv4_header headers[] = {HEADER("host", "localhost:9324"), HEADER("x-amz-date", DATE),
                                     HEADER("x-amz-target", "AmazonSQS.SendMessage")};
    struct sigv4_request base = {STR("POST"), STR("/000000000000/a b"), STR("b=2&a=1"),
                                 headers,     SL_COUNT(headers),        STR("{}")};
    assert_true(verifies(&base, &base));

    struct sigv4_request other = base;
    other.body = STR("{ }");
    assert_false(verifies(&base, &other));
    other = base;
    other.method = STR("GET");
    assert_false(verifies(&base, &other));
    other = base;
    other.path = STR("/000000000000/b");
    assert_false(verifies(&base, &other));
    other = base;
    other.query = STR("b=2&a=3");
    assert_false(verifies(&base, &other));

    struct sigv4_header changed[] = {headers[0], headers[1],
                                     HEADER("x-amz-target", "AmazonSQS.DeleteQueue")};
    other = base;
    other.headers = changed;
    assert_false(verifies(&base, &other));
    /* An x-amz- header that was not signed: refused. */
    struct sigv4_header more[] = {headers[0], headers[1], headers[2],
                                  HEADER("X-Amz-Security-Token", "t")};
    other.headers = more;
    other.header_count = SL_COUNT(more);
    assert_false(verifies(&base, &other));
    /* Other unsigned headers (a proxy's) are not. */
    more[3] = HEADER("X-Amzn-Trace-Id", "Root=1");
    assert_true(verifies(&base, &other));
    /* A signed header that is missing. */
    other.header_count = 2;
    assert_false(verifies(&base, &other));
}

static void canonical_forms_are_equal(void **state)
{
    (void)state;
    struct sigv4_header a[] = {HEADER("Host", "h"), HEADER("X-Amz-Date", DATE),
                               HEADER("X-Custom", "  one   two  ")};
    struct sigv4_header b[] = {HEADER("x-custom", "one two"), HEADER("HOST", "h"),
                               HEADER("x-amz-date", DATE)};
    struct sigv4_request x = {STR("GET"), STR(""), STR("b=%7E&a=x%20y&flag"), a, 3, STR("")};
    struct sigv4_request y = {STR("GET"), STR("/"), STR("flag=&a=x+y&b=~"), b, 3, STR("")};
    assert_true(verifies(&x, &y));
    /* Two headers of one name are one with a comma. */
    struct sigv4_header twice[] = {a[0], a[1], HEADER("x-custom", "one"),
                                   HEADER("x-custom", "two")};
    struct sigv4_header joined[] = {a[0], a[1], HEADER("x-custom", "one,two")};
    x = (struct sigv4_request){STR("GET"), STR("/"), STR_NONE, twice, 4, STR("")};
    y = (struct sigv4_request){STR("GET"), STR("/"), STR_NONE, joined, 3, STR("")};
    assert_true(verifies(&x, &y));
}

static void signing_needs_its_headers(void **state)
{
    (void)state;
    struct sigv4_header no_date[] = {HEADER("host", "h")};
    struct sigv4_header no_host[] = {HEADER("x-amz-date", DATE)};
    struct sigv4_header bad_date[] = {HEADER("host", "h"), HEADER("x-amz-date", "2026-11-23")};
    struct buf out;
    buf_init(&out, 4096);
    struct sigv4_request r = {STR("POST"), STR("/"), STR_NONE, no_date, 1, STR("")};
    assert_int_equal(sigv4_sign(&r, &credentials, STR("r"), STR("sqs"), &out), ERR_INVALID);
    r.headers = no_host;
    assert_int_equal(sigv4_sign(&r, &credentials, STR("r"), STR("sqs"), &out), ERR_INVALID);
    r.headers = bad_date;
    r.header_count = 2;
    assert_int_equal(sigv4_sign(&r, &credentials, STR("r"), STR("sqs"), &out), ERR_INVALID);
    assert_int_equal(out.len, 0);
    buf_done(&out);
}

static void malformed_authorizations_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "Basic dXNlcjpwYXNz",
        "AWS4-HMAC-SHA256 Credential=A/20261123/r/sqs/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=A/20261123/r/sqs, SignedHeaders=host, Signature=ab",
        "AWS4-HMAC-SHA256 Credential=/20261123/r/sqs/aws4_request, SignedHeaders=host, Signature=a",
        "AWS4-HMAC-SHA256 Credential=A/2026/r/sqs/aws4_request, SignedHeaders=host, Signature=ab",
        "AWS4-HMAC-SHA256 Credential=A/20261123/r/sqs/aws3_request,SignedHeaders=host,Signature=a",
        "AWS4-HMAC-SHA256 Credential, SignedHeaders, Signature",
    };
    struct sigv4_authorization a;
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_int_equal(sigv4_parse(str_from(bad[i]), &a), ERR_SYNTAX);
    }
    assert_int_equal(sigv4_parse(STR("AWS4-HMAC-SHA256 Credential=A/b/20261123/r/sqs/aws4_request,"
                                     "SignedHeaders=host,Signature=ab"),
                                 &a),
                     0);
    assert_true(str_equal(a.access_key_id, STR("A/b")));
}

static void dates(void **state)
{
    (void)state;
    char out[17];
    sigv4_date(INT64_C(1795435200000), out);
    assert_string_equal(out, DATE);
    wall_ms back = 0;
    assert_int_equal(sigv4_parse_date(STR(DATE), &back), 0);
    assert_int_equal(back, INT64_C(1795435200000));
    static const char *const bad[] = {"",
                                      "20261123",
                                      "20261123T120000",
                                      "20261123 120000Z",
                                      "20261323T120000Z",
                                      "20261123T250000Z",
                                      "2026112xT120000Z"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_int_equal(sigv4_parse_date(str_from(bad[i]), &back), ERR_SYNTAX);
    }
    /* Every day of five centuries there and back, in the order of the calendar. */
    char previous[17] = "19691231T235959Z";
    for (wall_ms at = INT64_C(12345000); at < INT64_C(86400000) * 365 * 500;
         at += INT64_C(86400000)) {
        sigv4_date(at, out);
        assert_true(strcmp(out, previous) > 0);
        memcpy(previous, out, sizeof(previous));
        assert_int_equal(sigv4_parse_date(str_from(out), &back), 0);
        assert_int_equal(back, at);
    }
    sigv4_date(INT64_C(951782399000), out);
    assert_string_equal(out, "20000228T235959Z");
    sigv4_date(INT64_C(951782400000), out);
    assert_string_equal(out, "20000229T000000Z");
    sigv4_date(INT64_C(4107542400000), out);
    assert_string_equal(out, "21000301T000000Z");
    sigv4_date(0, out);
    assert_string_equal(out, "19700101T000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_botocore_does),
        cmocka_unit_test(any_change_breaks_it),
        cmocka_unit_test(canonical_forms_are_equal),
        cmocka_unit_test(signing_needs_its_headers),
        cmocka_unit_test(malformed_authorizations_are_refused),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
