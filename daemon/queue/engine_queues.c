/* Actions on queues: create, delete, find, purge. */
#include "engine_internal.h"

#include "sluice/sqs/arn.h"

/* ---- queue URLs ---- */

static int answer_url(struct engine *engine, struct store_request *request,
                      const struct queue *queue)
{
    struct sqs_queue_url_out *out = engine_output(request, sizeof(*out));
    if (out == NULL) {
        return 0;
    }
    out->queue_url = sqs_queue_url_build(request->arena, request->endpoint,
                                         str_from(engine->account), queue_name(queue));
    return out->queue_url.ptr == NULL ? engine_out_of_memory(request) : 0;
}

int engine_get_queue_url(struct engine *engine, struct store_request *request)
{
    const struct sqs_get_queue_url_in *in = request->input;
    struct queue *queue = engine_queue(engine, in->queue_name);
    bool foreign =
        in->owner_account.ptr != NULL && !str_equal(in->owner_account, str_from(engine->account));
    if (queue == NULL || foreign) {
        return engine_no_such_queue(request);
    }
    return answer_url(engine, request, queue);
}

/* ---- create ---- */

/* A space is never used for two queues by one process: rows it handed out stay recognisable. */
static int new_space(struct engine *engine, struct queue *queue)
{
    if (engine->next_space >= SCHEMA_SPACE_MAX) {
        return ERR_FULL;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_INSERT);
    sqlite3_bind_int64(s, 1, engine->next_space);
    sqlite3_bind_int64(s, 2, queue->id);
    int rc = db_run(s);
    if (rc == 0) {
        queue->space = engine->next_space++;
        queue->next_sequence = 1;
        queue->state.reserved = 0;
    }
    return rc;
}

int engine_write_attributes(struct engine *engine, const struct queue *queue,
                            const struct queue_definition *definition)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_ATTRIBUTE_CLEAR);
    sqlite3_bind_int64(s, 1, queue->id);
    int rc = db_run(s);
    for (int i = 0; i < SQS_QUEUE_ATTRIBUTE__COUNT && rc == 0; i++) {
        const char *value = definition->values[i];
        if (value == NULL) {
            continue;
        }
        s = db_use(&engine->db, STATEMENT_ATTRIBUTE_INSERT);
        sqlite3_bind_int64(s, 1, queue->id);
        db_bind_str(s, 2, str_from(sqs_queue_attribute_info((enum sqs_queue_attribute)i)->name));
        db_bind_str(s, 3, str_from(value));
        rc = db_run(s);
    }
    return rc;
}

static int insert_queue(struct engine *engine, struct queue *queue)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_QUEUE_INSERT);
    db_bind_str(s, 1, queue_name(queue));
    sqlite3_bind_int64(s, 2, queue->created_at);
    int rc = db_run(s);
    if (rc != 0) {
        return rc;
    }
    queue->id = sqlite3_last_insert_rowid(engine->db.handle);
    rc = new_space(engine, queue);
    return rc == 0 ? engine_write_attributes(engine, queue, queue->definition) : rc;
}

/* Takes the definition. */
static int create(struct engine *engine, struct store_request *request,
                  struct queue_definition *definition)
{
    const struct sqs_create_queue_in *in = request->input;
    struct queue *queue = MEM_NEW(struct queue);
    str_copy(queue->name, sizeof(queue->name), in->queue_name);
    queue->fifo = sqs_queue_name_is_fifo(in->queue_name);
    queue->created_at = request->wall;
    queue->definition = definition;
    definition->modified_at = request->wall;
    queue->state.advanced_to = engine->now;
    queue->state.next_due = QUEUE_NEVER;
    queue->state.next_expiry = QUEUE_NEVER;
    list_init(&queue->waiters);
    engine_queue_link(engine, queue);
    engine_undo_add(engine, UNDO_CREATED, queue);
    int rc = insert_queue(engine, queue);
    rc = rc != 0 ? rc : engine_write_tags(engine, queue, &in->tags);
    return rc != 0 ? rc : answer_url(engine, request, queue);
}

