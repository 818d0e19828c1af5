/* Sending, receiving, deleting, visibility and holding: the engine on its own clock. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static int setup(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    kit_init(kit);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    *state = kit;
    return 0;
}

static void test_send_receive_delete(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "hello", -1), 0);
    const struct sqs_send_result *sent = kit->request.output;
    assert_str(sent->md5_of_body, "5d41402abc4b2a76b9719d911017c592");
    assert_int_equal(sent->message_id.len, 36);
    assert_null(sent->md5_of_attributes.ptr);
    assert_int_equal(kit_visible(kit, "jobs"), 1);

    kit->now_ms += 5;
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, -1);
    assert_int_equal(got->messages.count, 1);
    const struct sqs_message *m = &got->messages.items[0];
    assert_str(m->body, "hello");
    assert_str(m->md5_of_body, "5d41402abc4b2a76b9719d911017c592");
    assert_true(str_equal(m->message_id, sent->message_id));
    assert_str(kit_system(m, "SentTimestamp"), "1700000000000");
    assert_str(kit_system(m, "ApproximateReceiveCount"), "1");
    assert_str(kit_system(m, "ApproximateFirstReceiveTimestamp"), "1700000000005");
    assert_str(kit_system(m, "SenderId"), KIT_ACCOUNT);
    assert_null(kit_system(m, "MessageGroupId").ptr);
    assert_null(m->md5_of_attributes.ptr);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);

    assert_int_equal(kit_receive(kit, "jobs", 10, -1)->messages.count, 0);
    assert_int_equal(kit_delete(kit, "jobs", m->receipt_handle), 0);
    assert_int_equal(kit_delete(kit, "jobs", m->receipt_handle), 0); /* again: no error */
    assert_int_equal(kit_in_flight(kit, "jobs"), 0);
    kit->now_ms += 60000;
    assert_int_equal(kit_receive(kit, "jobs", 10, -1)->messages.count, 0);
}

static void test_lease_ends(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    struct str first = kit_receive(kit, "jobs", 1, 10)->messages.items[0].receipt_handle;
    kit->now_ms += 9999;
    assert_int_equal(kit_receive(kit, "jobs", 1, 10)->messages.count, 0);
    kit->now_ms += 1;
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_in_flight(kit, "jobs"), 0);
    const struct sqs_receive_out *again = kit_receive(kit, "jobs", 1, 10);
    assert_int_equal(again->messages.count, 1);
    assert_str(kit_system(&again->messages.items[0], "ApproximateReceiveCount"), "2");
    assert_str(kit_system(&again->messages.items[0], "ApproximateFirstReceiveTimestamp"),
               "1700000000000");
    /* The old handle no longer deletes, the new one does. */
    assert_int_equal(kit_delete(kit, "jobs", first), 0);
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    assert_int_equal(kit_delete(kit, "jobs", again->messages.items[0].receipt_handle), 0);
    assert_int_equal(kit_in_flight(kit, "jobs"), 0);
}

static void test_expired_handle_still_deletes(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    struct str handle = kit_receive(kit, "jobs", 1, 1)->messages.items[0].receipt_handle;
    kit->now_ms += 5000;
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_delete(kit, "jobs", handle), 0);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
}

static void test_receive_with_timeout_zero(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, 0);
    assert_int_equal(got->messages.count, 1); /* once, though it is visible again already */
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    got = kit_receive(kit, "jobs", 10, 0);
    assert_str(kit_system(&got->messages.items[0], "ApproximateReceiveCount"), "2");
}

static void test_delay(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "later", 5), 0);
    assert_int_equal(kit_delayed(kit, "jobs"), 1);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(kit_receive(kit, "jobs", 1, -1)->messages.count, 0);
    kit->now_ms += 5000;
    assert_int_equal(kit_delayed(kit, "jobs"), 0);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_receive(kit, "jobs", 1, -1)->messages.count, 1);

    assert_int_equal(kit_set(kit, "jobs", "DelaySeconds", "3", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "by default", -1), 0);
    assert_int_equal(kit_send(kit, "jobs", "now", 0), 0);
    assert_int_equal(kit_delayed(kit, "jobs"), 1);
    assert_str(kit_receive(kit, "jobs", 10, -1)->messages.items[0].body, "now");
    assert_int_equal(kit_send(kit, "jobs", "x", 901), SQS_ERROR_INVALID_PARAMETER_VALUE);
}

