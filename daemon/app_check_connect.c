/* `sluice check --connect`: asks the queues, knocks at the targets, and says what the settings and
 * what was found mean together. */
#include "sluice/app.h"

#include "app_aws.h"
#include "settings_advice.h"
#include "settings_check.h"

#include "sluice/base/json.h"
#include "sluice/cli/admin_client.h"
#include "sluice/cli/check.h"
#include "sluice/net/probe.h"

#include <stdio.h>
#include <stdlib.h>

#define CALL_TIMEOUT_NS  (10 * NS_PER_S)
#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define REPORT_MAX_BYTES ((size_t)4 << 20)

#define ASKS_OF_ROUTE 3

struct ask { /* of a route's queue, or of one that hears of what is over */
    struct connect *connect;
    const struct route_settings *route;
    const char *key;       /* of the route: where an error lies */
    const char *queue_url; /* NULL: not of SQS */
    bool is_source;
    struct advice_queue queue;
    bool known;
    struct sqs_client *client;
    struct str names[1];
    struct sqs_get_queue_attributes_in input;
};

struct connect {
    const struct settings *settings;
    const char *data_dir;
    struct error_list errors, warnings;
    struct buf report;
    struct ask *asks; /* ASKS_OF_ROUTE of each route: its queue first */
    /* SQS */
    struct loop *loop;
    struct app_aws *aws;
    uint32_t running;
    /* the daemon on the data directory */
    bool daemon_runs;
    struct json status;
};

#define TELL(connect, where, code, ...)                                                            \
    (void)error_list_add(&(connect)->errors, (code), (where), __VA_ARGS__)

/* ---- Amazon SQS ---- */

static const char *credentials_text(const struct connect *c)
{
    return app_aws_source(c->aws);
}

/* Whoever may only send may not look: that is no fault of a destination. */
static bool is_only_hidden(const struct ask *ask, const struct sqs_client_answer *answer)
{
    return !ask->is_source && answer->error == ERR_PROTOCOL &&
           answer->sqs.code == SQS_ERROR_ACCESS_DENIED;
}

/* What a person can do about it; what SQS said comes behind. */
static void tell_refusal(struct connect *c, const char *where, const struct sqs_error *e)
{
    switch (e->code) {
    case SQS_ERROR_QUEUE_DOES_NOT_EXIST:
    case SQS_ERROR_INVALID_ADDRESS:
        TELL(c, where, ERR_NOT_FOUND,
             "there is no such queue, or these credentials may not see it; check its name, account "
             "and region (%s)",
             e->message);
        return;
    case SQS_ERROR_ACCESS_DENIED:
        TELL(c, where, ERR_DENIED,
             "the credentials (%s) may not read the queue; allow sqs:GetQueueAttributes, "
             "ReceiveMessage, DeleteMessage and ChangeMessageVisibility (%s)",
             credentials_text(c), e->message);
        return;
    case SQS_ERROR_UNRECOGNIZED_CLIENT:
    case SQS_ERROR_INVALID_SECURITY:
        TELL(c, where, ERR_DENIED,
             "the access key is not known there; check the credentials (%s) (%s)",
             credentials_text(c), e->message);
        return;
    case SQS_ERROR_INVALID_SIGNATURE:
    case SQS_ERROR_INCOMPLETE_SIGNATURE:
        TELL(c, where, ERR_DENIED,
             "the signature is refused: the secret key (%s) or the region (aws.region, AWS_REGION) "
             "is wrong (%s)",
             credentials_text(c), e->message);
        return;
    default:
        TELL(c, where, ERR_PROTOCOL, "SQS refuses (credentials: %s): %s", credentials_text(c),
             e->message);
    }
}

static void tell_transport(struct connect *c, const char *where, int error)
{
    TELL(c, where, error, "the queue cannot be asked: %s; check the URL%s", err_text(error),
         c->settings->aws.endpoint != NULL ? " and aws.endpoint" : "");
}

static void stop_when_done(struct connect *c)
{
    if (c->running == 0) {
        app_aws_close(c->aws);
        loop_stop(c->loop);
    }
}

static void on_attributes(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct ask *ask = context;
    struct connect *c = ask->connect;
    const struct place where = place("routes", ask->route->name, ask->key);
    const struct sqs_get_queue_attributes_out *out = answer->output;

    (void)now;
    if (is_only_hidden(ask, answer)) {
        buf_addf(&c->report, "%s: may not be looked at; whether it takes messages will show\n",
                 where.text);
    } else if (answer->error == ERR_PROTOCOL && answer->sqs.code != SQS_OK) {
        tell_refusal(c, where.text, &answer->sqs);
    } else if (answer->error != 0 || out == NULL) {
        tell_transport(c, where.text, answer->error != 0 ? answer->error : ERR_PROTOCOL);
    } else {
        ask->queue = (struct advice_queue){.counted = true, .oldest_age_s = -1};
        for (uint32_t i = 0; i < out->attributes.count; i++) {
            advice_queue_attribute(&ask->queue, out->attributes.items[i].name,
                                   out->attributes.items[i].value);
        }
        ask->known = true;
        if (!ask->is_source) {
            buf_addf(&c->report, "%s: is there\n", where.text);
        }
    }
    c->running--;
    stop_when_done(c);
}

