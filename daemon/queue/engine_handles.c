/*
 * What a receiver does with a message: delete it, change its visibility (by receipt handle), or
 * settle it (routes, by row).
 */
#include "engine_internal.h"

#include "fair.h"
#include "handle.h"

#define VISIBILITY_TOTAL_S 43200 /* from the receive on */

int engine_row_state(struct engine *engine, int64_t row_id, struct row_state *ret)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_STATE);
    sqlite3_bind_int64(s, 1, row_id);
    int rc = db_step(s);
    if (rc == 1) {
        *ret = (struct row_state){
            .visible_at = sqlite3_column_int64(s, 0),
            .receive_count = sqlite3_column_int64(s, 1),
            .token = sqlite3_column_int64(s, 2),
            .received_at = sqlite3_column_int64(s, 3),
            .enqueued_at = sqlite3_column_int64(s, 4),
            .group_key = sqlite3_column_int64(s, 5),
        };
        db_reset(s);
    }
    return rc;
}

int engine_row_delete(struct engine *engine, struct queue *queue, int64_t row_id,
                      const struct row_state *state)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_DELETE);
    sqlite3_bind_int64(s, 1, row_id);
    int rc = db_run(s);
    if (rc != 0) {
        return rc;
    }
    engine_count_out(engine, queue, state);
    return engine_group_refresh(engine, queue, state->group_key);
}

int engine_row_show(struct engine *engine, struct queue *queue, int64_t row_id,
                    const struct row_state *state, int64_t visible_at, int64_t receive_count)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_SHOW);
    sqlite3_bind_int64(s, 1, row_id);
    sqlite3_bind_int64(s, 2, visible_at);
    sqlite3_bind_int64(s, 3, receive_count);
    int rc = db_run(s);
    if (rc != 0) {
        return rc;
    }
    struct row_state is = *state;
    is.visible_at = visible_at;
    is.receive_count = receive_count;
    engine_count_out(engine, queue, state);
    engine_count_in(engine, queue, &is);
    queue_watch_expiry(queue, state->enqueued_at);
    return engine_group_refresh(engine, queue, state->group_key);
}

/* Deleted because it was worked on: that time counts against its tenant. */
static int row_done(struct engine *engine, struct queue *queue, int64_t row_id,
                    const struct row_state *state)
{
    if (queue->fair != NULL && state->group_key < 0) {
        fair_spent(queue->fair, state->group_key, engine->now - state->received_at, engine->now);
    }
    int rc = engine_row_delete(engine, queue, row_id, state);
    queue->state.deleted += rc == 0;
    return rc;
}

/* ---- by receipt handle ---- */

static int bad_handle(struct sqs_error *e, struct str text)
{
    return sqs_error_set(e, SQS_ERROR_RECEIPT_HANDLE_IS_INVALID,
                         "The input receipt handle \"%.*s\" is not a valid receipt handle.",
                         (int)(text.len > 256 ? 256 : text.len), text.ptr == NULL ? "" : text.ptr);
}

/* What became of the message of a handle. */
enum found {
    FOUND_NOTHING,  /* deleted, purged or moved */
    FOUND_OUTDATED, /* received again since, or (FIFO) its visibility timeout is over */
    FOUND,
};

/* A handle that was never one of this queue: *e is set. Messages of a purged space are gone,
 * whether their rows are or not. Negative: an error of the file. */
static int find_by_handle(struct engine *engine, const struct queue *queue, struct str text,
                          struct handle *ret_handle, struct row_state *ret_state,
                          struct sqs_error *e)
{
    if (handle_read(text, queue_name(queue), ret_handle) != 0) {
        (void)bad_handle(e, text);
        return FOUND_NOTHING;
    }
    if (SCHEMA_SPACE_OF(ret_handle->row_id) != queue->space) {
        return FOUND_NOTHING;
    }
    int rc = engine_row_state(engine, ret_handle->row_id, ret_state);
    if (rc != 1) {
        return rc < 0 ? rc : FOUND_NOTHING;
    }
    bool is_over = queue->fifo && ret_state->visible_at <= engine->now;
    return ret_state->token == ret_handle->token && !is_over ? FOUND : FOUND_OUTDATED;
}

static int bad_handle_value(struct sqs_error *e, struct str text, const char *reason)
{
    return sqs_error_set(e, SQS_ERROR_INVALID_PARAMETER_VALUE,
                         "Value %.*s for parameter ReceiptHandle is invalid. Reason: %s",
                         STR_FMT(text), reason);
}

/* Deleting again is no error and does nothing; nor is an outdated handle on a standard queue. */
static int delete_by_handle(struct engine *engine, struct queue *queue,
                            const struct sqs_handle_entry *entry, struct sqs_error *e)
{
    struct handle handle;
    struct row_state state = {.visible_at = 0};
    int rc = find_by_handle(engine, queue, entry->receipt_handle, &handle, &state, e);
    if (rc == FOUND_OUTDATED && queue->fifo) {
        (void)bad_handle_value(e, entry->receipt_handle, "The receipt handle has expired.");
    }
    if (rc != FOUND) {
        return rc < 0 ? rc : 0;
    }
    return row_done(engine, queue, handle.row_id, &state);
}

