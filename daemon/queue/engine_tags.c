/* Tags of queues: kept and told, nothing more. */
#include "engine_internal.h"

int engine_too_many_tags(struct store_request *request, struct str name)
{
    (void)sqs_error_set(&request->error, SQS_ERROR_INVALID_PARAMETER_VALUE,
                        "Too many tags added for queue %.*s.", STR_FMT(name));
    return 0;
}

int engine_write_tags(struct engine *engine, const struct queue *queue, const struct sqs_map *tags)
{
    int rc = 0;
    for (uint32_t i = 0; i < tags->count && rc == 0; i++) {
        sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TAG_SET);
        sqlite3_bind_int64(s, 1, queue->id);
        db_bind_str(s, 2, tags->items[i].name);
        db_bind_str(s, 3, tags->items[i].value);
        rc = db_run(s);
    }
    return rc;
}

/* Adds a copy of the pair; false when there is no room, in the map or in the arena. */
static bool append(struct sqs_map *map, struct arena *arena, struct str name, struct str value)
{
    struct str name_copy = {arena_dup(arena, name.ptr, name.len), name.len};
    struct str value_copy = {arena_dup(arena, value.len == 0 ? "" : value.ptr, value.len),
                             value.len};
    if (map->count >= SQS_TAGS_MAX || name_copy.ptr == NULL || value_copy.ptr == NULL) {
        return false;
    }
    map->items[map->count++] = (struct sqs_pair){name_copy, value_copy};
    map->set = true;
    return true;
}

/* All tags of the queue, in order of their keys. *ret_full: there was no room for them. */
static int read_tags(struct engine *engine, const struct queue *queue, struct arena *arena,
                     struct sqs_map *ret, bool *ret_full)
{
    *ret = (struct sqs_map){.items = arena_alloc(arena, SQS_TAGS_MAX * sizeof(*ret->items))};
    *ret_full = ret->items == NULL;
    if (*ret_full) {
        return 0;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TAG_LIST);
    sqlite3_bind_int64(s, 1, queue->id);
    int rc;
    while ((rc = db_step(s)) == 1) {
        if (!append(ret, arena, db_column(s, 0), db_column(s, 1))) {
            *ret_full = true;
            db_reset(s);
            return 0;
        }
    }
    return rc;
}

/* How many tags the queue will have. */
static uint32_t count_merged(const struct sqs_map *have, const struct sqs_map *add)
{
    uint32_t count = have->count;
    for (uint32_t i = 0; i < add->count; i++) {
        bool known = sqs_map_get(have, add->items[i].name).ptr != NULL;
        for (uint32_t k = 0; k < i && !known; k++) {
            known = str_equal(add->items[k].name, add->items[i].name);
        }
        count += known ? 0 : 1;
    }
    return count;
}

int engine_tag_queue(struct engine *engine, struct store_request *request)
{
    const struct sqs_tag_queue_in *in = request->input;
    struct sqs_map have;
    bool full;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL || sqs_validate_tag_queue(in, &request->error) != 0) {
        return rc;
    }
    if (in->tags.count > SQS_TAGS_MAX) {
        return engine_too_many_tags(request, queue_name(queue));
    }
    rc = read_tags(engine, queue, request->arena, &have, &full);
    if (rc != 0 || full) {
        return rc != 0 ? rc : engine_out_of_memory(request);
    }
    if (count_merged(&have, &in->tags) > SQS_TAGS_MAX) {
        return engine_too_many_tags(request, queue_name(queue));
    }
    return engine_write_tags(engine, queue, &in->tags);
}

int engine_untag_queue(struct engine *engine, struct store_request *request)
{
    const struct sqs_untag_queue_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL || sqs_validate_untag_queue(in, &request->error) != 0) {
        return rc;
    }
    for (uint32_t i = 0; i < in->keys.count && rc == 0; i++) {
        sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TAG_DELETE);
        sqlite3_bind_int64(s, 1, queue->id);
        db_bind_str(s, 2, in->keys.items[i]);
        rc = db_run(s);
    }
    return rc;
}

int engine_list_queue_tags(struct engine *engine, struct store_request *request)
{
    const struct sqs_queue_in *in = request->input;
    bool full;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL) {
        return rc;
    }
    struct sqs_list_queue_tags_out *out = engine_output(request, sizeof(*out));
    if (out == NULL) {
        return 0;
    }
    rc = read_tags(engine, queue, request->arena, &out->tags, &full);
    return rc == 0 && full ? engine_out_of_memory(request) : rc;
}
