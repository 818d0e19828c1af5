/*
 * The wire of every action: the same request as JSON and as a Query form decodes to the same
 * structure (compared by encoding it again), and every answer round-trips in JSON and reads as
 * expected in XML.
 */
#include "sluice/sqs/codec.h"
#include "sluice/sqs/validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARENA_MAX ((size_t)8 << 20)

struct fixture {
    struct arena arena;
    struct buf out;
    struct sqs_error e;
};

static void fixture_init(struct fixture *f)
{
    arena_init(&f->arena, ARENA_MAX);
    buf_init(&f->out, ARENA_MAX);
}

static void fixture_done(struct fixture *f)
{
    arena_done(&f->arena);
    buf_done(&f->out);
}

#define URL "http://h:1/0/q"

static const struct {
    enum sqs_action action;
    const char *json, *form;
} inputs[] = {
    {SQS_CREATE_QUEUE,
     "{\"QueueName\":\"q\",\"Attributes\":{\"DelaySeconds\":\"5\",\"Policy\":\"{}\"},"
     "\"tags\":{\"team\":\"a b\"}}",
     "Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&"
     "Attribute.2.Name=Policy&Attribute.2.Value=%7b%7D&Tag.1.Key=team&Tag.1.Value=a+b"},
    {SQS_DELETE_QUEUE, "{\"QueueUrl\":\"" URL "\"}", "QueueUrl=http%3A%2F%2Fh%3A1%2F0%2Fq"},
    {SQS_GET_QUEUE_URL, "{\"QueueName\":\"q\",\"QueueOwnerAWSAccountId\":\"000000000000\"}",
     "QueueOwnerAWSAccountId=000000000000&QueueName=q"},
    {SQS_LIST_QUEUES, "{\"QueueNamePrefix\":\"a\",\"NextToken\":\"t\",\"MaxResults\":3}",
     "QueueNamePrefix=a&MaxResults=3&NextToken=t"},
    {SQS_LIST_QUEUES, "{}", "Version=2012-11-05"},
    {SQS_GET_QUEUE_ATTRIBUTES, "{\"QueueUrl\":\"q\",\"AttributeNames\":[\"All\",\"QueueArn\"]}",
     "QueueUrl=q&AttributeName.1=All&AttributeName.2=QueueArn"},
    {SQS_GET_QUEUE_ATTRIBUTES, "{\"QueueUrl\":\"q\",\"AttributeNames\":[\"All\"]}",
     "QueueUrl=q&AttributeName=All"},
    {SQS_GET_QUEUE_ATTRIBUTES, "{\"QueueUrl\":\"q\"}", "QueueUrl=q&AttributeName="},
    {SQS_SET_QUEUE_ATTRIBUTES, "{\"QueueUrl\":\"q\",\"Attributes\":{\"VisibilityTimeout\":\"1\"}}",
     "QueueUrl=q&Attribute.1.Value=1&Attribute.1.Name=VisibilityTimeout"},
    {SQS_SEND_MESSAGE,
     "{\"QueueUrl\":\"q\",\"MessageBody\":\"a&b=c+d \\r\\n\xc3\xa9\",\"DelaySeconds\":0,"
     "\"MessageAttributes\":{\"n\":{\"StringValue\":\"1\",\"DataType\":\"Number\"},"
     "\"b\":{\"BinaryValue\":\"AQI=\",\"DataType\":\"Binary\"}},"
     "\"MessageSystemAttributes\":{\"AWSTraceHeader\":{\"StringValue\":\"Root=1\",\"DataType\":"
     "\"String\"}},\"MessageGroupId\":\"g\",\"MessageDeduplicationId\":\"d\"}",
     "QueueUrl=q&MessageBody=a%26b%3Dc%2Bd+%0D%0A%C3%A9&DelaySeconds=0&"
     "MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Number&"
     "MessageAttribute.1.Value.StringValue=1&MessageAttribute.2.Name=b&"
     "MessageAttribute.2.Value.DataType=Binary&MessageAttribute.2.Value.BinaryValue=AQI%3D&"
     "MessageSystemAttribute.1.Name=AWSTraceHeader&MessageSystemAttribute.1.Value.DataType=String&"
     "MessageSystemAttribute.1.Value.StringValue=Root%3D1&MessageGroupId=g&"
     "MessageDeduplicationId=d"},
    {SQS_SEND_MESSAGE_BATCH,
     "{\"QueueUrl\":\"q\",\"Entries\":[{\"Id\":\"1\",\"MessageBody\":\"x\",\"DelaySeconds\":900},"
     "{\"Id\":\"2\",\"MessageBody\":\"\",\"MessageAttributes\":{\"n\":{\"StringValue\":\"v\","
     "\"DataType\":\"String.json\"}}}]}",
     "QueueUrl=q&SendMessageBatchRequestEntry.1.Id=1&"
     "SendMessageBatchRequestEntry.1.MessageBody=x&SendMessageBatchRequestEntry.1.DelaySeconds=900&"
     "SendMessageBatchRequestEntry.2.Id=2&SendMessageBatchRequestEntry.2.MessageBody=&"
     "SendMessageBatchRequestEntry.2.MessageAttribute.1.Name=n&"
     "SendMessageBatchRequestEntry.2.MessageAttribute.1.Value.StringValue=v&"
     "SendMessageBatchRequestEntry.2.MessageAttribute.1.Value.DataType=String.json"},
    {SQS_RECEIVE_MESSAGE,
     "{\"QueueUrl\":\"q\",\"AttributeNames\":[\"All\"],\"MessageSystemAttributeNames\":["
     "\"SenderId\"],"
     "\"MessageAttributeNames\":[\"a\",\"b.*\"],\"MaxNumberOfMessages\":10,"
     "\"VisibilityTimeout\":30,\"WaitTimeSeconds\":20,\"ReceiveRequestAttemptId\":\"r\"}",
     "QueueUrl=q&AttributeName.1=All&MessageSystemAttributeName.1=SenderId&"
     "MessageAttributeName.1=a&MessageAttributeName.2=b.%2A&MaxNumberOfMessages=10&"
     "VisibilityTimeout=30&WaitTimeSeconds=20&ReceiveRequestAttemptId=r"},
    {SQS_DELETE_MESSAGE, "{\"QueueUrl\":\"q\",\"ReceiptHandle\":\"h\"}",
     "QueueUrl=q&ReceiptHandle=h"},
    {SQS_DELETE_MESSAGE_BATCH,
     "{\"QueueUrl\":\"q\",\"Entries\":[{\"Id\":\"1\",\"ReceiptHandle\":\"h\"}]}",
     "QueueUrl=q&DeleteMessageBatchRequestEntry.1.Id=1&"
     "DeleteMessageBatchRequestEntry.1.ReceiptHandle=h"},
    {SQS_CHANGE_MESSAGE_VISIBILITY,
     "{\"QueueUrl\":\"q\",\"ReceiptHandle\":\"h\",\"VisibilityTimeout\":0}",
     "QueueUrl=q&ReceiptHandle=h&VisibilityTimeout=0"},
    {SQS_CHANGE_MESSAGE_VISIBILITY_BATCH,
     "{\"QueueUrl\":\"q\",\"Entries\":[{\"Id\":\"1\",\"ReceiptHandle\":\"h\","
     "\"VisibilityTimeout\":60},{\"Id\":\"2\",\"ReceiptHandle\":\"i\"}]}",
     "QueueUrl=q&ChangeMessageVisibilityBatchRequestEntry.1.Id=1&"
     "ChangeMessageVisibilityBatchRequestEntry.1.ReceiptHandle=h&"
     "ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout=60&"
     "ChangeMessageVisibilityBatchRequestEntry.2.Id=2&"
     "ChangeMessageVisibilityBatchRequestEntry.2.ReceiptHandle=i"},
    {SQS_PURGE_QUEUE, "{\"QueueUrl\":\"q\"}", "QueueUrl=q"},
    {SQS_ADD_PERMISSION,
     "{\"QueueUrl\":\"q\",\"Label\":\"l\",\"AWSAccountIds\":[\"111111111111\",\"222222222222\"],"
     "\"Actions\":[\"SendMessage\"]}",
     "QueueUrl=q&Label=l&AWSAccountId.1=111111111111&AWSAccountId.2=222222222222&"
     "ActionName.1=SendMessage"},
    {SQS_REMOVE_PERMISSION, "{\"QueueUrl\":\"q\",\"Label\":\"l\"}", "QueueUrl=q&Label=l"},
    {SQS_TAG_QUEUE, "{\"QueueUrl\":\"q\",\"Tags\":{\"team\":\"a b\",\"empty\":\"\"}}",
     "QueueUrl=q&Tag.1.Key=team&Tag.1.Value=a+b&Tag.2.Key=empty&Tag.2.Value="},
    {SQS_UNTAG_QUEUE, "{\"QueueUrl\":\"q\",\"TagKeys\":[\"team\",\"empty\"]}",
     "QueueUrl=q&TagKey.1=team&TagKey.2=empty"},
    {SQS_LIST_QUEUE_TAGS, "{\"QueueUrl\":\"q\"}", "QueueUrl=q"},
    {SQS_LIST_DEAD_LETTER_SOURCE_QUEUES,
     "{\"QueueUrl\":\"q\",\"NextToken\":\"t\",\"MaxResults\":2}",
     "QueueUrl=q&NextToken=t&MaxResults=2"},
    {SQS_START_MESSAGE_MOVE_TASK,
     "{\"SourceArn\":\"a:b\",\"DestinationArn\":\"c:d\",\"MaxNumberOfMessagesPerSecond\":500}",
     "SourceArn=a%3Ab&DestinationArn=c%3Ad&MaxNumberOfMessagesPerSecond=500"},
    {SQS_LIST_MESSAGE_MOVE_TASKS, "{\"SourceArn\":\"a\",\"MaxResults\":10}",
     "SourceArn=a&MaxResults=10"},
    {SQS_CANCEL_MESSAGE_MOVE_TASK, "{\"TaskHandle\":\"e30=\"}", "TaskHandle=e30%3D"},
};

