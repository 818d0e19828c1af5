#include "sqs_api_internal.h"

#include "sluice/base/digest.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/codec.h"
#include "sluice/sqs/move_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Less than what the HTTP server takes. Messages are received only as far as their answer fits, for
 * what was received and cannot be told is lost until its visibility ends; so their memory is
 * bounded by the most that escaping makes of a byte ("\n"; "&quot;"). */
#define ANSWER_MAX_BYTES  ((size_t)15 << 20)
#define ESCAPE_MAX_JSON   2
#define ESCAPE_MAX_XML    6
#define HOST_MAX          255
#define CONTENT_TYPE_JSON "application/x-amz-json-1.0"
#define CONTENT_TYPE_XML  "text/xml"
#define CONTENT_TYPE_PEEK "application/json"
#define TARGET_PREFIX     STR("AmazonSQS.")

struct sqs_api {
    struct store *store;
    struct sqs_access access;
    wall_ms (*clock)(void);
    struct metric_family *requests;
    /* By action (the last two: none, peek) and error code, made on first use. */
    struct metric *counters[SQS_ACTION__COUNT + 2][SQS_ERROR__COUNT];
    struct list calls;
    uint32_t running;
    bool draining;
};

/* ---- answering ---- */

static void count_request(const struct call *call, enum sqs_error_code code)
{
    struct sqs_api *api = call->api;
    int row = call->action == SQS_ACTION_NONE ? SQS_ACTION__COUNT : (int)call->action;
    row = call->is_peek ? SQS_ACTION__COUNT + 1 : row;
    struct metric **counter = &api->counters[row][code];
    if (*counter == NULL) {
        const char *name = row == SQS_ACTION__COUNT       ? "unknown"
                           : row == SQS_ACTION__COUNT + 1 ? "peek"
                                                          : sqs_action_info(call->action)->name;
        const char *const values[] = {name, code == SQS_OK ? "OK" : sqs_error_info(code)->shape};
        *counter = metric_series(api->requests, values);
    }
    metric_add(*counter, 1);
}

static void call_free(struct call *call)
{
    call->api->running--;
    list_remove(&call->api->calls, &call->node);
    arena_done(&call->arena);
    free(call);
}

static void respond(struct call *call, int status, struct str body, const char *query_error)
{
    const struct http_header headers[] = {
        {STR("x-amzn-RequestId"), str_from(call->request_id)},
        {STR("x-amzn-query-error"), str_from(query_error)},
    };
    const char *type = call->protocol == PROTOCOL_JSON ? CONTENT_TYPE_JSON : CONTENT_TYPE_XML;
    http_respond(call->exchange, &(struct http_response){
                                     .status = status,
                                     .content_type = call->wants_json ? CONTENT_TYPE_PEEK : type,
                                     .body = body,
                                     .headers = headers,
                                     .header_count = query_error == NULL ? 1 : 2,
                                 });
    call_free(call);
}

void sqs_call_refuse(struct call *call)
{
    const struct sqs_error_info *info = sqs_error_info(call->error.code);
    struct buf body;
    buf_init(&body, sizeof(call->error.message) * 8 + 1024);
    count_request(call, call->error.code);
    if (call->wants_json) {
        sqs_peek_write_json_error(call, &body);
        respond(call, info->http_status, buf_str(&body), NULL);
    } else if (call->protocol == PROTOCOL_JSON) {
        char header[128];
        (void)snprintf(header, sizeof(header), "%s;%s", info->query_code,
                       info->sender_fault ? "Sender" : "Receiver");
        (void)sqs_json_error(&call->error, &body);
        respond(call, info->http_status, buf_str(&body), header);
    } else {
        (void)sqs_xml_error(&call->error, call->request_id, &body);
        respond(call, info->http_status, buf_str(&body), NULL);
    }
    buf_done(&body);
}

void sqs_call_answer(struct call *call)
{
    const struct sqs_action_info *info = sqs_action_info(call->action);
    struct buf body;
    int rc = ERR_OK;
    buf_init(&body, ANSWER_MAX_BYTES);
    if (call->wants_json) {
        sqs_peek_write_json(call, call->store.output, &body);
        rc = buf_failed(&body);
    } else if (call->protocol == PROTOCOL_QUERY) {
        rc = sqs_xml_encode(info, call->store.output, call->request_id, &body);
    } else if (info->output != NULL) {
        rc = sqs_json_encode(info->output, call->store.output, &body);
    }
    if (rc != ERR_OK) {
        (void)sqs_error_set(&call->error, SQS_ERROR_INTERNAL_FAILURE, "The answer is too large.");
        sqs_call_refuse(call);
    } else {
        count_request(call, SQS_OK);
        respond(call, 200, buf_str(&body), NULL);
    }
    buf_done(&body);
}

