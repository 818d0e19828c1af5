#include "sluice/deliver/message_headers.h"

#include "sluice/base/digest.h"
#include "sluice/flow/message.h"
#include "sluice/sqs/types.h"

#include <stdio.h>
#include <string.h>

#define SCRATCH_MAX_BYTES  ((size_t)4096) /* of a value from the body */
#define ATTRIBUTE_NAME_MAX 256u           /* as of SQS */

/* As SQS has them, and the embedded queue. */
static const char *const system_names[] = {"SentTimestamp",
                                           "ApproximateReceiveCount",
                                           "MessageGroupId",
                                           "AWSTraceHeader",
                                           "SenderId",
                                           "SequenceNumber",
                                           "MessageDeduplicationId",
                                           "ApproximateFirstReceiveTimestamp",
                                           "DeadLetterQueueSourceArn"};

int message_header_parse(struct str name, struct str value, struct message_header *ret,
                         const char **problem)
{
    struct message_header header = {.all = str_ends_with(name, STR("*"))};
    bool all_values = str_equal(value, STR("attribute:*"));

    *problem = NULL;
    if (header.all != all_values) {
        *problem = "\"Prefix-*\" and \"attribute:*\" belong together";
        return ERR_SYNTAX;
    }
    if (name.len > MESSAGE_HEADER_NAME_MAX) {
        *problem = "the header's name is longer than 128 bytes";
        return ERR_TOO_BIG;
    }
    (void)str_copy(header.name, sizeof(header.name),
                   (struct str){name.ptr, name.len - (header.all ? 1 : 0)});
    if (str_starts_with(value, STR("system:"))) {
        header.system = true;
        struct str wanted = {value.ptr + 7, value.len - 7};
        for (size_t i = 0; i < SL_COUNT(system_names); i++) {
            if (str_equal(wanted, str_from(system_names[i]))) {
                (void)str_copy(header.value.name, sizeof(header.value.name), wanted);
                *ret = header;
                return 0;
            }
        }
        *problem = "SQS has no such system attribute, or none that makes a header";
        return ERR_SYNTAX;
    }
    int error = header.all ? 0 : message_key_parse(value, &header.value, problem);
    if (error == 0) {
        *ret = header;
    }
    return error;
}

/* ---- values ---- */

struct value {
    struct str bytes; /* STR_NONE: absent */
    bool binary;
};

/* A space at an end is no part of a header's value. */
static bool is_plain(struct str value, size_t i)
{
    char c = value.ptr[i];

    return c > ' ' ? c <= '~' && c != '%' : c == ' ' && i > 0 && i + 1 < value.len;
}

static size_t encoded_len(const struct value *value)
{
    size_t len = 0;

    if (value->binary) {
        return (value->bytes.len + 2) / 3 * 4;
    }
    for (size_t i = 0; i < value->bytes.len; i++) {
        len += is_plain(value->bytes, i) ? 1 : 3;
    }
    return len;
}

static void add_encoded(struct buf *text, const struct value *value)
{
    if (value->binary) {
        (void)digest_base64(text, value->bytes.ptr, value->bytes.len);
        return;
    }
    for (size_t i = 0; i < value->bytes.len; i++) {
        if (is_plain(value->bytes, i)) {
            (void)buf_addc(text, value->bytes.ptr[i]);
        } else {
            (void)buf_addf(text, "%%%02X", (unsigned char)value->bytes.ptr[i]);
        }
    }
}

static const struct sqs_attribute *find(const struct sqs_attributes *attributes, const char *name)
{
    for (uint32_t i = 0; attributes != NULL && i < attributes->count; i++) {
        if (str_equal(attributes->items[i].name, str_from(name))) {
            return &attributes->items[i];
        }
    }
    return NULL;
}

static struct value value_of_attribute(const struct sqs_attribute *attribute)
{
    if (attribute == NULL) {
        return (struct value){STR_NONE, false};
    }
    bool binary = attribute->string_value.ptr == NULL;
    return (struct value){binary ? attribute->binary_value : attribute->string_value, binary};
}

