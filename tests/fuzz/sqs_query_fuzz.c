/* rooms: sqs base */
/* The Query codec. First byte: which action; the rest: the form. What decodes can be written as
 * JSON and, for a message, meets the rules. */
#include "fuzz.h"

#include "sluice/sqs/arn.h"
#include "sluice/sqs/codec.h"
#include "sluice/sqs/validate.h"

#define MEMORY_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum sqs_action action = (enum sqs_action)(data[0] % SQS_ACTION__COUNT);
    const struct sqs_shape *shape = sqs_action_info(action)->input;
    struct str form = {(const char *)data + 1, size - 1};
    struct arena arena;
    struct sqs_error e;
    void *value = NULL;
    arena_init(&arena, MEMORY_MAX);
    (void)sqs_query_parameter(form, "Action", &arena);
    if (sqs_query_decode(shape, form, &arena, &value, &e) == SQS_OK) {
        struct buf json;
        buf_init(&json, MEMORY_MAX);
        SL_ASSERT(sqs_json_encode(shape, value, &json) == ERR_OK);
        SL_ASSERT(str_is_utf8(buf_str(&json)));
        buf_done(&json);
        if (action == SQS_SEND_MESSAGE) {
            const struct sqs_send_rules rules = {false, false, 1048576, false};
            const struct sqs_send_message_in *in = value;
            struct sqs_queue_ref ref;
            (void)!sqs_queue_url_parse(in->queue_url, &ref);
            if (sqs_validate_send_entry(&in->entry, &rules, &e) == SQS_OK) {
                SL_ASSERT(str_is_utf8(in->entry.body) && in->entry.body.len > 0);
            }
        }
    } else {
        SL_ASSERT(e.code != SQS_OK && e.message[0] != '\0');
    }
    arena_done(&arena);
    return 0;
}
