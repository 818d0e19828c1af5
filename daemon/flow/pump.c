/*
 * One turn: what became due, what may start, what to ask for, and when to look again.
 */
#include "flow_internal.h"

/* Retries and settlements whose time has come. */
static void deadlines_run(struct route *route, uint32_t *budget, mono_ns now)
{
    struct heap_node *first;

    while (*budget > 0 && (first = heap_first(&route->deadlines)) != NULL && first->key <= now) {
        struct message *message = SL_CONTAINER_OF(first, struct message, deadline);
        (*budget)--;
        if (message->state == MESSAGE_WAITING) {
            heap_remove(&route->deadlines, first);
            retry_due(message, now);
        } else {
            settle_run(message, now);
        }
    }
}

/* A draining route hands back what no call runs for. What waits for its retry goes on waiting in
 * the queue: a restart is no reason to call an API earlier that failed, or asked for a pause. */
static void drain_run(struct route *route, uint32_t *budget, mono_ns now)
{
    static const enum message_state states[] = {MESSAGE_READY, MESSAGE_BUFFERED, MESSAGE_WAITING};

    for (size_t i = 0; route->draining && i < SL_COUNT(states); i++) {
        struct list_node *node;
        while (*budget > 0 && (node = list_first(&route->lists[states[i]])) != NULL) {
            (*budget)--;
            struct message *message = LIST_ENTRY(node, struct message, node);
            settle_begin(message, SETTLE_RELEASE, wait_left_ns(message, now), now);
        }
    }
}

static mono_ns heap_deadline(const struct heap *heap)
{
    const struct heap_node *first = heap_first(heap);

    return first == NULL ? MONO_NEVER : first->key;
}

static void route_block(struct route *route, struct limit_verdict verdict, mono_ns now)
{
    route->blocked_by = route->said_no = verdict.reason;
    route->blocked_until = mono_max(verdict.at, now + 1);
}

static void route_block_parked(struct route *route, mono_ns now)
{
    route_block(route,
                (struct limit_verdict){.reason = route->lanes.parked_by,
                                       .at = heap_deadline(&route->lanes.parked)},
                now);
}

/* Starts the route's next message if everything says yes. */
static bool route_start(struct route *route, mono_ns now)
{
    struct message *message;

    while ((message = health_candidate(route)) != NULL) {
        struct lane *lane = message->lane;
        struct limit_verdict verdict = route_admit(route, now);
        if (!verdict.admit) {
            if (verdict.reason == LIMIT_REASON_CLAIM) {
                limit_set_want(&route->config.limits, route->config.weight, now);
            }
            route_block(route, verdict, now);
            if (route->config.weight > 1) {
                route_reserve(route, now);
            }
            return false;
        }
        if (!lane_admit(lane, now)) {
            lane_shed(lane, now);
        } else if (lease_suffices(message, now)) {
            attempt_start(message, now);
            lane_served(lane);
            return true;
        } else {
            lease_park(message, now);
        }
    }
    if (route->lists[MESSAGE_READY].count > 0) {
        route_block_parked(route, now);
    }
    return false;
}

/* Who takes part in this turn, of those with something to call. */
static void turns_gather(struct flow *flow, mono_ns now)
{
    for (uint32_t i = 0; i < flow->route_count; i++) {
        struct route *route = flow->routes[i];
        struct heap *turns = &flow->turns[route->config.priority];
        struct limit_verdict verdict = {.admit = false, .reason = LIMIT_REASON_NONE};
        lanes_wake(route, now);
        if (lanes_first(route) != NULL) {
            verdict = route_admit_own(route, now);
            if (!verdict.admit) {
                route_block(route, verdict, now);
            }
        } else if (route->lists[MESSAGE_READY].count > 0) {
            route_block_parked(route, now);
        }
        share_contend(route, verdict.admit, now);
        if (verdict.admit) {
            heap_set(turns, &route->turn, route->service);
        } else {
            heap_remove(turns, &route->turn);
        }
    }
}

/*
 * The highest priority first, and in it the route with the least service. A start only takes: a
 * route found blocked stays so for this turn and is left out.
 */
static void starts_run(struct flow *flow, uint32_t *budget, mono_ns now)
{
    struct heap_node *first;

    flow->reservation_count = 0;
    turns_gather(flow, now);
    for (uint32_t priority = ROUTE_PRIORITY_MAX + 1; priority-- > 0;) {
        struct heap *turns = &flow->turns[priority];
        while (*budget > 0 && (first = heap_first(turns)) != NULL) {
            struct route *route = SL_CONTAINER_OF(first, struct route, turn);
            if (route_start(route, now)) {
                (*budget)--;
                share_charge(route);
                heap_set(turns, &route->turn, route->service);
            } else {
                heap_remove(turns, &route->turn);
            }
        }
    }
}

static mono_ns route_deadline(const struct route *route)
{
    mono_ns next = mono_min(heap_deadline(&route->deadlines), heap_deadline(&route->leases));

    next = mono_min(next, heap_deadline(&route->lanes.parked));
    return route->lists[MESSAGE_READY].count > 0 ? mono_min(next, route->blocked_until) : next;
}

mono_ns flow_pump(struct flow *flow, uint32_t budget, mono_ns now)
{
    mono_ns next = MONO_NEVER;

    now = flow_time(flow, now);
    for (uint32_t i = 0; i < flow->route_count; i++) {
        struct route *route = flow->routes[i];
        route_account(route, now);
        route->blocked_by = LIMIT_REASON_NONE;
        route->blocked_until = MONO_NEVER;
        leases_run(route, &budget, now);
        drain_run(route, &budget, now);
        waits_run(route, &budget, now);
        deadlines_run(route, &budget, now);
    }
    LIST_FOR(&flow->targets, node)
    {
        struct target *target = LIST_ENTRY(node, struct target, node);
        next = mono_min(next, health_run(target, now));
        retries_run(target, &budget, now);
    }
    starts_run(flow, &budget, now);
    LIST_FOR(&flow->targets, node)
    {
        next = mono_min(next, retries_deadline(LIST_ENTRY(node, struct target, node), now));
    }
    for (uint32_t i = 0; i < flow->route_count; i++) {
        next = mono_min(next, receive_run(flow->routes[i], now));
        next = mono_min(next, route_deadline(flow->routes[i]));
    }
    return budget == 0 ? now : next;
}
