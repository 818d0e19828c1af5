/* FIFO queues: order and lock by group, deduplication, attempts, handles, dead letters. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define QUEUE "line.fifo"

static int setup(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    kit_init(kit);
    assert_int_equal(
        kit_create(kit, QUEUE, "FifoQueue", "true", "ContentBasedDeduplication", "true", NULL), 0);
    *state = kit;
    return 0;
}

/* id NULL: by content. The answer is in kit->request. */
static const struct sqs_send_result *send_to(struct kit *kit, const char *group, const char *body,
                                             const char *id)
{
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, QUEUE),
        .entry = {.body = kit_text(kit, body),
                  .group_id = kit_text(kit, group),
                  .deduplication_id = id == NULL ? STR_NONE : kit_text(kit, id)},
    };
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
    return kit->request.output;
}

/* "a1 a2 b1": the bodies of what a receive brings. */
static const struct sqs_receive_out *receive_is(struct kit *kit, int64_t max, const char *expected)
{
    char text[256] = "";
    const struct sqs_receive_out *out = kit_receive(kit, QUEUE, max, -1);
    assert_non_null(out);
    for (uint32_t i = 0; i < out->messages.count; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "%s%.*s", i == 0 ? "" : " ",
                       STR_FMT(out->messages.items[i].body));
    }
    assert_string_equal(text, expected);
    return out;
}

static int drop(struct kit *kit, const struct sqs_receive_out *out, int index)
{
    return kit_delete(kit, QUEUE, out->messages.items[index].receipt_handle);
}

static void test_order_and_lock(void **state)
{
    struct kit *kit = *state;
    send_to(kit, "a", "a1", NULL);
    send_to(kit, "b", "b1", NULL);
    send_to(kit, "a", "a2", NULL);
    send_to(kit, "a", "a3", NULL);
    const struct sqs_receive_out *first = receive_is(kit, 2, "a1 a2");
    const struct sqs_receive_out *second = receive_is(kit, 10, "b1"); /* a is locked */
    receive_is(kit, 10, "");
    assert_int_equal(drop(kit, first, 0), 0);
    receive_is(kit, 10, ""); /* a2 is in flight still */
    assert_int_equal(drop(kit, first, 1), 0);
    receive_is(kit, 10, "a3");
    assert_int_equal(drop(kit, second, 0), 0);
}

static void test_group_first(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < 12; i++) {
        char body[16];
        (void)snprintf(body, sizeof(body), "%c%d", i % 2 == 0 ? 'a' : 'b', i);
        send_to(kit, i % 2 == 0 ? "a" : "b", body, NULL);
    }
    receive_is(kit, 8, "a0 a2 a4 a6 a8 a10 b1 b3");
    receive_is(kit, 10, ""); /* the rest of b waits for b1 and b3 */
}

static void test_after_a_partial_change_only_up_to_the_first_invisible(void **state)
{
    struct kit *kit = *state;
    send_to(kit, "a", "a1", NULL);
    send_to(kit, "a", "a2", NULL);
    send_to(kit, "a", "a3", NULL);
    const struct sqs_receive_out *out = receive_is(kit, 10, "a1 a2 a3");
    assert_int_equal(kit_change(kit, QUEUE, out->messages.items[1].receipt_handle, 0), 0);
    receive_is(kit, 10, "");
    assert_int_equal(kit_change(kit, QUEUE, out->messages.items[0].receipt_handle, 0), 0);
    receive_is(kit, 10, "a1 a2");
}

static void test_order_survives_the_lease(void **state)
{
    struct kit *kit = *state;
    send_to(kit, "a", "a1", NULL);
    send_to(kit, "a", "a2", NULL);
    receive_is(kit, 1, "a1");
    kit->now_ms += 30000;
    receive_is(kit, 10, "a1 a2");
    kit->now_ms += 30000;
    kit_reopen(kit);
    receive_is(kit, 10, "a1 a2");
}