static int change_by_handle(struct engine *engine, struct queue *queue,
                            const struct sqs_handle_entry *entry, struct sqs_error *e)
{
    struct handle handle;
    struct row_state state = {.visible_at = 0};
    if (sqs_validate_handle_entry(SQS_CHANGE_MESSAGE_VISIBILITY, entry, e) != 0) {
        return 0;
    }
    int rc = find_by_handle(engine, queue, entry->receipt_handle, &handle, &state, e);
    if (rc < 0 || e->code != SQS_OK) {
        return rc;
    }
    if (rc != FOUND) {
        (void)bad_handle_value(
            e, entry->receipt_handle,
            "Message does not exist or is not available for visibility timeout change.");
        return 0;
    }
    int64_t seconds = entry->visibility_timeout.value;
    if ((engine->now - state.received_at) / 1000 + seconds > VISIBILITY_TOTAL_S) {
        (void)sqs_error_set(e, SQS_ERROR_INVALID_PARAMETER_VALUE,
                            "Value %lld for parameter VisibilityTimeout is invalid. Reason: Total "
                            "VisibilityTimeout for the message is beyond the limit [%d seconds]",
                            (long long)seconds, VISIBILITY_TOTAL_S);
        return 0;
    }
    /* A message that became visible again is hidden again: it was not received since. */
    return engine_row_show(engine, queue, handle.row_id, &state, engine->now + 1000 * seconds,
                           state.receive_count);
}

typedef int (*by_handle_fn)(struct engine *, struct queue *, const struct sqs_handle_entry *,
                            struct sqs_error *);

static int run_single(struct engine *engine, struct store_request *request, by_handle_fn apply)
{
    const struct sqs_handle_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    return queue == NULL ? rc : apply(engine, queue, &in->entry, &request->error);
}

static int run_batch(struct engine *engine, struct store_request *request, by_handle_fn apply)
{
    const struct sqs_handle_batch_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL || sqs_validate_handle_batch(request->action, in, &request->error) != 0) {
        return rc;
    }
    struct sqs_handle_batch_out *out = engine_output(request, sizeof(*out));
    if (out == NULL) {
        return 0;
    }
    out->successful.items =
        arena_alloc(request->arena, in->entries.count * sizeof(*out->successful.items));
    out->failed.items = arena_alloc(request->arena, in->entries.count * sizeof(*out->failed.items));
    if (out->successful.items == NULL || out->failed.items == NULL) {
        return engine_out_of_memory(request);
    }
    for (uint32_t i = 0; i < in->entries.count && rc == 0; i++) {
        const struct sqs_handle_entry *entry = &in->entries.items[i];
        struct sqs_error e = {.code = SQS_OK};
        rc = apply(engine, queue, entry, &e);
        if (rc != 0) {
            break;
        }
        if (e.code == SQS_OK) {
            out->successful.items[out->successful.count++].id = entry->id;
        } else {
            rc = sqs_batch_failure_set(&out->failed.items[out->failed.count++], entry->id, &e,
                                       request->arena);
        }
    }
    return rc;
}

int engine_delete_message(struct engine *engine, struct store_request *request)
{
    return run_single(engine, request, delete_by_handle);
}

int engine_delete_message_batch(struct engine *engine, struct store_request *request)
{
    return run_batch(engine, request, delete_by_handle);
}

int engine_change_visibility(struct engine *engine, struct store_request *request)
{
    return run_single(engine, request, change_by_handle);
}

int engine_change_visibility_batch(struct engine *engine, struct store_request *request)
{
    return run_batch(engine, request, change_by_handle);
}

/* ---- by row, for routes ---- */

static int settle_release(struct engine *engine, struct queue *queue,
                          const struct store_settle *settle, const struct row_state *state)
{
    int64_t count = state->receive_count - (settle->uncount && state->receive_count > 0);
    int64_t visible_at = engine->now + (settle->delay_ms > 0 ? settle->delay_ms : 0);
    if (settle->uncount && settle->delay_ms <= 0) {
        visible_at = state->enqueued_at; /* handed back untouched: to its old place in the line */
    }
    return engine_row_show(engine, queue, settle->row_id, state, visible_at, count);
}

static int settle_dead_letter(struct engine *engine, struct queue *queue,
                              const struct store_settle *settle, const struct row_state *state)
{
    const struct engine_move move = {
        .from = queue,
        .to = engine_dead_letter_queue(engine, queue),
        .row_id = settle->row_id,
        .state = state,
        .marks = settle->marks,
    };
    if (move.to == NULL) {
        return ERR_UNSUPPORTED;
    }
    int rc = engine_row_move(engine, &move);
    queue->state.dead_lettered += rc == 0;
    return rc;
}

int engine_settle(struct engine *engine, struct store_settle *settle)
{
    struct queue *queue = engine_queue(engine, settle->queue);
    struct row_state state = {.visible_at = 0};
    settle->error = ERR_NOT_FOUND;
    if (queue == NULL || SCHEMA_SPACE_OF(settle->row_id) != queue->space) {
        return 0;
    }
    int rc = engine_touch(engine, queue);
    if (rc == 0) {
        rc = engine_row_state(engine, settle->row_id, &state);
    }
    if (rc != 1 || state.visible_at < SCHEMA_HELD) {
        return rc < 0 ? rc : 0;
    }
    if (settle->how == STORE_SETTLE_DELETE) {
        rc = row_done(engine, queue, settle->row_id, &state);
    } else if (settle->how == STORE_SETTLE_RELEASE) {
        rc = settle_release(engine, queue, settle, &state);
    } else {
        rc = settle_dead_letter(engine, queue, settle, &state);
    }
    settle->error = rc;
    return rc == ERR_UNSUPPORTED ? 0 : rc;
}
