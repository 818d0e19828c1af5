/*
 * The SQS client against a scripted server in the same loop: what goes over the wire (checked with
 * the verifying side of SigV4), and what each kind of answer becomes.
 */
#include "sluice/aws/sqs_client.h"

#include "sluice/aws/provider.h"
#include "sluice/net/http_server.h"
#include "sluice/sqs/md5.h"
#include "sluice/sqs/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define SECRET      STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
#define DEADLINE_NS (20 * NS_PER_S)

struct answer {
    int status;
    const char *body;
    const char *query_error;
    bool hang;
};

struct world {
    struct loop *loop;
    struct http_server *server;
    struct http_client *http;
    struct provider *provider;
    struct sqs_client *client;
    struct loop_timer deadline;
    char queue_url[128];
    /* the script */
    const struct answer *answers;
    uint32_t answer_count, requests;
    struct http_exchange *hanging;
    /* the last request */
    char target[64], token[64], authorization[512], date[32], body[4096];
    bool verified;
    /* the last answer, copied */
    uint32_t done_count;
    int error;
    struct sqs_error sqs;
    bool transient, has_output;
    char first_body[64];
    uint32_t message_count;
    bool timed_out;
};

/* ---- the server ---- */

static void remember(struct world *w, const struct http_request_view *request)
{
    struct sigv4_header headers[HTTP_HEADERS_MAX];
    struct sigv4_authorization claim;
    for (uint32_t i = 0; i < request->header_count; i++) {
        headers[i] = (struct sigv4_header){request->headers[i].name, request->headers[i].value};
    }
    const struct sigv4_request signed_request = {request->method,       request->path,
                                                 request->query,        headers,
                                                 request->header_count, request->body};
    str_copy(w->target, sizeof(w->target), http_request_header(request, "x-amz-target"));
    str_copy(w->token, sizeof(w->token), http_request_header(request, "x-amz-security-token"));
    str_copy(w->date, sizeof(w->date), http_request_header(request, "x-amz-date"));
    str_copy(w->body, sizeof(w->body), request->body);
    struct str authorization = http_request_header(request, "authorization");
    str_copy(w->authorization, sizeof(w->authorization), authorization);
    w->verified = authorization.ptr != NULL && sigv4_parse(authorization, &claim) == 0 &&
                  sigv4_verify(&signed_request, &claim, SECRET);
}

static void on_request(void *context, struct http_exchange *exchange,
                       const struct http_request_view *request)
{
    struct world *w = context;
    assert_true(w->requests < w->answer_count);
    const struct answer *answer = &w->answers[w->requests++];
    remember(w, request);
    if (answer->hang) {
        w->hanging = exchange;
        return;
    }
    struct http_header headers[1];
    uint32_t count = 0;
    if (answer->query_error != NULL) {
        headers[count++] =
            (struct http_header){STR("x-amzn-query-error"), str_from(answer->query_error)};
    }
    http_respond(exchange, &(struct http_response){.status = answer->status,
                                                   .content_type = "application/x-amz-json-1.0",
                                                   .body = str_from(answer->body),
                                                   .headers = headers,
                                                   .header_count = count});
}

/* ---- the world ---- */

static void on_deadline(void *context, mono_ns now)
{
    struct world *w = context;
    (void)now;
    w->timed_out = true;
    loop_wake(w->loop);
}

/* Our clock is wrong by so much; the server's (its Date header) is right. */
static int64_t our_clock_ahead_ms;

static wall_ms test_clock(void)
{
    return loop_wall() + our_clock_ahead_ms;
}

static const char *session_token;
static bool no_keys;
static const char *expiration;

/* Our keys, as the environment has them. */
static const char *variable(const char *name)
{
    return strcmp(name, "AWS_EC2_METADATA_DISABLED") == 0   ? "true"
           : strcmp(name, "AWS_CREDENTIAL_EXPIRATION") == 0 ? expiration
           : no_keys                                        ? NULL
           : strcmp(name, "AWS_ACCESS_KEY_ID") == 0         ? "AKIDEXAMPLE"
           : strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0     ? SECRET.ptr
           : strcmp(name, "AWS_SESSION_TOKEN") == 0         ? session_token
                                                            : NULL;
}

