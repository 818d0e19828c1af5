/*
 * A file of version 1 becomes one of this version: with every message as it was, or, when the
 * process is killed, the power fails or the disk is full in the middle, only so many versions far:
 * then the next start goes on from there.
 */
#include "support/power_vfs.h"
#include "support/queue_kit.h"

#include "sluice/runtime/log.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define ROWS_MANY 100000
#define ROWS_FEW  400
#define CUTS      150

/* As the version wrote it. */
static const char version_1[] =
    "PRAGMA v1.page_size = 8192;"
    "PRAGMA v1.auto_vacuum = INCREMENTAL;"
    "CREATE TABLE v1.meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;"
    "CREATE TABLE v1.queues (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL) STRICT;"
    "CREATE TABLE v1.queue_attributes (queue_id INTEGER NOT NULL, name TEXT NOT NULL,"
    " value TEXT NOT NULL, PRIMARY KEY (queue_id, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE v1.spaces (id INTEGER PRIMARY KEY, queue_id INTEGER) STRICT;"
    "CREATE INDEX v1.spaces_queue ON spaces (queue_id);"
    "CREATE TABLE v1.messages (id INTEGER PRIMARY KEY, space INTEGER NOT NULL,"
    " visible_at INTEGER NOT NULL, receive_count INTEGER NOT NULL, token INTEGER NOT NULL,"
    " received_at INTEGER NOT NULL, first_received_at INTEGER NOT NULL,"
    " enqueued_at INTEGER NOT NULL, sent_at INTEGER NOT NULL, message_id BLOB NOT NULL,"
    " source TEXT, group_id TEXT, trace_header TEXT, attributes BLOB, body TEXT NOT NULL) STRICT;"
    "CREATE INDEX v1.messages_due ON messages (space, visible_at);"
    "PRAGMA v1.application_id = 1397511491;"
    "PRAGMA v1.user_version = 1;";

static const char copy_to_version_1[] =
    "INSERT INTO v1.meta SELECT * FROM main.meta;"
    "INSERT INTO v1.queues SELECT * FROM main.queues;"
    "INSERT INTO v1.queue_attributes SELECT * FROM main.queue_attributes;"
    "INSERT INTO v1.spaces SELECT id, queue_id FROM main.spaces;"
    "INSERT INTO v1.messages SELECT id, abs(lane), visible_at, receive_count, token, received_at,"
    " first_received_at, enqueued_at, sent_at, message_id, source, group_id, trace_header,"
    " attributes, body FROM main.messages;";

struct fixture {
    struct kit kit;
    char old[128], log[128]; /* the file of version 1, kept; the log of the one in use */
    int64_t rows;
};

static void must(sqlite3 *handle, const char *sql)
{
    if (sqlite3_exec(handle, sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(handle));
    }
}

/* ---- making one ---- */

static void send_with_attributes(struct kit *kit)
{
    struct sqs_attribute attribute = {
        .name = STR("colour"), .data_type = STR("String"), .string_value = STR("blue")};
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, "jobs"),
        .entry = {.body = STR("coloured"),
                  .attributes = {.items = &attribute, .count = 1, .set = true}},
    };
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
}

/* Messages in every state, a dead letter, and a purged queue whose space is not empty yet. */
static void populate(struct kit *kit)
{
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(
        kit_create(kit, "jobs", "VisibilityTimeout", "600", "RedrivePolicy",
                   "{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:dead\","
                   "\"maxReceiveCount\":\"2\"}",
                   NULL),
        0);
    assert_int_equal(kit_create(kit, "bulk", NULL), 0);
    assert_int_equal(kit_create(kit, "purged", NULL), 0);
    for (int i = 0; i < 3; i++) { /* the first one is received too often */
        assert_int_equal(kit_send(kit, "jobs", "letter", i == 0 ? 0 : 900), 0);
        assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, i < 2);
    }
    send_with_attributes(kit);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(kit_send(kit, "jobs", "plain", -1), 0);
        assert_int_equal(kit_send(kit, "purged", "gone", -1), 0);
    }
    assert_int_equal(kit_receive(kit, "jobs", 5, 600)->messages.count, 5);
    assert_int_equal(kit_hold(kit, "jobs", 4).count, 4);
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "purged"), 0);
}

