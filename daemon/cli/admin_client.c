#include "sluice/cli/admin_client.h"

#include "sluice/net/http_client.h"
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
        call->loop, &(struct http_client_config){.response_max_bytes = (size_t)8 << 20,
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

int admin_client_call(const char *data_dir, const char *method, const char *path, struct str body,
                      int *ret_status, struct buf *out, struct error *e)
{
    char socket_path[4096], url[512];
    struct call call = {.out = out};
    struct http_call_request request = {
        .method = method,
        .url = url,
        .body = body,
        .connect_timeout_ns = TIMEOUT_NS,
        .timeout_ns = TIMEOUT_NS,
        .unix_socket = socket_path,
    };
    int error;

    snprintf(socket_path, sizeof(socket_path), "%s/admin.sock", data_dir);
    snprintf(url, sizeof(url), "http://localhost%s", path);
    if (access(socket_path, F_OK) != 0) {
        return error_set(
            e, ERR_CONNECT, socket_path,
            "no daemon runs on this data directory; start it with `sluice run --data-dir "
            "%s`, or name the right directory with --data-dir",
            data_dir);
    }
    error = run(&call, &request);
    if (error != 0) {
        return error_set(e, ERR_CONNECT, socket_path, "the daemon does not answer (%s: %s)",
                         err_text(error), call.detail);
    }
    *ret_status = call.status;
    return 0;
}
