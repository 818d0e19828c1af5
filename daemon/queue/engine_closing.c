/*
 * What a clean end leaves for the next start: each queue's counters, so that nothing has to be
 * counted. They are taken out by the first transaction of that start: after an end that was not
 * clean there are none, and what is in the file is counted again.
 */
#include "engine_internal.h"

static int write_queue(struct engine *engine, const struct queue *queue)
{
    const struct queue_state *state = &queue->state;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_CLOSING_INSERT);
    sqlite3_bind_int64(s, 1, queue->id);
    sqlite3_bind_int64(s, 2, state->advanced_to);
    sqlite3_bind_int64(s, 3, state->next_expiry);
    sqlite3_bind_int64(s, 4, (int64_t)state->counts[QUEUE_VISIBLE]);
    sqlite3_bind_int64(s, 5, (int64_t)state->counts[QUEUE_DELAYED]);
    sqlite3_bind_int64(s, 6, (int64_t)state->counts[QUEUE_LEASED]);
    return db_run(s); /* what is held is counted when the next start releases it */
}

/* The clock goes with them: the next start must not be earlier than what they are about. */
static int write_clock(struct engine *engine)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_META_SET);
    db_bind_str(s, 1, STR("clock"));
    sqlite3_bind_int64(s, 2, engine->now);
    return db_run(s);
}

void engine_closing_write(struct engine *engine)
{
    int rc = engine_begin(engine, engine->now, engine->wall);
    if (rc != 0) {
        return;
    }
    LIST_FOR(&engine->queues, node)
    {
        rc = rc != 0 ? rc : write_queue(engine, LIST_ENTRY(node, struct queue, node));
    }
    rc = rc != 0 ? rc : write_clock(engine);
    if (rc != 0 || engine_commit(engine) != 0) {
        engine_rollback(engine);
    }
}

int engine_closing_take(struct engine *engine, struct queue *queue)
{
    struct queue_state *state = &queue->state;
    int64_t visible = 0;
    int64_t delayed = 0;
    int64_t leased = 0;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_CLOSING_TAKE);
    sqlite3_bind_int64(s, 1, queue->id);
    int rc = db_step(s);
    if (rc != 1) {
        return rc;
    }
    state->advanced_to = sqlite3_column_int64(s, 0);
    state->next_expiry = sqlite3_column_int64(s, 1);
    visible = sqlite3_column_int64(s, 2);
    delayed = sqlite3_column_int64(s, 3);
    leased = sqlite3_column_int64(s, 4);
    rc = db_run(s);
    if (rc != 0) {
        return rc;
    }
    if (visible < 0 || delayed < 0 || leased < 0 || state->advanced_to > engine->now) {
        return 0; /* not what was written */
    }
    state->counts[QUEUE_VISIBLE] = (uint64_t)visible;
    state->counts[QUEUE_DELAYED] = (uint64_t)delayed;
    state->counts[QUEUE_LEASED] = (uint64_t)leased;
    state->next_due = delayed + leased > 0 ? state->advanced_to : QUEUE_NEVER;
    rc = engine_advance(engine, queue);
    return rc != 0 ? rc : 1;
}
