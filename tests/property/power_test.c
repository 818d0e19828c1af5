/*
 * Power loss: random operations on an engine whose disk loses, at a random moment, a random part of
 * what was written and not synced. What is on the disk then must be, table by table and byte by
 * byte, what the last commit left, or what the commit under way was about to leave: nothing
 * acknowledged is lost, nothing deleted is back, nothing rolled back is there. And the file is
 * sound, its queues open, their counters are right.
 *
 * Prints its seed; SLUICE_SEED repeats a run, SLUICE_CUTS sets the number of cuts.
 */
#include "support/power_vfs.h"
#include "support/queue_kit.h"

#include "sluice/runtime/log.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <time.h>

#define CUTS         400 /* under the sanitizers; thousands in an optimised build */
#define CUTS_TO_LOSE 400
#define NUMBERS_MAX  (1 << 20)
#define HANDLES_MAX  64
#define HELD_MAX     32
#define CHANGES_MAX  512
#define LIVE_MAX     50 /* a queue that has more is purged */
#define BODY_MAX     30000
#define LIFE_MAX     12 /* transactions of an engine that nothing cuts off */

#define GROUPS        4
#define REMEMBERED_MS 290000 /* of the five minutes that a deduplication id is remembered */

enum { QUEUES = 4 };
struct kind {
    const char *name;
    bool fifo, groups;
};
static const struct kind kinds[QUEUES] = {{"plain", false, false},
                                          {"other", false, false},
                                          {"tenants", false, true},
                                          {"line.fifo", true, true}};
static const char *const group_names[GROUPS] = {"a", "b", "c", "d"};

struct change {
    int number;
    bool live;
};

struct run {
    struct kit kit;
    struct rng rng;
    uint64_t seed;
    int synchronous; /* as PRAGMA synchronous has it */
    /* what was acknowledged */
    bool *live; /* by number, which is the start of the body */
    int *queue_of;
    int64_t *sent_at; /* acknowledged then; 0: not yet */
    int next_number;
    int oldest_number[QUEUES]; /* sent to the queue of today, and not purged since */
    bool exists[QUEUES];
    uint64_t hash;
    /* what the transaction under way would change */
    struct change changes[CHANGES_MAX];
    int change_count;
    bool next_exists[QUEUES];
    uint64_t next_hash; /* 0: it has not come to its commit */
    /* in hand */
    struct str handles[HANDLES_MAX];
    int handle_queues[HANDLES_MAX], handle_numbers[HANDLES_MAX];
    int handle_count;
    int64_t held_rows[HELD_MAX];
    int held_queues[HELD_MAX], held_numbers[HELD_MAX];
    int held_count;
    char body[BODY_MAX + 1];
    int64_t commits, rollbacks, clean_ends, opens_cut, completed, again;
    char failure[640];
};

static int64_t pick(struct run *run, int64_t min, int64_t max)
{
    return rng_between(&run->rng, min, max);
}

/* ---- all of a file in one number ---- */

/* What is held counts as released: the next open does that. What a clean end leaves is not content,
 * and the clock goes with the commit itself. */
static const char content_of_messages[] =
    "SELECT id, lane, iif(visible_at >= 70368744177664, enqueued_at, visible_at), receive_count,"
    " token, received_at, first_received_at, enqueued_at, sent_at, group_key, message_id, source,"
    " group_id, deduplication_id, trace_header, attributes, body FROM messages ORDER BY id";

