/*
 * Messages that leave by themselves: dead letters, those that outlived their retention, and those
 * of purged and deleted queues.
 */
#include "engine_internal.h"

#include "attribute_blob.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MAX_BYTES 8192
#define MARK_MAX_BYTES  ((size_t)4 << 20) /* a row's attributes, before and after */
#define SWEEP_ROWS      256               /* per queue and transaction */
#define SPARE_PAGES     2048              /* free pages that stay: 16 MiB */
#define SWEEP_EVERY_MS  1000 /* a receive checks retention exactly; the sweep may be this late */

struct queue *engine_dead_letter_queue(struct engine *engine, const struct queue *queue)
{
    if (queue->definition->dead_letter[0] == '\0') {
        return NULL;
    }
    struct queue *to = engine_queue(engine, str_from(queue->definition->dead_letter));
    return to == queue ? NULL : to;
}

/* What a message that goes to another queue is called there. */
struct move_names {
    int64_t row_id;
    uint8_t message_id[16];
    struct str group, deduplication_id; /* in the arena */
    struct arena arena;
};

static int read_names(struct engine *engine, const struct engine_move *move, struct move_names *ret)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_NAMES);
    sqlite3_bind_int64(s, 1, move->row_id);
    int rc = db_step(s);
    if (rc != 1) {
        return rc == 0 ? ERR_CORRUPT : rc;
    }
    struct str id = db_column(s, 0);
    if (id.len == sizeof(ret->message_id)) {
        memcpy(ret->message_id, id.ptr, sizeof(ret->message_id));
    }
    struct str group = db_column(s, 1);
    struct str text = engine_message_id(&ret->arena, ret->message_id);
    ret->group = engine_text(&ret->arena, "%.*s", STR_FMT(group.len > 0 ? group : text));
    /* A dead letter of a FIFO queue is known by its message id. */
    ret->deduplication_id = move->to->fifo ? text : STR_NONE;
    db_reset(s);
    return text.ptr == NULL || ret->group.ptr == NULL ? ERR_NOMEM : 0;
}

static int write_move(struct engine *engine, const struct engine_move *move,
                      const struct row_state *is, struct move_names *names)
{
    struct queue *to = move->to;
    sqlite3_stmt *s =
        db_use(&engine->db, move->renew ? STATEMENT_MESSAGE_RENEW : STATEMENT_MESSAGE_MOVE);
    sqlite3_bind_int64(s, 1, move->row_id);
    sqlite3_bind_int64(s, 2, names->row_id);
    sqlite3_bind_int64(s, 3, queue_lane(to, is->group_key));
    sqlite3_bind_int64(s, 4, is->visible_at);
    sqlite3_bind_int64(s, 5, is->enqueued_at);
    db_bind_str(s, 6, move->renew ? STR_NONE : queue_name(move->from));
    sqlite3_bind_int64(s, 7, engine_token(engine));
    sqlite3_bind_int64(s, 8, is->group_key);
    db_bind_str(s, 9, names->deduplication_id);
    if (move->renew) {
        engine_random_id(engine, names->message_id);
        db_bind_blob(s, 10, (struct str){(const char *)names->message_id, 16});
        sqlite3_bind_int64(s, 11, engine->wall);
    }
    return db_run(s);
}

/* Reads what the row says (copied: the statement ends), and writes that with the marks. */
static int mark_row(struct engine *engine, const struct engine_move *move, struct arena *arena)
{
    struct str blob;
    struct sqs_attributes attributes;
    size_t most = (size_t)move->to->definition->max_message_bytes;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_SAID);
    sqlite3_bind_int64(s, 1, move->row_id);
    int rc = db_step(s);
    if (rc != 1) {
        return rc == 0 ? ERR_CORRUPT : rc;
    }
    blob = db_column(s, 0);
    size_t body = db_column(s, 1).len;
    blob.ptr = blob.len > 0 ? arena_dup(arena, blob.ptr, blob.len) : NULL;
    db_reset(s);
    if (blob.ptr == NULL && blob.len > 0) {
        return ERR_NOMEM;
    }
    rc = attribute_blob_read(blob, arena, &attributes);
    rc = rc != 0 ? rc
                 : sqs_marks_add(&attributes, move->marks, most > body ? most - body : 0, arena,
                                 &attributes);
    rc = rc != 0 ? rc : attribute_blob_write(&attributes, arena, &blob);
    if (rc != 0) {
        return rc;
    }
    s = db_use(&engine->db, STATEMENT_MESSAGE_SAY);
    sqlite3_bind_int64(s, 1, move->row_id);
    db_bind_blob(s, 2, blob);
    return db_run(s);
}

