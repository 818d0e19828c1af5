#include "engine_internal.h"

#include "fair.h"

#include "sluice/base/digest.h"
#include "sluice/sqs/arn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX_BYTES       1024
#define CLOCK_STORE_EVERY_MS 1000  /* how much lease time a kill may forget */
#define RESERVED_SEQUENCES   65536 /* what a restart skips at the most */
#define TOKEN_WIDE           (INT64_C(1) << 62)

struct deleted {
    struct list_node node;
    int64_t at;
    char name[SQS_QUEUE_NAME_MAX + 1];
};

struct undo {
    struct list_node node;
    enum undo_kind kind;
    struct queue *queue;
    struct queue_definition *definition; /* before the change */
    int64_t space, next_sequence;
};

/* ---- small helpers ---- */

void engine_random(struct engine *engine, void *out, size_t len)
{
    if (engine->random_used + len > sizeof(engine->random)) {
        digest_random(engine->random, sizeof(engine->random));
        engine->random_used = 0;
    }
    memcpy(out, engine->random + engine->random_used, len);
    engine->random_used += len;
}

void engine_random_id(struct engine *engine, uint8_t ret[16])
{
    engine_random(engine, ret, 16);
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x40);
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

int64_t engine_token(struct engine *engine)
{
    int64_t token = 0;
    engine_random(engine, &token, sizeof(token));
    return (token & (TOKEN_WIDE - 1)) | TOKEN_WIDE;
}

struct str engine_text(struct arena *arena, const char *format, ...)
{
    char text[TEXT_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(text)) {
        return STR_NONE;
    }
    char *copy = arena_dup(arena, text, (size_t)len);
    return copy == NULL ? STR_NONE : (struct str){copy, (size_t)len};
}

struct str engine_message_id(struct arena *arena, const uint8_t raw[16])
{
    char hex[33];
    char *text = arena_alloc(arena, 37);
    if (text == NULL) {
        return STR_NONE;
    }
    digest_hex(raw, 16, hex);
    char *p = text;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            *p++ = '-';
        }
        *p++ = hex[i];
    }
    return (struct str){text, 36};
}

struct str engine_copy(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    const char *copy = len == 0 ? NULL : arena_dup(arena, text, len);
    return copy == NULL ? STR_NONE : (struct str){copy, len};
}

int engine_out_of_memory(struct store_request *request)
{
    (void)sqs_error_set(&request->error, SQS_ERROR_INTERNAL_FAILURE,
                        "The answer is larger than the memory for one request.");
    return 0;
}

int engine_no_such_queue(struct store_request *request)
{
    (void)sqs_error_set(&request->error, SQS_ERROR_QUEUE_DOES_NOT_EXIST,
                        "The specified queue does not exist.");
    return 0;
}

void *engine_output(struct store_request *request, size_t size)
{
    request->output = arena_alloc(request->arena, size);
    if (request->output == NULL) {
        (void)engine_out_of_memory(request);
    }
    return request->output;
}

struct str engine_region(const struct engine *engine, const struct store_request *request)
{
    return request->region.len > 0 ? request->region : str_from(engine->region);
}

bool engine_arn_is_ours(const struct engine *engine, const struct store_request *request,
                        const struct sqs_arn *arn)
{
    return str_equal(arn->account, str_from(engine->account)) &&
           (str_equal(arn->region, str_from(engine->region)) ||
            str_equal(arn->region, engine_region(engine, request)));
}

/* ---- queues in memory ---- */

struct queue *engine_queue(struct engine *engine, struct str name)
{
    return map_get(&engine->by_name, name);
}

void engine_queue_link(struct engine *engine, struct queue *queue)
{
    list_push(&engine->queues, &queue->node);
    SL_ASSERT(map_set(&engine->by_name, queue_name(queue), queue) == 0);
    engine_task_watch(engine, queue);
    engine->generation++;
}

static void queue_unlink(struct engine *engine, struct queue *queue)
{
    list_remove(&engine->queues, &queue->node);
    if (list_is_linked(&queue->moving)) {
        list_remove(&engine->tasks, &queue->moving);
    }
    (void)map_remove(&engine->by_name, queue_name(queue));
    engine->generation++;
}

void engine_queue_free(struct queue *queue)
{
    queue_definition_free(queue->definition);
    fair_free(queue->fair);
    free(queue);
}

