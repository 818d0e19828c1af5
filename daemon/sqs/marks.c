#include "sluice/sqs/marks.h"

#include "sluice/sqs/validate.h"

struct mark_info {
    struct str name, type;
};

static const struct mark_info infos[SQS_MARK__COUNT] = {
#define XX(mark, wire, data_type)                                                                  \
    [SQS_MARK_##mark] = {{(wire), sizeof(wire) - 1}, {(data_type), sizeof(data_type) - 1}},
    SQS_MARK_MAP(XX)
#undef XX
};

const char *sqs_mark_name(enum sqs_mark mark)
{
    return (unsigned)mark < SL_COUNT(infos) ? infos[mark].name.ptr : "unknown";
}

static bool is_mark(struct str name)
{
    for (size_t i = 0; i < SL_COUNT(infos); i++) {
        if (str_equal(name, infos[i].name)) {
            return true;
        }
    }
    return false;
}

static size_t size_of(const struct sqs_attribute *a)
{
    size_t value = a->binary_value.ptr != NULL ? a->binary_value.len : a->string_value.len;

    return a->name.len + a->data_type.len + value;
}

int sqs_marks_add(const struct sqs_attributes *theirs, const struct sqs_marks *marks,
                  size_t room_bytes, struct arena *arena, struct sqs_attributes *ret)
{
    struct sqs_attribute *items =
        arena_alloc(arena, (theirs->count + SQS_MARK__COUNT) * sizeof(*items));
    uint32_t count = 0;
    size_t used = 0;

    if (items == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < theirs->count; i++) {
        if (!is_mark(theirs->items[i].name)) {
            used += size_of(&theirs->items[i]);
            items[count++] = theirs->items[i];
        }
    }
    for (int mark = 0; mark < SQS_MARK__COUNT && count < SQS_MESSAGE_ATTRIBUTES_MAX; mark++) {
        const struct sqs_attribute a = {.name = infos[mark].name,
                                        .data_type = infos[mark].type,
                                        .string_value = marks->values[mark]};
        if (a.string_value.len > 0 && used + size_of(&a) <= room_bytes &&
            sqs_text_is_valid(a.string_value)) {
            used += size_of(&a);
            items[count++] = a;
        }
    }
    *ret = (struct sqs_attributes){.items = items, .count = count, .set = count > 0};
    return 0;
}
