#include "sluice/cli/mock_api.h"

#include "mock_api_options.h"
#include "mock_api_stats.h"

#include "sluice/app.h"
#include "sluice/base/mem.h"
#include "sluice/base/rng.h"
#include "sluice/net/http_server.h"
#include "sluice/runtime/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX  4096
#define BODY_MAX_BYTES   ((size_t)16 * 1024 * 1024)
#define REPORT_MAX_BYTES ((size_t)64 * 1024)
#define ID_MAX_BYTES     128
#define RELISTEN_NS      (100 * NS_PER_MS)

struct mock_api {
    struct mock_options options;
    struct loop *loop;
    struct http_server *server; /* NULL while connections are refused */
    char address[160];          /* with the port that was chosen */
    struct mock_stats stats;
    struct window_log admitted; /* calls that the limit let through */
    struct list calls;          /* in progress */
    struct rng rng;
    uint64_t job_count;
    mono_ns started_at;
    const struct mock_outage *outage; /* now; NULL: none */
    struct loop_timer outage_timer, end_timer;
    uv_signal_t signals[2];
    int log_fd, report_fd; /* -1: none, stdout */
};

/* One call in progress. */
struct call {
    struct mock_api *mock;
    struct http_exchange *exchange;
    struct list_node node;
    struct loop_timer timer;
    int status;
    uint32_t generation;
    int64_t kernel_ns, application_ns; /* wall time */
    char id[ID_MAX_BYTES];
};

static int64_t wall_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- the end of a call ---- */

static void write_log(struct mock_api *mock, const struct call *call)
{
    char line[256];

    if (mock->log_fd < 0) {
        return;
    }
    int len = snprintf(line, sizeof(line), "%lld %lld %s %d\n", (long long)call->kernel_ns,
                       (long long)call->application_ns, call->id[0] != '\0' ? call->id : "-",
                       call->status);
    if (write(mock->log_fd, line, (size_t)len) != len) {
        fprintf(stderr, "sluice mock-api: %s: %s: no more calls are logged\n",
                mock->options.log_path, strerror(errno));
        (void)close(mock->log_fd);
        mock->log_fd = -1;
    }
}

static void call_free(struct call *call)
{
    struct mock_api *mock = call->mock;

    if (call->generation == mock->stats.generation) {
        mock_stats_answer(&mock->stats, str_from(call->id), call->status);
    }
    write_log(mock, call);
    mock->stats.in_flight--;
    list_remove(&mock->calls, &call->node);
    loop_timer_clear(mock->loop, &call->timer);
    free(call);
}

static void answer_rejected(const struct call *call)
{
    const struct mock_options *options = &call->mock->options;
    char seconds[16];
    struct http_header header = {STR("Retry-After"), STR_NONE};

    (void)snprintf(seconds, sizeof(seconds), "%u", options->retry_after);
    header.value = str_from(seconds);
    http_respond(
        call->exchange,
        &(struct http_response){
            .status = call->status,
            .content_type = "application/json",
            .body = STR("{\"error\":\"too many requests\",\"message\":\"more calls than the "
                        "limit or the concurrency allows: call less often\"}\n"),
            .headers = &header,
            .header_count = options->retry_after > 0 ? 1 : 0,
        });
}

static void answer_plain(const struct call *call)
{
    char body[ID_MAX_BYTES + 96];
    bool is_good = call->status < 300;

    if (is_good) {
        (void)snprintf(body, sizeof(body), "{\"job\":\"job-%llu\",\"status\":\"created\"}\n",
                       (unsigned long long)++call->mock->job_count);
    } else {
        (void)snprintf(body, sizeof(body), "{\"error\":\"status %d, as asked for\"}\n",
                       call->status);
    }
    http_respond(call->exchange, &(struct http_response){.status = call->status,
                                                         .content_type = "application/json",
                                                         .body = str_from(body)});
}

static void call_end(struct call *call, int status)
{
    call->status = status;
    if (status == MOCK_STATUS_CLOSED) {
        http_exchange_abort(call->exchange);
    } else if (status == 429) {
        answer_rejected(call);
    } else {
        answer_plain(call);
    }
    call_free(call);
}

static void on_latency_over(void *context, mono_ns now)
{
    struct call *call = context;
    (void)now;
    call_end(call, call->status);
}