/* The lanes of a queue in which there may be messages: 0, 1 or 2 of them. */
static int lanes_of(const struct queue *queue, int64_t lanes[2])
{
    int count = 0;
    if (!queue->fifo) {
        lanes[count++] = queue->space;
    }
    if (queue->has_groups) {
        lanes[count++] = -queue->space;
    }
    return count;
}

static int advance_lane(struct engine *engine, struct queue *queue, int64_t lane)
{
    struct queue_state *state = &queue->state;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_DUE_BETWEEN);
    sqlite3_bind_int64(s, 1, lane);
    sqlite3_bind_int64(s, 2, state->advanced_to);
    sqlite3_bind_int64(s, 3, engine->now);
    int rc;
    while ((rc = db_step(s)) == 1) {
        enum queue_place from = sqlite3_column_int64(s, 0) > 0 ? QUEUE_LEASED : QUEUE_DELAYED;
        state->counts[from] -= state->counts[from] > 0;
        state->counts[QUEUE_VISIBLE]++;
        if (from == QUEUE_LEASED && queue->fair != NULL && lane < 0) {
            fair_out(queue->fair, sqlite3_column_int64(s, 1));
        }
    }
    return rc;
}

static int find_next_due(struct engine *engine, struct queue *queue, int64_t lane)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_NEXT_DUE);
    sqlite3_bind_int64(s, 1, lane);
    sqlite3_bind_int64(s, 2, engine->now);
    int rc = db_step(s);
    if (rc == 1) {
        int64_t due = sqlite3_column_int64(s, 0);
        queue->state.next_due = due < queue->state.next_due ? due : queue->state.next_due;
        db_reset(s);
        rc = 0;
    }
    return rc;
}

int engine_advance(struct engine *engine, struct queue *queue)
{
    struct queue_state *state = &queue->state;
    if (engine->now < state->next_due) {
        state->advanced_to = engine->now;
        return 0;
    }
    int64_t lanes[2];
    int lane_count = lanes_of(queue, lanes);
    int rc = 0;
    for (int i = 0; i < lane_count && rc == 0; i++) {
        rc = advance_lane(engine, queue, lanes[i]);
    }
    if (rc != 0) {
        return rc;
    }
    state->advanced_to = engine->now;
    state->next_due = QUEUE_NEVER;
    bool waits = state->counts[QUEUE_LEASED] + state->counts[QUEUE_DELAYED] > 0;
    for (int i = 0; i < lane_count && rc == 0 && waits; i++) {
        rc = find_next_due(engine, queue, lanes[i]);
    }
    return rc;
}

int engine_oldest_sent(struct engine *engine, struct queue *queue, wall_ms *ret)
{
    int64_t lanes[2];
    int lane_count = lanes_of(queue, lanes);
    *ret = 0;
    int rc = 0;
    for (int i = 0; i < lane_count && rc == 0 && queue->state.counts[QUEUE_VISIBLE] > 0; i++) {
        sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_OLDEST_READY);
        sqlite3_bind_int64(s, 1, lanes[i]);
        sqlite3_bind_int64(s, 2, engine->now);
        rc = db_step(s);
        if (rc == 1) {
            wall_ms sent_at = sqlite3_column_int64(s, 0);
            *ret = *ret == 0 || sent_at < *ret ? sent_at : *ret;
            db_reset(s);
            rc = 0;
        }
    }
    return rc;
}

int engine_touch(struct engine *engine, struct queue *queue)
{
    if (!list_is_linked(&queue->touched)) {
        queue->saved = queue->state;
        list_push(&engine->touched, &queue->touched);
    }
    return engine_advance(engine, queue);
}

int engine_next_row(struct engine *engine, struct queue *queue, int64_t *ret)
{
    int64_t sequence = queue->next_sequence;
    if (sequence >= SCHEMA_SEQUENCE_MAX) {
        return ERR_FULL;
    }
    if (sequence >= queue->state.reserved) {
        sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_RESERVE);
        sqlite3_bind_int64(s, 1, queue->space);
        sqlite3_bind_int64(s, 2, sequence + RESERVED_SEQUENCES);
        int rc = db_run(s);
        if (rc != 0) {
            return rc;
        }
        queue->state.reserved = sequence + RESERVED_SEQUENCES;
    }
    queue->next_sequence++;
    *ret = SCHEMA_ROW_ID(queue->space, sequence);
    return 0;
}

