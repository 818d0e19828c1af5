/* AWS JSON 1.0, in both directions: smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html */
#include "codec_internal.h"

#include "sluice/base/digest.h"
#include "sluice/base/json.h"
#include "sluice/sqs/validate.h"

#include <stdio.h>

static int decode_shape(struct codec *codec, const struct sqs_shape *shape,
                        const struct json_value *object, void *out);

static const char *const type_words[] = {"NULL_VALUE",   "BOOLEAN_VALUE", "NUMBER_VALUE",
                                         "STRING_VALUE", "a list",        "a structure or map"};

static int wrong_type(struct codec *codec, const struct json_value *value, const char *wanted)
{
    char text[160];
    enum json_type type = json_type(value);
    const char *found = type_words[type];
    if (type == JSON_ARRAY || type == JSON_OBJECT) {
        (void)snprintf(text, sizeof(text), "Start of %s found where %s was expected.", found,
                       wanted);
    } else {
        (void)snprintf(text, sizeof(text), "%s can not be converted to %s.", found, wanted);
    }
    return codec_malformed(codec, text);
}

static int decode_string(struct codec *codec, const struct json_value *value, struct str *ret)
{
    if (json_type(value) != JSON_STRING) {
        return wrong_type(codec, value, "a String");
    }
    return codec_dup(codec, json_string(value), ret);
}

static int decode_int(struct codec *codec, const struct json_value *value, struct sqs_int *ret)
{
    if (json_type(value) != JSON_NUMBER || json_i64(value, &ret->value) != ERR_OK) {
        return wrong_type(codec, value, "an Integer");
    }
    ret->set = true;
    return SQS_OK;
}

static int decode_strings(struct codec *codec, const struct json_value *value,
                          struct codec_list *list)
{
    if (json_type(value) != JSON_ARRAY) {
        return wrong_type(codec, value, "a list");
    }
    int rc = codec_items_new(codec, json_count(value), sizeof(struct str), list);
    struct str *items = list->items;
    const struct json_value *child = json_first(value);
    for (uint32_t i = 0; rc == SQS_OK && i < list->count; i++, child = json_next(child)) {
        rc = decode_string(codec, child, &items[i]);
    }
    return rc;
}

static int decode_map(struct codec *codec, const struct json_value *value, struct codec_list *list)
{
    if (json_type(value) != JSON_OBJECT) {
        return wrong_type(codec, value, "a map");
    }
    int rc = codec_items_new(codec, json_count(value), sizeof(struct sqs_pair), list);
    struct sqs_pair *items = list->items;
    const struct json_value *child = json_first(value);
    for (uint32_t i = 0; rc == SQS_OK && i < list->count; i++, child = json_next(child)) {
        rc = codec_dup(codec, json_key(child), &items[i].name);
        if (rc == SQS_OK) {
            rc = decode_string(codec, child, &items[i].value);
        }
    }
    return rc;
}

static bool is_present(const struct json_value *value)
{
    return json_type(value) != JSON_NULL;
}

static int decode_attribute(struct codec *codec, const struct json_value *value,
                            struct sqs_attribute *out)
{
    if (json_type(value) != JSON_OBJECT) {
        return wrong_type(codec, value, "a structure");
    }
    int rc = codec_dup(codec, json_key(value), &out->name);
    const struct json_value *part = json_get(value, "DataType");
    if (rc == SQS_OK && is_present(part)) {
        rc = decode_string(codec, part, &out->data_type);
    }
    part = json_get(value, "StringValue");
    if (rc == SQS_OK && is_present(part)) {
        rc = decode_string(codec, part, &out->string_value);
    }
    part = json_get(value, "BinaryValue");
    if (rc == SQS_OK && is_present(part)) {
        rc = json_type(part) == JSON_STRING
                 ? codec_from_base64(codec, json_string(part), &out->binary_value)
                 : wrong_type(codec, part, "a Blob");
    }
    out->has_list_values = json_count(json_get(value, "StringListValues")) > 0 ||
                           json_count(json_get(value, "BinaryListValues")) > 0;
    return rc;
}

