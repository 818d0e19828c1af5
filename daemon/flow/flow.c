#include "sluice/flow/flow.h"

#include "flow_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

struct flow *flow_new(const struct flow_ops *ops, void *context, uint64_t seed)
{
    struct flow *flow = MEM_NEW(struct flow);

    flow->ops = ops;
    flow->context = context;
    rng_init(&flow->rng, seed);
    list_init(&flow->targets);
    for (size_t i = 0; i < SL_COUNT(flow->turns); i++) {
        heap_init(&flow->turns[i]);
    }
    return flow;
}

void flow_free(struct flow *flow)
{
    if (flow == NULL) {
        return;
    }
    for (uint32_t i = 0; i < flow->route_count; i++) {
        route_free(flow->routes[i]);
    }
    LIST_FOR(&flow->targets, node)
    {
        target_free(LIST_ENTRY(node, struct target, node));
    }
    for (size_t i = 0; i < SL_COUNT(flow->turns); i++) {
        heap_done(&flow->turns[i]);
    }
    free(flow->routes);
    free(flow->reservations);
    free(flow);
}

mono_ns flow_time(struct flow *flow, mono_ns now)
{
    flow->now = mono_max(flow->now, now);
    return flow->now;
}

void flow_drain(struct flow *flow, mono_ns now)
{
    (void)flow_time(flow, now);
    for (uint32_t i = 0; i < flow->route_count; i++) {
        flow->routes[i]->draining = true;
    }
}

bool flow_is_empty(const struct flow *flow)
{
    for (uint32_t i = 0; i < flow->route_count; i++) {
        if (flow->routes[i]->held > 0) {
            return false;
        }
    }
    return true;
}

bool flow_is_drained(const struct flow *flow)
{
    for (uint32_t i = 0; i < flow->route_count; i++) {
        if (flow->routes[i]->receiving > 0) {
            return false;
        }
    }
    return flow_is_empty(flow);
}

/* ---- invariants ---- */

static void check_message(const struct route *route, const struct message *message)
{
    bool due = heap_is_linked(&message->deadline);

    SL_ASSERT(message->route == route);
    if (message->state == MESSAGE_SETTLING) { /* told the queue, or will, or waits for a lease */
        SL_ASSERT(message->settling ? !due : due || message->extending);
    } else {
        bool parked = list_is_linked(&message->parked);
        SL_ASSERT((due || parked) == (message->state == MESSAGE_WAITING) && !(due && parked));
    }
    if (message->group_state != NULL) {
        bool active = message->group_state->active == message;
        SL_ASSERT(active == !list_is_linked(&message->group_node)); /* I7 */
        SL_ASSERT(active || message->state == MESSAGE_BUFFERED);
    }
}

/* I4: a message is on the list of its state and nowhere else; the lists add up. */
static void check_route(const struct route *route)
{
    size_t sum = 0, parked = 0;

    SL_ASSERT(route->lists[MESSAGE_NEW].count == 0);
    for (int state = MESSAGE_BUFFERED; state < MESSAGE_STATE__COUNT; state++) {
        size_t count = 0;
        LIST_FOR(&route->lists[state], node)
        {
            const struct message *message = LIST_ENTRY(node, struct message, node);
            parked += list_is_linked(&message->parked) ? 1 : 0;
            SL_ASSERT(message->state == (enum message_state)state);
            check_message(route, message);
            count++;
        }
        SL_ASSERT(count == route->lists[state].count);
        sum += count;
    }
    SL_ASSERT(sum == route->held && parked == route->parked);
    lanes_check_invariants(route);
}

/* I2: what runs is counted the same by lists, target and concurrency, and was within the bound when
 * it started. */
static void check_target(const struct flow *flow, const struct target *target)
{
    size_t in_flight = 0;

    for (uint32_t i = 0; i < flow->route_count; i++) {
        const struct route *route = flow->routes[i];
        if (route->config.target == target) {
            in_flight += route->lists[MESSAGE_IN_FLIGHT].count;
        }
    }
    SL_ASSERT(in_flight == target->in_flight);
    SL_ASSERT(in_flight == target->concurrency.in_flight);
    SL_ASSERT(in_flight <= target->bound_at_start);
}

void flow_check_invariants(const struct flow *flow)
{
    for (uint32_t i = 0; i < flow->route_count; i++) {
        check_route(flow->routes[i]);
    }
    LIST_FOR(&flow->targets, node)
    {
        check_target(flow, LIST_ENTRY(node, struct target, node));
    }
}
