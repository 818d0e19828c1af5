/*
 * The delivery's metrics and its one canonical log line a message.
 */
#include "cost.h"
#include "delivery_internal.h"

#include "sluice/base/digest.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct delivery_families {
    struct metric_family *keys, *delayed;
    struct metric_family *limit_requests, *pace, *window_peak, *guard, *gated;
    struct metric_family *in_flight, *concurrency, *requests, *duration, *arrival;
    struct metric_family *breaker, *breaker_to;
    struct metric_family *age, *last_success, *paused, *received, *receives, *retries, *settled;
    struct metric_family *throttle_wait, *held, *dead_letters, *destination_sends;
    struct metric_family *lease_remaining, *leases_lost, *handed_back, *idempotent_hits;
};

static const double duration_bounds[] = {0.005, 0.025, 0.05, 0.1, 0.25, 0.4,
                                         0.6,   1,     2.5,  5,   10,   30};
static const double arrival_bounds[] = {0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1};
static const double lease_bounds[] = {1, 5, 10, 30, 60, 120, 300, 900, 3600, 14400, 43200};
static const double age_bounds[] = {0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400};

static const char *const by_limit[] = {"limit", NULL};
static const char *const by_target[] = {"target", NULL};
static const char *const by_target_code[] = {"target", "code", NULL};
static const char *const by_target_state[] = {"target", "state", NULL};
static const char *const by_target_to[] = {"target", "to", NULL};
static const char *const by_route[] = {"route", NULL};
static const char *const by_route_outcome[] = {"route", "outcome", NULL};
static const char *const by_route_reason[] = {"route", "reason", NULL};
static const char *const by_route_condition_result[] = {"route", "condition", "result", NULL};
static const char *const by_route_state[] = {"route", "state", NULL};

static struct metric_family *family(struct delivery *d, enum metric_type type, const char *name,
                                    const char *help, const char *const *labels)
{
    return metrics_family(d->metrics, type, name, help, labels);
}

static void limit_families(struct delivery *d, struct delivery_families *f)
{
    f->limit_requests = family(d, METRIC_GAUGE, "sluice_rate_limit_requests_per_second",
                               "Limit as configured, in requests per second.", by_limit);
    f->pace = family(d, METRIC_GAUGE, "sluice_pace_requests_per_second",
                     "Pace at which the limit now admits calls.", by_limit);
    f->window_peak =
        family(d, METRIC_GAUGE, "sluice_window_peak_requests",
               "Highest count of calls started in any window of the limit since start.", by_limit);
    f->guard = family(d, METRIC_GAUGE, "sluice_limit_guard_seconds",
                      "Time added to the window before a permit is free again.", by_limit);
    f->keys = family(d, METRIC_GAUGE, "sluice_limit_keys",
                     "Keys that a limit by key now remembers.", by_limit);
    f->delayed = family(d, METRIC_COUNTER, "sluice_limit_dry_run_delayed_total",
                        "Calls that a limit with dry_run would have delayed; those beyond the "
                        "limit take no permit of it.",
                        by_limit);
    f->gated = family(d, METRIC_COUNTER, "sluice_limit_gated_seconds_total",
                      "Time in which answers had asked for no call on the limit.", by_limit);
}

static void target_families(struct delivery *d, struct delivery_families *f)
{
    f->in_flight = family(d, METRIC_GAUGE, "sluice_target_in_flight",
                          "Calls to the target now in progress.", by_target);
    f->concurrency = family(d, METRIC_GAUGE, "sluice_concurrency_limit",
                            "Maximum of concurrent calls to the target.", by_target);
    f->requests = family(d, METRIC_COUNTER, "sluice_target_requests_total",
                         "Calls to the target by HTTP status or kind of failure.", by_target_code);
    f->duration = family(d, METRIC_HISTOGRAM, "sluice_target_request_duration_seconds",
                         "Time of one attempt, from its permit to its end.", by_target);
    metric_family_bounds(f->duration, duration_bounds, SL_COUNT(duration_bounds));
    f->arrival =
        family(d, METRIC_HISTOGRAM, "sluice_target_arrival_seconds",
               "Time from an attempt's permit to the certain arrival of its request.", by_target);
    metric_family_bounds(f->arrival, arrival_bounds, SL_COUNT(arrival_bounds));
    f->breaker =
        family(d, METRIC_GAUGE, "sluice_breaker_state",
               "Circuit breaker state, one series per state, the current one 1.", by_target_state);
    f->breaker_to = family(d, METRIC_COUNTER, "sluice_breaker_transitions_total",
                           "Changes of the circuit breaker's state, by the new one.", by_target_to);
}

