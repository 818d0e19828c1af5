/*
 * Taking messages: ReceiveMessage (a lease with a handle) and the routes' hold (no expiry) are one
 * way. A message that outlived its retention, or was received as often as its queue allows, leaves
 * for the dead-letter queue here and is never handed out.
 */
#include "engine_take.h"

#include "sluice/sqs/arn.h"

#include <string.h>

#define DIVERTED_MAX 1024 /* expired and dead letters per operation; the rest at the next one */

/* What is remembered of a receive with an attempt id, per message: row, token, visible_at. */
#define ATTEMPT_ROW_BYTES 24

static enum fate fate_of(const struct take *take, const struct taken *taken)
{
    const struct queue *queue = take->queue;
    if (engine_is_expired(take->engine, queue, taken->was.enqueued_at)) {
        return FATE_EXPIRED;
    }
    if (queue->definition->max_receives > 0 &&
        taken->receive_count > queue->definition->max_receives &&
        engine_dead_letter_queue(take->engine, queue) != NULL) {
        return FATE_DEAD_LETTER;
    }
    return FATE_TAKEN;
}

static void read_row(const struct take *take, sqlite3_stmt *row, struct taken *ret)
{
    *ret = (struct taken){
        .row_id = sqlite3_column_int64(row, COLUMN_ID),
        .was = {.visible_at = sqlite3_column_int64(row, COLUMN_VISIBLE_AT),
                .receive_count = sqlite3_column_int64(row, COLUMN_RECEIVE_COUNT),
                .enqueued_at = sqlite3_column_int64(row, COLUMN_ENQUEUED_AT),
                .group_key = sqlite3_column_int64(row, COLUMN_GROUP_KEY)},
        .receive_count = sqlite3_column_int64(row, COLUMN_RECEIVE_COUNT) + 1,
        .first_received_at = sqlite3_column_int64(row, COLUMN_FIRST_RECEIVED_AT),
    };
    if (ret->receive_count == 1) {
        ret->first_received_at = take->engine->wall; /* a long poll began earlier */
    }
}

/* Reads the picked rows; their updates follow when the statement is reset. */
static int read_picked(struct take *take, const struct pick *pick, struct taken *rows,
                       uint32_t *ret_count)
{
    int rc = 0;
    *ret_count = 0;
    while (!take->full && *ret_count < TAKE_STEP_ROWS && (rc = db_step(pick->rows)) == 1) {
        struct taken *taken = &rows[*ret_count];
        read_row(take, pick->rows, taken);
        if (taken->was.visible_at > pick->until) {
            break;
        }
        taken->token = engine_token(take->engine);
        taken->fate = fate_of(take, taken);
        rc = taken->fate == FATE_TAKEN ? engine_answer_add(take, pick->rows, taken) : 0;
        if (rc == ERR_NOMEM) { /* what did not fit stays in the queue */
            take->full = true;
            rc = 0;
            break;
        }
        if (rc != 0) {
            break;
        }
        take->count += taken->fate == FATE_TAKEN;
        (*ret_count)++;
    }
    db_reset(pick->rows);
    return rc < 0 ? rc : 0;
}

static void put_i64(uint8_t *p, int64_t value)
{
    memcpy(p, &value, sizeof(value));
}

static int64_t get_i64(const uint8_t *p)
{
    int64_t value;
    memcpy(&value, p, sizeof(value));
    return value;
}

static int write_taken(struct take *take, const struct taken *taken, uint32_t number)
{
    struct queue *queue = take->queue;
    sqlite3_stmt *s = db_use(&take->engine->db, STATEMENT_MESSAGE_TAKE);
    sqlite3_bind_int64(s, 1, taken->row_id);
    sqlite3_bind_int64(s, 2, take->visible_at);
    sqlite3_bind_int64(s, 3, taken->receive_count);
    sqlite3_bind_int64(s, 4, taken->token);
    sqlite3_bind_int64(s, 5, take->engine->now);
    sqlite3_bind_int64(s, 6, taken->first_received_at);
    int rc = db_run(s);
    if (rc != 0) {
        return rc;
    }
    struct row_state is = taken->was;
    is.visible_at = take->visible_at;
    is.receive_count = taken->receive_count;
    engine_count_out(take->engine, queue, &taken->was);
    engine_count_in(take->engine, queue, &is);
    queue->state.received++;
    if (take->is_attempt) {
        uint8_t *p = take->attempt + (size_t)number * ATTEMPT_ROW_BYTES;
        put_i64(p, taken->row_id);
        put_i64(p + 8, taken->token);
        put_i64(p + 16, take->visible_at);
    }
    return 0;
}