static const char *const tables[] = {
    content_of_messages,
    "SELECT * FROM queues ORDER BY id",
    "SELECT * FROM queue_attributes ORDER BY queue_id, name",
    "SELECT * FROM queue_tags ORDER BY queue_id, name",
    "SELECT * FROM spaces ORDER BY id",
    "SELECT id, space, name FROM groups ORDER BY id",
    "SELECT * FROM recents ORDER BY id",
    "SELECT * FROM move_tasks ORDER BY id",
};

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        p += 8;
        len -= 8;
    }
    for (; len > 0; len--, p++) {
        hash = (hash ^ *p) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t hash_row(uint64_t hash, sqlite3_stmt *s)
{
    for (int i = 0; i < sqlite3_column_count(s); i++) {
        int type = sqlite3_column_type(s, i);
        if (type == SQLITE_INTEGER) {
            int64_t value = sqlite3_column_int64(s, i);
            hash = mix(hash, &value, sizeof(value));
            continue;
        }
        const void *bytes = sqlite3_column_blob(s, i);
        int len = sqlite3_column_bytes(s, i);
        hash = mix(hash, &type, sizeof(type));
        hash = mix(hash, &len, sizeof(len));
        hash = mix(hash, bytes, (size_t)len);
    }
    return hash;
}

/* 0: it cannot be read. */
static uint64_t hash_file(sqlite3 *handle)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < SL_COUNT(tables); i++) {
        sqlite3_stmt *s = NULL;
        int rc = sqlite3_prepare_v2(handle, tables[i], -1, &s, NULL);
        while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
            hash = hash_row(hash, s);
            rc = SQLITE_OK;
        }
        (void)sqlite3_finalize(s);
        if (rc != SQLITE_DONE) {
            return 0;
        }
        hash = mix(hash, &i, sizeof(i));
    }
    return hash == 0 ? 1 : hash;
}

/* ---- operations, inside a transaction ---- */

/* The number that a body begins with. */
static int number_in(struct str body)
{
    int number = 0;
    for (size_t i = 0; i < body.len && body.ptr[i] >= '0' && body.ptr[i] <= '9'; i++) {
        number = 10 * number + (body.ptr[i] - '0');
    }
    return number;
}

static void change(struct run *run, int number, bool live)
{
    SL_ASSERT(run->change_count < CHANGES_MAX);
    run->changes[run->change_count++] = (struct change){number, live};
}

static int act(struct run *run, enum sqs_action action, const void *input)
{
    struct kit *kit = &run->kit;
    kit->request = (struct store_request){
        .action = action,
        .input = input,
        .endpoint = STR(KIT_ENDPOINT),
        .arena = &kit->arena,
        .wall = KIT_WALL + kit->now_ms,
    };
    return engine_run(&kit->engine, &kit->request);
}

/* Sent first or again, a number has the same body, group and deduplication id. */
static struct sqs_send_entry entry_of_number(struct run *run, int number)
{
    const struct kind *kind = &kinds[run->queue_of[number]];
    int len = snprintf(run->body, 16, "%d ", number);
    run->body[len] = 'b';
    len += number % 25 == 0 ? number * 7919 % (BODY_MAX - 16) : number % 200;
    struct sqs_send_entry entry = {
        .id = kit_text(&run->kit, "e"),
        .body = {arena_dup(&run->kit.arena, run->body, (size_t)len), (size_t)len},
    };
    if (kind->groups) {
        entry.group_id = str_from(group_names[number % GROUPS]);
    }
    if (kind->fifo) {
        char id[16];
        (void)snprintf(id, sizeof(id), "%d", number);
        entry.deduplication_id = kit_text(&run->kit, id);
    }
    return entry;
}

static struct sqs_send_entry entry_of(struct run *run, int queue)
{
    int number = run->next_number++;
    SL_ASSERT(number < NUMBERS_MAX);
    run->queue_of[number] = queue;
    change(run, number, true);
    struct sqs_send_entry entry = entry_of_number(run, number);
    if (!kinds[queue].fifo && pick(run, 0, 4) == 0) {
        entry.delay_seconds.set = true;
        entry.delay_seconds.value = pick(run, 0, 3);
    }
    return entry;
}

static int do_send(struct run *run, int queue)
{
    const struct sqs_send_message_in in = {.queue_url = kit_url(&run->kit, kinds[queue].name),
                                           .entry = entry_of(run, queue)};
    int rc = act(run, SQS_SEND_MESSAGE, &in);
    SL_ASSERT(rc != 0 || run->kit.request.error.code == SQS_OK);
    return rc;
}

