/* rooms: queue sqs base */
/*
 * What comes back from clients and from the file: receipt handles, task handles, ARNs and queue
 * URLs, and the blob of a message's attributes. The first line of the input is a queue's name.
 */
#include "fuzz.h"

#include "queue/attribute_blob.h"
#include "queue/handle.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/move_task.h"

#define ARENA_MAX ((size_t)4 << 20)

static void check_handle(struct str text, struct str queue, struct arena *arena)
{
    struct handle handle;
    if (handle_read(text, queue, &handle) == 0) {
        struct str again = handle_write(&handle, queue, arena);
        SL_ASSERT(str_equal_nocase(again, text)); /* hexadecimal */
    }
    const struct handle own = {(int64_t)text.len << 32, INT64_C(1) << 62 | (int64_t)queue.len};
    struct str written = handle_write(&own, queue, arena);
    SL_ASSERT(handle_read(written, queue, &handle) == 0);
    SL_ASSERT(handle.row_id == own.row_id && handle.token == own.token);
    SL_ASSERT(handle_read(written, text, &handle) != 0 || str_equal(text, queue));
}

static void check_blob(struct str blob, struct arena *arena)
{
    struct sqs_attributes attributes = {0};
    struct sqs_attributes again = {0};
    struct str written;
    if (attribute_blob_read(blob, arena, &attributes) != 0 ||
        attribute_blob_write(&attributes, arena, &written) != 0) {
        return;
    }
    SL_ASSERT(attribute_blob_read(written, arena, &again) == 0);
    SL_ASSERT(again.count == attributes.count);
    for (uint32_t i = 0; i < again.count; i++) {
        SL_ASSERT(str_equal(again.items[i].name, attributes.items[i].name));
        SL_ASSERT(str_equal(again.items[i].data_type, attributes.items[i].data_type));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct str queue = STR("");
    struct arena arena;
    struct sqs_error e = {.code = SQS_OK};
    struct sqs_move_handle task;
    struct sqs_arn arn;
    struct sqs_queue_ref ref;
    struct sqs_endpoint endpoint;
    arena_init(&arena, ARENA_MAX);
    (void)str_next(&text, '\n', &queue);
    if (text.ptr == NULL) {
        text = STR("");
    }
    check_handle(text, queue, &arena);
    check_blob(text, &arena);
    if (sqs_move_handle_read(text, &arena, &task, &e) == SQS_OK) {
        struct str again = sqs_move_handle_write(&arena, task.task_id, task.source_arn);
        struct sqs_move_handle read;
        SL_ASSERT(sqs_move_handle_read(again, &arena, &read, &e) == SQS_OK);
        SL_ASSERT(str_equal(read.task_id, task.task_id));
        SL_ASSERT(str_equal(read.source_arn, task.source_arn));
    }
    if (sqs_arn_parse(text, &arn) == ERR_OK) {
        SL_ASSERT(arn.region.len > 0 && arn.account.len > 0 && arn.name.len > 0);
    }
    if (sqs_queue_url_parse(text, &ref) == ERR_OK) {
        SL_ASSERT(ref.name.len > 0);
    }
    if (sqs_endpoint_parse(text, &endpoint) == ERR_OK) {
        SL_ASSERT(endpoint.host.len > 0);
    }
    arena_done(&arena);
    return 0;
}