static void test_expired_handle(void **state)
{
    struct kit *kit = *state;
    char text[256];
    send_to(kit, "a", "a1", NULL);
    const struct sqs_receive_out *out = receive_is(kit, 1, "a1");
    struct str handle = out->messages.items[0].receipt_handle;
    kit->now_ms += 30000;
    (void)snprintf(text, sizeof(text),
                   "Value %.*s for parameter ReceiptHandle is invalid. Reason: The receipt handle "
                   "has expired.",
                   STR_FMT(handle));
    assert_int_equal(kit_delete(kit, QUEUE, handle), SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_string_equal(kit->request.error.message, text);
    assert_int_equal(kit_change(kit, QUEUE, handle, 10), SQS_ERROR_INVALID_PARAMETER_VALUE);
    out = receive_is(kit, 1, "a1");
    assert_int_equal(kit_delete(kit, QUEUE, handle), SQS_ERROR_INVALID_PARAMETER_VALUE);
    kit->now_ms += 29000;
    handle = out->messages.items[0].receipt_handle;
    assert_int_equal(kit_change(kit, QUEUE, handle, 30), 0);
    kit->now_ms += 29000;
    assert_int_equal(kit_delete(kit, QUEUE, handle), 0);
    assert_int_equal(kit_delete(kit, QUEUE, handle), 0); /* deleted is deleted */
}

static void test_deduplication(void **state)
{
    struct kit *kit = *state;
    const struct sqs_send_result *first = send_to(kit, "a", "same", NULL);
    assert_int_equal(first->sequence_number.len, 20);
    const struct sqs_send_result *again = send_to(kit, "b", "same", NULL); /* scope: queue */
    assert_true(str_equal(first->message_id, again->message_id));
    assert_true(str_equal(first->sequence_number, again->sequence_number));
    const struct sqs_send_result *other = send_to(kit, "a", "same", "its-own");
    assert_false(str_equal(first->message_id, other->message_id));
    assert_true(str_compare(first->sequence_number, other->sequence_number) < 0);
    const struct sqs_receive_out *out = receive_is(kit, 10, "same same");
    assert_true(str_equal(kit_system(&out->messages.items[0], "MessageDeduplicationId"),
                          STR("0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5")));
    assert_true(
        str_equal(kit_system(&out->messages.items[1], "MessageDeduplicationId"), STR("its-own")));
    assert_true(
        str_equal(kit_system(&out->messages.items[1], "SequenceNumber"), other->sequence_number));
    assert_true(str_equal(kit_system(&out->messages.items[1], "MessageGroupId"), STR("a")));
    assert_int_equal(drop(kit, out, 0), 0);
    assert_int_equal(drop(kit, out, 1), 0);
    /* Five minutes from the first send, whether the message is there or not, and over a restart. */
    kit_reopen(kit);
    kit->now_ms += 299999;
    again = send_to(kit, "a", "same", NULL);
    assert_true(str_equal(first->message_id, again->message_id));
    kit->now_ms += 1;
    again = send_to(kit, "a", "same", NULL);
    assert_false(str_equal(first->message_id, again->message_id));
    receive_is(kit, 10, "same");
}

static int64_t rows_of(struct kit *kit, const char *table)
{
    char sql[64];
    sqlite3_stmt *s = NULL;
    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    assert_int_equal(sqlite3_prepare_v2(kit->engine.db.handle, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return count;
}

static void test_what_is_remembered_is_forgotten(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < 600; i++) {
        char body[16];
        (void)snprintf(body, sizeof(body), "%d", i);
        send_to(kit, body, body, NULL);
    }
    assert_int_equal(rows_of(kit, "recents"), 600);
    assert_int_equal(rows_of(kit, "groups"), 600);
    assert_true(kit->engine.next_expiry <= kit_lease_ms(kit) + 300000);
    kit->now_ms += 300000;
    while (kit->engine.next_expiry <= kit_lease_ms(kit)) {
        kit_sweep(kit);
    }
    assert_int_equal(rows_of(kit, "recents"), 0);
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, QUEUE), 0);
    kit_begin(kit);
    while (kit->engine.has_given_up) {
        assert_int_equal(engine_reap(&kit->engine, 100), 0);
    }
    kit_commit(kit);
    assert_int_equal(rows_of(kit, "groups"), 0);
    assert_int_equal(rows_of(kit, "messages"), 0);
}

static void test_scope_message_group(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, QUEUE, "DeduplicationScope", "messageGroup", NULL), 0);
    const struct sqs_send_result *a = send_to(kit, "a", "same", NULL);
    const struct sqs_send_result *b = send_to(kit, "b", "same", NULL);
    const struct sqs_send_result *again = send_to(kit, "b", "same", NULL);
    assert_false(str_equal(a->message_id, b->message_id));
    assert_true(str_equal(b->message_id, again->message_id));
}

static const struct sqs_receive_out *attempt(struct kit *kit, const char *id, int64_t max)
{
    struct sqs_receive_in in = {
        .queue_url = kit_url(kit, QUEUE),
        .max_messages = {true, max},
        .attempt_id = kit_text(kit, id),
    };
    assert_int_equal(kit_run(kit, SQS_RECEIVE_MESSAGE, &in), 0);
    return kit->request.output;
}

static void test_attempt_id(void **state)
{
    struct kit *kit = *state;
    send_to(kit, "a", "a1", NULL);
    send_to(kit, "a", "a2", NULL);
    const struct sqs_receive_out *first = attempt(kit, "try", 10);
    assert_int_equal(first->messages.count, 2);
    kit->now_ms += 20000;
    kit_reopen(kit);
    const struct sqs_receive_out *again = attempt(kit, "try", 10);
    assert_int_equal(again->messages.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(str_equal(first->messages.items[i].receipt_handle,
                              again->messages.items[i].receipt_handle));
    }
    kit->now_ms += 20000; /* hidden anew by the second receive */
    assert_int_equal(attempt(kit, "other", 10)->messages.count, 0);
    assert_int_equal(drop(kit, first, 0), 0);
    assert_int_equal(attempt(kit, "try", 10)->messages.count, 0); /* one is gone: no replay */
    kit->now_ms += 10000;
    again = attempt(kit, "try", 10);
    assert_int_equal(again->messages.count, 1);
    assert_false(str_equal(first->messages.items[1].receipt_handle,
                           again->messages.items[0].receipt_handle));
}

