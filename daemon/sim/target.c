/*
 * The scripted target: the network to it, what its host and its application see, and what it
 * answers.
 */
#include "sim_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

#define REFUSED_NS (200 * NS_PER_US)

struct sim_call {
    struct list_node node;
    struct sim_target *target;
    struct sim_route *route;
    struct message *message; /* NULL: ended, as the process sees it */
    struct sim_record *record;
    struct sim_event arrive, read, work_end; /* in the world */
    struct sim_event ack, end;               /* seen by the process */
    uint32_t weight, running;                /* events that are still to come */
    struct attempt_result result;            /* of the end */
    int status;
    bool served; /* by one of its servers */
    int64_t work_ns, retry_after_ns;
};

static void call_set(struct sim_call *call, struct sim_event *event, mono_ns at)
{
    if (!heap_is_linked(&event->node)) {
        call->running++;
    }
    sim_clock_set(&call->target->sim->clock, event, at);
}

static void call_clear(struct sim_call *call, struct sim_event *event)
{
    if (heap_is_linked(&event->node)) {
        call->running--;
        sim_clock_clear(&call->target->sim->clock, event);
    }
}

static void call_free_when_over(struct sim_call *call)
{
    if (call->running > 0) {
        return;
    }
    list_remove(&call->target->calls, &call->node);
    sim_record_unref(call->record);
    free(call);
}

/* Every event's handler ends with this. */
static void call_event_over(struct sim_call *call)
{
    call->running--;
    call_free_when_over(call);
}

/* ---- Retry-After: what the process has seen, and what it must not do ---- */

static void gate_set(struct sim_call *call, mono_ns until)
{
    const struct sim_route_config *route = &call->route->config;

    call->target->report.gates++;
    call->route->gate_until = mono_max(call->route->gate_until, until);
    for (uint32_t i = 0; i < route->limit_count; i++) {
        struct sim_limit *limit = call->target->sim->limits[route->limits[i]];
        limit->gate_until = mono_max(limit->gate_until, until);
    }
}

static bool is_gated(const struct sim_call *call, mono_ns now)
{
    const struct sim_route_config *route = &call->route->config;
    bool gated = now < call->route->gate_until;

    for (uint32_t i = 0; i < route->limit_count; i++) {
        gated = gated || now < call->target->sim->limits[route->limits[i]]->gate_until;
    }
    return gated;
}

/* ---- what the process sees ---- */

static void on_ack(void *context, mono_ns now)
{
    struct sim_call *call = context;

    if (call->message != NULL) {
        flow_attempt_arrived(call->message, now, now);
    }
    call_event_over(call);
}

static void on_end(void *context, mono_ns now)
{
    struct sim_call *call = context;
    struct message *message = call->message;

    if (message != NULL) {
        call->message = NULL;
        call->target->running--;
        call->result.ended_at = now;
        if (call->result.error == 0 && call->retry_after_ns > 0) {
            call->result.retry_after = now + call->retry_after_ns;
            if (call->status == 429 || call->status == 503) {
                gate_set(call, call->result.retry_after);
            }
        }
        uint32_t counted = message->attempts;
        flow_attempt_ended(message, &call->result, now);
        if (!call->result.written) {
            call->record->queue->report.unreached_counted += message->attempts - counted;
        }
    }
    call_event_over(call);
}

/* ---- what the world does ---- */

static const struct sim_outage *outage_at(const struct sim_target *target, mono_ns now)
{
    for (uint32_t i = 0; i < target->config.outage_count; i++) {
        const struct sim_outage *outage = &target->config.outages[i];
        if (now >= outage->from && now < outage->until) {
            return outage;
        }
    }
    return NULL;
}

/* Is this call one of those that the outage is about? */
static bool outage_hits(struct sim *sim, const struct sim_outage *outage, enum sim_outage_kind kind)
{
    return outage != NULL && outage->kind == kind &&
           (outage->share <= 0 || sim_chance(sim, outage->share));
}

static void on_work_end(void *context, mono_ns now)
{
    struct sim_call *call = context;
    struct sim_target *target = call->target;
    struct sim *sim = target->sim;
    mono_ns seen = now + sim_latency_draw(&target->config.response_delay, &sim->rng);

    target->working--;
    target->accepted_now -= call->served ? 1 : 0;
    if (call->status >= 200 && call->status < 300) {
        sim_record_done(call->record);
        target->report.last_success = now;
    }
    bool lost = sim_chance(sim, target->config.lost_share) ||
                outage_hits(sim, outage_at(target, now), SIM_UNANSWERED);
    bool answered =
        !lost && call->message != NULL && sim_process_at(sim, seen) < call->end.node.key;
    call->record->unanswered = !answered && call->status < 300;
    if (answered) {
        call->result = (struct attempt_result){.status = call->status, .written = true};
        call_set(call, &call->end, sim_process_at(sim, seen));
    }
    call_event_over(call);
}