static void client_new(struct world *w, const char *queue_url, struct provider *provider)
{
    struct error e = {0};
    const struct sqs_client_config config = {.loop = w->loop,
                                             .http = w->http,
                                             .provider = provider,
                                             .queue_url = queue_url,
                                             .region = "eu-west-1",
                                             .clock = test_clock};
    if (sqs_client_new(&config, &w->client, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

static void world_init(struct world *w, struct str token)
{
    struct error e = {0};
    *w = (struct world){.loop = loop_new()};
    w->server = http_server_new(w->loop, &(struct http_server_config){0}, on_request, w);
    if (http_server_listen(w->server, STR("127.0.0.1:0"), 0, &e) != 0) {
        fail_msg("%s", e.text);
    }
    w->http = http_client_new(w->loop, &(struct http_client_config){0});
    session_token = token.ptr;
    w->provider = provider_new(
        &(struct provider_config){.loop = w->loop, .http = w->http, .getter = variable});
    (void)snprintf(w->queue_url, sizeof(w->queue_url), "http://127.0.0.1:%u/000000000000/jobs",
                   http_server_port(w->server));
    client_new(w, w->queue_url, w->provider);
    w->deadline = (struct loop_timer){.callback = on_deadline, .context = w};
    loop_timer_set(w->loop, &w->deadline, loop_now() + DEADLINE_NS);
}

/* One turn after another until it is so, or the deadline passed. */
#define RUN_UNTIL(w, condition)                                                                    \
    do {                                                                                           \
        while (!(condition) && !(w)->timed_out) {                                                  \
            (void)uv_run(loop_uv((w)->loop), UV_RUN_ONCE);                                         \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static void world_done(struct world *w)
{
    sqs_client_free(w->client);
    provider_free(w->provider);
    loop_timer_clear(w->loop, &w->deadline);
    http_client_close(w->http);
    http_server_close(w->server);
    loop_stop(w->loop);
    assert_int_equal(loop_run(w->loop), 0);
    loop_free(w->loop);
}

static void on_done(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct world *w = context;
    assert_true(now > 0);
    w->done_count++;
    w->error = answer->error;
    w->sqs = answer->sqs;
    assert_true(answer->error == 0 || answer->reason[0] != '\0');
    w->transient = answer->transient;
    w->has_output = answer->output != NULL;
    w->message_count = 0;
    w->first_body[0] = '\0';
    if (answer->error != 0) {
        assert_false(w->has_output);
    }
}

static void on_received(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct world *w = context;
    on_done(context, answer, now);
    if (answer->error == 0) {
        /* Taken over, as a source does, and still good after the arena changed hands. */
        struct arena mine = *answer->arena;
        arena_init(answer->arena, 0);
        const struct sqs_receive_out *out = answer->output;
        w->message_count = out->messages.count;
        if (out->messages.count > 0) {
            str_copy(w->first_body, sizeof(w->first_body), out->messages.items[0].body);
        }
        arena_done(&mine);
    }
}

static void call(struct world *w, enum sqs_action action, const void *input, sqs_client_done done)
{
    struct sqs_client_call *running = NULL;
    uint32_t before = w->done_count;
    assert_int_equal(sqs_client_call(w->client, action, input, 10 * NS_PER_S, done, w, &running),
                     0);
    assert_non_null(running);
    assert_int_equal(w->done_count, before); /* never before it returned */
    RUN_UNTIL(w, w->done_count > before);
    assert_int_equal(w->done_count, before + 1);
}

static void script(struct world *w, const struct answer *answers, uint32_t count)
{
    w->answers = answers;
    w->answer_count = count;
    w->requests = 0;
}

static const struct sqs_queue_in queue_in = {{"jobs", 4}};

/* ---- tests ---- */

static void requests_are_signed(void **state)
{
    (void)state;
    struct world w;
    static const struct answer answers[] = {{.status = 200, .body = ""},
                                            {.status = 200, .body = ""}};
    world_init(&w, STR("FwoGZXIvYXdzEXAMPLETOKEN=="));
    script(&w, answers, 2);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.sqs.code, SQS_OK);
    assert_false(w.has_output);
    assert_true(w.verified);
    assert_string_equal(w.target, "AmazonSQS.PurgeQueue");
    assert_string_equal(w.token, "FwoGZXIvYXdzEXAMPLETOKEN==");
    assert_string_equal(w.body, "{\"QueueUrl\":\"jobs\"}");
    assert_non_null(strstr(w.authorization, "/eu-west-1/sqs/aws4_request, SignedHeaders="));
    assert_non_null(strstr(w.authorization, "x-amz-security-token"));
    /* Without credentials: not signed. */
    sqs_client_free(w.client);
    client_new(&w, w.queue_url, NULL);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, 0);
    assert_string_equal(w.authorization, "");
    world_done(&w);
}

static void messages_are_received(void **state)
{
    (void)state;
    struct world w;
    static const struct answer answers[] = {
        {.status = 200, .body = "{}"},
        {.status = 200,
         .body = "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"h\",\"MD5OfBody\":"
                 "\"5d41402abc4b2a76b9719d911017c592\",\"Body\":\"hello\","
                 "\"MD5OfMessageAttributes\":\"da1b33cc3cbfe8b1630921e78e6b9880\","
                 "\"MessageAttributes\":{\"color\":{\"DataType\":\"String\",\"StringValue\":"
                 "\"blue\"}}},{\"MessageId\":\"n\",\"ReceiptHandle\":\"i\",\"Body\":\"x\"}]}"},
        {.status = 200,
         .body = "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"h\",\"MD5OfBody\":"
                 "\"5d41402abc4b2a76b9719d911017c592\",\"Body\":"
                 "\"hallo\"}]}"},
        {.status = 200,
         .body = "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"h\",\"Body\":\"b\","
                 "\"MD5OfMessageAttributes\":"
                 "\"da1b33cc3cbfe8b1630921e78e6b9880\",\"MessageAttributes\":{\"color\":{"
                 "\"DataType\":\"String\",\"StringValue\":\"red\"}}}]}"},
    };
    const struct sqs_receive_in in = {
        .queue_url = STR("jobs"), .max_messages = {true, 10}, .wait_seconds = {true, 20}};
    world_init(&w, STR_NONE);
    script(&w, answers, 4);
    call(&w, SQS_RECEIVE_MESSAGE, &in, on_received);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.message_count, 0);
    assert_string_equal(
        w.body, "{\"QueueUrl\":\"jobs\",\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20}");
    assert_string_equal(w.token, "");
    call(&w, SQS_RECEIVE_MESSAGE, &in, on_received);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.message_count, 2);
    assert_string_equal(w.first_body, "hello");
    call(&w, SQS_RECEIVE_MESSAGE, &in, on_received);
    assert_int_equal(w.error, ERR_CORRUPT);
    call(&w, SQS_RECEIVE_MESSAGE, &in, on_received);
    assert_int_equal(w.error, ERR_CORRUPT);
    world_done(&w);
}

static void unusable_messages_are_refused(void **state)
{
    (void)state;
    struct world w;
    static const char *const messages[] = {
        "{}",
        "{\"MessageId\":\"m\",\"Body\":\"b\"}",
        "{\"MessageId\":\"m\",\"ReceiptHandle\":\"h\"}",
        "{\"ReceiptHandle\":\"h\",\"Body\":\"b\"}",
        "{\"MessageId\":\"m\\r\\nEvil: 1\",\"ReceiptHandle\":\"h\",\"Body\":\"b\"}",
        "{\"MessageId\":\"m\\u00fc\",\"ReceiptHandle\":\"h\",\"Body\":\"b\"}",
    };
    const struct sqs_receive_in in = {.queue_url = STR("jobs")};
    world_init(&w, STR_NONE);
    for (size_t i = 0; i < SL_COUNT(messages); i++) {
        char body[256];
        (void)snprintf(body, sizeof(body), "{\"Messages\":[%s]}", messages[i]);
        const struct answer answer = {.status = 200, .body = body};
        script(&w, &answer, 1);
        call(&w, SQS_RECEIVE_MESSAGE, &in, on_received);
        assert_int_equal(w.error, ERR_PROTOCOL);
        assert_string_equal(w.sqs.message,
                            "a message without a usable id, a receipt handle or a body");
    }
    world_done(&w);
}

static void sent_bodies_are_checked(void **state)
{
    (void)state;
    struct world w;
    static const struct answer answers[] = {
        {.status = 200,
         .body = "{\"MessageId\":\"m\",\"MD5OfMessageBody\":\"5d41402abc4b2a76b9719d911017c592\"}"},
        {.status = 200,
         .body = "{\"MessageId\":\"m\",\"MD5OfMessageBody\":\"00000000000000000000000000000000\"}"},
    };
    const struct sqs_send_message_in in = {STR("jobs"), {.body = STR("hello")}};
    world_init(&w, STR_NONE);
    script(&w, answers, 2);
    call(&w, SQS_SEND_MESSAGE, &in, on_done);
    assert_int_equal(w.error, 0);
    assert_true(w.has_output);
    call(&w, SQS_SEND_MESSAGE, &in, on_done);
    assert_int_equal(w.error, ERR_CORRUPT);
    world_done(&w);
}

static const struct {
    struct answer answer;
    enum sqs_error_code code;
    bool transient;
    const char *message;
} error_rows[] = {
    {{.status = 400,
      .body = "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"The specified "
              "queue does not exist.\"}"},
     SQS_ERROR_QUEUE_DOES_NOT_EXIST,
     false,
     "QueueDoesNotExist: The specified queue does not exist. (HTTP 400)"},
    {{.status = 403, .body = "{\"__type\":\"RequestThrottled\",\"Message\":\"slow\"}"},
     SQS_ERROR_REQUEST_THROTTLED,
     true,
     "RequestThrottled: slow (HTTP 403)"},
    {{.status = 400, .body = "{\"__type\":\"com.amazon.coral.availability#ThrottlingException\"}"},
     SQS_ERROR_REQUEST_THROTTLED,
     true,
     "ThrottlingException (HTTP 400)"},
    {{.status = 403,
      .body = "{\"__type\":\"com.amazonaws.sqs#OverLimit\",\"message\":\"too many\"}"},
     SQS_ERROR_OVER_LIMIT,
     true,
     "OverLimit: too many (HTTP 403)"},
    {{.status = 403,
      .body = "{\"__type\":\"com.amazon.coral.service#SomethingNew\",\"message\":\"new\"}"},
     SQS_ERROR_INTERNAL_FAILURE,
     false,
     "SomethingNew: new (HTTP 403)"},
    {{.status = 500,
      .body = "{\"__type\":\"com.amazon.coral.service#InternalFailure\",\"message\":\"oh\"}"},
     SQS_ERROR_INTERNAL_FAILURE,
     true,
     "InternalFailure: oh (HTTP 500)"},
    {{.status = 502, .body = "<html>Bad Gateway</html>"},
     SQS_ERROR_INTERNAL_FAILURE,
     true,
     "the answer is not from SQS (HTTP 502)"},
    {{.status = 503, .body = ""},
     SQS_ERROR_SERVICE_UNAVAILABLE,
     true,
     "the answer is not from SQS (HTTP 503)"},
    {{.status = 400, .body = "", .query_error = "AWS.SimpleQueueService.NonExistentQueue;Sender"},
     SQS_ERROR_QUEUE_DOES_NOT_EXIST,
     false,
     "AWS.SimpleQueueService.NonExistentQueue: the answer is not from SQS (HTTP 400)"},
    {{.status = 302, .body = "moved"},
     SQS_ERROR_INTERNAL_FAILURE,
     false,
     "the answer is not from SQS (HTTP 302)"},
};

static void errors_are_understood(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, STR_NONE);
    for (size_t i = 0; i < SL_COUNT(error_rows); i++) {
        script(&w, &error_rows[i].answer, 1);
        call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
        assert_int_equal(w.error, ERR_PROTOCOL);
        assert_int_equal(w.sqs.code, error_rows[i].code);
        assert_string_equal(w.sqs.message, error_rows[i].message);
        assert_int_equal(w.transient, error_rows[i].transient);
        assert_int_equal(w.requests, 1);
    }
    static const struct answer broken = {.status = 200, .body = "<html/>"};
    const struct sqs_receive_in in = {.queue_url = STR("jobs")};
    script(&w, &broken, 1);
    call(&w, SQS_RECEIVE_MESSAGE, &in, on_received);
    assert_int_equal(w.error, ERR_PROTOCOL);
    assert_int_equal(w.sqs.code, SQS_OK); /* SQS did not say so */
    assert_string_equal(w.sqs.message, "the answer is not valid JSON: line 1, column 1: expected a "
                                       "value, found '<'");
    assert_true(w.transient);
    world_done(&w);
}

