/* GET /_aws/sqs/messages: what it asks the store for, page by page, and its three answers. */
#include "sqs_api_support.h"

static struct sqs_pair system_pairs[] = {{{"SenderId", 8}, {"000000000000", 12}}};
static struct sqs_attribute attributes[] = {
    {.name = {"kind", 4}, .data_type = {"String", 6}, .string_value = {"a\"b", 3}},
    {.name = {"raw", 3}, .data_type = {"Binary", 6}, .binary_value = {"\x01\x02", 2}},
};

static struct sqs_message message_of(const char *body)
{
    return (struct sqs_message){
        .message_id = STR("m"),
        .md5_of_body = STR("d"),
        .body = str_from(body),
        .system_attributes = {system_pairs, 1, true},
        .attributes = {attributes, 2, true},
        .md5_of_attributes = STR("e"),
    };
}

/* The store's page. */
static void show(struct fixture *f, const char *body, int64_t next)
{
    struct store_peek *peek = f->store.peeking;
    assert_non_null(peek);
    f->store.peeking = NULL;
    if (body != NULL) {
        assert_true(peek->count < peek->max);
        peek->messages[peek->count++] = message_of(body);
    }
    peek->next = next;
    peek->done(peek->context, peek);
}

static void look(struct fixture *f, const char *target, const char *accept)
{
    begin(f, "GET", target, "");
    if (accept != NULL) {
        header(f, "Accept", accept);
    }
    submit(f);
}

static void expect_page_from(const struct fixture *f, int64_t from)
{
    const struct store_peek *peek = f->store.peeking;
    assert_non_null(peek);
    assert_int_equal(peek->from, from);
}

static void the_answer_is_xml_or_json(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    look(&f, "/_aws/sqs/messages?QueueUrl=http%3A%2F%2Fh%2F000000000000%2Fjobs", NULL);
    assert_true(str_equal(f.store.peeking->queue, STR("jobs")));
    assert_false(f.store.peeking->invisible || f.store.peeking->delayed);
    assert_int_equal(f.store.peeking->max, 1000);
    show(&f, "a<b", 0);
    assert_string_equal(f.exchange.content_type, "text/xml");
    expect(&f, 200, "<ReceiveMessageResult><Message><MessageId>m</MessageId>");
    expect(&f, 200, "<Body>a&lt;b</Body>");

    look(&f, "/_aws/sqs/messages?QueueUrl=jobs", "application/json");
    show(&f, "a<b", 0);
    assert_string_equal(f.exchange.content_type, "application/json");
    expect(
        &f, 200,
        "{\"ReceiveMessageResponse\":{\"ReceiveMessageResult\":{\"Message\":{\"MessageId\":\"m\","
        "\"MD5OfBody\":\"d\",\"Body\":\"a<b\",\"Attribute\":[{\"Name\":\"SenderId\","
        "\"Value\":\"000000000000\"}],\"MD5OfMessageAttributes\":\"e\",\"MessageAttribute\":[");
    expect(&f, 200,
           "{\"Name\":\"kind\",\"Value\":{\"DataType\":\"String\",\"StringValue\":\"a\\\"b\"}},"
           "{\"Name\":\"raw\",\"Value\":{\"DataType\":\"Binary\",\"BinaryValue\":\"AQI=\"}}]}},"
           "\"ResponseMetadata\":{\"RequestId\":\"");
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs", "Application/JSON, text/plain;q=0.5");
    show(&f, NULL, 0);
    expect(&f, 200, "{\"ReceiveMessageResponse\":{\"ReceiveMessageResult\":null,");
    teardown(&f);
}

static void an_sdk_may_ask(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    begin(&f, "POST", "/_aws/sqs/messages", "{\"QueueUrl\":\"http://h/000000000000/jobs\"}");
    header(&f, "X-Amz-Target", "AmazonSQS.ReceiveMessage");
    header(&f, "Content-Type", "application/x-amz-json-1.0");
    submit(&f);
    show(&f, "b", 0);
    expect(&f, 200, "{\"Messages\":[{\"MessageId\":\"m\"");
    assert_string_equal(f.exchange.content_type, "application/x-amz-json-1.0");
    form(&f, "/_aws/sqs/messages", "Action=ReceiveMessage&QueueUrl=jobs&ShowDelayed=1");
    assert_true(f.store.peeking->delayed);
    show(&f, "b", 0);
    expect(&f, 200, "<ReceiveMessageResult><Message>");
    begin(&f, "POST", "/_aws/sqs/messages", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"b\"}");
    header(&f, "X-Amz-Target", "AmazonSQS.SendMessage");
    submit(&f);
    expect_error(&f, 400, "This endpoint only accepts ReceiveMessage calls",
                 "InvalidAction;Sender");
    assert_null(f.store.pending);
    teardown(&f);
}

