/*
 * The SQS API against a scripted store and a scripted HTTP side: this file defines the functions of
 * the store that the API calls, so nothing of the real one is linked.
 */
#include "sluice/serve/sqs_api.h"

#include "sluice/sqs/sigv4.h"
#include "sluice/sqs/types.h"
#include "support/http_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1795435200000) /* 20261123T120000Z */

struct store {
    struct store_request *pending;
    uint32_t submitted, canceled;
};

static wall_ms now_ms = NOW_MS;
static wall_ms test_clock(void)
{
    return now_ms;
}

/* ---- the scripted store ---- */

void store_submit(struct store *store, struct store_request *request)
{
    assert_null(store->pending);
    store->pending = request;
    store->submitted++;
}

void store_cancel(struct store *store, struct store_request *request)
{
    assert_ptr_equal(store->pending, request);
    store->canceled++;
}

/* ---- a request ---- */

struct fixture {
    struct store store;
    struct metrics *metrics;
    struct sqs_api *api;
    struct http_exchange exchange;
};

static void setup_with(struct fixture *f, struct sqs_api_config config)
{
    *f = (struct fixture){.metrics = metrics_new()};
    config.clock = test_clock;
    if (config.region.ptr == NULL) {
        config.region = STR("us-east-1");
    }
    config.account = STR("000000000000");
    f->api = sqs_api_new(&f->store, f->metrics, &config);
    now_ms = NOW_MS;
}

static void setup(struct fixture *f)
{
    setup_with(f, (struct sqs_api_config){0});
}

static void teardown(struct fixture *f)
{
    buf_done(&f->exchange.body);
    assert_int_equal(sqs_api_running(f->api), 0);
    sqs_api_free(f->api);
    metrics_free(f->metrics);
}

static void begin(struct fixture *f, const char *method, const char *target, const char *body)
{
    exchange_begin(&f->exchange, method, target, body);
}

static void header(struct fixture *f, const char *name, const char *value)
{
    exchange_header(&f->exchange, name, value);
}

static void submit(struct fixture *f)
{
    sqs_api_handle(f->api, &f->exchange, &f->exchange.view);
}

static void json(struct fixture *f, const char *action, const char *body)
{
    char target[64];
    (void)snprintf(target, sizeof(target), "AmazonSQS.%s", action);
    begin(f, "POST", "/", body);
    header(f, "X-Amz-Target", target);
    header(f, "Content-Type", "application/x-amz-json-1.0");
    submit(f);
}

static void form(struct fixture *f, const char *path, const char *body)
{
    begin(f, "POST", path, body);
    header(f, "content-type", "application/x-www-form-urlencoded; charset=utf-8");
    submit(f);
}

/* The store's answer to the request it was given. */
static void answer(struct fixture *f, void *output)
{
    struct store_request *request = f->store.pending;
    assert_non_null(request);
    f->store.pending = NULL;
    request->output = output;
    request->done(request->context, request);
}

static void answer_error(struct fixture *f, enum sqs_error_code code, const char *message)
{
    (void)sqs_error_set(&f->store.pending->error, code, "%s", message);
    answer(f, NULL);
}

static void expect(const struct fixture *f, int status, const char *body_part)
{
    const struct http_exchange *x = &f->exchange;
    assert_int_equal(x->responses, 1);
    if (x->status != status || strstr(buf_str(&x->body).ptr, body_part) == NULL) {
        fail_msg("status %d, body %s; wanted %d with %s", x->status, buf_str(&x->body).ptr, status,
                 body_part);
    }
    assert_int_equal(strlen(x->request_id), 36);
}

static void expect_error(const struct fixture *f, int status, const char *type,
                         const char *query_error)
{
    expect(f, status, type);
    assert_string_equal(f->exchange.query_error, query_error);
    assert_string_equal(f->exchange.content_type, "application/x-amz-json-1.0");
}

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

/* ---- signatures ---- */

static struct sqs_api_key keys[] = {{{"AKIDONE", 7}, {"secret one", 10}},
                                    {{"AKIDTWO", 7}, {"secret two", 10}}};

struct signing {
    struct str id, secret, region, service;
    wall_ms at;
    const char *token;
};

/* Adds X-Amz-Date and Authorization to the request that was begun. */
static void sign(struct fixture *f, const struct signing *s, struct buf *out, char date[17])
{
    struct sigv4_header headers[HTTP_KIT_HEADERS_MAX];
    sigv4_date(s->at, date);
    header(f, "X-Amz-Date", date);
    if (s->token != NULL) {
        header(f, "X-Amz-Security-Token", s->token);
    }
    struct http_exchange *x = &f->exchange;
    for (uint32_t i = 0; i < x->view.header_count; i++) {
        headers[i] = (struct sigv4_header){x->headers[i].name, x->headers[i].value};
    }
    struct sigv4_request request = {x->view.method, x->view.path,         x->view.query,
                                    headers,        x->view.header_count, x->view.body};
    struct sigv4_credentials credentials = {s->id, s->secret, STR_NONE};
    buf_init(out, 4096);
    assert_int_equal(sigv4_sign(&request, &credentials, s->region, s->service, out), 0);
    header(f, "Authorization", out->ptr);
}