static void requests_are_the_same_in_both_protocols(void **state)
{
    (void)state;
    bool seen[SQS_ACTION__COUNT] = {false};
    for (size_t i = 0; i < SL_COUNT(inputs); i++) {
        const struct sqs_shape *shape = sqs_action_info(inputs[i].action)->input;
        struct fixture f;
        fixture_init(&f);
        void *in = NULL;
        assert_int_equal(sqs_json_decode(shape, str_from(inputs[i].json), &f.arena, &in, &f.e), 0);
        assert_int_equal(sqs_json_encode(shape, in, &f.out), 0);
        assert_string_equal(f.out.ptr, inputs[i].json);
        buf_reset(&f.out);
        in = NULL;
        assert_int_equal(sqs_query_decode(shape, str_from(inputs[i].form), &f.arena, &in, &f.e), 0);
        assert_int_equal(sqs_json_encode(shape, in, &f.out), 0);
        assert_string_equal(f.out.ptr, inputs[i].json);
        seen[inputs[i].action] = true;
        fixture_done(&f);
    }
    for (int i = 0; i < SQS_ACTION__COUNT; i++) {
        assert_true(seen[i]);
    }
}

#define XML(action, inner)                                                                         \
    "<?xml version=\"1.0\"?><" action                                                              \
    "Response xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">" inner                         \
    "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></" action "Response>"
