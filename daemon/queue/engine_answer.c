/* What a receiver sees of a message: an SQS client what it asked for, a route everything. */
#include "engine_take.h"

#include "attribute_blob.h"
#include "handle.h"

#include "sluice/sqs/arn.h"
#include "sluice/sqs/filter.h"
#include "sluice/sqs/md5.h"

#include <inttypes.h>

#define SYSTEM_NAMES_MAX 9

/* Twenty digits whatever the row: ids are below 2^62. */
#define SEQUENCE_NUMBER_BASE UINT64_C(10000000000000000000)

struct str engine_sequence_number(struct arena *arena, int64_t row_id)
{
    return engine_text(arena, "%" PRIu64, SEQUENCE_NUMBER_BASE + (uint64_t)row_id);
}

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

/* Of the queue whose dead letter it is. */
static struct str source_arn(struct arena *arena, sqlite3_stmt *row, const struct engine *engine,
                             struct str region)
{
    struct str source = db_column(row, COLUMN_SOURCE);

    return source.ptr == NULL ? STR_NONE
                              : sqs_arn_build(arena, region, str_from(engine->account), source);
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
    const struct system_attribute all[SYSTEM_NAMES_MAX] = {
        {"SenderId", str_from(engine->account)},
        {"SentTimestamp", engine_text(arena, "%" PRId64, sent_at)},
        {"ApproximateReceiveCount", engine_text(arena, "%" PRId64, taken->receive_count)},
        {"ApproximateFirstReceiveTimestamp",
         engine_text(arena, "%" PRId64, taken->first_received_at)},
        {"SequenceNumber",
         take->queue->fifo ? engine_sequence_number(arena, taken->row_id) : STR_NONE},
        {"MessageDeduplicationId", column_copy(arena, row, COLUMN_DEDUPLICATION_ID, &failed)},
        {"MessageGroupId", column_copy(arena, row, COLUMN_GROUP_ID, &failed)},
        {"AWSTraceHeader", column_copy(arena, row, COLUMN_TRACE_HEADER, &failed)},
        {"DeadLetterQueueSourceArn",
         source_arn(arena, row, engine, engine_region(engine, take->request))},
    };
    ret->items = arena_alloc(arena, SYSTEM_NAMES_MAX * sizeof(*ret->items));
    if (ret->items == NULL || failed) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < SYSTEM_NAMES_MAX; i++) {
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
    struct engine *engine = take->engine;
    struct arena *arena = take->arena;
    bool failed = false;
    *held = (struct store_held){
        .row_id = taken->row_id,
        .message_id = message_id_text(arena, row),
        .body = column_copy(arena, row, COLUMN_BODY, &failed),
        .group_id = column_copy(arena, row, COLUMN_GROUP_ID, &failed),
        .trace_header = column_copy(arena, row, COLUMN_TRACE_HEADER, &failed),
        .sender_id = str_from(engine->account),
        .sequence_number =
            take->queue->fifo ? engine_sequence_number(arena, taken->row_id) : STR_NONE,
        .deduplication_id = column_copy(arena, row, COLUMN_DEDUPLICATION_ID, &failed),
        .source_arn = source_arn(arena, row, engine, str_from(engine->region)),
        .sent_at = sqlite3_column_int64(row, COLUMN_SENT_AT),
        .first_received_at = taken->first_received_at,
        .receive_count = (uint32_t)taken->receive_count,
    };
    struct str blob = column_copy(arena, row, COLUMN_ATTRIBUTES, &failed);
    if (failed || held->message_id.ptr == NULL) {
        return ERR_NOMEM;
    }
    return attribute_blob_read(blob, arena, &held->attributes);
}

int engine_answer_add(struct take *take, sqlite3_stmt *row, const struct taken *taken)
{
    return take->hold != NULL ? add_held(take, row, taken) : add_received(take, row, taken);
}
