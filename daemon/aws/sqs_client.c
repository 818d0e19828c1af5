#include "sqs_client_internal.h"

#include "sluice/aws/provider.h"
#include "sluice/base/buf.h"
#include "sluice/base/list.h"
#include "sluice/runtime/log.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/codec.h"
#include "sluice/sqs/md5.h"
#include "sluice/sqs/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX_BYTES  ((size_t)8 << 20)  /* 1 MiB of body, escaped, and its attributes */
#define ANSWER_MAX_BYTES   ((size_t)32 << 20) /* ten messages of 1 MiB as text and as structures */
#define CONNECT_TIMEOUT_NS (INT64_C(10) * NS_PER_S)
#define SKEW_MS            (INT64_C(4) * 60 * 1000) /* beyond this the clocks disagree */
#define URL_MAX            1024
#define HEADERS_MAX        8

struct sqs_client {
    struct loop *loop;
    struct http_client *http;
    struct provider *provider;
    wall_ms (*clock)(void);
    char origin[URL_MAX], url[URL_MAX + 1], host[256], region[64];
    int64_t skew_ms; /* the server's clock minus ours, kept while it matters */
    struct list calls;
    struct sqs_client_totals totals;
    bool closed; /* freed with its last call */
};

struct sqs_client_call {
    struct list_node node;
    struct sqs_client *client;
    enum sqs_action action;
    struct buf body;
    char md5[33]; /* of the body that SendMessage sends */
    mono_ns deadline;
    sqs_client_done done; /* NULL: nobody waits any more */
    void *context;
    struct http_call *http;     /* NULL: not started */
    struct provider_wait *wait; /* for credentials */
    struct loop_timer too_late; /* for them */
    struct credentials *signed_with;
    struct loop_work work; /* tells a call that could not start */
    int refused;
    bool retried, renewed;
};

/* ---- the client ---- */

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z') {
            *text = (char)(*text | 0x20);
        }
    }
}

/* Takes scheme and host of the endpoint when one is given. */
static int read_endpoint(const struct sqs_client_config *config, struct sqs_endpoint *ret,
                         char *text, size_t size, struct error *e)
{
    struct str endpoint = str_from(config->endpoint);
    if (endpoint.len == 0) {
        return ERR_OK;
    }
    struct sqs_endpoint parsed;
    int len = snprintf(text, size, "%.*s/account/name", STR_FMT(endpoint));
    if (len >= (int)size || sqs_endpoint_parse(str_from(text), &parsed) != ERR_OK) {
        return error_set(e, ERR_INVALID, "",
                         "\"%.200s\" is no endpoint: expected "
                         "http(s)://host[:port]",
                         config->endpoint);
    }
    ret->origin = parsed.origin;
    ret->host = parsed.host;
    return ERR_OK;
}

