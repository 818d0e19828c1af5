/*
 * lease_clock: the time that leases, delays and retention are counted in. Milliseconds since 1970
 * like the wall clock it starts from, but driven by the monotonic clock while the process runs (a
 * step of the wall clock changes no lease) and never behind the newest time stored in the file.
 */
#ifndef SLUICE_QUEUE_LEASE_CLOCK_H
#define SLUICE_QUEUE_LEASE_CLOCK_H

#include "sluice/base/clock.h"

struct lease_clock {
    int64_t base_ms;
    mono_ns base_mono;
};

static inline void lease_clock_init(struct lease_clock *clock, wall_ms wall, int64_t newest_ms,
                                    mono_ns now)
{
    clock->base_ms = wall > newest_ms ? wall : newest_ms;
    clock->base_mono = now;
}

static inline int64_t lease_clock_ms(const struct lease_clock *clock, mono_ns now)
{
    return clock->base_ms + (now - clock->base_mono) / NS_PER_MS;
}

/* The first monotonic time at which lease_clock_ms() is at least ms. */
static inline mono_ns lease_clock_mono(const struct lease_clock *clock, int64_t ms)
{
    int64_t away = ms - clock->base_ms;
    return away >= INT64_MAX / NS_PER_MS ? MONO_NEVER
                                         : mono_add(clock->base_mono, away * NS_PER_MS);
}

#endif
