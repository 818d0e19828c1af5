/* Queues: create, delete, list, attributes, purge; dead letters, retention and the lease clock. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define ARN_OF(name) "arn:aws:sqs:" KIT_REGION ":" KIT_ACCOUNT ":" name
#define POLICY(name, count)                                                                        \
    "{\"deadLetterTargetArn\":\"" ARN_OF(name) "\",\"maxReceiveCount\":" count "}"
#define POLICY_ABROAD                                                                              \
    "{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:" KIT_ACCOUNT ":dead\","                     \
    "\"maxReceiveCount\":1}"
#define DAY_MS (INT64_C(86400) * 1000)

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    return 0;
}

static void test_create(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", "VisibilityTimeout", "45", NULL), 0);
    const struct sqs_queue_url_out *out = kit->request.output;
    assert_str(out->queue_url, KIT_ENDPOINT "/" KIT_ACCOUNT "/jobs");
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", "VisibilityTimeout", "45", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", "DelaySeconds", "0", NULL),
                     0); /* the value in force */
    assert_int_equal(kit_create(kit, "jobs", "VisibilityTimeout", "46", NULL),
                     SQS_ERROR_QUEUE_NAME_EXISTS);
    assert_string_equal(kit->request.error.message,
                        "A queue already exists with the same name and a different value for "
                        "attribute VisibilityTimeout");
    assert_int_equal(kit_create(kit, "bad name", NULL), SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_int_equal(kit_create(kit, "x.fifo", "FifoQueue", "true", NULL), 0);
    assert_int_equal(kit_create(kit, "new", "VisibilityTimeout", "43201", NULL),
                     SQS_ERROR_INVALID_ATTRIBUTE_VALUE);
    assert_int_equal(kit_create(kit, "new", "NoSuch", "1", NULL), SQS_ERROR_INVALID_ATTRIBUTE_NAME);
}

