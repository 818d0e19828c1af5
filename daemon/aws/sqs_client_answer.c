#include "sqs_client_internal.h"

#include "sluice/base/json.h"
#include "sluice/sqs/codec.h"
#include "sluice/sqs/md5.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MESSAGE_ID_MAX 100u /* as SQS says of it */

static struct str header_of(const struct http_result *result, const char *name)
{
    for (uint32_t i = 0; i < result->header_count; i++) {
        if (str_equal_nocase(result->headers[i].name, str_from(name))) {
            return result->headers[i].value;
        }
    }
    return STR_NONE;
}

/* "Mon, 23 Nov 2026 12:00:00 GMT" */
bool sqs_answer_date(const struct http_result *result, wall_ms *ret)
{
    char text[40];
    struct tm tm = {0};
    struct str value = header_of(result, "date");
    if (value.len == 0 || value.len >= sizeof(text)) {
        return false;
    }
    (void)str_copy(text, sizeof(text), value);
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (end == NULL || *end != '\0') {
        return false;
    }
    *ret = (wall_ms)timegm(&tm) * 1000;
    return true;
}

/* ---- errors ---- */

/* The name of an error that our table may not have ("ExpiredToken"): after the namespace. */
static struct str bare_name(struct str name)
{
    struct str part = STR("");
    struct str rest = name;
    while (str_next(&rest, '#', &part)) {
    }
    return part;
}

static bool is_throttling(struct str name)
{
    static const char *const names[] = {"Throttling",
                                        "ThrottlingException",
                                        "ThrottledException",
                                        "RequestThrottledException",
                                        "TooManyRequestsException",
                                        "RequestLimitExceeded",
                                        "KmsThrottled"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        if (str_equal(name, str_from(names[i]))) {
            return true;
        }
    }
    return false;
}

static void set_error(struct sqs_client_answer *ret, int status, struct str type, struct str text)
{
    struct str name = bare_name(type);
    enum sqs_error_code code = type.len == 0 ? SQS_ERROR_INTERNAL_FAILURE : sqs_error_find(type);
    bool known = code != SQS_ERROR_INTERNAL_FAILURE || str_equal(name, STR("InternalFailure"));
    if (is_throttling(name)) {
        code = SQS_ERROR_REQUEST_THROTTLED;
    } else if (!known && status == 503) {
        code = SQS_ERROR_SERVICE_UNAVAILABLE;
    }
    (void)sqs_error_set(&ret->sqs, code, "%.*s%s%.*s (HTTP %d)", STR_FMT(name),
                        name.len > 0 && text.len > 0 ? ": " : "", STR_FMT(text), status);
    ret->error = ERR_PROTOCOL;
    ret->transient = status >= 500 || status == 429 || code == SQS_ERROR_REQUEST_THROTTLED ||
                     code == SQS_ERROR_OVER_LIMIT;
}

/* {"__type":"…#Name","message":"…"}; the header x-amzn-query-error or the status alone when the
 * body is something else (a proxy's page). */
static void read_error(const struct http_result *result, struct sqs_client_answer *ret)
{
    struct json json = {NULL};
    if (json_parse(&json, result->body, JSON_STRICT, NULL) == ERR_OK &&
        json_string(json_get(json.root, "__type")).ptr != NULL) {
        struct str message = json_string(json_get(json.root, "message"));
        if (message.ptr == NULL) {
            message = json_string(json_get(json.root, "Message"));
        }
        set_error(ret, result->status, json_string(json_get(json.root, "__type")), message);
    } else {
        struct str header = header_of(result, "x-amzn-query-error");
        struct str name = STR("");
        (void)str_next(&header, ';', &name);
        set_error(ret, result->status, name, STR("the answer is not from SQS"));
    }
    json_done(&json);
}

bool sqs_answer_refuses_key(const struct http_result *result, char *ret, size_t ret_size)
{
    static const char *const names[] = {"ExpiredToken",
                                        "ExpiredTokenException",
                                        "InvalidClientTokenId",
                                        "InvalidAccessKeyId",
                                        "UnrecognizedClientException",
                                        "TokenRefreshRequired",
                                        "InvalidToken",
                                        "InvalidSecurity"};
    struct json json = {NULL};
    bool refuses = false;

    if (result->error != ERR_OK || (result->status != 400 && result->status != 403) ||
        json_parse(&json, result->body, JSON_STRICT, NULL) != ERR_OK) {
        return false;
    }
    struct str name = bare_name(json_string(json_get(json.root, "__type")));
    for (size_t i = 0; i < SL_COUNT(names) && !refuses; i++) {
        refuses = str_equal(name, str_from(names[i]));
    }
    (void)str_copy(ret, ret_size, name);
    json_done(&json);
    return refuses;
}