static int write_fate(struct take *take, const struct taken *taken, uint32_t *number)
{
    if (taken->fate == FATE_TAKEN) {
        return write_taken(take, taken, (*number)++);
    }
    if (taken->fate == FATE_EXPIRED) {
        return engine_row_expire(take->engine, take->queue, taken->row_id, &taken->was);
    }
    const struct engine_move move = {
        .from = take->queue,
        .to = engine_dead_letter_queue(take->engine, take->queue),
        .row_id = taken->row_id,
        .state = &taken->was,
    };
    take->queue->state.dead_lettered++;
    return engine_row_move(take->engine, &move);
}

/* Takes what is next: one group's messages, or some without a group. 1: go on, 0: that is all. */
static int take_step(struct take *take, uint32_t *diverted)
{
    struct taken rows[TAKE_STEP_ROWS];
    struct pick pick = {.group_key = 0};
    uint32_t limit = take->max - take->count;
    uint32_t before = take->count;
    uint32_t found = 0;
    int rc = engine_pick(take->engine, take->queue, limit > TAKE_STEP_ROWS ? TAKE_STEP_ROWS : limit,
                         &pick);
    if (rc != 1) {
        return rc;
    }
    rc = read_picked(take, &pick, rows, &found);
    uint32_t number = before;
    for (uint32_t i = 0; i < found && rc == 0; i++) {
        rc = write_fate(take, &rows[i], &number);
    }
    rc = rc != 0 ? rc : engine_group_refresh(take->engine, take->queue, pick.group_key);
    *diverted += found - (take->count - before) + (found == 0);
    /* A lease of 0 s leaves its message ready: it must not be found again. */
    bool again = (found > 0 || pick.group_key != 0) &&
                 !(take->count > before && take->visible_at <= take->engine->now);
    return rc != 0 ? rc : again;
}

static int take_messages(struct take *take)
{
    uint32_t diverted = 0;
    int rc = 1;
    take->queue->has_more = false;
    while (rc == 1 && take->count < take->max && !take->full && diverted < DIVERTED_MAX &&
           take->queue->state.counts[QUEUE_VISIBLE] > 0) {
        rc = take_step(take, &diverted);
    }
    take->queue->has_more = rc == 1 && take->count == 0 && diverted >= DIVERTED_MAX;
    return rc < 0 ? rc : 0;
}

/* ---- ReceiveRequestAttemptId ---- */

/* All messages of the attempt are as it left them. */
static int attempt_is_intact(struct engine *engine, const struct recent *recent, bool *ret)
{
    *ret = recent->payload_len > 0;
    for (size_t at = 0; at < recent->payload_len && *ret; at += ATTEMPT_ROW_BYTES) {
        struct row_state row = {.visible_at = 0};
        int rc = engine_row_state(engine, get_i64(recent->payload + at), &row);
        if (rc < 0) {
            return rc;
        }
        *ret = rc == 1 && row.token == get_i64(recent->payload + at + 8) &&
               row.visible_at == get_i64(recent->payload + at + 16) && row.visible_at > engine->now;
    }
    return 0;
}

/* The same message with the same handle, hidden anew; the receive is not counted again. */
static int take_again(struct take *take, int64_t row_id)
{
    struct engine *engine = take->engine;
    struct row_state row = {.visible_at = 0};
    struct taken taken = {.fate = FATE_TAKEN};
    int rc = engine_row_state(engine, row_id, &row);
    if (rc != 1) {
        return rc;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_READ);
    sqlite3_bind_int64(s, 1, row_id);
    rc = db_step(s);
    if (rc != 1) {
        return rc;
    }
    read_row(take, s, &taken);
    taken.receive_count--;
    taken.token = row.token;
    rc = engine_answer_add(take, s, &taken);
    db_reset(s);
    if (rc != 0) {
        take->full = rc == ERR_NOMEM;
        return take->full ? 0 : rc;
    }
    uint8_t *p = take->attempt + (size_t)take->count++ * ATTEMPT_ROW_BYTES;
    put_i64(p, row_id);
    put_i64(p + 8, row.token);
    put_i64(p + 16, take->visible_at);
    return engine_row_show(engine, take->queue, row_id, &row, take->visible_at, row.receive_count);
}

