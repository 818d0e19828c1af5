/* The record of a message that is over: its shape, its payloads, what is left out for room. */
#include "unit/base/unit.h"

#include "deliver/destination_record.h"
#include "sluice/base/json.h"

#define ROOM DESTINATION_RECORD_MAX

static struct destination_record delivered(const char *body, const char *answer)
{
    return (struct destination_record){
        .at = INT64_C(1767323045678),
        .message_id = STR("e4b46cbf"),
        .route = STR("createjob"),
        .queue = STR("jobs"),
        .body = str_from(body),
        .attempts = 2,
        .called = true,
        .status = 201,
        .answer = str_from(answer),
    };
}

static void check(const struct destination_record *record, const char *wanted)
{
    struct buf out;
    buf_init(&out, ROOM);
    assert_int_equal(destination_record_write(record, &out), 0);
    assert_string_equal(buf_str(&out).ptr, wanted);
    buf_done(&out);
}

static void test_success(void **state)
{
    (void)state;
    struct destination_record r = delivered("{\"job\": 90071992547409931}", "[1,\"x\"]");
    check(&r, "{\"version\":\"1.0\",\"timestamp\":\"2026-01-02T03:04:05.678Z\","
              "\"requestContext\":{\"requestId\":\"e4b46cbf\",\"route\":\"createjob\","
              "\"queue\":\"jobs\",\"condition\":\"Success\",\"approximateInvokeCount\":2},"
              "\"requestPayload\":{\"job\": 90071992547409931},"
              "\"responseContext\":{\"statusCode\":201},\"responsePayload\":[1,\"x\"]}");
}

static void test_text(void **state)
{
    (void)state;
    struct destination_record r = delivered("no \"JSON\"", "{\"a\":1} and more");
    r.answer_cut = true;
    check(&r, "{\"version\":\"1.0\",\"timestamp\":\"2026-01-02T03:04:05.678Z\","
              "\"requestContext\":{\"requestId\":\"e4b46cbf\",\"route\":\"createjob\","
              "\"queue\":\"jobs\",\"condition\":\"Success\",\"approximateInvokeCount\":2},"
              "\"requestPayload\":\"no \\\"JSON\\\"\","
              "\"responseContext\":{\"statusCode\":201,\"payloadTruncated\":true},"
              "\"responsePayload\":\"{\\\"a\\\":1} and more\"}");
}

static void test_without_an_answer(void **state)
{
    (void)state;
    struct destination_record r = delivered("1", NULL);
    r.give_up = GIVE_UP_MAX_ATTEMPTS;
    r.status = 0;
    r.error = "connect_error: refused";
    check(&r, "{\"version\":\"1.0\",\"timestamp\":\"2026-01-02T03:04:05.678Z\","
              "\"requestContext\":{\"requestId\":\"e4b46cbf\",\"route\":\"createjob\","
              "\"queue\":\"jobs\",\"condition\":\"RetriesExhausted\",\"reason\":\"max_attempts\","
              "\"approximateInvokeCount\":2},\"requestPayload\":1,"
              "\"responseContext\":{\"error\":\"connect_error: refused\"},"
              "\"responsePayload\":null}");
}

static void test_never_called(void **state)
{
    (void)state;
    struct destination_record r = delivered("1", NULL);
    r.give_up = GIVE_UP_EXPIRED;
    r.called = false;
    r.attempts = 0;
    check(&r, "{\"version\":\"1.0\",\"timestamp\":\"2026-01-02T03:04:05.678Z\","
              "\"requestContext\":{\"requestId\":\"e4b46cbf\",\"route\":\"createjob\","
              "\"queue\":\"jobs\",\"condition\":\"EventAgeExceeded\",\"reason\":\"expired\","
              "\"approximateInvokeCount\":0},\"requestPayload\":1,"
              "\"responseContext\":null,\"responsePayload\":null}");
}