static void test_order(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < 25; i++) {
        char body[16];
        (void)snprintf(body, sizeof(body), "%d", i);
        assert_int_equal(kit_send(kit, "jobs", body, -1), 0);
    }
    for (int i = 0; i < 25;) {
        const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, -1);
        assert_true(got->messages.count > 0);
        for (uint32_t k = 0; k < got->messages.count; k++, i++) {
            char body[16];
            (void)snprintf(body, sizeof(body), "%d", i);
            assert_str(got->messages.items[k].body, body);
        }
    }
}

static void test_change_visibility(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    struct str handle = kit_receive(kit, "jobs", 1, 30)->messages.items[0].receipt_handle;
    assert_int_equal(kit_change(kit, "jobs", handle, 0), 0);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    /* A standard queue hides it again with the same handle. */
    assert_int_equal(kit_change(kit, "jobs", handle, 100), 0);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    kit->now_ms += 99999;
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    kit->now_ms += 1;
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    /* Received by another: the old handle has no say any more. */
    struct str newer = kit_receive(kit, "jobs", 1, 30)->messages.items[0].receipt_handle;
    assert_int_equal(kit_change(kit, "jobs", handle, 0), SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_non_null(strstr(kit->request.error.message,
                           "Message does not exist or is not available for visibility timeout"));
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
    assert_int_equal(kit_delete(kit, "jobs", newer), 0);
    assert_int_equal(kit_change(kit, "jobs", newer, 10), SQS_ERROR_INVALID_PARAMETER_VALUE);
}

static void test_visibility_total(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    struct str handle = kit_receive(kit, "jobs", 1, 43200)->messages.items[0].receipt_handle;
    assert_int_equal(kit_change(kit, "jobs", handle, 43200), 0);
    kit->now_ms += 30000;
    assert_int_equal(kit_change(kit, "jobs", handle, 43170), 0);
    assert_int_equal(kit_change(kit, "jobs", handle, 43171), SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_string_equal(kit->request.error.message,
                        "Value 43171 for parameter VisibilityTimeout is invalid. Reason: Total "
                        "VisibilityTimeout for the message is beyond the limit [43200 seconds]");
    assert_int_equal(kit_change(kit, "jobs", handle, 43201), SQS_ERROR_INVALID_PARAMETER_VALUE);
}

static void test_handles(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "other", NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "a", -1), 0);
    struct str handle = kit_receive(kit, "jobs", 1, 30)->messages.items[0].receipt_handle;
    assert_int_equal(kit_delete(kit, "jobs", STR("garbage")), SQS_ERROR_RECEIPT_HANDLE_IS_INVALID);
    assert_string_equal(kit->request.error.message,
                        "The input receipt handle \"garbage\" is not a valid receipt handle.");
    assert_int_equal(kit_change(kit, "jobs", STR("garbage"), 1),
                     SQS_ERROR_RECEIPT_HANDLE_IS_INVALID);
    assert_int_equal(kit_delete(kit, "other", handle), SQS_ERROR_RECEIPT_HANDLE_IS_INVALID);
    char *changed = arena_dup(&kit->arena, handle.ptr, handle.len);
    changed[10] = changed[10] == '0' ? '1' : '0';
    assert_int_equal(kit_delete(kit, "jobs", (struct str){changed, handle.len}),
                     SQS_ERROR_RECEIPT_HANDLE_IS_INVALID);
    assert_int_equal(kit_delete(kit, "jobs", (struct str){handle.ptr, handle.len - 2}),
                     SQS_ERROR_RECEIPT_HANDLE_IS_INVALID);
    assert_int_equal(kit_in_flight(kit, "jobs"), 1);
}

