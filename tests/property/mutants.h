/*
 * mutants: limiters that are known to be wrong, in the ways in which limiters are wrong, each as
 * small as it can be. The first one, the control, is right: permits held until arrival + W, found
 * by linear search; what is wrong with the others is one knob away from it, or another algorithm.
 */
#ifndef SLUICE_TESTS_PROPERTY_MUTANTS_H
#define SLUICE_TESTS_PROPERTY_MUTANTS_H

#include "limiter_harness.h"

#define TOY_PERMITS_MAX 64

enum fault {
    FAULT_NONE,
    FAULT_RATE_AND_BURST, /* token bucket of rate N/W and depth N */
    FAULT_FIXED_WINDOW,
    FAULT_SEND_TIME_LOG,
    FAULT_ROUNDED_DOWN,
    FAULT_RECREDITS, /* an old reading of the clock makes the time since then count again */
    FAULT_NO_COLD_HOLD,
    FAULT_COLD_WITHOUT_FLIGHT,
    FAULT_RESET_ON_RELOAD,
    FAULT_TICK_SHORT,
    FAULT_UNKNOWN_IS_OVER,    /* a call without certainty gives its permit back at once */
    FAULT_UNKNOWN_IS_ARRIVED, /* … or counts as arrived when its socket was reset */
    FAULT_REFUND_OF_ANOTHER,  /* a refund frees the permit that comes free next as well */
    FAULT_BUCKET_FULL,        /* the bucket starts full */
    FAULT_BUCKET_AT_SEND,     /* charged when sent, not when arrived */
    FAULT_BUCKET_RELOAD       /* filled up by a change of its depth */
};

/* ---- permits ---- */

struct toy {
    struct limit_config config;
    enum fault fault;
    mono_ns last;
    uint32_t held, count;
    mono_ns free_at[TOY_PERMITS_MAX]; /* of the permits that are not held */
    /* the other algorithms */
    double tokens;
    mono_ns tat, since;
    uint32_t used;
};

static inline struct toy *toy_new(const struct limit_config *config, mono_ns now, enum fault fault)
{
    struct toy *toy = MEM_NEW(struct toy);
    bool cold = fault != FAULT_NO_COLD_HOLD;
    SL_ASSERT(config->requests <= TOY_PERMITS_MAX / 4);
    *toy = (struct toy){.config = *config, .fault = fault, .last = now, .since = now};
    toy->count = config->requests;
    for (uint32_t i = 0; i < toy->count; i++) {
        toy->free_at[i] = cold ? now + config->per_ns : now;
        toy->free_at[i] += cold && fault != FAULT_COLD_WITHOUT_FLIGHT ? config->max_flight_ns : 0;
    }
    toy->tokens = fault == FAULT_RECREDITS ? 1 : config->requests;
    return toy;
}

static inline void toy_destroy(void *limiter)
{
    free(limiter);
}

static inline mono_ns toy_time(struct toy *toy, mono_ns now)
{
    toy->last = mono_max(toy->last, now);
    return toy->last;
}

static inline struct limit_verdict toy_verdict(bool admit, mono_ns at)
{
    return (struct limit_verdict){
        .admit = admit, .reason = admit ? LIMIT_REASON_NONE : LIMIT_REASON_PERMIT, .at = at};
}

static inline struct limit_verdict toy_check(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    mono_ns next = MONO_NEVER;
    uint32_t free_count = 0;
    now = toy_time(toy, now);
    for (uint32_t i = 0; i < toy->count; i++) {
        if (toy->free_at[i] <= now) {
            free_count++;
        } else {
            next = mono_min(next, toy->free_at[i]);
        }
    }
    bool fits = toy->held + toy->count <= toy->config.requests;
    return toy_verdict(fits && free_count >= weight, next);
}

static inline void toy_take(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    now = toy_time(toy, now);
    for (uint32_t i = 0; i < toy->count && weight > 0;) {
        if (toy->free_at[i] > now) {
            i++;
            continue;
        }
        if (toy->fault == FAULT_SEND_TIME_LOG) {
            toy->free_at[i++] = now + toy->config.per_ns;
        } else {
            toy->free_at[i] = toy->free_at[--toy->count];
            toy->held++;
        }
        weight--;
    }
}

static inline void toy_return(struct toy *toy, uint32_t weight, mono_ns free_at)
{
    for (; weight > 0 && toy->held > 0; weight--) {
        toy->held--;
        if (toy->held + toy->count < toy->config.requests) {
            toy->free_at[toy->count++] = free_at;
        }
    }
}

static inline void toy_arrived(void *limiter, uint32_t weight, mono_ns arrival, mono_ns now)
{
    struct toy *toy = limiter;
    arrival += toy_time(toy, now) - now;
    toy_return(toy, weight,
               arrival + toy->config.per_ns - (toy->fault == FAULT_TICK_SHORT ? 1 : 0));
}