#define RESULT(action, inner) XML(action, "<" action "Result>" inner "</" action "Result>")

static const struct {
    enum sqs_action action;
    const char *json, *xml;
} outputs[] = {
    {SQS_CREATE_QUEUE, "{\"QueueUrl\":\"" URL "\"}",
     RESULT("CreateQueue", "<QueueUrl>" URL "</QueueUrl>")},
    {SQS_DELETE_QUEUE, NULL, XML("DeleteQueue", "")},
    {SQS_GET_QUEUE_URL, "{\"QueueUrl\":\"q\"}", RESULT("GetQueueUrl", "<QueueUrl>q</QueueUrl>")},
    {SQS_LIST_QUEUES, "{\"QueueUrls\":[\"a\",\"b\"],\"NextToken\":\"t\"}",
     RESULT("ListQueues", "<QueueUrl>a</QueueUrl><QueueUrl>b</QueueUrl><NextToken>t</NextToken>")},
    {SQS_LIST_QUEUES, "{}", XML("ListQueues", "<ListQueuesResult/>")},
    {SQS_GET_QUEUE_ATTRIBUTES, "{\"Attributes\":{\"Policy\":\"{\\\"a\\\":1}\"}}",
     RESULT("GetQueueAttributes", "<Attribute><Name>Policy</Name><Value>{&quot;a&quot;:1}</Value>"
                                  "</Attribute>")},
    {SQS_GET_QUEUE_ATTRIBUTES, "{}", XML("GetQueueAttributes", "<GetQueueAttributesResult/>")},
    {SQS_SET_QUEUE_ATTRIBUTES, NULL, XML("SetQueueAttributes", "")},
    {SQS_SEND_MESSAGE,
     "{\"MessageId\":\"m\",\"MD5OfMessageBody\":\"1\",\"MD5OfMessageAttributes\":\"2\","
     "\"MD5OfMessageSystemAttributes\":\"3\",\"SequenceNumber\":\"4\"}",
     RESULT("SendMessage", "<MessageId>m</MessageId><MD5OfMessageBody>1</MD5OfMessageBody>"
                           "<MD5OfMessageAttributes>2</MD5OfMessageAttributes>"
                           "<MD5OfMessageSystemAttributes>3</MD5OfMessageSystemAttributes>"
                           "<SequenceNumber>4</SequenceNumber>")},
    {SQS_SEND_MESSAGE_BATCH,
     "{\"Successful\":[{\"Id\":\"1\",\"MessageId\":\"m\",\"MD5OfMessageBody\":\"x\"}],"
     "\"Failed\":[{\"Id\":\"2\",\"SenderFault\":true,\"Code\":\"InvalidMessageContents\","
     "\"Message\":\"<\"}]}",
     RESULT("SendMessageBatch",
            "<SendMessageBatchResultEntry><Id>1</Id><MessageId>m</MessageId>"
            "<MD5OfMessageBody>x</MD5OfMessageBody></SendMessageBatchResultEntry>"
            "<BatchResultErrorEntry><Id>2</Id><SenderFault>true</SenderFault>"
            "<Code>InvalidMessageContents</Code><Message>&lt;</Message></BatchResultErrorEntry>")},
    {SQS_RECEIVE_MESSAGE,
     "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"h\",\"MD5OfBody\":\"5\","
     "\"Body\":\"<a>&\\r\\n\xc3\xa9\",\"Attributes\":{\"SentTimestamp\":\"1\"},"
     "\"MD5OfMessageAttributes\":\"6\",\"MessageAttributes\":{\"b\":{\"BinaryValue\":\"AQI=\","
     "\"DataType\":\"Binary\"},\"s\":{\"StringValue\":\"v\",\"DataType\":\"String\"}}}]}",
     RESULT("ReceiveMessage",
            "<Message><MessageId>m</MessageId><ReceiptHandle>h</ReceiptHandle>"
            "<MD5OfBody>5</MD5OfBody><Body>&lt;a&gt;&amp;&#13;\n\xc3\xa9</Body>"
            "<Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute>"
            "<MD5OfMessageAttributes>6</MD5OfMessageAttributes>"
            "<MessageAttribute><Name>b</Name><Value><BinaryValue>AQI=</BinaryValue>"
            "<DataType>Binary</DataType></Value></MessageAttribute>"
            "<MessageAttribute><Name>s</Name><Value><StringValue>v</StringValue>"
            "<DataType>String</DataType></Value></MessageAttribute></Message>")},
    {SQS_RECEIVE_MESSAGE, "{}", XML("ReceiveMessage", "<ReceiveMessageResult/>")},
    {SQS_DELETE_MESSAGE, NULL, XML("DeleteMessage", "")},
    {SQS_DELETE_MESSAGE_BATCH, "{\"Successful\":[{\"Id\":\"1\"}]}",
     RESULT("DeleteMessageBatch",
            "<DeleteMessageBatchResultEntry><Id>1</Id></DeleteMessageBatchResultEntry>")},
    {SQS_CHANGE_MESSAGE_VISIBILITY, NULL, XML("ChangeMessageVisibility", "")},
    {SQS_CHANGE_MESSAGE_VISIBILITY_BATCH,
     "{\"Failed\":[{\"Id\":\"1\",\"SenderFault\":false,\"Code\":\"InternalFailure\"}]}",
     RESULT("ChangeMessageVisibilityBatch",
            "<BatchResultErrorEntry><Id>1</Id><SenderFault>false</SenderFault>"
            "<Code>InternalFailure</Code></BatchResultErrorEntry>")},
    {SQS_PURGE_QUEUE, NULL, XML("PurgeQueue", "")},
    {SQS_ADD_PERMISSION, NULL, XML("AddPermission", "")},
    {SQS_REMOVE_PERMISSION, NULL, XML("RemovePermission", "")},
    {SQS_TAG_QUEUE, NULL, XML("TagQueue", "")},
    {SQS_UNTAG_QUEUE, NULL, XML("UntagQueue", "")},
    {SQS_LIST_QUEUE_TAGS, "{\"Tags\":{\"a\":\"1\",\"b\":\"\"}}",
     RESULT("ListQueueTags", "<Tag><Key>a</Key><Value>1</Value></Tag>"
                             "<Tag><Key>b</Key><Value></Value></Tag>")},
    {SQS_LIST_QUEUE_TAGS, "{}", XML("ListQueueTags", "<ListQueueTagsResult/>")},
    {SQS_LIST_DEAD_LETTER_SOURCE_QUEUES, "{\"queueUrls\":[\"a\",\"b\"],\"NextToken\":\"t\"}",
     RESULT("ListDeadLetterSourceQueues",
            "<QueueUrl>a</QueueUrl><QueueUrl>b</QueueUrl><NextToken>t</NextToken>")},
    {SQS_LIST_DEAD_LETTER_SOURCE_QUEUES, "{}",
     XML("ListDeadLetterSourceQueues", "<ListDeadLetterSourceQueuesResult/>")},
    {SQS_START_MESSAGE_MOVE_TASK, "{\"TaskHandle\":\"e30=\"}",
     RESULT("StartMessageMoveTask", "<TaskHandle>e30=</TaskHandle>")},
    {SQS_LIST_MESSAGE_MOVE_TASKS,
     "{\"Results\":[{\"TaskHandle\":\"e30=\",\"Status\":\"RUNNING\",\"SourceArn\":\"s\","
     "\"DestinationArn\":\"d\",\"MaxNumberOfMessagesPerSecond\":5,"
     "\"ApproximateNumberOfMessagesMoved\":0,\"ApproximateNumberOfMessagesToMove\":3,"
     "\"StartedTimestamp\":1700000000000},{\"Status\":\"FAILED\",\"SourceArn\":\"s\","
     "\"ApproximateNumberOfMessagesMoved\":1,\"FailureReason\":\"f\",\"StartedTimestamp\":1}]}",
     RESULT("ListMessageMoveTasks",
            "<ListMessageMoveTasksResultEntry><TaskHandle>e30=</TaskHandle><Status>RUNNING</Status>"
            "<SourceArn>s</SourceArn><DestinationArn>d</DestinationArn>"
            "<MaxNumberOfMessagesPerSecond>5</MaxNumberOfMessagesPerSecond>"
            "<ApproximateNumberOfMessagesMoved>0</ApproximateNumberOfMessagesMoved>"
            "<ApproximateNumberOfMessagesToMove>3</ApproximateNumberOfMessagesToMove>"
            "<StartedTimestamp>1700000000000</StartedTimestamp></ListMessageMoveTasksResultEntry>"
            "<ListMessageMoveTasksResultEntry><Status>FAILED</Status><SourceArn>s</SourceArn>"
            "<ApproximateNumberOfMessagesMoved>1</ApproximateNumberOfMessagesMoved>"
            "<FailureReason>f</FailureReason><StartedTimestamp>1</StartedTimestamp>"
            "</ListMessageMoveTasksResultEntry>")},
    {SQS_LIST_MESSAGE_MOVE_TASKS, "{}",
     XML("ListMessageMoveTasks", "<ListMessageMoveTasksResult/>")},
    {SQS_CANCEL_MESSAGE_MOVE_TASK, "{\"ApproximateNumberOfMessagesMoved\":7}",
     RESULT("CancelMessageMoveTask", "<ApproximateNumberOfMessagesMoved>7"
                                     "</ApproximateNumberOfMessagesMoved>")},
};