static void route_families(struct delivery *d, struct delivery_families *f)
{
    f->age = family(d, METRIC_HISTOGRAM, "sluice_message_age_seconds",
                    "Time from the sending of a message to its settlement.", by_route);
    metric_family_bounds(f->age, age_bounds, SL_COUNT(age_bounds));
    f->last_success =
        family(d, METRIC_GAUGE, "sluice_last_success_timestamp_seconds",
               "Unix time of the last acknowledged message; 0 before the first.", by_route);
    f->paused = family(d, METRIC_GAUGE, "sluice_route_paused", "Whether a person paused the route.",
                       by_route);
    f->received = family(d, METRIC_COUNTER, "sluice_messages_received_total",
                         "Messages received from the queue, redeliveries included.", by_route);
    f->receives = family(d, METRIC_COUNTER, "sluice_receive_requests_total",
                         "Receives from the queue by outcome.", by_route_outcome);
    f->retries = family(d, METRIC_COUNTER, "sluice_retries_total",
                        "Attempts after the first of a message.", by_route);
    f->settled = family(d, METRIC_COUNTER, "sluice_messages_settled_total",
                        "Messages that left the route, by how.", by_route_outcome);
    f->throttle_wait =
        family(d, METRIC_COUNTER, "sluice_throttle_wait_seconds_total",
               "Time that ready messages waited, by what held them.", by_route_reason);
    f->idempotent_hits = family(d, METRIC_COUNTER, "sluice_idempotent_hits_total",
                                "Messages whose work was done before: not called again.", by_route);
    f->held = family(d, METRIC_GAUGE, "sluice_messages_held",
                     "Messages held by the route, by state.", by_route_state);
    f->dead_letters = family(d, METRIC_COUNTER, "sluice_dead_letters_total",
                             "Messages given up, by why.", by_route_reason);
    f->destination_sends =
        family(d, METRIC_COUNTER, "sluice_destination_sends_total",
               "Records sent to on_success and on_failure, failed sends included.",
               by_route_condition_result);
}

static void lease_families(struct delivery *d, struct delivery_families *f)
{
    f->lease_remaining =
        family(d, METRIC_HISTOGRAM, "sluice_lease_remaining_seconds",
               "What was left of a message's lease when its call started.", by_route);
    metric_family_bounds(f->lease_remaining, lease_bounds, SL_COUNT(lease_bounds));
    f->leases_lost =
        family(d, METRIC_COUNTER, "sluice_leases_lost_total",
               "Messages that became another receiver's while they were held.", by_route);
    f->handed_back =
        family(d, METRIC_COUNTER, "sluice_waits_handed_back_total",
               "Waiting messages handed back: a wait too long, or too many of them.", by_route);
}

/* Live state is read when somebody scrapes. */
static void collect_route(struct delivery_route *r)
{
    struct route_stats stats;

    flow_route_stats(r->route, &stats);
    metric_set(r->paused, stats.paused);
    metric_set(r->received, (double)stats.received);
    metric_set(r->retries, (double)stats.retries);
    metric_set(r->leases_lost, (double)stats.leases_lost);
    metric_set(r->handed_back, (double)stats.waits_handed_back);
    for (int state = MESSAGE_BUFFERED; state < MESSAGE_STATE__COUNT; state++) {
        metric_set(r->held[state], stats.held[state]);
    }
    for (int reason = 1; reason < LIMIT_REASON__COUNT; reason++) {
        metric_set(r->throttle_wait[reason],
                   (double)stats.throttle_wait_ns[reason] / (double)NS_PER_S);
    }
    cost_collect(r);
}

static void collect_breaker(struct delivery_target *target)
{
    const struct breaker *b = flow_target_breaker(target->target);

    for (int state = 0; state < BREAKER_STATE__COUNT; state++) {
        metric_set(target->breaker[state], b->state == (enum breaker_state)state);
        metric_set(target->breaker_to[state], (double)b->entered[state]);
    }
}

static double gate_seconds(const struct gate_watch *gate, mono_ns now)
{
    return (double)(gate->before_ns + mono_min(gate->until, now) - gate->from) / (double)NS_PER_S;
}