static void the_path_may_name_the_queue(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    look(&f, "/_aws/sqs/messages/eu-west-1/000000000000/jobs?ShowInvisible=True&Limit=5", NULL);
    assert_true(str_equal(f.store.peeking->queue, STR("jobs")));
    assert_true(str_equal(f.store.peeking->region, STR("eu-west-1")));
    assert_true(f.store.peeking->invisible);
    assert_int_equal(f.store.peeking->max, 5);
    show(&f, NULL, 0);
    expect(&f, 200, "<ReceiveMessageResult/>");
    teardown(&f);
}

static void pages_follow_each_other(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs&Limit=2", "application/json");
    show(&f, "one", 17);
    expect_page_from(&f, 17);
    show(&f, NULL, 99);
    expect_page_from(&f, 99);
    show(&f, "two", 100); /* as many as wanted */
    expect(&f, 200, "\"Body\":\"two\"");
    assert_non_null(strstr(f.exchange.body.ptr, "\"Message\":[{"));

    /* Nobody reads on, or the daemon ends: no further page. */
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs", NULL);
    f.exchange.on_close(f.exchange.on_close_context);
    show(&f, "one", 17);
    assert_int_equal(f.exchange.responses, 1);
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs", NULL);
    sqs_api_drain(f.api);
    assert_int_equal(f.store.canceled, 0);
    show(&f, "one", 17);
    expect(&f, 200, "one");
    teardown(&f);
}

static void mistakes(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    look(&f, "/_aws/sqs/messages", "application/json");
    expect(&f, 400,
           "{\"ErrorResponse\":{\"Error\":{\"Type\":\"Sender\",\"Code\":"
           "\"AWS.SimpleQueueService.NonExistentQueue\",\"Message\":\"The specified queue does not "
           "exist.\"},\"RequestId\":\"");
    look(&f, "/_aws/sqs/messages/eu-west-1", NULL);
    expect(&f, 400, "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>");
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs&Limit=1001", NULL);
    expect(&f, 400,
           "Value 1001 for parameter Limit is invalid. Reason: Must be between 1 and 1000");
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs&Limit=0", NULL);
    expect(&f, 400, "<Code>InvalidParameterValue</Code>");
    assert_int_equal(f.store.submitted, 0);
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs", NULL);
    f.store.peeking->error = ERR_NOT_FOUND;
    show(&f, NULL, 0);
    expect(&f, 400, "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>");
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs", NULL);
    f.store.peeking->error = ERR_IO;
    show(&f, NULL, 0);
    expect(&f, 500, "<Code>InternalFailure</Code>");
    /* No web page may look either. */
    begin(&f, "GET", "/_aws/sqs/messages?QueueUrl=jobs", "");
    header(&f, "Origin", "https://example.com");
    submit(&f);
    expect(&f, 403, "sqs:ReceiveMessage");
    /* Another path that only begins alike is none of it. */
    look(&f, "/_aws/sqs/messagesx", NULL);
    expect(&f, 404, "<UnknownOperationException/>");
    teardown(&f);
}

static void a_key_needs_receive_message(void **state)
{
    (void)state;
    static struct str actions[] = {{"SendMessage", 11}};
    static struct str queues[] = {{"jobs", 4}};
    struct sqs_api_key key[] = {
        {.id = {"AKIDONE", 7}, .secret = {"one", 3}, .actions = {actions, 1, true}},
        {.id = {"AKIDTWO", 7}, .secret = {"two", 3}, .queues = {queues, 1, true}}};
    static const struct {
        const char *id, *secret, *queue;
        bool served;
    } cases[] = {{"AKIDONE", "one", "jobs", false},
                 {"AKIDTWO", "two", "jobs", true},
                 {"AKIDTWO", "two", "other", false}};
    struct fixture f;
    setup_with(&f, (struct sqs_api_config){.access_keys = key, .access_key_count = 2});
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        const struct signing s = {str_from(cases[i].id),
                                  str_from(cases[i].secret),
                                  STR("us-east-1"),
                                  STR("sqs"),
                                  NOW_MS,
                                  NULL};
        struct buf authorization;
        char date[17];
        char target[64];
        (void)snprintf(target, sizeof(target), "/_aws/sqs/messages?QueueUrl=%s", cases[i].queue);
        begin(&f, "GET", target, "");
        sign(&f, &s, &authorization, date);
        submit(&f);
        if (cases[i].served) {
            show(&f, "b", 0);
            expect(&f, 200, "<Body>b</Body>");
        } else {
            expect(&f, 403, "is not authorized to perform: sqs:ReceiveMessage on resource: ");
        }
        buf_done(&authorization);
    }
    look(&f, "/_aws/sqs/messages?QueueUrl=jobs", NULL);
    expect(&f, 403, "<Code>AccessDenied</Code>");
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_xml_or_json),
        cmocka_unit_test(an_sdk_may_ask),
        cmocka_unit_test(the_path_may_name_the_queue),
        cmocka_unit_test(pages_follow_each_other),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(a_key_needs_receive_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
