/* Messages, batches and receives. Limits: docs.aws.amazon.com, "Amazon SQS message quotas". */
#include "sluice/sqs/validate.h"

#include <stdio.h>
#include <string.h>

#define ID_TEXT_MAX        128 /* MessageGroupId, MessageDeduplicationId, ReceiveRequestAttemptId */
#define ATTRIBUTE_NAME_MAX 256
#define ATTRIBUTE_TYPE_MAX 256
#define SHOWN_MAX          200 /* of a caller's value inside a message */

#define INVALID(e, ...) sqs_error_set((e), SQS_ERROR_INVALID_PARAMETER_VALUE, __VA_ARGS__)

static struct str shown(struct str text)
{
    text.len = text.len > SHOWN_MAX ? SHOWN_MAX : text.len;
    return text;
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* ---- text ---- */

bool sqs_text_is_valid(struct str text)
{
    if (text.ptr == NULL) {
        return true;
    }
    for (size_t i = 0; i < text.len; i++) {
        i += str_plain_prefix((struct str){text.ptr + i, text.len - i});
        if (i == text.len) {
            break;
        }
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r') {
            return false;
        }
        /* U+FFFE and U+FFFF are EF BF BE and EF BF BF; no other character ends a body so. */
        if (c == 0xef && i + 2 < text.len && (unsigned char)text.ptr[i + 1] == 0xbf &&
            (unsigned char)text.ptr[i + 2] >= 0xbe) {
            return false;
        }
    }
    return text.len == 0 || str_is_utf8(text);
}

/* Letters, digits and ASCII punctuation, 1 to 128. */
static bool is_id_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return text.len > 0 && text.len <= ID_TEXT_MAX;
}

static int validate_id_text(const char *parameter, struct str value, struct sqs_error *e)
{
    if (value.ptr == NULL || is_id_text(value)) {
        return SQS_OK;
    }
    return INVALID(
        e,
        "Value %.*s for parameter %s is invalid. Reason: %s can only include alphanumeric "
        "and punctuation characters. 1 to 128 in length.",
        STR_FMT(shown(value)), parameter, parameter);
}

/* ---- message attributes ---- */

/* Whose attributes: the words of AWS's texts. */
struct attribute_rules {
    const char *kind; /* "user" or "system" */
    struct sqs_error *e;
};

static bool is_reserved(struct str name)
{
    static const struct str prefixes[] = {{"AWS.", 4}, {"Amazon.", 7}};
    for (size_t i = 0; i < SL_COUNT(prefixes); i++) {
        if (name.len >= prefixes[i].len &&
            str_equal_nocase((struct str){name.ptr, prefixes[i].len}, prefixes[i])) {
            return true;
        }
    }
    return false;
}

/* ASCII letters, digits, '_', '-', '.'; AWS takes letters of other scripts as well. */
static bool is_attribute_name(struct str name)
{
    if (name.len == 0 || name.ptr[0] == '.' || name.ptr[name.len - 1] == '.') {
        return false;
    }
    size_t characters = 0;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        characters += (c & 0xc0) == 0x80 ? 0 : 1;
        if (c < 0x80 && !is_alphanumeric((char)c) && c != '_' && c != '-' && c != '.') {
            return false;
        }
        if (c == '.' && name.ptr[i - 1] == '.') {
            return false;
        }
    }
    return characters <= ATTRIBUTE_NAME_MAX && str_is_utf8(name);
}

/* "String", "Number" or "Binary" of "String.label"; STR_NONE when it is none of them. */
static struct str base_type(struct str data_type)
{
    static const struct str bases[] = {{"String", 6}, {"Number", 6}, {"Binary", 6}};
    for (size_t i = 0; i < SL_COUNT(bases); i++) {
        if (str_starts_with(data_type, bases[i]) &&
            (data_type.len == bases[i].len || data_type.ptr[bases[i].len] == '.')) {
            return bases[i];
        }
    }
    return STR_NONE;
}

static int empty_value(const struct attribute_rules *rules, const struct sqs_attribute *attribute,
                       struct str base)
{
    return INVALID(rules->e,
                   "Message (%s) attribute '%.*s' must contain a non-empty value of type '%.*s'.",
                   rules->kind, STR_FMT(attribute->name), STR_FMT(base));
}