static void on_caller_left(void *context)
{
    call_end(context, MOCK_STATUS_CLOSED);
}

static void end_all_calls(struct mock_api *mock)
{
    struct list_node *node;

    while ((node = list_first(&mock->calls)) != NULL) {
        call_end(LIST_ENTRY(node, struct call, node), MOCK_STATUS_CLOSED);
    }
}

/* ---- a call arrives ---- */

static void copy_id(char *dst, struct str id)
{
    str_copy(dst, ID_MAX_BYTES, id);
    for (char *c = dst; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            *c = '_'; /* one word in the log */
        }
    }
}

static struct call *call_new(struct mock_api *mock, struct http_exchange *exchange,
                             const struct http_request_view *request)
{
    struct call *call = MEM_NEW(struct call);
    int64_t now_ns = wall_ns();

    call->mock = mock;
    call->exchange = exchange;
    call->generation = mock->stats.generation;
    call->timer = (struct loop_timer){.callback = on_latency_over, .context = call};
    call->application_ns = now_ns - (loop_now() - request->received_at);
    call->kernel_ns = request->kernel_stamp_ns;
    if (call->kernel_ns == 0) { /* the kernel has not begun to stamp yet */
        call->kernel_ns = call->application_ns;
        mock->stats.unstamped++;
    }
    copy_id(call->id, http_request_header(request, "sluice-message-id"));
    list_push(&mock->calls, &call->node);
    mock->stats.in_flight++;
    mock_stats_arrival(&mock->stats, str_from(call->id), call->kernel_ns, request->received_at);
    return call;
}

/* Counts and says true when the call is one too many. */
static bool is_rejected(struct mock_api *mock, const struct call *call)
{
    const struct mock_options *options = &mock->options;

    if (options->requests > 0 &&
        window_log_peak_with(&mock->admitted, call->kernel_ns) > options->requests) {
        mock->stats.rejected_limit++;
        return true;
    }
    if (options->concurrency > 0 && mock->stats.in_flight > options->concurrency) {
        mock->stats.rejected_concurrency++;
        return true;
    }
    if (options->requests > 0) {
        (void)window_log_add(&mock->admitted, call->kernel_ns);
    }
    return false;
}

static int64_t sample_ns(struct mock_api *mock, const struct mock_latency *latency)
{
    return latency->cv > 0
               ? (int64_t)rng_lognormal(&mock->rng, (double)latency->mean_ns, latency->cv)
               : latency->mean_ns;
}

static void begin_work(struct mock_api *mock, struct call *call, mono_ns received_at)
{
    const struct mock_options *options = &mock->options;

    if (options->close_share > 0 && rng_unit(&mock->rng) < options->close_share) {
        call_end(call, MOCK_STATUS_CLOSED);
        return;
    }
    bool fails = options->error_share > 0 && rng_unit(&mock->rng) < options->error_share;
    int64_t latency_ns = sample_ns(mock, fails ? &options->error_latency : &options->latency);
    call->status = fails ? options->error_status : 201;
    if (latency_ns <= 0) {
        call_end(call, call->status);
    } else {
        loop_timer_set(mock->loop, &call->timer, mono_add(received_at, latency_ns));
    }
}

static void take_call(struct mock_api *mock, struct http_exchange *exchange,
                      const struct http_request_view *request)
{
    struct call *call = call_new(mock, exchange, request);

    if (mock->outage != NULL && mock->outage->mode == MOCK_OUTAGE_503) {
        call_end(call, 503);
    } else if (mock->outage != NULL && mock->outage->mode == MOCK_OUTAGE_BLACKHOLE) {
        http_exchange_on_close(exchange, on_caller_left, call);
    } else if (is_rejected(mock, call)) {
        call_end(call, 429);
    } else {
        begin_work(mock, call, request->received_at);
    }
}

/* ---- control ---- */

static void make_report(const struct mock_api *mock, struct buf *out)
{
    buf_init(out, REPORT_MAX_BYTES);
    mock_stats_report(&mock->stats, &mock->options, loop_now() - mock->started_at, out);
}

static void answer_stats(const struct mock_api *mock, struct http_exchange *exchange)
{
    struct buf report;

    make_report(mock, &report);
    http_respond(exchange, &(struct http_response){.status = 200,
                                                   .content_type = "application/json",
                                                   .body = buf_str(&report)});
    buf_done(&report);
}

