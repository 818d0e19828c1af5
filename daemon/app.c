#include "sluice/app.h"

#include "app_aws.h"
#include "app_queues.h"
#include "sluice/base/digest.h"
#include "sluice/base/mem.h"
#include "sluice/deliver/delivery.h"
#include "sluice/net/http_client.h"
#include "sluice/net/http_server.h"
#include "sluice/queue/store.h"
#include "sluice/runtime/calendar.h"
#include "sluice/runtime/lifecycle.h"
#include "sluice/runtime/process.h"
#include "sluice/runtime/sdnotify.h"
#include "sluice/serve/admin.h"
#include "sluice/serve/queue_metrics.h"
#include "sluice/serve/sqs_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_MAX_BYTES 2048
/* Sockets left over from a crash are ours to replace; nobody else may talk to them. */
#define SOCKET_MODE 0600

/* Every part of the daemon, in the order it is made; taken down in reverse. */
struct app {
    const struct settings *settings;
    const char *data_dir;
    bool unclean_start, ready, drained;
    struct loop_hook drain_hook;
    int exit_code;
    struct loop *loop;
    struct metrics *metrics;
    struct process_metrics *process;
    struct lifecycle *lifecycle;
    struct sdnotify *sdnotify;
    struct store *store;
    struct queue_metrics *queue_metrics;
    struct http_client *client;             /* to the targets */
    struct app_aws *aws;                    /* to Amazon SQS */
    struct http_client *destination_client; /* to URLs of on_success, on_failure; or NULL */
    struct delivery *delivery;
    struct sqs_api *sqs_api;
    struct tls *sqs_tls; /* NULL: none */
    struct http_server *sqs_server, *health_server, *admin_server;
    struct admin admin;
    struct metric *start_time;
};

/* ---- what the admin API asks ---- */

static void on_status(void *context, struct json_writer *w)
{
    struct app *app = context;

    json_member_str(w, "version", STR(SLUICE_VERSION));
    json_member_str(w, "stage", str_from(app->settings->stage));
    json_member_str(w, "state", str_from(lifecycle_state_name(lifecycle_state(app->lifecycle))));
    delivery_status(app->delivery, w);
    queue_metrics_status(app->store, w);
}

static const char *on_trouble(void *context)
{
    struct app *app = context;

    if (!app->ready) {
        return "starting";
    }
    if (lifecycle_state(app->lifecycle) != LIFECYCLE_RUNNING) {
        return "draining";
    }
    const char *trouble = delivery_trouble(app->delivery);
    return trouble != NULL ? trouble : app_aws_trouble(app->aws);
}

static void on_usage(void *context, struct json_writer *w)
{
    struct app *app = context;

    json_member_str(w, "time_zone", str_from(app->settings->time_zone));
    delivery_usage(app->delivery, w);
}

static int on_pause(void *context, const char *route, bool paused, struct error *e)
{
    return delivery_route_pause(((struct app *)context)->delivery, route, paused, e);
}

static int on_limit(void *context, const char *route, const char *limit, uint32_t requests,
                    int64_t per_ns, struct error *e)
{
    return delivery_limit_change(((struct app *)context)->delivery, route, limit, requests, per_ns,
                                 e);
}

/* ---- taking down ---- */

static void on_store_closed(void *context)
{
    struct app *app = context;

    app->store = NULL;
    if (app->exit_code == EXIT_CODE_DONE) {
        app->exit_code = lifecycle_exit_code(app->lifecycle);
    }
    lifecycle_close(app->lifecycle);
    loop_stop(app->loop);
}

static void close_server(struct http_server **server)
{
    if (*server != NULL) {
        http_server_close(*server);
        *server = NULL;
    }
}

static void close_client(struct http_client **client)
{
    if (*client != NULL) {
        http_client_close(*client);
        *client = NULL;
    }
}

