/*
 * The embedded queue against the least that must be done for it: a bare SQLite program with one
 * table, one index and prepared statements, the same durability (WAL, synchronous=FULL), and as
 * many messages to a commit as the store came to in the same case. Prints rates and ratios; asserts
 * nothing.
 *
 *   store_bench [--seconds 2] [--body-bytes 512] [--directory DIR] [--case NAME] [--in-flight N]
 *
 * Cases: single sends with 1, 10, 64 and 256 in flight; batches of ten with 1 and 16 in flight;
 * receives of ten each followed by a batched delete, with 1 and 16 in flight; the same for routes
 * (hold, settle).
 */
#include "sluice/base/clock.h"
#include "sluice/base/mem.h"
#include "sluice/base/str.h"
#include "sluice/queue/store.h"
#include "sluice/runtime/loop.h"

#include <getopt.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_MAX      256
#define BATCH           10
#define ARENA_BYTES     ((size_t)64 << 10)
#define YARDSTICK_GROUP 4096

struct options {
    int64_t seconds, body_bytes, in_flight; /* in_flight 0: all of a case */
    const char *directory, *only;           /* only: NULL, or the name of a case */
};

static char body[65536];

static void remove_database(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char name[600];
    for (size_t i = 0; i < SL_COUNT(suffixes); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

/* ---- the bare program ---- */

struct bare {
    sqlite3 *db;
    sqlite3_stmt *insert, *take, *hide, *delete;
    int64_t ids[YARDSTICK_GROUP];
    int64_t body_bytes, clock;
    char path[512];
};

static void must(struct bare *bare, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) {
        (void)fprintf(stderr, "store_bench: %s\n", sqlite3_errmsg(bare->db));
        exit(1);
    }
}

static void sql(struct bare *bare, const char *text)
{
    must(bare, sqlite3_exec(bare->db, text, NULL, NULL, NULL));
}

static sqlite3_stmt *prepared(struct bare *bare, const char *text)
{
    sqlite3_stmt *s = NULL;
    must(bare, sqlite3_prepare_v3(bare->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL));
    return s;
}

static void bare_open(struct bare *bare, const struct options *o)
{
    memset(bare, 0, sizeof(*bare));
    bare->body_bytes = o->body_bytes;
    (void)snprintf(bare->path, sizeof(bare->path), "%s/bare.db", o->directory);
    remove_database(bare->path);
    must(bare,
         sqlite3_open_v2(bare->path, &bare->db,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    sql(bare, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
              "PRAGMA synchronous = FULL; PRAGMA cache_size = -12288; PRAGMA secure_delete = OFF;"
              "CREATE TABLE m (id INTEGER PRIMARY KEY, queue INTEGER, visible_at INTEGER,"
              " receives INTEGER, body TEXT); CREATE INDEX m_due ON m (queue, visible_at)");
    bare->insert = prepared(bare, "INSERT INTO m (queue, visible_at, receives, body)"
                                  " VALUES (1, ?1, 0, ?2)");
    bare->take = prepared(bare, "SELECT id, body FROM m WHERE queue = 1 AND visible_at <= ?1"
                                " ORDER BY visible_at, id LIMIT ?2");
    bare->hide = prepared(bare, "UPDATE m SET visible_at = ?2, receives = receives + 1"
                                " WHERE id = ?1");
    bare->delete = prepared(bare, "DELETE FROM m WHERE id = ?1");
}

static void bare_close(struct bare *bare)
{
    sqlite3_finalize(bare->insert);
    sqlite3_finalize(bare->take);
    sqlite3_finalize(bare->hide);
    sqlite3_finalize(bare->delete);
    sqlite3_close(bare->db);
    remove_database(bare->path);
}

static void bare_insert(struct bare *bare, int64_t count)
{
    sql(bare, "BEGIN IMMEDIATE");
    for (int64_t i = 0; i < count; i++) {
        sqlite3_bind_int64(bare->insert, 1, bare->clock);
        sqlite3_bind_text(bare->insert, 2, body, (int)bare->body_bytes, SQLITE_STATIC);
        must(bare, sqlite3_step(bare->insert));
        must(bare, sqlite3_reset(bare->insert));
    }
    sql(bare, "COMMIT");
}

/* One commit hides them, another deletes them. */
static int64_t bare_take(struct bare *bare, int64_t count)
{
    int64_t found = 0;
    sql(bare, "BEGIN IMMEDIATE");
    sqlite3_bind_int64(bare->take, 1, bare->clock);
    sqlite3_bind_int64(bare->take, 2, count);
    while (sqlite3_step(bare->take) == SQLITE_ROW) {
        char *copy = mem_dup(sqlite3_column_blob(bare->take, 1),
                             (size_t)sqlite3_column_bytes(bare->take, 1));
        free(copy);
        bare->ids[found++] = sqlite3_column_int64(bare->take, 0);
    }
    must(bare, sqlite3_reset(bare->take));
    for (int64_t i = 0; i < found; i++) {
        sqlite3_bind_int64(bare->hide, 1, bare->ids[i]);
        sqlite3_bind_int64(bare->hide, 2, bare->clock + 30000);
        must(bare, sqlite3_step(bare->hide));
        must(bare, sqlite3_reset(bare->hide));
    }
    sql(bare, "COMMIT");
    sql(bare, "BEGIN IMMEDIATE");
    for (int64_t i = 0; i < found; i++) {
        sqlite3_bind_int64(bare->delete, 1, bare->ids[i]);
        must(bare, sqlite3_step(bare->delete));
        must(bare, sqlite3_reset(bare->delete));
    }
    sql(bare, "COMMIT");
    return found;
}

static double bare_send_rate(const struct options *o, double per_commit)
{
    struct bare bare;
    int64_t group = per_commit < 1 ? 1 : (int64_t)(per_commit + 0.5);
    int64_t count = 0;
    bare_open(&bare, o);
    mono_ns start = loop_now();
    mono_ns end = start + o->seconds * NS_PER_S;
    for (; loop_now() < end; count += group) {
        bare.clock = loop_wall();
        bare_insert(&bare, group);
    }
    double rate = (double)count * 1e9 / (double)(loop_now() - start);
    bare_close(&bare);
    return rate;
}

static double bare_take_rate(const struct options *o, double per_commit, int64_t backlog)
{
    struct bare bare;
    int64_t group = per_commit < 1 ? 1 : (int64_t)(per_commit + 0.5);
    int64_t count = 0;
    bare_open(&bare, o);
    bare.clock = loop_wall();
    for (int64_t i = 0; i < backlog; i += 1000) {
        bare_insert(&bare, 1000);
    }
    mono_ns start = loop_now();
    mono_ns end = start + o->seconds * NS_PER_S;
    while (loop_now() < end) {
        int64_t found = bare_take(&bare, group);
        count += found;
        if (found == 0) {
            break;
        }
    }
    double rate = (double)count * 1e9 / (double)(loop_now() - start);
    bare_close(&bare);
    return rate;
}

/* ---- the store ---- */

struct bench;
struct lane { /* one caller: its next operation follows the answer of the last */
    struct bench *bench;
    struct store_request request;
    struct store_hold hold;
    struct store_settle settles[BATCH];
    uint32_t settles_left;
    struct arena arena;
    struct sqs_handle_batch_in delete;
    struct sqs_handle_entry entries[BATCH];
    char handles[BATCH][64];
};

enum work { WORK_SEND, WORK_SEND_BATCH, WORK_RECEIVE, WORK_HOLD };

struct bench {
    struct loop *loop;
    struct store *store;
    enum work work;
    struct sqs_send_message_in send;
    struct sqs_send_batch_in send_batch;
    struct sqs_send_entry batch[BATCH];
    struct sqs_receive_in receive;
    struct lane lanes[WINDOW_MAX];
    uint32_t running;
    int64_t messages;
    mono_ns end;
    bool closed, empty;
};

static void lane_next(struct lane *lane);

static void on_deleted(void *context, struct store_request *request)
{
    struct lane *lane = context;
    lane->bench->messages += lane->delete.entries.count;
    if (request->error.code != SQS_OK) {
        (void)fprintf(stderr, "store_bench: %s\n", request->error.message);
        exit(1);
    }
    lane_next(lane);
}

static void on_answer(void *context, struct store_request *request)
{
    struct lane *lane = context;
    struct bench *bench = lane->bench;
    if (request->error.code != SQS_OK) {
        (void)fprintf(stderr, "store_bench: %s\n", request->error.message);
        exit(1);
    }
    if (bench->work != WORK_RECEIVE) {
        bench->messages += bench->work == WORK_SEND ? 1 : BATCH;
        lane_next(lane);
        return;
    }
    const struct sqs_receive_out *out = request->output;
    if (out->messages.count == 0) {
        bench->empty = true;
        bench->running--;
        return;
    }
    lane->delete = (struct sqs_handle_batch_in){
        .queue_url = STR("jobs"),
        .entries = {.items = lane->entries, .count = out->messages.count, .set = true},
    };
    static const char *const ids[BATCH] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    for (uint32_t i = 0; i < out->messages.count; i++) {
        str_copy(lane->handles[i], sizeof(lane->handles[i]), out->messages.items[i].receipt_handle);
        lane->entries[i] = (struct sqs_handle_entry){.id = str_from(ids[i]),
                                                     .receipt_handle = str_from(lane->handles[i])};
    }
    arena_done(&lane->arena);
    arena_init(&lane->arena, ARENA_BYTES);
    request->action = SQS_DELETE_MESSAGE_BATCH;
    request->input = &lane->delete;
    request->done = on_deleted;
    store_submit(bench->store, request);
}

static void on_settled(void *context, struct store_settle *settle)
{
    struct lane *lane = context;
    if (settle->error != 0) {
        (void)fprintf(stderr, "store_bench: %s\n", err_text(settle->error));
        exit(1);
    }
    lane->bench->messages++;
    if (--lane->settles_left == 0) {
        lane_next(lane);
    }
}

static void on_hold(void *context, struct store_hold *hold)
{
    struct lane *lane = context;
    if (hold->count == 0) { /* canceled at the end */
        lane->bench->running--;
        return;
    }
    lane->settles_left = hold->count;
    for (uint32_t i = 0; i < hold->count; i++) {
        lane->settles[i] = (struct store_settle){
            .queue = hold->queue,
            .row_id = hold->messages[i].row_id,
            .done = on_settled,
            .context = lane,
        };
        store_settle(lane->bench->store, &lane->settles[i]);
    }
}

static void lane_next(struct lane *lane)
{
    static const enum sqs_action actions[] = {SQS_SEND_MESSAGE, SQS_SEND_MESSAGE_BATCH,
                                              SQS_RECEIVE_MESSAGE};
    struct bench *bench = lane->bench;
    if (loop_now() >= bench->end || bench->empty) {
        bench->running--;
        return;
    }
    arena_done(&lane->arena);
    arena_init(&lane->arena, ARENA_BYTES);
    if (bench->work == WORK_HOLD) {
        lane->hold = (struct store_hold){.queue = STR("jobs"),
                                         .max = BATCH,
                                         .arena = &lane->arena,
                                         .done = on_hold,
                                         .context = lane};
        store_hold(bench->store, &lane->hold);
        return;
    }
    const void *const inputs[] = {&bench->send, &bench->send_batch, &bench->receive};
    lane->request = (struct store_request){
        .action = actions[bench->work],
        .input = inputs[bench->work],
        .endpoint = STR("http://localhost"),
        .arena = &lane->arena,
        .wall = loop_wall(),
        .done = on_answer,
        .context = lane,
    };
    store_submit(bench->store, &lane->request);
}

/* Runs the work with so many lanes; the rate, and messages per commit in *ret_per_commit. A receive
 * is two commits' worth of work, so its messages count twice there. */
static double store_rate(struct bench *bench, enum work work, uint32_t lanes, mono_ns end,
                         double *ret_per_commit)
{
    struct store_stats before;
    struct store_stats after;
    bench->work = work;
    bench->end = end;
    bench->messages = 0;
    bench->empty = false;
    store_stats(bench->store, &before);
    mono_ns start = loop_now();
    bench->running = lanes;
    for (uint32_t i = 0; i < lanes; i++) {
        bench->lanes[i].bench = bench;
        lane_next(&bench->lanes[i]);
    }
    while (bench->running > 0) {
        uv_run(loop_uv(bench->loop), UV_RUN_ONCE);
    }
    double took = (double)(loop_now() - start);
    store_stats(bench->store, &after);
    double passes = work == WORK_RECEIVE || work == WORK_HOLD ? 2.0 : 1.0;
    double commits = (double)(after.commits - before.commits);
    *ret_per_commit = passes * (double)bench->messages / (commits > 0 ? commits : 1);
    return (double)bench->messages * 1e9 / took;
}

static void fill_backlog(struct bench *bench, int64_t messages)
{
    double unused;
    for (int64_t sent = 0; sent < messages; sent += bench->messages) {
        (void)store_rate(bench, WORK_SEND_BATCH, 64, loop_now() + NS_PER_S / 4, &unused);
    }
}

static void on_created(void *context, struct store_request *request)
{
    (void)request;
    *(bool *)context = true;
}

static void on_closed(void *context)
{
    ((struct bench *)context)->closed = true;
}

static void bench_open(struct bench *bench, const struct options *o)
{
    char path[512];
    struct error e;
    bool created = false;
    struct arena arena;
    memset(bench, 0, sizeof(*bench));
    bench->loop = loop_new();
    (void)snprintf(path, sizeof(path), "%s/store.db", o->directory);
    remove_database(path);
    const struct store_config config = {
        .path = path, .region = STR("us-east-1"), .account = STR("000000000000")};
    if (store_open(bench->loop, &config, &bench->store, &e) != 0) {
        (void)fprintf(stderr, "store_bench: %s\n", e.text);
        exit(1);
    }
    bench->send = (struct sqs_send_message_in){.queue_url = STR("jobs"),
                                               .entry = {.body = {body, (size_t)o->body_bytes}}};
    static const char *const ids[BATCH] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    for (int i = 0; i < BATCH; i++) {
        bench->batch[i] = bench->send.entry;
        bench->batch[i].id = str_from(ids[i]);
    }
    bench->send_batch = (struct sqs_send_batch_in){
        .queue_url = STR("jobs"), .entries = {.items = bench->batch, .count = BATCH, .set = true}};
    bench->receive =
        (struct sqs_receive_in){.queue_url = STR("jobs"), .max_messages = {true, BATCH}};
    struct sqs_create_queue_in create = {.queue_name = STR("jobs")};
    arena_init(&arena, ARENA_BYTES);
    struct store_request request = {.action = SQS_CREATE_QUEUE,
                                    .input = &create,
                                    .endpoint = STR("http://localhost"),
                                    .arena = &arena,
                                    .done = on_created,
                                    .context = &created};
    store_submit(bench->store, &request);
    while (!created) {
        uv_run(loop_uv(bench->loop), UV_RUN_ONCE);
    }
    arena_done(&arena);
}

static void bench_close(struct bench *bench, const struct options *o)
{
    char path[512];
    store_close(bench->store, on_closed, bench);
    while (!bench->closed) {
        uv_run(loop_uv(bench->loop), UV_RUN_ONCE);
    }
    for (int i = 0; i < WINDOW_MAX; i++) {
        arena_done(&bench->lanes[i].arena);
    }
    loop_stop(bench->loop);
    (void)loop_run(bench->loop);
    loop_free(bench->loop);
    (void)snprintf(path, sizeof(path), "%s/store.db", o->directory);
    remove_database(path);
}

static void report(const char *name, uint32_t lanes, double rate, double per_commit, double bare)
{
    (void)printf("%-22s %4" PRIu32 " in flight: %8.0f /s  %6.1f per commit   bare %8.0f /s   "
                 "ratio %.2f\n",
                 name, lanes, rate, per_commit, bare, rate / bare);
    (void)fflush(stdout);
}

struct bench_case {
    const char *name;
    enum work work;
    uint32_t lanes;
};

static bool is_wanted(const struct options *o, const struct bench_case *c)
{
    return (o->only == NULL || strcmp(o->only, c->name) == 0) &&
           (o->in_flight == 0 || o->in_flight == c->lanes);
}

static void run_case(struct bench *bench, const struct options *o, const struct bench_case *c)
{
    int64_t backlog = 60000 * o->seconds;
    bool takes = c->work == WORK_RECEIVE || c->work == WORK_HOLD;
    double per_commit = 0;
    if (takes) {
        fill_backlog(bench, backlog);
    }
    mono_ns end = loop_now() + o->seconds * NS_PER_S;
    double rate = store_rate(bench, c->work, c->lanes, end, &per_commit);
    double bare = takes ? bare_take_rate(o, per_commit, backlog) : bare_send_rate(o, per_commit);
    report(c->name, c->lanes, rate, per_commit, bare);
}

static const struct bench_case cases[] = {
    {"send", WORK_SEND, 1},
    {"send", WORK_SEND, 10},
    {"send", WORK_SEND, 64},
    {"send", WORK_SEND, 256},
    {"send-batch", WORK_SEND_BATCH, 1},
    {"send-batch", WORK_SEND_BATCH, 16},
    {"receive-delete", WORK_RECEIVE, 1},
    {"receive-delete", WORK_RECEIVE, 16},
    {"hold-settle", WORK_HOLD, 1},
    {"hold-settle", WORK_HOLD, 16},
};

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"seconds", required_argument, NULL, 's'},   {"body-bytes", required_argument, NULL, 'b'},
        {"directory", required_argument, NULL, 'd'}, {"case", required_argument, NULL, 'c'},
        {"in-flight", required_argument, NULL, 'i'}, {NULL, 0, NULL, 0}};
    static struct bench bench;
    struct options o = {.seconds = 2, .body_bytes = 512, .directory = "."};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        int rc = option == '?' ? ERR_INVALID : 0;
        if (option == 's') {
            rc = str_to_i64(str_from(optarg), 1, 600, &o.seconds);
        } else if (option == 'b') {
            rc = str_to_i64(str_from(optarg), 1, sizeof(body), &o.body_bytes);
        } else if (option == 'd') {
            o.directory = optarg;
        } else if (option == 'c') {
            o.only = optarg;
        } else if (option == 'i') {
            rc = str_to_i64(str_from(optarg), 1, WINDOW_MAX, &o.in_flight);
        }
        if (rc != 0) {
            (void)fprintf(stderr, "usage: store_bench [--seconds N] [--body-bytes N]"
                                  " [--directory DIR] [--case NAME] [--in-flight N]\n");
            return 2;
        }
    }
    memset(body, 'x', sizeof(body));
    bench_open(&bench, &o);
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        if (is_wanted(&o, &cases[i])) {
            run_case(&bench, &o, &cases[i]);
        }
    }
    bench_close(&bench, &o);
    return 0;
}
