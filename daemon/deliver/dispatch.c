#include "delivery_internal.h"
#include "letter.h"

#include "sluice/base/digest.h"
#include "sluice/base/fault.h"
#include "sluice/base/mem.h"
#include "sluice/flow/gate_headers.h"
#include "sluice/runtime/log.h"
#include "sluice/sqs/extended.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Work of the same key is under way, or the file takes no record. */
#define POSTPONE_NS (1 * NS_PER_S)
/* A longer pause is a mistake of the API, not a plan. */
#define GATE_MAX_NS      (15 * 60 * NS_PER_S)
#define DISPATCH_HEADERS (HTTP_HEADERS_MAX)

/* One running call. Freed when its on_done came. */
struct attempt {
    struct message *message;
    struct delivery_target *target;
    struct http_call *call;
    struct loop_timer refused; /* completes a call that could not be submitted, in a later turn */
    int error;
    bool arrived;
};

struct request_text {
    char message_id[128], receive_count[16], traceparent[TRACE_PARENT_LEN + 1];
    char xray[TRACE_XRAY_LEN + 1];
    struct buf parts; /* of message_headers */
};

static void on_arrived(void *context, mono_ns arrived_at, mono_ns now)
{
    struct attempt *attempt = context;

    attempt->arrived = true;
    metric_observe(attempt->target->arrival,
                   (double)(arrived_at - attempt->message->attempt_started_at) / (double)NS_PER_S);
    flow_attempt_arrived(attempt->message, arrived_at, now);
}

/* The rules' verdict, and what the headers say about when to call again. */
static struct gate_advice judge(const struct delivery_target *target,
                                const struct http_result *result, struct attempt_result *facts,
                                mono_ns now)
{
    struct outcome_header headers[HTTP_HEADERS_MAX];
    struct outcome_facts known = {.error = result->error,
                                  .status = result->status,
                                  .written = result->written,
                                  .headers = headers,
                                  .body = result->body};
    struct gate_advice advice = {0};

    for (; known.header_count < result->header_count && known.header_count < HTTP_HEADERS_MAX;
         known.header_count++) {
        const struct http_header *header = &result->headers[known.header_count];
        headers[known.header_count] = (struct outcome_header){header->name, header->value};
    }
    facts->rule = outcome_rules_match(target->rules, target->rule_count, &known);
    if (facts->rule > 0) {
        facts->ruled = target->rules[facts->rule - 1].outcome;
    }
    if (result->error == 0) {
        enum outcome outcome = outcome_of(facts);
        bool again = outcome == OUTCOME_RETRY || outcome == OUTCOME_THROTTLE ||
                     result->status < 200 || result->status >= 300;
        advice = gate_headers_read(headers, known.header_count, again, loop_wall(), GATE_MAX_NS);
        facts->retry_after = advice.header == NULL ? 0 : mono_add(now, advice.delay_ns);
    }
    return advice;
}

/* hold: "arrival" proves arrival at the host that ends TCP; a proxy there is worth a warning. */
static void warn_of_proxy(struct delivery_target *target, const struct http_result *result)
{
    for (uint32_t i = 0; i < result->header_count && !target->told_proxy; i++) {
        if (str_equal_nocase(result->headers[i].name, STR("via"))) {
            target->told_proxy = true;
            LOG_WARNING(
                "responses carry Via: a proxy answers for the target, use hold \"response\"",
                LOG_STR("target", target->name));
        }
    }
}

/* Without a connection the host may have moved. */
static void doubt_addresses(struct delivery_target *target, const struct http_result *result)
{
    bool unconnected =
        result->error == ERR_CONNECT || (result->error == ERR_TIMEOUT && !result->written);

    if (unconnected && target->resolver != NULL) {
        resolver_entry_doubt(target->resolver);
    }
}