static void test_get_queue_url(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    struct sqs_get_queue_url_in in = {.queue_name = STR("jobs")};
    assert_int_equal(kit_run(kit, SQS_GET_QUEUE_URL, &in), 0);
    const struct sqs_queue_url_out *out = kit->request.output;
    assert_str(out->queue_url, KIT_ENDPOINT "/" KIT_ACCOUNT "/jobs");
    in.owner_account = STR("123456789012");
    assert_int_equal(kit_run(kit, SQS_GET_QUEUE_URL, &in), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    in = (struct sqs_get_queue_url_in){.queue_name = STR("nosuch")};
    assert_int_equal(kit_run(kit, SQS_GET_QUEUE_URL, &in), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_string_equal(kit->request.error.message, "The specified queue does not exist.");
}

static void test_delete_queue(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", "VisibilityTimeout", "45", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "old", -1), 0);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_send(kit, "jobs", "x", -1), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "jobs"),
                     SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_str(kit_get(kit, "jobs", "VisibilityTimeout"), "30");
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(kit_receive(kit, "jobs", 10, -1)->messages.count, 0);
    kit_reopen(kit);
    assert_int_equal(kit_receive(kit, "jobs", 10, -1)->messages.count, 0);
}

static const struct sqs_list_queues_out *list(struct kit *kit, const char *prefix, int64_t max,
                                              struct str token)
{
    struct sqs_list_queues_in in = {
        .prefix = str_from(prefix), .max_results = {max > 0, max}, .next_token = token};
    return kit_run(kit, SQS_LIST_QUEUES, &in) == 0 ? kit->request.output : NULL;
}

static void test_list(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(list(kit, NULL, 0, STR_NONE)->queue_urls.count, 0);
    const char *const created[] = {"b-2", "a-1", "b-1", "b-3", "c"};
    for (size_t i = 0; i < SL_COUNT(created); i++) {
        assert_int_equal(kit_create(kit, created[i], NULL), 0);
    }
    const struct sqs_list_queues_out *out = list(kit, NULL, 0, STR_NONE);
    assert_int_equal(out->queue_urls.count, 5);
    assert_null(out->next_token.ptr);
    out = list(kit, "b-", 2, STR_NONE);
    assert_int_equal(out->queue_urls.count, 2);
    assert_str(out->queue_urls.items[0], KIT_ENDPOINT "/" KIT_ACCOUNT "/b-1");
    assert_non_null(out->next_token.ptr);
    out = list(kit, "b-", 2, out->next_token);
    assert_int_equal(out->queue_urls.count, 1);
    assert_str(out->queue_urls.items[0], KIT_ENDPOINT "/" KIT_ACCOUNT "/b-3");
    assert_null(out->next_token.ptr);
    assert_null(list(kit, NULL, 1001, STR_NONE));
    assert_null(list(kit, NULL, 2, STR("***")));
    assert_int_equal(kit->request.error.code, SQS_ERROR_INVALID_PARAMETER_VALUE);
}

static void test_attributes(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    struct str all = STR("All");
    struct sqs_get_queue_attributes_in in = {
        .queue_url = kit_url(kit, "jobs"),
        .names = {.items = &all, .count = 1, .set = true},
    };
    assert_int_equal(kit_run(kit, SQS_GET_QUEUE_ATTRIBUTES, &in), 0);
    const struct sqs_get_queue_attributes_out *out = kit->request.output;
    assert_int_equal(out->attributes.count, 12); /* what a fresh standard queue shows */
    static const char *const expected[][2] = {
        {"ApproximateNumberOfMessages", "0"},
        {"ApproximateNumberOfMessagesDelayed", "0"},
        {"ApproximateNumberOfMessagesNotVisible", "0"},
        {"CreatedTimestamp", "1700000000"},
        {"LastModifiedTimestamp", "1700000000"},
        {"DelaySeconds", "0"},
        {"MaximumMessageSize", "1048576"},
        {"MessageRetentionPeriod", "345600"},
        {"QueueArn", ARN_OF("jobs")},
        {"ReceiveMessageWaitTimeSeconds", "0"},
        {"SqsManagedSseEnabled", "true"},
        {"VisibilityTimeout", "30"},
    };
    for (size_t i = 0; i < SL_COUNT(expected); i++) {
        assert_str(sqs_map_get(&out->attributes, str_from(expected[i][0])), expected[i][1]);
    }
    in.names.count = 0;
    assert_int_equal(kit_run(kit, SQS_GET_QUEUE_ATTRIBUTES, &in), 0);
    out = kit->request.output;
    assert_int_equal(out->attributes.count, 0);

    kit->now_ms += 5000;
    assert_int_equal(kit_set(kit, "jobs", "VisibilityTimeout", "5", "Policy", "{}", NULL), 0);
    assert_str(kit_get(kit, "jobs", "LastModifiedTimestamp"), "1700000005");
    assert_str(kit_get(kit, "jobs", "Policy"), "{}");
    assert_int_equal(kit_set(kit, "jobs", "Policy", "", NULL), 0);
    assert_null(kit_get(kit, "jobs", "Policy").ptr);
    assert_int_equal(kit_set(kit, "jobs", "KmsMasterKeyId", "alias/x", NULL), 0);
    assert_str(kit_get(kit, "jobs", "SqsManagedSseEnabled"), "false");
    assert_int_equal(kit_set(kit, "jobs", "QueueArn", "x", NULL), SQS_ERROR_INVALID_ATTRIBUTE_NAME);
    assert_int_equal(kit_set(kit, "jobs", "DelaySeconds", "-1", NULL),
                     SQS_ERROR_INVALID_ATTRIBUTE_VALUE);
    kit_reopen(kit);
    assert_str(kit_get(kit, "jobs", "VisibilityTimeout"), "5");
    assert_str(kit_get(kit, "jobs", "CreatedTimestamp"), "1700000000");
    assert_str(kit_get(kit, "jobs", "LastModifiedTimestamp"), "1700000005");
    assert_str(kit_get(kit, "jobs", "KmsMasterKeyId"), "alias/x");
}

static void test_purge(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(kit_send(kit, "jobs", "x", i % 3 == 0 ? 900 : 0), 0);
    }
    struct store_hold hold = kit_hold(kit, "jobs", 2);
    struct str handle = kit_receive(kit, "jobs", 1, 60)->messages.items[0].receipt_handle;
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    assert_int_equal(
        kit_visible(kit, "jobs") + kit_in_flight(kit, "jobs") + kit_delayed(kit, "jobs"), 0);
    assert_int_equal(kit_receive(kit, "jobs", 10, -1)->messages.count, 0);
    /* What is in somebody's hands is gone, too; telling the queue so is no error. */
    assert_int_equal(kit_delete(kit, "jobs", handle), 0);
    struct store_settle settle = {.queue = STR("jobs"), .row_id = hold.messages[0].row_id};
    assert_int_equal(kit_settle(kit, settle), ERR_NOT_FOUND);
    assert_int_equal(kit_send(kit, "jobs", "fresh", -1), 0);
    assert_true(kit->engine.has_given_up);
    kit_reopen(kit);
    assert_true(kit->engine.has_given_up);
    int turns = 0;
    for (; kit->engine.has_given_up; turns++) {
        kit_begin(kit);
        assert_int_equal(engine_reap(&kit->engine, 100), 0);
        kit_commit(kit);
        assert_true(turns < 10);
    }
    assert_true(turns >= 3);
    sqlite3_stmt *s = NULL;
    sqlite3_prepare_v2(kit->engine.db.handle, "SELECT count(*) FROM messages", -1, &s, NULL);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(s, 0), 1);
    sqlite3_finalize(s);
    assert_str(kit_receive(kit, "jobs", 10, -1)->messages.items[0].body, "fresh");
}