static int decode_attributes(struct codec *codec, const struct json_value *value,
                             struct codec_list *list)
{
    if (json_type(value) != JSON_OBJECT) {
        return wrong_type(codec, value, "a map");
    }
    int rc = codec_items_new(codec, json_count(value), sizeof(struct sqs_attribute), list);
    struct sqs_attribute *items = list->items;
    const struct json_value *child = json_first(value);
    for (uint32_t i = 0; rc == SQS_OK && i < list->count; i++, child = json_next(child)) {
        rc = decode_attribute(codec, child, &items[i]);
    }
    return rc;
}

static int decode_structs(struct codec *codec, const struct sqs_member *member,
                          const struct json_value *value, struct codec_list *list)
{
    if (json_type(value) != JSON_ARRAY) {
        return wrong_type(codec, value, "a list");
    }
    size_t size = member->shape->struct_size;
    int rc = codec_items_new(codec, json_count(value), size, list);
    const struct json_value *child = json_first(value);
    for (uint32_t i = 0; rc == SQS_OK && i < list->count; i++, child = json_next(child)) {
        (void)snprintf(codec->prefix, sizeof(codec->prefix), "%s.%u.", member->query_name, i + 1);
        rc = decode_shape(codec, member->shape, child, (char *)list->items + i * size);
    }
    codec->prefix[0] = '\0';
    return rc;
}

static int decode_list(struct codec *codec, const struct sqs_member *member,
                       const struct json_value *value, void *out)
{
    struct codec_list list = {0};
    int rc = SQS_OK;
    switch (member->type) {
    case SQS_TYPE_STRINGS:
        rc = decode_strings(codec, value, &list);
        break;
    case SQS_TYPE_MAP:
        rc = decode_map(codec, value, &list);
        break;
    case SQS_TYPE_ATTRIBUTES:
        rc = decode_attributes(codec, value, &list);
        break;
    default:
        rc = decode_structs(codec, member, value, &list);
        break;
    }
    codec_put(out, member->offset, &list, sizeof(list));
    return rc;
}

static int decode_member(struct codec *codec, const struct sqs_member *member,
                         const struct json_value *value, void *out)
{
    int rc = SQS_OK;
    if (member->type == SQS_TYPE_STRING) {
        struct str text = STR_NONE;
        rc = decode_string(codec, value, &text);
        codec_put(out, member->offset, &text, sizeof(text));
    } else if (member->type == SQS_TYPE_INT) {
        struct sqs_int number = {0};
        rc = decode_int(codec, value, &number);
        codec_put(out, member->offset, &number, sizeof(number));
    } else if (member->type == SQS_TYPE_BOOL) {
        bool flag = json_bool(value);
        if (json_type(value) != JSON_BOOL) {
            return wrong_type(codec, value, "a Boolean");
        }
        codec_put(out, member->offset, &flag, sizeof(flag));
    } else {
        rc = decode_list(codec, member, value, out);
    }
    return rc;
}

static int decode_shape(struct codec *codec, const struct sqs_shape *shape,
                        const struct json_value *object, void *out)
{
    if (json_type(object) != JSON_OBJECT) {
        return wrong_type(codec, object, "a structure");
    }
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct sqs_member *member = &shape->members[i];
        const struct json_value *value = json_get(object, member->json_name);
        int rc = SQS_OK;
        if (is_present(value)) {
            rc = decode_member(codec, member, value, out);
        } else if (member->required) {
            rc = codec_missing(codec, member->json_name);
        }
        if (rc != SQS_OK) {
            return rc;
        }
    }
    return SQS_OK;
}

static int parse_failed(struct codec *codec, int rc, const struct error *detail)
{
    if (rc == ERR_NOMEM) {
        return sqs_error_set(codec->e, SQS_ERROR_SERVICE_UNAVAILABLE, "Out of memory.");
    }
    if (rc == ERR_NUL_CHARACTER && codec->is_send) {
        return sqs_error_set(codec->e, SQS_ERROR_INVALID_MESSAGE_CONTENTS, "%s",
                             SQS_INVALID_CHARACTERS_TEXT);
    }
    return sqs_error_set(codec->e, SQS_ERROR_MALFORMED_INPUT, "The request is not valid JSON: %s",
                         detail->text);
}

