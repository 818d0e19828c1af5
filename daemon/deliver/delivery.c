#include "delivery_internal.h"

#include "letter.h"

#include "sluice/base/fault.h"
#include "sluice/base/mem.h"
#include "sluice/net/url.h"
#include "sluice/runtime/log.h"

#include <stdlib.h>
#include <string.h>

#define UNWRAP_MORE_BYTES ((size_t)16 << 10) /* for the structures of an envelope */

struct delivery_route *delivery_route_of(const struct message *message)
{
    return flow_route_config(message->route)->user;
}

struct delivery_limit *delivery_limit_find(struct delivery *d, const char *name)
{
    LIST_FOR(&d->limits, node)
    {
        struct delivery_limit *limit = LIST_ENTRY(node, struct delivery_limit, node);
        if (strcmp(limit->name, name) == 0) {
            return limit;
        }
    }
    return NULL;
}

struct delivery_target *delivery_target_find(struct delivery *d, const char *name)
{
    LIST_FOR(&d->targets, node)
    {
        struct delivery_target *target = LIST_ENTRY(node, struct delivery_target, node);
        if (strcmp(target->name, name) == 0) {
            return target;
        }
    }
    return NULL;
}

struct delivery_route *delivery_route_find(struct delivery *d, const char *name)
{
    LIST_FOR(&d->routes, node)
    {
        struct delivery_route *route = LIST_ENTRY(node, struct delivery_route, node);
        if (strcmp(route->name, name) == 0) {
            return route;
        }
    }
    return NULL;
}

struct parcel *delivery_parcel(struct message *message)
{
    if (message->user == NULL) {
        struct parcel *parcel = MEM_NEW(struct parcel);
        parcel->message = message;
        message->user = parcel;
    }
    return message->user;
}

const struct sqs_attributes *delivery_attributes(const struct message *message)
{
    const struct parcel *parcel = message->user;

    return parcel != NULL && parcel->unwrapped
               ? &parcel->envelope.attributes
               : delivery_route_of(message)->source->ops->attributes(message);
}

struct str delivery_original(const struct message *message)
{
    const struct parcel *parcel = message->user;

    return parcel != NULL && parcel->unwrapped ? parcel->original : message->body;
}

/* A traceparent among the attributes has the last word. */
static void continue_trace(struct message *message, const struct sqs_attributes *attributes)
{
    struct trace_context trace;

    for (uint32_t i = 0; i < attributes->count; i++) {
        const struct sqs_attribute *attribute = &attributes->items[i];
        if (str_equal(attribute->name, STR("traceparent")) &&
            trace_context_parse(attribute->string_value, &trace) == 0) {
            message->trace = trace;
        }
    }
}

/* What was published takes the place of the envelope; one that is none stays as it is: a queue may
 * have subscriptions with raw delivery beside others. */
static void unwrap(struct message *message)
{
    struct parcel *parcel = delivery_parcel(message);

    arena_init(&parcel->envelope_arena, 4 * message->body.len + UNWRAP_MORE_BYTES);
    if (sns_unwrap(message->body, &parcel->envelope_arena, &parcel->envelope) == 0) {
        parcel->unwrapped = true;
        parcel->original = message->body;
        message->body = parcel->envelope.message;
        continue_trace(message, &parcel->envelope.attributes);
    } else {
        LOG_DEBUG("no envelope of SNS: called as it is",
                  LOG_STR("route", delivery_route_of(message)->name),
                  LOG_SLICE("function_request_id", message->id));
    }
}

static void parcel_free(struct parcel *parcel)
{
    if (parcel != NULL) {
        arena_done(&parcel->envelope_arena);
        letter_free(parcel->letter);
        free(parcel);
    }
}

/* ---- what the flow asks for ---- */

static void on_receive(void *context, struct route *route, uint32_t max)
{
    struct delivery_route *r = flow_route_config(route)->user;

    (void)context;
    r->source->ops->receive(r->source, max);
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    (void)context;
    if (!ledger_settle(message, how)) {
        delivery_settle(message, how, delay_ns);
    }
}

static void on_extend(void *context, struct message *message)
{
    struct delivery_route *r = delivery_route_of(message);

    (void)context;
    r->source->ops->extend(r->source, message);
}

static void on_message_done(void *context, struct message *message)
{
    struct delivery_route *r = delivery_route_of(message);

    (void)context;
    if (message->settled) {
        (void)FAULT("deliver.settled");
        instruments_settle(r, message, message->settle);
    }
    ledger_message_done(message);
    r->source->ops->message_done(r->source, message);
    parcel_free(message->user);
}