/* How far the last request's X-Amz-Date is from the true time. */
static int64_t date_error_s(const struct world *w)
{
    wall_ms date = 0;
    assert_int_equal(sigv4_parse_date(str_from(w->date), &date), 0);
    return llabs(date - loop_wall()) / 1000;
}

static const struct answer refused = {
    .status = 403, .body = "{\"__type\":\"com.amazon.coral.service#InvalidSignatureException\"}"};
static const struct answer accepted = {.status = 200, .body = ""};

static const struct answer expired = {
    .status = 403,
    .body = "{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\",\"message\":"
            "\"expired\"}"};

/* They are fetched at once, and nobody notices. Had that already not helped: not before the
 * source's backoff. */
static void refused_keys_are_fetched_anew(void **state)
{
    (void)state;
    const struct answer answers[] = {expired, accepted, expired, accepted};
    struct world w;
    world_init(&w, STR("old"));
    script(&w, answers, 4);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.requests, 2);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, ERR_DENIED);
    assert_int_equal(w.requests, 3);
    session_token = "new";
    while (w.error != 0) {
        call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    }
    assert_int_equal(w.requests, 4);
    world_done(&w);
}

static void keys_that_stay_refused(void **state)
{
    (void)state;
    const struct answer answers[] = {expired, expired, expired, accepted};
    struct world w;
    uint32_t failed = 0;
    world_init(&w, STR_NONE);
    script(&w, answers, 4);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.requests, 2);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done); /* the last try before it is known */
    while (w.error != 0 && w.requests < 4) {
        failed++;
        call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    }
    assert_true(failed > 1); /* they waited for the source, not for SQS */
    assert_int_equal(w.error, 0);
    world_done(&w);
}

