/*
 * clock: the types of time. Pure code takes `now` as a parameter and calls no clock.
 * mono_ns never steps and never goes back; wall_ms is for what people and other machines read
 * and never decides about a limit or a lease.
 */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t mono_ns;
typedef int64_t wall_ms; /* Unix epoch */

#define MONO_NEVER INT64_MAX
#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_S   INT64_C(1000000000)

/* Saturating: MONO_NEVER stays MONO_NEVER. */
static inline mono_ns mono_add(mono_ns a, int64_t b_ns)
{
    mono_ns sum;
    return __builtin_add_overflow(a, b_ns, &sum) ? MONO_NEVER : sum;
}

static inline mono_ns mono_min(mono_ns a, mono_ns b)
{
    return a < b ? a : b;
}

static inline mono_ns mono_max(mono_ns a, mono_ns b)
{
    return a > b ? a : b;
}

#endif
