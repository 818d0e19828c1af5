#include "flow_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- targets ---- */

struct target *flow_target_add(struct flow *flow, const struct target_config *config, mono_ns now)
{
    struct target *target = MEM_NEW(struct target);

    now = flow_time(flow, now);
    target->config = *config;
    target->name = mem_dup(config->name, strlen(config->name));
    target->config.name = target->name;
    target->flow = flow;
    target->available = true;
    breaker_init(&target->breaker, &config->breaker, now);
    budget_init(&target->budget, now);
    list_init(&target->parked);
    concurrency_init(&target->concurrency, config->concurrency, config->abort_hold_ns,
                     config->unclean_start, now);
    adaptive_init(&target->adaptive, config->concurrency, now);
    if (config->adaptive) { /* it was made with room for the most there can be */
        concurrency_resize(&target->concurrency, adaptive_bound(&target->adaptive));
    }
    list_push(&flow->targets, &target->node);
    return target;
}

void target_free(struct target *target)
{
    concurrency_done(&target->concurrency);
    free(target->name);
    free(target);
}

void flow_target_available(struct target *target, bool available)
{
    target->available = available;
}

struct concurrency *flow_target_concurrency(struct target *target)
{
    return &target->concurrency;
}

const struct breaker *flow_target_breaker(const struct target *target)
{
    return &target->breaker;
}

const struct target_config *flow_target_config(const struct target *target)
{
    return &target->config;
}

/* ---- routes ---- */

static void route_init_lists(struct route *route)
{
    for (int state = 0; state < MESSAGE_STATE__COUNT; state++) {
        list_init(&route->lists[state]);
    }
    heap_init(&route->deadlines);
    heap_init(&route->leases);
    /* So that no pump allocates: everything outside a call, and the calls. */
    size_t most = HELD_MAX + route->config.target->config.concurrency;
    heap_reserve(&route->deadlines, most);
    heap_reserve(&route->leases, most);
    map_init(&route->groups, most + HELD_MAX, rng_next(&route->flow->rng));
    lanes_init(route, most + HELD_MAX);
}

static void flow_grow(struct flow *flow, struct route *route)
{
    size_t count = (size_t)flow->route_count + 1;
    struct route **routes = MEM_NEW_ARRAY(count, struct route *);

    share_init(route);
    for (uint32_t i = 0; i < flow->route_count; i++) {
        routes[i] = flow->routes[i];
    }
    free(flow->routes);
    free(flow->reservations);
    flow->routes = routes;
    flow->routes[flow->route_count++] = route;
    flow->reservations = MEM_NEW_ARRAY(count * LIMIT_SET_MAX, struct reservation);
    heap_reserve(&flow->turns[route->config.priority], count);
}

struct route *flow_route_add(struct flow *flow, const struct route_config *config, mono_ns now)
{
    struct route *route = MEM_NEW(struct route);
    const struct target_config *target = &config->target->config;

    now = flow_time(flow, now);
    route->flow = flow;
    route->config = *config;
    route->name = mem_dup(config->name, strlen(config->name));
    route->config.name = route->name;
    route->config.weight = config->weight > 0 ? config->weight : 1;
    route->config.share = config->share > 0 ? config->share : 1;
    SL_ASSERT(config->priority <= ROUTE_PRIORITY_MAX);
    route->paused = config->paused;
    route->accounted_at = now;
    route->rate.since = now;
    route->has_share = config->concurrency > 0;
    if (route->has_share) {
        concurrency_init(&route->share, config->concurrency, target->abort_hold_ns,
                         target->unclean_start, now);
    }
    route_init_lists(route);
    flow_grow(flow, route);
    return route;
}

static void groups_free(struct route *route)
{
    size_t cursor = 0;
    void *group;

    while (map_each(&route->groups, &cursor, &(struct str){0}, &group)) {
        free(group);
    }
    map_done(&route->groups);
}

void route_free(struct route *route)
{
    for (int state = MESSAGE_BUFFERED; state < MESSAGE_STATE__COUNT; state++) {
        LIST_FOR(&route->lists[state], node)
        {
            struct message *message = LIST_ENTRY(node, struct message, node);
            list_remove(&route->lists[state], node);
            message_free(message);
        }
    }
    groups_free(route);
    lanes_done(route);
    heap_done(&route->deadlines);
    heap_done(&route->leases);
    if (route->has_share) {
        concurrency_done(&route->share);
    }
    share_done(route);
    free(route->name);
    free(route);
}

void flow_route_pause(struct route *route, bool paused)
{
    route->paused = paused;
}

void flow_route_dead_letter(struct route *route, bool has_dead_letter)
{
    route->config.has_dead_letter = has_dead_letter;
}

struct route *flow_route_find(const struct flow *flow, const char *name)
{
    for (uint32_t i = 0; i < flow->route_count; i++) {
        if (strcmp(flow->routes[i]->config.name, name) == 0) {
            return flow->routes[i];
        }
    }
    return NULL;
}

