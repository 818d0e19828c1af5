/* The rules of SQS with their exact texts. */
#include "sluice/sqs/validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct sqs_send_rules standard = {false, false, 1048576, false};
static const struct sqs_send_rules standard_batch = {false, false, 2048, true};
static const struct sqs_send_rules fifo = {true, false, 1048576, false};
static const struct sqs_send_rules fifo_content = {true, true, 1048576, false};

static void expect(int rc, const struct sqs_error *e, enum sqs_error_code code, const char *message)
{
    if (rc != (int)code || (rc != SQS_OK && strcmp(e->message, message) != 0)) {
        fail_msg("got %d \"%s\", wanted %d \"%s\"", rc, rc == SQS_OK ? "" : e->message, code,
                 message);
    }
    if (rc != SQS_OK) {
        assert_int_equal(e->code, code);
    }
}

#define NAME_TEXT                                                                                  \
    "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
#define FIFO_NAME_TEXT                                                                             \
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, " \
    "must end with .fifo suffix and be 1 to 80 in length"
#define LETTERS_75 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhh"

static void queue_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *message; /* NULL: fine */
    } rows[] = {
        {"jobs", NULL},
        {"A-z_09", NULL},
        {"jobs.fifo", NULL},
        {LETTERS_75 "12345", NULL},
        {LETTERS_75 ".fifo", NULL},
        {LETTERS_75 "123456", NAME_TEXT},
        {LETTERS_75 "1.fifo", FIFO_NAME_TEXT},
        {"", NAME_TEXT},
        {".fifo", FIFO_NAME_TEXT},
        {"a b", NAME_TEXT},
        {"a.b", NAME_TEXT},
        {"a/b", NAME_TEXT},
        {"a.b.fifo", FIFO_NAME_TEXT},
        {"\xc3\xa9", NAME_TEXT},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sqs_error e;
        int rc = sqs_validate_queue_name(str_from(rows[i].name), &e);
        expect(rc, &e, rows[i].message == NULL ? SQS_OK : SQS_ERROR_INVALID_PARAMETER_VALUE,
               rows[i].message);
    }
    assert_true(sqs_queue_name_is_fifo(STR("a.fifo")));
    assert_false(sqs_queue_name_is_fifo(STR("afifo")));
}

