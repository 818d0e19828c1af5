#include "sim_internal.h"

#include "sluice/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_BUDGET   256u
#define CHECK_ALL_MAX 64u   /* messages held: up to that many, every list is checked every turn */
#define CHECK_EVERY   256u  /* turns, with more */
#define HELD_BOUND    1000u /* messages outside a call */

bool sim_chance(struct sim *sim, double share)
{
    return share > 0 && rng_unit(&sim->rng) < share;
}

mono_ns sim_process_at(const struct sim *sim, mono_ns at)
{
    for (uint32_t i = 0; i < sim->stall_count; i++) {
        if (at >= sim->stalls[i].from && at < sim->stalls[i].until) {
            at = sim->stalls[i].until;
        }
    }
    return at;
}

/* ---- what the flow asks for ---- */

static struct sim_route *route_of(struct route *route)
{
    return flow_route_config(route)->user;
}

static void on_receive(void *context, struct route *route, uint32_t max)
{
    struct sim_target *target = route_of(route)->target;

    (void)context;
    if (flow_target_breaker(target->target)->state == BREAKER_OPEN) {
        target->report.received_open += max;
    }
    sim_queue_receive(route_of(route)->queue, max);
}

static void on_start(void *context, struct message *message)
{
    (void)context;
    sim_target_start(route_of(message->route)->target, message);
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    (void)context;
    sim_queue_settle(message, how, delay_ns);
}

static void on_extend(void *context, struct message *message)
{
    (void)context;
    sim_queue_extend(message);
}

static void on_message_done(void *context, struct message *message)
{
    (void)context;
    sim_queue_message_done(message);
}

static void on_keys(void *context, const struct message *message, struct message_keys *ret)
{
    const struct sim_handle *handle = message->source_data;

    (void)context;
    ret->tenant = message->tenant;
    for (uint32_t i = 0; i < LIMIT_SET_MAX; i++) {
        ret->keys[i] = str_from(handle->record->group_id);
    }
}

static void on_breaker(void *context, struct target *target)
{
    struct sim_target *t = flow_target_config(target)->user;

    (void)context;
    t->report.opened += flow_target_breaker(target)->state == BREAKER_OPEN ? 1 : 0;
}

/* ---- one turn of the loop ---- */

static bool admits(const struct route *route, const struct route_stats *stats, mono_ns now)
{
    const struct route_config *config = flow_route_config(route);
    struct concurrency *c = flow_target_concurrency(config->target);

    return !stats->paused && concurrency_check(c, now).admit &&
           breaker_check(flow_target_breaker(config->target), concurrency_used(c, now), c->bound,
                         now)
               .admit &&
           limit_set_check(&config->limits, config->weight, now).admit;
}

/* Reasons that the public contract cannot be asked about again. */
static bool is_private(enum limit_reason reason)
{
    return reason == LIMIT_REASON_ROUTE_CONCURRENCY || reason == LIMIT_REASON_UNAVAILABLE ||
           reason == LIMIT_REASON_GATE || reason == LIMIT_REASON_KEY ||
           reason == LIMIT_REASON_KEYS_FULL;
}

/* Returns how many it holds outside a call. */
static uint32_t check_route(struct sim *sim, struct sim_route *route)
{
    struct route_stats stats;
    uint32_t held = 0;

    flow_route_stats(route->route, &stats);
    for (int state = 0; state < MESSAGE_STATE__COUNT; state++) {
        held += state == MESSAGE_IN_FLIGHT ? 0 : stats.held[state];
    }
    SL_ASSERT(held + stats.held[MESSAGE_IN_FLIGHT] <=
              HELD_BOUND + route->target->config.concurrency); /* I8 */
    if (held > route->queue->report.held_peak) {
        route->queue->report.held_peak = held;
    }
    if (stats.held[MESSAGE_READY] > 0) { /* I6: and it can say who said no */
        SL_ASSERT(stats.blocked_by != LIMIT_REASON_NONE);
        SL_ASSERT(is_private(stats.blocked_by) || !admits(route->route, &stats, sim->clock.now) ||
                  route->config.weight > 1 || sim->route_count > 1);
    }
    return held;
}

static void on_turn(void *context, mono_ns now)
{
    (void)context; /* that there is an event is all: the turn follows every instant */
    (void)now;
}

