#include "engine_internal.h"

#include "attribute_blob.h"

#include "sluice/sqs/md5.h"

#define MD5_TEXT_BYTES 32

/* Version 4, variant 1 of RFC 4122. */
static struct str new_message_id(struct engine *engine, struct arena *arena, uint8_t raw[16])
{
    engine_random(engine, raw, 16);
    raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
    raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
    return engine_message_id(arena, raw);
}

static struct str trace_header_of(const struct sqs_send_entry *entry)
{
    for (uint32_t i = 0; i < entry->system_attributes.count; i++) {
        const struct sqs_attribute *a = &entry->system_attributes.items[i];
        if (str_equal(a->name, STR("AWSTraceHeader"))) {
            return a->string_value;
        }
    }
    return STR_NONE;
}

static int insert_message(struct engine *engine, struct queue *queue,
                          const struct store_request *request, const struct sqs_send_entry *entry,
                          struct str raw_id)
{
    struct str attributes;
    int rc = attribute_blob_write(&entry->attributes, request->arena, &attributes);
    if (rc == 0 && queue->next_sequence >= SCHEMA_SEQUENCE_MAX) {
        rc = ERR_FULL;
    }
    if (rc != 0) {
        return rc;
    }
    int64_t delay_ms =
        entry->delay_seconds.set ? 1000 * entry->delay_seconds.value : queue->definition->delay_ms;
    int64_t visible_at = engine->now + delay_ms;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_INSERT);
    sqlite3_bind_int64(s, 1, SCHEMA_ROW_ID(queue->space, queue->next_sequence));
    sqlite3_bind_int64(s, 2, queue->space);
    sqlite3_bind_int64(s, 3, visible_at);
    sqlite3_bind_int64(s, 4, engine_token(engine));
    sqlite3_bind_int64(s, 5, engine->now);
    sqlite3_bind_int64(s, 6, request->wall);
    db_bind_blob(s, 7, raw_id);
    db_bind_str(s, 8, entry->group_id);
    db_bind_str(s, 9, trace_header_of(entry));
    db_bind_blob(s, 10, attributes);
    db_bind_str(s, 11, entry->body);
    rc = db_run(s);
    if (rc == 0) {
        queue->next_sequence++;
        queue->state.sent++;
        queue_count_in(queue, visible_at, 0);
        queue_watch_expiry(queue, engine->now);
    }
    return rc;
}

static int send_one(struct engine *engine, struct queue *queue, const struct store_request *request,
                    const struct sqs_send_entry *entry, struct sqs_send_result *ret)
{
    struct arena *arena = request->arena;
    char md5[MD5_TEXT_BYTES + 1];
    uint8_t raw_id[16];
    ret->id = entry->id;
    ret->message_id = new_message_id(engine, arena, raw_id);
    sqs_md5_body(entry->body, md5);
    ret->md5_of_body = engine_copy(arena, md5);
    sqs_md5_attributes(&entry->attributes, md5);
    ret->md5_of_attributes = engine_copy(arena, md5);
    sqs_md5_attributes(&entry->system_attributes, md5);
    ret->md5_of_system_attributes = engine_copy(arena, md5);
    if (ret->message_id.ptr == NULL || ret->md5_of_body.ptr == NULL) {
        return ERR_NOMEM;
    }
    return insert_message(engine, queue, request, entry,
                          (struct str){(const char *)raw_id, sizeof(raw_id)});
}

static struct sqs_send_rules rules_of(const struct queue *queue, bool batch)
{
    return (struct sqs_send_rules){
        .fifo = false,
        .max_message_bytes = queue->definition->max_message_bytes,
        .batch = batch,
    };
}

/* Told before a byte is written, while there is still room for receives and deletes. */
static bool refuses(struct engine *engine, struct store_request *request)
{
    if (engine->refuses_messages) {
        (void)sqs_error_set(&request->error, SQS_ERROR_SERVICE_UNAVAILABLE,
                            "The disk of the queue is full: no message is accepted until there is "
                            "room again.");
    }
    return engine->refuses_messages;
}

int engine_send_message(struct engine *engine, struct store_request *request)
{
    const struct sqs_send_message_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL) {
        return rc;
    }
    struct sqs_send_rules rules = rules_of(queue, false);
    if (sqs_validate_send_entry(&in->entry, &rules, &request->error) != 0 ||
        refuses(engine, request)) {
        return 0;
    }
    struct sqs_send_result *out = engine_output(request, sizeof(*out));
    return out == NULL ? 0 : send_one(engine, queue, request, &in->entry, out);
}

int engine_send_message_batch(struct engine *engine, struct store_request *request)
{
    const struct sqs_send_batch_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL) {
        return rc;
    }
    struct sqs_send_rules rules = rules_of(queue, true);
    if (sqs_validate_send_batch(in, &rules, &request->error) != 0 || refuses(engine, request)) {
        return 0;
    }
    struct sqs_send_batch_out *out = engine_output(request, sizeof(*out));
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
        const struct sqs_send_entry *entry = &in->entries.items[i];
        struct sqs_error e = {.code = SQS_OK};
        if (sqs_validate_send_entry(entry, &rules, &e) == 0) {
            rc = send_one(engine, queue, request, entry,
                          &out->successful.items[out->successful.count++]);
        } else {
            rc = sqs_batch_failure_set(&out->failed.items[out->failed.count++], entry->id, &e,
                                       request->arena);
        }
    }
    return rc;
}
