/*
 * concurrency: at most K attempts of a target in flight (invariant I2). An attempt ends at its
 * response, or abort_hold after its socket was closed without one: the API may still be working.
 * A start after an unclean end waits abort_hold too. Pure, one thread, open struct to embed.
 */
#ifndef SLUICE_LIMIT_CONCURRENCY_H
#define SLUICE_LIMIT_CONCURRENCY_H

#include "sluice/limit/limit.h"

#define CONCURRENCY_MAX 100000u

struct concurrency {
    uint32_t bound;
    uint32_t in_flight; /* attempts running */
    int64_t abort_hold_ns;
    mono_ns cold_until;
    mono_ns *lingering; /* private: ring of end times, oldest first */
    uint32_t lingering_first, lingering_count, lingering_capacity;
};

/* unclean: the process before this one did not end in order. */
void concurrency_init(struct concurrency *c, uint32_t bound, int64_t abort_hold_ns, bool unclean,
                      mono_ns now);
void concurrency_done(struct concurrency *c);
struct limit_verdict concurrency_check(struct concurrency *c, mono_ns now);
void concurrency_take(struct concurrency *c);
void concurrency_end(struct concurrency *c, bool responded, mono_ns now);
void concurrency_resize(struct concurrency *c, uint32_t bound);
/* Nothing runs any more as far as one can know, nor does what an earlier process started. */
bool concurrency_is_quiet(struct concurrency *c, mono_ns now);
/* Running plus lingering ones. */
uint32_t concurrency_used(struct concurrency *c, mono_ns now);

#endif