static void submit_signed(struct fixture *f, const struct signing *s)
{
    struct buf authorization;
    char date[17];
    begin(f, "POST", "/", "{\"QueueName\":\"jobs\"}");
    header(f, "Content-Type", "application/x-amz-json-1.0");
    header(f, "X-Amz-Target", "AmazonSQS.GetQueueUrl");
    sign(f, s, &authorization, date);
    submit(f);
    buf_done(&authorization);
}

static void signed_requests(void **state)
{
    (void)state;
    struct fixture f;
    struct sqs_queue_url_out url = {STR("u")};
    const struct signing good = {
        STR("AKIDTWO"), STR("secret two"), STR("us-east-1"), STR("sqs"), NOW_MS, NULL};
    setup_with(&f, (struct sqs_api_config){.access_keys = keys, .access_key_count = 2});
    struct signing s = good;
    submit_signed(&f, &s);
    answer(&f, &url);
    expect(&f, 200, "{\"QueueUrl\":\"u\"}");
    s.id = STR("AKIDONE");
    s.secret = STR("secret one");
    s.at = NOW_MS - INT64_C(15) * 60 * 1000;
    submit_signed(&f, &s);
    answer(&f, &url);
    s.at = NOW_MS + INT64_C(15) * 60 * 1000;
    submit_signed(&f, &s);
    answer(&f, &url);
    expect(&f, 200, "{\"QueueUrl\":\"u\"}");
    assert_int_equal(f.store.submitted, 3);

    s = good;
    s.secret = STR("secret one");
    submit_signed(&f, &s);
    expect_error(&f, 403, "com.amazon.coral.service#InvalidSignatureException",
                 "SignatureDoesNotMatch;Sender");
    s = good;
    s.id = STR("AKIDTHREE");
    submit_signed(&f, &s);
    expect_error(&f, 403, "com.amazon.coral.service#UnrecognizedClientException",
                 "InvalidClientTokenId;Sender");
    s = good;
    s.at = NOW_MS - INT64_C(15) * 60 * 1000 - 1000;
    submit_signed(&f, &s);
    expect_error(&f, 403,
                 "Signature expired: 20261123T114459Z is now earlier than 20261123T114500Z "
                 "(20261123T120000Z - 15 min.)",
                 "SignatureDoesNotMatch;Sender");
    s.at = NOW_MS + INT64_C(15) * 60 * 1000 + 1000;
    submit_signed(&f, &s);
    expect_error(&f, 403, "Signature not yet current", "SignatureDoesNotMatch;Sender");
    s = good;
    s.region = STR("eu-west-1");
    submit_signed(&f, &s);
    expect_error(&f, 403, "Credential should be scoped to a valid region, not 'eu-west-1'",
                 "SignatureDoesNotMatch;Sender");
    s = good;
    s.service = STR("sns");
    submit_signed(&f, &s);
    expect_error(&f, 403, "Credential should be scoped to correct service: 'sqs'.",
                 "SignatureDoesNotMatch;Sender");
    s = good;
    s.token = "FwoGZXIvYXdz";
    submit_signed(&f, &s);
    expect_error(&f, 403, "no session tokens", "InvalidClientTokenId;Sender");
    assert_int_equal(f.store.submitted, 3);
    teardown(&f);
}

static void unsigned_requests_with_keys(void **state)
{
    (void)state;
    struct fixture f;
    setup_with(&f, (struct sqs_api_config){
                       .access_keys = keys, .access_key_count = 2, .allow_anonymous = true});
    json(&f, "ListQueues", "{}");
    expect_error(&f, 403, "com.amazon.coral.service#AccessDeniedException", "AccessDenied;Sender");
    form(&f, "/", "Action=ListQueues");
    expect(&f, 403, "<Code>AccessDenied</Code>");
    begin(&f, "GET", "/", "");
    header(&f, "Authorization", "Basic dXNlcjpwYXNz");
    submit(&f);
    expect(&f, 400, "<Code>IncompleteSignature</Code>");
    begin(&f, "GET", "/", "");
    header(&f, "Authorization",
           "AWS4-HMAC-SHA256 Credential=AKIDONE/20261123/us-east-1/sqs/aws4_request, "
           "SignedHeaders=host, Signature=00");
    submit(&f);
    expect(&f, 400, "X-Amz-Date");
    assert_int_equal(f.store.submitted, 0);
    teardown(&f);
}

static void a_changed_body_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct buf authorization;
    char date[17];
    const struct signing s = {
        STR("AKIDONE"), STR("secret one"), STR("us-east-1"), STR("sqs"), NOW_MS, NULL};
    setup_with(&f, (struct sqs_api_config){.access_keys = keys, .access_key_count = 2});
    begin(&f, "POST", "/000000000000/a%20b?x=1", "{\"QueueUrl\":\"jobs\"}");
    header(&f, "X-Amz-Target", "AmazonSQS.DeleteQueue");
    sign(&f, &s, &authorization, date);
    f.exchange.view.body = STR("{\"QueueUrl\":\"jubs\"}");
    submit(&f);
    expect_error(&f, 403, "The request signature we calculated does not match",
                 "SignatureDoesNotMatch;Sender");
    buf_done(&authorization);
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
        cmocka_unit_test(signed_requests),
        cmocka_unit_test(unsigned_requests_with_keys),
        cmocka_unit_test(a_changed_body_is_refused),
        cmocka_unit_test(requests_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