static int take_attempt(struct take *take, struct str attempt_id)
{
    struct engine *engine = take->engine;
    uint8_t key[RECENT_KEY_BYTES];
    struct recent recent = {.payload_len = 0};
    bool intact = false;
    take->is_attempt = true;
    engine_recent_key('a', STR_NONE, attempt_id, key);
    int rc = engine_recent_find(engine, take->queue, key, &recent);
    rc = rc == 1 ? attempt_is_intact(engine, &recent, &intact) : rc;
    for (size_t at = 0;
         at < recent.payload_len && intact && rc == 0 && !take->full && take->count < take->max;
         at += ATTEMPT_ROW_BYTES) {
        rc = take_again(take, get_i64(recent.payload + at));
    }
    if (rc == 0 && !intact) {
        rc = take_messages(take);
    }
    if (rc == 0 && take->count > 0) {
        rc = engine_recent_replace(
            engine, take->queue, key,
            (struct str){(const char *)take->attempt, take->count * (size_t)ATTEMPT_ROW_BYTES});
    }
    return rc;
}

/* ---- the operations ---- */

int64_t engine_wait_seconds(struct engine *engine, const struct store_request *request,
                            struct queue **ret_queue)
{
    const struct sqs_receive_in *in = request->input;
    struct sqs_queue_ref ref;
    if (request->action != SQS_RECEIVE_MESSAGE || sqs_queue_url_parse(in->queue_url, &ref) != 0) {
        return 0;
    }
    *ret_queue = engine_queue(engine, ref.name);
    if (*ret_queue == NULL) {
        return 0;
    }
    return in->wait_seconds.set ? in->wait_seconds.value : (*ret_queue)->definition->wait_seconds;
}

/* True when the queue has as many in flight as SQS allows; a short poll of a standard queue is
 * told, any other just finds nothing. */
static bool is_over_limit(struct engine *engine, struct queue *queue, struct store_request *request)
{
    const uint64_t *counts = queue->state.counts;
    if (counts[QUEUE_LEASED] + counts[QUEUE_HELD] < ENGINE_IN_FLIGHT_MAX) {
        return false;
    }
    if (!queue->fifo && engine_wait_seconds(engine, request, &queue) == 0) {
        (void)sqs_error_set(&request->error, SQS_ERROR_OVER_LIMIT,
                            "Too many messages in flight: %d is the maximum of a queue.",
                            ENGINE_IN_FLIGHT_MAX);
    }
    return true;
}

int engine_receive_message(struct engine *engine, struct store_request *request)
{
    const struct sqs_receive_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL || sqs_validate_receive(in, queue->fifo, &request->error) != 0) {
        return rc;
    }
    struct sqs_receive_out *out = engine_output(request, sizeof(*out));
    if (out == NULL || is_over_limit(engine, queue, request) ||
        (queue->state.counts[QUEUE_VISIBLE] == 0 && in->attempt_id.ptr == NULL)) {
        return 0;
    }
    int64_t lease_ms = in->visibility_timeout.set ? 1000 * in->visibility_timeout.value
                                                  : queue->definition->visibility_ms;
    struct take take = {
        .queue = queue,
        .max = in->max_messages.set ? (uint32_t)in->max_messages.value : 1,
        .visible_at = engine->now + lease_ms,
        .arena = request->arena,
        .engine = engine,
        .request = request,
    };
    out->messages.items = arena_alloc(request->arena, take.max * sizeof(*out->messages.items));
    if (out->messages.items == NULL) {
        return engine_out_of_memory(request);
    }
    rc = in->attempt_id.ptr != NULL ? take_attempt(&take, in->attempt_id) : take_messages(&take);
    out->messages.count = take.count;
    out->messages.set = take.count > 0;
    if (rc == 0 && take.full && take.count == 0) {
        return engine_out_of_memory(request);
    }
    return rc;
}

int engine_hold(struct engine *engine, struct store_hold *hold)
{
    struct queue *queue = engine_queue(engine, hold->queue);
    hold->count = 0;
    hold->error = 0;
    if (queue == NULL) {
        hold->error = ERR_NOT_FOUND;
        return 0;
    }
    int rc = engine_touch(engine, queue);
    if (rc != 0 || hold->max == 0 || queue->state.counts[QUEUE_VISIBLE] == 0) {
        return rc;
    }
    uint64_t visible = queue->state.counts[QUEUE_VISIBLE];
    struct take take = {
        .queue = queue,
        .max = hold->max < visible ? hold->max : (uint32_t)visible,
        .visible_at = SCHEMA_HELD,
        .arena = hold->arena,
        .engine = engine,
        .hold = hold,
    };
    hold->messages = arena_alloc(hold->arena, take.max * sizeof(*hold->messages));
    if (hold->messages == NULL) {
        hold->error = ERR_NOMEM;
        return 0;
    }
    rc = take_messages(&take);
    hold->count = take.count;
    if (rc == 0 && take.full && take.count == 0) {
        hold->error = ERR_NOMEM;
    }
    return rc;
}