static void on_read(void *context, mono_ns now)
{
    struct sim_call *call = context;
    const struct sim_route_config *route = &call->route->config;

    for (uint32_t i = 0; i < route->limit_count; i++) {
        sim_log_add(&call->target->sim->limits[route->limits[i]]->app, now, call->weight);
    }
    call_event_over(call);
}

/* The target's own sliding log: a request is accepted when fewer than N were in the W before it. */
static bool over_own_limit(struct sim_target *target, mono_ns now)
{
    struct sim_log *log = &target->accepted;

    if (target->config.own_requests == 0) {
        return false;
    }
    while (target->accepted_first < log->count &&
           log->at[target->accepted_first] <= now - target->config.own_per_ns) {
        target->accepted_first++;
    }
    if (log->count - target->accepted_first >= target->config.own_requests) {
        target->report.rejected++;
        return true;
    }
    sim_log_add(log, now, 1);
    return false;
}

/* The first of its servers that is free works at it; false: too many wait for that. */
static bool serve(struct sim_call *call, mono_ns now)
{
    struct sim_target *target = call->target;
    const struct sim_target_config *config = &target->config;
    bool low = now >= config->low_from && now < config->low_until;
    uint32_t servers = low ? config->low_servers : config->servers;
    uint32_t first = 0;

    if (config->servers == 0) {
        return true;
    }
    if (target->accepted_now >= servers + config->server_queue) {
        target->report.rejected++;
        return false;
    }
    for (uint32_t i = 1; i < servers; i++) {
        first = target->free_at[i] < target->free_at[first] ? i : first;
    }
    target->free_at[first] = mono_max(now, target->free_at[first]) + call->work_ns;
    call->work_ns = target->free_at[first] - now;
    call->served = true;
    target->accepted_now++;
    return true;
}

/* What this request is going to be answered, and after how much work. */
static void decide(struct sim_call *call, mono_ns now)
{
    struct sim_target *target = call->target;
    const struct sim_target_config *config = &target->config;
    struct rng *rng = &target->sim->rng;
    const struct sim_outage *outage = outage_at(target, now);

    if (outage_hits(target->sim, outage, SIM_STATUS)) {
        call->status = outage->status;
        call->retry_after_ns = outage->retry_after_ns;
        call->work_ns = sim_latency_draw(&config->status_latency, rng);
    } else if (over_own_limit(target, now) || sim_chance(target->sim, config->throttle_share)) {
        call->status = 429;
        call->retry_after_ns = config->retry_after_ns;
        call->work_ns = sim_latency_draw(&config->status_latency, rng);
    } else if (call->record->scripted != 0) {
        call->status = call->record->scripted;
        call->work_ns = sim_latency_draw(&config->status_latency, rng);
    } else if (call->record->sequence < call->record->queue->config.poison ||
               sim_chance(target->sim, config->fail_share)) {
        call->status = config->fail_status;
        call->work_ns = sim_latency_draw(&config->fail_latency, rng);
    } else {
        call->status = 200;
        call->work_ns = sim_latency_draw(&config->latency, rng);
        if (!serve(call, now)) {
            call->status = 503;
            call->work_ns = sim_latency_draw(&config->status_latency, rng);
        }
    }
    if (outage != NULL && outage->kind == SIM_SLOW) {
        call->work_ns *= outage->slower;
    }
}

static void on_arrive(void *context, mono_ns now)
{
    struct sim_call *call = context;
    struct sim_target *target = call->target;
    struct sim *sim = target->sim;
    const struct sim_route_config *route = &call->route->config;
    mono_ns read_at = now + sim_latency_draw(&target->config.app_delay, &sim->rng);

    for (uint32_t i = 0; i < route->limit_count; i++) {
        sim_limit_arrival(sim->limits[route->limits[i]], call->record->group, now, call->weight);
    }
    target->report.arrivals++;
    if (++target->working > target->report.work_peak) {
        target->report.work_peak = target->working;
    }
    sim_record_arrived(call->record);
    decide(call, now);
    call_set(call, &call->read, read_at);
    call_set(call, &call->work_end, read_at + call->work_ns);
    if (!target->config.no_arrivals) {
        mono_ns acked = now + sim_latency_draw(&target->config.ack_delay, &sim->rng);
        call_set(call, &call->ack, sim_process_at(sim, acked));
    }
    call_event_over(call);
}

static struct sim_call *call_new(struct sim_target *target, struct message *message)
{
    struct sim_call *call = MEM_NEW(struct sim_call);
    struct sim_handle *handle = message->source_data;

