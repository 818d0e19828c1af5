/* The full check of a queue file: a sound one is sound, and each rule finds its damage. */
#include "support/queue_kit.h"

#include "sluice/base/rng.h"
#include "sluice/queue/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>

struct report {
    char text[4096];
    struct queue_verify verify;
    struct error e;
};

static void on_problem(void *context, const char *text)
{
    struct report *report = context;
    size_t len = strlen(report->text);
    (void)snprintf(report->text + len, sizeof(report->text) - len, "%s\n", text);
}

static int verify(const char *path, struct report *report)
{
    memset(report, 0, sizeof(*report));
    report->verify.problem = on_problem;
    report->verify.context = report;
    return queue_file_verify(path, &report->verify, &report->e);
}

static int setup(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    char body[32];
    kit_init(kit);
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(body, sizeof(body), "body %d", i);
        assert_int_equal(kit_send(kit, "jobs", body, i < 10 ? 60 : -1), 0);
    }
    assert_int_equal(kit_receive(kit, "jobs", 10, 30)->messages.count, 10);
    *state = kit;
    return 0;
}

static int teardown(void **state)
{
    struct kit *kit = *state;
    kit_done(kit);
    free(kit);
    return 0;
}

static void test_sound(void **state)
{
    struct kit *kit = *state;
    struct report report;
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "dead"), 0);
    kit_close(kit);
    assert_int_equal(verify(kit->path, &report), 0);
    assert_string_equal(report.text, "");
    assert_int_equal(report.verify.queues, 2);
    assert_int_equal(report.verify.messages, 50);
    assert_true(report.verify.bytes > 0);
}

static void test_busy_and_missing(void **state)
{
    struct kit *kit = *state;
    struct report report;
    char path[128];
    assert_int_equal(verify(kit->path, &report), ERR_BUSY);
    assert_non_null(strstr(report.e.text, "another process has the queue file open"));
    (void)snprintf(path, sizeof(path), "%s.none", kit->path);
    assert_int_equal(verify(path, &report), ERR_NOT_FOUND);
}

static void damage(const struct kit *kit, const char *sql)
{
    sqlite3 *file;
    assert_int_equal(sqlite3_open(kit->path, &file), SQLITE_OK);
    if (sqlite3_exec(file, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(file));
    }
    assert_int_equal(sqlite3_close(file), SQLITE_OK);
}

static const struct {
    const char *sql, *found;
} cases[] = {
    {"UPDATE messages SET id = (77 << 40) | 1, lane = 77 WHERE id IN (SELECT min(id) FROM "
     "messages)",
     "is in space 77, which does not exist"},
    {"UPDATE messages SET lane = lane + 1 WHERE id IN (SELECT max(id) FROM messages)",
     "but in lane"},
    {"UPDATE messages SET lane = -lane", "but in lane"},
    {"UPDATE messages SET message_id = x'00' WHERE id IN (SELECT max(id) FROM messages)",
     "has an id of 1 bytes"},
    {"UPDATE messages SET lane = -lane, group_key = 5", "belongs to group 5, which does not"},
    {"INSERT INTO groups SELECT 5, max(id), 0, 'g' FROM spaces", "group 5 has no message"},
    {"INSERT INTO groups VALUES (5, 77, 0, 'g')", "group 5 is in space 77"},
    {"UPDATE messages SET lane = -lane, group_key = 5;"
     "INSERT INTO groups SELECT 5, -min(lane), 1, 'g' FROM messages",
     "group 5 is due at 1, its first message at"},
    {"UPDATE messages SET lane = -lane, group_key = -5;"
     "INSERT INTO groups SELECT 5, -min(lane), 1, 'g' FROM messages",
     "group 5 is due at 1, its first message at"},
    {"INSERT INTO recents VALUES (1, 77, 0, x'00', x'00')", "remembered as 1 is in space 77"},
    {"INSERT INTO spaces (id, queue_id) VALUES (99, 98)", "space 99 belongs to queue 98"},
    {"INSERT INTO spaces (id, queue_id) SELECT 99, id FROM queues WHERE name = 'jobs'",
     "queue \"jobs\" has 2 spaces"},
    {"INSERT INTO queue_attributes VALUES (98, 'DelaySeconds', '1')", "(DelaySeconds) belongs"},
    {"INSERT INTO queue_tags VALUES (98, 'team', 'x')", "a tag (team) belongs to queue 98"},
    {"INSERT INTO move_tasks VALUES (1, 98, 't', NULL, NULL, 0, 0, 0, 0, 0, NULL)",
     "a move task belongs to queue 98"},
    {"INSERT INTO closings VALUES (98, 0, 0, 0, 0, 0)", "counters belong to queue 98"},
    {"INSERT INTO records VALUES (7, 'r', 0, x'00', 0, 0, 1, 1, 0, 0, NULL)",
     "record 7 of route \"r\" has a key of 1 bytes"},
    {"INSERT INTO records VALUES (7, 'r', 0, zeroblob(16), 0, 2, 1, 1, 0, 0, NULL)",
     "is of kind 0 in state 2, which does not exist"},
    {"INSERT INTO records VALUES (7, 'r', 1, zeroblob(16), 0, 0, 0, 0, 0, 0, NULL)",
     "is of kind 1 in state 0, which does not exist"},
    {"DELETE FROM closings; INSERT INTO closings SELECT id, 1 << 45, 0, 50, 0, 0 FROM queues",
     "queue \"dead\": counters say 50 visible, 0 delayed, 0 in flight; there are 0, 0, 0"},
    {"DELETE FROM closings; INSERT INTO closings SELECT id, 1 << 45, 0, 50, 0, 0 FROM queues"
     " WHERE name = 'jobs'",
     "queue \"dead\" has no counters"},
};