static void on_keys(void *context, const struct message *message, struct message_keys *ret)
{
    struct delivery *d = context;
    struct delivery_route *r = delivery_route_of(message);
    const struct sqs_attributes *attributes = delivery_attributes(message);

    ret->tenant =
        message_key_value(&r->tenant, message, attributes, &d->key_scratch[LIMIT_SET_MAX]);
    for (uint32_t i = 0; i < LIMIT_SET_MAX && r->keyed[i] != NULL; i++) {
        ret->keys[i] =
            message_key_value(&r->keyed[i]->key, message, attributes, &d->key_scratch[i]);
    }
}

void source_received(struct source *source, struct message **messages, uint32_t count, int error,
                     mono_ns now)
{
    struct delivery_route *r = flow_route_config(source->route)->user;

    if (error != ERR_CANCELED && error != ERR_CLOSED) {
        metric_add(error != 0  ? r->receives_failed
                   : count > 0 ? r->receives_ok
                               : r->receives_empty,
                   1);
    }
    for (uint32_t i = 0; i < count && r->unwraps_sns; i++) {
        unwrap(messages[i]);
    }
    ledger_received(r, messages, count, error, now);
}

void source_trace(struct message *message, const struct sqs_attributes *attributes,
                  struct str trace_header)
{
    struct trace_context xray;
    bool is_xray = trace_header.ptr != NULL && trace_context_parse_xray(trace_header, &xray) == 0;

    message->trace_header = is_xray ? trace_header : STR_NONE; /* what is none is not sent on */
    if (is_xray) {
        message->trace = xray;
    } else {
        trace_context_new(&message->trace);
    }
    continue_trace(message, attributes);
}

/* A destination keeps what is given up as well as a queue does. */
static bool note_dead_letter(struct delivery_route *r, bool has_dead_letter)
{
    bool kept = has_dead_letter || r->destinations[DELIVERY_FAILURE].destination != NULL;

    r->source_has_dead_letter = has_dead_letter;
    flow_route_dead_letter(r->route, kept);
    return kept;
}

void source_dead_letter(struct source *source, bool has_dead_letter)
{
    struct delivery_route *r = flow_route_config(source->route)->user;

    if (!note_dead_letter(r, has_dead_letter)) {
        LOG_WARNING("the queue has no dead-letter queue: what the target refuses for good stays in "
                    "the queue",
                    LOG_STR("queue", r->queue));
    }
}

/* ---- the pump ---- */

/* Nothing is left to do but what receives that are out may bring, which calls nothing. */
static bool is_idle(struct delivery *d, mono_ns now)
{
    return flow_is_empty(d->flow) && d->attempts_running == 0 && quotas_flush(d, now);
}

static void pump(struct delivery *d, mono_ns now)
{
    mono_ns next = quotas_tell(d, now);

    next = mono_min(next, flow_pump(d->flow, PUMP_BUDGET, now));
    next = mono_min(next, quotas_claim(d, now));
    if (next <= now) {
        loop_wake(d->loop);
        loop_timer_clear(d->loop, &d->deadline);
    } else {
        loop_timer_set(d->loop, &d->deadline, next);
    }
    if (d->drained != NULL && is_idle(d, now) && flow_is_drained(d->flow)) {
        void (*drained)(void *context) = d->drained;
        d->drained = NULL;
        drained(d->drained_context);
    }
}

static void on_turn(void *context, mono_ns now)
{
    struct delivery *d = context;

    pump(d, now);
}

static void on_deadline(void *context, mono_ns now)
{
    (void)context; /* the turn that this timer caused ends in on_turn */
    (void)now;
}

struct delivery *delivery_new(const struct delivery_parts *parts)
{
    static const struct flow_ops ops = {
        .receive = on_receive,
        .start = dispatch_start,
        .settle = on_settle,
        .extend = on_extend,
        .message_done = on_message_done,
        .keys = on_keys,
        .breaker = instruments_breaker,
    };
    struct delivery *d = MEM_NEW(struct delivery);

