#include "codec_internal.h"

#include "sluice/base/digest.h"

void codec_init(struct codec *codec, const struct sqs_shape *shape, struct arena *arena,
                struct sqs_error *e)
{
    *codec = (struct codec){.arena = arena, .e = e};
    *e = (struct sqs_error){.code = SQS_OK};
    codec->is_send = shape == sqs_action_info(SQS_SEND_MESSAGE)->input ||
                     shape == sqs_action_info(SQS_SEND_MESSAGE_BATCH)->input;
}

int codec_malformed(struct codec *codec, const char *text)
{
    return sqs_error_set(codec->e, SQS_ERROR_MALFORMED_INPUT, "%s", text);
}

int codec_no_room(struct codec *codec)
{
    return codec_malformed(codec, "The request is larger than what can be taken.");
}

int codec_missing(struct codec *codec, const char *name)
{
    return sqs_error_set(codec->e, SQS_ERROR_MISSING_PARAMETER,
                         "The request must contain the parameter %s%s.", codec->prefix, name);
}

int codec_items_new(struct codec *codec, size_t count, size_t size, struct codec_list *ret)
{
    if (count > CODEC_LIST_MAX) {
        return codec_no_room(codec);
    }
    *ret = (struct codec_list){.set = true};
    if (count == 0) {
        return SQS_OK;
    }
    ret->items = arena_alloc(codec->arena, count * size);
    if (ret->items == NULL) {
        return codec_no_room(codec);
    }
    ret->count = (uint32_t)count;
    return SQS_OK;
}

int codec_dup(struct codec *codec, struct str text, struct str *ret)
{
    const char *copy = arena_dup(codec->arena, text.ptr == NULL ? "" : text.ptr, text.len);
    if (copy == NULL) {
        return codec_no_room(codec);
    }
    *ret = (struct str){copy, text.len};
    return SQS_OK;
}

int codec_from_base64(struct codec *codec, struct str text, struct str *ret)
{
    struct buf bytes;
    buf_init(&bytes, text.len + 4);
    int rc = digest_from_base64(&bytes, text);
    if (rc == ERR_OK) {
        rc = codec_dup(codec, buf_str(&bytes), ret);
    } else {
        rc = codec_malformed(codec, "A BinaryValue is not valid base64.");
    }
    buf_done(&bytes);
    return rc;
}
