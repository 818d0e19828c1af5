/* Key expressions: what parses, and what they name in a message. */
#include "sluice/deliver/message_key.h"

#include "sluice/flow/message.h"
#include "sluice/sqs/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

static struct message_key parsed(const char *text)
{
    struct message_key key = {0};
    const char *problem = NULL;

    assert_int_equal(message_key_parse(str_from(text), &key, &problem), 0);
    return key;
}

/* What the expression names in the message, as text; NULL: absent. The last one's stays valid. */
static const char *value(const char *expression, const struct message *message,
                         const struct sqs_attributes *attributes)
{
    static char text[256];
    struct message_key key = parsed(expression);
    struct buf scratch;

    buf_init(&scratch, 64);
    struct str found = message_key_value(&key, message, attributes, &scratch);
    str_copy(text, sizeof(text), found);
    bool absent = found.ptr == NULL;
    buf_done(&scratch);
    return absent ? NULL : text;
}

static const char *in_body(const char *body, const char *expression)
{
    struct message message = {.id = STR("id"), .body = str_from(body)};

    return value(expression, &message, NULL);
}

static void test_forms_that_are_none_say_why(void **state)
{
    static const char *const bad[] = {"",          "id",    "message_ID",  "attribute:",
                                      "attribute", "body:", "body:a",      "body:/~2",
                                      "body:/a~",  "body",  "message_id ", "Body:/a"};
    char big[400] = "body:/";

    (void)state;
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        struct message_key key = {.kind = MESSAGE_KEY_GROUP};
        const char *problem = NULL;
        assert_int_equal(message_key_parse(str_from(bad[i]), &key, &problem), ERR_SYNTAX);
        assert_non_null(problem);
        assert_int_equal(key.kind, MESSAGE_KEY_GROUP);
    }
    memset(big + 6, 'a', 256);
    const char *problem = NULL;
    struct message_key key;
    assert_int_equal(message_key_parse(str_from(big), &key, &problem), ERR_TOO_BIG);
    big[5 + 256] = '\0';
    assert_int_equal(message_key_parse(str_from(big), &key, &problem), 0);
    assert_int_equal(key.kind, MESSAGE_KEY_BODY);
    assert_int_equal(strlen(key.name), 256);
}

static void test_ids_and_attributes(void **state)
{
    struct sqs_attribute items[] = {
        {.name = STR("kind"), .data_type = STR("String"), .string_value = STR("red")},
        {.name = STR("raw"), .data_type = STR("Binary"), .binary_value = STR("\x01\x02")},
        {.name = STR("empty"), .data_type = STR("String"), .string_value = STR("")},
    };
    const struct sqs_attributes attributes = {items, SL_COUNT(items), true};
    struct message message = {.id = STR("0-1-2"), .body = STR("x"), .tenant = STR("blue")};

    (void)state;
    assert_string_equal(value("message_id", &message, &attributes), "0-1-2");
    assert_string_equal(value("message_group_id", &message, &attributes), "blue");
    assert_string_equal(value("attribute:kind", &message, &attributes), "red");
    assert_string_equal(value("attribute:raw", &message, &attributes), "\x01\x02");
    assert_string_equal(value("attribute:empty", &message, &attributes), "");
    assert_null(value("attribute:Kind", &message, &attributes));
    assert_null(value("attribute:kind", &message, NULL));
    message.tenant = STR_NONE;
    assert_null(value("message_group_id", &message, &attributes));
    const struct message_key none = {0};
    assert_null(message_key_value(&none, &message, &attributes, NULL).ptr);
}

static void test_bodies(void **state)
{
    const char *body = "{\"a\":[{\"b\":\"x\"}],\"n\":42,\"t\":true,\"e\":\"\",\"z\":null,"
                       "\"f\":1.5,\"k\":9007199254740993,\"m/n\":\"slash\",\"big\":\"0123456789"
                       "012345678901234567890123456789012345678901234567890123456789\"}";

    (void)state;
    assert_string_equal(in_body(body, "body:/a/0/b"), "x");
    assert_string_equal(in_body(body, "body:/n"), "42");
    assert_string_equal(in_body(body, "body:/t"), "true");
    assert_string_equal(in_body(body, "body:/e"), "");
    assert_string_equal(in_body(body, "body:/m~1n"), "slash");
    assert_string_equal(in_body("[-7]", "body:/0"), "-7");
    assert_null(in_body(body, "body:/z"));
    assert_null(in_body(body, "body:/f"));
    assert_null(in_body(body, "body:/k")); /* as a double it would be …992, another order's */
    assert_null(in_body(body, "body:/a"));
    assert_null(in_body(body, "body:/a/0"));
    assert_null(in_body(body, "body:/missing"));
    assert_null(in_body(body, "body:/big")); /* beyond scratch's maximum */
    assert_null(in_body("no json", "body:/a"));
    assert_null(in_body("", "body:/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_that_are_none_say_why),
        cmocka_unit_test(test_ids_and_attributes),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
