/* The SQS API: both protocols, their mistakes, long polls, who may call without keys. */
#include "sqs_api_support.h"

/* ---- tests ---- */

static void json_requests(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    json(&f, "CreateQueue", "{\"QueueName\":\"jobs\"}");
    assert_int_equal(f.store.pending->action, SQS_CREATE_QUEUE);
    assert_true(str_equal(f.store.pending->endpoint, STR("http://localhost:9324")));
    assert_int_equal(f.store.pending->wall, NOW_MS);
    const struct sqs_create_queue_in *in = f.store.pending->input;
    assert_true(str_equal(in->queue_name, STR("jobs")));
    struct sqs_queue_url_out out = {STR("http://localhost:9324/000000000000/jobs")};
    answer(&f, &out);
    expect(&f, 200, "{\"QueueUrl\":\"http://localhost:9324/000000000000/jobs\"}");
    assert_string_equal(f.exchange.content_type, "application/x-amz-json-1.0");

    /* A void action answers with nothing at all. */
    json(&f, "DeleteQueue", "{\"QueueUrl\":\"jobs\"}");
    answer(&f, NULL);
    expect(&f, 200, "");
    assert_int_equal(f.exchange.body.len, 0);

    json(&f, "ReceiveMessage", "{\"QueueUrl\":\"jobs\"}");
    struct sqs_receive_out empty = {{NULL, 0, false}};
    answer(&f, &empty);
    expect(&f, 200, "{}");

    json(&f, "SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"b\"}");
    answer_error(&f, SQS_ERROR_QUEUE_DOES_NOT_EXIST, "The specified queue does not exist.");
    expect_error(&f, 400,
                 "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"The specified "
                 "queue does not exist.\"}",
                 "AWS.SimpleQueueService.NonExistentQueue;Sender");
    assert_int_equal(f.store.submitted, 4);
    teardown(&f);
}

static void json_mistakes(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    json(&f, "FooBar", "{}");
    expect_error(&f, 400, "com.amazon.coral.service#UnknownOperationException",
                 "InvalidAction;Sender");
    expect(&f, 400, "The action FooBar is not valid for this endpoint.");
    begin(&f, "POST", "/", "{}");
    header(&f, "Content-Type", "application/x-amz-json-1.0");
    submit(&f);
    expect_error(&f, 400, "UnknownOperationException", "InvalidAction;Sender");
    begin(&f, "POST", "/", "{}");
    header(&f, "X-Amz-Target", "DynamoDB_20120810.ListTables");
    submit(&f);
    expect_error(&f, 400, "UnknownOperationException", "InvalidAction;Sender");
    json(&f, "ListQueues", "nonsense");
    expect_error(&f, 400, "com.amazon.coral.service#SerializationException",
                 "MalformedInput;Sender");
    json(&f, "SendMessage", "{\"QueueUrl\":\"jobs\"}");
    expect_error(&f, 400, "MissingRequiredParameterException", "MissingParameter;Sender");
    json(&f, "SendMessage", "{\"QueueUrl\":\"jobs\",\"MessageBody\":\"a\\u0000\"}");
    expect_error(&f, 400, "com.amazonaws.sqs#InvalidMessageContents",
                 "InvalidMessageContents;Sender");
    json(&f, "DeleteQueue", "{}");
    expect_error(&f, 400, "com.amazonaws.sqs#QueueDoesNotExist",
                 "AWS.SimpleQueueService.NonExistentQueue;Sender");
    json(&f, "DeleteQueue", "{\"QueueUrl\":\"http://h/\"}");
    expect_error(&f, 400, "com.amazonaws.sqs#QueueDoesNotExist",
                 "AWS.SimpleQueueService.NonExistentQueue;Sender");
    assert_int_equal(f.store.submitted, 0);
    teardown(&f);
}

static void json_on_any_path(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    begin(&f, "POST", "/000000000000/jobs", "{\"MessageBody\":\"b\"}");
    header(&f, "x-amz-target", "AmazonSQS.SendMessage");
    submit(&f);
    const struct sqs_send_message_in *in = f.store.pending->input;
    assert_true(str_equal(in->queue_url, STR("/000000000000/jobs")));
    struct sqs_send_result out = {.message_id = STR("m"), .md5_of_body = STR("x")};
    answer(&f, &out);
    expect(&f, 200, "{\"MessageId\":\"m\",\"MD5OfMessageBody\":\"x\"}");
    teardown(&f);
}

