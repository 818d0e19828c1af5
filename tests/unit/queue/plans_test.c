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

/* ---- backlogs as large as they get, by SQL: the rows that sends write, without their commits ----
 */

static void run_sql(sqlite3 *handle, const char *text)
{
    char *message = NULL;
    if (sqlite3_exec(handle, text, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", text, message);
    }
}

#define NUMBERS "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %lld)"

/* The file has one queue, and is empty. It is counted when it is opened, as after a crash. */
static void fill_file(struct kit *kit, int64_t messages, int64_t groups)
{
    long long space = SCHEMA_SPACE_OF(SCHEMA_ROW_ID(1, 0));
    long long now = (long long)kit_lease_ms(kit);
    char text[1024];
    sqlite3 *handle = NULL;
    kit_close(kit);
    assert_int_equal(sqlite3_open(kit->path, &handle), SQLITE_OK);
    run_sql(handle, "PRAGMA synchronous = OFF; BEGIN; DELETE FROM closings");
    if (groups > 0) {
        (void)snprintf(text, sizeof(text),
                       NUMBERS "INSERT INTO groups (id, space, due_at, name)"
                               " SELECT i + 1, %lld, %lld, 'group-' || i FROM n",
                       (long long)groups, space, now);
        run_sql(handle, text);
    }
    (void)snprintf(text, sizeof(text),
                   NUMBERS "INSERT INTO messages (id, lane, visible_at, receive_count, token,"
                           " received_at, first_received_at, enqueued_at, sent_at, group_key,"
                           " message_id, group_id, deduplication_id, body)"
                           " SELECT (%lld << 40) + i, %lld, %lld, 0, 1 << 60, %lld, %lld, %lld,"
                           " %lld, %s, randomblob(16), %s, 'x' FROM n",
                   (long long)messages, space, groups > 0 ? -space : space, now, now, now, now,
                   (long long)KIT_WALL, groups > 0 ? "i % (SELECT count(*) FROM groups) + 1" : "0",
                   groups > 0 ? "'group-' || (i % (SELECT count(*) FROM groups)), 'd' || i"
                              : "NULL, NULL");
    run_sql(handle, text);
    run_sql(handle, "COMMIT");
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
    kit_open(kit);
}

/* Steps of a receive of ten and the delete of all it got; the second time, when all is warm. */
static int64_t cost_with(int64_t messages, int64_t groups)
{
    struct kit *kit = MEM_NEW(struct kit);
    const char *queue = groups > 0 ? "jobs.fifo" : "jobs";
    int64_t steps = 0;
    kit_init(kit);
    assert_int_equal(kit_create(kit, queue, groups > 0 ? "FifoQueue" : NULL, "true", NULL), 0);
    fill_file(kit, messages, groups);
    for (int i = 0; i < 2; i++) {
        (void)steps_taken(kit);
        const struct sqs_receive_out *got = kit_receive(kit, queue, 10, 60);
        assert_int_equal(got->messages.count, 10);
        for (uint32_t j = 0; j < got->messages.count; j++) {
            assert_int_equal(kit_delete(kit, queue, got->messages.items[j].receipt_handle), 0);
        }
        steps = steps_taken(kit);
    }
    kit_done(kit);
    free(kit);
    return steps;
}

static void test_cost_with_a_million_messages(void **state)
{
    static const struct {
        const char *name;
        int64_t small, small_groups, large, large_groups;
    } cases[] = {
        {"standard", 1000, 0, 1000000, 0},
        {"FIFO, one group", 1000, 1, 200000, 1},
        {"FIFO, four messages to a group", 1000, 250, 200000, 50000},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        int64_t small = cost_with(cases[i].small, cases[i].small_groups);
        int64_t large = cost_with(cases[i].large, cases[i].large_groups);
        (void)printf(
            "%s: steps of receive 10 and delete: %lld with %lld messages, %lld with %lld\n",
            cases[i].name, (long long)small, (long long)cases[i].small, (long long)large,
            (long long)cases[i].large);
        assert_true(small > 0 && large <= small + small / 2);
    }
}

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plans, setup, kit_teardown),
        cmocka_unit_test(test_cost_with_a_million_messages),
        cmocka_unit_test_setup_teardown(test_cost_does_not_grow, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_cost_of_moving_does_not_grow, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