/* Before its move, which changes its id. */
static int say_marks(struct engine *engine, const struct engine_move *move)
{
    struct arena arena;
    arena_init(&arena, MARK_MAX_BYTES);
    int rc = mark_row(engine, move, &arena);
    arena_done(&arena);
    return rc;
}

static int move_row(struct engine *engine, const struct engine_move *move, struct move_names *names)
{
    struct queue *to = move->to;
    struct row_state is = *move->state;
    is.visible_at = engine->now;
    is.enqueued_at = move->restart || move->renew || to->fifo ? engine->now : is.enqueued_at;
    is.receive_count = move->renew ? 0 : is.receive_count;
    bool grouped = is.group_key != 0 || to->fifo;
    int rc = grouped || move->renew ? read_names(engine, move, names) : 0;
    if (rc == 0 && grouped) {
        rc = engine_group_join(engine, to, names->group, is.visible_at, &is.group_key);
    }
    rc = rc != 0 ? rc : engine_next_row(engine, to, &names->row_id);
    rc = rc != 0 ? rc : write_move(engine, move, &is, names);
    if (rc != 0) {
        return rc;
    }
    engine->moves++;
    engine_count_out(engine, move->from, move->state);
    engine_count_in(engine, to, &is);
    queue_watch_expiry(to, is.enqueued_at);
    return engine_group_refresh(engine, move->from, move->state->group_key);
}

int engine_row_move(struct engine *engine, const struct engine_move *move)
{
    struct move_names names = {.group = STR_NONE, .deduplication_id = STR_NONE};
    int rc = engine_touch(engine, move->to);
    rc = rc == 0 && move->marks != NULL ? say_marks(engine, move) : rc;
    if (rc != 0) {
        return rc;
    }
    arena_init(&names.arena, NAMES_MAX_BYTES);
    rc = move_row(engine, move, &names);
    arena_done(&names.arena);
    return rc;
}

int engine_row_expire(struct engine *engine, struct queue *queue, int64_t row_id,
                      const struct row_state *state)
{
    const struct sqs_marks marks = {
        .values = {[SQS_MARK_REASON] = STR("expired"), [SQS_MARK_QUEUE] = queue_name(queue)}};
    const struct engine_move move = {
        .from = queue,
        .to = engine_dead_letter_queue(engine, queue),
        .row_id = row_id,
        .state = state,
        .marks = &marks,
        .restart = true, /* or it would outlive its retention there at once */
    };
    int rc = move.to != NULL ? engine_row_move(engine, &move)
                             : engine_row_delete(engine, queue, row_id, state);
    queue->state.expired += rc == 0;
    return rc;
}

/* ---- retention ---- */

struct aged {
    int64_t row_id;
    struct row_state state;
};

struct sweep {
    struct aged expired[SWEEP_ROWS];
    uint32_t expired_count;
    uint32_t rows;
    int64_t last_row;
    int64_t ends_at; /* when the first message that stays will have outlived its retention */
    bool skipped;    /* in somebody's hands: not now */
};

static struct aged read_aged(sqlite3_stmt *s)
{
    return (struct aged){
        .row_id = sqlite3_column_int64(s, 0),
        .state = {.enqueued_at = sqlite3_column_int64(s, 1),
                  .visible_at = sqlite3_column_int64(s, 2),
                  .receive_count = sqlite3_column_int64(s, 3),
                  .group_key = sqlite3_column_int64(s, 4)},
    };
}

/* Rows of a space lie in the order they came: of those that were sent here, what is too old is a
 * prefix. (A dead letter may be older than its place; a younger one ends the prefix all the same,
 * for what was sent here after it came is younger still.) */
