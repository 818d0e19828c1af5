#include "sluice/cli/admin_client.h"

#include "sluice/app.h"
#include "sluice/base/json.h"
#include "sluice/net/http_client.h"
#include "sluice/runtime/datadir.h"
#include "sluice/runtime/loop.h"

#include <stdio.h>
#include <unistd.h>

#define TIMEOUT_NS (10 * NS_PER_S)

struct call {
    struct loop *loop;
    struct http_client *client;
    struct buf *out;
    int error, status;
    char detail[160];
};

static void on_done(void *context, const struct http_result *result, mono_ns now)
{
    struct call *call = context;

    (void)now;
    call->error = result->error;
    call->status = result->status;
    snprintf(call->detail, sizeof(call->detail), "%s", result->detail);
    (void)buf_add(call->out, result->body);
    http_client_close(call->client);
    loop_stop(call->loop);
}

static int run(struct call *call, const struct http_call_request *request)
{
    static const struct http_call_events events = {NULL, on_done};
    struct http_call *running = NULL;
    int error;

    call->loop = loop_new();
    call->client = http_client_new(
        call->loop, &(struct http_client_config){.response_max_bytes = ADMIN_ANSWER_MAX_BYTES,
                                                 .user_agent = "sluice/" SLUICE_VERSION});
    error = http_client_submit(call->client, request, &events, call, &running);
    if (error != 0) {
        http_client_close(call->client);
        loop_stop(call->loop);
    }
    (void)loop_run(call->loop); /* a short-lived process: nothing to do about a leak here */
    loop_free(call->loop);
    return error != 0 ? error : call->error;
}

static const struct http_header sqs_content_type = {STR("Content-Type"),
                                                    STR("application/x-amz-json-1.0")};

int admin_client_call(const struct admin_question *question, int *ret_status, struct buf *out,
                      struct error *e)
{
    char directory[DATADIR_PATH_MAX], socket_path[DATADIR_PATH_MAX + 16], url[512];
    struct call call = {.out = out};
    struct http_header headers[2] = {sqs_content_type};
    struct http_call_request request = {
        .method = question->method,
        .url = url,
        .headers = headers,
        .body = question->body,
        .connect_timeout_ns = TIMEOUT_NS,
        .timeout_ns = TIMEOUT_NS,
        .unix_socket = socket_path,
    };
    int error = datadir_resolve(question->data_dir, directory, e);

    if (error != 0) {
        return ERR_INVALID;
    }
    snprintf(socket_path, sizeof(socket_path), "%s/admin.sock", directory);
    snprintf(url, sizeof(url), "http://localhost%s", question->path);
    if (question->sqs_target != NULL) {
        headers[1] = (struct http_header){STR("X-Amz-Target"), str_from(question->sqs_target)};
        request.header_count = 2;
    }
    if (access(socket_path, F_OK) != 0) {
        return error_set(
            e, ERR_CONNECT, socket_path,
            "no daemon runs on this data directory; start it with `sluice run --data-dir "
            "%s`, or name the right directory with --data-dir",
            directory);
    }
    error = run(&call, &request);
    if (error != 0) {
        return error_set(e, ERR_CONNECT, socket_path, "the daemon does not answer (%s: %s)",
                         err_text(error), call.detail);
    }
    *ret_status = call.status;
    return 0;
}

/* {"where":…,"error":…} of the admin API, {"__type":…,"message":…} of SQS. */
static void print_refusal(int status, struct str body)
{
    struct json json;

    if (json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        fprintf(stderr, "sluice: the daemon answered %d\n", status);
        return;
    }
    struct str where = json_string(json_get(json.root, "where"));
    struct str text = json_string(json_get(json.root, "error"));
    if (text.ptr == NULL) {
        text = json_string(json_get(json.root, "message"));
    }
    fprintf(stderr, "sluice: %.*s%s%.*s\n", STR_FMT(where), where.len > 0 ? ": " : "",
            STR_FMT(text));
    json_done(&json);
}

int admin_client_failed(const struct error *e)
{
    fprintf(stderr, "sluice: %s%s%s\n", e->where, e->where[0] == '\0' ? "" : ": ", e->text);
    return e->code == ERR_CONNECT ? EXIT_CODE_FAILED : EXIT_CODE_USAGE;
}

int admin_client_ask(const struct admin_question *question, struct buf *out)
{
    struct error e = {0};
    int status = 0;
    int error = admin_client_call(question, &status, out, &e);

    if (error != 0) {
        return admin_client_failed(&e);
    }
    if (status != 200) {
        print_refusal(status, buf_str(out));
        return EXIT_CODE_FAILED;
    }
    return EXIT_CODE_DONE;
}

long long admin_number(const struct json_value *object, const char *key)
{
    int64_t value = 0;
    const struct json_value *member = json_get(object, key);

    return member != NULL && json_i64(member, &value) == 0 ? (long long)value : 0;
}
