/*
 * Looking at messages without receiving them, as LocalStack has it:
 *
 *   GET /_aws/sqs/messages?QueueUrl=…    or  /_aws/sqs/messages/<region>/<account>/<queue>
 *       &ShowInvisible=true  also those in flight      &ShowDelayed=true  also delayed ones
 *       &Limit=n             1 to 1000 (default: 1000)
 *
 * The answer is that of ReceiveMessage: XML; with Accept: application/json the same structure as
 * JSON (one message is an object, several are a list); to an SDK that sends ReceiveMessage here, in
 * its own protocol.
 */
#include "sqs_api_internal.h"

#include "sluice/base/digest.h"
#include "sluice/base/json.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/codec.h"

#include <string.h>

#define PATH      STR("/_aws/sqs/messages")
#define PEEK_MAX  1000
#define JSON_TYPE STR("application/json")

bool sqs_peek_is_meant(struct str path)
{
    return str_starts_with(path, PATH) && (path.len == PATH.len || path.ptr[PATH.len] == '/');
}

/* ---- the answer as JSON ---- */

static void write_pair(struct json_writer *w, struct str name, struct str value)
{
    json_object_begin(w);
    json_member_str(w, "Name", name);
    json_member_str(w, "Value", value);
    json_object_end(w);
}

static void write_system_attributes(struct json_writer *w, const struct sqs_map *map)
{
    json_key_write(w, STR("Attribute"));
    json_array_begin(w);
    for (uint32_t i = 0; i < map->count; i++) {
        write_pair(w, map->items[i].name, map->items[i].value);
    }
    json_array_end(w);
}

static void write_attribute(struct json_writer *w, const struct sqs_attribute *attribute)
{
    json_object_begin(w);
    json_member_str(w, "Name", attribute->name);
    json_key_write(w, STR("Value"));
    json_object_begin(w);
    json_member_str(w, "DataType", attribute->data_type);
    if (attribute->binary_value.ptr != NULL) {
        struct buf text;
        buf_init(&text, (size_t)2 << 20);
        (void)digest_base64(&text, attribute->binary_value.ptr, attribute->binary_value.len);
        json_member_str(w, "BinaryValue", buf_str(&text));
        buf_done(&text);
    } else {
        json_member_str(w, "StringValue", attribute->string_value);
    }
    json_object_end(w);
    json_object_end(w);
}

static void write_message(struct json_writer *w, const struct sqs_message *message)
{
    json_object_begin(w);
    json_member_str(w, "MessageId", message->message_id);
    json_member_str(w, "MD5OfBody", message->md5_of_body);
    json_member_str(w, "Body", message->body);
    write_system_attributes(w, &message->system_attributes);
    if (message->attributes.count > 0) {
        json_member_str(w, "MD5OfMessageAttributes", message->md5_of_attributes);
        json_key_write(w, STR("MessageAttribute"));
        json_array_begin(w);
        for (uint32_t i = 0; i < message->attributes.count; i++) {
            write_attribute(w, &message->attributes.items[i]);
        }
        json_array_end(w);
    }
    json_object_end(w);
}

/* XML says nothing of lists: none is null, one is itself. */
static void write_result(struct json_writer *w, const struct sqs_receive_out *out)
{
    if (out->messages.count == 0) {
        json_write_null(w);
        return;
    }
    json_object_begin(w);
    json_key_write(w, STR("Message"));
    if (out->messages.count == 1) {
        write_message(w, &out->messages.items[0]);
    } else {
        json_array_begin(w);
        for (uint32_t i = 0; i < out->messages.count; i++) {
            write_message(w, &out->messages.items[i]);
        }
        json_array_end(w);
    }
    json_object_end(w);
}

void sqs_peek_write_json(const struct call *call, const struct sqs_receive_out *out,
                         struct buf *body)
{
    struct json_writer w;
    json_writer_init(&w, body);
    json_object_begin(&w);
    json_key_write(&w, STR("ReceiveMessageResponse"));
    json_object_begin(&w);
    json_key_write(&w, STR("ReceiveMessageResult"));
    write_result(&w, out);
    json_key_write(&w, STR("ResponseMetadata"));
    json_object_begin(&w);
    json_member_str(&w, "RequestId", str_from(call->request_id));
    json_object_end(&w);
    json_object_end(&w);
    json_object_end(&w);
}

void sqs_peek_write_json_error(const struct call *call, struct buf *body)
{
    const struct sqs_error_info *info = sqs_error_info(call->error.code);
    struct json_writer w;
    json_writer_init(&w, body);
    json_object_begin(&w);
    json_key_write(&w, STR("ErrorResponse"));
    json_object_begin(&w);
    json_key_write(&w, STR("Error"));
    json_object_begin(&w);
    json_member_str(&w, "Type", info->sender_fault ? STR("Sender") : STR("Receiver"));
    json_member_str(&w, "Code", str_from(info->query_code));
    json_member_str(&w, "Message", str_from(call->error.message));
    json_object_end(&w);
    json_member_str(&w, "RequestId", str_from(call->request_id));
    json_object_end(&w);
    json_object_end(&w);
}

/* ---- what is asked ---- */