/* The message itself knows the first of them, whatever its source. */
static struct str system_value(const struct message_headers_source *source, const char *name,
                               char number[24])
{
    const struct message *message = source->message;

    if (strcmp(name, "SentTimestamp") == 0) {
        (void)snprintf(number, 24, "%lld", (long long)message->sent_at);
        return str_from(number);
    }
    if (strcmp(name, "ApproximateReceiveCount") == 0) {
        (void)snprintf(number, 24, "%u", message->receive_count);
        return str_from(number);
    }
    if (strcmp(name, "MessageGroupId") == 0) {
        return message->tenant;
    }
    if (strcmp(name, "AWSTraceHeader") == 0) {
        return message->trace_header;
    }
    return source->system == NULL ? STR_NONE : source->system(message, name);
}

/* Borrowed from the message, from scratch or from number. */
static struct value value_of(const struct message_header *wanted,
                             const struct message_headers_source *source, struct buf *scratch,
                             char number[24])
{
    if (wanted->system) {
        return (struct value){system_value(source, wanted->value.name, number), false};
    }
    if (wanted->value.kind == MESSAGE_KEY_ATTRIBUTE) {
        return value_of_attribute(find(source->attributes, wanted->value.name));
    }
    return (struct value){
        message_key_value(&wanted->value, source->message, source->attributes, scratch), false};
}

/* ---- headers ---- */

static struct http_header *find_header(const struct message_headers_out *out, struct str name)
{
    for (uint32_t i = 0; i < out->count; i++) {
        if (str_equal_nocase(out->headers[i].name, name)) {
            return &out->headers[i];
        }
    }
    return NULL;
}

/* In the place of the one that has its name, where there is one. */
static void put(struct message_headers_out *out, struct str name, const struct value *value)
{
    size_t from = out->text->len, len = encoded_len(value);
    struct http_header *header = find_header(out, name);

    if ((header == NULL && out->count == out->max) ||
        name.len + len > out->text->max_bytes - out->text->len) {
        out->left_out = true;
        return;
    }
    (void)buf_add(out->text, name);
    add_encoded(out->text, value);
    header = header == NULL ? &out->headers[out->count++] : header;
    *header = (struct http_header){{out->text->ptr + from, name.len},
                                   {out->text->ptr + from + name.len, len}};
}

static void add_one(struct message_headers_out *out, const struct message_header *wanted,
                    const struct message_headers_source *source)
{
    struct buf scratch;
    char number[24];

    buf_init(&scratch, SCRATCH_MAX_BYTES);
    struct value value = value_of(wanted, source, &scratch, number);
    if (value.bytes.ptr != NULL) {
        put(out, str_from(wanted->name), &value);
    }
    buf_done(&scratch);
}

/* SQS takes no other names; what an envelope has is anybody's. */
static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return name.len > 0 && name.len <= ATTRIBUTE_NAME_MAX;
}

static bool is_wanted(const struct message_header *wanted, uint32_t count, struct str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!wanted[i].all && str_equal_nocase(str_from(wanted[i].name), name)) {
            return true;
        }
    }
    return false;
}

/* wanted[which] for each attribute. The sender chooses the names: none of them is one that the
 * request has, or would have if the message had its value. */
static void add_all(struct message_headers_out *out, const struct message_header *wanted,
                    uint32_t count, uint32_t which, const struct sqs_attributes *attributes)
{
    char text[MESSAGE_HEADER_NAME_MAX + ATTRIBUTE_NAME_MAX + 1];

    for (uint32_t i = 0; attributes != NULL && i < attributes->count; i++) {
        const struct sqs_attribute *attribute = &attributes->items[i];
        if (!is_name(attribute->name)) {
            continue;
        }
        (void)snprintf(text, sizeof(text), "%s%.*s", wanted[which].name, (int)attribute->name.len,
                       attribute->name.ptr);
        struct str name = str_from(text);
        struct value value = value_of_attribute(attribute);
        if (find_header(out, name) == NULL && !is_wanted(wanted, count, name)) {
            put(out, name, &value);
        }
    }
}

void message_headers_add(const struct message_header *wanted, uint32_t count,
                         const struct message_headers_source *source,
                         struct message_headers_out *out)
{
    out->left_out = false;
    /* All of it at once: the headers point into it. */
    if (buf_reserve(out->text, out->text->max_bytes - out->text->len) == NULL) {
        out->left_out = true;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!wanted[i].all) {
            add_one(out, &wanted[i], source);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (wanted[i].all) {
            add_all(out, wanted, count, i, source->attributes);
        }
    }
}