static int find_aged(struct engine *engine, struct queue *queue, struct sweep *sweep)
{
    int64_t from = queue->state.sweep_from;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_AGED);
    sqlite3_bind_int64(s, 1, from != 0 ? from : SCHEMA_ROW_ID(queue->space, 0));
    sqlite3_bind_int64(s, 2, SCHEMA_ROW_ID(queue->space + 1, 0));
    sqlite3_bind_int64(s, 3, SWEEP_ROWS);
    sweep->ends_at = QUEUE_NEVER;
    int rc;
    while ((rc = db_step(s)) == 1) {
        struct aged aged = read_aged(s);
        if (!engine_is_expired(engine, queue, aged.state.enqueued_at)) {
            sweep->ends_at = aged.state.enqueued_at + queue->definition->retention_ms;
            db_reset(s);
            return 0;
        }
        sweep->rows++;
        sweep->last_row = aged.row_id;
        enum queue_place place =
            queue_place_of(aged.state.visible_at, aged.state.receive_count, engine->now);
        if (place == QUEUE_HELD || place == QUEUE_LEASED) {
            sweep->skipped = true;
        } else {
            sweep->expired[sweep->expired_count++] = aged;
        }
    }
    return rc;
}

/* Dead letters kept the time they were first enqueued, so they are found by their age. */
static int find_aged_dead(struct engine *engine, struct queue *queue, int64_t lane,
                          struct sweep *sweep)
{
    int64_t oldest = engine->now - queue->definition->retention_ms;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_AGED_DEAD);
    sqlite3_bind_int64(s, 1, lane);
    sqlite3_bind_int64(s, 2, oldest);
    sqlite3_bind_int64(s, 3, engine->now);
    sqlite3_bind_int64(s, 4, SWEEP_ROWS);
    int rc;
    while ((rc = db_step(s)) == 1) {
        sweep->expired[sweep->expired_count++] = read_aged(s);
    }
    if (rc != 0) {
        return rc;
    }
    s = db_use(&engine->db, STATEMENT_SPACE_NEXT_DEAD);
    sqlite3_bind_int64(s, 1, lane);
    sqlite3_bind_int64(s, 2, oldest);
    rc = db_step(s);
    sweep->ends_at =
        rc == 1 ? sqlite3_column_int64(s, 0) + queue->definition->retention_ms : QUEUE_NEVER;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int expire_all(struct engine *engine, struct queue *queue, const struct sweep *sweep)
{
    int rc = 0;
    for (uint32_t i = 0; i < sweep->expired_count && rc == 0; i++) {
        rc = engine_row_expire(engine, queue, sweep->expired[i].row_id, &sweep->expired[i].state);
    }
    return rc;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ret_next: when dead letters have to be looked at again. */
static int sweep_dead(struct engine *engine, struct queue *queue, int64_t *ret_next)
{
    const int64_t lanes[2] = {queue->space, -queue->space};
    *ret_next = QUEUE_NEVER;
    for (int i = 0; i < 2; i++) {
        struct sweep sweep = {.rows = 0};
        int rc = find_aged_dead(engine, queue, lanes[i], &sweep);
        rc = rc != 0 ? rc : expire_all(engine, queue, &sweep);
        if (rc != 0) {
            return rc;
        }
        *ret_next = sweep.expired_count == SWEEP_ROWS
                        ? engine->now
                        : earlier(*ret_next, later(sweep.ends_at, engine->now + SWEEP_EVERY_MS));
    }
    return 0;
}

static int sweep_queue(struct engine *engine, struct queue *queue)
{
    struct sweep sweep = {.rows = 0};
    struct queue_state *state = &queue->state;
    int64_t next_dead = QUEUE_NEVER;
    int rc = engine_touch(engine, queue);
    rc = rc != 0 ? rc : sweep_dead(engine, queue, &next_dead);
    rc = rc != 0 ? rc : find_aged(engine, queue, &sweep);
    rc = rc != 0 ? rc : expire_all(engine, queue, &sweep);
    if (rc != 0) {
        return rc;
    }
    bool more = sweep.rows == SWEEP_ROWS && sweep.ends_at == QUEUE_NEVER;
    state->sweep_from = more ? sweep.last_row + 1 : 0;
    if (more) {
        state->next_expiry = engine->now;
        return 0;
    }
    state->next_expiry = sweep.ends_at == QUEUE_NEVER
                             ? QUEUE_NEVER
                             : later(sweep.ends_at, engine->now + SWEEP_EVERY_MS);
    state->next_expiry = earlier(state->next_expiry, next_dead);
    /* A lease that ends brings its message back into the sweep; a held one is seen when it is
     * released. */
    if (sweep.skipped && state->counts[QUEUE_LEASED] > 0) {
        state->next_expiry =
            earlier(state->next_expiry, later(state->next_due, engine->now + SWEEP_EVERY_MS));
    }
    return 0;
}

int engine_sweep(struct engine *engine)
{
    int rc = 0;
    int64_t next = QUEUE_NEVER;
    LIST_FOR(&engine->queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        if (rc == 0 && queue->state.next_expiry <= engine->now) {
            rc = sweep_queue(engine, queue);
        }
        next = queue->state.next_expiry < next ? queue->state.next_expiry : next;
    }
    rc = rc != 0 ? rc : engine_recent_forget(engine);
    rc = rc != 0 ? rc : engine_records_forget(engine);
    if (rc == 0) {
        engine->next_expiry = earlier(earlier(next, engine->next_forget), engine->next_record);
    }
    return rc;
}

/* ---- purged and deleted queues ---- */

/* Its groups go first, some at a time. */
static int delete_space(struct engine *engine, int64_t space, int64_t rows)
{
    int64_t before = db_changes(&engine->db);
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_GROUP_REAP);
    sqlite3_bind_int64(s, 1, space);
    sqlite3_bind_int64(s, 2, rows);
    int rc = db_run(s);
    if (rc != 0 || db_changes(&engine->db) != before) {
        return rc;
    }
    s = db_use(&engine->db, STATEMENT_SPACE_DELETE);
    sqlite3_bind_int64(s, 1, space);
    return db_run(s);
}

