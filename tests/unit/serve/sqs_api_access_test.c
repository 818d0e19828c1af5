/* Who may call and what: signatures, and the rights of keys. */
#include "sqs_api_support.h"

#include "sluice/sqs/move_task.h"

static struct sqs_api_key keys[] = {{.id = {"AKIDONE", 7}, .secret = {"secret one", 10}},
                                    {.id = {"AKIDTWO", 7}, .secret = {"secret two", 10}}};

static void submit_signed(struct fixture *f, const struct signing *s)
{
    submit_signed_action(f, s, "GetQueueUrl", "{\"QueueName\":\"jobs\"}");
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

/* What each of these is to a key that may Send* and PurgeQueue on jobs-* and on last. */
static const struct {
    const char *action, *body;
    const char *denied; /* the right and the resource that it lacks; NULL: it is served */
} rights[] = {
    {"SendMessage", "{\"QueueUrl\":\"http://h/000000000000/jobs-1\",\"MessageBody\":\"b\"}", NULL},
    {"SendMessage", "{\"QueueUrl\":\"last\",\"MessageBody\":\"b\"}", NULL},
    {"SendMessageBatch",
     "{\"QueueUrl\":\"jobs-2\",\"Entries\":[{\"Id\":\"1\",\"MessageBody\":\"b\"}]}", NULL},
    {"PurgeQueue", "{\"QueueUrl\":\"jobs-1\"}", NULL},
    {"SendMessage", "{\"QueueUrl\":\"http://h/000000000000/jobs\",\"MessageBody\":\"b\"}",
     "sqs:SendMessage on resource: arn:aws:sqs:us-east-1:000000000000:jobs because the queues "},
    {"SendMessageBatch",
     "{\"QueueUrl\":\"lasts\",\"Entries\":[{\"Id\":\"1\",\"MessageBody\":\"b\"}]}",
     "sqs:SendMessage on resource: arn:aws:sqs:us-east-1:000000000000:lasts because the queues "},
    {"ReceiveMessage", "{\"QueueUrl\":\"jobs-1\"}",
     "sqs:ReceiveMessage on resource: arn:aws:sqs:us-east-1:000000000000:jobs-1 because the "
     "actions "},
    {"DeleteMessageBatch",
     "{\"QueueUrl\":\"jobs-1\",\"Entries\":[{\"Id\":\"1\",\"ReceiptHandle\":\"r\"}]}",
     "sqs:DeleteMessage on resource: arn:aws:sqs:us-east-1:000000000000:jobs-1 because the "
     "actions "},
    {"CreateQueue", "{\"QueueName\":\"jobs-9\"}", "sqs:CreateQueue on resource: "},
    {"GetQueueUrl", "{\"QueueName\":\"jobs-1\"}", "sqs:GetQueueUrl on resource: "},
    {"ListQueues", "{}",
     "sqs:ListQueues on resource: arn:aws:sqs:us-east-1:000000000000:* because the actions "},
};

static void keys_have_rights(void **state)
{
    (void)state;
    static struct str actions[] = {{"Send*", 5}, {"PurgeQueue", 10}};
    static struct str queues[] = {{"jobs-*", 6}, {"last", 4}};
    struct sqs_api_key key = {.id = STR("AKIDONE"),
                              .secret = STR("secret one"),
                              .actions = {actions, 2, true},
                              .queues = {queues, 2, true}};
    const struct signing s = {
        STR("AKIDONE"), STR("secret one"), STR("us-east-1"), STR("sqs"), NOW_MS, NULL};
    struct fixture f;
    struct sqs_send_result sent = {.message_id = STR("m")};
    struct sqs_send_batch_out batch = {0};
    setup_with(&f, (struct sqs_api_config){.access_keys = &key, .access_key_count = 1});
    for (size_t i = 0; i < SL_COUNT(rights); i++) {
        uint32_t before = f.store.submitted;
        submit_signed_action(&f, &s, rights[i].action, rights[i].body);
        if (rights[i].denied == NULL) {
            assert_int_equal(f.store.submitted, before + 1);
            answer(&f, strcmp(rights[i].action, "SendMessage") == 0 ? (void *)&sent : &batch);
            expect(&f, 200, "");
        } else {
            assert_int_equal(f.store.submitted, before);
            expect_error(&f, 403, "com.amazon.coral.service#AccessDeniedException",
                         "AccessDenied;Sender");
            expect(&f, 403,
                   "User: arn:aws:iam::000000000000:user/AKIDONE is not authorized to perform: ");
            expect(&f, 403, rights[i].denied);
        }
    }
    teardown(&f);
}

#define ARN(name) "arn:aws:sqs:us-east-1:000000000000:" name

/* The queue of a move task is in ARNs; with a destination it sends there. */
static void rights_on_move_tasks(void **state)
{
    (void)state;
    static struct str actions[] = {{"*MessageMoveTask*", 17}};
    static struct str queues[] = {{"dead", 4}, {"jobs", 4}};
    struct sqs_api_key key = {.id = STR("AKIDONE"),
                              .secret = STR("secret one"),
                              .actions = {actions, 1, true},
                              .queues = {queues, 2, true}};
    const struct signing s = {
        STR("AKIDONE"), STR("secret one"), STR("us-east-1"), STR("sqs"), NOW_MS, NULL};
    struct fixture f;
    struct sqs_task_handle started = {STR("h")};
    struct sqs_list_move_tasks_out tasks = {0};
    setup_with(&f, (struct sqs_api_config){.access_keys = &key, .access_key_count = 1});
    submit_signed_action(&f, &s, "StartMessageMoveTask", "{\"SourceArn\":\"" ARN("dead") "\"}");
    answer(&f, &started);
    submit_signed_action(&f, &s, "ListMessageMoveTasks", "{\"SourceArn\":\"" ARN("dead") "\"}");
    answer(&f, &tasks);
    submit_signed_action(&f, &s, "ListMessageMoveTasks", "{\"SourceArn\":\"" ARN("other") "\"}");
    expect_error(&f, 403, "000000000000:other because the queues ", "AccessDenied;Sender");
    submit_signed_action(&f, &s, "StartMessageMoveTask", "{\"SourceArn\":\"nonsense\"}");
    expect_error(&f, 403, "000000000000:* because the queues ", "AccessDenied;Sender");
    submit_signed_action(
        &f, &s, "StartMessageMoveTask",
        "{\"SourceArn\":\"" ARN("dead") "\",\"DestinationArn\":\"" ARN("jobs") "\"}");
    expect_error(&f, 403, "sqs:SendMessage on resource: " ARN("jobs") " because the actions ",
                 "AccessDenied;Sender");
    submit_signed_action(&f, &s, "CancelMessageMoveTask", "{\"TaskHandle\":\"nonsense\"}");
    expect_error(&f, 403, "000000000000:* because the queues ", "AccessDenied;Sender");
    char body[512];
    static const char *const sources[] = {ARN("dead"), ARN("other")};
    for (size_t i = 0; i < SL_COUNT(sources); i++) {
        struct arena arena;
        struct sqs_cancel_move_task_out canceled = {.moved = {true, 1}};
        arena_init(&arena, 4096);
        struct str handle = sqs_move_handle_write(
            &arena, STR("a1b2c3d4-0000-4000-8000-000000000000"), str_from(sources[i]));
        (void)snprintf(body, sizeof(body), "{\"TaskHandle\":\"%.*s\"}", STR_FMT(handle));
        submit_signed_action(&f, &s, "CancelMessageMoveTask", body);
        if (i == 0) {
            answer(&f, &canceled);
            expect(&f, 200, "");
        } else {
            expect_error(&f, 403, "000000000000:other because the queues ", "AccessDenied;Sender");
        }
        arena_done(&arena);
    }
    assert_int_equal(f.store.submitted, 3);
    teardown(&f);
}

/* ListQueues is about no queue: who may use it sees all of them. CreateQueue is about its own. */
static void rights_by_name(void **state)
{
    (void)state;
    static struct str actions[] = {{"ListQueues", 10}, {"CreateQueue", 11}, {"GetQueueUrl", 11}};
    static struct str queues[] = {{"jobs", 4}};
    struct sqs_api_key key = {.id = STR("AKIDONE"),
                              .secret = STR("secret one"),
                              .actions = {actions, 3, true},
                              .queues = {queues, 1, true}};
    const struct signing s = {
        STR("AKIDONE"), STR("secret one"), STR("us-east-1"), STR("sqs"), NOW_MS, NULL};
    struct fixture f;
    struct sqs_list_queues_out list = {0};
    struct sqs_queue_url_out url = {STR("u")};
    setup_with(&f, (struct sqs_api_config){.access_keys = &key, .access_key_count = 1});
    submit_signed_action(&f, &s, "ListQueues", "{}");
    answer(&f, &list);
    submit_signed_action(&f, &s, "CreateQueue", "{\"QueueName\":\"jobs\"}");
    answer(&f, &url);
    submit_signed_action(&f, &s, "GetQueueUrl", "{\"QueueName\":\"jobs\"}");
    answer(&f, &url);
    submit_signed_action(&f, &s, "CreateQueue", "{\"QueueName\":\"jobs2\"}");
    expect_error(&f, 403, "000000000000:jobs2 because the queues of this key",
                 "AccessDenied;Sender");
    submit_signed_action(&f, &s, "GetQueueUrl", "{\"QueueName\":\"\"}");
    expect_error(&f, 403, "AccessDeniedException", "AccessDenied;Sender");
    /* A wrong signature says nothing about rights. */
    submit_signed_action(
        &f,
        &(struct signing){STR("AKIDONE"), STR("wrong"), STR("us-east-1"), STR("sqs"), NOW_MS, NULL},
        "PurgeQueue", "{\"QueueUrl\":\"other\"}");
    expect_error(&f, 403, "InvalidSignatureException", "SignatureDoesNotMatch;Sender");
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

/* The region in the credential scope, as the store gets it. */
static void expect_region(struct fixture *f, const char *authorization, const char *region)
{
    struct sqs_list_queues_out list = {0};
    begin(f, "GET", "/?Action=ListQueues", "");
    if (authorization != NULL) {
        header(f, "Authorization", authorization);
    }
    submit(f);
    assert_true(str_equal(f->store.pending->region, str_from(region)));
    answer(f, &list);
}

static void a_request_names_its_region(void **state)
{
    (void)state;
    struct fixture f;
#define SCOPE(region)                                                                              \
    "AWS4-HMAC-SHA256 Credential=AKID/20261123/" region                                            \
    "/sqs/aws4_request, SignedHeaders=host, Signature=00"
    setup(&f);
    expect_region(&f, NULL, NULL);
    expect_region(&f, "Basic dXNlcjpwYXNz", NULL);
    expect_region(&f, SCOPE("eu-west-1"), "eu-west-1");
    expect_region(&f, SCOPE("eu west"), NULL);
    expect_region(&f, SCOPE("a\"b"), NULL);
    expect_region(&f, SCOPE("abcdefghijklmnopqrstuvwxyz0123456"), NULL); /* 33 */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_requests),
        cmocka_unit_test(keys_have_rights),
        cmocka_unit_test(rights_by_name),
        cmocka_unit_test(rights_on_move_tasks),
        cmocka_unit_test(unsigned_requests_with_keys),
        cmocka_unit_test(a_changed_body_is_refused),
        cmocka_unit_test(a_request_names_its_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
