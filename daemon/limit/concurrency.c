#include "sluice/limit/concurrency.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

void concurrency_init(struct concurrency *c, uint32_t bound, int64_t abort_hold_ns, bool unclean,
                      mono_ns now)
{
    *c = (struct concurrency){.bound = bound,
                              .abort_hold_ns = abort_hold_ns,
                              .cold_until = unclean ? mono_add(now, abort_hold_ns) : now};
    if (abort_hold_ns > 0) {
        c->lingering_capacity = bound;
        c->lingering = MEM_NEW_ARRAY(bound, mono_ns);
    }
}

void concurrency_done(struct concurrency *c)
{
    free(c->lingering);
    c->lingering = NULL;
}

/* Forgets what the API has certainly given up. */
static void expire(struct concurrency *c, mono_ns now)
{
    while (c->lingering_count > 0 && c->lingering[c->lingering_first] <= now) {
        c->lingering_first = (c->lingering_first + 1) % c->lingering_capacity;
        c->lingering_count--;
    }
}

struct limit_verdict concurrency_check(struct concurrency *c, mono_ns now)
{
    struct limit_verdict wait = {
        .admit = false, .reason = LIMIT_REASON_CONCURRENCY, .at = MONO_NEVER};

    if (now < c->cold_until) {
        wait.at = c->cold_until;
        return wait;
    }
    if (concurrency_used(c, now) < c->bound) {
        return (struct limit_verdict){.admit = true, .reason = LIMIT_REASON_NONE, .at = now};
    }
    if (c->lingering_count > 0) {
        wait.at = c->lingering[c->lingering_first];
    }
    return wait;
}

void concurrency_take(struct concurrency *c)
{
    c->in_flight++;
}

/* After a resize to less, more may linger than the ring had room for. */
static void make_room(struct concurrency *c)
{
    uint32_t capacity = c->lingering_capacity * 2 + 1;
    mono_ns *ring;

    if (c->lingering_count < c->lingering_capacity) {
        return;
    }
    ring = MEM_NEW_ARRAY(capacity, mono_ns);
    for (uint32_t i = 0; i < c->lingering_count; i++) {
        ring[i] = c->lingering[(c->lingering_first + i) % c->lingering_capacity];
    }
    free(c->lingering);
    c->lingering = ring;
    c->lingering_first = 0;
    c->lingering_capacity = capacity;
}

void concurrency_end(struct concurrency *c, bool responded, mono_ns now)
{
    SL_ASSERT(c->in_flight > 0);
    c->in_flight--;
    expire(c, now);
    if (!responded && c->abort_hold_ns > 0) {
        make_room(c);
        c->lingering[(c->lingering_first + c->lingering_count++) % c->lingering_capacity] =
            mono_add(now, c->abort_hold_ns);
    }
}

void concurrency_resize(struct concurrency *c, uint32_t bound)
{
    c->bound = bound;
}

uint32_t concurrency_used(struct concurrency *c, mono_ns now)
{
    expire(c, now);
    return c->in_flight + c->lingering_count;
}
