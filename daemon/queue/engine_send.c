#include "engine_internal.h"

#include "attribute_blob.h"
#include "fair.h"

#include "sluice/base/digest.h"
#include "sluice/sqs/md5.h"

#include <string.h>

#define MD5_TEXT_BYTES 32

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

/* What is stored besides what the entry says. */
struct stored {
    uint8_t message_id[16];
    struct str deduplication_id; /* STR_NONE: none */
    int64_t row_id;
};

static int insert_message(struct engine *engine, struct queue *queue,
                          const struct store_request *request, const struct sqs_send_entry *entry,
                          struct stored *stored)
{
    struct str attributes;
    struct row_state is = {.enqueued_at = engine->now};
    int rc = attribute_blob_write(&entry->attributes, request->arena, &attributes);
    bool own_delay = entry->delay_seconds.set && !queue->fifo;
    is.visible_at =
        engine->now + (own_delay ? 1000 * entry->delay_seconds.value : queue->definition->delay_ms);
    rc = rc != 0 ? rc : engine_next_row(engine, queue, &stored->row_id);
    if (rc == 0 && entry->group_id.ptr != NULL) {
        rc = engine_group_join(engine, queue, entry->group_id, is.visible_at, &is.group_key);
    }
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_MESSAGE_INSERT);
    sqlite3_bind_int64(s, 1, stored->row_id);
    sqlite3_bind_int64(s, 2, queue_lane(queue, is.group_key));
    sqlite3_bind_int64(s, 3, is.visible_at);
    sqlite3_bind_int64(s, 4, engine_token(engine));
    sqlite3_bind_int64(s, 5, engine->now);
    sqlite3_bind_int64(s, 6, request->wall);
    sqlite3_bind_int64(s, 7, is.group_key);
    db_bind_blob(s, 8, (struct str){(const char *)stored->message_id, 16});
    db_bind_str(s, 9, entry->group_id);
    db_bind_str(s, 10, stored->deduplication_id);
    db_bind_str(s, 11, trace_header_of(entry));
    db_bind_blob(s, 12, attributes);
    db_bind_str(s, 13, entry->body);
    rc = db_run(s);
    if (rc == 0) {
        queue->state.sent++;
        engine_count_in(engine, queue, &is);
        queue_watch_expiry(queue, engine->now);
        if (queue->fair != NULL && is.group_key < 0) {
            fair_sent(queue->fair, is.group_key, engine->now);
        }
    }
    return rc;
}

/* ---- deduplication ---- */

#define PAYLOAD_BYTES 24 /* message id 16, row 8 */

/* SHA-256 of the body, in hexadecimal, where the sender gave no id. */
static struct str deduplication_id_of(const struct sqs_send_entry *entry, struct arena *arena)
{
    if (entry->deduplication_id.ptr != NULL) {
        return entry->deduplication_id;
    }
    uint8_t digest[DIGEST_SHA256_BYTES];
    char text[2 * DIGEST_SHA256_BYTES + 1];
    digest_sha256(entry->body, digest);
    digest_hex(digest, sizeof(digest), text);
    return engine_copy(arena, text);
}

/* Inserts unless the same was sent in the last five minutes: then *stored is that message. */
static int insert_once(struct engine *engine, struct queue *queue,
                       const struct store_request *request, const struct sqs_send_entry *entry,
                       struct stored *stored)
{
    struct recent recent;
    uint8_t key[RECENT_KEY_BYTES];
    uint8_t payload[PAYLOAD_BYTES];
    struct str scope = queue->definition->deduplicates_by_group ? entry->group_id : STR_NONE;
    stored->deduplication_id = deduplication_id_of(entry, request->arena);
    if (stored->deduplication_id.ptr == NULL) {
        return ERR_NOMEM;
    }
    engine_recent_key('d', scope, stored->deduplication_id, key);
    int rc = engine_recent_find(engine, queue, key, &recent);
    if (rc == 1 && recent.payload_len == PAYLOAD_BYTES) {
        memcpy(stored->message_id, recent.payload, sizeof(stored->message_id));
        memcpy(&stored->row_id, recent.payload + 16, sizeof(stored->row_id));
        return 0;
    }
    rc = rc < 0 ? rc : insert_message(engine, queue, request, entry, stored);
    if (rc == 0) {
        memcpy(payload, stored->message_id, sizeof(stored->message_id));
        memcpy(payload + 16, &stored->row_id, sizeof(stored->row_id));
        rc = engine_recent_put(engine, queue, key,
                               (struct str){(const char *)payload, sizeof(payload)});
    }
    return rc;
}

static int send_one(struct engine *engine, struct queue *queue, const struct store_request *request,
                    const struct sqs_send_entry *entry, struct sqs_send_result *ret)
{
    struct arena *arena = request->arena;
    char md5[MD5_TEXT_BYTES + 1];
    struct stored stored = {.deduplication_id = STR_NONE};
    engine_random_id(engine, stored.message_id);
    int rc = queue->fifo ? insert_once(engine, queue, request, entry, &stored)
                         : insert_message(engine, queue, request, entry, &stored);
    if (rc != 0) {
        return rc;
    }
    ret->id = entry->id;
    ret->message_id = engine_message_id(arena, stored.message_id);
    sqs_md5_body(entry->body, md5);
    ret->md5_of_body = engine_copy(arena, md5);
    sqs_md5_attributes(&entry->attributes, md5);
    ret->md5_of_attributes = engine_copy(arena, md5);
    sqs_md5_attributes(&entry->system_attributes, md5);
    ret->md5_of_system_attributes = engine_copy(arena, md5);
    if (queue->fifo) {
        ret->sequence_number = engine_sequence_number(arena, stored.row_id);
    }
    return ret->message_id.ptr == NULL || ret->md5_of_body.ptr == NULL ? ERR_NOMEM : 0;
}

static struct sqs_send_rules rules_of(const struct queue *queue, bool batch)
{
    return (struct sqs_send_rules){
        .fifo = queue->fifo,
        .content_based_deduplication = queue->definition->deduplicates_content,
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