static void test_shrink(void **state)
{
    struct kit *kit = *state;
    char *body = malloc(1000001);
    bool more = false;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    kit_begin(kit);
    assert_int_equal(engine_shrink(&kit->engine, 128, &more), 0);
    kit_commit(kit);
    assert_false(more);
    memset(body, 'x', 1000000);
    body[1000000] = '\0';
    for (int i = 0; i < 40; i++) {
        assert_int_equal(kit_send(kit, "jobs", body, -1), 0);
    }
    free(body);
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    int turns = 0;
    do {
        kit_begin(kit);
        while (kit->engine.has_given_up) {
            assert_int_equal(engine_reap(&kit->engine, 8), 0);
        }
        assert_int_equal(engine_shrink(&kit->engine, 500, &more), 0);
        kit_commit(kit);
        assert_true(++turns < 100);
    } while (more);
    assert_true(turns > 5);
    struct queue *queue = engine_queue(&kit->engine, STR("jobs"));
    assert_non_null(queue);
    sqlite3_stmt *s = kit->engine.db.statements[STATEMENT_PAGE_COUNT];
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_true(sqlite3_column_int64(s, 0) < 2300); /* of some 5,000 */
    sqlite3_reset(s);
    assert_int_equal(kit_send(kit, "jobs", "x", -1), 0);
}

/* ---- dead letters ---- */

