/*
 * Taking messages: ReceiveMessage (a lease with a handle) and the routes' hold (no expiry) are one
 * way through the index of what is ready. A message that outlived its retention, or was received as
 * often as its queue allows, leaves for the dead-letter queue here and is never handed out.
 */
#include "engine_internal.h"

#include "attribute_blob.h"
#include "handle.h"

#include "sluice/sqs/arn.h"
#include "sluice/sqs/filter.h"
#include "sluice/sqs/md5.h"

#include <inttypes.h>

#define STEP_ROWS_MAX    16   /* rows read before their updates are written */
#define DIVERTED_MAX     1024 /* expired and dead letters per operation; the rest at the next one */
#define SYSTEM_NAMES_MAX 8

/* Columns of STATEMENT_SPACE_READY. */
enum column {
    COLUMN_ID,
    COLUMN_RECEIVE_COUNT,
    COLUMN_ENQUEUED_AT,
    COLUMN_FIRST_RECEIVED_AT,
    COLUMN_SENT_AT,
    COLUMN_MESSAGE_ID,
    COLUMN_SOURCE,
    COLUMN_GROUP_ID,
    COLUMN_TRACE_HEADER,
    COLUMN_ATTRIBUTES,
    COLUMN_BODY,
};

enum fate { FATE_TAKEN, FATE_EXPIRED, FATE_DEAD_LETTER };

struct taken {
    enum fate fate;
    int64_t row_id, receive_count, enqueued_at, token;
    wall_ms first_received_at;
};

struct take {
    struct queue *queue;
    uint32_t max, count;
    int64_t visible_at;
    wall_ms wall;
    /* Copies the row for its receiver. ERR_NOMEM: no room for it. */
    int (*add)(struct take *take, sqlite3_stmt *row, const struct taken *taken);
    struct arena *arena;
    struct engine *engine;
    struct store_request *request; /* of a receive */
    struct store_hold *hold;       /* of a hold */
    bool full;                     /* the arena holds no more */
};

static struct str column_copy(struct arena *arena, sqlite3_stmt *row, int column, bool *failed)
{
    struct str value = db_column(row, column);
    if (value.ptr == NULL) {
        return STR_NONE;
    }
    const char *copy = arena_dup(arena, value.ptr, value.len);
    *failed = *failed || copy == NULL;
    return (struct str){copy, value.len};
}

static struct str message_id_text(struct arena *arena, sqlite3_stmt *row)
{
    struct str raw = db_column(row, COLUMN_MESSAGE_ID);
    return raw.len == 16 ? engine_message_id(arena, (const uint8_t *)raw.ptr) : STR_NONE;
}

/* ---- for SQS clients ---- */

struct system_attribute {
    const char *name;
    struct str value;
};

static int add_system_attributes(struct take *take, sqlite3_stmt *row, const struct taken *taken,
                                 struct sqs_map *ret)
{
    const struct sqs_receive_in *in = take->request->input;
    struct engine *engine = take->engine;
    struct arena *arena = take->arena;
    if (in->attribute_names.count + in->system_attribute_names.count == 0) {
        return 0;
    }
    bool failed = false;
    wall_ms sent_at = sqlite3_column_int64(row, COLUMN_SENT_AT);
    struct str source = db_column(row, COLUMN_SOURCE);
    if (source.ptr != NULL) {
        source = sqs_arn_build(arena, engine_region(engine, take->request),
                               str_from(engine->account), source);
    }
    const struct system_attribute all[SYSTEM_NAMES_MAX] = {
        {"SenderId", str_from(engine->account)},
        {"SentTimestamp", engine_text(arena, "%" PRId64, sent_at)},
        {"ApproximateReceiveCount", engine_text(arena, "%" PRId64, taken->receive_count)},
        {"ApproximateFirstReceiveTimestamp",
         engine_text(arena, "%" PRId64, taken->first_received_at)},
        {"MessageGroupId", column_copy(arena, row, COLUMN_GROUP_ID, &failed)},
        {"AWSTraceHeader", column_copy(arena, row, COLUMN_TRACE_HEADER, &failed)},
        {"DeadLetterQueueSourceArn", source},
    };
    ret->items = arena_alloc(arena, SYSTEM_NAMES_MAX * sizeof(*ret->items));
    if (ret->items == NULL || failed) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < SYSTEM_NAMES_MAX && all[i].name != NULL; i++) {
        struct str name = str_from(all[i].name);
        if (all[i].value.ptr != NULL && sqs_filter_system_attribute(in, name)) {
            ret->items[ret->count++] = (struct sqs_pair){name, all[i].value};
        }
    }
    ret->set = ret->count > 0;
    return 0;
}

