#include "sluice/sqs/move_task.h"

#include "sluice/base/digest.h"
#include "sluice/base/json.h"
#include "sluice/sqs/arn.h"

#define HANDLE_MAX_BYTES 2048

#define INVALID(e, ...) sqs_error_set((e), SQS_ERROR_INVALID_PARAMETER_VALUE, __VA_ARGS__)

const char *sqs_move_status_name(enum sqs_move_status status)
{
    static const char *const names[] = {
#define XX(name) #name,
        SQS_MOVE_STATUS_MAP(XX)
#undef XX
    };
    SL_ASSERT((int)status >= 0 && status < SQS_MOVE__COUNT);
    return names[status];
}

/* ---- what is asked ---- */

static int validate_arn(const char *parameter, struct str arn, struct sqs_error *e)
{
    struct sqs_arn parts;
    if (sqs_arn_parse(arn, &parts) == ERR_OK) {
        return SQS_OK;
    }
    return INVALID(e,
                   "You must use this format to specify the %s: "
                   "arn:<partition>:<service>:<region>:<account-id>:<resource-id>",
                   parameter);
}

int sqs_validate_start_move_task(const struct sqs_start_move_task_in *in, struct sqs_error *e)
{
    int rc = validate_arn("SourceArn", in->source_arn, e);
    if (rc == SQS_OK && in->destination_arn.ptr != NULL) {
        rc = validate_arn("DestinationArn", in->destination_arn, e);
    }
    if (rc == SQS_OK && str_equal(in->source_arn, in->destination_arn)) {
        rc = INVALID(e, "Source queue arn and destination queue arn cannot be the same.");
    }
    if (rc == SQS_OK && in->max_per_second.set &&
        (in->max_per_second.value < 1 || in->max_per_second.value > SQS_MOVE_RATE_MAX)) {
        rc = INVALID(e, "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You "
                        "must enter a number that's between 1 and 500.");
    }
    return rc;
}

int sqs_validate_list_move_tasks(const struct sqs_list_move_tasks_in *in, struct sqs_error *e)
{
    int rc = validate_arn("SourceArn", in->source_arn, e);
    if (rc == SQS_OK && in->max_results.set &&
        (in->max_results.value < 1 || in->max_results.value > SQS_MOVE_LIST_MAX)) {
        rc =
            INVALID(e, "Value for parameter MaxResults is invalid. Reason: You must enter a number "
                       "that's between 1 and 10.");
    }
    return rc;
}

/* ---- handles ---- */

struct str sqs_move_handle_write(struct arena *arena, struct str task_id, struct str source_arn)
{
    struct buf json;
    struct buf text;
    struct json_writer w;
    buf_init(&json, HANDLE_MAX_BYTES);
    buf_init(&text, HANDLE_MAX_BYTES);
    json_writer_init(&w, &json);
    json_object_begin(&w);
    json_member_str(&w, "taskId", task_id);
    json_member_str(&w, "sourceArn", source_arn);
    json_object_end(&w);
    (void)digest_base64(&text, buf_str(&json).ptr, json.len);
    const char *copy = buf_failed(&json) != 0 || buf_failed(&text) != 0
                           ? NULL
                           : arena_dup(arena, buf_str(&text).ptr, text.len);
    struct str ret = copy == NULL ? STR_NONE : (struct str){copy, text.len};
    buf_done(&json);
    buf_done(&text);
    return ret;
}

static bool copy_member(const struct json_value *object, const char *key, struct arena *arena,
                        struct str *ret)
{
    struct str value = json_string(json_get(object, key));
    ret->ptr = value.len == 0 ? NULL : arena_dup(arena, value.ptr, value.len);
    ret->len = value.len;
    return ret->ptr != NULL;
}

int sqs_move_handle_read(struct str handle, struct arena *arena, struct sqs_move_handle *ret,
                         struct sqs_error *e)
{
    struct buf text;
    struct json json;
    bool ok = false;
    buf_init(&text, HANDLE_MAX_BYTES);
    if (handle.len > 0 && digest_from_base64(&text, handle) == ERR_OK &&
        json_parse(&json, buf_str(&text), JSON_STRICT, NULL) == ERR_OK) {
        ok = copy_member(json.root, "taskId", arena, &ret->task_id) &&
             copy_member(json.root, "sourceArn", arena, &ret->source_arn);
        json_done(&json);
    }
    buf_done(&text);
    return ok ? SQS_OK : INVALID(e, "Value for parameter TaskHandle is invalid.");
}