int sqs_json_decode(const struct sqs_shape *shape, struct str text, struct arena *arena, void **ret,
                    struct sqs_error *e)
{
    struct codec codec;
    codec_init(&codec, shape, arena, e);
    struct json json;
    struct error detail = {0};
    int rc = json_parse(&json, text, JSON_STRICT, &detail);
    if (rc != ERR_OK) {
        return parse_failed(&codec, rc, &detail);
    }
    void *out = arena_alloc(arena, shape->struct_size);
    rc = out == NULL ? codec_no_room(&codec) : decode_shape(&codec, shape, json.root, out);
    json_done(&json);
    if (rc == SQS_OK) {
        *ret = out;
    }
    return rc;
}

/* ---- writing ---- */

static void encode_shape(struct json_writer *w, const struct sqs_shape *shape, const void *value);

static void encode_attribute(struct json_writer *w, const struct sqs_attribute *attribute)
{
    json_key_write(w, attribute->name);
    json_object_begin(w);
    if (attribute->string_value.ptr != NULL) {
        json_member_str(w, "StringValue", attribute->string_value);
    }
    if (attribute->binary_value.ptr != NULL) {
        struct buf text;
        buf_init(&text, attribute->binary_value.len / 3 * 4 + 8);
        int rc = digest_base64(&text, attribute->binary_value.ptr, attribute->binary_value.len);
        if (rc != ERR_OK) {
            w->out->failed = rc;
        }
        json_member_str(w, "BinaryValue", buf_str(&text));
        buf_done(&text);
    }
    json_member_str(w, "DataType", attribute->data_type);
    json_object_end(w);
}

static void encode_map(struct json_writer *w, const struct codec_list *list)
{
    const struct sqs_pair *pairs = list->items;
    json_object_begin(w);
    for (uint32_t i = 0; i < list->count; i++) {
        json_key_write(w, pairs[i].name);
        json_write_str(w, pairs[i].value);
    }
    json_object_end(w);
}

static void encode_attributes(struct json_writer *w, const struct codec_list *list)
{
    const struct sqs_attribute *attributes = list->items;
    json_object_begin(w);
    for (uint32_t i = 0; i < list->count; i++) {
        encode_attribute(w, &attributes[i]);
    }
    json_object_end(w);
}

/* An empty list is left out: AWS never writes "Messages":[]. */
static void encode_list(struct json_writer *w, const struct sqs_member *member, const void *value)
{
    struct codec_list list = codec_list_get(value, member->offset);
    if (list.count == 0) {
        return;
    }
    json_key_write(w, str_from(member->json_name));
    if (member->type == SQS_TYPE_MAP) {
        encode_map(w, &list);
        return;
    }
    if (member->type == SQS_TYPE_ATTRIBUTES) {
        encode_attributes(w, &list);
        return;
    }
    json_array_begin(w);
    for (uint32_t i = 0; i < list.count; i++) {
        if (member->type == SQS_TYPE_STRINGS) {
            json_write_str(w, ((const struct str *)list.items)[i]);
        } else {
            encode_shape(w, member->shape,
                         (const char *)list.items + i * member->shape->struct_size);
        }
    }
    json_array_end(w);
}

static void encode_member(struct json_writer *w, const struct sqs_member *member, const void *value)
{
    const char *at = (const char *)value + member->offset;
    struct str text;
    struct sqs_int number;
    bool flag;
    switch (member->type) {
    case SQS_TYPE_STRING:
        memcpy(&text, at, sizeof(text));
        if (text.ptr != NULL) {
            json_member_str(w, member->json_name, text);
        }
        break;
    case SQS_TYPE_INT:
        memcpy(&number, at, sizeof(number));
        if (number.set) {
            json_member_i64(w, member->json_name, number.value);
        }
        break;
    case SQS_TYPE_BOOL:
        memcpy(&flag, at, sizeof(flag));
        json_member_bool(w, member->json_name, flag);
        break;
    default:
        encode_list(w, member, value);
        break;
    }
}

static void encode_shape(struct json_writer *w, const struct sqs_shape *shape, const void *value)
{
    json_object_begin(w);
    for (size_t i = 0; i < shape->member_count; i++) {
        encode_member(w, &shape->members[i], value);
    }
    json_object_end(w);
}

int sqs_json_encode(const struct sqs_shape *shape, const void *value, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    encode_shape(&w, shape, value);
    return buf_failed(out);
}

int sqs_json_error(const struct sqs_error *e, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_object_begin(&w);
    json_member_str(&w, "__type", str_from(sqs_error_info(e->code)->json_type));
    json_member_str(&w, "message", str_from(e->message));
    json_object_end(&w);
    return buf_failed(out);
}
