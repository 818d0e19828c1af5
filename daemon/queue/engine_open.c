#include "engine_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a start reads ---- */

static int read_definition(struct engine *engine, struct queue *queue)
{
    static const struct sqs_map none = {.items = NULL};
    struct queue_definition *definition = queue_definition_new(NULL, &none);
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_ATTRIBUTE_LIST);
    sqlite3_bind_int64(s, 1, queue->id);
    int rc;
    while ((rc = db_step(s)) == 1) {
        enum sqs_queue_attribute attribute = sqs_queue_attribute_find(db_column(s, 0));
        if (attribute != SQS_QUEUE_ATTRIBUTE_NONE) {
            queue_definition_set(definition, attribute, db_column(s, 1));
        }
    }
    queue_definition_parse(definition);
    queue->definition = definition;
    return rc;
}

static int read_space(struct engine *engine, struct queue *queue)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_OF_QUEUE);
    sqlite3_bind_int64(s, 1, queue->id);
    int rc = db_step(s);
    if (rc != 1) {
        return rc == 0 ? ERR_CORRUPT : rc;
    }
    queue->space = sqlite3_column_int64(s, 0);
    queue->state.reserved = sqlite3_column_int64(s, 1);
    db_reset(s);
    return 0;
}

/* Row ids go on after the last one there; the lease clock is never behind it. */
static int read_last(struct engine *engine, struct queue *queue, int64_t *newest_ms)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_LAST_MESSAGE);
    sqlite3_bind_int64(s, 1, SCHEMA_ROW_ID(queue->space, 0));
    sqlite3_bind_int64(s, 2, SCHEMA_ROW_ID(queue->space + 1, 0));
    queue->next_sequence = 1;
    int rc = db_step(s);
    if (rc == 1) {
        queue->next_sequence = (sqlite3_column_int64(s, 0) & (SCHEMA_SEQUENCE_MAX - 1)) + 1;
        if (sqlite3_column_int64(s, 1) > *newest_ms) {
            *newest_ms = sqlite3_column_int64(s, 1);
        }
        db_reset(s);
        rc = 0;
    }
    if (queue->next_sequence < queue->state.reserved) {
        queue->next_sequence = queue->state.reserved;
    }
    return rc;
}

static int read_queues(struct engine *engine, int64_t *newest_ms)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_QUEUE_LIST);
    sqlite3_bind_int64(s, 1, 0);
    int rc;
    while ((rc = db_step(s)) == 1) {
        struct queue *queue = MEM_NEW(struct queue);
        queue->id = sqlite3_column_int64(s, 0);
        str_copy(queue->name, sizeof(queue->name), db_column(s, 1));
        queue->fifo = sqs_queue_name_is_fifo(queue_name(queue));
        queue->created_at = sqlite3_column_int64(s, 2);
        wall_ms modified_at = sqlite3_column_int64(s, 3);
        list_init(&queue->waiters);
        engine_queue_link(engine, queue);
        rc = read_definition(engine, queue);
        if (rc == 0) {
            queue->definition->modified_at = modified_at;
            rc = read_space(engine, queue);
        }
        if (rc == 0) {
            rc = read_last(engine, queue, newest_ms);
        }
        if (rc != 0) {
            db_reset(s);
            return rc;
        }
    }
    return rc;
}

static int read_clock(struct engine *engine, int64_t *newest_ms)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_META_GET);
    db_bind_str(s, 1, STR("clock"));
    int rc = db_step(s);
    if (rc == 1) {
        *newest_ms = sqlite3_column_int64(s, 0);
        db_reset(s);
        rc = 0;
    }
    engine->clock_stored = *newest_ms;
    return rc;
}

/* ---- what a start does ---- */

/* One message that the last process held; 1: there was one. */
static int release_one(struct engine *engine, struct queue *queue, int64_t lane)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_HELD);
    sqlite3_bind_int64(s, 1, lane);
    sqlite3_bind_int64(s, 2, SCHEMA_HELD);
    int rc = db_step(s);
    if (rc != 1) {
        return rc;
    }
    int64_t row_id = sqlite3_column_int64(s, 0);
    int64_t receive_count = sqlite3_column_int64(s, 1);
    int64_t enqueued_at = sqlite3_column_int64(s, 2);
    int64_t group_key = sqlite3_column_int64(s, 3);
    db_reset(s);
    s = db_use(&engine->db, STATEMENT_MESSAGE_SHOW);
    sqlite3_bind_int64(s, 1, row_id);
    sqlite3_bind_int64(s, 2, enqueued_at);
    sqlite3_bind_int64(s, 3, receive_count);
    rc = db_run(s);
    rc = rc != 0 ? rc : engine_group_refresh(engine, queue, group_key);
    return rc != 0 ? rc : 1;
}

static int release_held(struct engine *engine, struct queue *queue, uint64_t *ret_released)
{
    const int64_t lanes[2] = {queue->space, -queue->space};
    int rc = 0;
    *ret_released = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        while ((rc = release_one(engine, queue, lanes[i])) == 1) {
            (*ret_released)++;
        }
    }
    return rc;
}

static int look_for_groups(struct engine *engine, struct queue *queue)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_GROUP_ANY);
    sqlite3_bind_int64(s, 1, queue->space);
    int rc = db_step(s);
    queue->has_groups = rc == 1;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

