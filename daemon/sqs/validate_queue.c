/* Names and attributes of queues. Limits: docs.aws.amazon.com, "Amazon SQS quotas",
 * SetQueueAttributes. */
#include "sluice/sqs/validate.h"

#include "sluice/base/json.h"

#define FIFO_SUFFIX STR(".fifo")

static const char *const scope_choices[] = {"queue", "messageGroup", NULL};
static const char *const throughput_choices[] = {"perQueue", "perMessageGroupId", NULL};

static const struct sqs_queue_attribute_info infos[SQS_QUEUE_ATTRIBUTE__COUNT] = {
#define XX(constant, wire, value_kind, low, high, initial, fifo, set)                              \
    [SQS_QUEUE_ATTRIBUTE_##constant] = {                                                           \
        .name = (wire),                                                                            \
        .kind = SQS_VALUE_##value_kind,                                                            \
        .min = (low),                                                                              \
        .max = (high),                                                                             \
        .default_value = (initial),                                                                \
        .fifo_only = (fifo) != 0,                                                                  \
        .settable = (set) != 0,                                                                    \
        .choices = SQS_QUEUE_ATTRIBUTE_##constant == SQS_QUEUE_ATTRIBUTE_DEDUPLICATION_SCOPE       \
                       ? scope_choices                                                             \
                   : SQS_QUEUE_ATTRIBUTE_##constant == SQS_QUEUE_ATTRIBUTE_FIFO_THROUGHPUT_LIMIT   \
                       ? throughput_choices                                                        \
                       : NULL,                                                                     \
    },
    SQS_QUEUE_ATTRIBUTE_MAP(XX)
#undef XX
};

const struct sqs_queue_attribute_info *sqs_queue_attribute_info(enum sqs_queue_attribute attribute)
{
    SL_ASSERT(attribute >= 0 && attribute < SQS_QUEUE_ATTRIBUTE__COUNT);
    return &infos[attribute];
}

enum sqs_queue_attribute sqs_queue_attribute_find(struct str name)
{
    for (int i = 0; i < SQS_QUEUE_ATTRIBUTE__COUNT; i++) {
        if (str_equal(name, str_from(infos[i].name))) {
            return (enum sqs_queue_attribute)i;
        }
    }
    return SQS_QUEUE_ATTRIBUTE_NONE;
}

/* ---- names ---- */

bool sqs_queue_name_is_fifo(struct str name)
{
    return str_ends_with(name, FIFO_SUFFIX);
}

static bool is_name_text(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
        if (!ok) {
            return false;
        }
    }
    return text.len > 0;
}

static int bad_name(bool fifo, struct sqs_error *e)
{
    return sqs_error_set(
        e, SQS_ERROR_INVALID_PARAMETER_VALUE, "%s",
        fifo ? "The name of a FIFO queue can only include alphanumeric characters, hyphens, or "
               "underscores, must end with .fifo suffix and be 1 to 80 in length"
             : "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in "
               "length");
}

int sqs_validate_queue_name(struct str name, struct sqs_error *e)
{
    bool fifo = sqs_queue_name_is_fifo(name);
    struct str stem = name;
    if (fifo) {
        stem.len -= FIFO_SUFFIX.len;
    }
    if (name.len > SQS_QUEUE_NAME_MAX || !is_name_text(stem)) {
        return bad_name(fifo, e);
    }
    return SQS_OK;
}

/* ---- attributes ---- */

struct str sqs_map_get(const struct sqs_map *map, struct str name)
{
    for (uint32_t i = map->count; i > 0; i--) {
        if (str_equal(map->items[i - 1].name, name)) {
            return map->items[i - 1].value;
        }
    }
    return STR_NONE;
}

static int unknown_attribute(struct str name, struct sqs_error *e)
{
    return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_NAME, "Unknown Attribute %.*s.",
                         STR_FMT(name));
}

static bool is_one_of(struct str value, const char *const *choices)
{
    for (; *choices != NULL; choices++) {
        if (str_equal(value, str_from(*choices))) {
            return true;
        }
    }
    return false;
}

