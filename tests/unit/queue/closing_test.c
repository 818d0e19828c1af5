/*
 * What a clean end leaves behind, and what a start does without it: after a clean end nothing is
 * counted, whatever lies in the queues; after any other everything is, and the file is checked.
 */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RETENTION_MS INT64_C(60000)

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    return 0;
}

/* ---- looking at it ---- */

static int64_t query(struct kit *kit, const char *sql)
{
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(kit->engine.db.handle, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return ret;
}

static int64_t steps_of(struct kit *kit, enum statement statement)
{
    return sqlite3_stmt_status(kit->engine.db.statements[statement], SQLITE_STMTSTATUS_VM_STEP, 0);
}

static bool has_counted(struct kit *kit)
{
    return steps_of(kit, STATEMENT_SPACE_COUNT) > 0;
}

static int64_t steps_of_start(struct kit *kit)
{
    int64_t steps = 0;
    for (int i = 0; i < STATEMENT__COUNT; i++) {
        steps += steps_of(kit, (enum statement)i);
    }
    return steps;
}

/* What the queue says of itself against what is in the file. */
static void assert_counts(struct kit *kit, const char *queue, int64_t visible, int64_t in_flight,
                          int64_t delayed)
{
    assert_int_equal(kit_visible(kit, queue), visible);
    assert_int_equal(kit_in_flight(kit, queue), in_flight);
    assert_int_equal(kit_delayed(kit, queue), delayed);
}

static void fill(struct kit *kit, const char *queue, int count, const char *body)
{
    struct sqs_send_message_in in = {.queue_url = kit_url(kit, queue),
                                     .entry = {.body = kit_text(kit, body)}};
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

/* Opens the file in a process that is killed. */
static void open_and_kill(struct kit *kit)
{
    int status = 0;
    kit_close(kit);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        kit_open(kit);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

/* ---- counters ---- */

/* 20 visible, 5 delayed for 30 s, 3 in flight for 20 s, 4 held. */
static void populate(struct kit *kit)
{
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    fill(kit, "jobs", 27, "visible");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kit_send(kit, "jobs", "delayed", 30), 0);
    }
    assert_int_equal(kit_receive(kit, "jobs", 3, 20)->messages.count, 3);
    assert_int_equal(kit_hold(kit, "jobs", 4).count, 4);
    assert_counts(kit, "jobs", 20, 7, 5);
}

static void test_nothing_is_counted_after_a_clean_end(void **state)
{
    struct kit *kit = *state;
    populate(kit);
    assert_int_equal(kit_create(kit, "empty", NULL), 0);
    kit_reopen(kit);
    assert_false(has_counted(kit));
    assert_counts(kit, "jobs", 24, 3, 5);
    assert_counts(kit, "empty", 0, 0, 0);
    assert_int_equal(query(kit, "SELECT count(*) FROM closings"), 0);
    kit_reopen(kit); /* and again */
    assert_false(has_counted(kit));
    assert_counts(kit, "jobs", 24, 3, 5);
}

static void test_everything_is_counted_after_a_kill(void **state)
{
    struct kit *kit = *state;
    populate(kit);
    open_and_kill(kit);
    kit_open(kit);
    assert_true(has_counted(kit));
    assert_counts(kit, "jobs", 24, 3, 5);
}

static void test_time_passes_while_closed(void **state)
{
    struct kit *kit = *state;
    populate(kit);
    kit_close(kit);
    kit->now_ms += 21000; /* the leases are over, the delays are not */
    kit_open(kit);
    assert_counts(kit, "jobs", 27, 0, 5);
    kit_close(kit);
    kit->now_ms += 10000;
    kit_open(kit);
    assert_false(has_counted(kit));
    assert_counts(kit, "jobs", 32, 0, 0);
}

/* The lease clock never goes back, so the counters fit the time they are read at. */
static void test_wall_clock_stepped_back(void **state)
{
    struct kit *kit = *state;
    populate(kit);
    kit->now_ms += 500;
    assert_int_equal(kit_send(kit, "jobs", "later", 0), 0);
    kit_close(kit);
    kit->wall_step_ms = -3600000;
    kit_open(kit);
    assert_false(has_counted(kit));
    assert_counts(kit, "jobs", 25, 3, 5);
}

static void test_counters_that_make_no_sense(void **state)
{
    static const char *const edits[] = {
        "UPDATE closings SET visible = -1",
        "UPDATE closings SET advanced_to = advanced_to + 1000000000",
        "DELETE FROM closings",
    };
    struct kit *kit = *state;
    populate(kit);
    for (size_t i = 0; i < SL_COUNT(edits); i++) {
        sqlite3 *other = NULL;
        kit_close(kit);
        assert_int_equal(sqlite3_open(kit->path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, edits[i], NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_changes(other), 1);
        (void)sqlite3_close(other);
        kit_open(kit);
        assert_true(has_counted(kit));
        assert_counts(kit, "jobs", 24, 3, 5);
    }
}

/* I3: what was held is not forgotten by retention, nor delivered after it. */
static void test_retention_goes_on(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", "MessageRetentionPeriod", "60", NULL), 0);
    fill(kit, "jobs", 10, "short-lived");
    assert_int_equal(kit_hold(kit, "jobs", 4).count, 4);
    kit->now_ms += RETENTION_MS / 2;
    fill(kit, "jobs", 1, "younger");
    kit->now_ms += RETENTION_MS / 2 + 1000;
    kit_sweep(kit);
    assert_int_equal(query(kit, "SELECT count(*) FROM messages"), 5);
    kit_reopen(kit);
    assert_false(has_counted(kit));
    assert_true(kit->engine.next_expiry <= kit_lease_ms(kit)); /* the sweep knows that it is due */
    kit_sweep(kit);
    assert_int_equal(query(kit, "SELECT count(*) FROM messages"), 1);
    assert_counts(kit, "jobs", 1, 0, 0);
    kit_reopen(kit);
    kit_sweep(kit);
    assert_int_equal(kit->engine.next_expiry, KIT_WALL + RETENTION_MS / 2 + RETENTION_MS);
    kit->now_ms += RETENTION_MS;
    kit_sweep(kit);
    assert_int_equal(query(kit, "SELECT count(*) FROM messages"), 0);
}

static void test_work_of_a_start_does_not_grow(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    fill(kit, "jobs", 100, "x");
    kit_reopen(kit);
    int64_t small = steps_of_start(kit);
    fill(kit, "jobs", 20000, "x");
    kit_reopen(kit);
    int64_t large = steps_of_start(kit);
    open_and_kill(kit);
    kit_open(kit);
    int64_t counting = steps_of_start(kit);
    (void)printf("steps of a start: %lld with 100 messages, %lld with 20,100, %lld counting them\n",
                 (long long)small, (long long)large, (long long)counting);
    assert_true(large <= small + small / 4);
    assert_true(counting > 20 * small); /* so that the above says something */
}

/* ---- the check of the file ---- */

static void damage_page(const char *path, int64_t page)
{
    char junk[SCHEMA_PAGE_BYTES];
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    memset(junk, 0xa5, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), page * SCHEMA_PAGE_BYTES), sizeof(junk));
    (void)close(fd);
}