static int validate_attribute_value(const struct attribute_rules *rules,
                                    const struct sqs_attribute *attribute, struct str base)
{
    bool binary = str_equal(base, STR("Binary"));
    struct str value = binary ? attribute->binary_value : attribute->string_value;
    struct str other = binary ? attribute->string_value : attribute->binary_value;
    if (value.ptr != NULL && other.ptr != NULL) {
        return INVALID(rules->e, "Message (%s) attribute '%.*s' must have a single value.",
                       rules->kind, STR_FMT(attribute->name));
    }
    if (value.ptr == NULL && other.ptr != NULL) {
        return INVALID(rules->e,
                       "Message (%s) attribute '%.*s' with type '%.*s' must use field '%s'.",
                       rules->kind, STR_FMT(attribute->name), STR_FMT(attribute->data_type),
                       binary ? "Binary" : "String");
    }
    if (value.len == 0) {
        return empty_value(rules, attribute, base);
    }
    if (!binary && !sqs_text_is_valid(value)) {
        return INVALID(rules->e, "%s", SQS_INVALID_CHARACTERS_TEXT);
    }
    double number;
    if (str_equal(base, STR("Number")) && str_to_double(value, &number) != ERR_OK) {
        return INVALID(rules->e,
                       "Can't cast the value of message (%s) attribute '%.*s' to a number.",
                       rules->kind, STR_FMT(attribute->name));
    }
    return SQS_OK;
}

static int validate_attribute(const struct attribute_rules *rules,
                              const struct sqs_attribute *attribute)
{
    struct str name = shown(attribute->name);
    if (attribute->has_list_values) {
        return sqs_error_set(rules->e, SQS_ERROR_UNSUPPORTED_OPERATION,
                             "Message attribute list values in SendMessage operation are not "
                             "supported.");
    }
    if (!is_attribute_name(attribute->name) || is_reserved(attribute->name)) {
        return INVALID(
            rules->e,
            "The message attribute name '%.*s' is invalid. It can contain A-Z, a-z, 0-9, "
            "underscore (_), hyphen (-) and period (.), must not start or end with a "
            "period or have periods in succession, must not start with AWS. or Amazon., "
            "and can be up to 256 characters long.",
            STR_FMT(name));
    }
    if (attribute->data_type.len == 0) {
        return INVALID(rules->e,
                       "The message (%s) attribute '%.*s' must contain a non-empty message "
                       "attribute type.",
                       rules->kind, STR_FMT(name));
    }
    struct str base = base_type(attribute->data_type);
    if (base.ptr == NULL || attribute->data_type.len > ATTRIBUTE_TYPE_MAX ||
        !sqs_text_is_valid(attribute->data_type)) {
        return INVALID(
            rules->e,
            "The type of message (%s) attribute '%.*s' is invalid. You must use only the "
            "following supported type prefixes: Binary, Number, String.",
            rules->kind, STR_FMT(name));
    }
    return validate_attribute_value(rules, attribute, base);
}

static int validate_attributes(const struct sqs_attributes *attributes,
                               const struct attribute_rules *rules)
{
    if (attributes->count > SQS_MESSAGE_ATTRIBUTES_MAX) {
        return INVALID(rules->e,
                       "Number of message attributes [%u] exceeds the allowed maximum [%d].",
                       attributes->count, SQS_MESSAGE_ATTRIBUTES_MAX);
    }
    for (uint32_t i = 0; i < attributes->count; i++) {
        int rc = validate_attribute(rules, &attributes->items[i]);
        if (rc != SQS_OK) {
            return rc;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (str_equal(attributes->items[i].name, attributes->items[k].name)) {
                return INVALID(rules->e, "Message (%s) attribute '%.*s' is given twice.",
                               rules->kind, STR_FMT(shown(attributes->items[i].name)));
            }
        }
    }
    return SQS_OK;
}

static int validate_system_attributes(const struct sqs_attributes *attributes, struct sqs_error *e)
{
    const struct attribute_rules rules = {"system", e};
    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct sqs_attribute *attribute = &attributes->items[i];
        if (!str_equal(attribute->name, STR("AWSTraceHeader"))) {
            return INVALID(e,
                           "Message system attribute name '%.*s' is invalid. The only supported "
                           "message system attribute is AWSTraceHeader.",
                           STR_FMT(shown(attribute->name)));
        }
        if (!str_equal(attribute->data_type, STR("String"))) {
            return INVALID(e,
                           "Message system attribute 'AWSTraceHeader' must be of type 'String'.");
        }
    }
    return validate_attributes(attributes, &rules);
}