static int do_send_batch(struct run *run, int queue)
{
    static const char *const ids[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    struct sqs_send_entry entries[10];
    struct sqs_send_batch_in in = {.queue_url = kit_url(&run->kit, kinds[queue].name)};
    in.entries.items = entries;
    in.entries.count = (uint32_t)pick(run, 1, 10);
    for (uint32_t i = 0; i < in.entries.count; i++) {
        entries[i] = entry_of(run, queue);
        entries[i].id = str_from(ids[i]);
    }
    int rc = act(run, SQS_SEND_MESSAGE_BATCH, &in);
    const struct sqs_send_batch_out *out = run->kit.request.output;
    SL_ASSERT(rc != 0 || (out != NULL && out->failed.count == 0));
    return rc;
}

static int do_receive(struct run *run, int queue)
{
    const struct sqs_receive_in in = {
        .queue_url = kit_url(&run->kit, kinds[queue].name),
        .max_messages = {true, pick(run, 1, 10)},
        .visibility_timeout = {true, pick(run, 0, 5)},
    };
    int rc = act(run, SQS_RECEIVE_MESSAGE, &in);
    const struct sqs_receive_out *out = run->kit.request.output;
    for (uint32_t i = 0; rc == 0 && out != NULL && i < out->messages.count; i++) {
        int at = run->handle_count < HANDLES_MAX ? run->handle_count++
                                                 : (int)pick(run, 0, HANDLES_MAX - 1);
        run->handles[at] = out->messages.items[i].receipt_handle;
        run->handle_queues[at] = queue;
        run->handle_numbers[at] = number_in(out->messages.items[i].body);
    }
    return rc;
}

/* What was acknowledged and is remembered makes no second message. */
static int do_send_again(struct run *run, int queue)
{
    int number = run->next_number - 1 - (int)pick(run, 0, 40);
    if (!kinds[queue].fifo || number < run->oldest_number[queue] ||
        run->queue_of[number] != queue || run->sent_at[number] == 0 ||
        run->kit.now_ms - run->sent_at[number] > REMEMBERED_MS) {
        return 0;
    }
    const struct sqs_send_message_in in = {.queue_url = kit_url(&run->kit, kinds[queue].name),
                                           .entry = entry_of_number(run, number)};
    int rc = act(run, SQS_SEND_MESSAGE, &in);
    SL_ASSERT(rc != 0 || run->kit.request.error.code == SQS_OK);
    run->again++;
    return rc;
}

/* Whether a delete took its message shows in the counter of deleted ones. */
static int do_delete(struct run *run, int queue)
{
    (void)queue;
    if (run->handle_count == 0) {
        return 0;
    }
    int at = (int)pick(run, 0, run->handle_count - 1);
    const char *name = kinds[run->handle_queues[at]].name;
    const struct queue *q = engine_queue(&run->kit.engine, str_from(name));
    if (q == NULL) {
        return 0;
    }
    uint64_t before = q->state.deleted;
    const struct sqs_handle_in in = {.queue_url = kit_url(&run->kit, name),
                                     .entry = {.receipt_handle = run->handles[at]}};
    int rc = act(run, SQS_DELETE_MESSAGE, &in);
    if (rc == 0 && q->state.deleted > before) {
        change(run, run->handle_numbers[at], false);
    }
    return rc;
}

static int do_change(struct run *run, int queue)
{
    (void)queue;
    if (run->handle_count == 0) {
        return 0;
    }
    int at = (int)pick(run, 0, run->handle_count - 1);
    const struct sqs_handle_in in = {
        .queue_url = kit_url(&run->kit, kinds[run->handle_queues[at]].name),
        .entry = {.receipt_handle = run->handles[at],
                  .visibility_timeout = {true, pick(run, 0, 9)}},
    };
    return act(run, SQS_CHANGE_MESSAGE_VISIBILITY, &in);
}

static int do_hold(struct run *run, int queue)
{
    struct store_hold hold = {
        .queue = str_from(kinds[queue].name),
        .max = (uint32_t)pick(run, 1, 4),
        .arena = &run->kit.arena,
    };
    int rc = engine_hold(&run->kit.engine, &hold);
    for (uint32_t i = 0; rc == 0 && i < hold.count && run->held_count < HELD_MAX; i++) {
        int at = run->held_count++;
        run->held_rows[at] = hold.messages[i].row_id;
        run->held_queues[at] = queue;
        run->held_numbers[at] = number_in(hold.messages[i].body);
    }
    return rc;
}

static int do_settle(struct run *run, int queue)
{
    (void)queue;
    if (run->held_count == 0) {
        return 0;
    }
    int at = (int)pick(run, 0, run->held_count - 1);
    struct store_settle settle = {
        .queue = str_from(kinds[run->held_queues[at]].name),
        .row_id = run->held_rows[at],
        .how = pick(run, 0, 1) == 0 ? STORE_SETTLE_DELETE : STORE_SETTLE_RELEASE,
        .delay_ms = 1000 * pick(run, 0, 2),
        .uncount = pick(run, 0, 1) == 0,
    };
    int rc = engine_settle(&run->kit.engine, &settle);
    if (rc == 0 && settle.error == 0 && settle.how == STORE_SETTLE_DELETE) {
        change(run, run->held_numbers[at], false);
    }
    run->held_count--;
    run->held_rows[at] = run->held_rows[run->held_count];
    run->held_queues[at] = run->held_queues[run->held_count];
    run->held_numbers[at] = run->held_numbers[run->held_count];
    return rc;
}

/* All that is in the queue, with what this transaction did before. */
static void change_all(struct run *run, int queue)
{
    int changes = run->change_count;
    run->oldest_number[queue] = run->next_number;
    for (int i = run->next_number - 1; i >= 0 && run->change_count < CHANGES_MAX; i--) {
        if (run->live[i] && run->queue_of[i] == queue) {
            change(run, i, false);
        }
    }
    for (int i = 0; i < changes; i++) {
        if (run->queue_of[run->changes[i].number] == queue) {
            change(run, run->changes[i].number, false);
        }
    }
}

static int do_purge(struct run *run, int queue)
{
    const struct sqs_queue_in in = {.queue_url = kit_url(&run->kit, kinds[queue].name)};
    int rc = act(run, SQS_PURGE_QUEUE, &in);
    change_all(run, queue);
    return rc;
}

static int do_delete_queue(struct run *run, int queue)
{
    const struct sqs_queue_in in = {.queue_url = kit_url(&run->kit, kinds[queue].name)};
    int rc = act(run, SQS_DELETE_QUEUE, &in);
    change_all(run, queue);
    run->next_exists[queue] = false;
    return rc;
}

static int do_create_queue(struct run *run, int queue)
{
    struct sqs_pair pairs[] = {{STR("MessageRetentionPeriod"), STR("1209600")},
                               {STR("FifoQueue"), STR("true")}};
    const struct sqs_create_queue_in in = {
        .queue_name = kit_text(&run->kit, kinds[queue].name),
        .attributes = {.items = pairs, .count = kinds[queue].fifo ? 2 : 1, .set = true},
    };
    int rc = act(run, SQS_CREATE_QUEUE, &in);
    SL_ASSERT(rc != 0 || run->kit.request.error.code == SQS_OK);
    run->next_exists[queue] = true;
    return rc;
}

static int do_reap(struct run *run, int queue)
{
    (void)queue;
    return engine_reap(&run->kit.engine, pick(run, 1, 200));
}

static int do_sweep(struct run *run, int queue)
{
    (void)queue;
    return engine_sweep(&run->kit.engine);
}

static const struct {
    int (*run)(struct run *run, int queue);
    int weight;
} operations[] = {
    {do_send, 20},        {do_send_batch, 10}, {do_receive, 14}, {do_delete, 30},
    {do_change, 8},       {do_hold, 6},        {do_settle, 10},  {do_purge, 1},
    {do_delete_queue, 1}, {do_reap, 20},       {do_sweep, 2},    {do_send_again, 12},
};

static uint64_t messages_in(struct run *run, int queue)
{
    const struct queue *q = engine_queue(&run->kit.engine, str_from(kinds[queue].name));
    return q == NULL ? 0 : queue_total(q);
}

static int do_one(struct run *run)
{
    int queue = (int)pick(run, 0, QUEUES - 1);
    if (!run->next_exists[queue]) {
        return do_create_queue(run, queue);
    }
    if (messages_in(run, queue) > LIVE_MAX) {
        return do_purge(run, queue);
    }
    int64_t sum = 0;
    for (size_t i = 0; i < SL_COUNT(operations); i++) {
        sum += operations[i].weight;
    }
    int64_t at = pick(run, 0, sum - 1);
    size_t i = 0;
    while (at >= operations[i].weight) {
        at -= operations[i++].weight;
    }
    return operations[i].run(run, queue);
}

/* ---- transactions ---- */

static void acknowledge(struct run *run)
{
    for (int i = 0; i < run->change_count; i++) {
        int number = run->changes[i].number;
        run->live[number] = run->changes[i].live;
        run->sent_at[number] = run->sent_at[number] != 0 ? run->sent_at[number] : run->kit.now_ms;
    }
    memcpy(run->exists, run->next_exists, sizeof(run->exists));
    run->hash = run->next_hash;
    run->change_count = 0;
    run->next_hash = 0;
}

static void take_back(struct run *run)
{
    memcpy(run->next_exists, run->exists, sizeof(run->exists));
    run->change_count = 0;
    run->next_hash = 0;
    run->handle_count = 0; /* some of them were never given out */
    run->held_count = 0;
}

/* False when the power failed. */
static bool transaction(struct run *run)
{
    struct engine *engine = &run->kit.engine;
    run->kit.now_ms += pick(run, 0, 3) == 0 ? pick(run, 0, 60000) : pick(run, 0, 700);
    int rc = engine_begin(engine, kit_lease_ms(&run->kit), KIT_WALL + run->kit.now_ms);
    if (rc != 0) {
        return false;
    }
    for (int64_t n = pick(run, 1, 6); n > 0 && rc == 0; n--) {
        rc = do_one(run);
    }
    if (rc != 0 || pick(run, 0, 9) == 0) {
        engine_rollback(engine);
        take_back(run);
        run->rollbacks++;
        return rc == 0 && !power.dead;
    }
    run->next_hash = hash_file(engine->db.handle);
    if (run->next_hash == 0 || engine_commit(engine) != 0) {
        return false;
    }
    acknowledge(run);
    run->commits++;
    return true;
}

/* ---- what the disk has ---- */

static bool found(struct run *run, const char *what, const char *detail)
{
    (void)snprintf(run->failure, sizeof(run->failure), "%s: %s", what, detail);
    return false;
}

static bool is_intact(struct run *run, sqlite3 *handle)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(handle, "PRAGMA integrity_check", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW;
    const char *text = ok ? (const char *)sqlite3_column_text(s, 0) : NULL;
    ok = text != NULL && strcmp(text, "ok") == 0;
    if (!ok) {
        (void)found(run, "integrity", text != NULL ? text : sqlite3_errmsg(handle));
    }
    (void)sqlite3_finalize(s);
    return ok;
}

/* The bodies against what was acknowledged, by a way of its own. */
static bool bodies_agree(struct run *run, sqlite3 *handle)
{
    static const char sql[] = "SELECT body FROM messages WHERE id >> 40 IN"
                              " (SELECT id FROM spaces WHERE queue_id IS NOT NULL)";
    sqlite3_stmt *s = NULL;
    int there = 0;
    bool ok = sqlite3_prepare_v2(handle, sql, -1, &s, NULL) == SQLITE_OK;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        int number = number_in(db_column(s, 0));
        ok = number < run->next_number && run->live[number];
        there++;
    }
    (void)sqlite3_finalize(s);
    if (!ok) {
        return found(run, "bodies", "a deleted message is back");
    }
    for (int i = 0; i < run->next_number; i++) {
        there -= run->live[i];
    }
    return there == 0 || found(run, "bodies", "an acknowledged message is lost, or there twice");
}