static void collect_limit(struct delivery_limit *l, mono_ns now)
{
    const struct limit_config *config = delivery_limit_config(l);

    metric_set(l->requests, limit_config_pace(config));
    metric_set(l->pace, limit_config_pace(config));
    metric_set(l->guard, (double)config->guard_ns / (double)NS_PER_S);
    metric_set(l->gated, gate_seconds(&l->gate, now));
    if (l->limit != NULL) {
        metric_set(l->window_peak, l->peak.peak);
    } else {
        metric_set(l->keys, limit_keyed_count(l->keyed));
    }
    if (config->dry_run) {
        metric_set(l->delayed, (double)(l->limit != NULL ? limit_dry_run_delayed(l->limit)
                                                         : limit_keyed_delayed(l->keyed)));
    }
}

static void collect(void *context)
{
    struct delivery *d = context;
    mono_ns now = loop_now();

    LIST_FOR(&d->limits, node)
    {
        collect_limit(LIST_ENTRY(node, struct delivery_limit, node), now);
    }
    LIST_FOR(&d->targets, node)
    {
        struct delivery_target *t = LIST_ENTRY(node, struct delivery_target, node);
        struct concurrency *c = flow_target_concurrency(t->target);
        metric_set(t->in_flight, concurrency_used(c, now));
        metric_set(t->concurrency, c->bound);
        collect_breaker(t);
    }
    LIST_FOR(&d->routes, node)
    {
        collect_route(LIST_ENTRY(node, struct delivery_route, node));
    }
}

void instruments_init(struct delivery *d)
{
    d->families = MEM_NEW(struct delivery_families);
    limit_families(d, d->families);
    target_families(d, d->families);
    route_families(d, d->families);
    lease_families(d, d->families);
    cost_init(d);
    d->collector = (struct metrics_collector){.collect = collect, .context = d};
    metrics_collector_add(d->metrics, &d->collector);
}

void instruments_done(struct delivery *d)
{
    metrics_collector_remove(d->metrics, &d->collector);
    cost_done(d);
    free(d->families);
}

static struct metric *one(struct metric_family *f, const char *a)
{
    return metric_series(f, (const char *const[]){a, NULL});
}

static struct metric *two(struct metric_family *f, const char *a, const char *b)
{
    return metric_series(f, (const char *const[]){a, b, NULL});
}

void instruments_limit(struct delivery *d, struct delivery_limit *limit)
{
    limit->requests = one(d->families->limit_requests, limit->name);
    limit->pace = one(d->families->pace, limit->name);
    if (limit->limit != NULL) {
        limit->window_peak = one(d->families->window_peak, limit->name);
    } else {
        limit->keys = one(d->families->keys, limit->name);
    }
    if (delivery_limit_config(limit)->dry_run) {
        limit->delayed = one(d->families->delayed, limit->name);
    }
    limit->guard = one(d->families->guard, limit->name);
    limit->gated = one(d->families->gated, limit->name);
}

void instruments_target(struct delivery *d, struct delivery_target *target)
{
    target->in_flight = one(d->families->in_flight, target->name);
    target->concurrency = one(d->families->concurrency, target->name);
    target->duration = one(d->families->duration, target->name);
    target->arrival = one(d->families->arrival, target->name);
    for (int state = 0; state < BREAKER_STATE__COUNT; state++) {
        const char *name = breaker_state_name((enum breaker_state)state);
        target->breaker[state] = two(d->families->breaker, target->name, name);
        target->breaker_to[state] = two(d->families->breaker_to, target->name, name);
    }
    target->codes[200] = two(d->families->requests, target->name, "200");
}

void instruments_route(struct delivery *d, struct delivery_route *route)
{
    struct delivery_families *f = d->families;

    route->age = one(f->age, route->name);
    route->last_success = one(f->last_success, route->name);
    route->paused = one(f->paused, route->name);
    route->received = one(f->received, route->name);
    route->retries = one(f->retries, route->name);
    if (route->key.kind != MESSAGE_KEY_NONE) {
        route->idempotent_hits = one(f->idempotent_hits, route->name);
    }
    route->lease_remaining = one(f->lease_remaining, route->name);
    route->leases_lost = one(f->leases_lost, route->name);
    route->handed_back = one(f->handed_back, route->name);
    cost_route(d, route);
    route->receives_ok = two(f->receives, route->name, "messages");
    route->receives_empty = two(f->receives, route->name, "empty");
    route->receives_failed = two(f->receives, route->name, "error");
    for (int how = 0; how < SETTLE__COUNT; how++) {
        route->settled[how] = two(f->settled, route->name, settle_name((enum settle)how));
    }
    for (int reason = 1; reason < LIMIT_REASON__COUNT; reason++) {
        route->throttle_wait[reason] =
            two(f->throttle_wait, route->name, limit_reason_name((enum limit_reason)reason));
    }
    for (int state = MESSAGE_BUFFERED; state < MESSAGE_STATE__COUNT; state++) {
        route->held[state] =
            two(f->held, route->name, message_state_name((enum message_state)state));
    }
    for (int why = GIVE_UP_NONE + 1; why < GIVE_UP__COUNT; why++) {
        route->dead_letters[why] =
            two(f->dead_letters, route->name, give_up_name((enum give_up)why));
    }
}