struct queue *engine_request_queue(struct engine *engine, struct store_request *request,
                                   struct str queue_url, int *ret_rc)
{
    struct sqs_queue_ref ref;
    struct queue *queue = NULL;
    *ret_rc = 0;
    if (sqs_queue_url_parse(queue_url, &ref) == 0) {
        queue = engine_queue(engine, ref.name);
    }
    if (queue == NULL) {
        (void)engine_no_such_queue(request);
        return NULL;
    }
    *ret_rc = engine_touch(engine, queue);
    return *ret_rc == 0 ? queue : NULL;
}

/* ---- transactions ---- */

void engine_undo_add(struct engine *engine, enum undo_kind kind, struct queue *queue)
{
    struct undo *undo = MEM_NEW(struct undo);
    undo->kind = kind;
    undo->queue = queue;
    undo->definition = queue->definition;
    undo->space = queue->space;
    undo->next_sequence = queue->next_sequence;
    list_push_front(&engine->undo, &undo->node);
    if (kind == UNDO_DELETED) {
        queue_unlink(engine, queue);
    }
}

void engine_forget_deleted(struct engine *engine, int64_t until)
{
    struct list_node *node;
    while ((node = list_first(&engine->deleted)) != NULL &&
           LIST_ENTRY(node, struct deleted, node)->at <= until) {
        list_remove(&engine->deleted, node);
        free(LIST_ENTRY(node, struct deleted, node));
    }
}

static void remember_deleted(struct engine *engine, const struct queue *queue)
{
    engine_forget_deleted(engine, engine->now - ENGINE_RULE_MS);
    if (!engine->sixty_second_rules || engine->deleted.count >= ENGINE_QUEUES_MAX) {
        return;
    }
    struct deleted *deleted = MEM_NEW(struct deleted);
    deleted->at = engine->now;
    str_copy(deleted->name, sizeof(deleted->name), queue_name(queue));
    list_push(&engine->deleted, &deleted->node);
}

bool engine_is_recently_deleted(const struct engine *engine, struct str name)
{
    LIST_FOR(&engine->deleted, node)
    {
        const struct deleted *deleted = LIST_ENTRY(node, struct deleted, node);
        if (engine->now < deleted->at + ENGINE_RULE_MS &&
            str_equal(str_from(deleted->name), name)) {
            return true;
        }
    }
    LIST_FOR(&engine->undo, node) /* in this transaction */
    {
        const struct undo *undo = LIST_ENTRY(node, struct undo, node);
        if (engine->sixty_second_rules && undo->kind == UNDO_DELETED &&
            str_equal(queue_name(undo->queue), name)) {
            return true;
        }
    }
    return false;
}

static void undo_apply(struct engine *engine, struct undo *undo)
{
    struct queue *queue = undo->queue;
    switch (undo->kind) {
    case UNDO_CREATED:
        queue_unlink(engine, queue);
        engine_queue_free(queue);
        break;
    case UNDO_DELETED:
        engine_queue_link(engine, queue);
        break;
    case UNDO_DEFINITION:
        queue_definition_free(queue->definition);
        queue->definition = undo->definition;
        break;
    case UNDO_SPACE:
        queue->space = undo->space;
        queue->next_sequence = undo->next_sequence;
        break;
    }
}

static void undo_forget(struct engine *engine, struct undo *undo)
{
    if (undo->kind == UNDO_DEFINITION) {
        queue_definition_free(undo->definition);
    } else if (undo->kind == UNDO_DELETED) {
        remember_deleted(engine, undo->queue);
        if (engine->queue_gone != NULL) {
            engine->queue_gone(engine->context, undo->queue);
        }
        engine_queue_free(undo->queue);
    }
}

static void transaction_done(struct engine *engine, bool committed)
{
    struct list_node *node;
    while ((node = list_pop(&engine->touched)) != NULL) {
        struct queue *queue = LIST_ENTRY(node, struct queue, touched);
        queue->changed = true;
        if (!committed) {
            queue->state = queue->saved;
            engine_task_watch(engine, queue);
            fair_free(queue->fair);
            queue->fair = NULL;
        } else if (queue->state.next_expiry < engine->next_expiry) {
            engine->next_expiry = queue->state.next_expiry;
        }
    }
    while ((node = list_pop(&engine->undo)) != NULL) {
        struct undo *undo = LIST_ENTRY(node, struct undo, node);
        if (committed) {
            undo_forget(engine, undo);
        } else {
            undo_apply(engine, undo);
        }
        free(undo);
    }
}

