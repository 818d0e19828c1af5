/* rooms: sqs base */
/*
 * The JSON codec in both directions. First byte: which shape; the rest: the text. What decodes must
 * encode, and what was encoded must decode to the same text again.
 */
#include "fuzz.h"

#include "sluice/sqs/codec.h"
#include "sluice/sqs/validate.h"

#define MEMORY_MAX ((size_t)16 << 20)

static void encode_twice(const struct sqs_shape *shape, const void *value, struct arena *arena)
{
    struct buf first;
    struct buf second;
    struct sqs_error e;
    void *again = NULL;
    buf_init(&first, MEMORY_MAX);
    buf_init(&second, MEMORY_MAX);
    SL_ASSERT(sqs_json_encode(shape, value, &first) == ERR_OK);
    SL_ASSERT(sqs_json_decode(shape, buf_str(&first), arena, &again, &e) == SQS_OK);
    SL_ASSERT(sqs_json_encode(shape, again, &second) == ERR_OK);
    SL_ASSERT(str_equal(buf_str(&first), buf_str(&second)));
    buf_done(&first);
    buf_done(&second);
}

/* The rules run on whatever decodes. */
static void validate(enum sqs_action action, const void *in)
{
    const struct sqs_send_rules rules = {(action & 1) != 0, false, 1024, false};
    struct sqs_error e;
    switch (action) {
    case SQS_CREATE_QUEUE:
        (void)!sqs_validate_create_queue(in, &e);
        break;
    case SQS_SEND_MESSAGE:
        (void)!sqs_validate_send_entry(&((const struct sqs_send_message_in *)in)->entry, &rules,
                                       &e);
        break;
    case SQS_SEND_MESSAGE_BATCH:
        (void)!sqs_validate_send_batch(in, &rules, &e);
        break;
    case SQS_RECEIVE_MESSAGE:
        (void)!sqs_validate_receive(in, false, &e);
        break;
    case SQS_DELETE_MESSAGE_BATCH:
        (void)!sqs_validate_handle_batch(action, in, &e);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    enum sqs_action action = (enum sqs_action)((data[0] & 0x7f) % SQS_ACTION__COUNT);
    const struct sqs_action_info *info = sqs_action_info(action);
    bool output = (data[0] & 0x80) != 0 && info->output != NULL;
    const struct sqs_shape *shape = output ? info->output : info->input;
    struct arena arena;
    struct sqs_error e;
    void *value = NULL;
    arena_init(&arena, MEMORY_MAX);
    struct str text = {(const char *)data + 1, size - 1};
    if (sqs_json_decode(shape, text, &arena, &value, &e) == SQS_OK) {
        encode_twice(shape, value, &arena);
        if (output) {
            struct buf xml;
            buf_init(&xml, MEMORY_MAX);
            SL_ASSERT(sqs_xml_encode(info, value, "id", &xml) == ERR_OK);
            SL_ASSERT(str_is_utf8(buf_str(&xml)));
            buf_done(&xml);
        } else {
            validate(action, value);
        }
    } else {
        SL_ASSERT(e.code != SQS_OK && e.message[0] != '\0');
    }
    arena_done(&arena);
    return 0;
}
