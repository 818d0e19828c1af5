#include "sluice/limit/limit.h"

/* A claim takes a moment, once the call may begin: anything else that says no comes first. */
static bool waits_longer(const struct limit_verdict *a, const struct limit_verdict *b)
{
    bool a_claims = a->reason == LIMIT_REASON_CLAIM;
    bool b_claims = b->reason == LIMIT_REASON_CLAIM;

    return b->admit || (a_claims == b_claims ? a->at > b->at : b_claims);
}

struct limit_verdict limit_set_slowest(const struct limit_set *set, uint32_t weight, mono_ns now,
                                       uint32_t *ret_index)
{
    struct limit_verdict longest = {.admit = true, .reason = LIMIT_REASON_NONE, .at = now};

    for (uint32_t i = 0; i < set->count; i++) {
        struct limit_verdict verdict = limit_check(set->limits[i], weight, now);
        if (!verdict.admit && waits_longer(&verdict, &longest)) {
            longest = verdict;
            *ret_index = i;
        }
    }
    return longest;
}

struct limit_verdict limit_set_check(const struct limit_set *set, uint32_t weight, mono_ns now)
{
    uint32_t index;

    return limit_set_slowest(set, weight, now, &index);
}

void limit_set_want(const struct limit_set *set, uint32_t weight, mono_ns now)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (limit_check(set->limits[i], weight, now).reason == LIMIT_REASON_CLAIM) {
            limit_claim_want(set->limits[i], weight);
        }
    }
}

void limit_grant_take(struct limit_grant *grant, const struct limit_set *set, uint32_t weight,
                      mono_ns now)
{
    SL_ASSERT(set->count <= LIMIT_SET_MAX);
    *grant = (struct limit_grant){.set = *set, .weight = weight};
    for (uint32_t i = 0; i < set->count; i++) {
        grant->open |= limit_take(set->limits[i], weight, now) ? 1u << i : 0;
    }
}

/* The next limit that is still open, or NULL; closes it. */
static struct limit *close_next(struct limit_grant *grant)
{
    if (grant->open == 0) {
        return NULL;
    }
    uint32_t i = (uint32_t)__builtin_ctz(grant->open);
    grant->open &= grant->open - 1;
    return grant->set.limits[i];
}

void limit_grant_arrived(struct limit_grant *grant, mono_ns arrival, mono_ns now)
{
    for (uint32_t i = 0; i < grant->set.count; i++) {
        struct limit *limit = grant->set.limits[i];
        if ((grant->open & (1u << i)) != 0 && limit_config(limit)->hold == LIMIT_HOLD_ARRIVAL) {
            grant->open &= ~(1u << i);
            limit_arrived(limit, grant->weight, arrival, now);
        }
    }
}

void limit_grant_response(struct limit_grant *grant, mono_ns response, mono_ns now)
{
    for (struct limit *limit = close_next(grant); limit != NULL; limit = close_next(grant)) {
        limit_arrived(limit, grant->weight, response, now);
    }
}

void limit_grant_unknown(struct limit_grant *grant, mono_ns reset_at, mono_ns now)
{
    for (struct limit *limit = close_next(grant); limit != NULL; limit = close_next(grant)) {
        limit_unknown(limit, grant->weight, reset_at, now);
    }
}

void limit_grant_refund(struct limit_grant *grant, mono_ns now)
{
    for (struct limit *limit = close_next(grant); limit != NULL; limit = close_next(grant)) {
        limit_refund(limit, grant->weight, now);
    }
}

void limit_grant_withdraw(struct limit_grant *grant, mono_ns now)
{
    for (struct limit *limit = close_next(grant); limit != NULL; limit = close_next(grant)) {
        limit_withdraw(limit, grant->weight, now);
    }
}
