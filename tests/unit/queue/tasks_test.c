/* Message move tasks on a clock of the test's own. */
#include "support/queue_kit.h"

#include "sluice/sqs/move_task.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define ARN_OF(name) "arn:aws:sqs:" KIT_REGION ":" KIT_ACCOUNT ":" name
#define REDRIVE(name)                                                                              \
    "RedrivePolicy", "{\"deadLetterTargetArn\":\"" ARN_OF(name) "\",\"maxReceiveCount\":1}"
#define MOVES_MAX 4096

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    assert_int_equal(kit_create(*state, "dead", NULL), 0);
    assert_int_equal(kit_create(*state, "jobs", REDRIVE("dead"), NULL), 0);
    return 0;
}

/* ---- helpers ---- */

static int start(struct kit *kit, const char *source, const char *destination, int64_t rate)
{
    struct sqs_start_move_task_in in = {
        .source_arn = str_from(source),
        .destination_arn = str_from(destination),
        .max_per_second = {rate > 0, rate},
    };
    return kit_run(kit, SQS_START_MESSAGE_MOVE_TASK, &in);
}

static struct str handle_of(const struct kit *kit)
{
    return ((const struct sqs_task_handle *)kit->request.output)->task_handle;
}

static const struct sqs_list_move_tasks_out *tasks(struct kit *kit, const char *source, int64_t max)
{
    struct sqs_list_move_tasks_in in = {.source_arn = str_from(source),
                                        .max_results = {max > 0, max}};
    assert_int_equal(kit_run(kit, SQS_LIST_MESSAGE_MOVE_TASKS, &in), 0);
    return kit->request.output;
}

static const struct sqs_move_task *latest(struct kit *kit)
{
    const struct sqs_list_move_tasks_out *out = tasks(kit, ARN_OF("dead"), 0);
    assert_int_equal(out->results.count, 1);
    return &out->results.items[0];
}

static int cancel(struct kit *kit, struct str handle)
{
    struct sqs_task_handle in = {.task_handle = handle};
    return kit_run(kit, SQS_CANCEL_MESSAGE_MOVE_TASK, &in);
}

static void expect_error(struct kit *kit, int rc, enum sqs_error_code code, const char *message)
{
    assert_int_equal(rc, code);
    assert_string_equal(kit->request.error.message, message);
}

/* Sends messages to the queue and lets them die. */
static void die(struct kit *kit, const char *queue, int count)
{
    char body[16];
    for (int i = 0; i < count; i++) {
        (void)snprintf(body, sizeof(body), "%s-%d", queue, i);
        assert_int_equal(kit_send(kit, queue, body, -1), 0);
    }
    while (kit_visible(kit, queue) > 0) {
        (void)kit_receive(kit, queue, 10, 0);
    }
}

static void send_many(struct kit *kit, const char *queue, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(kit_send(kit, queue, "x", -1), 0);
    }
}

/* ---- tests ---- */

static void test_back_to_where_they_came_from(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "other", REDRIVE("dead"), NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "jobs-x", -1), 0);
    const struct sqs_send_result *sent = kit->request.output;
    struct str old_id = sent->message_id;
    die(kit, "jobs", 0);
    die(kit, "other", 1);
    assert_int_equal(kit_visible(kit, "dead"), 2);
    kit->now_ms += 60000;
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
    assert_str(latest(kit)->status, "RUNNING");
    assert_int_equal(latest(kit)->to_move.value, 2);
    assert_true(latest(kit)->task_handle.ptr != NULL);
    kit_step_tasks(kit);

    assert_int_equal(kit_visible(kit, "dead"), 0);
    assert_int_equal(kit_visible(kit, "other"), 1);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, -1);
    assert_int_equal(got->messages.count, 1);
    const struct sqs_message *m = &got->messages.items[0];
    assert_str(m->body, "jobs-x");
    /* It is a new message. */
    assert_false(str_equal(m->message_id, old_id));
    assert_str(kit_system(m, "ApproximateReceiveCount"), "1");
    assert_str(kit_system(m, "SentTimestamp"), "1700000060000");
    assert_str(kit_system(m, "ApproximateFirstReceiveTimestamp"), "1700000060000");
    assert_null(kit_system(m, "DeadLetterQueueSourceArn").ptr);

    const struct sqs_move_task *task = latest(kit);
    assert_str(task->status, "COMPLETED");
    assert_str(task->source_arn, ARN_OF("dead"));
    assert_null(task->destination_arn.ptr);
    assert_null(task->task_handle.ptr);
    assert_null(task->failure_reason.ptr);
    assert_false(task->max_per_second.set);
    assert_int_equal(task->moved.value, 2);
    assert_int_equal(task->to_move.value, 2);
    assert_int_equal(task->started_at.value, KIT_WALL + 60000);
    assert_true(kit->engine.next_task == QUEUE_NEVER);
}