static void query_requests(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    form(&f, "/", "Action=CreateQueue&Version=2012-11-05&QueueName=jobs");
    struct sqs_queue_url_out url = {STR("http://localhost:9324/000000000000/jobs")};
    answer(&f, &url);
    expect(&f, 200,
           "<CreateQueueResult><QueueUrl>http://localhost:9324/000000000000/jobs</QueueUrl>");
    assert_string_equal(f.exchange.content_type, "text/xml");
    assert_string_equal(f.exchange.query_error, "");
    expect(&f, 200, f.exchange.request_id);

    /* The path names the queue, the parameter overrides it. */
    form(&f, "/000000000000/jobs", "Action=ReceiveMessage");
    const struct sqs_receive_in *in = f.store.pending->input;
    assert_true(str_equal(in->queue_url, STR("/000000000000/jobs")));
    struct sqs_receive_out empty = {{NULL, 0, false}};
    answer(&f, &empty);
    expect(&f, 200, "<ReceiveMessageResult/>");
    form(&f, "/000000000000/jobs", "Action=ReceiveMessage&QueueUrl=other");
    in = f.store.pending->input;
    assert_true(str_equal(in->queue_url, STR("other")));
    answer(&f, &empty);

    begin(&f, "GET", "/000000000000/jobs?Action=DeleteMessage&ReceiptHandle=a%2Fb", "");
    submit(&f);
    const struct sqs_handle_in *handle = f.store.pending->input;
    assert_true(str_equal(handle->entry.receipt_handle, STR("a/b")));
    answer(&f, NULL);
    expect(&f, 200, "<ResponseMetadata><RequestId>");
    assert_null(strstr(f.exchange.body.ptr, "Result"));

    /* Parameters in both places. */
    form(&f, "/?Action=GetQueueUrl", "QueueName=jobs");
    assert_int_equal(f.store.pending->action, SQS_GET_QUEUE_URL);
    answer(&f, &url);
    form(&f, "/000000000000/jobs", "Action=GetQueueUrl&QueueName=jobs");
    answer(&f, &url);
    expect(&f, 200, "GetQueueUrlResult");
    teardown(&f);
}

static void query_mistakes(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    form(&f, "/", "Action=FooBar");
    expect(&f, 400,
           "<Error><Type>Sender</Type><Code>InvalidAction</Code><Message>The action FooBar is not "
           "valid for this endpoint.</Message>");
    form(&f, "/000000000000/jobs", "Action=CreateQueue&QueueName=x");
    expect(&f, 400, "The action CreateQueue is not valid for this endpoint.");
    form(&f, "/000000000000/jobs", "Action=ListQueues");
    expect(&f, 400, "The action ListQueues is not valid for this endpoint.");
    begin(&f, "GET", "/000000000000/jobs", "");
    submit(&f);
    expect(&f, 404, "<UnknownOperationException/>");
    begin(&f, "OPTIONS", "/?Action=ListQueues", "");
    submit(&f);
    expect(&f, 404, "<UnknownOperationException/>");
    begin(&f, "DELETE", "/?Action=PurgeQueue&QueueUrl=jobs", "");
    submit(&f);
    expect(&f, 404, "<UnknownOperationException/>");
    form(&f, "/", "Action=SendMessage&MessageBody=%zz");
    expect(&f, 400, "<Code>MalformedInput</Code>");
    form(&f, "/", "Action=SendMessage&MessageBody=b");
    expect(&f, 400,
           "<Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The specified queue does "
           "not exist for this wsdl version.</Message>");
    assert_int_equal(f.store.submitted, 0);
    teardown(&f);
}