static void on_close(void *context)
{
    struct app *app = context;

    if (app->drain_hook.callback != NULL) {
        loop_hook_remove(app->loop, &app->drain_hook);
    }
    close_server(&app->admin_server);
    close_server(&app->health_server);
    close_server(&app->sqs_server);
    if (app->delivery != NULL) {
        delivery_stop(app->delivery);
    }
    close_client(&app->client);
    app_aws_close(app->aws);
    close_client(&app->destination_client);
    queue_metrics_free(app->queue_metrics);
    app->queue_metrics = NULL;
    if (app->store != NULL) {
        store_close(app->store, on_store_closed, app);
    } else {
        on_store_closed(app);
    }
}

static void on_drained(void *context)
{
    struct app *app = context;

    LOG_INFO("drained: nothing is held any more");
    app->drained = true;
    loop_wake(app->loop);
}

/* Senders and long polls get their answers before the servers close. */
static void on_drain_turn(void *context, mono_ns now)
{
    struct app *app = context;

    (void)now;
    if (app->drained && sqs_api_running(app->sqs_api) == 0) {
        lifecycle_drained(app->lifecycle);
    }
}

static void on_drain(void *context)
{
    struct app *app = context;

    LOG_INFO("draining: calls in flight end, the rest is handed back");
    sdnotify_stopping(app->sdnotify, app->settings->drain_timeout_ns + 5 * NS_PER_S);
    app->drain_hook = (struct loop_hook){.callback = on_drain_turn, .context = app};
    loop_hook_add(app->loop, &app->drain_hook);
    sqs_api_drain(app->sqs_api);
    http_server_drain(app->sqs_server);
    delivery_drain(app->delivery, on_drained, app);
}

/* ---- building up ---- */

static int open_store(struct app *app, struct error *e)
{
    char path[PATH_MAX_BYTES];
    struct store_config config = {.path = path,
                                  .region = str_from(app->settings->sqs_api.region),
                                  .account = str_from(app->settings->sqs_api.account),
                                  .sixty_second_rules = app->settings->sqs_api.sixty_second_rules};
    int error;

    snprintf(path, sizeof(path), "%s/queue.db", app->data_dir);
    error = store_open(app->loop, &config, &app->store, e);
    if (error == 0) {
        app->queue_metrics = queue_metrics_new(app->metrics, app->store, app->loop);
    }
    return error;
}

static int add_limits(struct app *app, struct error *e)
{
    const struct settings *s = app->settings;
    int error = 0;

    for (uint32_t i = 0; i < s->limits.count && error == 0; i++) {
        const struct limit_settings *l = &s->limits.items[i];
        struct limit_config config = {.kind = l->kind,
                                      .hold = l->hold,
                                      .requests = l->requests,
                                      .per_ns = l->per_ns,
                                      .burst = l->burst,
                                      .guard_ns = l->guard_ns,
                                      .max_flight_ns = l->max_flight_ns,
                                      .pace = true,
                                      .dry_run = l->dry_run};
        error = l->key == NULL ? delivery_limit_add(app->delivery, l->name, &config, e)
                               : delivery_limit_keyed_add(app->delivery, l->name, &config,
                                                          &l->parsed_key, l->keys_max, e);
    }
    return error;
}

static int add_target(struct app *app, const struct target_settings *t, struct error *e)
{
    struct sqs_pair *headers = MEM_NEW_ARRAY(t->headers.count + 1, struct sqs_pair);
    struct message_header of_message[MESSAGE_HEADERS_MAX];
    struct outcome_rule *rules = MEM_NEW_ARRAY(t->outcomes.count + 1, struct outcome_rule);
    int error;

    for (uint32_t i = 0; i < t->headers.count; i++) {
        headers[i].name = str_from(t->headers.items[i].name);
        headers[i].value = str_from(t->headers.items[i].value);
    }
    for (uint32_t i = 0; i < t->message_headers.count; i++) {
        const struct config_pair *pair = &t->message_headers.items[i];
        const char *problem; /* the settings were checked */
        error = message_header_parse(str_from(pair->name), str_from(pair->value), &of_message[i],
                                     &problem);
        SL_ASSERT(error == 0);
    }
    for (uint32_t i = 0; i < t->outcomes.count; i++) {
        rules[i] = t->outcomes.items[i].rule;
    }
    error = delivery_target_add(
        app->delivery,
        &(struct delivery_target_config){.name = t->name,
                                         .url = t->url,
                                         .concurrency = t->concurrency,
                                         .timeout_ns = t->timeout_ns,
                                         .connect_timeout_ns = t->connect_timeout_ns,
                                         .abort_hold_ns = t->abort_hold_ns,
                                         .breaker = t->breaker,
                                         .adaptive = t->adaptive_concurrency,
                                         .headers = headers,
                                         .header_count = t->headers.count,
                                         .message_headers = of_message,
                                         .message_header_count = t->message_headers.count,
                                         .rules = rules,
                                         .rule_count = t->outcomes.count},
        e);
    free(rules);
    free(headers);
    return error;
}