void instruments_destination(struct delivery_route *route, enum delivery_end end)
{
    struct metric_family *f = route->d->families->destination_sends;
    const char *condition = end == DELIVERY_SUCCESS ? "success" : "failure";

    route->destinations[end].sent =
        metric_series(f, (const char *const[]){route->name, condition, "ok", NULL});
    route->destinations[end].failed =
        metric_series(f, (const char *const[]){route->name, condition, "error", NULL});
}

const char *instruments_code(int status, int error, char out[16])
{
    if (error != 0) {
        return outcome_error_name(error);
    }
    snprintf(out, 16, "%d", status);
    return out;
}

/* One slot a status; transport errors use the slots below 100. */
static struct metric *code_series(struct delivery_target *target, const struct http_result *result,
                                  const char *code)
{
    size_t slot = (size_t)(result->error == 0 ? result->status : -result->error);

    if (slot >= SL_COUNT(target->codes)) {
        return two(target->d->families->requests, target->name, code);
    }
    if (target->codes[slot] == NULL) {
        target->codes[slot] = two(target->d->families->requests, target->name, code);
    }
    return target->codes[slot];
}

/* What is acknowledged, refused or throttled by its status says so in the line of its message or of
 * its pause. */
static bool is_worth_a_line(const struct http_result *result, enum outcome outcome)
{
    return outcome == OUTCOME_RETRY || (result->error != 0 && outcome != OUTCOME_ACK);
}

static void attempt_line(const struct message *message, const struct http_result *result,
                         enum outcome outcome, const char *code)
{
    const struct delivery_route *route = delivery_route_of(message);
    char trace_id[33];

    digest_hex(message->trace.trace_id, sizeof(message->trace.trace_id), trace_id);
    LOG_WARNING("attempt failed", LOG_SLICE("function_request_id", message->id),
                LOG_STR("route", route->name), LOG_STR("target", route->target->name),
                LOG_STR("code", code),
                LOG_STR("reason", result->error != 0 ? result->detail : NULL),
                LOG_STR("outcome", outcome_name(outcome)), LOG_BOOL("written", result->written),
                LOG_I64("calls", message->calls), LOG_STR("trace_id", trace_id));
}

void instruments_attempt(const struct message *message, const struct http_result *result,
                         enum outcome outcome, int64_t duration_ns)
{
    struct delivery_target *target = delivery_route_of(message)->target;
    char text[16];
    const char *code = instruments_code(result->status, result->error, text);

    metric_add(code_series(target, result, code), 1);
    metric_observe(target->duration, (double)duration_ns / (double)NS_PER_S);
    if (is_worth_a_line(result, outcome)) {
        attempt_line(message, result, outcome, code);
    }
}

void instruments_breaker(void *context, struct target *target)
{
    const struct delivery_target *t = flow_target_config(target)->user;
    const struct breaker *b = flow_target_breaker(target);

    (void)context;
    if (b->state == BREAKER_OPEN) {
        LOG_WARNING("the target fails: no calls and no receiving until it is probed",
                    LOG_STR("target", t->name), LOG_STR("reason", breaker_cause_name(b->cause)),
                    LOG_I64("calls", b->calls), LOG_I64("failures", b->failures),
                    LOG_I64("open_ms", (b->until - b->changed_at) / NS_PER_MS));
    } else if (b->state == BREAKER_HALF_OPEN) {
        LOG_DEBUG("the target is probed", LOG_STR("target", t->name));
    } else {
        LOG_INFO("the target answers again: back to the full pace within seconds",
                 LOG_STR("target", t->name),
                 LOG_I64("ramp_ms", (b->ramp_until - b->changed_at) / NS_PER_MS));
    }
}

/* ---- gates ---- */

