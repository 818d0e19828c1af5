/* The two policies about dead letters: JSON texts in queue attributes. */
#include "sluice/sqs/validate.h"

#include "sluice/base/json.h"
#include "sluice/sqs/arn.h"

#define RECEIVES_MAX    1000
#define SOURCE_ARNS_MAX 10

static int refuse(struct sqs_error *e, const char *parameter, struct str text, const char *reason)
{
    struct str shown = text;
    shown.len = shown.len > 256 ? 256 : shown.len;
    return sqs_error_set(e, SQS_ERROR_INVALID_PARAMETER_VALUE,
                         "Value %.*s for parameter %s is invalid. Reason: %s", STR_FMT(shown),
                         parameter, reason);
}

/* A number, also when it was sent as a string. */
static bool read_number(const struct json_value *value, int64_t *ret)
{
    if (json_type(value) == JSON_STRING) {
        return str_to_i64(json_string(value), INT32_MIN, INT32_MAX, ret) == ERR_OK;
    }
    return json_type(value) == JSON_NUMBER && json_i64(value, ret) == ERR_OK;
}

static int read_redrive(const struct json_value *root, struct str text, struct arena *arena,
                        struct sqs_redrive_policy *ret, struct sqs_error *e)
{
    static const char parameter[] = "RedrivePolicy";
    struct sqs_redrive_policy policy = {0};
    struct sqs_arn arn;
    if (json_type(root) != JSON_OBJECT) {
        return refuse(e, parameter, text, "Redrive policy is not a valid JSON map.");
    }
    struct str target = json_string(json_get(root, "deadLetterTargetArn"));
    if (target.ptr == NULL) {
        return refuse(e, parameter, text,
                      "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.");
    }
    const struct json_value *count = json_get(root, "maxReceiveCount");
    if (count == NULL) {
        return refuse(e, parameter, text,
                      "Redrive policy does not contain mandatory attribute: maxReceiveCount.");
    }
    if (!read_number(count, &policy.max_receives) || policy.max_receives < 1 ||
        policy.max_receives > RECEIVES_MAX) {
        struct buf shown;
        buf_init(&shown, 64);
        (void)json_write_value(&shown, count);
        int rc = sqs_error_set(
            e, SQS_ERROR_INVALID_PARAMETER_VALUE,
            "Value %.*s for parameter %s is invalid. Reason: Invalid value for maxReceiveCount: "
            "%.*s, valid values are from 1 to 1000 both inclusive.",
            STR_FMT(text), parameter, STR_FMT(buf_str(&shown)));
        buf_done(&shown);
        return rc;
    }
    if (sqs_arn_parse(target, &arn) != ERR_OK) {
        return refuse(e, parameter, text, "Invalid value for deadLetterTargetArn.");
    }
    policy.dead_letter_arn.ptr = arena_dup(arena, target.ptr, target.len);
    policy.dead_letter_arn.len = target.len;
    if (policy.dead_letter_arn.ptr == NULL) {
        return sqs_error_set(e, SQS_ERROR_SERVICE_UNAVAILABLE, "Out of memory.");
    }
    *ret = policy;
    return SQS_OK;
}

int sqs_redrive_policy_parse(struct str text, struct arena *arena, struct sqs_redrive_policy *ret,
                             struct sqs_error *e)
{
    struct json json;
    if (json_parse(&json, text, JSON_STRICT, NULL) != ERR_OK) {
        return refuse(e, "RedrivePolicy", text, "Redrive policy is not a valid JSON map.");
    }
    int rc = read_redrive(json.root, text, arena, ret, e);
    json_done(&json);
    return rc;
}

int sqs_redrive_policy_write(const struct sqs_redrive_policy *policy, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_object_begin(&w);
    json_member_str(&w, "deadLetterTargetArn", policy->dead_letter_arn);
    json_member_i64(&w, "maxReceiveCount", policy->max_receives);
    json_object_end(&w);
    return buf_failed(out);
}

static bool read_permission(struct str word, enum sqs_redrive_permission *ret)
{
    static const struct {
        const char *word;
        enum sqs_redrive_permission permission;
    } words[] = {{"allowAll", SQS_REDRIVE_ALLOW_ALL},
                 {"denyAll", SQS_REDRIVE_DENY_ALL},
                 {"byQueue", SQS_REDRIVE_BY_QUEUE}};
    for (size_t i = 0; i < SL_COUNT(words); i++) {
        if (str_equal(word, str_from(words[i].word))) {
            *ret = words[i].permission;
            return true;
        }
    }
    return false;
}

static bool read_arns(const struct json_value *list, struct arena *arena, struct sqs_strings *ret)
{
    size_t count = json_count(list);
    struct str *items = arena_alloc(arena, (count + 1) * sizeof(*items));
    struct sqs_arn arn;
    const struct json_value *child = json_first(list);
    for (size_t i = 0; items != NULL && i < count; i++, child = json_next(child)) {
        struct str text = json_string(child);
        if (sqs_arn_parse(text, &arn) != ERR_OK) {
            return false;
        }
        items[i] = (struct str){arena_dup(arena, text.ptr, text.len), text.len};
        if (items[i].ptr == NULL) {
            return false;
        }
    }
    *ret = (struct sqs_strings){items, (uint32_t)count, true};
    return items != NULL;
}

static int read_allow(const struct json_value *root, struct str text, struct arena *arena,
                      struct sqs_redrive_allow_policy *ret, struct sqs_error *e)
{
    static const char parameter[] = "RedriveAllowPolicy";
    struct sqs_redrive_allow_policy policy = {0};
    const struct json_value *arns = json_get(root, "sourceQueueArns");
    size_t count = json_count(arns);
    if (json_type(root) != JSON_OBJECT ||
        !read_permission(json_string(json_get(root, "redrivePermission")), &policy.permission)) {
        return refuse(e, parameter, text,
                      "Amazon SQS can't create the redrive allow policy, as it's not in the "
                      "supported format.");
    }
    if (policy.permission != SQS_REDRIVE_BY_QUEUE && arns != NULL) {
        return refuse(e, parameter, text,
                      "sourceQueueArns can be given only with redrivePermission byQueue.");
    }
    if (policy.permission == SQS_REDRIVE_BY_QUEUE &&
        (json_type(arns) != JSON_ARRAY || count == 0 || count > SOURCE_ARNS_MAX ||
         !read_arns(arns, arena, &policy.source_arns))) {
        return refuse(e, parameter, text, "byQueue needs 1 to 10 sourceQueueArns.");
    }
    *ret = policy;
    return SQS_OK;
}

int sqs_redrive_allow_policy_parse(struct str text, struct arena *arena,
                                   struct sqs_redrive_allow_policy *ret, struct sqs_error *e)
{
    struct json json;
    if (json_parse(&json, text, JSON_STRICT, NULL) != ERR_OK) {
        return refuse(e, "RedriveAllowPolicy", text, "It is not a valid JSON map.");
    }
    int rc = read_allow(json.root, text, arena, ret, e);
    json_done(&json);
    return rc;
}