static void without_credentials(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, STR_NONE);
    no_keys = true;
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, ERR_NOT_FOUND);
    assert_true(w.transient);
    no_keys = false;
    w.answer_count = 0;
    script(&w, &accepted, 1);
    while (w.error != 0) {
        call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    }
    assert_int_equal(w.requests, 1);
    world_done(&w);
}

/* They ended while their source failed to give others: no call goes out, and nothing spins. */
static void credentials_that_ended(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, STR_NONE);
    expiration = "2020-01-01T00:00:00Z";
    for (int i = 0; i < 3; i++) {
        call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
        assert_int_equal(w.error, ERR_DENIED);
    }
    assert_int_equal(w.requests, 0);
    expiration = NULL;
    script(&w, &accepted, 1);
    while (w.error != 0) {
        call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    }
    assert_int_equal(w.requests, 1);
    world_done(&w);
}

static void a_wrong_clock_is_corrected(void **state)
{
    (void)state;
    const struct answer answers[] = {refused, accepted, accepted, refused, refused};
    struct world w;
    world_init(&w, STR_NONE);
    script(&w, answers, 5);
    our_clock_ahead_ms = INT64_C(-3600) * 1000;
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.requests, 2);
    assert_true(w.verified);
    assert_in_range(date_error_s(&w), 0, 60);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done); /* and stays corrected */
    assert_int_equal(w.requests, 3);
    assert_in_range(date_error_s(&w), 0, 60);
    /* Ours is set right: the correction is what is wrong now; once is enough. */
    our_clock_ahead_ms = 0;
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, ERR_PROTOCOL);
    assert_int_equal(w.sqs.code, SQS_ERROR_INVALID_SIGNATURE);
    assert_int_equal(w.requests, 5);
    assert_in_range(date_error_s(&w), 0, 60);
    world_done(&w);
}