static void on_store_done(void *context, struct store_request *request)
{
    struct call *call = context;
    call->error = request->error;
    if (call->error.code != SQS_OK) {
        sqs_call_refuse(call);
    } else {
        sqs_call_answer(call);
    }
}

/* The client of a long poll went away: what it would have received must not be taken for it. */
static void on_exchange_closed(void *context)
{
    struct call *call = context;
    store_cancel(call->api->store, &call->store);
}

/* ---- what is asked ---- */

static bool is_method(const struct http_request_view *request, const char *method)
{
    return str_equal(request->method, str_from(method));
}

static bool content_type_is(const struct http_request_view *request, struct str wanted)
{
    struct str type = str_trim(http_request_header(request, "content-type"));
    return type.len >= wanted.len && str_equal_nocase((struct str){type.ptr, wanted.len}, wanted);
}

/* "/000000000000/jobs": at least two segments. */
static bool path_names_queue(struct str path)
{
    struct sqs_queue_ref ref;
    return sqs_queue_url_parse(path, &ref) == ERR_OK && ref.account.ptr != NULL;
}

/* The parameters of a Query request: the body of a POST and the query of the URL. */
static struct str form_of(struct call *call)
{
    const struct http_request_view *http = call->http;
    if (!is_method(http, "POST") || http->body.len == 0) {
        return http->query.ptr == NULL ? STR("") : http->query;
    }
    if (http->query.len == 0) {
        return http->body;
    }
    size_t len = http->body.len + 1 + http->query.len;
    char *joined = arena_alloc(&call->arena, len);
    if (joined == NULL) {
        return http->body;
    }
    memcpy(joined, http->body.ptr, http->body.len);
    joined[http->body.len] = '&';
    memcpy(joined + http->body.len + 1, http->query.ptr, http->query.len);
    return (struct str){joined, len};
}

static int unknown_action(struct call *call)
{
    struct str name = call->action_name;
    name.len = name.len > 100 ? 100 : name.len;
    call->action = SQS_ACTION_NONE;
    return sqs_error_set(&call->error, SQS_ERROR_INVALID_ACTION,
                         "The action %.*s is not valid for this endpoint.", STR_FMT(name));
}

/* Which protocol speaks and which action it names (not yet whether there is such an action). */
static void read_action(struct call *call, struct str form)
{
    struct str target = http_request_header(call->http, "x-amz-target");
    bool post = is_method(call->http, "POST");
    if (post &&
        (target.ptr != NULL || content_type_is(call->http, STR("application/x-amz-json-1")))) {
        call->protocol = PROTOCOL_JSON;
        call->action_name = target;
        if (str_starts_with(target, TARGET_PREFIX)) {
            call->action_name.ptr += TARGET_PREFIX.len;
            call->action_name.len -= TARGET_PREFIX.len;
            call->action = sqs_action_find(call->action_name);
        }
        return;
    }
    call->protocol = PROTOCOL_QUERY;
    if (!post && !is_method(call->http, "GET")) {
        return;
    }
    call->action_name = sqs_query_parameter(form, "Action", &call->arena);
    call->action = sqs_action_find(call->action_name);
}

/* The Query protocol knows these two only at "/". */
static bool is_misplaced(const struct call *call)
{
    return call->protocol == PROTOCOL_QUERY &&
           (call->action == SQS_CREATE_QUEUE || call->action == SQS_LIST_QUEUES) &&
           path_names_queue(call->http->path);
}

static bool is_host_text(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.' || c == ':' || c == '[' || c == ']';
        if (!ok) {
            return false;
        }
    }
    return host.len > 0 && host.len <= HOST_MAX;
}

/* Queue URLs in answers point to where the client found us. */
static struct str endpoint_of(struct call *call)
{
    struct str host = is_host_text(call->http->host) ? call->http->host : STR("localhost");
    const char *scheme = call->http->is_tls ? "https" : "http";
    size_t size = host.len + sizeof("https://");
    char *text = arena_alloc(&call->arena, size);
    if (text == NULL) {
        return STR("http://localhost");
    }
    int len = snprintf(text, size, "%s://%.*s", scheme, STR_FMT(host));
    return (struct str){text, (size_t)len};
}