/* The one place that counts rows: at the start after an end that was not clean, in the index. */
static int count_lane(struct engine *engine, struct queue *queue, int64_t lane)
{
    struct queue_state *state = &queue->state;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_COUNT);
    sqlite3_bind_int64(s, 1, lane);
    int rc = db_step(s);
    if (rc < 0) {
        return rc;
    }
    uint64_t total = (uint64_t)sqlite3_column_int64(s, 0);
    uint64_t waiting = 0;
    db_reset(s);
    s = db_use(&engine->db, STATEMENT_SPACE_DUE_BETWEEN);
    sqlite3_bind_int64(s, 1, lane);
    sqlite3_bind_int64(s, 2, engine->now);
    sqlite3_bind_int64(s, 3, SCHEMA_HELD - 1);
    while ((rc = db_step(s)) == 1) {
        state->counts[sqlite3_column_int64(s, 0) > 0 ? QUEUE_LEASED : QUEUE_DELAYED]++;
        waiting++;
    }
    state->counts[QUEUE_VISIBLE] += total - waiting;
    return rc;
}

static int count_messages(struct engine *engine, struct queue *queue)
{
    struct queue_state *state = &queue->state;
    memset(state->counts, 0, sizeof(state->counts));
    int rc = count_lane(engine, queue, queue->space);
    rc = rc != 0 ? rc : count_lane(engine, queue, -queue->space);
    state->advanced_to = engine->now;
    state->next_due = engine->now; /* lower bounds: looked up when first needed */
    state->next_expiry = queue_total(queue) > 0 ? engine->now : QUEUE_NEVER;
    return rc;
}

static int start_queue(struct engine *engine, struct queue *queue)
{
    uint64_t released = 0;
    int rc = look_for_groups(engine, queue);
    int taken = rc != 0 ? rc : engine_closing_take(engine, queue);
    rc = taken < 0 ? taken : release_held(engine, queue, &released);
    if (rc == 0 && taken == 0) {
        return count_messages(engine, queue);
    }
    queue->state.counts[QUEUE_VISIBLE] += released;
    if (released > 0) {
        queue->state.next_expiry = engine->now; /* the sweep passed them by */
    }
    return rc;
}

static int read_spaces(struct engine *engine)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_LAST);
    sqlite3_bind_int64(s, 1, 0);
    int rc = db_step(s);
    engine->next_space = rc == 1 ? sqlite3_column_int64(s, 0) + 1 : 1;
    db_reset(s);
    if (rc < 0) {
        return rc;
    }
    s = db_use(&engine->db, STATEMENT_SPACE_GIVEN_UP);
    rc = db_step(s);
    engine->has_given_up = rc == 1;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int start_queues(struct engine *engine, wall_ms wall)
{
    int rc = engine_begin(engine, engine->now, wall);
    LIST_FOR(&engine->queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        rc = rc != 0 ? rc : start_queue(engine, queue);
        rc = rc != 0 ? rc : engine_task_open(engine, queue);
    }
    if (rc != 0) {
        engine_rollback(engine);
        return rc;
    }
    engine->next_expiry = engine->now; /* the first sweep looks which queues are due, if any */
    return engine_commit(engine);
}

int engine_open(struct engine *engine, const struct engine_config *config, struct error *e)
{
    *engine = (struct engine){.random_used = sizeof(engine->random), .next_task = QUEUE_NEVER};
    uint64_t seed = 0;
    int64_t newest_ms = 0;
    list_init(&engine->queues);
    list_init(&engine->touched);
    list_init(&engine->tasks);
    list_init(&engine->undo);
    list_init(&engine->deleted);
    engine->sixty_second_rules = config->sixty_second_rules;
    engine_random(engine, &seed, sizeof(seed));
    map_init(&engine->by_name, ENGINE_QUEUES_MAX, seed);
    str_copy(engine->region, sizeof(engine->region), config->region);
    str_copy(engine->account, sizeof(engine->account), config->account);
    int rc = db_open(&engine->db, config->path, e);
    if (rc != 0) {
        engine_close(engine);
        return rc;
    }
    rc = read_clock(engine, &newest_ms);
    rc = rc != 0 ? rc : read_queues(engine, &newest_ms);
    rc = rc != 0 ? rc : read_spaces(engine);
    lease_clock_init(&engine->clock, config->wall, newest_ms, config->now);
    engine->now = engine->clock.base_ms;
    rc = rc != 0 ? rc : start_queues(engine, config->wall);
    if (rc != 0) {
        (void)error_set(e, rc, config->path, "the queue file cannot be used: %s",
                        sqlite3_errmsg(engine->db.handle));
        engine_close(engine);
        return rc;
    }
    engine->started = true;
    return 0;
}

void engine_close(struct engine *engine)
{
    struct list_node *node;
    if (engine->started) {
        engine_closing_write(engine);
        engine->started = false;
    }
    while ((node = list_pop(&engine->queues)) != NULL) {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        engine_queue_free(queue);
    }
    engine_forget_deleted(engine, QUEUE_NEVER);
    map_done(&engine->by_name);
    db_close(&engine->db);
}
