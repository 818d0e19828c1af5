/*
 * adaptive: a concurrency below the configured one that a target of unknown capacity can take:
 * additive increase, multiplicative decrease, as TCP has it.
 *
 * A success adds 1/limit, so a round of calls adds one, but only when half of the limit or more was
 * in use: what is not used proves nothing; and not while the rate limit is what holds calls back.
 * A throttled answer or a timeout takes a tenth, once for all the calls that were under way when it
 * did: they bring the same news. It starts at min(10, bound). Other failures say nothing about
 * capacity. Pure, one thread, open struct to embed.
 */
#ifndef SLUICE_LIMIT_ADAPTIVE_H
#define SLUICE_LIMIT_ADAPTIVE_H

#include "sluice/base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define ADAPTIVE_START 10u

struct adaptive {
    uint32_t most; /* the configured concurrency */
    double limit;  /* 1 … most */
    mono_ns decreased_at;
};

/* most >= 1. */
void adaptive_init(struct adaptive *a, uint32_t most, mono_ns now);
/* A call succeeded while used (itself included) were in flight; held_back: by the rate limit. */
void adaptive_succeeded(struct adaptive *a, uint32_t used, bool held_back);
/* A call that started at that time met a target that has too much to do. */
void adaptive_overloaded(struct adaptive *a, mono_ns started_at, mono_ns now);
/* Calls that may be in flight now: 1 … most. */
uint32_t adaptive_bound(const struct adaptive *a);

#endif