/* QueueUrl is the first member of the input of every action on a queue (sqs/actions asserts it). */
static int complete_queue_url(struct call *call, void *input)
{
    struct str url;
    struct sqs_queue_ref ref;
    memcpy(&url, input, sizeof(url));
    if (url.ptr == NULL && path_names_queue(call->http->path)) {
        memcpy(input, &call->http->path, sizeof(url));
        return SQS_OK;
    }
    if (sqs_queue_url_parse(url, &ref) != ERR_OK) {
        return sqs_error_set(&call->error, SQS_ERROR_QUEUE_DOES_NOT_EXIST,
                             "The specified queue does not exist.");
    }
    return SQS_OK;
}

static int decode(struct call *call, struct str form, void **ret)
{
    if (call->action == SQS_ACTION_NONE || is_misplaced(call)) {
        return unknown_action(call);
    }
    const struct sqs_action_info *info = sqs_action_info(call->action);
    int rc = call->protocol == PROTOCOL_JSON
                 ? sqs_json_decode(info->input, call->http->body, &call->arena, ret, &call->error)
                 : sqs_query_decode(info->input, form, &call->arena, ret, &call->error);
    return rc == SQS_OK && info->on_queue ? complete_queue_url(call, *ret) : rc;
}

static struct str name_in_arn(struct str text)
{
    struct sqs_arn arn;
    return sqs_arn_parse(text, &arn) == ERR_OK ? arn.name : SQS_ACCESS_EVERY_QUEUE;
}

static struct str name_in_task_handle(struct call *call, struct str text)
{
    struct sqs_move_handle handle;
    struct sqs_error e;
    return sqs_move_handle_read(text, &call->arena, &handle, &e) == SQS_OK
               ? name_in_arn(handle.source_arn)
               : SQS_ACCESS_EVERY_QUEUE;
}

/* The queue that the action is about, by name. An action that is not here may be about any. */
static struct str queue_of(struct call *call, const void *input)
{
    struct sqs_queue_ref ref;
    struct str text;
    switch (call->action) {
    case SQS_LIST_QUEUES:
        return STR_NONE;
    case SQS_CREATE_QUEUE:
        return ((const struct sqs_create_queue_in *)input)->queue_name;
    case SQS_GET_QUEUE_URL:
        return ((const struct sqs_get_queue_url_in *)input)->queue_name;
    case SQS_START_MESSAGE_MOVE_TASK:
        return name_in_arn(((const struct sqs_start_move_task_in *)input)->source_arn);
    case SQS_LIST_MESSAGE_MOVE_TASKS:
        return name_in_arn(((const struct sqs_list_move_tasks_in *)input)->source_arn);
    case SQS_CANCEL_MESSAGE_MOVE_TASK:
        return name_in_task_handle(call, ((const struct sqs_task_handle *)input)->task_handle);
    default:
        break;
    }
    if (!sqs_action_info(call->action)->on_queue) {
        return SQS_ACCESS_EVERY_QUEUE;
    }
    memcpy(&text, input, sizeof(text));
    return sqs_queue_url_parse(text, &ref) == ERR_OK ? ref.name : SQS_ACCESS_EVERY_QUEUE;
}

/* A move task also sends, to the queue that it names: without one, back to where each came from. */
static int authorize(struct call *call, const void *input)
{
    const struct sqs_access *access = &call->api->access;
    int rc =
        sqs_access_authorize(access, call->key, call->action, queue_of(call, input), &call->error);
    if (rc == SQS_OK && call->action == SQS_START_MESSAGE_MOVE_TASK) {
        struct str to = ((const struct sqs_start_move_task_in *)input)->destination_arn;
        if (to.ptr != NULL) {
            rc = sqs_access_authorize(access, call->key, SQS_SEND_MESSAGE, name_in_arn(to),
                                      &call->error);
        }
    }
    return rc;
}

void sqs_call_bound_answer(struct call *call)
{
    size_t escape_max = call->protocol == PROTOCOL_JSON ? ESCAPE_MAX_JSON : ESCAPE_MAX_XML;
    size_t room_bytes = call->arena.max_bytes - call->arena.used_bytes;
    if (room_bytes > ANSWER_MAX_BYTES / escape_max) {
        call->arena.max_bytes = call->arena.used_bytes + ANSWER_MAX_BYTES / escape_max;
    }
}

static void prepare_receive(struct call *call, struct sqs_receive_in *receive)
{
    sqs_call_bound_answer(call);
    if (call->api->draining) {
        receive->wait_seconds = (struct sqs_int){.set = true, .value = 0};
    }
    http_exchange_on_close(call->exchange, on_exchange_closed, call);
}

