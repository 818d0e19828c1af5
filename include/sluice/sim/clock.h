/*
 * clock: virtual time. Events in a heap, fired in order of their time (equal times: in the order
 * they were set). Hours pass in milliseconds and every run is the same. Pure, one thread.
 */
#ifndef SLUICE_SIM_CLOCK_H
#define SLUICE_SIM_CLOCK_H

#include "sluice/base/clock.h"
#include "sluice/base/heap.h"

struct sim_event { /* zeroed, then callback and context; embedded by its owner */
    struct heap_node node;
    void (*fire)(void *context, mono_ns now);
    void *context;
};

struct sim_clock {
    mono_ns now;
    struct heap events;
};

void sim_clock_init(struct sim_clock *clock, mono_ns start);
void sim_clock_done(struct sim_clock *clock);
/* At that time, or now when it has passed; moves an event that is set. */
void sim_clock_set(struct sim_clock *clock, struct sim_event *event, mono_ns at);
void sim_clock_clear(struct sim_clock *clock, struct sim_event *event);
/* Time of the next event; MONO_NEVER: none. */
mono_ns sim_clock_next(const struct sim_clock *clock);
/* Goes to the time of the next event and fires every event of that time, also those set meanwhile.
 */
void sim_clock_step(struct sim_clock *clock);

#endif