/* ---- sending ---- */

size_t sqs_message_size(const struct sqs_send_entry *entry)
{
    size_t size = entry->body.len;
    for (uint32_t i = 0; i < entry->attributes.count; i++) {
        const struct sqs_attribute *attribute = &entry->attributes.items[i];
        size += attribute->name.len + attribute->data_type.len + attribute->string_value.len +
                attribute->binary_value.len;
    }
    return size;
}

int sqs_validate_delay(struct sqs_int seconds, bool fifo, struct sqs_error *e)
{
    if (!seconds.set) {
        return SQS_OK;
    }
    if (fifo && seconds.value != 0) {
        return INVALID(e,
                       "Value %lld for parameter DelaySeconds is invalid. Reason: The request "
                       "include parameter that is not valid for this queue type.",
                       (long long)seconds.value);
    }
    if (seconds.value < 0 || seconds.value > SQS_DELAY_SECONDS_MAX) {
        return INVALID(
            e,
            "Value %lld for parameter DelaySeconds is invalid. Reason: DelaySeconds must "
            "be >= 0 and <= 900.",
            (long long)seconds.value);
    }
    return SQS_OK;
}

/* The group and deduplication ids that a FIFO queue asks for. code: of a missing group. */
static int validate_fifo_presence(const struct sqs_send_entry *entry,
                                  const struct sqs_send_rules *rules, enum sqs_error_code code,
                                  struct sqs_error *e)
{
    if (!rules->fifo) {
        return SQS_OK;
    }
    if (entry->group_id.ptr == NULL) {
        return sqs_error_set(e, code, "The request must contain the parameter MessageGroupId.");
    }
    if (entry->deduplication_id.ptr == NULL && !rules->content_based_deduplication) {
        return INVALID(e, "The queue should either have ContentBasedDeduplication enabled or "
                          "MessageDeduplicationId provided explicitly");
    }
    return SQS_OK;
}

static int validate_ids(const struct sqs_send_entry *entry, const struct sqs_send_rules *rules,
                        struct sqs_error *e)
{
    int rc = validate_id_text("MessageGroupId", entry->group_id, e);
    if (rc == SQS_OK && !rules->fifo && entry->deduplication_id.ptr != NULL) {
        rc = INVALID(e,
                     "Value %.*s for parameter MessageDeduplicationId is invalid. Reason: The "
                     "request includes a parameter that is not valid for this queue type.",
                     STR_FMT(shown(entry->deduplication_id)));
    }
    if (rc == SQS_OK) {
        rc = validate_id_text("MessageDeduplicationId", entry->deduplication_id, e);
    }
    if (rc == SQS_OK) {
        rc = validate_fifo_presence(entry, rules, SQS_ERROR_MISSING_PARAMETER, e);
    }
    return rc;
}

static int validate_body(struct str body, struct sqs_error *e)
{
    if (body.len == 0) {
        return sqs_error_set(e, SQS_ERROR_MISSING_PARAMETER,
                             "The request must contain the parameter MessageBody.");
    }
    if (!sqs_text_is_valid(body)) {
        return sqs_error_set(e, SQS_ERROR_INVALID_MESSAGE_CONTENTS, "%s",
                             SQS_INVALID_CHARACTERS_TEXT);
    }
    return SQS_OK;
}

int sqs_validate_send_entry(const struct sqs_send_entry *entry, const struct sqs_send_rules *rules,
                            struct sqs_error *e)
{
    const struct attribute_rules user = {"user", e};
    int rc = validate_body(entry->body, e);
    if (rc == SQS_OK) {
        rc = validate_attributes(&entry->attributes, &user);
    }
    if (rc == SQS_OK) {
        rc = validate_system_attributes(&entry->system_attributes, e);
    }
    if (rc == SQS_OK) {
        rc = sqs_validate_delay(entry->delay_seconds, rules->fifo, e);
    }
    if (rc == SQS_OK) {
        rc = validate_ids(entry, rules, e);
    }
    if (rc == SQS_OK && sqs_message_size(entry) > (size_t)rules->max_message_bytes) {
        rc = INVALID(e,
                     "One or more parameters %s. Reason: Message must be shorter than %lld bytes.",
                     rules->batch ? "cannot be validated" : "are invalid",
                     (long long)rules->max_message_bytes);
    }
    return rc;
}