static void test_redrive_policy(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(
        kit_set(kit, "jobs", "RedrivePolicy",
                "{ \"maxReceiveCount\" : \"3\", \"deadLetterTargetArn\" : \"" ARN_OF("dead") "\" }",
                NULL),
        0);
    assert_str(kit_get(kit, "jobs", "RedrivePolicy"), POLICY("dead", "3"));
    assert_int_equal(kit_create(kit, "jobs", "RedrivePolicy", POLICY("dead", "\"3\""), NULL), 0);
    static const char *const bad[] = {
        POLICY("nosuch", "3"),
        POLICY("dead", "0"),
        POLICY("dead", "1001"),
        POLICY_ABROAD,
        "{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":1}",
        "{\"maxReceiveCount\":1}",
        "nonsense",
    };
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        int code = kit_set(kit, "jobs", "RedrivePolicy", bad[i], NULL);
        assert_true(code == SQS_ERROR_INVALID_PARAMETER_VALUE ||
                    code == SQS_ERROR_INVALID_ATTRIBUTE_VALUE);
    }
    assert_str(kit_get(kit, "jobs", "RedrivePolicy"), POLICY("dead", "3"));
    assert_int_equal(
        kit_set(kit, "dead", "RedriveAllowPolicy", "{\"redrivePermission\":\"denyAll\"}", NULL), 0);
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY("dead", "4"), NULL),
                     SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_int_equal(
        kit_set(kit, "dead", "RedriveAllowPolicy",
                "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"" ARN_OF("jobs") "\"]}",
                NULL),
        0);
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY("dead", "4"), NULL), 0);
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", "", NULL), 0);
    assert_null(kit_get(kit, "jobs", "RedrivePolicy").ptr);
    /* A policy whose target is gone does not stop other changes. */
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY("dead", "1"), NULL), 0);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "dead"), 0);
    assert_int_equal(kit_set(kit, "jobs", "VisibilityTimeout", "1", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "x", -1), 0);
    for (int i = 0; i < 3; i++) { /* nowhere to move to: it stays */
        assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 1);
    }
}

static void test_dead_letter_at_receive(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", "RedrivePolicy", POLICY("dead", "2"), NULL), 0);
    kit_reopen(kit);
    struct sqs_attribute attribute = {
        .name = STR("a"), .data_type = STR("String"), .string_value = STR("v")};
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, "jobs"),
        .entry = {.body = STR("poison"),
                  .attributes = {.items = &attribute, .count = 1, .set = true}},
    };
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
    struct str id = ((const struct sqs_send_result *)kit->request.output)->message_id;
    assert_int_equal(kit_send(kit, "jobs", "good", 5), 0);
    assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 1);
    assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 1);
    kit->now_ms += 5000;
    /* The third receive finds it twice received: it moves, and the next one comes instead. */
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 1, 0);
    assert_int_equal(got->messages.count, 1);
    assert_str(got->messages.items[0].body, "good");
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_visible(kit, "dead"), 1);
    kit_reopen(kit);
    assert_int_equal(kit_visible(kit, "dead"), 1);
    got = kit_receive(kit, "dead", 1, -1);
    const struct sqs_message *m = &got->messages.items[0];
    assert_str(m->body, "poison");
    assert_true(str_equal(m->message_id, id));
    assert_str(kit_system(m, "ApproximateReceiveCount"), "3");
    assert_str(kit_system(m, "SentTimestamp"), "1700000000000");
    assert_str(kit_system(m, "DeadLetterQueueSourceArn"), ARN_OF("jobs"));
    assert_str(m->attributes.items[0].string_value, "v");
    assert_int_equal(kit_delete(kit, "dead", m->receipt_handle), 0);
    assert_int_equal(kit_in_flight(kit, "dead"), 0);
}

static void test_dead_letter_at_hold_and_settle(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", "RedrivePolicy", POLICY("dead", "1"), NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    assert_int_equal(kit_send(kit, "jobs", "b", -1), 0);
    struct store_hold hold = kit_hold(kit, "jobs", 2);
    assert_int_equal(hold.count, 2);
    struct store_settle settle = {
        .queue = STR("jobs"), .row_id = hold.messages[0].row_id, .how = STORE_SETTLE_RELEASE};
    assert_int_equal(kit_settle(kit, settle), 0);
    assert_int_equal(kit_hold(kit, "jobs", 2).count, 0); /* once was enough */
    assert_int_equal(kit_visible(kit, "dead"), 1);
    settle.row_id = hold.messages[1].row_id;
    settle.how = STORE_SETTLE_DEAD_LETTER;
    assert_int_equal(kit_settle(kit, settle), 0);
    assert_int_equal(kit_visible(kit, "dead"), 2);
    assert_int_equal(kit_in_flight(kit, "jobs"), 0);
    struct queue *queue = engine_queue(&kit->engine, STR("jobs"));
    assert_int_equal(queue->state.dead_lettered, 2);
    assert_int_equal(kit_hold(kit, "dead", 9).count, 2);
}