/* I7: a group's messages lie in the order they were sent in. */
static bool order_agrees(struct run *run, sqlite3 *handle)
{
    static const char sql[] = "SELECT group_key, body FROM messages WHERE group_key > 0"
                              " ORDER BY group_key, id";
    sqlite3_stmt *s = NULL;
    int64_t group = 0;
    int last = -1;
    bool ok = sqlite3_prepare_v2(handle, sql, -1, &s, NULL) == SQLITE_OK;
    while (ok && sqlite3_step(s) == SQLITE_ROW) {
        int number = number_in(db_column(s, 1));
        ok = sqlite3_column_int64(s, 0) != group || number > last;
        group = sqlite3_column_int64(s, 0);
        last = number;
    }
    (void)sqlite3_finalize(s);
    return ok || found(run, "order", "of a FIFO group");
}

static bool content_agrees(struct run *run, sqlite3 *handle)
{
    uint64_t hash = hash_file(handle);
    if (hash == run->next_hash && hash != 0) {
        run->completed++;
        acknowledge(run); /* the commit under way was complete on the disk */
    } else if (hash != run->hash) {
        return found(run, "content", "neither before nor after the last commit");
    }
    take_back(run);
    return bodies_agree(run, handle) && order_agrees(run, handle);
}

/* Read through the log, which stays as it is. */
static bool disk_agrees(struct run *run)
{
    sqlite3 *handle = NULL;
    bool ok = sqlite3_open_v2(run->kit.path, &handle, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
              sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) == SQLITE_OK &&
              sqlite3_exec(handle, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON", NULL,
                           NULL, NULL) == SQLITE_OK;
    if (!ok) {
        (void)found(run, "open", sqlite3_errmsg(handle));
    }
    ok = ok && is_intact(run, handle) && content_agrees(run, handle);
    (void)sqlite3_close(handle);
    return ok;
}

