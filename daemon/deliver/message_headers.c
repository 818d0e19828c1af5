#include "sluice/deliver/message_headers.h"

#include "sluice/base/digest.h"
#include "sluice/flow/message.h"
#include "sluice/sqs/types.h"

#include <stdio.h>
#include <string.h>

#define SCRATCH_MAX_BYTES ((size_t)4096) /* of a value from the body */

/* As SQS has them; those that the embedded queue does not know are absent there. */
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

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c <= '~' && c != '%';
}

static void add_encoded(struct buf *text, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        /* A space at an end is no part of a header's value. */
        bool at_end = c == ' ' && (i == 0 || i + 1 == value.len);
        if (is_plain(c) && !at_end) {
            (void)buf_addc(text, (char)c);
        } else {
            (void)buf_addf(text, "%%%02X", c);
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

static void add_attribute(struct buf *text, const struct sqs_attribute *attribute)
{
    if (attribute->string_value.ptr != NULL) {
        add_encoded(text, attribute->string_value);
    } else {
        (void)digest_base64(text, attribute->binary_value.ptr, attribute->binary_value.len);
    }
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

/* False: it is absent. */
static bool add_value(struct buf *text, const struct message_header *wanted,
                      const struct message_headers_source *source)
{
    const struct sqs_attribute *attribute = NULL;
    struct buf scratch;
    char number[24];
    struct str value;

    if (!wanted->system && wanted->value.kind == MESSAGE_KEY_ATTRIBUTE) {
        attribute = find(source->attributes, wanted->value.name);
        if (attribute != NULL) {
            add_attribute(text, attribute);
        }
        return attribute != NULL;
    }
    buf_init(&scratch, SCRATCH_MAX_BYTES);
    value = wanted->system
                ? system_value(source, wanted->value.name, number)
                : message_key_value(&wanted->value, source->message, source->attributes, &scratch);
    if (value.ptr != NULL) {
        add_encoded(text, value);
    }
    buf_done(&scratch);
    return value.ptr != NULL;
}

/* ---- headers ---- */

struct building {
    struct buf *text;
    struct http_header *headers;
    uint32_t count, max;
    size_t at[2 * MESSAGE_HEADERS_MAX]; /* where the name of each begins: the text may move */
    const char *left_out;
};

/* What is between `from` and the end of the text is a header when all of it is there. */
static void end_header(struct building *b, size_t from, size_t name_len, const char *name)
{
    if (buf_failed(b->text) != 0 || b->count == b->max || b->count == SL_COUNT(b->at)) {
        b->left_out = name;
        buf_truncate(b->text, from);
        return;
    }
    b->at[b->count] = from;
    b->headers[b->count++] =
        (struct http_header){{NULL, name_len}, {NULL, b->text->len - from - name_len}};
}

static void add_all(struct building *b, const struct message_header *wanted,
                    const struct sqs_attributes *attributes)
{
    for (uint32_t i = 0; attributes != NULL && i < attributes->count; i++) {
        size_t from = b->text->len;
        (void)buf_adds(b->text, wanted->name);
        (void)buf_add(b->text, attributes->items[i].name);
        size_t name_len = b->text->len - from;
        add_attribute(b->text, &attributes->items[i]);
        end_header(b, from, name_len, wanted->name);
    }
}

uint32_t message_headers_build(const struct message_header *wanted, uint32_t count,
                               const struct message_headers_source *source, struct buf *text,
                               struct http_header *headers, uint32_t max, const char **ret_left_out)
{
    struct building b = {.text = text, .headers = headers, .max = max};

    for (uint32_t i = 0; i < count; i++) {
        size_t from = text->len;
        if (wanted[i].all) {
            add_all(&b, &wanted[i], source->attributes);
            continue;
        }
        (void)buf_adds(text, wanted[i].name);
        if (add_value(text, &wanted[i], source)) {
            end_header(&b, from, strlen(wanted[i].name), wanted[i].name);
        } else {
            buf_truncate(text, from);
        }
    }
    for (uint32_t i = 0; i < b.count; i++) {
        headers[i].name.ptr = text->ptr + b.at[i];
        headers[i].value.ptr = text->ptr + b.at[i] + headers[i].name.len;
    }
    *ret_left_out = b.left_out;
    return b.count;
}