static int add_message_attributes(struct take *take, sqlite3_stmt *row, struct sqs_message *ret)
{
    const struct sqs_receive_in *in = take->request->input;
    bool failed = false;
    char md5[33];
    if (in->message_attribute_names.count == 0) {
        return 0;
    }
    struct str blob = column_copy(take->arena, row, COLUMN_ATTRIBUTES, &failed);
    struct sqs_attributes *attributes = &ret->attributes;
    int rc = failed ? ERR_NOMEM : attribute_blob_read(blob, take->arena, attributes);
    if (rc != 0) {
        return rc;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < attributes->count; i++) {
        if (sqs_filter_message_attribute(&in->message_attribute_names, attributes->items[i].name)) {
            attributes->items[kept++] = attributes->items[i];
        }
    }
    attributes->count = kept;
    attributes->set = kept > 0;
    if (kept > 0) {
        sqs_md5_attributes(attributes, md5);
        ret->md5_of_attributes = engine_copy(take->arena, md5);
    }
    return 0;
}

static int add_received(struct take *take, sqlite3_stmt *row, const struct taken *taken)
{
    struct sqs_receive_out *out = take->request->output;
    struct sqs_message *message = &out->messages.items[take->count];
    const struct handle handle = {taken->row_id, taken->token};
    bool failed = false;
    char md5[33];
    *message = (struct sqs_message){.message_id = message_id_text(take->arena, row)};
    message->receipt_handle = handle_write(&handle, queue_name(take->queue), take->arena);
    message->body = column_copy(take->arena, row, COLUMN_BODY, &failed);
    if (failed || message->message_id.ptr == NULL || message->receipt_handle.ptr == NULL) {
        return ERR_NOMEM;
    }
    sqs_md5_body(message->body, md5);
    message->md5_of_body = engine_copy(take->arena, md5);
    int rc = add_system_attributes(take, row, taken, &message->system_attributes);
    return rc != 0 ? rc : add_message_attributes(take, row, message);
}

/* ---- for routes ---- */

static int add_held(struct take *take, sqlite3_stmt *row, const struct taken *taken)
{
    struct store_held *held = &take->hold->messages[take->count];
    struct arena *arena = take->arena;
    bool failed = false;
    *held = (struct store_held){
        .row_id = taken->row_id,
        .message_id = message_id_text(arena, row),
        .body = column_copy(arena, row, COLUMN_BODY, &failed),
        .group_id = column_copy(arena, row, COLUMN_GROUP_ID, &failed),
        .trace_header = column_copy(arena, row, COLUMN_TRACE_HEADER, &failed),
        .sent_at = sqlite3_column_int64(row, COLUMN_SENT_AT),
        .receive_count = (uint32_t)taken->receive_count,
    };
    struct str blob = column_copy(arena, row, COLUMN_ATTRIBUTES, &failed);
    if (failed || held->message_id.ptr == NULL) {
        return ERR_NOMEM;
    }
    return attribute_blob_read(blob, arena, &held->attributes);
}

/* ---- both ---- */

static enum fate fate_of(const struct take *take, const struct taken *taken)
{
    const struct queue *queue = take->queue;
    if (engine_is_expired(take->engine, queue, taken->enqueued_at)) {
        return FATE_EXPIRED;
    }
    if (queue->definition->max_receives > 0 &&
        taken->receive_count > queue->definition->max_receives &&
        engine_dead_letter_queue(take->engine, queue) != NULL) {
        return FATE_DEAD_LETTER;
    }
    return FATE_TAKEN;
}