static void submit(struct call *call, void *input)
{
    struct sqs_api *api = call->api;
    struct str endpoint = endpoint_of(call);
    if (call->action == SQS_RECEIVE_MESSAGE) {
        prepare_receive(call, input);
    }
    call->store = (struct store_request){
        .action = call->action,
        .input = input,
        .endpoint = endpoint,
        .region = sqs_access_region(call->http),
        .arena = &call->arena,
        .wall = api->clock(),
        .done = on_store_done,
        .context = call,
    };
    store_submit(api->store, &call->store);
}

/* What a browser that looks at a queue URL gets, as from AWS. */
static void respond_not_found(struct call *call)
{
    call->action = SQS_ACTION_NONE;
    count_request(call, SQS_ERROR_INVALID_ACTION);
    respond(call, 404, STR("<UnknownOperationException/>\n"), NULL);
}

/* What an SQS client asked for. */
static void begin_action(struct call *call, struct str form)
{
    void *input = NULL;
    if (call->protocol == PROTOCOL_QUERY && call->action_name.ptr == NULL) {
        respond_not_found(call);
        return;
    }
    int rc = decode(call, form, &input);
    if (rc == SQS_OK) {
        SL_ASSERT(input != NULL);
        rc = authorize(call, input);
    }
    if (rc != SQS_OK) {
        sqs_call_refuse(call);
        return;
    }
    submit(call, input);
}

static void handle(struct sqs_api *api, struct http_exchange *exchange,
                   const struct http_request_view *request, bool is_owner)
{
    struct call *call = MEM_NEW(struct call);
    call->api = api;
    call->exchange = exchange;
    call->http = request;
    call->action = SQS_ACTION_NONE;
    call->is_peek = sqs_peek_is_meant(request->path);
    arena_init(&call->arena, SQS_API_REQUEST_MAX_BYTES);
    digest_uuid(call->request_id);
    list_push(&api->calls, &call->node);
    api->running++;

    struct str form = form_of(call);
    read_action(call, form);
    struct str shown =
        call->is_peek && call->action_name.ptr == NULL ? STR("ReceiveMessage") : call->action_name;
    int rc = is_owner ? SQS_OK
                      : sqs_access_check(&api->access, request, shown, api->clock(), &call->key,
                                         &call->error);
    if (rc != SQS_OK) {
        sqs_call_refuse(call);
    } else if (call->is_peek) {
        sqs_peek_begin(call, form);
    } else {
        begin_action(call, form);
    }
}

const struct sqs_access *sqs_api_access(const struct sqs_api *api)
{
    return &api->access;
}

struct store *sqs_api_store(const struct sqs_api *api)
{
    return api->store;
}

bool sqs_api_is_draining(const struct sqs_api *api)
{
    return api->draining;
}

void sqs_api_handle(void *context, struct http_exchange *exchange,
                    const struct http_request_view *request)
{
    handle(context, exchange, request, false);
}

void sqs_api_handle_owner(void *context, struct http_exchange *exchange,
                          const struct http_request_view *request)
{
    handle(context, exchange, request, true);
}

/* ---- life ---- */

struct sqs_api *sqs_api_new(struct store *store, struct metrics *metrics,
                            const struct sqs_api_config *config)
{
    static const char *const labels[] = {"action", "code", NULL};
    struct sqs_api *api = MEM_NEW(struct sqs_api);
    api->store = store;
    api->clock = config->clock == NULL ? loop_wall : config->clock;
    sqs_access_init(&api->access, config);
    list_init(&api->calls);
    api->requests = metrics_family(metrics, METRIC_COUNTER, "sluice_sqs_requests_total",
                                   "Requests to the SQS API, by action and outcome.", labels);
    for (int action = 0; action < SQS_ACTION__COUNT; action++) {
        const char *const values[] = {sqs_action_info((enum sqs_action)action)->name, "OK"};
        api->counters[action][SQS_OK] = metric_series(api->requests, values);
    }
    return api;
}

void sqs_api_drain(struct sqs_api *api)
{
    api->draining = true;
    LIST_FOR(&api->calls, node)
    {
        struct call *call = LIST_ENTRY(node, struct call, node);
        if (call->action == SQS_RECEIVE_MESSAGE && !call->is_peek) {
            store_cancel(api->store, &call->store);
        }
    }
}

uint32_t sqs_api_running(const struct sqs_api *api)
{
    return api->running;
}

void sqs_api_free(struct sqs_api *api)
{
    if (api == NULL) {
        return;
    }
    SL_ASSERT(api->running == 0);
    sqs_access_done(&api->access);
    free(api);
}
