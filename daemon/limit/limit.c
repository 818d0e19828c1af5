#include "sluice/limit/limit.h"

#include "returning.h"
#include "sluice/base/mem.h"

#include <stdlib.h>

/* Catching up after a late timer: stingier costs throughput, and safety never depends on it. */
#define PACER_TOLERANCE_MIN_NS (10 * NS_PER_MS)
/* Keeps every product of a weight and an interval far from overflow. */
#define HORIZON_MAX_NS (INT64_MAX / 8)

struct limit {
    struct limit_config config;
    int64_t interval_ns; /* T = W / N, rounded up */
    mono_ns now;         /* the newest time seen */
    mono_ns cold_until, gate_until;
    /* Theoretical arrival time of GCRA: of the pacer (window), of the target's bucket (bucket). */
    mono_ns tat;
    uint32_t held;              /* units taken, arrival not certain */
    struct returning returning; /* window: until free; bucket: until known to have arrived */
};

const char *limit_reason_name(enum limit_reason reason)
{
    static const char *const names[] = {
#define XX(name, text) text,
        LIMIT_REASON_MAP(XX)
#undef XX
    };
    return reason >= 0 && reason < LIMIT_REASON__COUNT ? names[reason] : "unknown";
}

static int64_t interval_of(const struct limit_config *config)
{
    return (config->per_ns + config->requests - 1) / config->requests;
}

int limit_config_check(const struct limit_config *config, struct error *e)
{
    if (config->requests < 1 || config->requests > LIMIT_REQUESTS_MAX) {
        return error_set(e, ERR_RANGE, "requests", "%u requests: allowed are 1 to %u",
                         config->requests, LIMIT_REQUESTS_MAX);
    }
    if (config->per_ns < NS_PER_MS || config->per_ns > HORIZON_MAX_NS / 4) {
        return error_set(e, ERR_RANGE, "per", "a window of %lld ns: allowed is 1ms or more",
                         (long long)config->per_ns);
    }
    if (config->guard_ns < 0 || config->guard_ns > config->per_ns * 100 ||
        config->max_flight_ns < 0 || config->max_flight_ns > HORIZON_MAX_NS / 4) {
        return error_set(e, ERR_RANGE, "guard",
                         "guard and max_flight may not be negative or out of proportion");
    }
    if (config->kind == LIMIT_BUCKET &&
        (config->burst < 1 || config->burst > LIMIT_REQUESTS_MAX ||
         interval_of(config) > HORIZON_MAX_NS / 4 / config->burst)) {
        return error_set(e, ERR_RANGE, "burst", "a burst of %u: allowed are 1 to %u", config->burst,
                         LIMIT_REQUESTS_MAX);
    }
    return 0;
}

/* How many entries can be on their way back: one a permit, and one for what a resize holds back. */
static uint32_t capacity_of(const struct limit_config *config)
{
    return (config->kind == LIMIT_BUCKET ? config->burst : config->requests) + 1;
}

int limit_new(const struct limit_config *config, mono_ns now, struct limit **ret)
{
    struct limit *limit;
    int error = limit_config_check(config, NULL);

    if (error != 0) {
        return error;
    }
    limit = MEM_NEW(struct limit);
    limit->config = *config;
    limit->interval_ns = interval_of(config);
    limit->now = now;
    returning_init(&limit->returning, capacity_of(config));
    limit->cold_until = mono_add(now, config->max_flight_ns + config->guard_ns);
    if (config->kind == LIMIT_BUCKET) {
        /* Empty at the last moment at which calls of an earlier process may arrive. */
        limit->tat = limit->cold_until + (int64_t)config->burst * limit->interval_ns;
    } else {
        limit->cold_until = mono_add(limit->cold_until, config->per_ns);
        limit->tat = now;
    }
    *ret = limit;
    return 0;
}

void limit_free(struct limit *limit)
{
    if (limit != NULL) {
        returning_done(&limit->returning);
        free(limit);
    }
}

/* GCRA: charges weight units at that time. */
static void charge(struct limit *limit, uint32_t weight, mono_ns at)
{
    limit->tat = mono_add(mono_max(limit->tat, at), (int64_t)weight * limit->interval_ns);
}

/* Takes note of the time: permits whose due has passed come back. Time never goes back. */
static mono_ns advance(struct limit *limit, mono_ns now)
{
    limit->now = mono_max(limit->now, now);
    while (returning_first_due(&limit->returning) <= limit->now) {
        struct returning_entry entry = returning_pop(&limit->returning);
        if (limit->config.kind == LIMIT_BUCKET) {
            charge(limit, entry.weight, entry.due);
        }
    }
    return limit->now;
}

static struct limit_verdict wait_for(enum limit_reason reason, mono_ns at)
{
    return (struct limit_verdict){.admit = false, .reason = reason, .at = at};
}

static const struct limit_verdict admitted = {.admit = true, .reason = LIMIT_REASON_NONE, .at = 0};

static struct limit_verdict check_window(const struct limit *limit, uint32_t weight, mono_ns now)
{
    uint64_t used = (uint64_t)limit->held + limit->returning.units;
    int64_t tolerance = mono_max(PACER_TOLERANCE_MIN_NS, limit->interval_ns / 2);

    if (used + weight > limit->config.requests) {
        return wait_for(LIMIT_REASON_PERMIT, weight > limit->config.requests
                                                 ? MONO_NEVER
                                                 : returning_first_due(&limit->returning));
    }
    if (limit->config.pace && limit->tat - tolerance > now) {
        return wait_for(LIMIT_REASON_PACER, limit->tat - tolerance);
    }
    return admitted;
}