static void on_request(void *context, struct http_exchange *exchange,
                       const struct http_request_view *request)
{
    struct mock_api *mock = context;

    if (str_equal(request->path, STR("/stats"))) {
        answer_stats(mock, exchange);
    } else if (str_equal(request->path, STR("/healthz"))) {
        http_respond_text(exchange, 200, "ok\n");
    } else if (!str_equal(request->path, STR("/reset"))) {
        take_call(mock, exchange, request);
    } else if (str_equal(request->method, STR("POST"))) {
        mock_stats_reset(&mock->stats);
        http_respond_text(exchange, 200, "a new measurement begins\n");
    } else {
        http_respond_text(exchange, 405, "use POST /reset\n");
    }
}

/* ---- outages ---- */

static int open_server(struct mock_api *mock, struct error *e)
{
    struct http_server_config config = {
        .connections_max = CONNECTIONS_MAX,
        .body_max_bytes = BODY_MAX_BYTES,
        .kernel_stamps = true,
    };
    struct http_server *server = http_server_new(mock->loop, &config, on_request, mock);
    int error = http_server_listen(server, str_from(mock->address), 0600, e);

    if (error != 0) {
        http_server_close(server);
        return error;
    }
    mock->server = server;
    return 0;
}

static void close_server(struct mock_api *mock)
{
    if (mock->server != NULL) {
        http_server_close(mock->server);
        mock->server = NULL;
    }
    end_all_calls(mock);
}

static const struct mock_outage *outage_at(const struct mock_api *mock, int64_t since_ns)
{
    for (uint32_t i = 0; i < mock->options.outage_count; i++) {
        const struct mock_outage *outage = &mock->options.outages[i];
        if (since_ns >= outage->begin_ns && since_ns < outage->end_ns) {
            return outage;
        }
    }
    return NULL;
}

static mono_ns next_change(const struct mock_api *mock, int64_t since_ns)
{
    mono_ns next = MONO_NEVER;

    for (uint32_t i = 0; i < mock->options.outage_count; i++) {
        const struct mock_outage *outage = &mock->options.outages[i];
        if (outage->begin_ns > since_ns) {
            next = mono_min(next, mono_add(mock->started_at, outage->begin_ns));
        }
        if (outage->end_ns > since_ns) {
            next = mono_min(next, mono_add(mock->started_at, outage->end_ns));
        }
    }
    return next;
}

static void end_blackholed(struct mock_api *mock)
{
    LIST_FOR(&mock->calls, node)
    {
        struct call *call = LIST_ENTRY(node, struct call, node);
        if (!heap_is_linked(&call->timer.node)) {
            call_end(call, MOCK_STATUS_CLOSED);
        }
    }
}

static void on_outage_change(void *context, mono_ns now)
{
    struct mock_api *mock = context;
    int64_t since_ns = now - mock->started_at;
    const struct mock_outage *before = mock->outage;
    mono_ns next = next_change(mock, since_ns);
    struct error e = {0};

    mock->outage = outage_at(mock, since_ns);
    bool refuses = mock->outage != NULL && mock->outage->mode == MOCK_OUTAGE_REFUSE;
    if (before != NULL && before != mock->outage && before->mode == MOCK_OUTAGE_BLACKHOLE) {
        end_blackholed(mock);
    }
    if (refuses) {
        close_server(mock);
    } else if (mock->server == NULL && open_server(mock, &e) != 0) {
        fprintf(stderr, "sluice mock-api: %s\n", e.text);
        next = mono_min(next, mono_add(now, RELISTEN_NS));
    }
    loop_timer_set(mock->loop, &mock->outage_timer, next);
}

/* ---- life ---- */