static int add_destination(struct app *app, const struct destination_settings *to,
                           struct destination **ret, struct error *e)
{
    struct sqs_client *client = NULL;
    int error = 0;

    if (to->url != NULL) {
        if (app->destination_client == NULL) { /* slow ones take no connection from a target */
            app->destination_client = http_client_new(
                app->loop, &(struct http_client_config){.user_agent = "sluice/" SLUICE_VERSION});
        }
        *ret = destination_url_new(app->loop, app->destination_client, str_from(to->url));
    } else if (to->queue_index != SETTINGS_NONE) {
        *ret = destination_queue_new(app->loop, app->store, str_from(to->queue));
    } else if (to->queue != NULL) {
        error = app_aws_client(app->aws, to->queue, NULL, &client, e);
        if (error == 0) {
            *ret = destination_sqs_new(app->loop, client, str_from(to->queue));
        }
    }
    return error;
}

static int add_ends(struct app *app, const struct route_settings *r,
                    struct delivery_route_config *config, struct error *e)
{
    struct sqs_client *client = NULL;
    int error = add_destination(app, &r->on_success, &config->on_success, e);

    if (error == 0) {
        error = add_destination(app, &r->on_failure, &config->on_failure, e);
    }
    if (error != 0) {
        return error;
    }
    if (r->queue_index != SETTINGS_NONE) {
        config->source = source_embedded_new(app->store, str_from(r->queue));
        config->has_dead_letter = app->settings->queues.items[r->queue_index].dead_letter != NULL;
        return 0;
    }
    error = app_aws_client(app->aws, r->queue, &r->assume_role, &client, e);
    if (error == 0) {
        config->source = source_sqs_new(app->loop, client, str_from(r->queue), r->visibility_ns);
        config->asks_for_dead_letter = true;
    }
    return error;
}

static int add_route(struct app *app, const struct route_settings *r, struct error *e)
{
    struct delivery_route_config config = {
        .name = r->name,
        .queue = r->queue,
        .target = r->target,
        .limit_count = r->limits.count,
        .concurrency = r->concurrency,
        .weight = r->weight,
        .share = r->share,
        .priority = r->priority,
        .tenant = r->parsed_tenant,
        .retry = r->retry,
        .paused = r->paused,
        .unwraps_sns = r->unwrap == UNWRAP_SNS,
        .idempotency_key = r->idempotency.key != NULL ? &r->idempotency.parsed : NULL,
        .idempotency_expires_ns = r->idempotency.expires_after_ns,
        .at_most_once = r->idempotency.on_unknown == IDEMPOTENCY_DEAD_LETTER,
    };

    for (uint32_t i = 0; i < r->limits.count; i++) {
        config.limits[i] = r->limits.items[i];
    }
    int error = add_ends(app, r, &config, e);
    if (error != 0) {
        destination_free(config.on_success);
        destination_free(config.on_failure);
        return error;
    }
    return delivery_route_add(app->delivery, &config, e);
}

