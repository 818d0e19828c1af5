#include "attribute_blob.h"

#include <string.h>

#define FORMAT     1
#define PART_COUNT 3

enum transport { TRANSPORT_TEXT = 1, TRANSPORT_BYTES = 2 };

static struct str value_of(const struct sqs_attribute *a)
{
    return a->binary_value.ptr != NULL ? a->binary_value : a->string_value;
}

static char *put_part(char *p, struct str part)
{
    uint32_t len = (uint32_t)part.len;
    const unsigned char prefix[4] = {(unsigned char)(len >> 24), (unsigned char)(len >> 16),
                                     (unsigned char)(len >> 8), (unsigned char)len};
    memcpy(p, prefix, sizeof(prefix));
    if (part.len > 0) {
        memcpy(p + sizeof(prefix), part.ptr, part.len);
    }
    return p + sizeof(prefix) + part.len;
}

int attribute_blob_write(const struct sqs_attributes *attributes, struct arena *arena,
                         struct str *ret)
{
    if (attributes->count == 0) {
        *ret = STR_NONE;
        return 0;
    }
    size_t len = 1;
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct sqs_attribute *a = &attributes->items[i];
        len += 1 + PART_COUNT * 4 + a->name.len + a->data_type.len + value_of(a).len;
    }
    char *blob = arena_alloc(arena, len);
    if (blob == NULL) {
        return ERR_NOMEM;
    }
    char *p = blob;
    *p++ = FORMAT;
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct sqs_attribute *a = &attributes->items[i];
        *p++ = a->binary_value.ptr != NULL ? TRANSPORT_BYTES : TRANSPORT_TEXT;
        p = put_part(p, a->name);
        p = put_part(p, a->data_type);
        p = put_part(p, value_of(a));
    }
    *ret = (struct str){blob, len};
    return 0;
}

static int take_part(struct str *rest, struct str *ret)
{
    const unsigned char *p = (const unsigned char *)rest->ptr;
    if (rest->len < 4) {
        return ERR_CORRUPT;
    }
    size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (len > rest->len - 4) {
        return ERR_CORRUPT;
    }
    *ret = (struct str){rest->ptr + 4, len};
    *rest = (struct str){rest->ptr + 4 + len, rest->len - 4 - len};
    return 0;
}

static int take_attribute(struct str *rest, struct sqs_attribute *ret)
{
    char transport = rest->ptr[0];
    struct str value;
    *rest = (struct str){rest->ptr + 1, rest->len - 1};
    if (take_part(rest, &ret->name) != 0 || take_part(rest, &ret->data_type) != 0 ||
        take_part(rest, &value) != 0) {
        return ERR_CORRUPT;
    }
    if (transport == TRANSPORT_BYTES) {
        ret->binary_value = value;
    } else {
        ret->string_value = value;
    }
    return 0;
}

static int count_attributes(struct str rest, uint32_t *ret)
{
    struct sqs_attribute unused = {.has_list_values = false};
    *ret = 0;
    while (rest.len > 0) {
        if (take_attribute(&rest, &unused) != 0) {
            return ERR_CORRUPT;
        }
        (*ret)++;
    }
    return 0;
}

int attribute_blob_read(struct str blob, struct arena *arena, struct sqs_attributes *ret)
{
    *ret = (struct sqs_attributes){.items = NULL};
    if (blob.len == 0) {
        return 0;
    }
    struct str rest = {blob.ptr + 1, blob.len - 1};
    uint32_t count = 0;
    if (blob.ptr[0] != FORMAT || count_attributes(rest, &count) != 0) {
        return ERR_CORRUPT;
    }
    struct sqs_attribute *items = arena_alloc(arena, count * sizeof(*items));
    if (items == NULL) {
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        (void)take_attribute(&rest, &items[i]);
    }
    *ret = (struct sqs_attributes){.items = items, .count = count, .set = true};
    return 0;
}