static inline void toy_unknown(void *limiter, uint32_t weight, mono_ns reset_at, mono_ns now)
{
    struct toy *toy = limiter;
    mono_ns free_at = reset_at + toy_time(toy, now) - now;
    free_at += toy->fault == FAULT_UNKNOWN_IS_OVER ? 0 : toy->config.per_ns;
    free_at += toy->fault == FAULT_UNKNOWN_IS_OVER || toy->fault == FAULT_UNKNOWN_IS_ARRIVED
                   ? 0
                   : toy->config.max_flight_ns;
    toy_return(toy, weight, free_at);
}

static inline void toy_refund(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    now = toy_time(toy, now);
    toy_return(toy, weight, now);
    if (toy->fault == FAULT_REFUND_OF_ANOTHER) {
        uint32_t next = 0;
        for (uint32_t i = 1; i < toy->count; i++) {
            bool sooner = toy->free_at[i] < toy->free_at[next] || toy->free_at[next] <= now;
            next = toy->free_at[i] > now && sooner ? i : next;
        }
        if (toy->count > 0) {
            toy->free_at[next] = mono_min(toy->free_at[next], now);
        }
    }
}

/* Right, if slow: as if every permit that is not held had been used just now. */
static inline void toy_resize(void *limiter, const struct limit_config *config, mono_ns now)
{
    struct toy *toy = limiter;
    bool reset = toy->fault == FAULT_RESET_ON_RELOAD;
    now = toy_time(toy, now);
    toy->config = *config;
    toy->count = config->requests > toy->held ? config->requests - toy->held : 0;
    if (reset) {
        toy->held = 0;
        toy->count = config->requests;
    }
    for (uint32_t i = 0; i < toy->count; i++) {
        toy->free_at[i] = reset ? now : now + config->per_ns;
    }
    /* A call may have arrived after its W began here only if it is held; those are counted. An
     * unknown one that is still on its way is not: wait for it as well. */
    for (uint32_t i = 0; i < toy->count && !reset; i++) {
        toy->free_at[i] += config->max_flight_ns;
    }
}

/* ---- token bucket, fixed window, intervals: all of them by the time of sending ---- */

static inline double toy_depth(const struct toy *toy)
{
    return toy->fault == FAULT_RECREDITS ? 1 : (double)toy->config.requests;
}

static inline struct limit_verdict tokens_check(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    double per_token_ns = (double)toy->config.per_ns / toy->config.requests;
    if (toy->fault != FAULT_RECREDITS) {
        now = toy_time(toy, now);
    }
    if (now > toy->since) {
        double tokens = toy->tokens + (double)(now - toy->since) / per_token_ns;
        toy->tokens = tokens < toy_depth(toy) ? tokens : toy_depth(toy);
    }
    toy->since = now; /* back in time as well: from there on it counts again */
    bool admit = toy->tokens >= weight;
    return toy_verdict(admit, now + 1 + (int64_t)((weight - toy->tokens) * per_token_ns));
}

static inline void tokens_take(void *limiter, uint32_t weight, mono_ns now)
{
    (void)now;
    ((struct toy *)limiter)->tokens -= weight;
}

static inline struct limit_verdict fixed_check(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    now = toy_time(toy, now);
    if (now - toy->since >= toy->config.per_ns) {
        toy->since = now - now % toy->config.per_ns;
        toy->used = 0;
    }
    return toy_verdict(toy->used + weight <= toy->config.requests, toy->since + toy->config.per_ns);
}

static inline void fixed_take(void *limiter, uint32_t weight, mono_ns now)
{
    (void)now;
    ((struct toy *)limiter)->used += weight;
}

static inline struct limit_verdict interval_check(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    (void)weight;
    return toy_verdict(toy->tat <= toy_time(toy, now), toy->tat);
}

static inline void interval_take(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    toy->tat = toy_time(toy, now) + weight * (toy->config.per_ns / toy->config.requests);
}

/* ---- the bucket ---- */

static inline int64_t bucket_token_ns(const struct toy *toy)
{
    return (toy->config.per_ns + toy->config.requests - 1) / toy->config.requests;
}

static inline void bucket_empty_at(struct toy *toy, mono_ns at)
{
    toy->tat = at + toy->config.burst * bucket_token_ns(toy);
}

static inline struct limit_verdict toy_bucket_check(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    now = toy_time(toy, now);
    int64_t missing = (int64_t)toy->held + weight - toy->config.burst;
    mono_ns at = mono_max(toy->tat, now) + missing * bucket_token_ns(toy);
    return toy_verdict(at <= now, missing > 0 ? MONO_NEVER : at);
}