static int build_delivery(struct app *app, struct error *e)
{
    int64_t max_flight = LIMIT_MAX_FLIGHT_NS;
    uint64_t seed;
    int error;

    for (uint32_t i = 0; i < app->settings->limits.count; i++) {
        /* A socket gives up after the shortest promise that any limit makes. */
        max_flight = mono_min(max_flight, app->settings->limits.items[i].max_flight_ns);
    }
    digest_random(&seed, sizeof(seed));
    app->client = http_client_new(
        app->loop, &(struct http_client_config){.max_flight_ns = max_flight,
                                                .user_agent = "sluice/" SLUICE_VERSION});
    app->delivery = delivery_new(
        &(struct delivery_parts){.loop = app->loop,
                                 .metrics = app->metrics,
                                 .client = app->client,
                                 .store = app->store,
                                 .data_dir = app->data_dir,
                                 .cents_per_million = app->settings->aws.cents_per_million,
                                 .unclean_start = app->unclean_start,
                                 .seed = seed});
    error = add_limits(app, e);
    for (uint32_t i = 0; i < app->settings->targets.count && error == 0; i++) {
        error = add_target(app, &app->settings->targets.items[i], e);
    }
    for (uint32_t i = 0; i < app->settings->routes.count && error == 0; i++) {
        error = add_route(app, &app->settings->routes.items[i], e);
    }
    return error;
}

static int listen_all(struct http_server *server, const struct config_strings *addresses,
                      struct error *e)
{
    int error = 0;

    for (uint32_t i = 0; i < addresses->count && error == 0; i++) {
        error = http_server_listen(server, str_from(addresses->items[i]), SOCKET_MODE, e);
    }
    return error;
}

static struct sqs_strings patterns(const struct config_strings *names)
{
    struct sqs_strings ret = {MEM_NEW_ARRAY(names->count + 1, struct str), 0, true};

    for (; ret.count < names->count; ret.count++) {
        ret.items[ret.count] = str_from(names->items[ret.count]);
    }
    return ret;
}

static struct sqs_api *build_sqs_api(struct app *app)
{
    const struct settings *s = app->settings;
    struct sqs_api_config config = {.region = str_from(s->sqs_api.region),
                                    .account = str_from(s->sqs_api.account),
                                    .allow_anonymous = s->sqs_api.allow_anonymous};

    config.access_key_count = s->sqs_api.access_keys.count;
    config.access_keys = MEM_NEW_ARRAY(config.access_key_count + 1, struct sqs_api_key);
    for (uint32_t i = 0; i < config.access_key_count; i++) {
        const struct access_key_settings *key = &s->sqs_api.access_keys.items[i];
        config.access_keys[i] =
            (struct sqs_api_key){str_from(key->id), str_from(key->secret), patterns(&key->actions),
                                 patterns(&key->queues)};
    }
    struct sqs_api *api = sqs_api_new(app->store, app->metrics, &config);
    for (uint32_t i = 0; i < config.access_key_count; i++) {
        free(config.access_keys[i].actions.items);
        free(config.access_keys[i].queues.items);
    }
    free(config.access_keys);
    return api;
}

static int build_servers(struct app *app, struct error *e)
{
    static const struct admin_callbacks callbacks = {on_status, on_trouble, on_pause, on_limit,
                                                     on_usage};
    const struct settings *s = app->settings;
    char socket[PATH_MAX_BYTES];
    int error;

    app->sqs_api = build_sqs_api(app);
    if (s->sqs_api.tls.cert_file != NULL) {
        error = tls_new(s->sqs_api.tls.cert_file, s->sqs_api.tls.key_file, &app->sqs_tls, e);
        if (error != 0) {
            return error;
        }
    }
    app->admin = (struct admin){.callbacks = &callbacks,
                                .context = app,
                                .metrics = app->metrics,
                                .sqs_api = app->sqs_api,
                                .store = app->store};
    app->sqs_server = http_server_new(
        app->loop,
        &(struct http_server_config){.body_max_bytes = SQS_API_BODY_MAX_BYTES, .tls = app->sqs_tls},
        sqs_api_handle, app->sqs_api);
    app->health_server =
        http_server_new(app->loop, &(struct http_server_config){.connections_max = 64},
                        admin_handle_health, &app->admin);
    app->admin_server =
        http_server_new(app->loop,
                        &(struct http_server_config){.connections_max = 16,
                                                     .body_max_bytes = SQS_API_BODY_MAX_BYTES},
                        admin_handle_control, &app->admin);
    error = listen_all(app->sqs_server, &s->sqs_api.listen, e);
    if (error == 0) {
        error = listen_all(app->health_server, &s->http.listen, e);
    }
    if (error == 0) {
        snprintf(socket, sizeof(socket), "unix:%s/" ADMIN_SOCKET_NAME, app->data_dir);
        error = http_server_listen(app->admin_server, str_from(socket), SOCKET_MODE, e);
    }
    return error;
}