/* ---- batches ---- */

/* What all batches share; the id is the first member of every entry. */
struct batch {
    const char *entry_name; /* "SendMessageBatchRequestEntry" */
    const void *entries;
    uint32_t count;
    size_t stride;
};
_Static_assert(offsetof(struct sqs_send_entry, id) == 0, "the id comes first");
_Static_assert(offsetof(struct sqs_handle_entry, id) == 0, "the id comes first");

static struct str batch_id(const struct batch *batch, uint32_t i)
{
    struct str id;
    memcpy(&id, (const char *)batch->entries + i * batch->stride, sizeof(id));
    return id;
}

static bool is_entry_id(struct str id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (!is_alphanumeric(id.ptr[i]) && id.ptr[i] != '-' && id.ptr[i] != '_') {
            return false;
        }
    }
    return id.len > 0 && id.len <= 80;
}

static int validate_batch_ids(const struct batch *batch, struct sqs_error *e)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!is_entry_id(batch_id(batch, i))) {
            return sqs_error_set(e, SQS_ERROR_INVALID_BATCH_ENTRY_ID,
                                 "A batch entry id can only contain alphanumeric characters, "
                                 "hyphens and underscores. It can be at most 80 letters long.");
        }
        for (uint32_t k = 0; k < i; k++) {
            if (str_equal(batch_id(batch, i), batch_id(batch, k))) {
                return sqs_error_set(e, SQS_ERROR_BATCH_ENTRY_IDS_NOT_DISTINCT, "Id %.*s repeated.",
                                     STR_FMT(batch_id(batch, i)));
            }
        }
    }
    return SQS_OK;
}

static int validate_batch(const struct batch *batch, struct sqs_error *e)
{
    if (batch->count == 0) {
        return sqs_error_set(e, SQS_ERROR_EMPTY_BATCH_REQUEST,
                             "There should be at least one %s in the request.", batch->entry_name);
    }
    if (batch->count > SQS_BATCH_ENTRIES_MAX) {
        return sqs_error_set(e, SQS_ERROR_TOO_MANY_ENTRIES,
                             "Maximum number of entries per request are %d. You have sent %u.",
                             SQS_BATCH_ENTRIES_MAX, batch->count);
    }
    return validate_batch_ids(batch, e);
}

int sqs_validate_send_batch(const struct sqs_send_batch_in *in, const struct sqs_send_rules *rules,
                            struct sqs_error *e)
{
    const struct batch batch = {"SendMessageBatchRequestEntry", in->entries.items,
                                in->entries.count, sizeof(struct sqs_send_entry)};
    int rc = validate_batch(&batch, e);
    size_t total = 0;
    for (uint32_t i = 0; rc == SQS_OK && i < in->entries.count; i++) {
        total += sqs_message_size(&in->entries.items[i]);
    }
    if (rc == SQS_OK && total > SQS_BATCH_BYTES_MAX) {
        rc =
            sqs_error_set(e, SQS_ERROR_BATCH_REQUEST_TOO_LONG,
                          "Batch requests cannot be longer than %d bytes. You have sent %zu bytes.",
                          SQS_BATCH_BYTES_MAX, total);
    }
    for (uint32_t i = 0; rc == SQS_OK && i < in->entries.count; i++) {
        rc = validate_fifo_presence(&in->entries.items[i], rules, SQS_ERROR_INVALID_PARAMETER_VALUE,
                                    e);
    }
    return rc;
}

int sqs_validate_handle_batch(enum sqs_action action, const struct sqs_handle_batch_in *in,
                              struct sqs_error *e)
{
    const struct batch batch = {
        action == SQS_DELETE_MESSAGE_BATCH ? "DeleteMessageBatchRequestEntry"
                                           : "ChangeMessageVisibilityBatchRequestEntry",
        in->entries.items, in->entries.count, sizeof(struct sqs_handle_entry)};
    return validate_batch(&batch, e);
}