static void answers_are_right_in_both_protocols(void **state)
{
    (void)state;
    bool seen[SQS_ACTION__COUNT] = {false};
    for (size_t i = 0; i < SL_COUNT(outputs); i++) {
        const struct sqs_action_info *info = sqs_action_info(outputs[i].action);
        struct fixture f;
        fixture_init(&f);
        void *out = NULL;
        assert_int_equal(info->output == NULL, outputs[i].json == NULL);
        if (info->output != NULL) {
            assert_int_equal(
                sqs_json_decode(info->output, str_from(outputs[i].json), &f.arena, &out, &f.e), 0);
            assert_int_equal(sqs_json_encode(info->output, out, &f.out), 0);
            assert_string_equal(f.out.ptr, outputs[i].json);
            buf_reset(&f.out);
        }
        assert_int_equal(sqs_xml_encode(info, out, "r-1", &f.out), 0);
        assert_string_equal(f.out.ptr, outputs[i].xml);
        assert_int_equal(sqs_action_find(str_from(info->name)), outputs[i].action);
        seen[outputs[i].action] = true;
        fixture_done(&f);
    }
    for (int i = 0; i < SQS_ACTION__COUNT; i++) {
        assert_true(seen[i]);
    }
    assert_int_equal(SQS_ACTION__COUNT, 23);
    assert_int_equal(sqs_action_find(STR("FooBar")), SQS_ACTION_NONE);
}