static void long_polls(void **state)
{
    (void)state;
    struct fixture f;
    struct sqs_receive_out empty = {{NULL, 0, false}};
    setup(&f);
    json(&f, "ReceiveMessage", "{\"QueueUrl\":\"jobs\",\"WaitTimeSeconds\":20}");
    assert_int_equal(f.exchange.responses, 0);
    assert_int_equal(sqs_api_running(f.api), 1);
    assert_non_null(f.exchange.on_close);
    f.exchange.on_close(f.exchange.on_close_context); /* the client went away */
    assert_int_equal(f.store.canceled, 1);
    answer(&f, &empty);
    assert_int_equal(f.exchange.responses, 1);

    json(&f, "ReceiveMessage", "{\"QueueUrl\":\"jobs\",\"WaitTimeSeconds\":20}");
    sqs_api_drain(f.api);
    assert_int_equal(f.store.canceled, 2);
    answer(&f, &empty);
    expect(&f, 200, "{}");
    json(&f, "ReceiveMessage", "{\"QueueUrl\":\"jobs\",\"WaitTimeSeconds\":20}");
    const struct sqs_receive_in *in = f.store.pending->input;
    assert_true(in->wait_seconds.set);
    assert_int_equal(in->wait_seconds.value, 0);
    answer(&f, &empty);
    teardown(&f);
}

/* What the store may fill is what can be written, whatever its characters become. */
static void what_is_received_can_be_answered(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    for (int protocol = 0; protocol < 2; protocol++) {
        if (protocol == 0) {
            json(&f, "ReceiveMessage", "{\"QueueUrl\":\"jobs\"}");
        } else {
            form(&f, "/", "Action=ReceiveMessage&QueueUrl=jobs");
        }
        struct arena *arena = f.store.pending->arena;
        struct sqs_message messages[10] = {0};
        struct sqs_receive_out out = {{messages, 0, true}};
        size_t len = 1048576;
        while (out.messages.count < 10) {
            char *body = arena_alloc(arena, len);
            if (body == NULL) {
                break;
            }
            memset(body, '"', len);
            messages[out.messages.count++].body = (struct str){body, len};
        }
        assert_true(out.messages.count >= 2);
        answer(&f, &out);
        expect(&f, 200, "Body");
    }
    teardown(&f);
}

static void a_message_is_too_large_to_answer(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    size_t len = (size_t)26 << 20;
    char *body = calloc(1, len);
    assert_non_null(body);
    memset(body, 'x', len);
    struct sqs_message message = {.body = {body, len}};
    struct sqs_receive_out out = {{&message, 1, true}};
    json(&f, "ReceiveMessage", "{\"QueueUrl\":\"jobs\"}");
    answer(&f, &out);
    expect_error(&f, 500, "InternalFailure", "InternalFailure;Receiver");
    free(body);
    teardown(&f);
}

/* One request with a host and perhaps one more header: served or refused. */
static bool served(struct fixture *f, const char *host, const char *name, const char *value)
{
    uint32_t before = f->store.submitted;
    begin(f, "GET", "/?Action=ListQueues", "");
    f->exchange.view.host = str_from(host);
    if (name != NULL) {
        header(f, name, value);
    }
    submit(f);
    if (f->store.submitted == before) {
        expect(f, 403, "<Code>AccessDenied</Code>");
        expect(f, 403,
               "is not authorized to perform: sqs:ListQueues on resource: "
               "arn:aws:sqs:us-east-1:000000000000:* because ");
        return false;
    }
    struct sqs_list_queues_out out = {0};
    answer(f, &out);
    return true;
}