static void test_retention_begins_anew(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, "jobs", "MessageRetentionPeriod", "100", NULL), 0);
    die(kit, "jobs", 1);
    kit->now_ms += 90000;
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
    kit_step_tasks(kit);
    kit->now_ms += 90000;
    assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 1);
    kit->now_ms += 10000;
    assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 0);
}

static void test_to_one_queue(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "to", NULL), 0);
    die(kit, "jobs", 3);
    assert_int_equal(kit_send(kit, "dead", "never received", -1), 0); /* it has no source */
    assert_int_equal(start(kit, ARN_OF("dead"), ARN_OF("to"), 0), 0);
    assert_str(latest(kit)->destination_arn, ARN_OF("to"));
    assert_int_equal(latest(kit)->moved.value, 0);
    kit_step_tasks(kit);
    assert_int_equal(kit_visible(kit, "to"), 4);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    assert_str(latest(kit)->status, "COMPLETED");
}

/* What comes later stays, and so does what somebody holds, is delayed or outlived its retention. */
static void test_what_stays(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, "dead", "MessageRetentionPeriod", "1000", NULL), 0);
    die(kit, "jobs", 3);
    assert_int_equal(kit_receive(kit, "dead", 1, 60)->messages.count, 1);
    assert_int_equal(kit_send(kit, "dead", "delayed", 60), 0);
    assert_int_equal(kit_hold(kit, "dead", 1).count, 1);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
    assert_int_equal(latest(kit)->to_move.value, 1);
    die(kit, "jobs", 1);
    kit_step_tasks(kit);
    assert_str(latest(kit)->status, "COMPLETED");
    assert_int_equal(latest(kit)->moved.value, 1);
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    assert_int_equal(kit_visible(kit, "dead"), 1);
    assert_int_equal(kit_in_flight(kit, "dead"), 2);
    assert_int_equal(kit_delayed(kit, "dead"), 1);

    assert_int_equal(kit_receive(kit, "jobs", 1, 40000)->messages.count, 1);
    kit->now_ms += 1000000; /* no sweep yet: the rows are there still */
    assert_int_equal(start(kit, ARN_OF("dead"), ARN_OF("jobs"), 0), 0);
    kit_step_tasks(kit);
    assert_int_equal(latest(kit)->moved.value, 0);
}

/* Runs the task to its end, stepping whenever it is due; times of moves to `moves`. */
static int run_and_record(struct kit *kit, int64_t *moves)
{
    int count = 0;
    while (kit->engine.next_task != QUEUE_NEVER) {
        int64_t wait = kit->engine.next_task - kit_lease_ms(kit);
        kit->now_ms += wait > 0 ? wait : 0;
        uint64_t before = kit->engine.moves;
        kit_begin(kit);
        assert_int_equal(engine_step_tasks(&kit->engine), 0);
        kit_commit(kit);
        for (uint64_t i = before; i < kit->engine.moves; i++) {
            assert_true(count < MOVES_MAX);
            moves[count++] = kit->now_ms;
        }
    }
    return count;
}

static int most_in_a_second(const int64_t *moves, int count)
{
    int most = 0;
    for (int from = 0, to = 0; to < count; to++) {
        while (moves[to] - moves[from] >= 1000) {
            from++;
        }
        most = to - from + 1 > most ? to - from + 1 : most;
    }
    return most;
}