static void check_json_error(enum sqs_action action, const char *json, enum sqs_error_code code,
                             const char *message)
{
    struct fixture f;
    fixture_init(&f);
    void *in = NULL;
    int rc = sqs_json_decode(sqs_action_info(action)->input, str_from(json), &f.arena, &in, &f.e);
    if (rc != (int)code) {
        fail_msg("%s: %d (%s), wanted %d", json, rc, f.e.message, code);
    }
    assert_int_equal(f.e.code, code);
    assert_null(in);
    if (message != NULL) {
        assert_string_equal(f.e.message, message);
    }
    assert_true(f.e.message[0] != '\0');
    fixture_done(&f);
}

static void broken_json_is_told(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "",
        "nonsense",
        "[]",
        "\"text\"",
        "null",
        "{\"QueueUrl\":1}",
        "{\"QueueUrl\":[\"q\"]}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":true}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":\"b\",\"DelaySeconds\":\"5\"}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":\"b\",\"DelaySeconds\":1.5}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":\"b\",\"MessageAttributes\":[]}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":\"b\",\"MessageAttributes\":{\"a\":\"b\"}}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":\"b\",\"MessageAttributes\":{\"a\":{\"DataType\":1}}}",
        "{\"MessageBody\":\"b\",\"MessageAttributes\":{\"a\":{\"BinaryValue\":\"###\"}}}",
        "{\"QueueUrl\":\"q\",\"MessageBody\":\"b\"} trailing",
    };
    for (size_t i = 0; i < SL_COUNT(malformed); i++) {
        check_json_error(SQS_SEND_MESSAGE, malformed[i], SQS_ERROR_MALFORMED_INPUT, NULL);
    }
    check_json_error(SQS_SEND_MESSAGE, "{\"QueueUrl\":\"q\",\"MessageBody\":5}",
                     SQS_ERROR_MALFORMED_INPUT, "NUMBER_VALUE can not be converted to a String.");
    check_json_error(SQS_SEND_MESSAGE_BATCH, "{\"Entries\":{}}", SQS_ERROR_MALFORMED_INPUT,
                     "Start of a structure or map found where a list was expected.");
    check_json_error(SQS_SEND_MESSAGE, "{\"QueueUrl\":\"q\"}", SQS_ERROR_MISSING_PARAMETER,
                     "The request must contain the parameter MessageBody.");
    check_json_error(SQS_SEND_MESSAGE, "{\"QueueUrl\":\"q\",\"MessageBody\":null}",
                     SQS_ERROR_MISSING_PARAMETER,
                     "The request must contain the parameter MessageBody.");
    check_json_error(
        SQS_DELETE_MESSAGE_BATCH,
        "{\"Entries\":[{\"Id\":\"1\",\"ReceiptHandle\":\"h\"},{\"Id\":\"2\"}]}",
        SQS_ERROR_MISSING_PARAMETER,
        "The request must contain the parameter DeleteMessageBatchRequestEntry.2.ReceiptHandle.");
    /* A NUL cannot be carried further: it is refused as the character that it is. */
    check_json_error(SQS_SEND_MESSAGE, "{\"QueueUrl\":\"q\",\"MessageBody\":\"a\\u0000b\"}",
                     SQS_ERROR_INVALID_MESSAGE_CONTENTS, SQS_INVALID_CHARACTERS_TEXT);
    check_json_error(SQS_CREATE_QUEUE, "{\"QueueName\":\"a\\u0000b\"}", SQS_ERROR_MALFORMED_INPUT,
                     NULL);
}

