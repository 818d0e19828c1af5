#include "sluice/sim/clock.h"

#include "sluice/base/err.h"

void sim_clock_init(struct sim_clock *clock, mono_ns start)
{
    clock->now = start;
    heap_init(&clock->events);
}

void sim_clock_done(struct sim_clock *clock)
{
    heap_done(&clock->events);
}

void sim_clock_set(struct sim_clock *clock, struct sim_event *event, mono_ns at)
{
    heap_set(&clock->events, &event->node, mono_max(at, clock->now));
}

void sim_clock_clear(struct sim_clock *clock, struct sim_event *event)
{
    heap_remove(&clock->events, &event->node);
}

mono_ns sim_clock_next(const struct sim_clock *clock)
{
    const struct heap_node *first = heap_first(&clock->events);

    return first == NULL ? MONO_NEVER : first->key;
}

void sim_clock_step(struct sim_clock *clock)
{
    struct heap_node *node = heap_first(&clock->events);

    if (node == NULL) {
        return;
    }
    clock->now = node->key;
    while ((node = heap_first(&clock->events)) != NULL && node->key == clock->now) {
        struct sim_event *event = SL_CONTAINER_OF(node, struct sim_event, node);
        heap_remove(&clock->events, node);
        event->fire(event->context, clock->now);
    }
}