static inline void toy_bucket_charge(struct toy *toy, uint32_t weight, mono_ns at)
{
    toy->tat = mono_max(toy->tat, at) + weight * bucket_token_ns(toy);
}

static inline void toy_bucket_take(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    if (toy->fault == FAULT_BUCKET_AT_SEND) {
        toy_bucket_charge(toy, weight, toy_time(toy, now));
    } else {
        toy->held += weight;
    }
}

static inline void toy_bucket_end(struct toy *toy, uint32_t weight, mono_ns at)
{
    if (toy->held >= weight) {
        toy->held -= weight;
        toy_bucket_charge(toy, weight, at);
    }
}

static inline void toy_bucket_arrived(void *limiter, uint32_t weight, mono_ns arrival, mono_ns now)
{
    toy_bucket_end(limiter, weight, arrival + toy_time(limiter, now) - now);
}

static inline void toy_bucket_unknown(void *limiter, uint32_t weight, mono_ns reset_at, mono_ns now)
{
    struct toy *toy = limiter;
    toy_bucket_end(toy, weight, reset_at + toy_time(toy, now) - now + toy->config.max_flight_ns);
}

static inline void toy_bucket_refund(void *limiter, uint32_t weight, mono_ns now)
{
    struct toy *toy = limiter;
    (void)now;
    toy->held -= toy->held >= weight ? weight : 0;
}

/* Right, if slow: empty from now on. */
static inline void toy_bucket_resize(void *limiter, const struct limit_config *config, mono_ns now)
{
    struct toy *toy = limiter;
    int64_t debt_ns = mono_max(toy->tat, toy_time(toy, now)) - toy->last;
    double debt = (double)debt_ns / (double)bucket_token_ns(toy);
    toy->config = *config;
    if (toy->fault == FAULT_BUCKET_RELOAD) {
        toy->tat = toy->last;
    } else {
        debt = debt > config->burst ? debt : config->burst;
        toy->tat = toy->last + (int64_t)((debt + 1) * (double)bucket_token_ns(toy));
    }
}

/* ---- the list ---- */

#define TOY_CREATE(name, fault)                                                                    \
    static inline void *name(const struct limit_config *config, mono_ns now)                       \
    {                                                                                              \
        struct toy *toy = toy_new(config, now, fault);                                             \
        if (config->kind == LIMIT_BUCKET && (fault) != FAULT_BUCKET_FULL) {                        \
            bucket_empty_at(toy, now + config->max_flight_ns);                                     \
        }                                                                                          \
        return toy;                                                                                \
    }

TOY_CREATE(create_control, FAULT_NONE)
TOY_CREATE(create_rate_and_burst, FAULT_RATE_AND_BURST)
TOY_CREATE(create_fixed_window, FAULT_FIXED_WINDOW)
TOY_CREATE(create_send_time_log, FAULT_SEND_TIME_LOG)
TOY_CREATE(create_rounded_down, FAULT_ROUNDED_DOWN)
TOY_CREATE(create_recredits, FAULT_RECREDITS)
TOY_CREATE(create_no_cold_hold, FAULT_NO_COLD_HOLD)
TOY_CREATE(create_cold_without_flight, FAULT_COLD_WITHOUT_FLIGHT)
TOY_CREATE(create_reset_on_reload, FAULT_RESET_ON_RELOAD)
TOY_CREATE(create_tick_short, FAULT_TICK_SHORT)
TOY_CREATE(create_unknown_is_over, FAULT_UNKNOWN_IS_OVER)
TOY_CREATE(create_unknown_is_arrived, FAULT_UNKNOWN_IS_ARRIVED)
TOY_CREATE(create_refund_of_another, FAULT_REFUND_OF_ANOTHER)
TOY_CREATE(create_bucket_full, FAULT_BUCKET_FULL)
TOY_CREATE(create_bucket_at_send, FAULT_BUCKET_AT_SEND)
TOY_CREATE(create_bucket_reload, FAULT_BUCKET_RELOAD)

#define TOY_PERMITS(text, create)                                                                  \
    {                                                                                              \
        text, create, toy_destroy, toy_check, toy_take, toy_arrived, toy_unknown, toy_refund,      \
            toy_resize                                                                             \
    }
#define TOY_OTHER(text, create, check, take)                                                       \
    {                                                                                              \
        text, create, toy_destroy, check, take, toy_arrived, toy_unknown, toy_refund, toy_resize   \
    }
#define TOY_BUCKET(text, create)                                                                   \
    {                                                                                              \
        text, create, toy_destroy, toy_bucket_check, toy_bucket_take, toy_bucket_arrived,          \
            toy_bucket_unknown, toy_bucket_refund, toy_bucket_resize                               \
    }

#endif