/* Creating what is there already: fine when every attribute given has the value in force. */
static int create_again(struct engine *engine, struct store_request *request,
                        const struct queue *queue, const struct queue_definition *wanted)
{
    const struct sqs_create_queue_in *in = request->input;
    for (uint32_t i = 0; i < in->attributes.count; i++) {
        enum sqs_queue_attribute attribute = sqs_queue_attribute_find(in->attributes.items[i].name);
        if (attribute == SQS_QUEUE_ATTRIBUTE_NONE) {
            continue;
        }
        struct str want = str_from(queue_definition_value(wanted, attribute));
        struct str have = str_from(queue_definition_value(queue->definition, attribute));
        if (!str_equal(want, have)) {
            (void)sqs_error_set(&request->error, SQS_ERROR_QUEUE_NAME_EXISTS,
                                "A queue already exists with the same name and a different value "
                                "for attribute %.*s",
                                STR_FMT(in->attributes.items[i].name));
            return 0;
        }
    }
    return answer_url(engine, request, queue);
}

int engine_create_queue(struct engine *engine, struct store_request *request)
{
    const struct sqs_create_queue_in *in = request->input;
    if (sqs_validate_create_queue(in, &request->error) != 0 ||
        sqs_validate_tags(&in->tags, &request->error) != 0) {
        return 0;
    }
    if (in->tags.count > SQS_TAGS_MAX) {
        return engine_too_many_tags(request, in->queue_name);
    }
    struct queue *queue = engine_queue(engine, in->queue_name);
    struct queue_definition *definition = queue_definition_new(NULL, &in->attributes);
    if (engine_check_definition(engine, request, in->queue_name, &in->attributes, definition) !=
        0) {
        queue_definition_free(definition);
        return 0;
    }
    queue_definition_parse(definition);
    int rc = 0;
    if (queue != NULL) {
        rc = create_again(engine, request, queue, definition);
    } else if (engine_is_recently_deleted(engine, in->queue_name)) {
        (void)sqs_error_set(&request->error, SQS_ERROR_QUEUE_DELETED_RECENTLY,
                            "You must wait 60 seconds after deleting a queue before you can create "
                            "another with the same name.");
    } else if (engine->queues.count >= ENGINE_QUEUES_MAX) {
        (void)sqs_error_set(&request->error, SQS_ERROR_OVER_LIMIT, "There are %d queues already.",
                            ENGINE_QUEUES_MAX);
    } else {
        return create(engine, request, definition);
    }
    queue_definition_free(definition);
    return rc;
}

/* ---- delete and purge ---- */

static int give_up_space(struct engine *engine, struct queue *queue)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_GIVE_UP);
    sqlite3_bind_int64(s, 1, queue->space);
    engine->has_given_up = true;
    return db_run(s);
}

int engine_delete_queue(struct engine *engine, struct store_request *request)
{
    const struct sqs_queue_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL) {
        return rc;
    }
    static const enum statement deletes[] = {STATEMENT_ATTRIBUTE_CLEAR, STATEMENT_TAG_CLEAR,
                                             STATEMENT_TASK_CLEAR, STATEMENT_QUEUE_DELETE};
    rc = give_up_space(engine, queue);
    for (size_t i = 0; i < SL_COUNT(deletes) && rc == 0; i++) {
        sqlite3_stmt *s = db_use(&engine->db, deletes[i]);
        sqlite3_bind_int64(s, 1, queue->id);
        rc = db_run(s);
    }
    if (rc == 0) {
        engine_undo_add(engine, UNDO_DELETED, queue);
    }
    return rc;
}

int engine_purge_queue(struct engine *engine, struct store_request *request)
{
    const struct sqs_queue_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL) {
        return rc;
    }
    if (engine->sixty_second_rules) {
        if (engine->now < queue->state.purge_free) {
            (void)sqs_error_set(&request->error, SQS_ERROR_PURGE_QUEUE_IN_PROGRESS,
                                "Only one PurgeQueue operation on %s is allowed every 60 seconds.",
                                queue->name);
            return 0;
        }
        queue->state.purge_free = engine->now + ENGINE_RULE_MS;
    }
    if (queue_total(queue) == 0) {
        return 0;
    }
    engine_undo_add(engine, UNDO_SPACE, queue);
    rc = give_up_space(engine, queue);
    rc = rc != 0 ? rc : new_space(engine, queue);
    if (rc == 0) {
        for (int i = 0; i < QUEUE_PLACE__COUNT; i++) {
            queue->state.counts[i] = 0;
        }
        queue->state.next_due = QUEUE_NEVER;
        queue->state.next_expiry = QUEUE_NEVER;
        queue->state.sweep_from = 0;
    }
    return rc;
}
