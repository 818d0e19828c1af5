/*
 * No statement may depend on the size of the backlog: SQLite's own plan of each is asked for, and a
 * scan or a temporary B-tree fails the test. And the work of a receive is counted in steps of
 * SQLite's machine.
 */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static const char *const names[] = {
#define XX(name, sql) #name,
    STATEMENT_MAP(XX)
#undef XX
};

static int check_plan(sqlite3 *handle, const char *name, const char *sql)
{
    char explain[2048];
    sqlite3_stmt *s = NULL;
    int bad = 0;
    (void)snprintf(explain, sizeof(explain), "EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(sqlite3_prepare_v2(handle, explain, -1, &s, NULL), SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *detail = (const char *)sqlite3_column_text(s, 3);
        if (strstr(detail, "SCAN") != NULL || strstr(detail, "TEMP B-TREE") != NULL) {
            (void)fprintf(stderr, "%s: %s\n", name, detail);
            bad++;
        }
    }
    (void)sqlite3_finalize(s);
    return bad;
}

static void test_plans(void **state)
{
    struct kit *kit = *state;
    int bad = 0;
    for (size_t i = 0; i < STATEMENT__COUNT; i++) {
        bad +=
            check_plan(kit->engine.db.handle, names[i], sqlite3_sql(kit->engine.db.statements[i]));
    }
    assert_int_equal(bad, 0);
    /* The check itself finds what it looks for. */
    assert_int_equal(
        check_plan(kit->engine.db.handle, "(expected)", "SELECT 1 FROM messages WHERE sent_at = 1"),
        1);
    assert_int_equal(check_plan(kit->engine.db.handle, "(expected)",
                                "SELECT 1 FROM messages WHERE lane = 1 ORDER BY token"),
                     1);
}

static int64_t steps_taken(struct kit *kit)
{
    int64_t steps = 0;
    for (size_t i = 0; i < STATEMENT__COUNT; i++) {
        steps += sqlite3_stmt_status(kit->engine.db.statements[i], SQLITE_STMTSTATUS_VM_STEP, 1);
    }
    return steps;
}

static void fill(struct kit *kit, int count, int64_t delay_s)
{
    struct sqs_send_message_in in = {
        .queue_url = STR("jobs"),
        .entry = {.body = STR("x"), .delay_seconds = {true, delay_s}},
    };
    struct arena arena;
    kit_begin(kit);
    for (int i = 0; i < count; i++) {
        arena_init(&arena, 65536);
        struct store_request request = {
            .action = SQS_SEND_MESSAGE, .input = &in, .arena = &arena, .wall = KIT_WALL};
        assert_int_equal(engine_run(&kit->engine, &request), 0);
        assert_int_equal(request.error.code, 0);
        arena_done(&arena);
    }
    kit_commit(kit);
}

static int64_t cost_of_cycle(struct kit *kit)
{
    (void)steps_taken(kit);
    const struct sqs_receive_out *got = kit_receive(kit, "jobs", 10, 60);
    assert_int_equal(got->messages.count, 10);
    int64_t steps = steps_taken(kit);
    assert_int_equal(kit_delete(kit, "jobs", got->messages.items[0].receipt_handle), 0);
    return steps + steps_taken(kit);
}

static void test_cost_does_not_grow(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    fill(kit, 1000, 0);
    int64_t small = cost_of_cycle(kit);
    fill(kit, 5000, 900); /* delayed ones are in the same index */
    struct store_hold hold = kit_hold(kit, "jobs", 500);
    assert_int_equal(hold.count, 500);
    fill(kit, 20000, 0);
    int64_t large = cost_of_cycle(kit);
    (void)printf("steps of receive 10 and delete: %lld with 1,000 messages, %lld with 26,000\n",
                 (long long)small, (long long)large);
    assert_true(large <= small + small / 2);
}

static int64_t cost_of_moving(struct kit *kit)
{
    struct sqs_start_move_task_in in = {
        .source_arn = STR("arn:aws:sqs:us-east-1:000000000000:jobs"),
        .destination_arn = STR("arn:aws:sqs:us-east-1:000000000000:other")};
    assert_int_equal(kit_run(kit, SQS_START_MESSAGE_MOVE_TASK, &in), 0);
    struct sqs_task_handle cancel = *(const struct sqs_task_handle *)kit->request.output;
    uint64_t before = kit->engine.moves;
    (void)steps_taken(kit);
    kit_begin(kit);
    assert_int_equal(engine_step_tasks(&kit->engine), 0);
    kit_commit(kit);
    int64_t steps = steps_taken(kit);
    assert_int_equal(kit->engine.moves - before, 16);
    assert_int_equal(kit_run(kit, SQS_CANCEL_MESSAGE_MOVE_TASK, &cancel), 0);
    return steps;
}

static void test_cost_of_moving_does_not_grow(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_create(kit, "other", "RedrivePolicy",
                                "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:jobs"
                                "\",\"maxReceiveCount\":1}",
                                NULL),
                     0);
    fill(kit, 100, 0);
    int64_t small = cost_of_moving(kit);
    fill(kit, 20000, 0);
    int64_t large = cost_of_moving(kit);
    (void)printf("steps of moving 16: %lld with 100 messages, %lld with 20,000\n", (long long)small,
                 (long long)large);
    assert_true(large <= small + small / 2);
}

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    return 0;
}

static int teardown(void **state)
{
    kit_done(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cost_does_not_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cost_of_moving_does_not_grow, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
