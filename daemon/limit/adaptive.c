#include "sluice/limit/adaptive.h"

#include "sluice/base/err.h"

#define DECREASE 0.9

void adaptive_init(struct adaptive *a, uint32_t most, mono_ns now)
{
    SL_ASSERT(most >= 1);
    *a = (struct adaptive){
        .most = most, .limit = most < ADAPTIVE_START ? most : ADAPTIVE_START, .decreased_at = now};
}

void adaptive_succeeded(struct adaptive *a, uint32_t used, bool held_back)
{
    if (held_back || 2.0 * used < a->limit) {
        return;
    }
    a->limit += 1 / a->limit;
    if (a->limit > a->most) {
        a->limit = a->most;
    }
}

void adaptive_overloaded(struct adaptive *a, mono_ns started_at, mono_ns now)
{
    if (started_at < a->decreased_at) {
        return;
    }
    a->decreased_at = now;
    a->limit *= DECREASE;
    if (a->limit < 1) {
        a->limit = 1;
    }
}

uint32_t adaptive_bound(const struct adaptive *a)
{
    return (uint32_t)a->limit;
}