static void no_web_page_and_no_foreign_host(void **state)
{
    (void)state;
    static const char *const local[] = {"localhost", "localhost:9324", "LOCALHOST:1",
                                        "127.0.0.1", "127.0.0.1:9324", "127.8.9.10:1",
                                        "[::1]",     "[::1]:9324"};
    static const char *const foreign[] = {
        "example.com",        "example.com:9324", "127.0.0.1.example.com", "127.example.com",
        "localhost.evil.com", "10.0.0.1:9324",    "[fe80::1]:9324",        "127.0.0",
        "127.0.0.1.1",        "127.0.0.256",      "[::1].evil.com"};
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < SL_COUNT(local); i++) {
        assert_true(served(&f, local[i], NULL, NULL));
    }
    assert_true(served(&f, NULL, NULL, NULL));
    for (size_t i = 0; i < SL_COUNT(foreign); i++) {
        assert_false(served(&f, foreign[i], NULL, NULL));
    }
    assert_false(served(&f, "localhost:9324", "Origin", "https://example.com"));
    assert_false(served(&f, "localhost:9324", "Origin", "null"));
    assert_false(served(&f, "localhost:9324", "Referer", "https://example.com/"));
    assert_false(served(&f, "localhost:9324", "Sec-Fetch-Site", "cross-site"));
    assert_true(served(&f, "localhost:9324", "Sec-Fetch-Site", "none"));

    begin(&f, "GET", "/?Action=ListQueues", "");
    f.exchange.view.host = STR("sluice");
    f.exchange.view.from_unix_socket = true;
    submit(&f);
    assert_true(str_equal(f.store.pending->endpoint, STR("http://sluice")));
    struct sqs_list_queues_out out = {0};
    answer(&f, &out);
    teardown(&f);

    setup_with(&f, (struct sqs_api_config){.allow_anonymous = true});
    assert_true(served(&f, "queue.internal:9324", NULL, NULL));
    assert_false(served(&f, "queue.internal:9324", "Origin", "https://example.com"));
    teardown(&f);
}

static void a_host_is_not_believed_blindly(void **state)
{
    (void)state;
    struct fixture f;
    setup_with(&f, (struct sqs_api_config){.allow_anonymous = true});
    begin(&f, "GET", "/?Action=ListQueues", "");
    f.exchange.view.host = STR("a\"b<c>");
    submit(&f);
    assert_true(str_equal(f.store.pending->endpoint, STR("http://localhost")));
    struct sqs_list_queues_out out = {0};
    answer(&f, &out);
    teardown(&f);
}

static void queue_urls_say_how_the_client_came(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    begin(&f, "GET", "/?Action=ListQueues", "");
    f.exchange.view.is_tls = true;
    submit(&f);
    assert_true(str_equal(f.store.pending->endpoint, STR("https://localhost:9324")));
    struct sqs_list_queues_out out = {0};
    answer(&f, &out);
    teardown(&f);
}

/* ---- metrics ---- */

struct found {
    const char *action, *code;
    double value;
    uint32_t series;
};

static void on_family(void *context, const char *name, const char *help, enum metric_type type)
{
    (void)context;
    (void)help;
    assert_string_equal(name, "sluice_sqs_requests_total");
    assert_int_equal(type, METRIC_COUNTER);
}

static void on_sample(void *context, const char *const *names, const char *const *values,
                      uint32_t count, const struct metric *metric)
{
    struct found *found = context;
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "action");
    assert_string_equal(names[1], "code");
    found->series++;
    if (strcmp(values[0], found->action) == 0 && strcmp(values[1], found->code) == 0) {
        found->value = metric_value(metric);
    }
}

static double count_of(struct fixture *f, const char *action, const char *code)
{
    static const struct metrics_visitor visitor = {on_family, on_sample};
    struct found found = {action, code, -1, 0};
    metrics_visit(f->metrics, &visitor, &found);
    return found.value;
}

static void requests_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    struct sqs_list_queues_out out = {0};
    setup(&f);
    assert_true(count_of(&f, "PurgeQueue", "OK") == 0);
    for (int i = 0; i < 3; i++) {
        json(&f, "ListQueues", "{}");
        answer(&f, &out);
    }
    json(&f, "ListQueues", "[]");
    json(&f, "Whatever", "{}");
    assert_true(count_of(&f, "ListQueues", "OK") == 3);
    assert_true(count_of(&f, "ListQueues", "SerializationException") == 1);
    assert_true(count_of(&f, "unknown", "UnknownOperationException") == 1);
    assert_true(count_of(&f, "Whatever", "UnknownOperationException") == -1);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_requests),
        cmocka_unit_test(json_mistakes),
        cmocka_unit_test(json_on_any_path),
        cmocka_unit_test(query_requests),
        cmocka_unit_test(query_mistakes),
        cmocka_unit_test(long_polls),
        cmocka_unit_test(what_is_received_can_be_answered),
        cmocka_unit_test(a_message_is_too_large_to_answer),
        cmocka_unit_test(no_web_page_and_no_foreign_host),
        cmocka_unit_test(a_host_is_not_believed_blindly),
        cmocka_unit_test(queue_urls_say_how_the_client_came),
        cmocka_unit_test(requests_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
