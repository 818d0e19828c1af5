/*
 * window: N permits, each remembered by the arrival of its last call. Private to the room; the
 * caller has made sure that time does not go back.
 */
#ifndef SLUICE_LIMIT_WINDOW_H
#define SLUICE_LIMIT_WINDOW_H

#include "stamps.h"

#include "sluice/limit/limit.h"

struct window {
    uint32_t permits;     /* N */
    int64_t hold_ns;      /* W + guard: how long after its arrival a call still counts */
    uint64_t held;        /* permits of calls that are not known to have arrived */
    struct stamps stamps; /* the other permits: arrival of the last call, free hold_ns later */
    mono_ns forgotten;    /* latest arrival that is in stamps no more */
    mono_ns newest;       /* latest arrival that is known of */
};

/* Calls of an earlier process may arrive until quiet_at: as if N did at that moment. */
void window_init(struct window *window, uint32_t permits, int64_t hold_ns, mono_ns quiet_at);
/* That many calls have arrived at `at`, later than all before. More than N: the latest N. */
void window_restore(struct window *window, uint64_t units, mono_ns at);
void window_done(struct window *window);
struct limit_verdict window_check(const struct window *window, uint32_t weight, mono_ns now);
void window_take(struct window *window, uint32_t weight);
/* The call has arrived by `arrival` (which may lie in the future). */
void window_return(struct window *window, uint32_t weight, mono_ns arrival);
/* The call was never made. */
void window_refund(struct window *window, uint32_t weight);
void window_resize(struct window *window, uint32_t permits, int64_t hold_ns);
/* When all permits are free; MONO_NEVER while some are held. */
mono_ns window_free_at(const struct window *window);
uint32_t window_free_permits(const struct window *window, mono_ns now);

#endif