static void test_each_rule(void **state)
{
    struct kit *kit = *state;
    struct report report;
    char copy[128], command[512];
    kit_close(kit);
    (void)snprintf(copy, sizeof(copy), "%s.sound", kit->path);
    assert_int_equal(rename(kit->path, copy), 0);
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        (void)snprintf(command, sizeof(command), "VACUUM INTO '%s'", kit->path);
        sqlite3 *file;
        (void)unlink(kit->path);
        assert_int_equal(sqlite3_open(copy, &file), SQLITE_OK);
        assert_int_equal(sqlite3_exec(file, command, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(file), SQLITE_OK);
        assert_int_equal(verify(kit->path, &report), 0);
        damage(kit, cases[i].sql);
        assert_int_equal(verify(kit->path, &report), ERR_CORRUPT);
        if (strstr(report.text, cases[i].found) == NULL) {
            fail_msg("%s: wanted \"%s\", found \"%s\"", cases[i].sql, cases[i].found, report.text);
        }
        assert_non_null(strstr(report.e.text, "put a backup in its place"));
    }
}

/* One byte of an index that no longer agrees with its table. */
static void test_damaged_page(void **state)
{
    struct kit *kit = *state;
    struct report report;
    sqlite3 *file;
    kit_close(kit);
    assert_int_equal(sqlite3_open(kit->path, &file), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(file,
                     "PRAGMA writable_schema = ON;"
                     "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema "
                     "WHERE name = 'groups_due') WHERE name = 'messages_due'",
                     NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(file), SQLITE_OK);
    int rc = verify(kit->path, &report);
    assert_int_equal(rc, ERR_CORRUPT);
    assert_true(report.verify.problem_count <= QUEUE_VERIFY_PROBLEMS_MAX);
}

/* One of everything that happens to queues, at random. */
static void operate(struct kit *kit, struct rng *rng)
{
    static const char *const names[] = {"dead", "jobs", "dead.fifo", "jobs.fifo"};
    const char *name = names[rng_between(rng, 0, 3)];
    char group[8], body[16];
    struct sqs_send_message_in send = {.queue_url = kit_url(kit, name)};
    (void)snprintf(group, sizeof(group), "g%d", (int)rng_between(rng, 0, 9));
    (void)snprintf(body, sizeof(body), "%d", (int)rng_between(rng, 0, 999));
    send.entry.body = kit_text(kit, body);
    send.entry.group_id = rng_between(rng, 0, 2) > 0 || strstr(name, ".fifo") != NULL
                              ? kit_text(kit, group)
                              : STR_NONE;
    const struct sqs_receive_out *out;
    switch (rng_between(rng, 0, 9)) {
    case 0:
    case 1:
    case 2:
    case 3:
        (void)kit_run(kit, SQS_SEND_MESSAGE, &send);
        break;
    case 4:
    case 5:
    case 6:
        out = kit_receive(kit, name, rng_between(rng, 1, 10), rng_between(rng, 0, 20));
        for (uint32_t i = 0; out != NULL && i < out->messages.count; i++) {
            struct str handle = out->messages.items[i].receipt_handle;
            if (rng_between(rng, 0, 2) == 0) {
                (void)kit_delete(kit, name, handle);
            } else if (rng_between(rng, 0, 2) == 0) {
                (void)kit_change(kit, name, handle, rng_between(rng, 0, 5));
            }
        }
        break;
    case 7:
        (void)kit_hold(kit, name, (uint32_t)rng_between(rng, 1, 5));
        break;
    case 8:
        kit->now_ms += rng_between(rng, 0, 20000);
        kit_sweep(kit);
        break;
    default:
        if (rng_between(rng, 0, 30) == 0) {
            (void)kit_queue_action(kit, SQS_PURGE_QUEUE, name);
        }
        break;
    }
}

/* What the rules say is true of every queue file, whatever was done to it. */
static void test_sound_after_everything(void **state)
{
    struct kit *kit = *state;
    struct report report;
    struct rng rng;
    const char *given = getenv("SLUICE_SEED");
    int64_t seed = 1;
    assert_int_equal(given == NULL ? 0 : str_to_i64(str_from(given), 0, INT64_MAX, &seed), 0);
    rng_init(&rng, (uint64_t)seed);
    (void)printf("seed %lld\n", (long long)seed);
    assert_int_equal(kit_create(kit, "dead.fifo", "FifoQueue", "true", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs.fifo", "FifoQueue", "true", "ContentBasedDeduplication",
                                "true", "MessageRetentionPeriod", "60", "RedrivePolicy",
                                "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:"
                                "dead.fifo\",\"maxReceiveCount\":2}",
                                NULL),
                     0);
    assert_int_equal(kit_set(kit, "jobs", "MessageRetentionPeriod", "90", "RedrivePolicy",
                             "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:"
                             "dead\",\"maxReceiveCount\":2}",
                             NULL),
                     0);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 50; i++) {
            operate(kit, &rng);
        }
        kit_close(kit);
        if (verify(kit->path, &report) != 0) {
            fail_msg("round %d: %s %s", round, report.e.text, report.text);
        }
        kit_open(kit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_and_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_rule, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sound_after_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_page, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