static int64_t fingerprint(const char *path)
{
    uint8_t bytes[65536];
    int64_t sum = 0;
    ssize_t got;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            sum = (int64_t)((uint64_t)sum * 31 + bytes[i]);
        }
    }
    (void)close(fd);
    return sum;
}

/* A page in the middle of a file that is too large to be read whole at every start. */
static void test_checked_whole_after_an_unclean_end(void **state)
{
    struct kit *kit = *state;
    struct error e = {.code = 0};
    struct stat st;
    static char body[4000];
    memset(body, 'b', sizeof(body) - 1);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    fill(kit, "jobs", 3000, body);
    kit_close(kit);
    assert_int_equal(stat(kit->path, &st), 0);
    assert_true(st.st_size > (INT64_C(9) << 20));
    damage_page(kit->path, st.st_size / SCHEMA_PAGE_BYTES / 2);
    kit_open(kit); /* milliseconds: nothing looks there */
    open_and_kill(kit);
    int64_t before = fingerprint(kit->path);
    assert_int_equal(kit_try_open(kit, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "damaged"));
    assert_non_null(strstr(e.text, ".recover"));
    assert_int_equal(fingerprint(kit->path), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_counted_after_a_clean_end, setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(test_everything_is_counted_after_a_kill, setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(test_time_passes_while_closed, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_wall_clock_stepped_back, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_counters_that_make_no_sense, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_retention_goes_on, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_work_of_a_start_does_not_grow, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_checked_whole_after_an_unclean_end, setup,
                                        kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