static void turn(struct sim *sim)
{
    mono_ns now = sim->clock.now, next, late;
    uint32_t held = 0;

    if (sim_process_at(sim, now) != now) {
        sim_clock_set(&sim->clock, &sim->turn, sim_process_at(sim, now));
        return;
    }
    do {
        next = flow_pump(sim->flow, TURN_BUDGET, now);
    } while (next <= now);
    for (uint32_t i = 0; i < sim->route_count; i++) {
        held += check_route(sim, sim->routes[i]);
    }
    sim->turns++;
    if (held < CHECK_ALL_MAX || sim->turns % CHECK_EVERY == 0) {
        flow_check_invariants(sim->flow); /* I2, I4 */
    }
    if (next == MONO_NEVER) {
        sim_clock_clear(&sim->clock, &sim->turn);
        return;
    }
    late = sim->late_ns > 0 ? rng_between(&sim->rng, 0, sim->late_ns) : 0;
    sim_clock_set(&sim->clock, &sim->turn, sim_process_at(sim, mono_add(next, late)));
}

/* ---- building ---- */

static void *grow(void *array, uint32_t count, void *item)
{
    void **items = MEM_NEW_ARRAY((size_t)count + 1, void *);

    if (count > 0) {
        memcpy(items, array, count * sizeof(items[0]));
    }
    items[count] = item;
    free(array);
    return items;
}

static void flow_boot(struct sim *sim)
{
    static const struct flow_ops ops = {
        .receive = on_receive,
        .start = on_start,
        .settle = on_settle,
        .extend = on_extend,
        .message_done = on_message_done,
        .keys = on_keys,
        .breaker = on_breaker,
    };

    sim->flow = flow_new(&ops, sim, sim->seed + sim->boots);
}

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = MEM_NEW(struct sim);

    sim->seed = seed;
    rng_init(&sim->rng, seed);
    sim_clock_init(&sim->clock, NS_PER_S);
    sim->late_ns = NS_PER_MS;
    sim->turn = (struct sim_event){.fire = on_turn, .context = sim};
    flow_boot(sim);
    return sim;
}

static void limit_boot(struct sim *sim, struct sim_limit *limit)
{
    if (limit->config.keys_max > 0) {
        int error = limit_keyed_new(&limit->config.limit, limit->config.keys_max, sim->clock.now,
                                    &limit->keyed);
        SL_ASSERT(error == 0);
    } else if (!limit->config.measured_only) {
        int error = limit_new(&limit->config.limit, sim->clock.now, &limit->limit);
        SL_ASSERT(error == 0);
    }
}

uint32_t sim_limit_add(struct sim *sim, const struct sim_limit_config *config)
{
    struct sim_limit *limit = MEM_NEW(struct sim_limit);

    limit->config = *config;
    limit_boot(sim, limit);
    sim->limits = grow(sim->limits, sim->limit_count, limit);
    return sim->limit_count++;
}

uint32_t sim_target_add(struct sim *sim, const struct sim_target_config *config)
{
    struct sim_target *target = sim_target_new(sim, config);

    sim_target_boot(target);
    sim->targets = grow(sim->targets, sim->target_count, target);
    return sim->target_count++;
}

uint32_t sim_queue_add(struct sim *sim, const struct sim_queue_config *config)
{
    sim->queues = grow(sim->queues, sim->queue_count, sim_queue_new(sim, config));
    return sim->queue_count++;
}

static void route_boot(struct sim *sim, struct sim_route *route)
{
    struct route_config config = {
        .name = route->name,
        .target = route->target->target,
        .concurrency = route->config.concurrency,
        .weight = route->config.weight,
        .share = route->config.share,
        .priority = route->config.priority,
        .retry = route->config.retry,
        .paused = route->config.paused,
        .has_dead_letter = route->config.has_dead_letter,
        .cheap_receives = route->queue->config.visibility_ns == 0,
        .receive_batch =
            route->queue->config.visibility_ns == 0 ? 0 : route->queue->config.receive_max,
        .user = route,
    };

    for (uint32_t i = 0; i < route->config.limit_count; i++) {
        const struct sim_limit *limit = sim->limits[route->config.limits[i]];
        if (limit->keyed != NULL) {
            config.keyed[config.keyed_count++] = limit->keyed;
        } else if (limit->limit != NULL) {
            config.limits.limits[config.limits.count++] = limit->limit;
        }
    }
    route->route = flow_route_add(sim->flow, &config, sim->clock.now);
}