static void test_self_target(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY("jobs", "1"), NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 1);
    }
}

/* ---- retention ---- */

static void test_retention_deletes(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", "MessageRetentionPeriod", "60", NULL), 0);
    struct queue *queue = engine_queue(&kit->engine, STR("jobs"));
    assert_int_equal(kit_send(kit, "jobs", "old", -1), 0);
    kit->now_ms += 30000;
    assert_int_equal(kit_send(kit, "jobs", "young", -1), 0);
    kit->now_ms += 29999;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 2);
    kit->now_ms += 1;
    assert_true(kit->engine.next_expiry <= kit_lease_ms(kit) + 1000);
    /* A receive never hands out what is too old, swept or not. */
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, 0);
    assert_int_equal(got->messages.count, 1);
    assert_str(got->messages.items[0].body, "young");
    assert_int_equal(queue->state.expired, 1);
    kit->now_ms += 30000;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(queue->state.expired, 2);
}

static void test_retention_changed(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    for (int i = 0; i < 600; i++) {
        assert_int_equal(kit_send(kit, "jobs", "x", i % 2 == 0 ? 900 : 0), 0);
    }
    kit->now_ms += 100000;
    assert_int_equal(kit_send(kit, "jobs", "young", -1), 0);
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 301);
    /* Shorter: holds for what is there; more than one sweep's rows. */
    assert_int_equal(kit_set(kit, "jobs", "MessageRetentionPeriod", "60", NULL), 0);
    int sweeps = 0;
    while (kit->engine.next_expiry <= kit_lease_ms(kit)) {
        kit_sweep(kit);
        assert_true(++sweeps < 10);
    }
    assert_true(sweeps >= 3);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_delayed(kit, "jobs"), 0);
    /* Longer: what is left lives longer. */
    assert_int_equal(kit_set(kit, "jobs", "MessageRetentionPeriod", "1209600", NULL), 0);
    kit->now_ms += 13 * DAY_MS;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    kit->now_ms += DAY_MS;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
}

static void test_retention_moves_to_dead_letter(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "dead", "MessageRetentionPeriod", "60", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", "MessageRetentionPeriod", "60", "RedrivePolicy",
                                POLICY("dead", "5"), NULL),
                     0);
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    kit->now_ms += 60000;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(kit_visible(kit, "dead"), 1); /* and not lost again at once */
    kit->now_ms += 59000;
    kit_sweep(kit);
    const struct sqs_receive_out *got = kit_receive(kit, "dead", 1, 0);
    assert_int_equal(got->messages.count, 1);
    assert_str(kit_system(&got->messages.items[0], "SentTimestamp"), "1700000000000");
    kit->now_ms += 1000;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "dead"), 0);
    struct queue *queue = engine_queue(&kit->engine, STR("jobs"));
    assert_int_equal(queue->state.expired, 1);
    assert_int_equal(queue->state.dead_lettered, 0);
}

static void test_retention_spares_messages_in_hand(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", "MessageRetentionPeriod", "60", NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kit_send(kit, "jobs", "x", -1), 0);
    }
    struct store_hold hold = kit_hold(kit, "jobs", 1);
    assert_int_equal(kit_receive(kit, "jobs", 1, 100)->messages.count, 1);
    kit->now_ms += 70000;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(kit_in_flight(kit, "jobs"), 2);
    struct store_settle settle = {
        .queue = STR("jobs"), .row_id = hold.messages[0].row_id, .how = STORE_SETTLE_RELEASE};
    assert_int_equal(kit_settle(kit, settle), 0);
    assert_true(kit->engine.next_expiry <= kit_lease_ms(kit));
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    kit->now_ms += 30000; /* the lease ends */
    assert_true(kit->engine.next_expiry <= kit_lease_ms(kit));
    kit_sweep(kit);
    assert_int_equal(kit_in_flight(kit, "jobs") + kit_visible(kit, "jobs"), 0);
    struct queue *queue = engine_queue(&kit->engine, STR("jobs"));
    assert_int_equal(queue->state.expired, 3);
    assert_int_equal(queue->state.next_expiry, QUEUE_NEVER);
}

