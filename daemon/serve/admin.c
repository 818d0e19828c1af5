#include "sluice/serve/admin.h"

#include "sluice/observe/prometheus.h"

#include <stdio.h>

#define ANSWER_MAX_BYTES ((size_t)8 << 20)

static void respond_json(struct http_exchange *exchange, int status, const struct buf *body)
{
    if (buf_failed(body)) {
        http_respond_text(exchange, 500, "the answer is larger than its maximum\n");
        return;
    }
    http_respond(exchange, &(struct http_response){.status = status,
                                                   .content_type = "application/json",
                                                   .body = buf_str(body)});
}

static void respond_error(struct http_exchange *exchange, int status, const char *where,
                          const char *text)
{
    struct buf body;
    struct json_writer w;

    buf_init(&body, ANSWER_MAX_BYTES);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_member_str(&w, "error", str_from(text));
    if (where != NULL && where[0] != '\0') {
        json_member_str(&w, "where", str_from(where));
    }
    json_object_end(&w);
    respond_json(exchange, status, &body);
    buf_done(&body);
}

static bool is_method(const struct http_request_view *request, const char *method)
{
    return str_equal(request->method, str_from(method));
}

/* ---- health ---- */

static void respond_metrics(struct admin *admin, struct http_exchange *exchange)
{
    struct buf body;

    buf_init(&body, ANSWER_MAX_BYTES);
    if (prometheus_render(admin->metrics, &body) != 0) {
        http_respond_text(exchange, 500, "the metrics are larger than their maximum\n");
    } else {
        http_respond(exchange, &(struct http_response){
                                   .status = 200,
                                   .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                   .body = buf_str(&body)});
    }
    buf_done(&body);
}

static void respond_ready(struct admin *admin, struct http_exchange *exchange)
{
    const char *trouble = admin->callbacks->trouble(admin->context);
    char text[256];

    if (trouble == NULL) {
        http_respond_text(exchange, 200, "ready\n");
        return;
    }
    snprintf(text, sizeof(text), "not ready: %s\n", trouble);
    http_respond_text(exchange, 503, text);
}

void admin_handle_health(void *context, struct http_exchange *exchange,
                         const struct http_request_view *request)
{
    struct admin *admin = context;

    if (!is_method(request, "GET") && !is_method(request, "HEAD")) {
        http_respond_text(exchange, 405, "only GET is allowed here\n");
    } else if (str_equal(request->path, STR("/healthz"))) {
        http_respond_text(exchange, 200, "ok\n"); /* that it answers is the news: the loop turns */
    } else if (str_equal(request->path, STR("/readyz"))) {
        respond_ready(admin, exchange);
    } else if (str_equal(request->path, STR("/metrics"))) {
        respond_metrics(admin, exchange);
    } else {
        http_respond_text(exchange, 404, "not found; there is /healthz, /readyz and /metrics\n");
    }
}

/* ---- control ---- */

static void respond_object(struct admin *admin, struct http_exchange *exchange,
                           void (*members)(void *context, struct json_writer *w))
{
    struct buf body;
    struct json_writer w;

    buf_init(&body, ANSWER_MAX_BYTES);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    members(admin->context, &w);
    json_object_end(&w);
    respond_json(exchange, 200, &body);
    buf_done(&body);
}

static int status_of(int error)
{
    return error == ERR_NOT_FOUND ? 404 : error == ERR_BUSY ? 409 : 400;
}

static void respond_done(struct http_exchange *exchange, int error, const struct error *e)
{
    if (error != 0) {
        respond_error(exchange, status_of(error), e->where, e->text);
        return;
    }
    http_respond(exchange, &(struct http_response){.status = 200,
                                                   .content_type = "application/json",
                                                   .body = STR("{\"ok\":true}")});
}

static int change_limit(struct admin *admin, const char *route, struct str text, struct error *e)
{
    struct json json;
    char limit[128];
    struct str name, per;
    int64_t requests, per_ns;
    const struct json_value *value;
    int error = json_parse(&json, text, JSON_STRICT, e);

    if (error != 0) {
        return error;
    }
    value = json_get(json.root, "requests");
    per = json_string(json_get(json.root, "per"));
    name = json_string(json_get(json.root, "limit"));
    if (value == NULL || json_i64(value, &requests) != 0 || requests < 1 || requests > UINT32_MAX) {
        error = error_set(e, ERR_INVALID, "requests", "give a whole number of at least 1");
    } else if (str_to_duration(per, &per_ns) != 0) {
        error = error_set(e, ERR_INVALID, "per", "give a duration such as \"1s\" or \"500ms\"");
    } else {
        str_copy(limit, sizeof(limit), name);
        error = admin->callbacks->limit(admin->context, route, name.ptr == NULL ? NULL : limit,
                                        (uint32_t)requests, per_ns, e);
    }
    json_done(&json);
    return error;
}