uint32_t sim_route_add(struct sim *sim, const struct sim_route_config *config)
{
    struct sim_route *route = MEM_NEW(struct sim_route);

    route->sim = sim;
    route->config = *config;
    route->config.weight = config->weight > 0 ? config->weight : 1;
    route->queue = sim->queues[config->queue];
    route->target = sim->targets[config->target];
    SL_ASSERT(route->queue->route == NULL);
    route->queue->route = route;
    (void)snprintf(route->name, sizeof(route->name), "route%u", sim->route_count);
    route_boot(sim, route);
    sim->routes = grow(sim->routes, sim->route_count, route);
    return sim->route_count++;
}

void sim_stall(struct sim *sim, mono_ns from, mono_ns until)
{
    SL_ASSERT(sim->stall_count < SIM_STALLS_MAX);
    sim->stalls[sim->stall_count].from = from;
    sim->stalls[sim->stall_count++].until = until;
}

void sim_timer_lateness(struct sim *sim, int64_t late_ns)
{
    sim->late_ns = late_ns;
}

/* ---- running ---- */

mono_ns sim_now(const struct sim *sim)
{
    return sim->clock.now;
}

static bool all_empty(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->queue_count; i++) {
        if (!sim_queue_is_empty(sim->queues[i])) {
            return false;
        }
    }
    return true;
}

static bool is_drained(const struct sim *sim)
{
    return flow_is_drained(sim->flow);
}

static bool never(const struct sim *sim)
{
    (void)sim;
    return false;
}

static bool run(struct sim *sim, mono_ns until, bool (*over)(const struct sim *sim))
{
    turn(sim);
    while (!over(sim)) {
        if (sim_clock_next(&sim->clock) > until) {
            sim->clock.now = mono_max(sim->clock.now, until);
            return over(sim);
        }
        sim_clock_step(&sim->clock);
        turn(sim);
    }
    return true;
}

void sim_run_until(struct sim *sim, mono_ns until)
{
    (void)run(sim, until, never);
}

bool sim_run_until_empty(struct sim *sim, mono_ns until)
{
    return run(sim, until, all_empty);
}

bool sim_drain(struct sim *sim, mono_ns until)
{
    flow_drain(sim->flow, sim->clock.now);
    for (uint32_t i = 0; i < sim->queue_count; i++) {
        sim_queue_cancel(sim->queues[i]);
    }
    return run(sim, until, is_drained);
}

static void limits_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->limit_count; i++) {
        limit_free(sim->limits[i]->limit);
        sim->limits[i]->limit = NULL;
        limit_keyed_free(sim->limits[i]->keyed);
        sim->limits[i]->keyed = NULL;
        sim->limits[i]->gate_until = 0;
    }
}

void sim_kill(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->target_count; i++) {
        sim_target_killed(sim->targets[i]);
    }
    flow_free(sim->flow);
    limits_free(sim);
    for (uint32_t i = 0; i < sim->queue_count; i++) {
        sim_queue_killed(sim->queues[i]);
    }
    sim->boots++;
    flow_boot(sim);
    for (uint32_t i = 0; i < sim->limit_count; i++) {
        limit_boot(sim, sim->limits[i]);
    }
    for (uint32_t i = 0; i < sim->target_count; i++) {
        sim_target_boot(sim->targets[i]);
    }
    for (uint32_t i = 0; i < sim->route_count; i++) {
        sim->routes[i]->gate_until = 0;
        route_boot(sim, sim->routes[i]);
    }
}

struct flow *sim_flow(struct sim *sim)
{
    return sim->flow;
}

struct route *sim_route(struct sim *sim, uint32_t route)
{
    return sim->routes[route]->route;
}

void sim_free(struct sim *sim)
{
    if (sim == NULL) {
        return;
    }
    flow_free(sim->flow);
    limits_free(sim);
    for (uint32_t i = 0; i < sim->target_count; i++) {
        sim_target_free(sim->targets[i]);
    }
    for (uint32_t i = 0; i < sim->queue_count; i++) {
        sim_queue_free(sim->queues[i]);
    }
    for (uint32_t i = 0; i < sim->route_count; i++) {
        free(sim->routes[i]);
    }
    for (uint32_t i = 0; i < sim->limit_count; i++) {
        sim_limit_logs_done(sim->limits[i]);
        free(sim->limits[i]);
    }
    free(sim->limits);
    free(sim->targets);
    free(sim->queues);
    free(sim->routes);
    sim_clock_done(&sim->clock);
    free(sim);
}
