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
    struct buf text;

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct message_header wanted = header("X-A", rows[i].value);
        struct message_headers_out out = {.headers = headers, .max = 4, .text = &text};
        buf_init(&text, MESSAGE_HEADERS_MAX_BYTES);
        message_headers_add(&wanted, 1, &source, &out);
        assert_int_equal(out.count, rows[i].expected != NULL);
        assert_false(out.left_out);
        if (out.count > 0) {
            assert_str(headers[0].name, "X-A");
            assert_str(headers[0].value, rows[i].expected);
        }
        buf_done(&text);
    }
}

static const struct message plain = {.id = STR("id-1"), .body = STR("")};

static struct message_headers_out add(const struct message_header *wanted, uint32_t count,
                                      const struct sqs_attributes *of, struct http_header *headers,
                                      uint32_t max, struct buf *text)
{
    const struct message_headers_source source = {&plain, of, NULL};
    struct message_headers_out out = {.headers = headers, .max = max, .text = text};

    message_headers_add(wanted, count, &source, &out);
    return out;
}

static void all_attributes(void **state)
{
    struct message_header wanted[] = {header("X-Attribute-*", "attribute:*"),
                                      header("X-Id", "message_id")};
    struct message_headers_out out;
    struct http_header headers[8];
    struct buf text;

    (void)state;
    buf_init(&text, MESSAGE_HEADERS_MAX_BYTES);
    out = add(wanted, 2, &attributes, headers, 8, &text);
    assert_int_equal(out.count, 6);
    assert_str(headers[0].value, "id-1");
    assert_str(headers[1].name, "X-Attribute-customer");
    assert_str(headers[3].name, "X-Attribute-raw");
    assert_str(headers[3].value, "AAEC/w==");
    assert_false(out.left_out);
    buf_reset(&text);
    out = add(wanted, 2, &attributes, headers, 3, &text);
    assert_int_equal(out.count, 3);
    assert_true(out.left_out);
    buf_done(&text);
    buf_init(&text, 31); /* no room for the first of them, but for a later one */
    out = add(wanted, 2, &attributes, headers, 8, &text);
    assert_int_equal(out.count, 2);
    assert_true(out.left_out);
    assert_str(headers[0].value, "id-1");
    assert_str(headers[1].name, "X-Attribute-n");
    assert_str(headers[1].value, "1.50");
    buf_done(&text);
}

/* The sender chooses names, and takes nobody's place. */
static void names_of_senders(void **state)
{
    static const char *const names[] = {"Key",          "Tenant", "a", "A",        "b c",
                                        "d\r\nEvil: 1", "e:",     "",  "\xc3\xa9", "f.g-h_1"};
    struct sqs_attribute sent[SL_COUNT(names)];
    const struct sqs_attributes of = {.items = sent, .count = SL_COUNT(names), .set = true};
    struct message_header wanted[] = {header("X-*", "attribute:*"),
                                      header("x-tenant", "attribute:tenant"),
                                      header("content-type", "message_id")};
    struct http_header headers[16] = {{STR("Content-Type"), STR("text/plain")},
                                      {STR("x-key"), STR("fixed")}};
    const struct message_headers_source source = {&plain, &of, NULL};
    struct buf text;
    struct message_headers_out out = {.headers = headers, .count = 2, .max = 16, .text = &text};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        sent[i] = (struct sqs_attribute){
            .name = str_from(names[i]), .data_type = STR("String"), .string_value = STR("evil")};
    }
    buf_init(&text, MESSAGE_HEADERS_MAX_BYTES);
    message_headers_add(wanted, SL_COUNT(wanted), &source, &out);
    assert_int_equal(out.count, 4);
    assert_str(headers[0].value, "id-1"); /* one content type */
    assert_str(headers[1].value, "fixed");
    assert_str(headers[2].name, "X-a");
    assert_str(headers[3].name, "X-f.g-h_1");
    assert_false(out.left_out);
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
        cmocka_unit_test(names_of_senders),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