static void handle_route(struct admin *admin, struct http_exchange *exchange,
                         const struct http_request_view *request, struct str rest)
{
    char name[128];
    struct str route = STR_NONE;
    struct error e = {0};
    int error;

    if (!str_next(&rest, '/', &route) || route.len == 0 || route.len >= sizeof(name)) {
        respond_error(exchange, 404, NULL, "use /v1/routes/<name>/pause, /resume or /limit");
        return;
    }
    str_copy(name, sizeof(name), route);
    if (str_equal(rest, STR("pause"))) {
        error = admin->callbacks->pause(admin->context, name, true, &e);
    } else if (str_equal(rest, STR("resume"))) {
        error = admin->callbacks->pause(admin->context, name, false, &e);
    } else if (str_equal(rest, STR("limit"))) {
        error = change_limit(admin, name, request->body, &e);
    } else {
        respond_error(exchange, 404, NULL, "use /v1/routes/<name>/pause, /resume or /limit");
        return;
    }
    respond_done(exchange, error, &e);
}

/* ---- backup ---- */

static int start_backup(struct admin *admin, struct str text, struct error *e)
{
    struct json json;
    char path[STORE_BACKUP_PATH_MAX];
    int error = json_parse(&json, text, JSON_STRICT, e);

    if (error != 0) {
        return error;
    }
    struct str file = json_string(json_get(json.root, "file"));
    if (file.len == 0 || file.ptr[0] != '/' || file.len >= sizeof(path)) {
        error = error_set(e, ERR_INVALID, "file", "give an absolute path of at most %zu bytes",
                          sizeof(path) - 1);
    } else {
        str_copy(path, sizeof(path), file);
        error = store_backup_start(admin->store, path, json_bool(json_get(json.root, "force")));
    }
    json_done(&json);
    if (error == ERR_BUSY) {
        return error_set(e, error, "", "another backup is being made; try again when it is done");
    }
    return error == ERR_CLOSED ? error_set(e, error, "", "the daemon is being stopped") : error;
}

static void respond_backup(struct admin *admin, struct http_exchange *exchange)
{
    static const char *const states[] = {"none", "running", "done", "failed"};
    struct store_backup_status status;
    struct json_writer w;
    struct buf body;

    store_backup_status(admin->store, &status);
    buf_init(&body, ANSWER_MAX_BYTES);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_member_str(&w, "state", str_from(states[status.state]));
    json_member_str(&w, "file", str_from(status.path));
    json_member_i64(&w, "pages_done", (int64_t)status.pages_done);
    json_member_i64(&w, "pages_total", (int64_t)status.pages_total);
    json_member_i64(&w, "bytes", (int64_t)status.bytes);
    json_member_i64(&w, "messages", (int64_t)status.messages);
    json_member_str(&w, "error", str_from(status.error.text));
    json_object_end(&w);
    respond_json(exchange, 200, &body);
    buf_done(&body);
}

static void handle_backup(struct admin *admin, struct http_exchange *exchange,
                          const struct http_request_view *request)
{
    struct error e = {0};

    if (is_method(request, "GET")) {
        respond_backup(admin, exchange);
    } else if (is_method(request, "POST")) {
        int error = start_backup(admin, request->body, &e);
        respond_done(exchange, error, &e);
    } else {
        respond_error(exchange, 405, NULL, "GET or POST");
    }
}

void admin_handle_control(void *context, struct http_exchange *exchange,
                          const struct http_request_view *request)
{
    struct admin *admin = context;
    const struct str prefix = STR("/v1/routes/");

    if (str_equal(request->path, STR("/v1/status")) && is_method(request, "GET")) {
        respond_object(admin, exchange, admin->callbacks->status);
    } else if (str_equal(request->path, STR("/v1/usage")) && is_method(request, "GET")) {
        respond_object(admin, exchange, admin->callbacks->usage);
    } else if (str_starts_with(request->path, prefix) && is_method(request, "POST")) {
        handle_route(admin, exchange, request,
                     (struct str){request->path.ptr + prefix.len, request->path.len - prefix.len});
    } else if (str_equal(request->path, STR("/v1/backup"))) {
        handle_backup(admin, exchange, request);
    } else if (admin->sqs_api != NULL && !str_starts_with(request->path, STR("/v1/"))) {
        sqs_api_handle_owner(admin->sqs_api, exchange, request);
    } else {
        respond_error(
            exchange, 404, NULL,
            "GET /v1/status or /v1/usage, POST /v1/routes/<name>/pause|resume|limit, POST or GET "
            "/v1/backup");
    }
}