int sqs_validate_handle_entry(enum sqs_action action, const struct sqs_handle_entry *entry,
                              struct sqs_error *e)
{
    if (action == SQS_DELETE_MESSAGE || action == SQS_DELETE_MESSAGE_BATCH) {
        return SQS_OK;
    }
    if (!entry->visibility_timeout.set) {
        return sqs_error_set(e, SQS_ERROR_MISSING_PARAMETER,
                             "The request must contain the parameter VisibilityTimeout.");
    }
    return sqs_validate_visibility(entry->visibility_timeout, e);
}

int sqs_batch_failure_set(struct sqs_batch_failure *ret, struct str id, const struct sqs_error *e,
                          struct arena *arena)
{
    const struct sqs_error_info *info = sqs_error_info(e->code);
    size_t len = strlen(e->message);
    const char *message = arena_dup(arena, e->message, len);
    if (message == NULL) {
        return ERR_NOMEM;
    }
    *ret = (struct sqs_batch_failure){.id = id,
                                      .code = str_from(info->query_code),
                                      .message = {message, len},
                                      .sender_fault = info->sender_fault};
    return ERR_OK;
}

/* ---- receiving ---- */

int sqs_validate_visibility(struct sqs_int seconds, struct sqs_error *e)
{
    if (!seconds.set || (seconds.value >= 0 && seconds.value <= SQS_VISIBILITY_SECONDS_MAX)) {
        return SQS_OK;
    }
    return INVALID(
        e,
        "Value %lld for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and "
        "<= 43200, if provided.",
        (long long)seconds.value);
}

static bool is_system_attribute(struct str name)
{
    static const char *const names[] = {"All",
                                        "SenderId",
                                        "SentTimestamp",
                                        "ApproximateReceiveCount",
                                        "ApproximateFirstReceiveTimestamp",
                                        "SequenceNumber",
                                        "MessageDeduplicationId",
                                        "MessageGroupId",
                                        "AWSTraceHeader",
                                        "DeadLetterQueueSourceArn"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (str_equal(name, str_from(names[i]))) {
            return true;
        }
    }
    return false;
}

/* AttributeNames of a receive may name attributes of the queue too: its type allows them. */
static int validate_system_names(const struct sqs_strings *names, bool queue_too,
                                 struct sqs_error *e)
{
    for (uint32_t i = 0; i < names->count; i++) {
        struct str name = names->items[i];
        if (!is_system_attribute(name) &&
            !(queue_too && sqs_queue_attribute_find(name) != SQS_QUEUE_ATTRIBUTE_NONE)) {
            return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_NAME, "Unknown Attribute %.*s.",
                                 STR_FMT(shown(name)));
        }
    }
    return SQS_OK;
}

static int validate_attempt_id(struct str id, bool fifo, struct sqs_error *e)
{
    if (id.ptr != NULL && !fifo) {
        return INVALID(e,
                       "Value %.*s for parameter ReceiveRequestAttemptId is invalid. Reason: The "
                       "request includes a parameter that is not valid for this queue type.",
                       STR_FMT(shown(id)));
    }
    return validate_id_text("ReceiveRequestAttemptId", id, e);
}

int sqs_validate_receive(const struct sqs_receive_in *in, bool fifo, struct sqs_error *e)
{
    if (in->max_messages.set &&
        (in->max_messages.value < 1 || in->max_messages.value > SQS_RECEIVE_MESSAGES_MAX)) {
        return INVALID(e,
                       "Value %lld for parameter MaxNumberOfMessages is invalid. Reason: Must be "
                       "between 1 and 10, if provided.",
                       (long long)in->max_messages.value);
    }
    if (in->wait_seconds.set &&
        (in->wait_seconds.value < 0 || in->wait_seconds.value > SQS_WAIT_SECONDS_MAX)) {
        return INVALID(e,
                       "Value %lld for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 "
                       "and <= 20, if provided.",
                       (long long)in->wait_seconds.value);
    }
    int rc = sqs_validate_visibility(in->visibility_timeout, e);
    if (rc == SQS_OK) {
        rc = validate_system_names(&in->attribute_names, true, e);
    }
    if (rc == SQS_OK) {
        rc = validate_system_names(&in->system_attribute_names, false, e);
    }
    if (rc == SQS_OK) {
        rc = validate_attempt_id(in->attempt_id, fifo, e);
    }
    return rc;
}