    d->loop = parts->loop;
    d->metrics = parts->metrics;
    d->client = parts->client;
    d->store = parts->store;
    d->data_dir = parts->data_dir;
    d->unclean_start = parts->unclean_start;
    d->cents_per_million = parts->cents_per_million;
    d->flow = flow_new(&ops, d, parts->seed);
    for (size_t i = 0; i < SL_COUNT(d->key_scratch); i++) {
        buf_init(&d->key_scratch[i], KEY_BYTES_MAX);
    }
    map_init(&d->working, WORKING_MAX, parts->seed);
    list_init(&d->limits);
    list_init(&d->targets);
    list_init(&d->routes);
    d->pump = (struct loop_hook){.callback = on_turn, .context = d};
    d->deadline = (struct loop_timer){.callback = on_deadline, .context = d};
    instruments_init(d);
    quotas_init(d);
    return d;
}

const struct limit_config *delivery_limit_config(const struct delivery_limit *limit)
{
    return limit->limit != NULL ? limit_config(limit->limit) : limit_keyed_config(limit->keyed);
}

static struct delivery_limit *limit_add(struct delivery *d, const char *name, struct limit *limit,
                                        struct limit_keyed *keyed)
{
    struct delivery_limit *added = MEM_NEW(struct delivery_limit);

    added->limit = limit;
    added->keyed = keyed;
    str_copy(added->name, sizeof(added->name), str_from(name));
    list_push(&d->limits, &added->node);
    instruments_limit(d, added);
    return added;
}

int delivery_limit_add(struct delivery *d, const char *name, const struct limit_config *config,
                       struct error *e)
{
    struct limit_config saved = *config;
    struct limit *limit = NULL;
    int error = limit_config_check(config, e);

    if (error != 0) {
        return error;
    }
    saved.saved = limit_outlives_process(config);
    error = limit_new(&saved, loop_now(), &limit);
    if (error != 0) {
        return error_set(e, error, name, "the limit could not be made: %s", err_text(error));
    }
    struct delivery_limit *added = limit_add(d, name, limit, NULL);
    window_peak_init(&added->peak, config->requests, config->per_ns);
    if (saved.saved) {
        quotas_add(d, added);
    }
    return 0;
}

int delivery_limit_keyed_add(struct delivery *d, const char *name,
                             const struct limit_config *config, const struct message_key *key,
                             uint32_t keys_max, struct error *e)
{
    struct limit_keyed *keyed = NULL;
    int error = limit_config_check(config, e);

    if (error != 0) {
        return error;
    }
    error = limit_keyed_new(config, keys_max, loop_now(), &keyed);
    if (error != 0) {
        return error_set(e, error, name, "the limit could not be made: %s", err_text(error));
    }
    struct delivery_limit *limit = limit_add(d, name, NULL, keyed);
    limit->key = *key;
    limit->keys_max = keys_max;
    return 0;
}

/* ---- targets ---- */

static void on_addresses(void *context, struct resolver_entry *entry)
{
    struct delivery_target *target = context;
    const char *why = NULL;
    bool known = resolver_entry_addresses(entry) != NULL;
    int error = resolver_entry_error(entry, &why);

    if (error != 0 && !target->told_unavailable) {
        LOG_WARNING("the target's name does not resolve", LOG_STR("target", target->name),
                    LOG_STR("reason", why), LOG_BOOL("addresses_known_before", known));
    } else if (error == 0 && target->told_unavailable) {
        LOG_INFO("the target's name resolves again", LOG_STR("target", target->name));
    }
    target->told_unavailable = error != 0;
    flow_target_available(target->target, known);
    loop_wake(target->d->loop);
}

static void copy_headers(struct delivery_target *target,
                         const struct delivery_target_config *config)
{
    target->headers = MEM_NEW_ARRAY(config->header_count + 1, struct http_header);
    for (uint32_t i = 0; i < config->header_count; i++) {
        const struct sqs_pair *pair = &config->headers[i];
        target->headers[i].name =
            (struct str){mem_dup(pair->name.ptr, pair->name.len), pair->name.len};
        target->headers[i].value =
            (struct str){mem_dup(pair->value.ptr, pair->value.len), pair->value.len};
    }
    target->header_count = config->header_count;
}

static void copy_message_headers(struct delivery_target *target,
                                 const struct delivery_target_config *config)
{
    target->message_header_count = config->message_header_count;
    target->message_headers =
        MEM_NEW_ARRAY(config->message_header_count + 1, struct message_header);
    for (uint32_t i = 0; i < config->message_header_count; i++) {
        target->message_headers[i] = config->message_headers[i];
    }
}