/* Reads up to STEP_ROWS_MAX ready rows; their updates follow when the statement is reset. */
static int read_ready(struct take *take, struct taken *rows, uint32_t *ret_count)
{
    uint32_t limit = take->max - take->count;
    limit = limit > STEP_ROWS_MAX ? STEP_ROWS_MAX : limit;
    sqlite3_stmt *s = db_use(&take->engine->db, STATEMENT_SPACE_READY);
    sqlite3_bind_int64(s, 1, take->queue->space);
    sqlite3_bind_int64(s, 2, take->engine->now);
    sqlite3_bind_int64(s, 3, limit);
    int rc = 0;
    *ret_count = 0;
    while (!take->full && (rc = db_step(s)) == 1) {
        struct taken *taken = &rows[*ret_count];
        *taken = (struct taken){
            .row_id = sqlite3_column_int64(s, COLUMN_ID),
            .receive_count = sqlite3_column_int64(s, COLUMN_RECEIVE_COUNT) + 1,
            .enqueued_at = sqlite3_column_int64(s, COLUMN_ENQUEUED_AT),
            .token = engine_token(take->engine),
            .first_received_at = sqlite3_column_int64(s, COLUMN_FIRST_RECEIVED_AT),
        };
        if (taken->receive_count == 1) {
            taken->first_received_at = take->wall;
        }
        taken->fate = fate_of(take, taken);
        rc = taken->fate == FATE_TAKEN ? take->add(take, s, taken) : 0;
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
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int write_taken(struct take *take, const struct taken *taken)
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
    if (rc == 0) {
        queue_count_out(queue, take->engine->now, taken->receive_count);
        queue_count_in(queue, take->visible_at, taken->receive_count);
        queue->state.received++;
    }
    return rc;
}

static int write_fate(struct take *take, const struct taken *taken)
{
    /* Ready, so any visible_at up to now counts the same. */
    const struct row_state state = {
        .visible_at = take->engine->now,
        .receive_count = taken->receive_count - 1,
        .enqueued_at = taken->enqueued_at,
    };
    if (taken->fate == FATE_TAKEN) {
        return write_taken(take, taken);
    }
    if (taken->fate == FATE_EXPIRED) {
        return engine_row_expire(take->engine, take->queue, taken->row_id, &state);
    }
    const struct engine_move move = {
        .from = take->queue,
        .to = engine_dead_letter_queue(take->engine, take->queue),
        .row_id = taken->row_id,
        .state = &state,
    };
    take->queue->state.dead_lettered++;
    return engine_row_move(take->engine, &move);
}

static int take_messages(struct take *take)
{
    struct taken rows[STEP_ROWS_MAX];
    uint32_t diverted = 0;
    int rc = 0;
    take->queue->has_more = false;
    while (rc == 0 && take->count < take->max && !take->full && diverted < DIVERTED_MAX &&
           take->queue->state.counts[QUEUE_VISIBLE] > 0) {
        uint32_t before = take->count;
        uint32_t found = 0;
        rc = read_ready(take, rows, &found);
        for (uint32_t i = 0; i < found && rc == 0; i++) {
            rc = write_fate(take, &rows[i]);
        }
        diverted += found - (take->count - before);
        /* A lease of 0 s leaves its message ready: it must not be found again. */
        if (found == 0 || (take->count > before && take->visible_at <= take->engine->now)) {
            break;
        }
    }
    take->queue->has_more = take->count == 0 && diverted >= DIVERTED_MAX;
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

/* True when the queue has as many in flight as SQS allows; a short poll is told, a long one waits.
 */
static bool is_over_limit(struct engine *engine, struct queue *queue, struct store_request *request)
{
    const uint64_t *counts = queue->state.counts;
    if (counts[QUEUE_LEASED] + counts[QUEUE_HELD] < ENGINE_IN_FLIGHT_MAX) {
        return false;
    }
    if (engine_wait_seconds(engine, request, &queue) == 0) {
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
    if (queue == NULL || sqs_validate_receive(in, false, &request->error) != 0) {
        return rc;
    }
    struct sqs_receive_out *out = engine_output(request, sizeof(*out));
    if (out == NULL || is_over_limit(engine, queue, request) ||
        queue->state.counts[QUEUE_VISIBLE] == 0) {
        return 0;
    }
    int64_t lease_ms = in->visibility_timeout.set ? 1000 * in->visibility_timeout.value
                                                  : queue->definition->visibility_ms;
    struct take take = {
        .queue = queue,
        .max = in->max_messages.set ? (uint32_t)in->max_messages.value : 1,
        .visible_at = engine->now + lease_ms,
        .wall = request->wall,
        .add = add_received,
        .arena = request->arena,
        .engine = engine,
        .request = request,
    };
    out->messages.items = arena_alloc(request->arena, take.max * sizeof(*out->messages.items));
    if (out->messages.items == NULL) {
        return engine_out_of_memory(request);
    }
    rc = take_messages(&take);
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
        .wall = engine->wall,
        .add = add_held,
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