static void test_dead_letters_keep_group_and_order(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "dead.fifo", "FifoQueue", "true", NULL), 0);
    assert_int_equal(kit_create(kit, "standard", NULL), 0);
    assert_int_equal(
        kit_set(kit, QUEUE, "RedrivePolicy",
                "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:standard\","
                "\"maxReceiveCount\":1}",
                NULL),
        SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_int_equal(
        kit_set(kit, QUEUE, "RedrivePolicy",
                "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:dead.fifo\","
                "\"maxReceiveCount\":1}",
                NULL),
        0);
    struct str id = send_to(kit, "a", "a1", NULL)->message_id;
    send_to(kit, "a", "a2", NULL);
    send_to(kit, "a", "a3", NULL);
    receive_is(kit, 2, "a1 a2");
    kit->now_ms += 30000;
    receive_is(kit, 10, "a3"); /* the others are dead letters now, and no longer in its way */
    const struct sqs_receive_out *dead = kit_receive(kit, "dead.fifo", 10, -1);
    assert_int_equal(dead->messages.count, 2);
    const struct sqs_message *m = &dead->messages.items[0];
    assert_true(str_equal(m->body, STR("a1")));
    assert_true(str_equal(m->message_id, id));
    assert_true(str_equal(kit_system(m, "MessageGroupId"), STR("a")));
    assert_true(str_equal(kit_system(m, "MessageDeduplicationId"), id));
    assert_true(str_equal(kit_system(m, "ApproximateReceiveCount"), STR("2")));
    assert_true(str_equal(kit_system(m, "DeadLetterQueueSourceArn"),
                          STR("arn:aws:sqs:us-east-1:000000000000:" QUEUE)));
}

static void test_a_delay_is_the_queues(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, QUEUE, "DelaySeconds", "10", NULL), 0);
    send_to(kit, "a", "a1", NULL);
    assert_int_equal(kit_delayed(kit, QUEUE), 1);
    receive_is(kit, 10, "");
    kit->now_ms += 10000;
    receive_is(kit, 10, "a1");
    assert_int_equal(kit_send(kit, QUEUE, "x", 2), SQS_ERROR_INVALID_PARAMETER_VALUE);
}

static void test_held_messages_come_back_in_order(void **state)
{
    struct kit *kit = *state;
    send_to(kit, "a", "a1", NULL);
    send_to(kit, "a", "a2", NULL);
    send_to(kit, "b", "b1", NULL);
    struct store_hold hold = kit_hold(kit, QUEUE, 2);
    assert_int_equal(hold.count, 2);
    struct store_settle back = {
        .queue = STR(QUEUE), .row_id = hold.messages[1].row_id, .how = STORE_SETTLE_RELEASE};
    assert_int_equal(kit_settle(kit, back), 0);
    receive_is(kit, 1, "b1"); /* a2 is visible, but a1 is held */
    kit_reopen(kit);          /* as after a kill: a1 is visible again */
    receive_is(kit, 10, "a1 a2");
}

/* Handed back by a route with a delay: the group stays locked until it is over, those behind it are
 * not received before it, and no receive of them counts. */
static void test_a_delayed_head_locks_its_group(void **state)
{
    struct kit *kit = *state;
    send_to(kit, "a", "a1", NULL);
    send_to(kit, "a", "a2", NULL);
    send_to(kit, "b", "b1", NULL);
    struct store_hold hold = kit_hold(kit, QUEUE, 2);
    assert_int_equal(hold.count, 2);
    for (int i = 1; i >= 0; i--) {
        struct store_settle back = {.queue = STR(QUEUE),
                                    .row_id = hold.messages[i].row_id,
                                    .how = STORE_SETTLE_RELEASE,
                                    .delay_ms = i == 0 ? 10000 : 0,
                                    .uncount = true};
        assert_int_equal(kit_settle(kit, back), 0);
    }
    receive_is(kit, 10, "b1");
    kit->now_ms += 9999;
    receive_is(kit, 10, "");
    kit->now_ms += 1;
    hold = kit_hold(kit, QUEUE, 10);
    assert_int_equal(hold.count, 2);
    assert_int_equal(hold.messages[0].receive_count, 1);
    assert_int_equal(hold.messages[1].receive_count, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        T(order_and_lock),
        T(group_first),
        T(after_a_partial_change_only_up_to_the_first_invisible),
        T(order_survives_the_lease),
        T(expired_handle),
        T(deduplication),
        T(what_is_remembered_is_forgotten),
        T(scope_message_group),
        T(attempt_id),
        T(dead_letters_keep_group_and_order),
        T(a_delay_is_the_queues),
        T(held_messages_come_back_in_order),
        T(a_delayed_head_locks_its_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