/* ---- restarts and clocks ---- */

static void test_restart(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(kit_send(kit, "jobs", "x", i == 9 ? 100 : 0), 0);
    }
    struct store_hold hold = kit_hold(kit, "jobs", 3);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 2, 50);
    kit->now_ms += 10000;
    kit_reopen(kit);
    /* Leases and delays go on; what was held is visible, with its receive counted. */
    assert_int_equal(kit_visible(kit, "jobs"), 7);
    assert_int_equal(kit_in_flight(kit, "jobs"), 2);
    assert_int_equal(kit_delayed(kit, "jobs"), 1);
    struct store_settle settle = {.queue = STR("jobs"), .row_id = hold.messages[0].row_id};
    assert_int_equal(kit_settle(kit, settle), ERR_NOT_FOUND); /* not held any more */
    assert_int_equal(kit_delete(kit, "jobs", got->messages.items[0].receipt_handle), 0);
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    struct store_hold again = kit_hold(kit, "jobs", 3);
    assert_int_equal(again.messages[0].row_id, hold.messages[0].row_id); /* in front again */
    assert_int_equal(again.messages[0].receive_count, 2);
    kit->now_ms += 40000;
    assert_int_equal(kit_in_flight(kit, "jobs"), 3);
    kit->now_ms += 50000;
    assert_int_equal(kit_delayed(kit, "jobs"), 0);
    assert_int_equal(kit_send(kit, "jobs", "new", -1), 0);
    assert_int_equal(kit_visible(kit, "jobs"), 7);
}

static void test_clock_steps_while_running(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", "MessageRetentionPeriod", "3600", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    assert_int_equal(kit_receive(kit, "jobs", 1, 100)->messages.count, 1);
    kit->wall_step_ms = 30 * DAY_MS;
    kit_sweep(kit);
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    assert_int_equal(kit_send(kit, "jobs", "b", 10), 0);
    kit->wall_step_ms = -30 * DAY_MS;
    assert_int_equal(kit_send(kit, "jobs", "c", -1), 0);
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, 0);
    assert_str(got->messages.items[0].body, "c");
    assert_str(kit_system(&got->messages.items[0], "SentTimestamp"), "1697408000000");
    kit->now_ms += 10000;
    assert_int_equal(kit_visible(kit, "jobs"), 2);
    kit->now_ms += 90000;
    assert_int_equal(kit_visible(kit, "jobs"), 3);
}

static void test_clock_behind_at_start(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    kit->now_ms += 5000;
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    assert_int_equal(kit_receive(kit, "jobs", 1, 100)->messages.count, 1);
    kit_close(kit);
    kit->wall_step_ms = -DAY_MS;
    kit_open(kit);
    /* As if no time had passed: the lease is neither longer nor shorter for the step. */
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    kit->now_ms += 99000;
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    kit->now_ms += 1000;
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_send(kit, "jobs", "b", -1), 0);
    assert_int_equal(kit_receive(kit, "jobs", 10, 0)->messages.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_get_queue_url, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_delete_queue, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_attributes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_purge, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_shrink, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_redrive_policy, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_dead_letter_at_receive, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_dead_letter_at_hold_and_settle, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_self_target, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_deletes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_changed, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_moves_to_dead_letter, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_spares_messages_in_hand, setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_clock_steps_while_running, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_clock_behind_at_start, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