/* ---- lives ---- */

static int64_t number_of(struct run *run, const char *sql, int64_t a, int64_t b)
{
    sqlite3_stmt *s = NULL;
    SL_ASSERT(sqlite3_prepare_v2(run->kit.engine.db.handle, sql, -1, &s, NULL) == SQLITE_OK);
    sqlite3_bind_int64(s, 1, a);
    sqlite3_bind_int64(s, 2, b);
    SL_ASSERT(sqlite3_step(s) == SQLITE_ROW);
    int64_t ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return ret;
}

/* Right after a start, whether it counted or not. */
static bool counters_agree(struct run *run)
{
    static const char visible[] = "SELECT count(*) FROM messages WHERE lane IN (?1, -?1)"
                                  " AND visible_at <= ?2";
    static const char leased[] = "SELECT count(*) FROM messages WHERE lane IN (?1, -?1)"
                                 " AND visible_at > ?2 AND receive_count > 0";
    static const char all[] = "SELECT count(*) FROM messages WHERE lane IN (?1, -?1) AND ?2 > 0";
    struct engine *engine = &run->kit.engine;
    LIST_FOR(&engine->queues, node)
    {
        const struct queue *queue = LIST_ENTRY(node, struct queue, node);
        const uint64_t *counts = queue->state.counts;
        int64_t now = queue->state.advanced_to;
        if (counts[QUEUE_HELD] != 0 ||
            (int64_t)counts[QUEUE_VISIBLE] != number_of(run, visible, queue->space, now) ||
            (int64_t)counts[QUEUE_LEASED] != number_of(run, leased, queue->space, now) ||
            (int64_t)queue_total(queue) != number_of(run, all, queue->space, now)) {
            return found(run, "counters", queue->name);
        }
    }
    return true;
}