static bool is_json_object(struct str value)
{
    struct json json;
    if (json_parse(&json, value, JSON_STRICT, NULL) != ERR_OK) {
        return false;
    }
    bool object = json_type(json.root) == JSON_OBJECT;
    json_done(&json);
    return object;
}

static bool value_is_valid(enum sqs_queue_attribute attribute, struct str value)
{
    const struct sqs_queue_attribute_info *info = &infos[attribute];
    int64_t number;
    switch (info->kind) {
    case SQS_VALUE_INT:
        return str_to_i64(value, info->min, info->max, &number) == ERR_OK;
    case SQS_VALUE_BOOL:
        return str_equal_nocase(value, STR("true")) || str_equal_nocase(value, STR("false"));
    case SQS_VALUE_CHOICE:
        return is_one_of(value, info->choices);
    default:
        break;
    }
    if (value.len > (size_t)info->max) {
        return false;
    }
    return attribute != SQS_QUEUE_ATTRIBUTE_POLICY || value.len == 0 || is_json_object(value);
}

static int attribute_unfit_for_standard(enum sqs_queue_attribute attribute, struct str name,
                                        struct sqs_error *e)
{
    if (attribute == SQS_QUEUE_ATTRIBUTE_FIFO_QUEUE ||
        attribute == SQS_QUEUE_ATTRIBUTE_CONTENT_BASED_DEDUPLICATION) {
        return unknown_attribute(name, e);
    }
    return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_NAME,
                         "You can specify the %.*s only when FifoQueue is set to true.",
                         STR_FMT(name));
}

static int validate_attribute(const struct sqs_pair *pair, bool fifo, struct sqs_error *e)
{
    enum sqs_queue_attribute attribute = sqs_queue_attribute_find(pair->name);
    if (attribute == SQS_QUEUE_ATTRIBUTE_NONE || !infos[attribute].settable) {
        return unknown_attribute(pair->name, e);
    }
    if (infos[attribute].fifo_only && !fifo) {
        return attribute_unfit_for_standard(attribute, pair->name, e);
    }
    if (!value_is_valid(attribute, pair->value)) {
        return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
                             "Invalid value for the parameter %.*s.", STR_FMT(pair->name));
    }
    if (attribute == SQS_QUEUE_ATTRIBUTE_FIFO_QUEUE &&
        !str_equal_nocase(pair->value, STR("true"))) {
        return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
                             "Invalid value for the parameter FifoQueue. Reason: Modifying queue "
                             "type is not supported.");
    }
    return SQS_OK;
}

int sqs_both_encryptions(struct sqs_error *e)
{
    return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_NAME,
                         "You can use one type of server-side encryption (SSE) at one time. You "
                         "can either enable KMS SSE or SQS SSE.");
}

int sqs_validate_set_queue_attributes(const struct sqs_map *attributes, bool fifo,
                                      struct sqs_error *e)
{
    for (uint32_t i = 0; i < attributes->count; i++) {
        int rc = validate_attribute(&attributes->items[i], fifo, e);
        if (rc != SQS_OK) {
            return rc;
        }
    }
    if (sqs_map_get(attributes, STR("KmsMasterKeyId")).len > 0 &&
        str_equal_nocase(sqs_map_get(attributes, STR("SqsManagedSseEnabled")), STR("true"))) {
        return sqs_both_encryptions(e);
    }
    return SQS_OK;
}

int sqs_validate_fifo_throughput(struct str scope, struct str limit, struct sqs_error *e)
{
    if (!str_equal(limit, STR("perMessageGroupId")) || str_equal(scope, STR("messageGroup"))) {
        return SQS_OK;
    }
    return sqs_error_set(e, SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
                         "Invalid value for the parameter FifoThroughputLimit. Reason: The "
                         "perMessageGroupId value is allowed only when the value for "
                         "DeduplicationScope is messageGroup.");
}