static void ask_sqs(struct connect *c, struct ask *ask)
{
    struct sqs_client_call *call;
    struct error e = {0};
    int error = app_aws_client(c->aws, ask->queue_url,
                               ask->is_source ? &ask->route->assume_role : NULL, &ask->client, &e);

    if (error != 0) {
        TELL(c, place("routes", ask->route->name, ask->key).text, error, "%s", e.text);
        return;
    }
    ask->names[0] = STR("All");
    ask->input = (struct sqs_get_queue_attributes_in){.queue_url = str_from(ask->queue_url),
                                                      .names = {ask->names, 1, true}};
    error = sqs_client_call(ask->client, SQS_GET_QUEUE_ATTRIBUTES, &ask->input, CALL_TIMEOUT_NS,
                            on_attributes, ask, &call);
    SL_ASSERT(error == 0);
    c->running++;
}

static bool is_sqs(const struct route_settings *route)
{
    return route->queue_index == SETTINGS_NONE;
}

static void ask_all_sqs(struct connect *c)
{
    c->loop = loop_new();
    c->aws = app_aws_new(c->loop, c->settings);
    for (uint32_t i = 0; i < ASKS_OF_ROUTE * c->settings->routes.count; i++) {
        if (c->asks[i].queue_url != NULL) {
            ask_sqs(c, &c->asks[i]);
        }
    }
    stop_when_done(c);
    (void)loop_run(c->loop); /* a short-lived process: nothing to do about a leak here */
    app_aws_free(c->aws);
    for (uint32_t i = 0; i < ASKS_OF_ROUTE * c->settings->routes.count; i++) {
        sqs_client_free(c->asks[i].client);
    }
    loop_free(c->loop);
}

/* ---- embedded queues ---- */

/* The daemon's answer, parsed; false, with *e, when none runs or it says no. */
static bool ask_daemon(const struct connect *c, const char *method, const char *path,
                       const char *sqs_target, struct str body, struct json *ret, struct error *e)
{
    const struct admin_question question = {.data_dir = c->data_dir,
                                            .method = method,
                                            .path = path,
                                            .sqs_target = sqs_target,
                                            .body = body};
    struct buf out;
    int status = 0;

    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    bool good = admin_client_call(&question, &status, &out, e) == 0 && status == 200 &&
                json_parse(ret, buf_str(&out), JSON_STRICT, NULL) == 0;
    buf_done(&out);
    return good;
}

static int64_t oldest_age_s(const struct connect *c, const char *queue)
{
    const struct json_value *q = json_first(json_get(c->status.root, "queues"));

    while (q != NULL && !str_equal(json_string(json_get(q, "name")), str_from(queue))) {
        q = json_next(q);
    }
    const struct json_value *age = json_get(q, "oldest_age_seconds");
    return age == NULL ? -1 : (int64_t)json_number(age);
}

static void ask_embedded(struct connect *c, struct ask *ask)
{
    struct json answer;
    struct buf body;
    struct json_writer w;
    struct error e = {0};

    advice_queue_of_settings(c->settings, ask->route->queue_index, &ask->queue);
    ask->known = true;
    if (!c->daemon_runs) {
        return;
    }
    buf_init(&body, 1024);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_member_str(&w, "QueueUrl", str_from(ask->route->queue));
    json_key_write(&w, STR("AttributeNames"));
    json_write_raw(&w, STR("[\"All\"]"));
    json_object_end(&w);
    if (ask_daemon(c, "POST", "/", "AmazonSQS.GetQueueAttributes", buf_str(&body), &answer, &e)) {
        const struct json_value *item = json_first(json_get(answer.root, "Attributes"));
        ask->queue = (struct advice_queue){.counted = true};
        for (; item != NULL; item = json_next(item)) {
            advice_queue_attribute(&ask->queue, json_key(item), json_string(item));
        }
        ask->queue.oldest_age_s = oldest_age_s(c, ask->route->queue);
        json_done(&answer);
    } else {
        buf_addf(&c->report, "queue %s: the daemon does not have it yet; as declared\n",
                 ask->route->queue);
    }
    buf_done(&body);
}

static void ask_all_embedded(struct connect *c)
{
    struct error e = {0};
    bool any = false;

    for (uint32_t i = 0; i < c->settings->routes.count; i++) {
        any = any || !is_sqs(&c->settings->routes.items[i]);
    }
    if (!any) {
        return;
    }
    c->daemon_runs = ask_daemon(c, "GET", "/v1/status", NULL, STR_NONE, &c->status, &e);
    if (!c->daemon_runs) {
        buf_addf(&c->report, "embedded queues as declared, without counts: %s\n",
                 e.text[0] != '\0' ? e.text : "the daemon's answer cannot be read");
    }
    for (uint32_t i = 0; i < c->settings->routes.count; i++) {
        if (!is_sqs(&c->settings->routes.items[i])) {
            ask_embedded(c, &c->asks[ASKS_OF_ROUTE * i]);
        }
    }
    if (c->daemon_runs) {
        json_done(&c->status);
    }
}

