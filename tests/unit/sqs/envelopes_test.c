/* Envelopes of SNS, and pointers of the Extended Client. */
#include "unit/base/unit.h"

#include "sluice/sqs/extended.h"
#include "sluice/sqs/sns.h"

static struct sqs_attributes one(const char *name)
{
    static struct sqs_attribute attribute;

    attribute = (struct sqs_attribute){
        .name = str_from(name), .data_type = STR("Number"), .string_value = STR("300000")};
    return (struct sqs_attributes){.items = &attribute, .count = 1, .set = true};
}

#define NEW_CLASS            "software.amazon.payloadoffloading.PayloadS3Pointer"
#define OLD_CLASS            "com.amazon.sqs.javamessaging.MessageS3Pointer"
#define POINTER(class, rest) ("[\"" class "\"" rest "]")

static void pointers(void **state)
{
    static const char *const bodies[] = {
        POINTER(NEW_CLASS, ",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}"),
        POINTER(OLD_CLASS, ", {\"s3Key\":\"k\",\"s3BucketName\":\"b\"}")};
    static const char *const others[] = {
        "",
        "{}",
        "[]",
        POINTER(NEW_CLASS, ""),
        POINTER(NEW_CLASS, ",{}"),
        POINTER(NEW_CLASS, ",{\"s3BucketName\":\"b\"}"),
        POINTER("another.Class", ",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"}"),
        POINTER(NEW_CLASS, ",{\"s3BucketName\":\"b\",\"s3Key\":\"k\"},1")};
    struct sqs_attributes marked = one("ExtendedPayloadSize"), old = one("SQSLargePayloadSize"),
                          none = {0}, other = one("Other");

    (void)state;
    for (size_t i = 0; i < SL_COUNT(bodies); i++) {
        marked = one("ExtendedPayloadSize");
        assert_true(sqs_extended_is_pointer(str_from(bodies[i]), &marked));
        old = one("SQSLargePayloadSize");
        assert_true(sqs_extended_is_pointer(str_from(bodies[i]), &old));
        /* Somebody may write about pointers. */
        assert_false(sqs_extended_is_pointer(str_from(bodies[i]), &none));
        assert_false(sqs_extended_is_pointer(str_from(bodies[i]), NULL));
        other = one("Other");
        assert_false(sqs_extended_is_pointer(str_from(bodies[i]), &other));
    }
    marked = one("ExtendedPayloadSize");
    for (size_t i = 0; i < SL_COUNT(others); i++) {
        assert_false(sqs_extended_is_pointer(str_from(others[i]), &marked));
    }
}

static void envelopes(void **state)
{
    static const char text[] =
        "{\"Type\":\"Notification\",\"MessageId\":\"m-1\",\"TopicArn\":\"arn:aws:sns:eu-west-1:1:"
        "t\","
        "\"Subject\":\"s\",\"Message\":\"{\\\"a\\\":1}\",\"MessageAttributes\":{"
        "\"x\":{\"Type\":\"String\",\"Value\":\"y\"},\"n\":{\"Type\":\"Number\",\"Value\":\"7\"},"
        "\"b\":{\"Type\":\"Binary\",\"Value\":\"AAEC\"},\"l\":{\"Type\":\"String.Array\",\"Value\":"
        "\"[1]\"}}}";
    static const char *const names[] = {
        "x", "n", "b", "l", "SNS.TopicArn", "SNS.MessageId", "SNS.Subject"};
    struct sns_envelope envelope;
    struct arena arena;

    (void)state;
    arena_init(&arena, 65536);
    assert_int_equal(sns_unwrap(str_from(text), &arena, &envelope), 0);
    assert_str(envelope.message, "{\"a\":1}");
    assert_int_equal(envelope.attributes.count, SL_COUNT(names));
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_str(envelope.attributes.items[i].name, names[i]);
    }
    assert_str(envelope.attributes.items[0].string_value, "y");
    assert_int_equal(envelope.attributes.items[2].binary_value.len, 3);
    assert_memory_equal(envelope.attributes.items[2].binary_value.ptr, "\0\1\2", 3);
    assert_null(envelope.attributes.items[2].string_value.ptr);
    assert_str(envelope.attributes.items[4].string_value, "arn:aws:sns:eu-west-1:1:t");
    arena_done(&arena);
    arena_init(&arena, 64);
    assert_int_equal(sns_unwrap(str_from(text), &arena, &envelope), ERR_NOMEM);
    arena_done(&arena);
}

static void no_envelopes(void **state)
{
    static const char *const bodies[] = {
        "",
        "text",
        "{}",
        "[]",
        "{\"Type\":\"Notification\"}",
        "{\"Type\":\"Notification\",\"Message\":\"m\"}",
        "{\"Type\":\"SubscriptionConfirmation\",\"Message\":\"m\",\"TopicArn\":\"t\"}",
        "{\"Type\":\"Notification\",\"Message\":1,\"TopicArn\":\"t\"}",
        "{\"Type\":\"Notification\",\"Message\":\"m\",\"TopicArn\":\"t\",\"MessageAttributes\":{"
        "\"b\":{\"Type\":\"Binary\",\"Value\":\"?\"}}}",
        "{\"Type\":\"Notification\",\"Message\":\"m\",\"TopicArn\":\"t\",\"MessageAttributes\":{"
        "\"b\":1}}"};
    struct sns_envelope envelope;
    struct arena arena;

    (void)state;
    for (size_t i = 0; i < SL_COUNT(bodies); i++) {
        arena_init(&arena, 65536);
        assert_int_equal(sns_unwrap(str_from(bodies[i]), &arena, &envelope), ERR_NOT_FOUND);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(no_envelopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