int sqs_validate_create_queue(const struct sqs_create_queue_in *in, struct sqs_error *e)
{
    bool fifo_name = sqs_queue_name_is_fifo(in->queue_name);
    struct str wanted = sqs_map_get(&in->attributes, STR("FifoQueue"));
    bool fifo_wanted = str_equal_nocase(wanted, STR("true"));
    if (fifo_name != fifo_wanted) {
        /* A standard queue has no attribute FifoQueue, not even "false". */
        return fifo_wanted ? bad_name(true, e) : bad_name(false, e);
    }
    int rc = sqs_validate_queue_name(in->queue_name, e);
    return rc == SQS_OK ? sqs_validate_set_queue_attributes(&in->attributes, fifo_name, e) : rc;
}

int sqs_validate_queue_attribute_names(const struct sqs_strings *names, struct sqs_error *e)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (!str_equal(names->items[i], STR("All")) &&
            sqs_queue_attribute_find(names->items[i]) == SQS_QUEUE_ATTRIBUTE_NONE) {
            return unknown_attribute(names->items[i], e);
        }
    }
    return SQS_OK;
}

int sqs_validate_max_results(struct sqs_int max_results, struct sqs_error *e)
{
    if (!max_results.set || (max_results.value >= 1 && max_results.value <= SQS_LIST_MAX)) {
        return SQS_OK;
    }
    return sqs_error_set(e, SQS_ERROR_INVALID_PARAMETER_VALUE,
                         "Value %lld for parameter MaxResults is invalid. Reason: MaxResults must "
                         "be an integer between 1 and 1000.",
                         (long long)max_results.value);
}

/* ---- tags ---- */

#define TAG_KEY_MAX   128
#define TAG_VALUE_MAX 256

static size_t count_characters(struct str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((unsigned char)text.ptr[i] & 0xc0) == 0x80 ? 0 : 1;
    }
    return count;
}

static int validate_tag_key(struct str key, struct sqs_error *e)
{
    static const struct str reserved = {"aws:", 4};
    if (key.len == 0 || count_characters(key) > TAG_KEY_MAX) {
        return sqs_error_set(e, SQS_ERROR_INVALID_PARAMETER_VALUE,
                             "Tag keys must be between 1 and 128 characters in length.");
    }
    if (key.len >= reserved.len &&
        str_equal_nocase((struct str){key.ptr, reserved.len}, reserved)) {
        return sqs_error_set(e, SQS_ERROR_INVALID_PARAMETER_VALUE,
                             "Tag keys that begin with aws: are reserved for AWS.");
    }
    return SQS_OK;
}

int sqs_validate_tags(const struct sqs_map *tags, struct sqs_error *e)
{
    int rc = SQS_OK;
    for (uint32_t i = 0; i < tags->count && rc == SQS_OK; i++) {
        rc = validate_tag_key(tags->items[i].name, e);
        if (rc == SQS_OK && count_characters(tags->items[i].value) > TAG_VALUE_MAX) {
            rc = sqs_error_set(e, SQS_ERROR_INVALID_PARAMETER_VALUE,
                               "Tag values must be between 0 and 256 characters in length.");
        }
    }
    return rc;
}

int sqs_validate_tag_queue(const struct sqs_tag_queue_in *in, struct sqs_error *e)
{
    if (in->tags.count == 0) {
        return sqs_error_set(e, SQS_ERROR_MISSING_PARAMETER,
                             "The request must contain the parameter Tags.");
    }
    return sqs_validate_tags(&in->tags, e);
}

int sqs_validate_untag_queue(const struct sqs_untag_queue_in *in, struct sqs_error *e)
{
    if (!in->keys.set) {
        return sqs_error_set(e, SQS_ERROR_MISSING_PARAMETER,
                             "The request must contain the parameter TagKeys.");
    }
    int rc = in->keys.count == 0 ? validate_tag_key(STR_NONE, e) : SQS_OK;
    for (uint32_t i = 0; i < in->keys.count && rc == SQS_OK; i++) {
        rc = validate_tag_key(in->keys.items[i], e);
    }
    return rc;
}