static void add_rows(sqlite3 *handle, int rows)
{
    char sql[800];
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO v1.messages WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < %d) SELECT (s.id << 40) + i, s.id, 1700000000000 - i, 0, 4611686018427387904"
        " + i, 1700000000000, 1700000000000, 1700000000000, 1700000000000, randomblob(16), NULL,"
        " iif(i %% 3 = 0, 'g' || i, NULL), NULL, NULL, hex(randomblob(40 + i %% 100)) FROM n,"
        " v1.spaces s JOIN v1.queues q ON q.id = s.queue_id WHERE q.name = 'bulk'",
        rows);
    must(handle, sql);
}

static void make_version_1(struct fixture *f, int rows)
{
    char sql[256];
    sqlite3 *handle = NULL;
    kit_init(&f->kit);
    populate(&f->kit);
    kit_close(&f->kit);
    (void)snprintf(f->old, sizeof(f->old), "%s.1", f->kit.path);
    (void)snprintf(f->log, sizeof(f->log), "%s-wal", f->kit.path);
    assert_int_equal(sqlite3_open(f->kit.path, &handle), SQLITE_OK);
    must(handle, "PRAGMA locking_mode = EXCLUSIVE"); /* the VFS has no shared memory */
    (void)snprintf(sql, sizeof(sql), "ATTACH '%s' AS v1", f->old);
    must(handle, sql);
    must(handle, version_1);
    must(handle, copy_to_version_1);
    add_rows(handle, rows);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
    power_reset();
}

static void copy_file(const char *from, const char *to)
{
    struct power_image image = {.bytes = NULL};
    power_image_read(&image, from);
    power_put(to, &image);
    power_image_free(&image);
}

/* The file in use is that of version 1 again. */
static void put_back(struct fixture *f)
{
    power_reset();
    copy_file(f->old, f->kit.path);
    (void)unlink(f->log);
}

/* ---- looking at it ---- */