static void test_rate(void **state)
{
    static const int rates[] = {1, 3, 19, 29, 150, 500};
    struct kit *kit = *state;
    static int64_t moves[MOVES_MAX];
    assert_int_equal(kit_create(kit, "to", NULL), 0);
    for (size_t i = 0; i < SL_COUNT(rates); i++) {
        int rate = rates[i];
        send_many(kit, "dead", 2 * rate + 1);
        assert_int_equal(start(kit, ARN_OF("dead"), ARN_OF("to"), rate), 0);
        assert_int_equal(latest(kit)->max_per_second.value, rate);
        int count = run_and_record(kit, moves);
        assert_int_equal(count, 2 * rate + 1);
        /* Never more, and not much less. */
        int most = most_in_a_second(moves, count);
        assert_true(most <= rate);
        assert_true(most * 100 >= rate * 90);
        assert_str(latest(kit)->status, "COMPLETED");
        assert_int_equal(latest(kit)->moved.value, count);
    }
}

static void test_cancel(void **state)
{
    struct kit *kit = *state;
    die(kit, "jobs", 5);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 1), 0);
    struct str handle = handle_of(kit);
    assert_true(str_equal(latest(kit)->task_handle, handle));
    kit_step_tasks(kit);
    kit->now_ms += 1000;
    kit_step_tasks(kit);
    assert_int_equal(cancel(kit, handle), 0);
    const struct sqs_cancel_move_task_out *out = kit->request.output;
    assert_true(out->moved.set);
    assert_int_equal(out->moved.value, 2);
    assert_str(latest(kit)->status, "CANCELLED");
    assert_int_equal(latest(kit)->moved.value, 2);
    kit->now_ms += 60000;
    kit_step_tasks(kit);
    assert_int_equal(kit_visible(kit, "dead"), 3);
    expect_error(kit, cancel(kit, handle), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Only active tasks can be cancelled.");
    /* The next one is free to start. */
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
    assert_false(latest(kit)->max_per_second.set);
    kit_step_tasks(kit);
    assert_int_equal(kit_visible(kit, "dead"), 0);
}

static void test_failures(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "to", NULL), 0);
    die(kit, "jobs", 3);
    assert_int_equal(start(kit, ARN_OF("dead"), ARN_OF("to"), 1), 0);
    kit_step_tasks(kit);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "to"), 0);
    kit->now_ms += 1000;
    kit_step_tasks(kit);
    assert_str(latest(kit)->status, "FAILED");
    assert_str(latest(kit)->failure_reason, "AWS.SimpleQueueService.NonExistentQueue");
    assert_int_equal(latest(kit)->moved.value, 1);
    assert_int_equal(kit_visible(kit, "dead"), 2);

    /* A message that was sent there came from nowhere: those before it have gone. */
    assert_int_equal(kit_send(kit, "dead", "sent", -1), 0);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
    kit_step_tasks(kit);
    assert_str(latest(kit)->status, "FAILED");
    assert_str(latest(kit)->failure_reason, "CouldNotDetermineMessageSource");
    assert_int_equal(latest(kit)->moved.value, 2);
    assert_int_equal(kit_visible(kit, "dead"), 1);
    kit_reopen(kit);
    assert_true(kit->engine.next_task == QUEUE_NEVER);
    assert_str(latest(kit)->failure_reason, "CouldNotDetermineMessageSource");
}

static void test_restart(void **state)
{
    struct kit *kit = *state;
    static int64_t moves[MOVES_MAX];
    die(kit, "jobs", 40);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
    kit_begin(kit);
    assert_int_equal(engine_step_tasks(&kit->engine), 0); /* one step only */
    kit_commit(kit);
    int64_t moved = latest(kit)->moved.value;
    assert_true(moved > 0 && moved < 40);
    kit_reopen(kit);
    assert_str(latest(kit)->status, "RUNNING");
    assert_int_equal(latest(kit)->moved.value, moved);
    assert_int_equal(run_and_record(kit, moves), 40 - moved);
    assert_int_equal(latest(kit)->moved.value, 40);
    assert_int_equal(kit_visible(kit, "jobs"), 40);

    /* With a rate, the second of the restart is not used twice. */
    die(kit, "jobs", 0);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 2), 0);
    kit_step_tasks(kit);
    kit_reopen(kit);
    assert_true(kit->engine.next_task >= kit_lease_ms(kit) + 1000);
    assert_int_equal(run_and_record(kit, moves), 39);
}