static void check_form_error(enum sqs_action action, const char *form, enum sqs_error_code code,
                             const char *message)
{
    struct fixture f;
    fixture_init(&f);
    void *in = NULL;
    int rc = sqs_query_decode(sqs_action_info(action)->input, str_from(form), &f.arena, &in, &f.e);
    if (rc != (int)code) {
        fail_msg("%s: %d (%s), wanted %d", form, rc, f.e.message, code);
    }
    assert_null(in);
    if (message != NULL) {
        assert_string_equal(f.e.message, message);
    }
    fixture_done(&f);
}

static void broken_forms_are_told(void **state)
{
    (void)state;
    check_form_error(SQS_SEND_MESSAGE, "MessageBody=%4", SQS_ERROR_MALFORMED_INPUT, NULL);
    check_form_error(SQS_SEND_MESSAGE, "MessageBody=%zz", SQS_ERROR_MALFORMED_INPUT, NULL);
    check_form_error(SQS_SEND_MESSAGE, "", SQS_ERROR_MISSING_PARAMETER,
                     "The request must contain the parameter MessageBody.");
    check_form_error(SQS_RECEIVE_MESSAGE, "WaitTimeSeconds=abc", SQS_ERROR_MALFORMED_INPUT,
                     "The value of WaitTimeSeconds is not an Integer.");
    check_form_error(SQS_CREATE_QUEUE, "QueueName=%ff", SQS_ERROR_MALFORMED_INPUT, NULL);
    check_form_error(SQS_CREATE_QUEUE, "QueueName=a%00", SQS_ERROR_MALFORMED_INPUT, NULL);
    check_form_error(SQS_CREATE_QUEUE, "QueueName=a&Attribute.1.Name=DelaySeconds",
                     SQS_ERROR_MISSING_PARAMETER,
                     "The request must contain the parameter Attribute.Value.");
    check_form_error(
        SQS_SEND_MESSAGE_BATCH, "SendMessageBatchRequestEntry.3.Id=1", SQS_ERROR_MISSING_PARAMETER,
        "The request must contain the parameter SendMessageBatchRequestEntry.3.MessageBody.");
    check_form_error(SQS_SEND_MESSAGE,
                     "MessageBody=b&MessageAttribute.1.Name=a&MessageAttribute.1.Value.DataType="
                     "Binary&MessageAttribute.1.Value.BinaryValue=%23",
                     SQS_ERROR_MALFORMED_INPUT, "A BinaryValue is not valid base64.");
}

