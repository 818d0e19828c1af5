#include "sluice/limit/concurrency.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

void concurrency_init(struct concurrency *c, uint32_t bound, int64_t abort_hold_ns, bool unclean,
                      mono_ns now)
{
    SL_ASSERT(bound >= 1 && bound <= CONCURRENCY_MAX && abort_hold_ns >= 0);
    *c = (struct concurrency){
        .bound = bound,
        .abort_hold_ns = abort_hold_ns,
        .cold_until = unclean ? mono_add(now, abort_hold_ns) : now,
    };
    if (abort_hold_ns > 0) { /* otherwise nothing ever lingers */
        c->lingering = MEM_NEW_ARRAY(bound, mono_ns);
        c->lingering_capacity = bound;
    }
}

void concurrency_done(struct concurrency *c)
{
    free(c->lingering);
    *c = (struct concurrency){0};
}

static mono_ns *lingering_at(const struct concurrency *c, uint32_t index)
{
    return &c->lingering[(c->lingering_first + index) % c->lingering_capacity];
}

static void drop_ended(struct concurrency *c, mono_ns now)
{
    while (c->lingering_count > 0 && *lingering_at(c, 0) <= now) {
        c->lingering_first = (c->lingering_first + 1) % c->lingering_capacity;
        c->lingering_count--;
    }
}

uint32_t concurrency_used(struct concurrency *c, mono_ns now)
{
    drop_ended(c, now);
    return c->in_flight + c->lingering_count;
}

bool concurrency_is_quiet(struct concurrency *c, mono_ns now)
{
    return concurrency_used(c, now) == 0 && now >= c->cold_until;
}

struct limit_verdict concurrency_check(struct concurrency *c, mono_ns now)
{
    struct limit_verdict verdict = {.reason = LIMIT_REASON_CONCURRENCY, .at = MONO_NEVER};
    uint32_t used = concurrency_used(c, now);

    if (now < c->cold_until) {
        verdict.reason = LIMIT_REASON_COLD;
        verdict.at = c->cold_until;
    } else if (used < c->bound) {
        verdict = (struct limit_verdict){.admit = true, .reason = LIMIT_REASON_NONE, .at = now};
    } else if (used - c->bound < c->lingering_count) {
        /* That many and one more have to end. */
        verdict.at = *lingering_at(c, used - c->bound);
    }
    return verdict;
}

void concurrency_take(struct concurrency *c)
{
    SL_ASSERT(c->in_flight + c->lingering_count < c->bound);
    c->in_flight++;
}

void concurrency_end(struct concurrency *c, bool responded, mono_ns now)
{
    SL_ASSERT(c->in_flight > 0);
    drop_ended(c, now);
    c->in_flight--;
    if (responded || c->abort_hold_ns == 0) {
        return;
    }
    mono_ns end = mono_add(now, c->abort_hold_ns);
    if (c->lingering_count > 0) { /* the ring stays ordered though a caller's clock went back */
        end = mono_max(end, *lingering_at(c, c->lingering_count - 1));
    }
    SL_ASSERT(c->lingering_count < c->lingering_capacity);
    c->lingering_count++;
    *lingering_at(c, c->lingering_count - 1) = end;
}

void concurrency_resize(struct concurrency *c, uint32_t bound)
{
    SL_ASSERT(bound >= 1 && bound <= CONCURRENCY_MAX);
    c->bound = bound;
    if (c->abort_hold_ns == 0 || bound <= c->lingering_capacity) {
        return;
    }
    mono_ns *ring = MEM_NEW_ARRAY(bound, mono_ns);
    for (uint32_t i = 0; i < c->lingering_count; i++) {
        ring[i] = *lingering_at(c, i);
    }
    free(c->lingering);
    c->lingering = ring;
    c->lingering_first = 0;
    c->lingering_capacity = bound;
}