static void a_clock_that_is_nearly_right_is_not_the_reason(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, STR_NONE);
    script(&w, &refused, 1);
    our_clock_ahead_ms = INT64_C(180) * 1000;
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    our_clock_ahead_ms = 0;
    assert_int_equal(w.error, ERR_PROTOCOL);
    assert_int_equal(w.requests, 1);
    world_done(&w);
}

static void cancel_and_time_out(void **state)
{
    (void)state;
    static const struct answer hang[] = {{.hang = true}};
    struct sqs_client_call *running = NULL;
    struct world w;
    world_init(&w, STR_NONE);
    script(&w, hang, 1);
    assert_int_equal(
        sqs_client_call(w.client, SQS_PURGE_QUEUE, &queue_in, 15 * NS_PER_S, on_done, &w, &running),
        0);
    RUN_UNTIL(&w, w.hanging != NULL);
    sqs_client_cancel(running);
    assert_int_equal(w.done_count, 0);
    RUN_UNTIL(&w, w.done_count == 1);
    assert_int_equal(w.error, ERR_CANCELED);
    assert_false(w.transient);
    http_respond_text(w.hanging, 500, "late");

    w.hanging = NULL;
    script(&w, hang, 1);
    assert_int_equal(
        sqs_client_call(w.client, SQS_PURGE_QUEUE, &queue_in, NS_PER_S / 10, on_done, &w, &running),
        0);
    RUN_UNTIL(&w, w.done_count == 2);
    assert_int_equal(w.error, ERR_TIMEOUT);
    assert_true(w.transient);
    if (w.hanging != NULL) {
        http_respond_text(w.hanging, 500, "late");
    }
    world_done(&w);
}

