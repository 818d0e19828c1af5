#include "sluice/limit/limit.h"

struct limit_verdict limit_set_check(const struct limit_set *set, uint32_t weight, mono_ns now)
{
    struct limit_verdict verdict = {.admit = true, .reason = LIMIT_REASON_NONE, .at = now};

    for (uint32_t i = 0; i < set->count; i++) {
        struct limit_verdict one = limit_check(set->limits[i], weight, now);
        if (!one.admit && (verdict.admit || one.at > verdict.at)) {
            verdict = one;
        }
    }
    return verdict;
}

void limit_set_take(const struct limit_set *set, uint32_t weight, mono_ns now)
{
    for (uint32_t i = 0; i < set->count; i++) {
        limit_take(set->limits[i], weight, now);
    }
}

void limit_grant_take(struct limit_grant *grant, const struct limit_set *set, uint32_t weight,
                      mono_ns now)
{
    limit_set_take(set, weight, now);
    grant->set = *set;
    grant->weight = weight;
    grant->open = (1u << set->count) - 1;
}

/* The next limit of the grant that was not settled yet, marked as settled; NULL: none. */
static struct limit *next_open(struct limit_grant *grant, uint32_t *i, bool arrival_only)
{
    for (; *i < grant->set.count; (*i)++) {
        struct limit *limit = grant->set.limits[*i];
        bool wanted = !arrival_only || limit_config(limit)->hold == LIMIT_HOLD_ARRIVAL;
        if ((grant->open >> *i & 1u) && wanted) {
            grant->open &= ~(1u << *i);
            return limit;
        }
    }
    return NULL;
}

void limit_grant_arrived(struct limit_grant *grant, mono_ns arrival, mono_ns now)
{
    struct limit *limit;

    for (uint32_t i = 0; (limit = next_open(grant, &i, true)) != NULL;) {
        limit_arrived(limit, grant->weight, arrival, now);
    }
}

void limit_grant_response(struct limit_grant *grant, mono_ns response, mono_ns now)
{
    struct limit *limit;

    for (uint32_t i = 0; (limit = next_open(grant, &i, false)) != NULL;) {
        limit_arrived(limit, grant->weight, response, now);
    }
}

void limit_grant_unknown(struct limit_grant *grant, mono_ns reset_at, mono_ns now)
{
    struct limit *limit;

    for (uint32_t i = 0; (limit = next_open(grant, &i, false)) != NULL;) {
        limit_unknown(limit, grant->weight, reset_at, now);
    }
}

void limit_grant_refund(struct limit_grant *grant, mono_ns now)
{
    struct limit *limit;

    for (uint32_t i = 0; (limit = next_open(grant, &i, false)) != NULL;) {
        limit_refund(limit, grant->weight, now);
    }
}
