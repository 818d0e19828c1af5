#include "sluice/deliver/message_key.h"

#include "sluice/base/json.h"
#include "sluice/flow/message.h"
#include "sluice/sqs/types.h"

static int refuse(int error, const char *text, const char **problem)
{
    *problem = text;
    return error;
}

static int parse_named(struct str name, enum message_key_kind kind, struct message_key *ret,
                       const char **problem)
{
    if (name.len > MESSAGE_KEY_NAME_MAX) {
        return refuse(ERR_TOO_BIG, "the name is longer than 256 bytes", problem);
    }
    if (kind == MESSAGE_KEY_ATTRIBUTE && name.len == 0) {
        return refuse(ERR_SYNTAX, "the attribute has no name", problem);
    }
    /* "" is a pointer too, but the whole body names no tenant and no order. */
    if (kind == MESSAGE_KEY_BODY && (name.len == 0 || !json_pointer_is_valid(name))) {
        return refuse(ERR_SYNTAX, "a JSON pointer begins with \"/\", and \"~\" in it is \"~0\"",
                      problem);
    }
    ret->kind = kind;
    (void)str_copy(ret->name, sizeof(ret->name), name);
    return 0;
}

int message_key_parse(struct str text, struct message_key *ret, const char **problem)
{
    static const struct str attribute = STR("attribute:"), body = STR("body:");

    if (str_equal(text, STR("message_id"))) {
        *ret = (struct message_key){.kind = MESSAGE_KEY_ID};
        return 0;
    }
    if (str_equal(text, STR("message_group_id"))) {
        *ret = (struct message_key){.kind = MESSAGE_KEY_GROUP};
        return 0;
    }
    if (str_starts_with(text, attribute)) {
        return parse_named((struct str){text.ptr + attribute.len, text.len - attribute.len},
                           MESSAGE_KEY_ATTRIBUTE, ret, problem);
    }
    if (str_starts_with(text, body)) {
        return parse_named((struct str){text.ptr + body.len, text.len - body.len}, MESSAGE_KEY_BODY,
                           ret, problem);
    }
    return refuse(ERR_SYNTAX, "it is no key expression", problem);
}

static struct str value_of_attribute(const char *name, const struct sqs_attributes *attributes)
{
    for (uint32_t i = 0; attributes != NULL && i < attributes->count; i++) {
        const struct sqs_attribute *attribute = &attributes->items[i];
        if (str_equal(attribute->name, str_from(name))) {
            return attribute->string_value.ptr != NULL ? attribute->string_value
                                                       : attribute->binary_value;
        }
    }
    return STR_NONE;
}

/* The tree is freed before the key is used: into scratch with it. */
static bool write_value(const struct json_value *value, struct buf *scratch)
{
    int64_t number;

    switch (json_type(value)) {
    case JSON_STRING:
        return buf_add(scratch, json_string(value)) == 0;
    case JSON_BOOL:
        return buf_adds(scratch, json_bool(value) ? "true" : "false") == 0;
    case JSON_NUMBER:
        /* Two numbers that only differ in lost digits must not be one key. */
        return json_i64(value, &number) == 0 && buf_addf(scratch, "%lld", (long long)number) == 0;
    default:
        return false;
    }
}

static struct str value_of_body(const char *pointer, struct str body, struct buf *scratch)
{
    struct json json;

    if (json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        return STR_NONE;
    }
    buf_reset(scratch);
    bool found = write_value(json_pointer(json.root, str_from(pointer)), scratch);
    json_done(&json);
    return found ? buf_str(scratch) : STR_NONE;
}

struct str message_key_value(const struct message_key *key, const struct message *message,
                             const struct sqs_attributes *attributes, struct buf *scratch)
{
    switch (key->kind) {
    case MESSAGE_KEY_ID:
        return message->id;
    case MESSAGE_KEY_GROUP:
        return message->tenant;
    case MESSAGE_KEY_ATTRIBUTE:
        return value_of_attribute(key->name, attributes);
    case MESSAGE_KEY_BODY:
        return value_of_body(key->name, message->body, scratch);
    case MESSAGE_KEY_NONE:
        break;
    }
    return STR_NONE;
}
