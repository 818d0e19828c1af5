#include "sluice/sqs/sns.h"

#include "sluice/base/digest.h"
#include "sluice/base/json.h"

#include <string.h>

#define OWN_ATTRIBUTES   3u
#define ATTRIBUTES_MAX   64u
#define BINARY_MAX_BYTES ((size_t)1 << 20)

static struct str keep(struct arena *arena, struct str s)
{
    const char *copy = arena_dup(arena, s.len == 0 ? "" : s.ptr, s.len);

    return copy == NULL ? STR_NONE : (struct str){copy, s.len};
}

static int add_binary(struct sqs_attribute *attribute, struct str base64, struct arena *arena)
{
    struct buf bytes;

    buf_init(&bytes, BINARY_MAX_BYTES);
    int error = digest_from_base64(&bytes, base64) == 0 ? 0 : ERR_NOT_FOUND;
    if (error == 0) {
        attribute->binary_value = keep(arena, buf_str(&bytes));
        error = attribute->binary_value.ptr == NULL ? ERR_NOMEM : 0;
    }
    buf_done(&bytes);
    return error;
}

/* {"Type": "String", "Value": "…"}; a String.Array is its JSON text, as SQS never has one. */
static int add_attribute(struct sns_envelope *ret, const struct json_value *value,
                         struct arena *arena)
{
    struct sqs_attribute *attribute = &ret->attributes.items[ret->attributes.count];
    struct str type = json_string(json_get(value, "Type"));
    struct str text = json_string(json_get(value, "Value"));
    int error = 0;

    if (type.ptr == NULL || text.ptr == NULL) {
        return ERR_NOT_FOUND;
    }
    *attribute = (struct sqs_attribute){.name = keep(arena, json_key(value)),
                                        .data_type = keep(arena, type)};
    if (str_starts_with(type, STR("Binary"))) {
        error = add_binary(attribute, text, arena);
    } else {
        attribute->string_value = keep(arena, text);
        error = attribute->string_value.ptr == NULL ? ERR_NOMEM : 0;
    }
    if (error == 0 && (attribute->name.ptr == NULL || attribute->data_type.ptr == NULL)) {
        error = ERR_NOMEM;
    }
    ret->attributes.count++;
    return error;
}

static void add_own(struct sns_envelope *ret, const char *name, struct str value,
                    struct arena *arena)
{
    struct sqs_attribute *attribute = &ret->attributes.items[ret->attributes.count];

    if (value.len > 0) {
        *attribute = (struct sqs_attribute){
            .name = str_from(name), .data_type = STR("String"), .string_value = keep(arena, value)};
        ret->attributes.count += attribute->string_value.ptr != NULL ? 1 : 0;
    }
}

static int read(const struct json_value *root, struct arena *arena, struct sns_envelope *ret)
{
    const struct json_value *attributes = json_get(root, "MessageAttributes");
    struct str message = json_string(json_get(root, "Message"));
    struct str topic = json_string(json_get(root, "TopicArn"));
    int error = 0;

    if (!str_equal(json_string(json_get(root, "Type")), STR("Notification")) ||
        message.ptr == NULL || topic.len == 0 || json_count(attributes) > ATTRIBUTES_MAX) {
        return ERR_NOT_FOUND;
    }
    *ret = (struct sns_envelope){.message = keep(arena, message)};
    ret->attributes.items = arena_alloc(arena, (json_count(attributes) + OWN_ATTRIBUTES) *
                                                   sizeof(*ret->attributes.items));
    if (ret->message.ptr == NULL || ret->attributes.items == NULL) {
        return ERR_NOMEM;
    }
    for (const struct json_value *v = json_first(attributes); v != NULL && error == 0;
         v = json_next(v)) {
        error = add_attribute(ret, v, arena);
    }
    add_own(ret, "SNS.TopicArn", topic, arena);
    add_own(ret, "SNS.MessageId", json_string(json_get(root, "MessageId")), arena);
    add_own(ret, "SNS.Subject", json_string(json_get(root, "Subject")), arena);
    return error;
}

int sns_unwrap(struct str body, struct arena *arena, struct sns_envelope *ret)
{
    struct json json;

    if (json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        return ERR_NOT_FOUND;
    }
    int error = read(json.root, arena, ret);
    json_done(&json);
    return error;
}