static struct limit_verdict check_bucket(const struct limit *limit, uint32_t weight, mono_ns now)
{
    int64_t units = (int64_t)limit->held + limit->returning.units + weight - limit->config.burst;

    if (units > 0) {
        return wait_for(LIMIT_REASON_PERMIT, weight > limit->config.burst
                                                 ? MONO_NEVER
                                                 : returning_first_due(&limit->returning));
    }
    if (limit->tat + units * limit->interval_ns > now) {
        return wait_for(LIMIT_REASON_PACER, mono_min(limit->tat + units * limit->interval_ns,
                                                     returning_first_due(&limit->returning)));
    }
    return admitted;
}

struct limit_verdict limit_check(struct limit *limit, uint32_t weight, mono_ns now)
{
    now = advance(limit, now);
    if (now < limit->cold_until) {
        return wait_for(LIMIT_REASON_COLD, limit->cold_until);
    }
    if (now < limit->gate_until) {
        return wait_for(LIMIT_REASON_GATE, limit->gate_until);
    }
    return limit->config.kind == LIMIT_BUCKET ? check_bucket(limit, weight, now)
                                              : check_window(limit, weight, now);
}

void limit_take(struct limit *limit, uint32_t weight, mono_ns now)
{
    now = advance(limit, now);
    limit->held += weight;
    if (limit->config.kind == LIMIT_WINDOW) {
        charge(limit, weight, now);
    }
}

static void end_hold(struct limit *limit, uint32_t weight)
{
    SL_ASSERT(limit->held >= weight);
    limit->held -= weight;
}

void limit_arrived(struct limit *limit, uint32_t weight, mono_ns arrival, mono_ns now)
{
    advance(limit, now);
    end_hold(limit, weight);
    arrival = mono_add(mono_min(arrival, limit->now), limit->config.guard_ns);
    if (limit->config.kind == LIMIT_BUCKET) {
        charge(limit, weight, arrival);
    } else {
        returning_add(&limit->returning, mono_add(arrival, limit->config.per_ns), weight);
    }
}

void limit_unknown(struct limit *limit, uint32_t weight, mono_ns reset_at, mono_ns now)
{
    mono_ns latest_arrival;

    advance(limit, now);
    end_hold(limit, weight);
    latest_arrival = mono_add(reset_at, limit->config.max_flight_ns + limit->config.guard_ns);
    if (limit->config.kind == LIMIT_WINDOW) {
        latest_arrival = mono_add(latest_arrival, limit->config.per_ns);
    }
    returning_add(&limit->returning, latest_arrival, weight);
    advance(limit, now);
}

void limit_refund(struct limit *limit, uint32_t weight, mono_ns now)
{
    advance(limit, now);
    end_hold(limit, weight);
    /* The pacer keeps its charge: it also spaces connection attempts to a target that refuses them.
     */
}

void limit_gate(struct limit *limit, mono_ns until)
{
    limit->gate_until = mono_max(limit->gate_until, until);
}

/* Of a longer window we do not know how many calls were in its older part: what is free now may be
 * used only when all that could have been called before is out of the new window. */
static void lengthen_window(struct limit *limit, const struct limit_config *config,
                            int64_t longer_ns, mono_ns now)
{
    uint64_t used = (uint64_t)limit->held + limit->returning.units;

    returning_delay(&limit->returning, longer_ns);
    if (used < config->requests) {
        returning_add(&limit->returning, mono_add(now, longer_ns),
                      config->requests - (uint32_t)used);
    }
}

int limit_resize(struct limit *limit, const struct limit_config *config, mono_ns now)
{
    int64_t longer_ns =
        config->per_ns + config->guard_ns - limit->config.per_ns - limit->config.guard_ns;
    int64_t interval_ns = interval_of(config);
    int error = config->kind != limit->config.kind ? ERR_INVALID : limit_config_check(config, NULL);

    if (error != 0) {
        return error;
    }
    now = advance(limit, now);
    returning_reserve(&limit->returning,
                      limit->returning.count + limit->held + capacity_of(config));
    if (config->kind == LIMIT_WINDOW) {
        if (longer_ns > 0) {
            lengthen_window(limit, config, longer_ns, now);
        }
        limit->tat = mono_min(limit->tat, mono_add(now, interval_ns));
    } else if (limit->tat > now) {
        /* The debt in tokens stays, at least one. */
        int64_t tokens = (limit->tat - now + limit->interval_ns - 1) / limit->interval_ns;
        limit->tat = mono_add(
            now, mono_max(tokens * mono_min(interval_ns, HORIZON_MAX_NS / (tokens + 1)), 0));
    }
    limit->config = *config;
    limit->interval_ns = interval_ns;
    return 0;
}

const struct limit_config *limit_config(const struct limit *limit)
{
    return &limit->config;
}

uint32_t limit_free_permits(struct limit *limit, mono_ns now)
{
    uint64_t used,
        size = limit->config.kind == LIMIT_BUCKET ? limit->config.burst : limit->config.requests;

    now = advance(limit, now);
    used = (uint64_t)limit->held + limit->returning.units;
    if (limit->config.kind == LIMIT_BUCKET && limit->tat > now) {
        used += (uint64_t)((limit->tat - now + limit->interval_ns - 1) / limit->interval_ns);
    }
    return now < limit->cold_until || used >= size ? 0 : (uint32_t)(size - used);
}

double limit_pace_per_second(const struct limit *limit)
{
    return (double)limit->config.requests * (double)NS_PER_S / (double)limit->config.per_ns;
}