int engine_begin(struct engine *engine, int64_t now_ms, wall_ms wall)
{
    engine->wall = wall;
    engine->now = now_ms > engine->now ? now_ms : engine->now;
    engine->changes_before = db_changes(&engine->db);
    return db_begin(&engine->db);
}

/* Goes with writes that are being made anyway. */
static int store_clock(struct engine *engine)
{
    if (db_changes(&engine->db) == engine->changes_before ||
        engine->now < engine->clock_stored + CLOCK_STORE_EVERY_MS) {
        return 0;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_META_SET);
    db_bind_str(s, 1, STR("clock"));
    sqlite3_bind_int64(s, 2, engine->now);
    return db_run(s);
}

int engine_commit(struct engine *engine)
{
    int rc = store_clock(engine);
    if (rc == 0) {
        rc = db_commit(&engine->db);
    }
    if (rc != 0) {
        engine_rollback(engine);
        return rc;
    }
    if (engine->now >= engine->clock_stored + CLOCK_STORE_EVERY_MS &&
        db_changes(&engine->db) != engine->changes_before) {
        engine->clock_stored = engine->now;
    }
    transaction_done(engine, true);
    return 0;
}

void engine_rollback(struct engine *engine)
{
    db_rollback(&engine->db);
    transaction_done(engine, false);
}

/* ---- dispatch ---- */

int engine_run(struct engine *engine, struct store_request *request)
{
    static int (*const actions[SQS_ACTION__COUNT])(struct engine *, struct store_request *) = {
        [SQS_CREATE_QUEUE] = engine_create_queue,
        [SQS_DELETE_QUEUE] = engine_delete_queue,
        [SQS_GET_QUEUE_URL] = engine_get_queue_url,
        [SQS_LIST_QUEUES] = engine_list_queues,
        [SQS_GET_QUEUE_ATTRIBUTES] = engine_get_queue_attributes,
        [SQS_SET_QUEUE_ATTRIBUTES] = engine_set_queue_attributes,
        [SQS_SEND_MESSAGE] = engine_send_message,
        [SQS_SEND_MESSAGE_BATCH] = engine_send_message_batch,
        [SQS_RECEIVE_MESSAGE] = engine_receive_message,
        [SQS_DELETE_MESSAGE] = engine_delete_message,
        [SQS_DELETE_MESSAGE_BATCH] = engine_delete_message_batch,
        [SQS_CHANGE_MESSAGE_VISIBILITY] = engine_change_visibility,
        [SQS_CHANGE_MESSAGE_VISIBILITY_BATCH] = engine_change_visibility_batch,
        [SQS_PURGE_QUEUE] = engine_purge_queue,
        [SQS_ADD_PERMISSION] = engine_add_permission,
        [SQS_REMOVE_PERMISSION] = engine_remove_permission,
        [SQS_TAG_QUEUE] = engine_tag_queue,
        [SQS_UNTAG_QUEUE] = engine_untag_queue,
        [SQS_LIST_QUEUE_TAGS] = engine_list_queue_tags,
        [SQS_LIST_DEAD_LETTER_SOURCE_QUEUES] = engine_list_dead_letter_source_queues,
        [SQS_START_MESSAGE_MOVE_TASK] = engine_start_message_move_task,
        [SQS_LIST_MESSAGE_MOVE_TASKS] = engine_list_message_move_tasks,
        [SQS_CANCEL_MESSAGE_MOVE_TASK] = engine_cancel_message_move_task,
    };
    request->output = NULL;
    request->error.code = SQS_OK;
    if (request->action < 0 || request->action >= SQS_ACTION__COUNT ||
        actions[request->action] == NULL) {
        (void)sqs_error_set(&request->error, SQS_ERROR_INVALID_ACTION,
                            "The action is not valid for this endpoint.");
        return 0;
    }
    int rc = actions[request->action](engine, request);
    if (request->error.code != SQS_OK) {
        request->output = NULL;
    }
    return rc;
}