static void numbered_lists_keep_their_order(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf form;
    buf_init(&form, 65536);
    for (int i = 12; i >= 1; i--) {
        buf_addf(&form, "AttributeName.%d=n%d&", i, i);
    }
    buf_adds(&form, "AttributeName.0=zero&AttributeName.x=no&AttributeName.2=again&QueueUrl=q");
    void *in = NULL;
    const struct sqs_shape *shape = sqs_action_info(SQS_GET_QUEUE_ATTRIBUTES)->input;
    assert_int_equal(sqs_query_decode(shape, buf_str(&form), &f.arena, &in, &f.e), 0);
    const struct sqs_get_queue_attributes_in *out = in;
    assert_int_equal(out->names.count, 12);
    for (uint32_t i = 0; i < 12; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "n%u", i + 1);
        assert_true(str_equal(out->names.items[i], str_from(name)));
    }
    buf_done(&form);
    fixture_done(&f);
}

static void list_values_and_nul_bytes_reach_the_rules(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    void *in = NULL;
    const struct sqs_shape *shape = sqs_action_info(SQS_SEND_MESSAGE)->input;
    assert_int_equal(
        sqs_json_decode(shape,
                        STR("{\"MessageBody\":\"b\",\"MessageAttributes\":{\"a\":{\"DataType\":"
                            "\"String\",\"StringListValues\":[\"x\"]}},\"Unknown\":{\"x\":[1]}}"),
                        &f.arena, &in, &f.e),
        0);
    assert_true(((struct sqs_send_message_in *)in)->entry.attributes.items[0].has_list_values);
    assert_int_equal(
        sqs_query_decode(shape,
                         STR("MessageBody=a%00b&MessageAttribute.1.Name=a&MessageAttribute.1.Value."
                             "DataType=String&MessageAttribute.1.Value.StringListValue.1=x"),
                         &f.arena, &in, &f.e),
        0);
    const struct sqs_send_message_in *out = in;
    assert_true(out->entry.attributes.items[0].has_list_values);
    assert_int_equal(out->entry.body.len, 3);
    assert_false(sqs_text_is_valid(out->entry.body));
    /* Other control characters pass the JSON reader and meet the same rule. */
    assert_int_equal(
        sqs_json_decode(shape, STR("{\"MessageBody\":\"a\\u0001b\"}"), &f.arena, &in, &f.e), 0);
    out = in;
    assert_false(sqs_text_is_valid(out->entry.body));
    fixture_done(&f);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct buf text;
    buf_init(&text, (size_t)4 << 20);
    buf_adds(&text, "{\"Entries\":[{\"Id\":\"1\"}");
    for (int i = 0; i < 10000; i++) {
        buf_adds(&text, ",{}");
    }
    buf_adds(&text, "]}");
    void *in = NULL;
    const struct sqs_shape *shape = sqs_action_info(SQS_SEND_MESSAGE_BATCH)->input;
    assert_int_equal(sqs_json_decode(shape, buf_str(&text), &f.arena, &in, &f.e),
                     SQS_ERROR_MALFORMED_INPUT);
    buf_reset(&text);
    for (int i = 0; i < 10000; i++) {
        buf_addf(&text, "a%d=b&", i);
    }
    assert_int_equal(sqs_query_decode(shape, buf_str(&text), &f.arena, &in, &f.e),
                     SQS_ERROR_MALFORMED_INPUT);
    assert_true(f.arena.used_bytes < 65536);
    /* An arena that is too small is an error, wherever it runs out. */
    for (size_t i = 0; i < SL_COUNT(inputs); i++) {
        shape = sqs_action_info(inputs[i].action)->input;
        for (size_t max = 0; max < 4096; max += 16) {
            struct arena arena;
            arena_init(&arena, max);
            int rc = sqs_json_decode(shape, str_from(inputs[i].json), &arena, &in, &f.e);
            assert_true(rc == 0 || rc == SQS_ERROR_MALFORMED_INPUT);
            arena_done(&arena);
            arena_init(&arena, max);
            rc = sqs_query_decode(shape, str_from(inputs[i].form), &arena, &in, &f.e);
            assert_true(rc == 0 || rc == SQS_ERROR_MALFORMED_INPUT ||
                        rc == SQS_ERROR_MISSING_PARAMETER);
            arena_done(&arena);
        }
    }
    buf_done(&text);
    fixture_done(&f);
}