/* A group is received from when its row says so. */
static bool groups_agree(struct run *run)
{
    static const char wrong[] =
        "SELECT count(*) FROM groups WHERE due_at IS NOT coalesce("
        "(SELECT visible_at FROM messages WHERE group_key = groups.id ORDER BY id LIMIT 1),"
        " (SELECT min(visible_at) FROM messages WHERE group_key = -groups.id))"
        " AND space IN (SELECT id FROM spaces WHERE queue_id IS NOT NULL) AND ?1 = ?2";
    static const char missing[] =
        "SELECT count(*) FROM messages WHERE group_key <> 0 AND abs(group_key) NOT IN"
        " (SELECT id FROM groups) AND id >> 40 IN (SELECT id FROM spaces WHERE queue_id IS NOT "
        "NULL)"
        " AND ?1 = ?2";
    return (number_of(run, wrong, 0, 0) == 0 && number_of(run, missing, 0, 0) == 0) ||
           found(run, "groups", "a row does not fit its messages");
}

static void set_pragmas(struct run *run)
{
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA synchronous = %d", run->synchronous);
    SL_ASSERT(db_exec(&run->kit.engine.db, sql) == 0);
    /* So that cuts fall into checkpoints too. */
    (void)sqlite3_wal_autocheckpoint(run->kit.engine.db.handle, (int)pick(run, 4, 60));
}