static void test_batches(void **state)
{
    struct kit *kit = *state;
    struct sqs_send_entry entries[3] = {
        {.id = STR("a"), .body = STR("one")},
        {.id = STR("b"), .body = STR("bad \x01")},
        {.id = STR("c"), .body = STR("three"), .delay_seconds = {true, 10}},
    };
    struct sqs_send_batch_in in = {.queue_url = kit_url(kit, "jobs"),
                                   .entries = {.items = entries, .count = 3, .set = true}};
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE_BATCH, &in), 0);
    const struct sqs_send_batch_out *out = kit->request.output;
    assert_int_equal(out->successful.count, 2);
    assert_str(out->successful.items[0].id, "a");
    assert_str(out->successful.items[1].id, "c");
    assert_int_equal(out->failed.count, 1);
    assert_str(out->failed.items[0].id, "b");
    assert_str(out->failed.items[0].code, "InvalidMessageContents");
    assert_true(out->failed.items[0].sender_fault);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_delayed(kit, "jobs"), 1);

    struct str handle = kit_receive(kit, "jobs", 10, 30)->messages.items[0].receipt_handle;
    struct sqs_handle_entry handles[2] = {
        {.id = STR("x"), .receipt_handle = handle, .visibility_timeout = {true, 5}},
        {.id = STR("y"), .receipt_handle = STR("junk"), .visibility_timeout = {true, 5}},
    };
    struct sqs_handle_batch_in change = {.queue_url = kit_url(kit, "jobs"),
                                         .entries = {.items = handles, .count = 2, .set = true}};
    for (int i = 0; i < 2; i++) {
        enum sqs_action action =
            i == 0 ? SQS_CHANGE_MESSAGE_VISIBILITY_BATCH : SQS_DELETE_MESSAGE_BATCH;
        assert_int_equal(kit_run(kit, action, &change), 0);
        const struct sqs_handle_batch_out *done = kit->request.output;
        assert_int_equal(done->successful.count, 1);
        assert_str(done->successful.items[0].id, "x");
        assert_int_equal(done->failed.count, 1);
        assert_str(done->failed.items[0].code, "ReceiptHandleIsInvalid");
    }
    assert_int_equal(kit_in_flight(kit, "jobs"), 0);
    in.entries.count = 0;
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE_BATCH, &in), SQS_ERROR_EMPTY_BATCH_REQUEST);
}

static struct str trace_header = {"Root=1-5759e988-bd862e3fe1be46a994272793;"
                                  "Parent=53995c3f42cd8ad8;Sampled=1",
                                  74};

/* One message with attributes of every kind; their digests are AWS's. */
static void send_with_attributes(struct kit *kit)
{
    struct sqs_attribute attributes[] = {
        {.name = STR("color"), .data_type = STR("String"), .string_value = STR("blue")},
        {.name = STR("count"), .data_type = STR("Number"), .string_value = STR("3")},
        {.name = STR("blob"), .data_type = STR("Binary"), .binary_value = STR("\x01\x02\x03")},
    };
    struct sqs_attribute trace = {
        .name = STR("AWSTraceHeader"), .data_type = STR("String"), .string_value = trace_header};
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, "jobs"),
        .entry = {.body = STR("x"),
                  .attributes = {.items = attributes, .count = 3, .set = true},
                  .system_attributes = {.items = &trace, .count = 1, .set = true},
                  .group_id = STR("tenant-1")},
    };
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
    const struct sqs_send_result *sent = kit->request.output;
    assert_str(sent->md5_of_attributes, "d838729972a4b70e2d2acd9d59ac847c");
    assert_str(sent->md5_of_system_attributes, "5ae4d5d7636402d80f4eb6d213245a88");
}

static void test_message_attributes(void **state)
{
    struct kit *kit = *state;
    send_with_attributes(kit);
    struct str wanted[] = {STR("col.*")};
    struct str system[] = {STR("AWSTraceHeader"), STR("MessageGroupId")};
    struct sqs_receive_in receive = {
        .queue_url = kit_url(kit, "jobs"),
        .message_attribute_names = {.items = wanted, .count = 1, .set = true},
        .attribute_names = {.items = system, .count = 1, .set = true},
        .system_attribute_names = {.items = system + 1, .count = 1, .set = true},
        .visibility_timeout = {true, 0},
    };
    assert_int_equal(kit_run(kit, SQS_RECEIVE_MESSAGE, &receive), 0);
    const struct sqs_receive_out *got = kit->request.output;
    const struct sqs_message *m = &got->messages.items[0];
    assert_int_equal(m->attributes.count, 1);
    assert_str(m->attributes.items[0].name, "color");
    assert_str(m->attributes.items[0].string_value, "blue");
    assert_str(m->md5_of_attributes, "da1b33cc3cbfe8b1630921e78e6b9880");
    assert_int_equal(m->system_attributes.count, 2);
    assert_str(kit_system(m, "MessageGroupId"), "tenant-1");

    got = kit_receive(kit, "jobs", 1, 0);
    m = &got->messages.items[0];
    assert_int_equal(m->attributes.count, 3);
    assert_str(m->attributes.items[2].binary_value, "\x01\x02\x03");
    assert_str(m->md5_of_attributes, "d838729972a4b70e2d2acd9d59ac847c");

    receive.message_attribute_names.count = 0;
    receive.attribute_names.count = 0;
    receive.system_attribute_names.count = 0;
    assert_int_equal(kit_run(kit, SQS_RECEIVE_MESSAGE, &receive), 0);
    got = kit->request.output;
    assert_int_equal(got->messages.items[0].attributes.count, 0);
    assert_int_equal(got->messages.items[0].system_attributes.count, 0);

    struct store_hold hold = kit_hold(kit, "jobs", 5);
    assert_int_equal(hold.count, 1);
    assert_int_equal(hold.messages[0].attributes.count, 3);
    assert_str(hold.messages[0].group_id, "tenant-1");
    assert_true(str_equal(hold.messages[0].trace_header, trace_header));
}