struct route *flow_route_at(const struct flow *flow, uint32_t index)
{
    return index < flow->route_count ? flow->routes[index] : NULL;
}

const struct route_config *flow_route_config(const struct route *route)
{
    return &route->config;
}

mono_ns flow_route_gated_until(const struct route *route)
{
    return route->gate_until;
}

void flow_route_stats(const struct route *route, struct route_stats *ret)
{
    *ret = (struct route_stats){
        .paused = route->paused,
        .draining = route->draining,
        .blocked_by = route->lists[MESSAGE_READY].count > 0 ? route->blocked_by
                      : route->parked > 0                   ? LIMIT_REASON_RETRY_BUDGET
                                                            : LIMIT_REASON_NONE,
        .started = route->started,
        .received = route->received,
        .retries = route->retries,
        .leases_lost = route->leases_lost,
        .receiving = route->receiving,
        .waits_handed_back = route->waits_handed_back,
    };
    for (int state = 0; state < MESSAGE_STATE__COUNT; state++) {
        ret->held[state] = (uint32_t)route->lists[state].count;
    }
    memcpy(ret->throttle_wait_ns, route->throttle_wait_ns, sizeof(ret->throttle_wait_ns));
    memcpy(ret->settled, route->settled, sizeof(ret->settled));
    memcpy(ret->outcomes, route->outcomes, sizeof(ret->outcomes));
}

void route_account(struct route *route, mono_ns now)
{
    int64_t passed = now - route->accounted_at;

    if (passed > 0) {
        int64_t waiting = (int64_t)route->lists[MESSAGE_READY].count;
        route->throttle_wait_ns[route->blocked_by] += passed * waiting;
        route->throttle_wait_ns[LIMIT_REASON_RETRY_BUDGET] += passed * (int64_t)route->parked;
        route->accounted_at = now;
    }
}

/* ---- admission ---- */

static struct limit_verdict no(enum limit_reason reason, mono_ns at)
{
    return (struct limit_verdict){.admit = false, .reason = reason, .at = at};
}

/* A heavier call that has waited longer for permits of the same limit goes first; otherwise light
 * calls would take every permit as it comes free. */
static const struct reservation *reserved_by(const struct route *route)
{
    const struct flow *flow = route->flow;

    for (uint32_t i = 0; i < flow->reservation_count; i++) {
        const struct reservation *r = &flow->reservations[i];
        for (uint32_t j = 0; r->weight > route->config.weight && j < route->config.limits.count;
             j++) {
            if (route->config.limits.limits[j] == r->limit) {
                return r;
            }
        }
    }
    return NULL;
}

struct limit_verdict route_admit_own(struct route *route, mono_ns now)
{
    struct target *target = route->config.target;

    if (route->paused) {
        return no(LIMIT_REASON_PAUSED, MONO_NEVER);
    }
    if (!target->available) {
        return no(LIMIT_REASON_UNAVAILABLE, MONO_NEVER);
    }
    struct limit_verdict verdict = health_admit(route, now);
    if (!verdict.admit) {
        return verdict;
    }
    if (route->gate_until > now) {
        return no(LIMIT_REASON_GATE, route->gate_until);
    }
    if (!route->has_share) {
        return (struct limit_verdict){.admit = true, .at = now};
    }
    verdict = concurrency_check(&route->share, now);
    if (!verdict.admit && verdict.reason == LIMIT_REASON_CONCURRENCY) {
        verdict.reason = LIMIT_REASON_ROUTE_CONCURRENCY;
    }
    return verdict;
}

struct limit_verdict route_admit(struct route *route, mono_ns now)
{
    struct limit_verdict verdict = route_admit_own(route, now);

    route->waits_for = NULL;
    if (!verdict.admit) {
        return verdict;
    }
    verdict = concurrency_check(&route->config.target->concurrency, now);
    if (!verdict.admit) {
        route->waits_for = route->config.target;
        return verdict;
    }
    const struct reservation *reservation = reserved_by(route);
    if (reservation != NULL) {
        route->waits_for = reservation->limit;
        return no(LIMIT_REASON_PERMIT, reservation->until);
    }
    uint32_t index = 0;
    verdict = limit_set_slowest(&route->config.limits, route->config.weight, now, &index);
    if (!verdict.admit) {
        route->waits_for = route->config.limits.limits[index];
    }
    return verdict;
}

void route_reserve(struct route *route, mono_ns now)
{
    struct flow *flow = route->flow;

    for (uint32_t i = 0; i < route->config.limits.count; i++) {
        struct limit *limit = route->config.limits.limits[i];
        struct limit_verdict verdict = limit_check(limit, route->config.weight, now);
        if (!verdict.admit) {
            flow->reservations[flow->reservation_count++] =
                (struct reservation){limit, route->config.weight, verdict.at};
        }
    }
}