/* ---- targets ---- */

/* hold: "arrival" proves arrival at whoever ends TCP; who that is, no connection tells. */
static bool trusts_arrival(const struct settings *s, uint32_t target)
{
    for (uint32_t i = 0; i < s->routes.count; i++) {
        const struct route_settings *r = &s->routes.items[i];
        for (uint32_t j = 0; r->target_index == target && j < r->limits.count; j++) {
            if (s->limits.items[r->limit_index[j]].hold == LIMIT_HOLD_ARRIVAL) {
                return true;
            }
        }
    }
    return false;
}

static bool knock(struct connect *c, const char *where, const char *url, int64_t timeout_ns,
                  struct probe *probe)
{
    probe_connect(url, timeout_ns, probe);
    if (probe->error != 0) {
        TELL(c, where, probe->error, "cannot be reached (%s): %s", err_text(probe->error),
             probe->detail);
        return false;
    }
    buf_addf(&c->report, "%s: %s accepts connections%s, in %.3g ms; no request was sent\n", where,
             probe->address,
             str_starts_with(str_from(url), STR("https:")) ? " and its certificate is good" : "",
             (double)probe->connect_ns / 1e6);
    return true;
}

static void knock_at_target(struct connect *c, uint32_t index)
{
    const struct target_settings *t = &c->settings->targets.items[index];
    struct probe probe;

    if (knock(c, place("targets", t->name, "url").text, t->url, t->connect_timeout_ns, &probe) &&
        !probe.is_loopback && trusts_arrival(c->settings, index)) {
        buf_adds(&c->report,
                 "  hold \"arrival\" is exact at that address; a proxy or balancer there can only "
                 "be seen in a\n  response (Via): then use hold \"response\"\n");
    }
}

/* ---- all of it ---- */

static void plan_destination(struct connect *c, struct ask *ask,
                             const struct destination_settings *destination, const char *key,
                             const char *url_key)
{
    struct probe probe;

    ask->key = key;
    if (destination->queue != NULL && destination->queue_index == SETTINGS_NONE) {
        ask->queue_url = destination->queue;
    }
    if (destination->url != NULL) {
        (void)knock(c, place("routes", ask->route->name, url_key).text, destination->url,
                    CALL_TIMEOUT_NS, &probe);
    }
}

static void plan_route(struct connect *c, uint32_t index)
{
    const struct route_settings *r = &c->settings->routes.items[index];
    struct ask *asks = &c->asks[ASKS_OF_ROUTE * index];

    for (int i = 0; i < ASKS_OF_ROUTE; i++) {
        asks[i].connect = c;
        asks[i].route = r;
    }
    asks[0].key = "queue";
    asks[0].is_source = true;
    asks[0].queue_url = is_sqs(r) ? r->queue : NULL;
    plan_destination(c, &asks[1], &r->on_success, "on_success.queue", "on_success.url");
    plan_destination(c, &asks[2], &r->on_failure, "on_failure.queue", "on_failure.url");
}

static int finish(struct connect *c, const char *filename)
{
    uint32_t count = c->errors.count + c->errors.dropped;

    (void)fputs(buf_str(&c->report).ptr, stdout);
    (void)fflush(stdout);
    cli_print_errors(stderr, "warning: ", filename, &c->warnings);
    cli_print_errors(stderr, "", filename, &c->errors);
    if (count > 0) {
        (void)fprintf(stderr, "%s: refused: %u error%s\n", filename, count, count == 1 ? "" : "s");
    }
    return count > 0 ? EXIT_CODE_REFUSED : EXIT_CODE_DONE;
}

int app_check_connect(const struct settings *settings, const char *filename, const char *data_dir)
{
    struct connect c = {.settings = settings,
                        .data_dir = data_dir != NULL ? data_dir : settings->data_dir};
    int code;

    buf_init(&c.report, REPORT_MAX_BYTES);
    c.asks = MEM_NEW_ARRAY(ASKS_OF_ROUTE * settings->routes.count + 1, struct ask);
    for (uint32_t i = 0; i < settings->targets.count; i++) {
        knock_at_target(&c, i);
    }
    for (uint32_t i = 0; i < settings->routes.count; i++) {
        plan_route(&c, i);
    }
    ask_all_embedded(&c);
    ask_all_sqs(&c);
    for (uint32_t i = 0; i < settings->routes.count; i++) {
        const struct ask *ask = &c.asks[ASKS_OF_ROUTE * i];
        if (ask->known) {
            advice_route(settings, i, &ask->queue, &c.report, &c.warnings);
        }
    }
    code = finish(&c, filename);
    error_list_free(&c.errors);
    error_list_free(&c.warnings);
    buf_done(&c.report);
    free(c.asks);
    return code;
}