static void test_rollback(void **state)
{
    struct kit *kit = *state;
    die(kit, "jobs", 3);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
    kit_begin(kit);
    assert_int_equal(engine_step_tasks(&kit->engine), 0);
    assert_int_equal(engine_step_tasks(&kit->engine), 0); /* it is done: forgotten by now */
    assert_true(kit->engine.next_task == QUEUE_NEVER);
    engine_rollback(&kit->engine);
    assert_str(latest(kit)->status, "RUNNING");
    assert_int_equal(kit_visible(kit, "dead"), 3);
    kit_step_tasks(kit);
    assert_str(latest(kit)->status, "COMPLETED");
    assert_int_equal(latest(kit)->moved.value, 3);

    struct sqs_start_move_task_in in = {.source_arn = STR(ARN_OF("dead"))};
    struct store_request request = {
        .action = SQS_START_MESSAGE_MOVE_TASK, .input = &in, .arena = &kit->arena};
    kit_begin(kit);
    assert_int_equal(engine_run(&kit->engine, &request), 0);
    assert_int_equal(request.error.code, 0);
    engine_rollback(&kit->engine);
    kit_step_tasks(kit);
    assert_int_equal(tasks(kit, ARN_OF("dead"), 10)->results.count, 1);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
}

static void test_list(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(tasks(kit, ARN_OF("dead"), 10)->results.count, 0);
    for (int i = 0; i < 12; i++) {
        kit->now_ms += 1;
        assert_int_equal(start(kit, ARN_OF("dead"), NULL, 0), 0);
        kit_step_tasks(kit);
    }
    const struct sqs_list_move_tasks_out *out = tasks(kit, ARN_OF("dead"), 10);
    assert_int_equal(out->results.count, 10);
    for (uint32_t i = 0; i < 10; i++) { /* the latest comes first */
        assert_int_equal(out->results.items[i].started_at.value, KIT_WALL + 12 - i);
    }
    assert_int_equal(tasks(kit, ARN_OF("dead"), 0)->results.count, 1);
    assert_int_equal(tasks(kit, ARN_OF("dead"), 3)->results.count, 3);
    assert_int_equal(tasks(kit, ARN_OF("jobs"), 3)->results.count, 0);
}

static void test_queues_come_and_go(void **state)
{
    struct kit *kit = *state;
    die(kit, "jobs", 3);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 1), 0);
    struct str handle = handle_of(kit);
    kit_step_tasks(kit);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "dead"), 0);
    kit->now_ms += 5000;
    kit_step_tasks(kit);
    assert_true(kit->engine.next_task == QUEUE_NEVER);
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(tasks(kit, ARN_OF("dead"), 10)->results.count, 0);
    expect_error(kit, cancel(kit, handle), SQS_ERROR_RESOURCE_NOT_FOUND, "Task does not exist.");

    /* A purge leaves nothing to move. */
    die(kit, "jobs", 3);
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 1), 0);
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "dead"), 0);
    die(kit, "jobs", 0);
    kit->now_ms += 1000;
    kit_step_tasks(kit);
    assert_str(latest(kit)->status, "COMPLETED");
    assert_int_equal(latest(kit)->moved.value, 0);
}