static void test_conditions(void **state)
{
    (void)state;
    assert_string_equal(destination_condition(GIVE_UP_NONE), "Success");
    assert_string_equal(destination_condition(GIVE_UP_REFUSED), "Refused");
    assert_string_equal(destination_condition(GIVE_UP_MAX_DURATION), "EventAgeExceeded");
    assert_string_equal(destination_condition(GIVE_UP_UNKNOWN), "UnknownResult");
}

static struct json read_back(const struct buf *out)
{
    struct json json;
    struct error e;
    if (json_parse(&json, buf_str(out), JSON_STRICT, &e) != 0) {
        fail_msg("no JSON: %s", e.text);
    }
    return json;
}

static bool says(const struct json *json, const char *pointer)
{
    return json_bool(json_pointer(json->root, str_from(pointer)));
}

/* Quotes double in a string: what fits as it is may be too big as text. */
static void test_too_big(void **state)
{
    (void)state;
    static char body[ROOM + 1];
    memset(body, '"', ROOM);
    struct destination_record r = delivered(body, "\"fine\"");
    struct buf out;
    buf_init(&out, ROOM);
    assert_int_equal(destination_record_write(&r, &out), 0);
    struct json json = read_back(&out);
    assert_true(says(&json, "/requestContext/payloadOmitted"));
    assert_false(says(&json, "/responseContext/payloadOmitted"));
    assert_int_equal(json_type(json_pointer(json.root, STR("/requestPayload"))), JSON_NULL);
    assert_true(
        str_equal(json_string(json_pointer(json.root, STR("/responsePayload"))), STR("fine")));
    json_done(&json);
    buf_done(&out);

    buf_init(&out, 600); /* a queue of small messages */
    r.answer = (struct str){body, 500};
    assert_int_equal(destination_record_write(&r, &out), 0);
    json = read_back(&out);
    assert_true(says(&json, "/requestContext/payloadOmitted"));
    assert_true(says(&json, "/responseContext/payloadOmitted"));
    assert_int_equal(json_type(json_pointer(json.root, STR("/responsePayload"))), JSON_NULL);
    json_done(&json);
    buf_done(&out);

    buf_init(&out, 64);
    assert_int_equal(destination_record_write(&r, &out), ERR_TOO_BIG);
    buf_done(&out);
}

static void test_lean(void **state)
{
    (void)state;
    struct destination_record r = delivered("{}", "{}");
    struct buf out;
    r.lean = true;
    buf_init(&out, ROOM);
    assert_int_equal(destination_record_write(&r, &out), 0);
    struct json json = read_back(&out);
    assert_true(says(&json, "/requestContext/payloadOmitted"));
    assert_true(says(&json, "/responseContext/payloadOmitted"));
    json_done(&json);
    buf_done(&out);
}

static void test_bytes(void **state)
{
    (void)state;
    struct destination_record r = delivered("a\xff", "\xc3(");
    struct buf out;
    buf_init(&out, ROOM);
    assert_int_equal(destination_record_write(&r, &out), 0);
    struct json json = read_back(&out);
    assert_true(str_equal(json_string(json_pointer(json.root, STR("/requestPayload"))),
                          STR("a\xef\xbf\xbd")));
    json_done(&json);
    buf_done(&out);
}

static void test_cut(void **state)
{
    (void)state;
    const struct str euro = STR("a\xe2\x82\xac"); /* a€ */
    assert_int_equal(destination_cut(euro, 9).len, 4);
    assert_int_equal(destination_cut(euro, 4).len, 4);
    assert_int_equal(destination_cut(euro, 3).len, 1);
    assert_int_equal(destination_cut(euro, 2).len, 1);
    assert_int_equal(destination_cut(euro, 1).len, 1);
    assert_int_equal(destination_cut(euro, 0).len, 0);
    assert_int_equal(destination_cut(STR("\x80\x80\x80\x80\x80\x80\x80"), 6).len, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_without_an_answer),
        cmocka_unit_test(test_never_called),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_lean),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