/* From a start to a cut or a clean end, and what is on the disk after it. */
static bool life(struct run *run)
{
    static const int64_t spans[] = {12, 100, 400,
                                    1000}; /* calls: at the start, later, at the end */
    struct error e = {.code = 0};
    arena_done(&run->kit.arena);
    arena_init(&run->kit.arena, (size_t)256 << 20);
    run->handle_count = 0;
    run->held_count = 0;
    power_arm(pick(run, 1, spans[pick(run, 0, SL_COUNT(spans) - 1)]));
    if (kit_try_open(&run->kit, &e) != 0) {
        run->opens_cut++;
        if (!power.dead) {
            return found(run, "start", e.text);
        }
    } else {
        if (!power.dead && !(counters_agree(run) && groups_agree(run))) {
            return false;
        }
        set_pragmas(run);
        for (int i = 0; i < LIFE_MAX && transaction(run); i++) {
        }
        bool before_close = power.dead;
        kit_close(&run->kit);
        run->clean_ends += !before_close && !power.dead;
    }
    power_restore();
    return disk_agrees(run);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    int64_t value = 0;
    struct str text = str_from(getenv(name));
    return text.ptr != NULL && str_to_i64(text, 0, INT64_MAX, &value) == 0 ? (uint64_t)value
                                                                           : otherwise;
}

static void run_init(struct run *run, uint64_t seed, int synchronous)
{
    memset(run, 0, sizeof(*run));
    run->seed = seed;
    run->synchronous = synchronous;
    rng_init(&run->rng, seed);
    rng_init(&power.rng, seed + 1);
    run->live = MEM_NEW_ARRAY(NUMBERS_MAX, bool);
    run->queue_of = MEM_NEW_ARRAY(NUMBERS_MAX, int);
    run->sent_at = MEM_NEW_ARRAY(NUMBERS_MAX, int64_t);
    memset(run->body, 'b', BODY_MAX);
    kit_init(&run->kit);
    run->hash = hash_file(run->kit.engine.db.handle);
    kit_close(&run->kit);
}

static void run_done(struct run *run)
{
    kit_close(&run->kit);
    kit_done(&run->kit);
    power_reset();
    free(run->live);
    free(run->queue_of);
    free(run->sent_at);
}

static uint64_t seed_of_run(void)
{
    static uint64_t seed;
    if (seed == 0) {
        struct timespec t;
        (void)clock_gettime(CLOCK_REALTIME, &t);
        seed = number_from_environment("SLUICE_SEED", (uint64_t)t.tv_nsec + 1);
        (void)printf("SLUICE_SEED=%llu\n", (unsigned long long)seed);
    }
    return seed;
}

static struct run run;

static void test_power_cuts(void **state)
{
    int64_t cuts = (int64_t)number_from_environment("SLUICE_CUTS", CUTS);
    (void)state;
    run_init(&run, seed_of_run(), 2);
    power.cuts = power.writes_lost = power.writes_torn = 0;
    while (power.cuts < cuts) {
        if (!life(&run)) {
            fail_msg("%s (SLUICE_SEED=%llu)", run.failure, (unsigned long long)run.seed);
        }
    }
    (void)printf("%lld cuts (%lld at a start, %lld in a commit that was complete), %lld clean ends,"
                 " %lld commits, %lld rollbacks, %lld sent again; %lld writes lost, %lld torn\n",
                 (long long)power.cuts, (long long)run.opens_cut, (long long)run.completed,
                 (long long)run.clean_ends, (long long)run.commits, (long long)run.rollbacks,
                 (long long)run.again, (long long)power.writes_lost, (long long)power.writes_torn);
    assert_true(run.opens_cut > cuts / 100 && run.completed > 0 && run.clean_ends > 0);
    assert_true(run.commits > cuts && run.rollbacks > cuts / 10 && run.again > cuts / 50);
    assert_true(power.writes_lost > cuts / 10 && power.writes_torn > cuts / 10);
    run_done(&run);
}

/* The test can fail: without a sync at each commit, and without any, it finds a loss. */
static void test_without_syncs_something_is_lost(void **state)
{
    (void)state;
    for (int synchronous = 0; synchronous < 2; synchronous++) {
        bool lost = false;
        run_init(&run, seed_of_run(), synchronous);
        power.cuts = 0;
        while (!lost && power.cuts < CUTS_TO_LOSE) {
            lost = !life(&run);
        }
        (void)printf("synchronous = %d: after %lld cuts: %s\n", synchronous, (long long)power.cuts,
                     run.failure);
        assert_true(lost);
        run_done(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_cuts),
        cmocka_unit_test(test_without_syncs_something_is_lost),
    };
    log_init(&(struct log_config){.fd = 2, .level = LOG_LEVEL_WARNING});
    power_install(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