static void on_queues_declared(void *context, int error)
{
    struct app *app = context;

    if (error != 0) {
        app->exit_code = EXIT_CODE_REFUSED;
        lifecycle_stop(app->lifecycle, EXIT_CODE_FAILED);
        return;
    }
    app->ready = true;
    delivery_start(app->delivery);
    metric_set(app->start_time, (double)loop_wall() / 1e3);
    sdnotify_ready(app->sdnotify, "ready");
    LOG_INFO("ready", LOG_STR("version", SLUICE_VERSION), LOG_STR("data_dir", app->data_dir),
             LOG_I64("routes", app->settings->routes.count),
             LOG_STR("sqs_api", app->settings->sqs_api.listen.count > 0
                                    ? app->settings->sqs_api.listen.items[0]
                                    : NULL),
             LOG_STR("http", app->settings->http.listen.count > 0
                                 ? app->settings->http.listen.items[0]
                                 : NULL),
             LOG_BOOL("unclean_start", app->unclean_start));
}

static void build_base(struct app *app)
{
    static const char *const labels[] = {"version", "stage", NULL};
    const char *stage = app->settings->stage == NULL ? "" : app->settings->stage;

    app->loop = loop_new();
    app->metrics = metrics_new();
    app->process = process_metrics_new(app->metrics);
    metric_set(metric_series(metrics_family(
                                 app->metrics, METRIC_GAUGE, "sluice_build_info",
                                 "Build of the running daemon, and the stage it runs in; always 1.",
                                 labels),
                             (const char *const[]){SLUICE_VERSION, stage}),
               1);
    app->start_time =
        metric_series(metrics_family(app->metrics, METRIC_GAUGE, "sluice_start_time_seconds",
                                     "Unix time at which the daemon became ready.", NULL),
                      (const char *const[]){NULL});
    app->lifecycle = lifecycle_new(
        &(struct lifecycle_config){.loop = app->loop,
                                   .drain_timeout_ns = app->settings->drain_timeout_ns,
                                   .drain = on_drain,
                                   .close = on_close,
                                   .context = app});
    app->sdnotify = sdnotify_new(app->loop);
    app->aws = app_aws_new(app->loop, app->settings);
    app_aws_metrics(app->aws, app->metrics);
}

int app_run(const struct settings *settings, const char *data_dir, bool *unclean)
{
    struct app app = {.settings = settings, .data_dir = data_dir, .unclean_start = *unclean};
    struct error e = {0};
    int error, leaked;

    calendar_set_zone(settings->time_zone);
    build_base(&app);
    error = open_store(&app, &e);
    if (error == 0) {
        error = build_delivery(&app, &e);
    }
    if (error == 0) {
        error = build_servers(&app, &e);
    }
    if (error == 0) {
        app_queues_declare(app.store, settings, on_queues_declared, &app);
    } else {
        LOG_CRITICAL("cannot start", LOG_STR("where", e.where), LOG_STR("reason", e.text),
                     LOG_ERR("error", error));
        app.exit_code = EXIT_CODE_REFUSED;
        on_close(&app);
    }
    leaked = loop_run(app.loop);
    if (leaked != 0) {
        LOG_ERROR("handles were open at the end of the loop");
    }
    *unclean = app.exit_code != EXIT_CODE_DONE || !delivery_is_quiet(app.delivery);
    delivery_free(app.delivery);
    app_aws_free(app.aws);
    sqs_api_free(app.sqs_api);
    tls_free(app.sqs_tls);
    sdnotify_free(app.sdnotify);
    process_metrics_free(app.process);
    metrics_free(app.metrics);
    loop_free(app.loop);
    LOG_INFO("ended", LOG_I64("exit_code", app.exit_code));
    return app.exit_code;
}