    call->target = target;
    call->route = flow_route_config(message->route)->user;
    call->message = message;
    call->record = handle->record;
    call->record->references++;
    call->weight = message->grant.weight;
    call->arrive = (struct sim_event){.fire = on_arrive, .context = call};
    call->read = (struct sim_event){.fire = on_read, .context = call};
    call->work_end = (struct sim_event){.fire = on_work_end, .context = call};
    call->ack = (struct sim_event){.fire = on_ack, .context = call};
    call->end = (struct sim_event){.fire = on_end, .context = call};
    list_push(&target->calls, &call->node);
    target->report.calls++;
    target->report.first_calls += message->calls == 1 ? 1 : 0;
    target->report.forced_calls += message->calls > 1 && call->record->unanswered ? 1 : 0;
    target->report.gated_calls += is_gated(call, target->sim->clock.now) ? 1 : 0;
    call->record->unanswered = false;
    if (flow_target_breaker(target->target)->state == BREAKER_OPEN) {
        target->report.calls_open++;
    }
    if (++target->running > target->report.in_flight_peak) {
        target->report.in_flight_peak = target->running;
    }
    return call;
}

void sim_target_start(struct sim_target *target, struct message *message)
{
    struct sim *sim = target->sim;
    mono_ns now = sim->clock.now;
    struct sim_call *call = call_new(target, message);
    const struct sim_outage *outage = outage_at(target, now);

    SL_ASSERT(outage == NULL || outage->kind != SIM_UNRESOLVED);
    sim_record_called(call->record, now);
    if (outage != NULL && outage->kind == SIM_REFUSED) {
        call->result.error = ERR_CONNECT;
        call_set(call, &call->end, sim_process_at(sim, now + REFUSED_NS));
        return;
    }
    /* Until an answer comes first: the timeout. */
    mono_ns timeout_at = sim_process_at(sim, now + target->config.timeout_ns);
    call->result = (struct attempt_result){.error = ERR_TIMEOUT, .written = true};
    call_set(call, &call->end, timeout_at);
    if (outage != NULL && outage->kind == SIM_BLACK_HOLE) {
        return;
    }
    mono_ns arrive_at = now + sim_latency_draw(&target->config.request_delay, &sim->rng);
    if (arrive_at <= timeout_at + LIMIT_MAX_FLIGHT_NS) { /* later ones die with the connection */
        call_set(call, &call->arrive, arrive_at);
    }
}

/* ---- life ---- */

static void on_outage_edge(void *context, mono_ns now)
{
    struct sim_target *target = context;
    const struct sim_outage *outage = outage_at(target, now);

    flow_target_available(target->target, outage == NULL || outage->kind != SIM_UNRESOLVED);
}

void sim_target_boot(struct sim_target *target)
{
    struct sim *sim = target->sim;
    const struct target_config config = {
        .name = "target",
        .concurrency = target->config.concurrency,
        .timeout_ns = target->config.timeout_ns,
        .abort_hold_ns = target->config.abort_hold_ns,
        .unclean_start = sim->boots > 0,
        .breaker = target->config.breaker,
        .adaptive = target->config.adaptive,
        .user = target,
    };

    target->target = flow_target_add(sim->flow, &config, sim->clock.now);
    on_outage_edge(target, sim->clock.now);
}

struct sim_target *sim_target_new(struct sim *sim, const struct sim_target_config *config)
{
    struct sim_target *target = MEM_NEW(struct sim_target);

    target->sim = sim;
    target->config = *config;
    list_init(&target->calls);
    target->free_at = MEM_NEW_ARRAY(config->servers + 1, mono_ns);
    for (uint32_t i = 0; i < config->outage_count; i++) {
        struct sim_event edge = {.fire = on_outage_edge, .context = target};
        target->outage_edges[2 * i] = target->outage_edges[2 * i + 1] = edge;
        sim_clock_set(&sim->clock, &target->outage_edges[2 * i], config->outages[i].from);
        sim_clock_set(&sim->clock, &target->outage_edges[2 * i + 1], config->outages[i].until);
    }
    return target;
}

/* Sockets die with the process; what is on its way or at work goes on. */
void sim_target_killed(struct sim_target *target)
{
    mono_ns now = target->sim->clock.now;

    LIST_FOR(&target->calls, node)
    {
        struct sim_call *call = LIST_ENTRY(node, struct sim_call, node);
        call->message = NULL;
        call_clear(call, &call->ack);
        call_clear(call, &call->end);
        if (call->arrive.node.key > now + LIMIT_MAX_FLIGHT_NS) {
            call_clear(call, &call->arrive);
        }
        call_free_when_over(call);
    }
    target->running = 0;
}

void sim_target_free(struct sim_target *target)
{
    LIST_FOR(&target->calls, node)
    {
        free(LIST_ENTRY(node, struct sim_call, node));
    }
    sim_log_done(&target->accepted);
    free(target->free_at);
    free(target);
}