static void test_sizes(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, "jobs", "MaximumMessageSize", "1024", NULL), 0);
    char body[1026];
    memset(body, 'x', 1025);
    body[1025] = '\0';
    assert_int_equal(kit_send(kit, "jobs", body, -1), SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_string_equal(
        kit->request.error.message,
        "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.");
    body[1024] = '\0';
    assert_int_equal(kit_send(kit, "jobs", body, -1), 0);
    assert_int_equal(kit_set(kit, "jobs", "MaximumMessageSize", "1048576", NULL), 0);
    char *large = malloc(1048577);
    memset(large, 'y', 1048576);
    large[1048576] = '\0';
    assert_int_equal(kit_send(kit, "jobs", large, -1), 0);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, -1);
    assert_int_equal(got->messages.count, 2);
    assert_int_equal(got->messages.items[1].body.len, 1048576);
    assert_memory_equal(got->messages.items[1].body.ptr, large, 1048576);
    free(large);
    assert_int_equal(kit_send(kit, "jobs", "", -1), SQS_ERROR_MISSING_PARAMETER);
}

static void test_small_arena(void **state)
{
    struct kit *kit = *state;
    char *large = malloc(100001);
    memset(large, 'y', 100000);
    large[100000] = '\0';
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kit_send(kit, "jobs", large, -1), 0);
    }
    free(large);
    struct arena all = kit->arena;
    arena_init(&kit->arena, 250000); /* room for two */
    struct store_hold hold = {.queue = STR("jobs"), .max = 5, .arena = &kit->arena};
    kit_begin(kit);
    assert_int_equal(engine_hold(&kit->engine, &hold), 0);
    kit_commit(kit);
    assert_int_equal(hold.count, 2);
    assert_int_equal(hold.error, 0);
    arena_done(&kit->arena);
    arena_init(&kit->arena, 50000);
    hold.count = 9;
    kit_begin(kit);
    assert_int_equal(engine_hold(&kit->engine, &hold), 0);
    kit_commit(kit);
    assert_int_equal(hold.count, 0);
    assert_int_equal(hold.error, ERR_NOMEM);
    arena_done(&kit->arena);
    kit->arena = all;
    assert_int_equal(kit_visible(kit, "jobs"), 3);
    assert_int_equal(kit_in_flight(kit, "jobs"), 2);
}