/* ---- received messages ---- */

/* The id is sent on in a header, and without a handle nobody could ever settle it. */
static bool message_is_usable(const struct sqs_message *message)
{
    struct str id = message->message_id;

    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] <= ' ' || id.ptr[i] > '~') {
            return false;
        }
    }
    return id.len > 0 && id.len <= MESSAGE_ID_MAX && message->receipt_handle.len > 0 &&
           message->body.ptr != NULL;
}

static bool message_is_intact(const struct sqs_message *message)
{
    char md5[33];
    sqs_md5_body(message->body, md5);
    if (message->md5_of_body.ptr != NULL && !str_equal(message->md5_of_body, str_from(md5))) {
        return false;
    }
    sqs_md5_attributes(&message->attributes, md5);
    return message->md5_of_attributes.ptr == NULL ||
           str_equal(message->md5_of_attributes, str_from(md5));
}

static void refuse_answer(struct sqs_client_answer *ret, int error, const char *why)
{
    ret->error = error;
    ret->transient = true;
    ret->output = NULL;
    (void)str_copy(ret->sqs.message, sizeof(ret->sqs.message), str_from(why));
}

static void check_received(const struct sqs_receive_out *out, struct sqs_client_answer *ret)
{
    for (uint32_t i = 0; i < out->messages.count && ret->error == ERR_OK; i++) {
        if (!message_is_usable(&out->messages.items[i])) {
            refuse_answer(ret, ERR_PROTOCOL,
                          "a message without a usable id, a receipt handle or a body");
        } else if (!message_is_intact(&out->messages.items[i])) {
            refuse_answer(ret, ERR_CORRUPT, "a message does not fit its MD5");
        }
    }
}

static void check_answer(enum sqs_action action, const char *sent_md5,
                         struct sqs_client_answer *ret)
{
    if (action == SQS_RECEIVE_MESSAGE) {
        check_received(ret->output, ret);
    } else if (action == SQS_SEND_MESSAGE) {
        const struct sqs_send_result *out = ret->output;
        if (out->md5_of_body.ptr != NULL && !str_equal(out->md5_of_body, str_from(sent_md5))) {
            refuse_answer(ret, ERR_CORRUPT, "what was sent does not fit its MD5");
        }
    }
}

/* Our decoder speaks of requests. What is told is no error of SQS: it has none of its codes. */
static void answer_is_malformed(struct sqs_client_answer *ret)
{
    struct error text;
    struct str rest = str_from(ret->sqs.message);

    if (str_starts_with(rest, STR("The request"))) {
        rest.ptr += sizeof("The request") - 1;
        rest.len -= sizeof("The request") - 1;
    }
    (void)error_set(&text, ERR_PROTOCOL, "", "the answer%s%.*s", rest.ptr[0] == ' ' ? "" : ": ",
                    STR_FMT(rest));
    (void)str_copy(ret->sqs.message, sizeof(ret->sqs.message), str_from(text.text));
    ret->sqs.code = SQS_OK;
    ret->error = ERR_PROTOCOL;
    ret->transient = true;
}

static void read_answer(enum sqs_action action, const struct http_result *result,
                        const char *sent_md5, struct sqs_client_answer *ret)
{
    const struct sqs_action_info *info = sqs_action_info(action);

    if (result->status != 200) {
        read_error(result, ret);
        return;
    }
    if (info->output == NULL) {
        return;
    }
    if (sqs_json_decode(info->output, result->body, ret->arena, &ret->output, &ret->sqs) !=
        SQS_OK) {
        answer_is_malformed(ret);
        return;
    }
    check_answer(action, sent_md5, ret);
}

void sqs_answer_read(enum sqs_action action, const struct http_result *result, const char *sent_md5,
                     struct sqs_client_answer *ret)
{
    ret->sqs.code = SQS_OK;
    ret->sqs.message[0] = '\0';
    if (result->error == ERR_OK) {
        read_answer(action, result, sent_md5, ret);
        ret->reason = ret->sqs.message;
    } else {
        ret->error = result->error;
        ret->transient = result->error != ERR_CANCELED;
        ret->reason = result->detail;
    }
    if (ret->error != ERR_OK && ret->reason[0] == '\0') {
        ret->reason = err_text(ret->error);
    }
}