/* The queue and, of a long path, the region. */
static int read_queue(struct call *call, struct str form, struct str *ret_region)
{
    struct sqs_queue_ref ref = {0};
    struct str url;
    struct str rest = call->http->path;
    rest.ptr += PATH.len;
    rest.len -= PATH.len;
    *ret_region = sqs_access_region(call->http);
    if (rest.len > 1) {
        struct str part;
        (void)str_next(&rest, '/', &part);
        (void)str_next(&rest, '/', ret_region);
        url = rest; /* "<account>/<queue>" */
    } else if (call->protocol == PROTOCOL_JSON) {
        void *input = NULL;
        int rc = sqs_json_decode(sqs_action_info(SQS_RECEIVE_MESSAGE)->input, call->http->body,
                                 &call->arena, &input, &call->error);
        if (rc != SQS_OK) {
            return rc;
        }
        SL_ASSERT(input != NULL);
        url = ((const struct sqs_receive_in *)input)->queue_url;
    } else {
        url = sqs_query_parameter(form, "QueueUrl", &call->arena);
    }
    if (url.ptr == NULL || sqs_queue_url_parse(url, &ref) != ERR_OK) {
        return sqs_error_set(&call->error, SQS_ERROR_QUEUE_DOES_NOT_EXIST,
                             "The specified queue does not exist.");
    }
    call->peek.queue = ref.name;
    return SQS_OK;
}

static bool read_switch(struct call *call, struct str form, const char *name)
{
    struct str text = sqs_query_parameter(form, name, &call->arena);
    return str_equal_nocase(text, STR("true")) || str_equal(text, STR("1"));
}

static int read_limit(struct call *call, struct str form)
{
    int64_t limit = PEEK_MAX;
    struct str text = sqs_query_parameter(form, "Limit", &call->arena);
    if (text.ptr != NULL && str_to_i64(text, 1, PEEK_MAX, &limit) != ERR_OK) {
        return sqs_error_set(&call->error, SQS_ERROR_INVALID_PARAMETER_VALUE,
                             "Value %.*s for parameter Limit is invalid. Reason: Must be between 1 "
                             "and 1000, if provided.",
                             (int)(text.len > 40 ? 40 : text.len), text.ptr);
    }
    call->peek.max = (uint32_t)limit;
    return SQS_OK;
}

static int read_request(struct call *call, struct str form)
{
    struct str query = call->http->query.ptr == NULL ? STR("") : call->http->query;
    form = call->protocol == PROTOCOL_JSON ? query : form;
    if (call->action_name.ptr != NULL && call->action != SQS_RECEIVE_MESSAGE) {
        return sqs_error_set(&call->error, SQS_ERROR_INVALID_ACTION,
                             "This endpoint only accepts ReceiveMessage calls");
    }
    call->action = SQS_RECEIVE_MESSAGE;
    int rc = read_queue(call, form, &call->peek.region);
    rc = rc != SQS_OK ? rc : read_limit(call, form);
    if (rc == SQS_OK) {
        rc = sqs_access_authorize(sqs_api_access(call->api), call->key, SQS_RECEIVE_MESSAGE,
                                  call->peek.queue, &call->error);
    }
    call->peek.invisible = read_switch(call, form, "ShowInvisible");
    call->peek.delayed = read_switch(call, form, "ShowDelayed");
    return rc;
}

/* ---- page by page ---- */

static void set_store_error(struct call *call, int error)
{
    if (error == ERR_NOT_FOUND) {
        (void)sqs_error_set(&call->error, SQS_ERROR_QUEUE_DOES_NOT_EXIST,
                            "The specified queue does not exist.");
    } else if (error == ERR_CLOSED) {
        (void)sqs_error_set(&call->error, SQS_ERROR_SERVICE_UNAVAILABLE,
                            "The service is shutting down.");
    } else {
        (void)sqs_error_set(&call->error, SQS_ERROR_INTERNAL_FAILURE,
                            "The queue's file cannot be read (%s).", err_text(error));
    }
}

static void on_page(void *context, struct store_peek *peek)
{
    struct call *call = context;
    if (peek->error != 0) {
        set_store_error(call, peek->error);
        sqs_call_refuse(call);
        return;
    }
    bool goes_on = peek->next != 0 && peek->count < peek->max && !peek->full;
    if (goes_on && !call->is_gone && !sqs_api_is_draining(call->api)) {
        peek->from = peek->next;
        store_peek(sqs_api_store(call->api), peek);
        return;
    }
    struct sqs_receive_out out = {.messages = {peek->messages, peek->count, peek->count > 0}};
    call->store.output = &out;
    sqs_call_answer(call);
}

static void on_gone(void *context)
{
    struct call *call = context;
    call->is_gone = true;
}

void sqs_peek_begin(struct call *call, struct str form)
{
    struct str accept = str_trim(http_request_header(call->http, "accept"));
    accept.len = accept.len > JSON_TYPE.len ? JSON_TYPE.len : accept.len; /* what it wants most */
    call->wants_json = call->protocol == PROTOCOL_QUERY && str_equal_nocase(accept, JSON_TYPE);
    int rc = read_request(call, form);
    if (rc == SQS_OK) {
        call->peek.messages =
            arena_alloc(&call->arena, call->peek.max * sizeof(struct sqs_message));
        if (call->peek.messages == NULL) {
            rc = sqs_error_set(&call->error, SQS_ERROR_SERVICE_UNAVAILABLE, "Out of memory.");
        }
    }
    if (rc != SQS_OK) {
        sqs_call_refuse(call);
        return;
    }
    sqs_call_bound_answer(call);
    call->peek.arena = &call->arena;
    call->peek.done = on_page;
    call->peek.context = call;
    http_exchange_on_close(call->exchange, on_gone, call);
    store_peek(sqs_api_store(call->api), &call->peek);
}