static void watch_gate(struct gate_watch *gate, mono_ns until, mono_ns now)
{
    if (until <= now || until <= gate->until) {
        return;
    }
    if (gate->until <= now) { /* shut anew */
        gate->before_ns += gate->until - gate->from;
        gate->from = now;
    }
    gate->until = until;
}

static void log_gate(struct delivery_route *route, const struct gate_advice *advice, mono_ns until,
                     mono_ns now)
{
    char at[32];
    struct tm tm;
    time_t seconds = (time_t)((loop_wall() + (until - now) / NS_PER_MS) / 1000);

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
    LOG_AT(advice->capped ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
           advice->capped ? "the target asks for a pause that is cut to the longest allowed"
                          : "the target asks for a pause",
           LOG_STR("route", route->name), LOG_STR("target", route->target->name),
           LOG_STR("limit", route->limit_count > 0 ? route->limits[0]->name : NULL),
           LOG_STR("header", advice->header), LOG_STR("until", at),
           LOG_DOUBLE("pause_ms", (double)(until - now) / 1e6));
}

void instruments_gate(struct delivery_route *route, const struct gate_advice *advice, mono_ns now)
{
    mono_ns until = flow_route_gated_until(route->route);

    if (until <= now) {
        return;
    }
    for (uint32_t i = 0; i < route->limit_count; i++) {
        if (route->limits[i]->limit != NULL) {
            watch_gate(&route->limits[i]->gate, limit_gated_until(route->limits[i]->limit), now);
        }
    }
    /* Answers to calls under way repeat it: they move the end by less than a second or so. */
    if (route->told_gate <= now || until > route->told_gate + NS_PER_S) {
        route->told_gate = until;
        log_gate(route, advice, until, now);
    }
}

static const char *settle_text(enum settle how)
{
    switch (how) {
    case SETTLE_ACK:
        return "message delivered";
    case SETTLE_DEAD_LETTER:
        return "message dead-lettered";
    case SETTLE_LOST:
        return "message lost to another receiver: its lease ran out";
    default:
        return "message handed back";
    }
}

/* "outcomes[0]" of the target, or NULL when the defaults decided. */
static const char *rule_text(const struct message *message, char out[32])
{
    if (message->last_rule == 0) {
        return NULL;
    }
    (void)snprintf(out, 32, "outcomes[%u]", message->last_rule - 1);
    return out;
}

static void canonical_line(struct delivery_route *route, const struct message *message,
                           enum settle how, wall_ms wall)
{
    char trace_id[33], code[16], rule[32];
    enum log_level level =
        how == SETTLE_ACK || how == SETTLE_RELEASE ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING;

    digest_hex(message->trace.trace_id, sizeof(message->trace.trace_id), trace_id);
    LOG_EACH(
        level, settle_text(how), LOG_BOOL("cold_start", !route->logged_first),
        LOG_STR("function_name", route->queue), LOG_SLICE("function_request_id", message->id),
        LOG_STR("route", route->name), LOG_STR("outcome", settle_name(how)),
        LOG_STR("give_up",
                message->give_up != GIVE_UP_NONE ? give_up_name(message->give_up) : NULL),
        LOG_I64("receive_count", message->receive_count), LOG_I64("calls", message->calls),
        LOG_I64("attempts", message->attempts), LOG_STR("target", route->target->name),
        LOG_STR("target_code", message->calls == 0 ? NULL
                                                   : instruments_code(message->last_status,
                                                                      message->last_error, code)),
        LOG_STR("outcome_rule", rule_text(message, rule)),
        LOG_DOUBLE("target_duration_ms", (double)message->last_duration_ns / 1e6),
        LOG_DOUBLE("throttle_wait_ms", (double)message->throttle_wait_ns / 1e6),
        LOG_STR("throttle_reason",
                message->throttle_wait_ns > 0 ? limit_reason_name(message->wait_reason) : NULL),
        LOG_I64("message_age_ms", wall - message->sent_at), LOG_STR("trace_id", trace_id));
    route->logged_first = true;
}

void instruments_settle(struct delivery_route *route, const struct message *message,
                        enum settle how)
{
    wall_ms wall = loop_wall();

    metric_add(route->settled[how], 1);
    metric_observe(route->age, (double)(wall - message->sent_at) / 1e3);
    if (how == SETTLE_DEAD_LETTER) {
        metric_add(route->dead_letters[message->give_up], 1);
    }
    if (how == SETTLE_ACK) {
        metric_set(route->last_success, (double)wall / 1e3);
    }
    canonical_line(route, message, how, wall);
}