static void buffers_that_are_full_are_told(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    void *out = NULL;
    for (size_t i = 0; i < SL_COUNT(outputs); i++) {
        const struct sqs_action_info *info = sqs_action_info(outputs[i].action);
        if (info->output == NULL) {
            continue;
        }
        assert_int_equal(
            sqs_json_decode(info->output, str_from(outputs[i].json), &f.arena, &out, &f.e), 0);
        struct buf small;
        buf_init(&small, strlen(outputs[i].json) - 1);
        assert_int_equal(sqs_json_encode(info->output, out, &small), ERR_TOO_BIG);
        buf_done(&small);
        buf_init(&small, strlen(outputs[i].xml) - 1);
        assert_int_equal(sqs_xml_encode(info, out, "r-1", &small), ERR_TOO_BIG);
        buf_done(&small);
    }
    fixture_done(&f);
}

static void query_parameters(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    struct str form = STR("Version=1&Action=Send%4Dessage&Empty=&Flag&Bad=%2");
    assert_true(str_equal(sqs_query_parameter(form, "Action", &arena), STR("SendMessage")));
    assert_true(str_equal(sqs_query_parameter(form, "Empty", &arena), STR("")));
    assert_true(str_equal(sqs_query_parameter(form, "Flag", &arena), STR("")));
    assert_null(sqs_query_parameter(form, "Bad", &arena).ptr);
    assert_null(sqs_query_parameter(form, "Missing", &arena).ptr);
    assert_null(sqs_query_parameter(STR_NONE, "Action", &arena).ptr);
    arena_done(&arena);
}

static void xml_never_carries_what_xml_forbids(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct sqs_queue_url_out out = {.queue_url = STR("a\x01"
                                                     "b\xff\xef\xbf\xbe\xf0\x9f\x98\x80\xc3")};
    assert_int_equal(sqs_xml_encode(sqs_action_info(SQS_CREATE_QUEUE), &out, "r-1", &f.out), 0);
    assert_non_null(strstr(f.out.ptr, "<QueueUrl>a\xef\xbf\xbd"
                                      "b\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd</"
                                      "QueueUrl>"));
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_the_same_in_both_protocols),
        cmocka_unit_test(answers_are_right_in_both_protocols),
        cmocka_unit_test(broken_json_is_told),
        cmocka_unit_test(broken_forms_are_told),
        cmocka_unit_test(numbered_lists_keep_their_order),
        cmocka_unit_test(list_values_and_nul_bytes_reach_the_rules),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(buffers_that_are_full_are_told),
        cmocka_unit_test(query_parameters),
        cmocka_unit_test(xml_never_carries_what_xml_forbids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
