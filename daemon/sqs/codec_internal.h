/*
 * codec_internal: what the codecs share: access to members through the table, bounded lists in the
 * arena, and the errors a decoder gives.
 */
#ifndef SLUICE_SQS_CODEC_INTERNAL_H
#define SLUICE_SQS_CODEC_INTERNAL_H

#include "sluice/sqs/codec.h"

#include <string.h>

/* No request needs as many elements in one list; a longer one is refused before it costs memory. */
#define CODEC_LIST_MAX 4096

/* Every list of types.h has this layout, whatever its elements. */
struct codec_list {
    void *items;
    uint32_t count;
    bool set;
};
_Static_assert(sizeof(struct codec_list) == sizeof(struct sqs_strings), "lists have one layout");
_Static_assert(sizeof(struct codec_list) == sizeof(struct sqs_map), "lists have one layout");
_Static_assert(sizeof(struct codec_list) == sizeof(struct sqs_attributes), "lists have one layout");

struct codec {
    struct arena *arena;
    struct sqs_error *e;
    bool is_send; /* SendMessage(Batch): what its body may not hold is InvalidMessageContents */
    /* Where we are, for messages: "SendMessageBatchRequestEntry.1." */
    char prefix[96];
};

void codec_init(struct codec *codec, const struct sqs_shape *shape, struct arena *arena,
                struct sqs_error *e);
static inline struct codec_list codec_list_get(const void *base, size_t offset)
{
    struct codec_list list;
    memcpy(&list, (const char *)base + offset, sizeof(list));
    return list;
}

static inline void codec_put(void *base, size_t offset, const void *value, size_t size)
{
    memcpy((char *)base + offset, value, size);
}

/* Each returns an enum sqs_error_code. */
int codec_malformed(struct codec *codec, const char *text);
int codec_no_room(struct codec *codec);
int codec_missing(struct codec *codec, const char *name);
int codec_items_new(struct codec *codec, size_t count, size_t size, struct codec_list *ret);
int codec_dup(struct codec *codec, struct str text, struct str *ret);
int codec_from_base64(struct codec *codec, struct str text, struct str *ret);

#endif