int sqs_client_new(const struct sqs_client_config *config, struct sqs_client **ret, struct error *e)
{
    struct sqs_endpoint endpoint;
    char text[URL_MAX];
    if (sqs_endpoint_parse(str_from(config->queue_url), &endpoint) != ERR_OK) {
        return error_set(e, ERR_INVALID, "",
                         "\"%.200s\" is no queue URL: expected https://host/account/name",
                         config->queue_url == NULL ? "" : config->queue_url);
    }
    struct str region = str_from(config->region);
    int rc = read_endpoint(config, &endpoint, text, sizeof(text), e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (endpoint.origin.len >= URL_MAX || endpoint.host.len >= 256 || region.len >= 64) {
        return error_set(e, ERR_INVALID, "", "the host or the region is too long");
    }
    SL_ASSERT(region.len > 0);
    struct sqs_client *client = MEM_NEW(struct sqs_client);
    client->loop = config->loop;
    client->http = config->http;
    client->provider = config->provider;
    client->clock = config->clock == NULL ? loop_wall : config->clock;
    list_init(&client->calls);
    (void)str_copy(client->origin, sizeof(client->origin), endpoint.origin);
    (void)str_copy(client->host, sizeof(client->host), endpoint.host);
    (void)str_copy(client->region, sizeof(client->region), region);
    /* The Host header on the wire must be what was signed, letter by letter. */
    lower(client->origin);
    lower(client->host);
    (void)snprintf(client->url, sizeof(client->url), "%s/", client->origin);
    *ret = client;
    return ERR_OK;
}

static void client_free_if_unused(struct sqs_client *client)
{
    if (client->closed && client->calls.count == 0) {
        free(client);
    }
}

void sqs_client_free(struct sqs_client *client)
{
    if (client == NULL) {
        return;
    }
    client->closed = true;
    LIST_FOR(&client->calls, node)
    {
        struct sqs_client_call *call = LIST_ENTRY(node, struct sqs_client_call, node);
        call->done = NULL;
        sqs_client_cancel(call);
    }
    client_free_if_unused(client);
}

const struct sqs_client_totals *sqs_client_totals(const struct sqs_client *client)
{
    return &client->totals;
}

int sqs_client_url_of_arn(const struct sqs_client *client, struct str arn, char *out,
                          size_t out_size)
{
    struct sqs_arn parts;
    if (sqs_arn_parse(arn, &parts) != ERR_OK) {
        return ERR_SYNTAX;
    }
    int len = snprintf(out, out_size, "%s/%.*s/%.*s", client->origin, STR_FMT(parts.account),
                       STR_FMT(parts.name));
    return len < (int)out_size ? ERR_OK : ERR_TOO_BIG;
}

/* ---- one call ---- */

static void call_finish(struct sqs_client_call *call, const struct http_result *result)
{
    struct sqs_client *client = call->client;
    struct arena arena;
    struct sqs_client_answer answer = {.arena = &arena};
    list_remove(&client->calls, &call->node);
    if (call->done != NULL) {
        arena_init(&arena, ANSWER_MAX_BYTES);
        sqs_answer_read(call->action, result, call->md5, &answer);
        call->done(call->context, &answer, loop_now());
        arena_done(&arena);
    }
    buf_done(&call->body);
    credentials_unref(call->signed_with);
    free(call);
    client_free_if_unused(client);
}

/* Every answer says what time it is there. A signature of more than a few minutes ago or ahead is
 * refused, so it is noticed before that where a clock drifts; true when it has just been. */
static bool note_clock(struct sqs_client *client, const struct http_result *result)
{
    wall_ms theirs;
    /* Of SQS itself: what stands in between may have a clock of its own. */
    bool is_theirs = result->status == 200 || result->status == 403 || result->status == 400;
    if (result->error != ERR_OK || !is_theirs || !sqs_answer_date(result, &theirs)) {
        return false;
    }
    int64_t skew_ms = theirs - client->clock();
    int64_t change_ms = skew_ms - client->skew_ms;
    if (change_ms < SKEW_MS && change_ms > -SKEW_MS) {
        return false;
    }
    client->skew_ms = skew_ms;
    LOG_WARNING("the clock of this machine is not that of AWS: requests are signed with theirs",
                LOG_STR("host", client->host), LOG_I64("ahead_seconds", -skew_ms / 1000));
    return true;
}

static int call_start(struct sqs_client_call *call, mono_ns now);
static void call_wait(struct sqs_client_call *call);

/* Others may be better: they are waited for, once. */
static bool keys_are_refused(struct sqs_client_call *call, const struct http_result *result)
{
    char name[64];

    if (call->signed_with == NULL || call->renewed ||
        !sqs_answer_refuses_key(result, name, sizeof(name))) {
        return false;
    }
    call->renewed = true;
    provider_refused(call->client->provider, call->signed_with, str_from(name));
    return true;
}

static void count_request(struct sqs_client_call *call, const struct http_result *result)
{
    struct sqs_client_totals *totals = &call->client->totals;
    size_t bytes = call->body.len > result->body.len ? call->body.len : result->body.len;

    if (result->written) {
        totals->requests[call->action]++;
        totals->billed += bytes == 0 ? 1 : (bytes + SQS_BILLED_BYTES - 1) / SQS_BILLED_BYTES;
    }
}

static void on_http_done(void *context, const struct http_result *result, mono_ns now)
{
    struct sqs_client_call *call = context;
    bool goes_on = call->done != NULL && call->deadline > now;

    call->http = NULL;
    count_request(call, result);
    bool clock_was_wrong = note_clock(call->client, result) && result->status != 200;
    if (goes_on && keys_are_refused(call, result)) {
        call_wait(call);
        return;
    }
    if (goes_on && !call->retried && clock_was_wrong) {
        call->retried = true;
        if (call_start(call, now) == ERR_OK) {
            return;
        }
    }
    call_finish(call, result);
}

/* ---- credentials ---- */

static void finish_without(struct sqs_client_call *call, int error, const char *why)
{
    struct http_result result = {.error = error};

    loop_timer_clear(call->client->loop, &call->too_late);
    (void)snprintf(result.detail, sizeof(result.detail), "no AWS credentials: %s", why);
    call_finish(call, &result);
}

static void on_too_late(void *context, mono_ns now)
{
    struct sqs_client_call *call = context;

    (void)now;
    provider_wait_cancel(call->wait);
    call->wait = NULL;
    finish_without(call, call->refused != 0 ? call->refused : ERR_TIMEOUT,
                   "their source has not answered yet");
}

static void on_credentials(void *context, struct credentials *credentials, const struct error *why,
                           mono_ns now)
{
    struct sqs_client_call *call = context;

    call->wait = NULL;
    if (credentials == NULL) {
        finish_without(call, why->code, why->text);
        return;
    }
    loop_timer_clear(call->client->loop, &call->too_late);
    int error = call_start(call, now);
    if (error != ERR_OK) {
        const struct http_result result = {.error = error};
        call_finish(call, &result);
    }
}

static void call_wait(struct sqs_client_call *call)
{
    struct sqs_client *client = call->client;

    call->wait = provider_wait(client->provider, on_credentials, call);
    call->too_late = (struct loop_timer){.callback = on_too_late, .context = call};
    loop_timer_set(client->loop, &call->too_late, call->deadline);
}

static void add_header(struct http_header *headers, uint32_t *count, const char *name,
                       struct str value)
{
    headers[(*count)++] = (struct http_header){str_from(name), value};
}

/* Everything that is sent and the Host that the transfer adds is signed. */
static int sign(struct sqs_client_call *call, const struct http_header *headers, uint32_t count,
                struct buf *authorization)
{
    const struct sqs_client *client = call->client;
    struct sigv4_header signed_headers[HEADERS_MAX + 1];
    for (uint32_t i = 0; i < count; i++) {
        signed_headers[i] = (struct sigv4_header){headers[i].name, headers[i].value};
    }
    signed_headers[count] = (struct sigv4_header){STR("Host"), str_from(client->host)};
    const struct sigv4_request request = {STR("POST"),    STR("/"),  STR(""),
                                          signed_headers, count + 1, buf_str(&call->body)};
    const struct credentials *with = call->signed_with;
    const struct sigv4_credentials credentials = {with->access_key_id, with->secret_access_key,
                                                  with->session_token};
    return sigv4_sign(&request, &credentials, str_from(client->region), STR("sqs"), authorization);
}

static int call_start(struct sqs_client_call *call, mono_ns now)
{
    static const struct http_call_events events = {NULL, on_http_done};
    struct sqs_client *client = call->client;
    struct http_header headers[HEADERS_MAX];
    uint32_t count = 0;
    char target[64];
    char date[17];
    struct buf authorization;
    int rc = ERR_OK;

    if (client->provider != NULL) {
        struct credentials *current = provider_current(client->provider);
        if (current == NULL) {
            call_wait(call);
            return ERR_OK;
        }
        credentials_unref(call->signed_with);
        call->signed_with = credentials_ref(current);
    }
    (void)snprintf(target, sizeof(target), "AmazonSQS.%s", sqs_action_info(call->action)->name);
    sigv4_date(client->clock() + client->skew_ms, date);
    buf_init(&authorization, (size_t)16 << 10);
    add_header(headers, &count, "Content-Type", STR("application/x-amz-json-1.0"));
    add_header(headers, &count, "X-Amz-Target", str_from(target));
    add_header(headers, &count, "X-Amz-Date", str_from(date));
    if (call->signed_with != NULL) {
        if (call->signed_with->session_token.len > 0) {
            add_header(headers, &count, "X-Amz-Security-Token", call->signed_with->session_token);
        }
        rc = sign(call, headers, count, &authorization);
        add_header(headers, &count, "Authorization", buf_str(&authorization));
    }
    if (rc == ERR_OK) {
        int64_t left_ns = call->deadline - now;
        const struct http_call_request request = {
            .method = "POST",
            .url = client->url,
            .headers = headers,
            .header_count = count,
            .body = buf_str(&call->body),
            .connect_timeout_ns = left_ns < CONNECT_TIMEOUT_NS ? left_ns : CONNECT_TIMEOUT_NS,
            .timeout_ns = left_ns,
        };
        rc = http_client_submit(client->http, &request, &events, call, &call->http);
    }
    buf_done(&authorization);
    return rc;
}

static void on_refused(void *context)
{
    struct sqs_client_call *call = context;
    const struct http_result result = {.error = call->refused};
    call_finish(call, &result);
}

int sqs_client_call(struct sqs_client *client, enum sqs_action action, const void *input,
                    int64_t timeout_ns, sqs_client_done done, void *context,
                    struct sqs_client_call **ret)
{
    struct sqs_client_call *call = MEM_NEW(struct sqs_client_call);
    mono_ns now = loop_now();
    *call = (struct sqs_client_call){.client = client,
                                     .action = action,
                                     .deadline = mono_add(now, timeout_ns),
                                     .done = done,
                                     .context = context,
                                     .work = {.callback = on_refused, .context = call}};
    buf_init(&call->body, REQUEST_MAX_BYTES);
    int rc = sqs_json_encode(sqs_action_info(action)->input, input, &call->body);
    if (rc == ERR_OK && action == SQS_SEND_MESSAGE) {
        sqs_md5_body(((const struct sqs_send_message_in *)input)->entry.body, call->md5);
    }
    if (rc == ERR_OK) {
        rc = call_start(call, now);
    }
    list_push(&client->calls, &call->node);
    if (rc != ERR_OK) {
        call->refused = rc;
        loop_post(client->loop, &call->work);
    }
    *ret = call;
    return ERR_OK;
}

void sqs_client_cancel(struct sqs_client_call *call)
{
    if (call->http != NULL) {
        http_client_cancel(call->http);
        return;
    }
    call->refused = ERR_CANCELED;
    if (call->wait != NULL) {
        loop_timer_set(call->client->loop, &call->too_late, loop_now());
    }
}
