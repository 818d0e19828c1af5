/* What is in a message, as headers of its request. */
#include "unit/base/unit.h"

#include "sluice/deliver/message_headers.h"
#include "sluice/flow/message.h"
#include "sluice/sqs/types.h"

static struct sqs_attribute items[] = {
    {.name = STR("customer"), .data_type = STR("String"), .string_value = STR("Müller & Söhne 5%")},
    {.name = STR("n"), .data_type = STR("Number"), .string_value = STR("1.50")},
    {.name = STR("raw"), .data_type = STR("Binary"), .binary_value = {"\0\1\2\xff", 4}},
    {.name = STR("lines"), .data_type = STR("String"), .string_value = STR("a\r\nEvil: 1")},
    {.name = STR("ends"), .data_type = STR("String"), .string_value = STR(" a b ")},
};
static const struct sqs_attributes attributes = {
    .items = items, .count = SL_COUNT(items), .set = true};

static struct str sequence(const struct message *message, const char *name)
{
    (void)message;
    return strcmp(name, "SequenceNumber") == 0 ? STR("18849") : STR_NONE;
}

static struct message_header header(const char *name, const char *value)
{
    struct message_header ret;
    const char *problem = NULL;

    if (message_header_parse(str_from(name), str_from(value), &ret, &problem) != 0) {
        fail_msg("%s: %s: %s", name, value, problem);
    }
    return ret;
}

static void values(void **state)
{
    static const struct {
        const char *value, *expected; /* NULL: no header */
    } rows[] = {
        {"attribute:customer", "M%C3%BCller & S%C3%B6hne 5%25"},
        {"attribute:n", "1.50"},
        {"attribute:raw", "AAEC/w=="},
        {"attribute:lines", "a%0D%0AEvil: 1"},
        {"attribute:ends", "%20a b%20"},
        {"attribute:absent", NULL},
        {"message_id", "id-1"},
        {"message_group_id", "g"},
        {"body:/order/id", "42"},
        {"body:/nothing", NULL},
        {"system:SentTimestamp", "1795687200000"},
        {"system:ApproximateReceiveCount", "3"},
        {"system:MessageGroupId", "g"},
        {"system:SequenceNumber", "18849"},
        {"system:SenderId", NULL},
        {"system:AWSTraceHeader", NULL},
    };
    const struct message message = {.id = STR("id-1"),
                                    .body = STR("{\"order\":{\"id\":42}}"),
                                    .tenant = STR("g"),
                                    .sent_at = INT64_C(1795687200000),
                                    .receive_count = 3};
    const struct message_headers_source source = {&message, &attributes, sequence};
    struct http_header headers[4];
    const char *left_out;
    struct buf text;

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct message_header wanted = header("X-A", rows[i].value);
        buf_init(&text, MESSAGE_HEADERS_MAX_BYTES);
        uint32_t count = message_headers_build(&wanted, 1, &source, &text, headers, 4, &left_out);
        assert_int_equal(count, rows[i].expected != NULL);
        assert_null(left_out);
        if (count > 0) {
            assert_str(headers[0].name, "X-A");
            assert_str(headers[0].value, rows[i].expected);
        }
        buf_done(&text);
    }
}

static void all_attributes(void **state)
{
    const struct message message = {.id = STR("id-1"), .body = STR("")};
    const struct message_headers_source source = {&message, &attributes, NULL};
    struct message_header wanted[] = {header("X-Id", "message_id"),
                                      header("X-Attribute-*", "attribute:*")};
    struct http_header headers[8];
    const char *left_out;
    struct buf text;

    (void)state;
    buf_init(&text, MESSAGE_HEADERS_MAX_BYTES);
    assert_int_equal(message_headers_build(wanted, 2, &source, &text, headers, 8, &left_out), 6);
    assert_str(headers[0].value, "id-1");
    assert_str(headers[1].name, "X-Attribute-customer");
    assert_str(headers[3].name, "X-Attribute-raw");
    assert_str(headers[3].value, "AAEC/w==");
    assert_null(left_out);
    buf_reset(&text);
    assert_int_equal(message_headers_build(wanted, 2, &source, &text, headers, 3, &left_out), 3);
    assert_string_equal(left_out, "X-Attribute-");
    buf_done(&text);
    buf_init(&text, 40); /* no room for the second */
    assert_int_equal(message_headers_build(wanted, 2, &source, &text, headers, 8, &left_out), 1);
    assert_string_equal(left_out, "X-Attribute-");
    assert_str(headers[0].value, "id-1");
    buf_done(&text);
}

static void refused(void **state)
{
    static const char *const rows[][2] = {{"X-A", "tenant"},       {"X-A", "attribute:"},
                                          {"X-A", "attribute:*"},  {"X-*", "attribute:x"},
                                          {"X-*", "message_id"},   {"X-A", "system:"},
                                          {"X-A", "system:Color"}, {"X-A", "body:x"}};
    struct message_header ret;
    const char *problem;

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_int_not_equal(
            message_header_parse(str_from(rows[i][0]), str_from(rows[i][1]), &ret, &problem), 0);
        assert_non_null(problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(all_attributes),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
