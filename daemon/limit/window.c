#include "window.h"

/*
 * What is kept is the arrival, not the time at which the permit comes free: a new W then needs no
 * translation, and history stays exact in both directions. The permits not held are always those
 * of the newest arrivals, since a take reuses the oldest. A call older than all of these counts
 * no more at any time at which a permit can be had.
 */
void window_init(struct window *window, uint32_t permits, int64_t hold_ns, mono_ns quiet_at)
{
    *window = (struct window){
        .permits = permits, .hold_ns = hold_ns, .forgotten = quiet_at, .newest = quiet_at};
    stamps_init(&window->stamps, permits);
    stamps_push(&window->stamps, quiet_at, permits);
}

void window_done(struct window *window)
{
    stamps_done(&window->stamps);
}

struct limit_verdict window_check(const struct window *window, uint32_t weight, mono_ns now)
{
    struct limit_verdict no = {.reason = LIMIT_REASON_PERMIT, .at = MONO_NEVER};
    const struct limit_verdict yes = {.admit = true, .reason = LIMIT_REASON_NONE, .at = now};
    const mono_ns until = now - window->hold_ns;
    mono_ns next = stamps_first(&window->stamps);

    /* Fewer than asked for, even if all of them were free: only an arrival can help. */
    if (weight > window->permits || window->stamps.units < weight) {
        return no;
    }
    if (weight == 1 ? next <= until
                    : stamps_until(&window->stamps, until, weight, &next) >= weight) {
        return yes;
    }
    no.at = mono_add(next, window->hold_ns);
    return no;
}

/* Nothing in stamps is older than what was forgotten before (window_return sees to that), so the
 * last one forgotten is the latest. */
static void forget(struct window *window, uint64_t units)
{
    while (units > 0) {
        uint32_t max = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
        units -= stamps_pop(&window->stamps, max, &window->forgotten);
    }
}

void window_take(struct window *window, uint32_t weight)
{
    SL_ASSERT(window->stamps.units >= weight);
    forget(window, weight);
    window->held += weight;
}

/* After a resize to fewer permits those in excess go, oldest first, as soon as they are back. */
static void trim(struct window *window)
{
    uint64_t owned = window->held + window->stamps.units;
    if (owned > window->permits) {
        uint64_t excess = owned - window->permits;
        forget(window, excess < window->stamps.units ? excess : window->stamps.units);
    }
}

/*
 * An arrival that is older than one forgotten takes the place of that one: only after a resize to
 * fewer permits can this matter, when what was forgotten may still lie within the window. At any
 * other time all that is forgotten is older than the window anyway.
 */
void window_return(struct window *window, uint32_t weight, mono_ns arrival)
{
    SL_ASSERT(window->held >= weight);
    window->held -= weight;
    stamps_push(&window->stamps, mono_max(arrival, window->forgotten), weight);
    window->newest = mono_max(window->newest, arrival);
    trim(window);
}

void window_refund(struct window *window, uint32_t weight)
{
    window_return(window, weight, window->forgotten);
}

/* Permits that are added were used last, at the latest, by the newest call that is forgotten. */
void window_resize(struct window *window, uint32_t permits, int64_t hold_ns)
{
    uint64_t owned = window->held + window->stamps.units;

    window->permits = permits;
    window->hold_ns = hold_ns;
    stamps_reserve(&window->stamps, permits);
    if (permits > owned) {
        stamps_push(&window->stamps, window->forgotten, permits - (uint32_t)owned);
    }
    trim(window);
}

mono_ns window_free_at(const struct window *window)
{
    return window->held > 0 ? MONO_NEVER : mono_add(window->newest, window->hold_ns);
}

void window_restore(struct window *window, uint64_t units, mono_ns at)
{
    uint32_t weight = units < window->permits ? (uint32_t)units : window->permits;
    if (weight > 0) {
        window_take(window, weight);
        window_return(window, weight, at);
    }
}

uint32_t window_free_permits(const struct window *window, mono_ns now)
{
    mono_ns next;
    return (uint32_t)stamps_until(&window->stamps, now - window->hold_ns, UINT64_MAX, &next);
}