static void test_hold_and_settle(void **state)
{
    struct kit *kit = *state;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(kit_send(kit, "jobs", "x", -1), 0);
    }
    struct store_hold hold = kit_hold(kit, "jobs", 40);
    assert_int_equal(hold.count, 40);
    assert_int_equal(hold.messages[0].receive_count, 1);
    assert_int_equal(hold.messages[0].sent_at, KIT_WALL);
    assert_int_equal(kit_in_flight(kit, "jobs"), 40);
    kit->now_ms += INT64_C(43200) * 1000; /* no expiry */
    assert_int_equal(kit_receive(kit, "jobs", 10, -1)->messages.count, 0);

    struct store_settle settle = {.queue = STR("jobs"), .row_id = hold.messages[0].row_id};
    assert_int_equal(kit_settle(kit, settle), 0);
    assert_int_equal(kit_settle(kit, settle), ERR_NOT_FOUND);
    assert_int_equal(kit_in_flight(kit, "jobs"), 39);

    settle.how = STORE_SETTLE_RELEASE;
    settle.row_id = hold.messages[1].row_id;
    settle.delay_ms = 1500;
    assert_int_equal(kit_settle(kit, settle), 0);
    assert_int_equal(kit_hold(kit, "jobs", 1).count, 0);
    kit->now_ms += 1500;
    struct store_hold again = kit_hold(kit, "jobs", 1);
    assert_int_equal(again.count, 1);
    assert_int_equal(again.messages[0].receive_count, 2);

    /* The receive is taken back: as if it had never been held. */
    settle.row_id = hold.messages[2].row_id;
    settle.delay_ms = 0;
    settle.uncount = true;
    assert_int_equal(kit_settle(kit, settle), 0);
    again = kit_hold(kit, "jobs", 1);
    assert_int_equal(again.messages[0].receive_count, 1);
    assert_int_equal(again.messages[0].row_id, hold.messages[2].row_id);

    settle.how = STORE_SETTLE_DEAD_LETTER;
    settle.row_id = hold.messages[3].row_id;
    assert_int_equal(kit_settle(kit, settle), ERR_UNSUPPORTED); /* there is none */
    settle.queue = STR("nosuch");
    assert_int_equal(kit_settle(kit, settle), ERR_NOT_FOUND);
    assert_int_equal(kit_hold(kit, "nosuch", 1).error, ERR_NOT_FOUND);
}

static void test_in_flight_limit(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "x", -1), 0);
    struct queue *queue = engine_queue(&kit->engine, STR("jobs"));
    queue->state.counts[QUEUE_LEASED] = ENGINE_IN_FLIGHT_MAX; /* as if */
    assert_null(kit_receive(kit, "jobs", 1, -1));
    assert_int_equal(kit->request.error.code, SQS_ERROR_OVER_LIMIT);
    struct sqs_receive_in in = {.queue_url = kit_url(kit, "jobs"), .wait_seconds = {true, 1}};
    assert_int_equal(kit_run(kit, SQS_RECEIVE_MESSAGE, &in), 0); /* a long poll is not told */
    queue->state.counts[QUEUE_LEASED] = 0;
    assert_int_equal(kit_receive(kit, "jobs", 1, -1)->messages.count, 1);
}

static void test_rollback(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_send(kit, "jobs", "kept", -1), 0);
    struct store_request *r = &kit->request;
    struct sqs_send_message_in send = {.queue_url = kit_url(kit, "jobs"),
                                       .entry = {.body = STR("lost")}};
    struct sqs_create_queue_in create = {.queue_name = STR("fresh")};
    struct sqs_queue_in named = {.queue_url = kit_url(kit, "jobs")};
    struct sqs_pair pair = {STR("VisibilityTimeout"), STR("77")};
    struct sqs_set_queue_attributes_in set = {
        .queue_url = kit_url(kit, "jobs"), .attributes = {.items = &pair, .count = 1, .set = true}};
    const struct {
        enum sqs_action action;
        const void *input;
    } steps[] = {{SQS_SEND_MESSAGE, &send},   {SQS_SET_QUEUE_ATTRIBUTES, &set},
                 {SQS_CREATE_QUEUE, &create}, {SQS_PURGE_QUEUE, &named},
                 {SQS_SEND_MESSAGE, &send},   {SQS_DELETE_QUEUE, &named}};
    kit_begin(kit);
    for (size_t i = 0; i < SL_COUNT(steps); i++) {
        r->action = steps[i].action;
        r->input = steps[i].input;
        assert_int_equal(engine_run(&kit->engine, r), 0);
        assert_int_equal(r->error.code, 0);
    }
    engine_rollback(&kit->engine);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_str(kit_get(kit, "jobs", "VisibilityTimeout"), "30");
    assert_null(kit_get(kit, "fresh", "QueueArn").ptr);
    assert_int_equal(kit_send(kit, "jobs", "second", -1), 0);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, -1);
    assert_int_equal(got->messages.count, 2);
    assert_str(got->messages.items[0].body, "kept");
    assert_str(got->messages.items[1].body, "second");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_send_receive_delete, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_lease_ends, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_expired_handle_still_deletes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_receive_with_timeout_zero, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_delay, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_change_visibility, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_visibility_total, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_handles, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_batches, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_message_attributes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_small_arena, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_hold_and_settle, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_in_flight_limit, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_rollback, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