/* A port that is taken and where nobody listens. */
static uint16_t silent_port(int *ret_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static void what_cannot_start_is_told_later(void **state)
{
    (void)state;
    struct sqs_client_call *running = NULL;
    struct world w;
    world_init(&w, STR_NONE);
    size_t len = (size_t)9 << 20;
    char *body = calloc(1, len);
    assert_non_null(body);
    memset(body, 'x', len);
    const struct sqs_send_message_in in = {STR("jobs"), {.body = {body, len}}};
    call(&w, SQS_SEND_MESSAGE, &in, on_done);
    assert_int_equal(w.error, ERR_TOO_BIG);
    free(body);
    int fd = -1;
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/000000000000/jobs", silent_port(&fd));
    sqs_client_free(w.client);
    client_new(&w, url, w.provider);
    call(&w, SQS_PURGE_QUEUE, &queue_in, on_done);
    assert_int_equal(w.error, ERR_CONNECT);
    assert_true(w.transient);
    /* Freed with a call that runs: it ends, and nobody is told. */
    assert_int_equal(
        sqs_client_call(w.client, SQS_PURGE_QUEUE, &queue_in, 15 * NS_PER_S, on_done, &w, &running),
        0);
    uint32_t before = w.done_count;
    (void)close(fd);
    world_done(&w);
    assert_int_equal(w.done_count, before);
}

static void check_new(const char *url, const char *endpoint, const char *wrong)
{
    struct sqs_client *client = NULL;
    struct error e = {0};
    const struct sqs_client_config config = {
        .queue_url = url, .region = "eu-west-1", .endpoint = endpoint};
    int rc = sqs_client_new(&config, &client, &e);
    if (wrong == NULL) {
        assert_int_equal(rc, 0);
        sqs_client_free(client);
    } else {
        assert_int_equal(rc, ERR_INVALID);
        assert_non_null(strstr(e.text, wrong));
    }
}

static void addresses(void **state)
{
    (void)state;
    check_new("https://sqs.eu-west-1.amazonaws.com/1/q", NULL, NULL);
    check_new("http://127.0.0.1:9324/1/q", NULL, NULL);
    check_new("jobs", NULL, "is no queue URL");
    check_new(NULL, NULL, "is no queue URL");
    check_new("https://sqs.eu-west-1.amazonaws.com/1/q", "http://127.0.0.1:9324", NULL);
    check_new("https://sqs.eu-west-1.amazonaws.com/1/q", "nonsense", "is no endpoint");

    struct sqs_client *client = NULL;
    struct error e;
    const struct sqs_client_config good = {.queue_url = "https://sqs.eu-west-1.amazonaws.com/1/q",
                                           .region = "eu-west-1"};
    char url[128];
    assert_int_equal(sqs_client_new(&good, &client, &e), 0);
    assert_int_equal(
        sqs_client_url_of_arn(client, STR("arn:aws:sqs:eu-west-1:12:dlq"), url, sizeof(url)), 0);
    assert_string_equal(url, "https://sqs.eu-west-1.amazonaws.com/12/dlq");
    assert_int_equal(sqs_client_url_of_arn(client, STR("dlq"), url, sizeof(url)), ERR_SYNTAX);
    assert_int_equal(sqs_client_url_of_arn(client, STR("arn:aws:sqs:eu-west-1:12:dlq"), url, 10),
                     ERR_TOO_BIG);
    sqs_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_signed),
        cmocka_unit_test(messages_are_received),
        cmocka_unit_test(unusable_messages_are_refused),
        cmocka_unit_test(sent_bodies_are_checked),
        cmocka_unit_test(errors_are_understood),
        cmocka_unit_test(refused_keys_are_fetched_anew),
        cmocka_unit_test(keys_that_stay_refused),
        cmocka_unit_test(without_credentials),
        cmocka_unit_test(credentials_that_ended),
        cmocka_unit_test(a_wrong_clock_is_corrected),
        cmocka_unit_test(a_clock_that_is_nearly_right_is_not_the_reason),
        cmocka_unit_test(cancel_and_time_out),
        cmocka_unit_test(what_cannot_start_is_told_later),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