int engine_reap(struct engine *engine, int64_t rows)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_GIVEN_UP);
    int rc = db_step(s);
    if (rc != 1) {
        engine->has_given_up = false;
        return rc;
    }
    int64_t space = sqlite3_column_int64(s, 0);
    db_reset(s);
    s = db_use(&engine->db, STATEMENT_SPACE_FIRST_MESSAGE);
    sqlite3_bind_int64(s, 1, SCHEMA_ROW_ID(space, 0));
    sqlite3_bind_int64(s, 2, SCHEMA_ROW_ID(space + 1, 0));
    rc = db_step(s);
    if (rc != 1) {
        return rc != 0 ? rc : delete_space(engine, space, rows);
    }
    int64_t first = sqlite3_column_int64(s, 0);
    db_reset(s);
    int64_t end = SCHEMA_ROW_ID(space + 1, 0);
    s = db_use(&engine->db, STATEMENT_SPACE_REAP);
    sqlite3_bind_int64(s, 1, first);
    sqlite3_bind_int64(s, 2, end - first > rows ? first + rows : end);
    return db_run(s);
}

static int read_number(struct engine *engine, enum statement statement, int64_t *ret)
{
    sqlite3_stmt *s = db_use(&engine->db, statement);
    int rc = db_step(s);
    if (rc == 1) {
        *ret = sqlite3_column_int64(s, 0);
        db_reset(s);
        rc = 0;
    }
    return rc;
}

int engine_free_bytes(struct engine *engine, int64_t *ret)
{
    int rc = read_number(engine, STATEMENT_FREE_PAGE_COUNT, ret);
    *ret *= SCHEMA_PAGE_BYTES;
    return rc;
}

int engine_shrink(struct engine *engine, int pages, bool *ret_more)
{
    char sql[64];
    int64_t all = 0;
    int64_t unused = 0;
    int rc = read_number(engine, STATEMENT_PAGE_COUNT, &all);
    rc = rc != 0 ? rc : read_number(engine, STATEMENT_FREE_PAGE_COUNT, &unused);
    *ret_more = rc == 0 && unused > SPARE_PAGES && unused > all / 2;
    if (!*ret_more) {
        return rc;
    }
    (void)snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", pages);
    return db_exec(&engine->db, sql);
}