static void copy_rules(struct delivery_target *target, const struct delivery_target_config *config)
{
    target->rules = MEM_NEW_ARRAY(config->rule_count + 1, struct outcome_rule);
    for (uint32_t i = 0; i < config->rule_count; i++) {
        target->rules[i] = config->rules[i];
    }
    target->rule_count = config->rule_count;
}

int delivery_target_add(struct delivery *d, const struct delivery_target_config *config,
                        struct error *e)
{
    struct url url;
    struct delivery_target *target;
    int error = url_parse(config->url, &url, e);

    if (error != 0) {
        return error;
    }
    target = MEM_NEW(struct delivery_target);
    target->d = d;
    str_copy(target->name, sizeof(target->name), str_from(config->name));
    target->url = mem_dup(config->url, strlen(config->url));
    target->connect_timeout_ns = config->connect_timeout_ns;
    copy_headers(target, config);
    copy_message_headers(target, config);
    copy_rules(target, config);
    target->config = (struct target_config){
        .name = target->name,
        .concurrency = config->concurrency,
        .timeout_ns = config->timeout_ns,
        .abort_hold_ns = config->abort_hold_ns,
        .unclean_start = d->unclean_start,
        .breaker = config->breaker,
        .adaptive = config->adaptive,
        .user = target,
    };
    target->target = flow_target_add(d->flow, &target->config, loop_now());
    flow_target_available(target->target, false); /* until its name is known */
    list_push(&d->targets, &target->node);
    instruments_target(d, target);
    target->resolver = resolver_entry_new(
        d->loop, &(struct resolver_config){
                     .host = str_from(url.host), .on_change = on_addresses, .context = target});
    flow_target_available(target->target, resolver_entry_addresses(target->resolver) != NULL);
    return 0;
}

static void add_idempotency(struct delivery_route *route,
                            const struct delivery_route_config *config)
{
    if (config->idempotency_key != NULL) {
        route->key = *config->idempotency_key;
        route->key_expires_ms = config->idempotency_expires_ns / NS_PER_MS;
        route->at_most_once = config->at_most_once;
    }
}

static void add_destination(struct delivery_route *route, enum delivery_end end,
                            struct destination *destination)
{
    route->destinations[end].destination = destination;
    if (destination != NULL) {
        instruments_destination(route, end);
    }
}

static void route_limit_add(struct delivery_route *route, struct route_config *config,
                            struct delivery_limit *limit)
{
    if (limit->limit != NULL) {
        config->limits.limits[config->limits.count++] = limit->limit;
    } else {
        route->keyed[config->keyed_count] = limit;
        config->keyed[config->keyed_count++] = limit->keyed;
    }
}

int delivery_route_add(struct delivery *d, const struct delivery_route_config *config,
                       struct error *e)
{
    struct delivery_route *route = MEM_NEW(struct delivery_route);
    struct route_config flow_config = {
        .name = route->name,
        .concurrency = config->concurrency,
        .weight = config->weight,
        .share = config->share,
        .priority = config->priority,
        .retry = config->retry,
        .paused = config->paused,
        .cheap_receives = config->source->ops->cheap_receives,
        .receive_batch = config->source->ops->receive_batch,
        .receives_max = config->source->ops->receives_max,
        .at_most_once = config->at_most_once,
        .user = route,
    };

    route->d = d;
    route->unwraps_sns = config->unwraps_sns;
    route->source = config->source;
    route->target = delivery_target_find(d, config->target);
    SL_ASSERT(route->target != NULL && config->limit_count <= LIMIT_SET_MAX);
    flow_config.target = route->target->target;
    str_copy(route->name, sizeof(route->name), str_from(config->name));
    str_copy(route->queue, sizeof(route->queue), str_from(config->queue));
    for (uint32_t i = 0; i < config->limit_count; i++) {
        route->limits[i] = delivery_limit_find(d, config->limits[i]);
        SL_ASSERT(route->limits[i] != NULL);
        route_limit_add(route, &flow_config, route->limits[i]);
    }
    route->may_have_retries = true; /* of an earlier process: the first look-up tells */
    add_idempotency(route, config);
    route->limit_count = config->limit_count;
    route->tenant = config->tenant;
    route->route = flow_route_add(d->flow, &flow_config, loop_now());
    route->source->route = route->route;
    list_push(&d->routes, &route->node);
    instruments_route(d, route);
    add_destination(route, DELIVERY_SUCCESS, config->on_success);
    add_destination(route, DELIVERY_FAILURE, config->on_failure);
    if (!config->asks_for_dead_letter) {
        (void)note_dead_letter(route, config->has_dead_letter);
    }
    (void)e;
    return 0;
}