static void attempt_end(struct attempt *attempt, const struct http_result *result, mono_ns now)
{
    struct message *message = attempt->message;
    struct delivery_target *target = attempt->target;
    struct delivery_route *route = delivery_route_of(message);
    struct attempt_result facts = {
        .error = result->error,
        .status = result->status,
        .written = result->written,
        .early = result->early,
        .ended_at = result->ended_at,
    };

    struct gate_advice advice = judge(target, result, &facts, now);
    if (result->error == 0) {
        (void)FAULT("deliver.answered");
        warn_of_proxy(target, result);
        if (!attempt->arrived && !result->early) {
            metric_observe(target->arrival,
                           (double)(result->ended_at - message->attempt_started_at) /
                               (double)NS_PER_S);
        }
    }
    letter_keep(message, result);
    doubt_addresses(target, result);
    instruments_attempt(message, result, outcome_of(&facts), now - message->attempt_started_at);
    target->d->attempts_running--;
    free(attempt);
    flow_attempt_ended(message, &facts, now);
    ledger_attempt_ended(message, &facts);
    instruments_gate(route, &advice, now);
}

static void on_done(void *context, const struct http_result *result, mono_ns now)
{
    attempt_end(context, result, now);
}

static void on_refused(void *context, mono_ns now)
{
    struct attempt *attempt = context;
    struct http_result result = {.error = attempt->error, .ended_at = now};

    str_copy(result.detail, sizeof(result.detail), str_from(err_text(attempt->error)));
    attempt_end(attempt, &result, now);
}

/* application/json when it parses as JSON, else text. */
static const char *content_type_of(struct str body)
{
    struct json json;

    if (json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        return "text/plain; charset=utf-8";
    }
    json_done(&json);
    return "application/json";
}

/* With a key it is the work's: two messages for the same work have the same. */
static const char *idempotency_key(const struct delivery_route *route,
                                   const struct message *message, const struct request_text *text)
{
    const struct parcel *parcel = message->user;

    return route->key.kind != MESSAGE_KEY_NONE ? parcel->header : text->message_id;
}

static uint32_t add_message_headers(const struct delivery_target *target,
                                    const struct message *message, struct request_text *text,
                                    struct http_header headers[DISPATCH_HEADERS], uint32_t count)
{
    const struct delivery_route *route = delivery_route_of(message);
    const struct message_headers_source source = {message, delivery_attributes(message),
                                                  route->source->ops->system_attribute};
    struct message_headers_out out = {
        .headers = headers, .count = count, .max = DISPATCH_HEADERS, .text = &text->parts};

    message_headers_add(target->message_headers, target->message_header_count, &source, &out);
    if (out.left_out) {
        LOG_WARNING("a message has more than its request's headers can take",
                    LOG_STR("route", route->name), LOG_STR("target", target->name),
                    LOG_SLICE("function_request_id", message->id));
    }
    return out.count;
}

/* X-Ray's name for the call, where the message has one for itself: its own trace and decision,
 * even where a traceparent beside it names another. */
static bool xray_of(const struct message *message, const struct trace_context *span,
                    char out[TRACE_XRAY_LEN + 1])
{
    struct trace_context xray;

    if (message->trace_header.ptr == NULL ||
        trace_context_parse_xray(message->trace_header, &xray) != 0) {
        return false;
    }
    memcpy(xray.span_id, span->span_id, sizeof(xray.span_id));
    trace_context_format_xray(&xray, out);
    return true;
}

/* The content type that the target's configuration names is not guessed. */
static uint32_t add_target_headers(const struct delivery_target *target,
                                   struct http_header headers[DISPATCH_HEADERS], uint32_t n)
{
    for (uint32_t i = 0; i < target->header_count && n < DISPATCH_HEADERS; i++) {
        bool is_type = str_equal_nocase(target->headers[i].name, STR("content-type"));
        headers[is_type ? 0 : n++] = target->headers[i];
    }
    return n;
}

static uint32_t build_headers(const struct delivery_target *target, const struct message *message,
                              struct request_text *text,
                              struct http_header headers[DISPATCH_HEADERS])
{
    uint32_t n = 0;
    struct trace_context span = trace_context_child(&message->trace);

    str_copy(text->message_id, sizeof(text->message_id), message->id);
    snprintf(text->receive_count, sizeof(text->receive_count), "%u", message->receive_count);
    trace_context_format(&span, text->traceparent);
    headers[n++] =
        (struct http_header){STR("Content-Type"), str_from(content_type_of(message->body))};
    headers[n++] = (struct http_header){STR("Sluice-Message-Id"), str_from(text->message_id)};
    headers[n++] = (struct http_header){STR("Sluice-Receive-Count"), str_from(text->receive_count)};
    headers[n++] =
        (struct http_header){STR("Idempotency-Key"),
                             str_from(idempotency_key(delivery_route_of(message), message, text))};
    headers[n++] = (struct http_header){STR("traceparent"), str_from(text->traceparent)};
    if (xray_of(message, &span, text->xray)) {
        headers[n++] = (struct http_header){STR("X-Amzn-Trace-Id"), str_from(text->xray)};
    }
    n = add_target_headers(target, headers, n);
    if (target->message_header_count > 0) {
        n = add_message_headers(target, message, text, headers, n);
    }
    return n;
}