static void stop(struct mock_api *mock)
{
    if (uv_is_closing((uv_handle_t *)&mock->signals[0])) {
        return;
    }
    close_server(mock);
    loop_timer_clear(mock->loop, &mock->outage_timer);
    loop_timer_clear(mock->loop, &mock->end_timer);
    for (size_t i = 0; i < SL_COUNT(mock->signals); i++) {
        uv_close((uv_handle_t *)&mock->signals[i], NULL);
    }
    loop_stop(mock->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void on_end(void *context, mono_ns now)
{
    (void)now;
    stop(context);
}

static int open_file(const char *path, int *ret_fd)
{
    if (path == NULL) {
        return 0;
    }
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (*ret_fd < 0) {
        fprintf(stderr, "sluice mock-api: cannot write %s: %s\n", path, strerror(errno));
        return ERR_IO;
    }
    return 0;
}

/* The address with the port that the kernel chose: an outage must come back on the same one. */
static void settle_address(struct mock_api *mock)
{
    const char *colon = strrchr(mock->address, ':');
    uint16_t port = http_server_port(mock->server);
    char fixed[sizeof(mock->address)];

    if (port == 0 || colon == NULL) {
        fprintf(stderr, "sluice mock-api: listening on %s\n", mock->address);
        return;
    }
    (void)snprintf(fixed, sizeof(fixed), "%.*s:%u", (int)(colon - mock->address), mock->address,
                   port);
    str_copy(mock->address, sizeof(mock->address), str_from(fixed));
    fprintf(stderr, "sluice mock-api: listening on http://%s\n", mock->address);
}

static int start(struct mock_api *mock)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    struct error e = {0};

    if (open_file(mock->options.log_path, &mock->log_fd) != 0 ||
        open_file(mock->options.report_path, &mock->report_fd) != 0) {
        return ERR_IO;
    }
    str_copy(mock->address, sizeof(mock->address), str_from(mock->options.listen));
    int error = open_server(mock, &e);
    if (error != 0) {
        fprintf(stderr, "sluice mock-api: %s\n", e.text);
        return error;
    }
    settle_address(mock);
    mock->started_at = loop_now();
    for (size_t i = 0; i < SL_COUNT(mock->signals); i++) {
        (void)uv_signal_init(loop_uv(mock->loop), &mock->signals[i]);
        mock->signals[i].data = mock;
        (void)uv_signal_start(&mock->signals[i], on_signal, numbers[i]);
    }
    on_outage_change(mock, mock->started_at);
    if (mock->options.duration_ns > 0) {
        loop_timer_set(mock->loop, &mock->end_timer,
                       mono_add(mock->started_at, mock->options.duration_ns));
    }
    return 0;
}

static int print_report(const struct mock_api *mock)
{
    struct buf report;
    int fd = mock->report_fd >= 0 ? mock->report_fd : STDOUT_FILENO;

    make_report(mock, &report);
    ssize_t written = write(fd, report.ptr, report.len);
    bool good = written == (ssize_t)report.len;
    buf_done(&report);
    if (!good) {
        fprintf(stderr, "sluice mock-api: cannot write the report: %s\n", strerror(errno));
    }
    return good ? EXIT_CODE_DONE : EXIT_CODE_FAILED;
}

static void mock_done(struct mock_api *mock)
{
    mock_stats_done(&mock->stats);
    window_log_done(&mock->admitted);
    if (mock->log_fd >= 0) {
        (void)close(mock->log_fd);
    }
    if (mock->report_fd >= 0) {
        (void)close(mock->report_fd);
    }
    loop_free(mock->loop);
}

int cli_mock_api(int argc, char **argv)
{
    struct mock_api mock = {.log_fd = -1, .report_fd = -1};
    struct error e = {0};

    if (mock_options_parse(argc, argv, &mock.options, &e) != 0) {
        fprintf(stderr, "sluice mock-api: %s\n\n%s", e.text, mock_usage);
        return EXIT_CODE_USAGE;
    }
    if (mock.options.help) {
        fputs(mock_usage, stdout);
        return EXIT_CODE_DONE;
    }
    mock.loop = loop_new();
    list_init(&mock.calls);
    rng_init(&mock.rng, mock.options.seed);
    mock_stats_init(&mock.stats, mock.options.per_ns, mock.options.seed);
    window_log_init(&mock.admitted, mock.options.per_ns, 10 * NS_PER_S);
    mock.outage_timer = (struct loop_timer){.callback = on_outage_change, .context = &mock};
    mock.end_timer = (struct loop_timer){.callback = on_end, .context = &mock};

    bool started = start(&mock) == 0;
    if (!started) {
        loop_stop(mock.loop);
    }
    int closed = loop_run(mock.loop);
    int code = started && closed == 0 ? print_report(&mock) : EXIT_CODE_FAILED;
    mock_done(&mock);
    return code;
}