static void creating(void **state)
{
    (void)state;
    static const struct {
        const char *name, *attribute, *value;
        enum sqs_error_code code;
        const char *message;
    } rows[] = {
        {"q", "VisibilityTimeout", "0", SQS_OK, NULL},
        {"q", "VisibilityTimeout", "43200", SQS_OK, NULL},
        {"q", "VisibilityTimeout", "43201", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter VisibilityTimeout."},
        {"q", "VisibilityTimeout", "-1", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter VisibilityTimeout."},
        {"q", "VisibilityTimeout", "", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter VisibilityTimeout."},
        {"q", "DelaySeconds", "901", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter DelaySeconds."},
        {"q", "MaximumMessageSize", "1023", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter MaximumMessageSize."},
        {"q", "MaximumMessageSize", "1048576", SQS_OK, NULL},
        {"q", "MessageRetentionPeriod", "59", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter MessageRetentionPeriod."},
        {"q", "MessageRetentionPeriod", "1209600", SQS_OK, NULL},
        {"q", "ReceiveMessageWaitTimeSeconds", "21", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter ReceiveMessageWaitTimeSeconds."},
        {"q", "KmsDataKeyReusePeriodSeconds", "59", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter KmsDataKeyReusePeriodSeconds."},
        {"q", "SqsManagedSseEnabled", "maybe", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter SqsManagedSseEnabled."},
        {"q", "Policy", "{\"Version\":\"2012-10-17\"}", SQS_OK, NULL},
        {"q", "Policy", "", SQS_OK, NULL},
        {"q", "Policy", "nonsense", SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
         "Invalid value for the parameter Policy."},
        {"q", "Foo", "1", SQS_ERROR_INVALID_ATTRIBUTE_NAME, "Unknown Attribute Foo."},
        {"q", "QueueArn", "1", SQS_ERROR_INVALID_ATTRIBUTE_NAME, "Unknown Attribute QueueArn."},
        {"q", "ApproximateNumberOfMessages", "1", SQS_ERROR_INVALID_ATTRIBUTE_NAME,
         "Unknown Attribute ApproximateNumberOfMessages."},
        {"q", "FifoQueue", "false", SQS_ERROR_INVALID_ATTRIBUTE_NAME,
         "Unknown Attribute FifoQueue."},
        {"q", "FifoQueue", "true", SQS_ERROR_INVALID_PARAMETER_VALUE, FIFO_NAME_TEXT},
        {"q", "ContentBasedDeduplication", "true", SQS_ERROR_INVALID_ATTRIBUTE_NAME,
         "Unknown Attribute ContentBasedDeduplication."},
        {"q", "DeduplicationScope", "queue", SQS_ERROR_INVALID_ATTRIBUTE_NAME,
         "You can specify the DeduplicationScope only when FifoQueue is set to true."},
        {"q", "FifoThroughputLimit", "perQueue", SQS_ERROR_INVALID_ATTRIBUTE_NAME,
         "You can specify the FifoThroughputLimit only when FifoQueue is set to true."},
        {"q.fifo", "FifoQueue", "true", SQS_OK, NULL},
        {"q.fifo", "FifoQueue", "false", SQS_ERROR_INVALID_PARAMETER_VALUE, NAME_TEXT},
        {"q.fifo", "DelaySeconds", "1", SQS_ERROR_INVALID_PARAMETER_VALUE, NAME_TEXT},
        {"a b", "DelaySeconds", "1", SQS_ERROR_INVALID_PARAMETER_VALUE, NAME_TEXT},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sqs_error e;
        struct sqs_pair pair = {str_from(rows[i].attribute), str_from(rows[i].value)};
        struct sqs_create_queue_in in = {str_from(rows[i].name), {&pair, 1, true}, {0}};
        expect(sqs_validate_create_queue(&in, &e), &e, rows[i].code, rows[i].message);
    }
}

static void setting(void **state)
{
    (void)state;
    struct sqs_error e;
    struct sqs_pair pairs[] = {{STR("KmsMasterKeyId"), STR("alias/k")},
                               {STR("SqsManagedSseEnabled"), STR("true")}};
    struct sqs_map map = {pairs, 2, true};
    expect(
        sqs_validate_set_queue_attributes(&map, false, &e), &e, SQS_ERROR_INVALID_ATTRIBUTE_NAME,
        "You can use one type of server-side encryption (SSE) at one time. You can either enable "
        "KMS SSE or SQS SSE.");
    pairs[1] = (struct sqs_pair){STR("FifoQueue"), STR("false")};
    expect(sqs_validate_set_queue_attributes(&map, true, &e), &e, SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
           "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not "
           "supported.");
    pairs[1] = (struct sqs_pair){STR("DeduplicationScope"), STR("messageGroup")};
    expect(sqs_validate_set_queue_attributes(&map, true, &e), &e, SQS_OK, NULL);
    pairs[1].value = STR("planet");
    expect(sqs_validate_set_queue_attributes(&map, true, &e), &e, SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
           "Invalid value for the parameter DeduplicationScope.");
    struct str names[] = {STR("All"), STR("QueueArn"), STR("CreatedTimestamp"), STR("Foo")};
    struct sqs_strings list = {names, 3, true};
    expect(sqs_validate_queue_attribute_names(&list, &e), &e, SQS_OK, NULL);
    list.count = 4;
    expect(sqs_validate_queue_attribute_names(&list, &e), &e, SQS_ERROR_INVALID_ATTRIBUTE_NAME,
           "Unknown Attribute Foo.");
    assert_string_equal(
        sqs_queue_attribute_info(SQS_QUEUE_ATTRIBUTE_MESSAGE_RETENTION_PERIOD)->default_value,
        "345600");
    for (int i = 0; i < SQS_QUEUE_ATTRIBUTE__COUNT; i++) {
        const struct sqs_queue_attribute_info *info =
            sqs_queue_attribute_info((enum sqs_queue_attribute)i);
        assert_int_equal(sqs_queue_attribute_find(str_from(info->name)), i);
        assert_int_equal(info->kind == SQS_VALUE_CHOICE, info->choices != NULL);
    }
}

#define POLICY "{\"deadLetterTargetArn\":\"arn:aws:sqs:r:1:dlq\",\"maxReceiveCount\":3}"

static void redrive_policies(void **state)
{
    (void)state;
    struct arena arena;
    struct sqs_error e;
    struct sqs_redrive_policy policy;
    arena_init(&arena, 65536);
    static const char *const good[] = {
        POLICY, "{ \"maxReceiveCount\" : \"3\", \"deadLetterTargetArn\":\"arn:aws:sqs:r:1:dlq\" }"};
    for (size_t i = 0; i < SL_COUNT(good); i++) {
        assert_int_equal(sqs_redrive_policy_parse(str_from(good[i]), &arena, &policy, &e), SQS_OK);
        struct buf out;
        buf_init(&out, 1024);
        assert_int_equal(sqs_redrive_policy_write(&policy, &out), 0);
        assert_string_equal(out.ptr, POLICY);
        buf_done(&out);
    }
    static const struct {
        const char *text, *reason;
    } bad[] = {
        {"nonsense", "Redrive policy is not a valid JSON map."},
        {"[]", "Redrive policy is not a valid JSON map."},
        {"{\"maxReceiveCount\":3}",
         "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."},
        {"{\"deadLetterTargetArn\":\"arn:aws:sqs:r:1:dlq\"}",
         "Redrive policy does not contain mandatory attribute: maxReceiveCount."},
        {"{\"deadLetterTargetArn\":\"arn:aws:sqs:r:1:dlq\",\"maxReceiveCount\":0}",
         "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive."},
        {"{\"deadLetterTargetArn\":\"arn:aws:sqs:r:1:dlq\",\"maxReceiveCount\":1001}",
         "Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both "
         "inclusive."},
        {"{\"deadLetterTargetArn\":\"dlq\",\"maxReceiveCount\":1}",
         "Invalid value for deadLetterTargetArn."},
    };
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        char message[512];
        (void)snprintf(message, sizeof(message),
                       "Value %s for parameter RedrivePolicy is invalid. Reason: %s", bad[i].text,
                       bad[i].reason);
        expect(sqs_redrive_policy_parse(str_from(bad[i].text), &arena, &policy, &e), &e,
               SQS_ERROR_INVALID_PARAMETER_VALUE, message);
    }
    arena_done(&arena);
}

static void redrive_allow_policies(void **state)
{
    (void)state;
    struct arena arena;
    struct sqs_error e;
    struct sqs_redrive_allow_policy policy;
    arena_init(&arena, 65536);
    assert_int_equal(sqs_redrive_allow_policy_parse(STR("{\"redrivePermission\":\"denyAll\"}"),
                                                    &arena, &policy, &e),
                     SQS_OK);
    assert_int_equal(policy.permission, SQS_REDRIVE_DENY_ALL);
    assert_int_equal(
        sqs_redrive_allow_policy_parse(STR("{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":"
                                           "[\"arn:aws:sqs:r:1:a\",\"arn:aws:sqs:r:1:b\"]}"),
                                       &arena, &policy, &e),
        SQS_OK);
    assert_int_equal(policy.source_arns.count, 2);
    assert_true(str_equal(policy.source_arns.items[1], STR("arn:aws:sqs:r:1:b")));
    static const char *const bad[] = {
        "{}",
        "nonsense",
        "{\"redrivePermission\":\"sometimes\"}",
        "{\"redrivePermission\":\"byQueue\"}",
        "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[]}",
        "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"x\"]}",
        "{\"redrivePermission\":\"allowAll\",\"sourceQueueArns\":[\"arn:aws:sqs:r:1:a\"]}",
    };
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_int_equal(sqs_redrive_allow_policy_parse(str_from(bad[i]), &arena, &policy, &e),
                         SQS_ERROR_INVALID_PARAMETER_VALUE);
    }
    arena_done(&arena);
}

static void bodies_and_characters(void **state)
{
    (void)state;
    struct sqs_error e;
    struct sqs_send_entry entry = {.body =
                                       STR("\t\n\r ~\xc2\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd"
                                           "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")};
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_OK, NULL);
    static const struct str bad[] = {
        {"a\x01", 2}, {"\x1f", 1}, {"a\0b", 3},         {"\xef\xbf\xbe", 3}, {"\xef\xbf\xbf", 3},
        {"\xff", 1},  {"\xc3", 1}, {"\xed\xa0\x80", 3}, {"\xc0\x80", 2},
    };
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        entry.body = bad[i];
        expect(sqs_validate_send_entry(&entry, &standard, &e), &e,
               SQS_ERROR_INVALID_MESSAGE_CONTENTS, SQS_INVALID_CHARACTERS_TEXT);
    }
    entry.body = STR("");
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_ERROR_MISSING_PARAMETER,
           "The request must contain the parameter MessageBody.");
}

static void sizes(void **state)
{
    (void)state;
    struct sqs_error e;
    static char text[2049];
    memset(text, 'x', sizeof(text));
    struct sqs_attribute attribute = {STR("n"), STR("String"), STR("v"), STR_NONE, false};
    struct sqs_send_entry entry = {.body = {text, 2040}, .attributes = {&attribute, 1, true}};
    assert_int_equal(sqs_message_size(&entry), 2048);
    expect(sqs_validate_send_entry(&entry, &standard_batch, &e), &e, SQS_OK, NULL);
    entry.body.len++;
    expect(sqs_validate_send_entry(&entry, &standard_batch, &e), &e,
           SQS_ERROR_INVALID_PARAMETER_VALUE,
           "One or more parameters cannot be validated. Reason: Message must be shorter than 2048 "
           "bytes.");
    struct sqs_send_rules single = standard_batch;
    single.batch = false;
    expect(sqs_validate_send_entry(&entry, &single, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "One or more parameters are invalid. Reason: Message must be shorter than 2048 bytes.");
    entry.attributes.count = 0; /* system attributes do not count */
    attribute = (struct sqs_attribute){STR("AWSTraceHeader"), STR("String"), STR("Root=1"),
                                       STR_NONE, false};
    entry.system_attributes = (struct sqs_attributes){&attribute, 1, true};
    expect(sqs_validate_send_entry(&entry, &single, &e), &e, SQS_OK, NULL);
}

static void message_attributes(void **state)
{
    (void)state;
#define ATTRIBUTE(n, t, s, b)                                                                      \
    {                                                                                              \
        STR(n), STR(t), s, b, false                                                                \
    }
    static const struct {
        struct sqs_attribute attribute;
        const char *message; /* NULL: fine */
    } rows[] = {
        {ATTRIBUTE("a", "String", STR("v"), STR_NONE), NULL},
        {ATTRIBUTE("A.b-c_9", "String.json", STR("v"), STR_NONE), NULL},
        {ATTRIBUTE("\xc3\xb8", "String", STR("v"), STR_NONE), NULL},
        {ATTRIBUTE("n", "Number", STR("-1.5e3"), STR_NONE), NULL},
        {ATTRIBUTE("b", "Binary", STR_NONE, STR("\x00\xff")), NULL},
        {ATTRIBUTE("X", "String", STR(""), STR_NONE),
         "Message (user) attribute 'X' must contain a non-empty value of type 'String'."},
        {ATTRIBUTE("X", "String", STR_NONE, STR_NONE),
         "Message (user) attribute 'X' must contain a non-empty value of type 'String'."},
        {ATTRIBUTE("X", "Number", STR("abc"), STR_NONE),
         "Can't cast the value of message (user) attribute 'X' to a number."},
        {ATTRIBUTE("X", "", STR("v"), STR_NONE),
         "The message (user) attribute 'X' must contain a non-empty message attribute type."},
        {ATTRIBUTE("X", "Foo", STR("v"), STR_NONE),
         "The type of message (user) attribute 'X' is invalid. You must use only the following "
         "supported type prefixes: Binary, Number, String."},
        {ATTRIBUTE("X", "Strings", STR("v"), STR_NONE),
         "The type of message (user) attribute 'X' is invalid. You must use only the following "
         "supported type prefixes: Binary, Number, String."},
        {ATTRIBUTE("X", "String", STR("v"), STR("w")),
         "Message (user) attribute 'X' must have a single value."},
        {ATTRIBUTE("X", "String", STR_NONE, STR("w")),
         "Message (user) attribute 'X' with type 'String' must use field 'String'."},
        {ATTRIBUTE("X", "Binary", STR("w"), STR_NONE),
         "Message (user) attribute 'X' with type 'Binary' must use field 'Binary'."},
        {ATTRIBUTE("X", "String", STR("\x01"), STR_NONE), SQS_INVALID_CHARACTERS_TEXT},
    };
    struct sqs_error e;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sqs_attribute copy = rows[i].attribute;
        struct sqs_send_entry entry = {.body = STR("b"), .attributes = {&copy, 1, true}};
        expect(sqs_validate_send_entry(&entry, &standard, &e), &e,
               rows[i].message == NULL ? SQS_OK : SQS_ERROR_INVALID_PARAMETER_VALUE,
               rows[i].message);
    }
    static const char *const names[] = {"", ".a", "a.", "a..b", "a b", "AWS.x", "amazon.x", "a/b"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        struct sqs_attribute a = {str_from(names[i]), STR("String"), STR("v"), STR_NONE, false};
        struct sqs_send_entry entry = {.body = STR("b"), .attributes = {&a, 1, true}};
        assert_int_equal(sqs_validate_send_entry(&entry, &standard, &e),
                         SQS_ERROR_INVALID_PARAMETER_VALUE);
        assert_non_null(strstr(e.message, "The message attribute name"));
    }
}

static void more_message_attributes(void **state)
{
    (void)state;
    struct sqs_error e;
    struct sqs_attribute many[11];
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
    for (size_t i = 0; i < SL_COUNT(many); i++) {
        many[i] =
            (struct sqs_attribute){str_from(names[i]), STR("String"), STR("v"), STR_NONE, false};
    }
    struct sqs_send_entry entry = {.body = STR("b"), .attributes = {many, 10, true}};
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_OK, NULL);
    entry.attributes.count = 11;
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Number of message attributes [11] exceeds the allowed maximum [10].");
    entry.attributes.count = 2;
    many[1].name = STR("a");
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Message (user) attribute 'a' is given twice.");
    entry.attributes.count = 1;
    many[0].has_list_values = true;
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_ERROR_UNSUPPORTED_OPERATION,
           "Message attribute list values in SendMessage operation are not supported.");
    entry.attributes.count = 0;
    struct sqs_attribute system = {STR("Foo"), STR("String"), STR("v"), STR_NONE, false};
    entry.system_attributes = (struct sqs_attributes){&system, 1, true};
    assert_int_equal(sqs_validate_send_entry(&entry, &standard, &e),
                     SQS_ERROR_INVALID_PARAMETER_VALUE);
    system.name = STR("AWSTraceHeader");
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_OK, NULL);
    system.data_type = STR("Number");
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Message system attribute 'AWSTraceHeader' must be of type 'String'.");
}

static void delays(void **state)
{
    (void)state;
    struct sqs_error e;
    static const char text[] =
        "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= "
        "900.";
    expect(sqs_validate_delay((struct sqs_int){true, 900}, false, &e), &e, SQS_OK, NULL);
    expect(sqs_validate_delay((struct sqs_int){true, 901}, false, &e), &e,
           SQS_ERROR_INVALID_PARAMETER_VALUE, text);
    expect(sqs_validate_delay((struct sqs_int){true, 0}, true, &e), &e, SQS_OK, NULL);
    expect(sqs_validate_delay((struct sqs_int){false, 77}, true, &e), &e, SQS_OK, NULL);
    expect(sqs_validate_delay((struct sqs_int){true, 2}, true, &e), &e,
           SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter "
           "that is not valid for this queue type.");
}

static void groups_and_deduplication(void **state)
{
    (void)state;
    struct sqs_error e;
    struct sqs_send_entry entry = {.body = STR("b")};
    expect(sqs_validate_send_entry(&entry, &fifo, &e), &e, SQS_ERROR_MISSING_PARAMETER,
           "The request must contain the parameter MessageGroupId.");
    entry.group_id = STR("g");
    expect(sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_OK, NULL);
    expect(sqs_validate_send_entry(&entry, &fifo_content, &e), &e, SQS_OK, NULL);
    expect(sqs_validate_send_entry(&entry, &fifo, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "The queue should either have ContentBasedDeduplication enabled or "
           "MessageDeduplicationId provided explicitly");
    entry.deduplication_id = STR("d!~");
    expect(sqs_validate_send_entry(&entry, &fifo, &e), &e, SQS_OK, NULL);
    expect(
        sqs_validate_send_entry(&entry, &standard, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
        "Value d!~ for parameter MessageDeduplicationId is invalid. Reason: The request includes "
        "a parameter that is not valid for this queue type.");
    entry.deduplication_id = STR("a b");
    expect(sqs_validate_send_entry(&entry, &fifo, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Value a b for parameter MessageDeduplicationId is invalid. Reason: "
           "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to "
           "128 in length.");
    entry.deduplication_id = STR_NONE;
    static const char *const bad[] = {"", "a b", "\xc3\xa9", LETTERS_75 LETTERS_75};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        entry.group_id = str_from(bad[i]);
        char message[512];
        (void)snprintf(
            message, sizeof(message),
            "Value %s for parameter MessageGroupId is invalid. Reason: MessageGroupId can "
            "only include alphanumeric and punctuation characters. 1 to 128 in length.",
            bad[i]);
        expect(sqs_validate_send_entry(&entry, &standard, &e), &e,
               SQS_ERROR_INVALID_PARAMETER_VALUE, message);
    }
}

static void batches(void **state)
{
    (void)state;
    struct sqs_error e;
    static char ids[20][4];
    static struct sqs_send_entry entries[20];
    for (size_t i = 0; i < SL_COUNT(entries); i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "i%zu", i);
        entries[i] = (struct sqs_send_entry){.id = str_from(ids[i]), .body = STR("b")};
    }
    struct sqs_send_batch_in in = {STR("q"), {NULL, 0, true}};
    expect(sqs_validate_send_batch(&in, &standard_batch, &e), &e, SQS_ERROR_EMPTY_BATCH_REQUEST,
           "There should be at least one SendMessageBatchRequestEntry in the request.");
    in.entries.items = entries;
    in.entries.count = 20;
    expect(sqs_validate_send_batch(&in, &standard_batch, &e), &e, SQS_ERROR_TOO_MANY_ENTRIES,
           "Maximum number of entries per request are 10. You have sent 20.");
    in.entries.count = 10;
    expect(sqs_validate_send_batch(&in, &standard_batch, &e), &e, SQS_OK, NULL);
    entries[9].id = STR("i0");
    expect(sqs_validate_send_batch(&in, &standard_batch, &e), &e,
           SQS_ERROR_BATCH_ENTRY_IDS_NOT_DISTINCT, "Id i0 repeated.");
    static const char *const bad[] = {"", "a b", "\xc3\xa9", LETTERS_75 "123456"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        entries[9].id = str_from(bad[i]);
        expect(
            sqs_validate_send_batch(&in, &standard_batch, &e), &e, SQS_ERROR_INVALID_BATCH_ENTRY_ID,
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
            "It can be at most 80 letters long.");
    }
    entries[9].id = STR("i9");
    expect(sqs_validate_send_batch(&in, &fifo, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "The request must contain the parameter MessageGroupId.");
    char *body = calloc(1, 524289);
    assert_non_null(body);
    memset(body, 'x', 524289);
    in.entries.count = 2;
    entries[0].body = entries[1].body = (struct str){body, 524288};
    expect(sqs_validate_send_batch(&in, &standard_batch, &e), &e, SQS_OK, NULL);
    entries[1].body.len++;
    expect(sqs_validate_send_batch(&in, &standard_batch, &e), &e, SQS_ERROR_BATCH_REQUEST_TOO_LONG,
           "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.");
    free(body);
}

static void handles(void **state)
{
    (void)state;
    struct sqs_error e;
    struct sqs_handle_batch_in in = {STR("q"), {NULL, 0, true}};
    expect(sqs_validate_handle_batch(SQS_DELETE_MESSAGE_BATCH, &in, &e), &e,
           SQS_ERROR_EMPTY_BATCH_REQUEST,
           "There should be at least one DeleteMessageBatchRequestEntry in the request.");
    expect(sqs_validate_handle_batch(SQS_CHANGE_MESSAGE_VISIBILITY_BATCH, &in, &e), &e,
           SQS_ERROR_EMPTY_BATCH_REQUEST,
           "There should be at least one ChangeMessageVisibilityBatchRequestEntry in the request.");
    struct sqs_handle_entry entry = {.id = STR("1"), .receipt_handle = STR("h")};
    expect(sqs_validate_handle_entry(SQS_DELETE_MESSAGE, &entry, &e), &e, SQS_OK, NULL);
    expect(sqs_validate_handle_entry(SQS_CHANGE_MESSAGE_VISIBILITY_BATCH, &entry, &e), &e,
           SQS_ERROR_MISSING_PARAMETER,
           "The request must contain the parameter VisibilityTimeout.");
    entry.visibility_timeout = (struct sqs_int){true, 43201};
    expect(sqs_validate_handle_entry(SQS_CHANGE_MESSAGE_VISIBILITY, &entry, &e), &e,
           SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= "
           "43200, if provided.");

    struct arena arena;
    arena_init(&arena, 4096);
    struct sqs_batch_failure failure;
    assert_int_equal(sqs_batch_failure_set(&failure, STR("1"), &e, &arena), 0);
    assert_true(str_equal(failure.code, STR("InvalidParameterValue")));
    assert_true(str_equal(failure.message, str_from(e.message)));
    assert_true(failure.sender_fault);
    arena_done(&arena);
}

static void receiving(void **state)
{
    (void)state;
    struct sqs_error e;
    struct sqs_receive_in in = {0};
    expect(sqs_validate_receive(&in, false, &e), &e, SQS_OK, NULL);
    in.max_messages = (struct sqs_int){true, 11};
    expect(sqs_validate_receive(&in, false, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and "
           "10, if provided.");
    in.max_messages.value = 10;
    in.wait_seconds = (struct sqs_int){true, 21};
    expect(sqs_validate_receive(&in, false, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if "
           "provided.");
    in.wait_seconds.value = 20;
    in.visibility_timeout = (struct sqs_int){true, -1};
    expect(
        sqs_validate_receive(&in, false, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
        "Value -1 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, "
        "if provided.");
    in.visibility_timeout.value = 0;
    struct str name = STR("Foo");
    in.system_attribute_names = (struct sqs_strings){&name, 1, true};
    expect(sqs_validate_receive(&in, false, &e), &e, SQS_ERROR_INVALID_ATTRIBUTE_NAME,
           "Unknown Attribute Foo.");
    name = STR("AWSTraceHeader");
    in.attempt_id = STR("r");
    expect(sqs_validate_receive(&in, true, &e), &e, SQS_OK, NULL);
    expect(sqs_validate_receive(&in, false, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           "Value r for parameter ReceiveRequestAttemptId is invalid. Reason: The request includes "
           "a parameter that is not valid for this queue type.");
    in.attempt_id = STR("a b");
    assert_int_equal(sqs_validate_receive(&in, true, &e), SQS_ERROR_INVALID_PARAMETER_VALUE);
}

static void check_tag(const char *key, const char *value, const char *message)
{
    struct sqs_pair pair = {str_from(key), str_from(value)};
    const struct sqs_tag_queue_in in = {.tags = {&pair, 1, true}};
    struct sqs_error e;
    expect(sqs_validate_tag_queue(&in, &e), &e,
           message == NULL ? SQS_OK : SQS_ERROR_INVALID_PARAMETER_VALUE, message);
}

#define TAG_KEY_TEXT   "Tag keys must be between 1 and 128 characters in length."
#define TAG_VALUE_TEXT "Tag values must be between 0 and 256 characters in length."

static void tags(void **state)
{
    (void)state;
    char text[1024];
    check_tag("team", "billing", NULL);
    check_tag("team", "", NULL);
    check_tag("", "x", TAG_KEY_TEXT);
    check_tag("AWS:x", "x", "Tag keys that begin with aws: are reserved for AWS.");
    check_tag("aws", "x", NULL);
    memset(text, 'k', 129);
    text[129] = '\0';
    check_tag(text, "x", TAG_KEY_TEXT);
    check_tag(text + 1, "x", NULL);
    for (size_t i = 0; i < 257; i++) { /* characters count, not bytes */
        memcpy(text + 2 * i, "\xc3\xa9", 3);
    }
    check_tag("k", text, TAG_VALUE_TEXT);
    check_tag("k", text + 2, NULL);

    struct sqs_error e;
    const struct sqs_tag_queue_in none = {.tags = {.set = true}};
    expect(sqs_validate_tag_queue(&none, &e), &e, SQS_ERROR_MISSING_PARAMETER,
           "The request must contain the parameter Tags.");
    struct sqs_untag_queue_in untag = {.keys = {.set = false}};
    expect(sqs_validate_untag_queue(&untag, &e), &e, SQS_ERROR_MISSING_PARAMETER,
           "The request must contain the parameter TagKeys.");
    untag.keys.set = true;
    expect(sqs_validate_untag_queue(&untag, &e), &e, SQS_ERROR_INVALID_PARAMETER_VALUE,
           TAG_KEY_TEXT);
    struct str key = STR("team");
    untag.keys = (struct sqs_strings){&key, 1, true};
    expect(sqs_validate_untag_queue(&untag, &e), &e, SQS_OK, NULL);
}

static void high_throughput(void **state)
{
    (void)state;
    struct sqs_error e;
    expect(sqs_validate_fifo_throughput(STR("messageGroup"), STR("perMessageGroupId"), &e), &e,
           SQS_OK, NULL);
    expect(sqs_validate_fifo_throughput(STR("messageGroup"), STR("perQueue"), &e), &e, SQS_OK,
           NULL);
    expect(sqs_validate_fifo_throughput(STR("queue"), STR("perQueue"), &e), &e, SQS_OK, NULL);
    expect(sqs_validate_fifo_throughput(STR("queue"), STR("perMessageGroupId"), &e), &e,
           SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
           "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId "
           "value is allowed only when the value for DeduplicationScope is messageGroup.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_names),
        cmocka_unit_test(creating),
        cmocka_unit_test(setting),
        cmocka_unit_test(redrive_policies),
        cmocka_unit_test(redrive_allow_policies),
        cmocka_unit_test(bodies_and_characters),
        cmocka_unit_test(sizes),
        cmocka_unit_test(message_attributes),
        cmocka_unit_test(more_message_attributes),
        cmocka_unit_test(delays),
        cmocka_unit_test(groups_and_deduplication),
        cmocka_unit_test(batches),
        cmocka_unit_test(handles),
        cmocka_unit_test(receiving),
        cmocka_unit_test(tags),
        cmocka_unit_test(high_throughput),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