static void submit(struct attempt *attempt, struct http_client *client)
{
    static const struct http_call_events events = {on_arrived, on_done};
    struct delivery_target *target = attempt->target;
    struct message *message = attempt->message;
    struct request_text text;
    struct http_header headers[DISPATCH_HEADERS];
    buf_init(&text.parts, MESSAGE_HEADERS_MAX_BYTES);
    const struct http_call_request request = {
        .method = "POST",
        .url = target->url,
        .headers = headers,
        .header_count = build_headers(target, message, &text, headers),
        .body = message->body,
        .connect_timeout_ns = target->connect_timeout_ns,
        .timeout_ns = target->config.timeout_ns,
        .addresses = resolver_entry_addresses(target->resolver),
        .observe_arrival = true,
    };

    attempt->error = http_client_submit(client, &request, &events, attempt, &attempt->call);
    buf_done(&text.parts);
}

/* ---- starting ---- */

static void note_call(const struct delivery_route *route, const struct message *message)
{
    uint32_t weight = message->grant.weight;

    for (uint32_t i = 0; i < route->limit_count; i++) {
        struct delivery_limit *limit = route->limits[i];
        /* A quota's periods are no window; one by key has as many as it has keys. */
        if (limit->limit != NULL && limit_config(limit->limit)->kind != LIMIT_QUOTA) {
            window_peak_add(&limit->peak, weight, message->attempt_started_at);
        }
        if (limit->saved != NULL) {
            quotas_mark(limit->saved);
        }
        limit->calls_hour += weight;
        limit->calls_day += weight;
    }
}

static void call(struct attempt *attempt)
{
    const struct message *message = attempt->message;
    struct delivery_route *route = delivery_route_of(message);

    if (message->lease_until != MONO_NEVER) {
        metric_observe(route->lease_remaining,
                       (double)(message->lease_until - loop_now()) / (double)NS_PER_S);
    }
    note_call(route, message);
    submit(attempt, route->d->client);
    if (attempt->error != 0) {
        /* The contract of flow_ops: never complete before start returned. */
        attempt->refused.callback = on_refused;
        attempt->refused.context = attempt;
        loop_timer_set(route->d->loop, &attempt->refused, loop_now());
    }
}

/* The permit waited for this: it was taken before, and is held W beyond the arrival. */
static void on_begun(void *context, enum attempt_end end, mono_ns now)
{
    struct attempt *attempt = context;
    struct message *message = attempt->message;
    struct delivery *d = attempt->target->d;

    if (end == ATTEMPT_CALLED && (!flow_attempt_called(message, now) || d->stopped)) {
        ledger_withdraw(message);
        end = ATTEMPT_POSTPONED;
    }
    if (end == ATTEMPT_CALLED) {
        call(attempt);
        return;
    }
    d->attempts_running--;
    free(attempt);
    flow_attempt_ended(message,
                       &(struct attempt_result){
                           .end = end, .retry_after = mono_add(now, POSTPONE_NS), .ended_at = now},
                       now);
}

/* Its body lies in S3. The API would get a pointer that it cannot follow, and say who knows what.
 */
static void on_pointer(void *context, mono_ns now)
{
    on_begun(context, ATTEMPT_S3_POINTER, now);
}

void dispatch_start(void *context, struct message *message)
{
    struct delivery *d = context;
    struct delivery_route *route = delivery_route_of(message);
    struct attempt *attempt = MEM_NEW(struct attempt);

    attempt->message = message;
    attempt->target = route->target;
    d->attempts_running++;
    if (sqs_extended_is_pointer(message->body, delivery_attributes(message))) {
        attempt->refused = (struct loop_timer){.callback = on_pointer, .context = attempt};
        loop_timer_set(d->loop, &attempt->refused, loop_now());
    } else if (route->key.kind != MESSAGE_KEY_NONE) {
        ledger_begin(message, on_begun, attempt);
    } else {
        call(attempt);
    }
}
