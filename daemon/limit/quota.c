#include "quota.h"

/*
 * The target's clock is not ours: within LIMIT_QUOTA_SLACK_NS of a boundary a call may fall on
 * either side of it and is charged on both. What is under way when the next period opens may still
 * arrive in it and is charged there as well, until its arrival is known to have been earlier. So
 * whatever is held is charged in every open period: that makes a refund simple and a period exact.
 */

static bool is_known(const struct quota_period *period)
{
    return period->when.id != LIMIT_PERIOD_NONE;
}

static uint32_t open_count(const struct quota *quota)
{
    return quota->next_open ? 2 : 1;
}

static void forget_next(struct quota *quota)
{
    quota->periods[1] = (struct quota_period){.when = {.id = LIMIT_PERIOD_NONE}};
    quota->next_open = false;
}

void quota_init(struct quota *quota, uint32_t requests)
{
    *quota = (struct quota){.requests = requests};
    quota->periods[0].when.id = LIMIT_PERIOD_NONE;
    forget_next(quota);
}

static void open_next(struct quota *quota)
{
    if (!quota->next_open) {
        quota->next_open = true;
        quota->periods[1].charged += quota->held + quota->lost[0].units + quota->lost[1].units;
    }
}

static void move_on(struct quota *quota)
{
    open_next(quota);
    quota->periods[0] = quota->periods[1];
    forget_next(quota);
}

static void settle_lost(struct quota *quota, mono_ns now)
{
    for (int i = 0; i < 2 && quota->lost[0].until <= now; i++) {
        quota->lost[0] = quota->lost[1];
        quota->lost[1] = (struct quota_lost){0, now};
    }
}

/* Before every event: what opened or closed since the last one did so without calls in between. */
static void advance(struct quota *quota, mono_ns now)
{
    mono_ns opens_at = quota->periods[1].when.start - LIMIT_QUOTA_SLACK_NS;

    if (is_known(&quota->periods[1]) && now >= opens_at) {
        settle_lost(quota, opens_at - 1); /* those that may arrive from then on count for it */
        open_next(quota);
        if (now >= mono_add(quota->periods[0].when.end, LIMIT_QUOTA_SLACK_NS)) {
            move_on(quota);
        }
    }
    settle_lost(quota, now);
}

void quota_set_periods(struct quota *quota, const struct limit_period periods[2], mono_ns now)
{
    struct quota_period *p = quota->periods;

    advance(quota, now);
    if (is_known(&p[0]) && periods[0].id < p[0].when.id) {
        return; /* what is over never begins again */
    }
    if (is_known(&p[0]) && periods[0].id == p[1].when.id) {
        p[0].when.end = periods[0].start;
        p[1].when = periods[0];
        advance(quota, now);
        if (p[0].when.id != periods[0].id) {
            return; /* both count yet */
        }
    } else if (is_known(&p[0]) && periods[0].id > p[0].when.id) {
        forget_next(quota); /* a leap over whole periods */
        move_on(quota);
    }
    p[0].when = periods[0];
    if (is_known(&p[1]) && p[1].when.id != periods[1].id) {
        forget_next(quota);
    }
    p[1].when = periods[1];
    advance(quota, now);
}

void quota_restore(struct quota *quota, const uint64_t used[2], uint64_t outstanding,
                   mono_ns quiet_at)
{
    for (uint32_t i = 0; i < 2; i++) {
        quota->periods[i].charged += used[i];
    }
    for (uint32_t i = 0; i < open_count(quota); i++) {
        quota->periods[i].charged += outstanding;
    }
    quota->lost[1].units += outstanding;
    quota->lost[1].until = mono_max(quota->lost[1].until, quiet_at);
}

struct limit_verdict quota_check(struct quota *quota, uint32_t weight, mono_ns now)
{
    struct limit_verdict verdict = {.admit = true, .reason = LIMIT_REASON_NONE, .at = now};
    const struct limit_verdict never = {.reason = LIMIT_REASON_QUOTA, .at = MONO_NEVER};
    const struct quota_period *p = quota->periods;

    advance(quota, now);
    if (weight > quota->requests || !is_known(&p[0])) {
        return never;
    }
    if (!is_known(&p[1]) && now >= p[0].when.end - LIMIT_QUOTA_SLACK_NS) {
        return never; /* it would count for a period that is not known yet */
    }
    for (uint32_t i = 0; i < open_count(quota); i++) {
        if (p[i].charged + weight > quota->requests) {
            verdict = (struct limit_verdict){
                .reason = LIMIT_REASON_QUOTA,
                .at = mono_add(p[i].when.end, LIMIT_QUOTA_SLACK_NS),
            };
        }
    }
    return verdict;
}

void quota_take(struct quota *quota, uint32_t weight, mono_ns now)
{
    advance(quota, now);
    for (uint32_t i = 0; i < open_count(quota); i++) {
        quota->periods[i].charged += weight;
    }
    quota->held += weight;
}

static void release(struct quota *quota, uint32_t weight)
{
    SL_ASSERT(quota->held >= weight);
    quota->held -= weight;
}

static void uncharge(struct quota_period *period, uint32_t weight)
{
    SL_ASSERT(period->charged >= weight);
    period->charged -= weight;
}

void quota_arrived(struct quota *quota, uint32_t weight, mono_ns arrival, mono_ns now)
{
    advance(quota, now);
    release(quota, weight);
    for (uint32_t i = 0; i < open_count(quota); i++) {
        if (arrival < quota->periods[i].when.start - LIMIT_QUOTA_SLACK_NS) {
            uncharge(&quota->periods[i], weight);
        }
    }
}

/* Two lots, so that the older one ends though losses go on and on. */
void quota_unknown(struct quota *quota, uint32_t weight, mono_ns by, mono_ns now)
{
    advance(quota, now);
    release(quota, weight);
    quota->lost[1].units += weight;
    quota->lost[1].until = mono_max(quota->lost[1].until, by);
}

void quota_refund(struct quota *quota, uint32_t weight, mono_ns now)
{
    advance(quota, now);
    release(quota, weight);
    for (uint32_t i = 0; i < open_count(quota); i++) {
        uncharge(&quota->periods[i], weight);
    }
}

uint32_t quota_free_permits(struct quota *quota, mono_ns now)
{
    uint64_t charged = 0;

    advance(quota, now);
    if (!is_known(&quota->periods[0])) {
        return 0;
    }
    for (uint32_t i = 0; i < open_count(quota); i++) {
        charged = quota->periods[i].charged > charged ? quota->periods[i].charged : charged;
    }
    return charged < quota->requests ? quota->requests - (uint32_t)charged : 0;
}

void quota_record(struct quota *quota, struct limit_record *ret, mono_ns now)
{
    advance(quota, now);
    uint64_t uncertain = quota->held + quota->lost[0].units + quota->lost[1].units;

    ret->outstanding = uncertain;
    ret->period_count = open_count(quota);
    for (uint32_t i = 0; i < ret->period_count; i++) {
        ret->periods[i].id = quota->periods[i].when.id;
        ret->periods[i].used = quota->periods[i].charged - uncertain;
    }
}