/* ---- life ---- */

/* The pump runs after everything that records facts in the same turn: its hook is added when all
 * that the delivery stands on (clients, stores) has added its own. */
static void pump_begin(struct delivery *d)
{
    if (!d->started) {
        d->started = true;
        loop_hook_add(d->loop, &d->pump);
    }
    loop_wake(d->loop);
}

void delivery_start(struct delivery *d)
{
    pump_begin(d);
}

void delivery_drain(struct delivery *d, void (*drained)(void *context), void *context)
{
    d->drained = drained;
    d->drained_context = context;
    pump_begin(d);
    flow_drain(d->flow, loop_now());
    LIST_FOR(&d->routes, node)
    {
        struct delivery_route *route = LIST_ENTRY(node, struct delivery_route, node);
        route->source->ops->cancel_receive(route->source);
        route->source->ops->flush(route->source);
    }
}

bool delivery_may_cut_off(struct delivery *d)
{
    struct route_stats stats;

    if (!is_idle(d, loop_now())) {
        return false;
    }
    LIST_FOR(&d->routes, node)
    {
        struct delivery_route *route = LIST_ENTRY(node, struct delivery_route, node);
        flow_route_stats(route->route, &stats);
        if (stats.receiving > 0) {
            LOG_WARNING("a long poll is cut off at the drain's deadline: messages that the queue "
                        "was handing out just then wait for their visibility timeout; a longer "
                        "drain_timeout lets it end",
                        LOG_STR("route", route->name), LOG_STR("queue", route->queue));
        }
    }
    return true;
}

void delivery_stop(struct delivery *d)
{
    if (d->stopped) {
        return;
    }
    d->stopped = true;
    if (d->started) {
        loop_hook_remove(d->loop, &d->pump);
    }
    loop_timer_clear(d->loop, &d->deadline);
    LIST_FOR(&d->targets, node)
    {
        struct delivery_target *target = LIST_ENTRY(node, struct delivery_target, node);
        resolver_entry_close(target->resolver);
        target->resolver = NULL;
    }
    LIST_FOR(&d->routes, node)
    {
        struct delivery_route *route = LIST_ENTRY(node, struct delivery_route, node);
        route->source->ops->stop(route->source);
        destination_stop(route->destinations[DELIVERY_SUCCESS].destination);
        destination_stop(route->destinations[DELIVERY_FAILURE].destination);
    }
}

bool delivery_is_quiet(struct delivery *d)
{
    LIST_FOR(&d->targets, node)
    {
        struct delivery_target *target = LIST_ENTRY(node, struct delivery_target, node);
        if (!concurrency_is_quiet(flow_target_concurrency(target->target), loop_now())) {
            return false;
        }
    }
    return true;
}

static void target_free(struct delivery_target *target)
{
    for (uint32_t i = 0; i < target->header_count; i++) {
        free((char *)(uintptr_t)target->headers[i].name.ptr);
        free((char *)(uintptr_t)target->headers[i].value.ptr);
    }
    free(target->headers);
    free(target->message_headers);
    free(target->rules);
    free(target->url);
    free(target);
}

void delivery_free(struct delivery *d)
{
    if (d == NULL) {
        return;
    }
    delivery_stop(d);
    flow_free(d->flow);
    LIST_FOR(&d->routes, node)
    {
        struct delivery_route *route = LIST_ENTRY(node, struct delivery_route, node);
        route->source->ops->free(route->source);
        destination_free(route->destinations[DELIVERY_SUCCESS].destination);
        destination_free(route->destinations[DELIVERY_FAILURE].destination);
        free(route->cost);
        free(route);
    }
    LIST_FOR(&d->targets, node)
    {
        target_free(LIST_ENTRY(node, struct delivery_target, node));
    }
    LIST_FOR(&d->limits, node)
    {
        struct delivery_limit *limit = LIST_ENTRY(node, struct delivery_limit, node);
        limit_free(limit->limit);
        limit_keyed_free(limit->keyed);
        window_peak_done(&limit->peak);
        free(limit);
    }
    for (size_t i = 0; i < SL_COUNT(d->key_scratch); i++) {
        buf_done(&d->key_scratch[i]);
    }
    quotas_done(d);
    instruments_done(d);
    map_done(&d->working);
    free(d);
}
