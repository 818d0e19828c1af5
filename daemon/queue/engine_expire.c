/*
 * Messages that leave by themselves: dead letters, those that outlived their retention, and those
 * of purged and deleted queues.
 */
#include "engine_internal.h"

#include <stdio.h>

#define SWEEP_ROWS     256  /* per queue and transaction */
#define SPARE_PAGES    2048 /* free pages that stay: 16 MiB */
#define SWEEP_EVERY_MS 1000 /* a receive checks retention exactly; the sweep may be this late */

struct queue *engine_dead_letter_queue(struct engine *engine, const struct queue *queue)
{
    if (queue->definition->dead_letter[0] == '\0') {
        return NULL;
    }
    struct queue *to = engine_queue(engine, str_from(queue->definition->dead_letter));
    return to == queue ? NULL : to;
}

int engine_row_move(struct engine *engine, const struct engine_move *move)
{
    struct queue *to = move->to;
    const struct row_state *state = move->state;
    int64_t enqueued_at = move->restart ? engine->now : state->enqueued_at;
    int rc = engine_touch(engine, to);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_MOVE);
    sqlite3_bind_int64(s, 1, move->row_id);
    sqlite3_bind_int64(s, 2, SCHEMA_ROW_ID(to->space, to->next_sequence));
    sqlite3_bind_int64(s, 3, to->space);
    sqlite3_bind_int64(s, 4, engine->now);
    sqlite3_bind_int64(s, 5, enqueued_at);
    db_bind_str(s, 6, queue_name(move->from));
    sqlite3_bind_int64(s, 7, engine_token(engine));
    rc = db_run(s);
    if (rc == 0) {
        to->next_sequence++;
        engine->moves++;
        queue_count_out(move->from, state->visible_at, state->receive_count);
        queue_count_in(to, engine->now, state->receive_count);
        queue_watch_expiry(to, enqueued_at);
    }
    return rc;
}

int engine_row_expire(struct engine *engine, struct queue *queue, int64_t row_id,
                      const struct row_state *state)
{
    const struct engine_move move = {
        .from = queue,
        .to = engine_dead_letter_queue(engine, queue),
        .row_id = row_id,
        .state = state,
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

/* Rows of a space lie in the order they were enqueued: what is too old is a prefix. */
static int read_aged(struct engine *engine, struct queue *queue, struct sweep *sweep)
{
    int64_t from = queue->state.sweep_from;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_AGED);
    sqlite3_bind_int64(s, 1, from != 0 ? from : SCHEMA_ROW_ID(queue->space, 0));
    sqlite3_bind_int64(s, 2, SCHEMA_ROW_ID(queue->space + 1, 0));
    sqlite3_bind_int64(s, 3, SWEEP_ROWS);
    sweep->ends_at = QUEUE_NEVER;
    int rc;
    while ((rc = db_step(s)) == 1) {
        struct aged aged = {
            .row_id = sqlite3_column_int64(s, 0),
            .state = {.enqueued_at = sqlite3_column_int64(s, 1),
                      .visible_at = sqlite3_column_int64(s, 2),
                      .receive_count = sqlite3_column_int64(s, 3)},
        };
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

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int sweep_queue(struct engine *engine, struct queue *queue)
{
    struct sweep sweep = {.rows = 0};
    struct queue_state *state = &queue->state;
    int rc = engine_touch(engine, queue);
    rc = rc != 0 ? rc : read_aged(engine, queue, &sweep);
    for (uint32_t i = 0; i < sweep.expired_count && rc == 0; i++) {
        rc = engine_row_expire(engine, queue, sweep.expired[i].row_id, &sweep.expired[i].state);
    }
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
    /* A lease that ends brings its message back into the sweep; a held one is seen when it is
     * released. */
    if (sweep.skipped && state->counts[QUEUE_LEASED] > 0) {
        int64_t again = later(state->next_due, engine->now + SWEEP_EVERY_MS);
        state->next_expiry = again < state->next_expiry ? again : state->next_expiry;
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
    if (rc == 0) {
        engine->next_expiry = next;
    }
    return rc;
}

/* ---- purged and deleted queues ---- */

static int delete_space(struct engine *engine, int64_t space)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_DELETE);
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
        return rc != 0 ? rc : delete_space(engine, space);
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

int engine_oldest_sent(struct engine *engine, struct queue *queue, wall_ms *ret)
{
    *ret = 0;
    if (queue->state.counts[QUEUE_VISIBLE] == 0) {
        return 0;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_OLDEST_READY);
    sqlite3_bind_int64(s, 1, queue->space);
    sqlite3_bind_int64(s, 2, engine->now);
    int rc = db_step(s);
    if (rc == 1) {
        *ret = sqlite3_column_int64(s, 0);
        db_reset(s);
        rc = 0;
    }
    return rc;
}