static int64_t number_of(sqlite3 *handle, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t ret = -1;
    if (sqlite3_prepare_v2(handle, sql, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW) {
        ret = sqlite3_column_int64(s, 0);
    }
    (void)sqlite3_finalize(s);
    return ret;
}

/* Rows that are not the same in both files; held ones may have been released. */
static int64_t differences(sqlite3 *handle, const char *lane)
{
    char sql[1200];
    static const char rest[] =
        "receive_count, token, received_at, first_received_at, enqueued_at, sent_at, message_id,"
        " source, group_id, trace_header, attributes, body";
    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM (SELECT id, space, iif(visible_at >= 1 << 46, enqueued_at,"
                   " visible_at), %s FROM old.messages EXCEPT SELECT id, %s, iif(visible_at >= 1 <<"
                   " 46, enqueued_at, visible_at), %s FROM main.messages)",
                   rest, lane, rest);
    return number_of(handle, sql);
}

/* The version of the file as it is on the disk; every message is the same in it. */
static int64_t version_of_intact_file(struct fixture *f)
{
    char sql[256];
    sqlite3 *handle = NULL;
    assert_int_equal(sqlite3_open(f->kit.path, &handle), SQLITE_OK);
    (void)sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    must(handle, "PRAGMA locking_mode = EXCLUSIVE");
    int64_t version = number_of(handle, "PRAGMA user_version");
    (void)snprintf(sql, sizeof(sql), "ATTACH '%s' AS old", f->old);
    must(handle, sql);
    assert_int_equal(number_of(handle, "SELECT count(*) FROM old.messages"), f->rows);
    assert_int_equal(number_of(handle, "SELECT count(*) FROM main.messages"), f->rows);
    assert_int_equal(differences(handle, version == 1 ? "space" : "lane"), 0);
    assert_int_equal(number_of(handle, "SELECT count(*) FROM pragma_integrity_check WHERE"
                                       " integrity_check <> 'ok'"),
                     0);
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
    return version;
}

static int64_t rows_of_version_1(struct fixture *f)
{
    sqlite3 *handle = NULL;
    assert_int_equal(sqlite3_open(f->old, &handle), SQLITE_OK);
    int64_t rows = number_of(handle, "SELECT count(*) FROM messages");
    assert_int_equal(sqlite3_close(handle), SQLITE_OK);
    return rows;
}

static void begin(struct fixture *f, int rows)
{
    memset(f, 0, sizeof(*f));
    make_version_1(f, rows);
    f->rows = rows_of_version_1(f);
    assert_true(f->rows > rows + 40);
    put_back(f);
}

/* ---- the tests ---- */

static void test_every_message_is_there(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, ROWS_MANY);
    kit_open(&f.kit);
    assert_int_equal(kit_visible(&f.kit, "bulk"), ROWS_MANY);
    assert_int_equal(kit_visible(&f.kit, "jobs"), 21 - 5);
    assert_int_equal(kit_in_flight(&f.kit, "jobs"), 5);
    assert_int_equal(kit_delayed(&f.kit, "jobs"), 2);
    assert_int_equal(kit_visible(&f.kit, "dead"), 1);
    assert_int_equal(kit_visible(&f.kit, "purged"), 0);
    assert_string_equal(kit_system(&kit_receive(&f.kit, "dead", 1, 0)->messages.items[0],
                                   "DeadLetterQueueSourceArn")
                            .ptr,
                        "arn:aws:sqs:us-east-1:000000000000:jobs");
    kit_close(&f.kit);
    put_back(&f); /* and without having been used */
    kit_open(&f.kit);
    kit_close(&f.kit);
    assert_int_equal(version_of_intact_file(&f), SCHEMA_VERSION);
    kit_done(&f.kit);
}

/* One start that is cut off at the nth call; the version that is left. */
static int64_t cut_at(struct fixture *f, int64_t call, bool keeps_all)
{
    struct error e = {.code = 0};
    put_back(f);
    power.keeps_all = keeps_all;
    power_arm(call);
    if (kit_try_open(&f->kit, &e) == 0) {
        kit_close(&f->kit);
    }
    power_restore();
    return version_of_intact_file(f);
}

/* The next start brings it to this version, or goes on with it. */
static void assert_usable(struct fixture *f)
{
    power_reset();
    kit_open(&f->kit);
    assert_int_equal(kit_visible(&f->kit, "bulk"), ROWS_FEW);
    assert_int_equal(kit_send(&f->kit, "jobs", "after", 0), 0);
    kit_close(&f->kit);
}

static void test_cut_off(void **state)
{
    struct fixture f;
    struct rng rng;
    int old = 0;
    (void)state;
    rng_init(&rng, 42);
    begin(&f, ROWS_FEW);
    int64_t before = power.calls;
    kit_open(&f.kit);
    int64_t calls = power.calls - before; /* of a whole start */
    kit_close(&f.kit);
    assert_true(calls > 50);
    for (int i = 0; i < CUTS; i++) {
        int64_t version = cut_at(&f, rng_between(&rng, 1, calls + 20), i % 2 == 0);
        assert_true(version >= 1 && version <= SCHEMA_VERSION);
        old += version == 1;
        assert_usable(&f);
    }
    (void)printf("%d cuts in %lld calls: %d times version 1 still\n", CUTS, (long long)calls, old);
    assert_true(old > CUTS / 10 && old < CUTS);
    kit_done(&f.kit);
}

static void test_full_disk(void **state)
{
    struct fixture f;
    int refused = 0;
    (void)state;
    begin(&f, ROWS_FEW);
    for (int64_t bytes = 0; bytes < 400000; bytes += 40000) {
        struct error e = {.code = 0};
        put_back(&f);
        power.limited = true;
        power.bytes_left = bytes;
        int rc = kit_try_open(&f.kit, &e);
        if (rc == 0) {
            kit_close(&f.kit);
        } else {
            assert_int_equal(rc, ERR_FULL);
            assert_non_null(strstr(e.text, "full"));
            refused++;
        }
        power.limited = false;
        int64_t version = version_of_intact_file(&f);
        assert_true(rc != 0 ? version < SCHEMA_VERSION : version == SCHEMA_VERSION);
        assert_usable(&f);
    }
    assert_true(refused > 1);
    kit_done(&f.kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_is_there),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_full_disk),
    };
    log_init(&(struct log_config){.fd = 2, .level = LOG_LEVEL_WARNING});
    power_install(1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    power_reset();
    return failed;
}