static void test_refusals(void **state)
{
    struct kit *kit = *state;
    expect_error(kit, start(kit, ARN_OF("jobs"), NULL, 0), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Source queue must be configured as a Dead Letter Queue.");
    expect_error(kit, start(kit, ARN_OF("nosuch"), NULL, 0), SQS_ERROR_RESOURCE_NOT_FOUND,
                 "The resource that you specified for the SourceArn parameter doesn't exist.");
    expect_error(kit, start(kit, "arn:aws:sqs:eu-west-1:" KIT_ACCOUNT ":dead", NULL, 0),
                 SQS_ERROR_RESOURCE_NOT_FOUND,
                 "The resource that you specified for the SourceArn parameter doesn't exist.");
    expect_error(kit, start(kit, ARN_OF("dead"), ARN_OF("nosuch"), 0), SQS_ERROR_RESOURCE_NOT_FOUND,
                 "The resource that you specified for the DestinationArn parameter doesn't exist.");
    expect_error(kit, start(kit, "dead", NULL, 0), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "You must use this format to specify the SourceArn: "
                 "arn:<partition>:<service>:<region>:<account-id>:<resource-id>");
    assert_int_equal(kit_create(kit, "x.fifo", "FifoQueue", "true", NULL), 0);
    expect_error(kit, start(kit, ARN_OF("dead"), ARN_OF("x.fifo"), 0),
                 SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "The source queue and destination queue must be of the same queue type.");
    expect_error(kit, cancel(kit, STR("nonsense")), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Value for parameter TaskHandle is invalid.");
    expect_error(kit,
                 cancel(kit, sqs_move_handle_write(&kit->arena, STR("t"), STR(ARN_OF("nosuch")))),
                 SQS_ERROR_RESOURCE_NOT_FOUND,
                 "The resource that you specified for the SourceArn parameter doesn't exist.");
    expect_error(kit,
                 cancel(kit, sqs_move_handle_write(&kit->arena, STR("t"), STR(ARN_OF("dead")))),
                 SQS_ERROR_RESOURCE_NOT_FOUND, "Task does not exist.");
    struct sqs_list_move_tasks_in in = {.source_arn = STR(ARN_OF("nosuch"))};
    expect_error(kit, kit_run(kit, SQS_LIST_MESSAGE_MOVE_TASKS, &in), SQS_ERROR_RESOURCE_NOT_FOUND,
                 "The resource that you specified for the SourceArn parameter doesn't exist.");
    assert_int_equal(start(kit, ARN_OF("dead"), NULL, 1), 0);
    expect_error(kit, start(kit, ARN_OF("dead"), NULL, 1), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "There is already a task running. Only one active task is allowed for a source "
                 "queue arn at a given time.");
}

/* ---- FIFO ---- */

static void send_fifo(struct kit *kit, const char *queue, const char *group, const char *body)
{
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, queue),
        .entry = {.body = str_from(body), .group_id = str_from(group)},
    };
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
}

static void test_fifo(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "dead.fifo", "FifoQueue", "true", "ContentBasedDeduplication",
                                "true", NULL),
                     0);
    assert_int_equal(kit_create(kit, "jobs.fifo", "FifoQueue", "true", "ContentBasedDeduplication",
                                "true", REDRIVE("dead.fifo"), NULL),
                     0);
    static const char *const bodies[] = {"a1", "b1", "a2", "b2", "a3"};
    for (size_t i = 0; i < SL_COUNT(bodies); i++) {
        send_fifo(kit, "dead.fifo", bodies[i][0] == 'a' ? "a" : "b", bodies[i]);
    }
    /* One group is in somebody's hands: all of it stays. */
    const struct sqs_receive_out *got = kit_receive(kit, "dead.fifo", 1, 60);
    assert_str(got->messages.items[0].body, "a1");
    assert_int_equal(start(kit, ARN_OF("dead.fifo"), ARN_OF("jobs.fifo"), 0), 0);
    kit_step_tasks(kit);
    got = kit_receive(kit, "jobs.fifo", 10, -1);
    assert_int_equal(got->messages.count, 2);
    assert_str(got->messages.items[0].body, "b1");
    assert_str(got->messages.items[1].body, "b2");
    assert_str(kit_system(&got->messages.items[0], "MessageGroupId"), "b");
    kit->now_ms += 60000;
    assert_int_equal(start(kit, ARN_OF("dead.fifo"), ARN_OF("jobs.fifo"), 0), 0);
    kit_step_tasks(kit);
    assert_int_equal(kit_visible(kit, "dead.fifo"), 0);
    for (int i = 1; i <= 3; i++) { /* in their order, whatever each receive returns */
        char body[16];
        (void)snprintf(body, sizeof(body), "a%d", i);
        got = kit_receive(kit, "jobs.fifo", 1, 600);
        while (got->messages.count > 0 && got->messages.items[0].body.ptr[0] == 'b') {
            got = kit_receive(kit, "jobs.fifo", 1, 600);
        }
        assert_int_equal(got->messages.count, 1);
        assert_str(got->messages.items[0].body, body);
        assert_int_equal(kit_delete(kit, "jobs.fifo", got->messages.items[0].receipt_handle), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_back_to_where_they_came_from, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_begins_anew, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_to_one_queue, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_what_stays, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_rate, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_rollback, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_queues_come_and_go, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_fifo, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
