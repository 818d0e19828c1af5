#include "sluice/limit/limit.h"

#include "bucket.h"
#include "pacer.h"
#include "window.h"

#include "sluice/base/mem.h"

#include <math.h>
#include <stdlib.h>

struct limit {
    struct limit_config config;
    mono_ns last;     /* newest now seen */
    mono_ns gate;     /* Retry-After */
    mono_ns quiet_at; /* calls of an earlier process may arrive until then */
    uint64_t delayed; /* dry run */
    struct pacer pacer;
    union {
        struct window window;
        struct bucket bucket;
    };
};

const char *limit_reason_name(enum limit_reason reason)
{
    static const char *const names[] = {
#define XX(name, text) [LIMIT_REASON_##name] = (text),
        LIMIT_REASON_MAP(XX)
#undef XX
    };
    return (unsigned)reason < SL_COUNT(names) ? names[reason] : "unknown";
}

/* Rounded up: rounded down, N = 7 would be 8 in a second. */
static int64_t interval_ns(const struct limit_config *config)
{
    return (config->per_ns + config->requests - 1) / config->requests;
}

static bool is_bucket(const struct limit *limit)
{
    return limit->config.kind == LIMIT_BUCKET;
}

static int check_range(struct error *e, const char *name, int64_t value, int64_t min, int64_t max)
{
    if (value >= min && value <= max) {
        return 0;
    }
    return error_set(e, ERR_RANGE, name, "found %lld; allowed: %lld to %lld", (long long)value,
                     (long long)min, (long long)max);
}

static int check_bucket(const struct limit_config *config, struct error *e)
{
    int error = check_range(e, "burst", config->burst, 1, LIMIT_REQUESTS_MAX);
    if (error != 0 || config->burst <= LIMIT_PER_MAX_NS / interval_ns(config)) {
        return error;
    }
    return error_set(e, ERR_RANGE, "burst",
                     "found %u; it would take longer than 366 days to fill at %u requests per "
                     "%lld ns; use a smaller burst",
                     config->burst, config->requests, (long long)config->per_ns);
}

int limit_config_check(const struct limit_config *config, struct error *e)
{
    int error = check_range(e, "requests", config->requests, 1, LIMIT_REQUESTS_MAX);
    if (error == 0) {
        error = check_range(e, "per", config->per_ns, 1, LIMIT_PER_MAX_NS);
    }
    if (error == 0) {
        error = check_range(e, "guard", config->guard_ns, 0, LIMIT_FLIGHT_MAX_NS);
    }
    if (error == 0) {
        error = check_range(e, "max_flight", config->max_flight_ns, 0, LIMIT_FLIGHT_MAX_NS);
    }
    if (error == 0 && config->kind == LIMIT_BUCKET) {
        error = check_bucket(config, e);
    }
    return error;
}

int limit_new(const struct limit_config *config, mono_ns now, struct limit **ret)
{
    int error = limit_config_check(config, NULL);
    if (error != 0) {
        return error;
    }
    struct limit *limit = MEM_NEW(struct limit);
    limit->config = *config;
    limit->last = now;
    limit->quiet_at = mono_add(now, config->max_flight_ns);
    pacer_init(&limit->pacer, interval_ns(config));
    if (is_bucket(limit)) {
        bucket_init(&limit->bucket, config, interval_ns(config), limit->quiet_at);
    } else {
        window_init(&limit->window, config->requests, config->per_ns + config->guard_ns,
                    limit->quiet_at);
    }
    *ret = limit;
    return 0;
}

void limit_free(struct limit *limit)
{
    if (limit == NULL) {
        return;
    }
    if (is_bucket(limit)) {
        bucket_done(&limit->bucket);
    } else {
        window_done(&limit->window);
    }
    free(limit);
}

/* Time never goes back in here: a sender with an older clock reading must not be given again what
 * was counted already. */
static mono_ns advance(struct limit *limit, mono_ns now)
{
    limit->last = mono_max(limit->last, now);
    return limit->last;
}

/* A time that was measured by the caller's clock, in ours: as long ago as the caller says. */
static mono_ns translate(struct limit *limit, mono_ns at, mono_ns now)
{
    return mono_add(at, advance(limit, now) - now);
}

/* Until when nothing but the start holds calls back. */
static mono_ns cold_until(const struct limit *limit)
{
    int64_t more = is_bucket(limit) ? limit->bucket.interval_ns : limit->config.per_ns;
    return mono_add(limit->quiet_at, more + limit->config.guard_ns);
}

static void also_wait(struct limit_verdict *verdict, enum limit_reason reason, mono_ns at,
                      mono_ns now)
{
    if (at > now && (verdict->admit || at > verdict->at)) {
        *verdict = (struct limit_verdict){.admit = false, .reason = reason, .at = at};
    }
}

static struct limit_verdict decide(struct limit *limit, uint32_t weight, mono_ns now)
{
    struct limit_verdict verdict = is_bucket(limit) ? bucket_check(&limit->bucket, weight, now)
                                                    : window_check(&limit->window, weight, now);

    if (!verdict.admit && now < cold_until(limit)) {
        verdict.reason = LIMIT_REASON_COLD;
    }
    also_wait(&verdict, LIMIT_REASON_GATE, limit->gate, now);
    if (limit->config.pace && !is_bucket(limit)) {
        also_wait(&verdict, LIMIT_REASON_PACER, pacer_at(&limit->pacer), now);
    }
    return verdict;
}

struct limit_verdict limit_check(struct limit *limit, uint32_t weight, mono_ns now)
{
    now = advance(limit, now);
    if (limit->config.dry_run) {
        return (struct limit_verdict){.admit = true, .reason = LIMIT_REASON_NONE, .at = now};
    }
    return decide(limit, weight, now);
}

bool limit_take(struct limit *limit, uint32_t weight, mono_ns now)
{
    now = advance(limit, now);
    if (limit->config.dry_run && !decide(limit, weight, now).admit) {
        limit->delayed++;
        return false;
    }
    if (is_bucket(limit)) {
        bucket_take(&limit->bucket, weight);
    } else {
        window_take(&limit->window, weight);
        pacer_take(&limit->pacer, weight, now);
    }
    return true;
}

void limit_arrived(struct limit *limit, uint32_t weight, mono_ns arrival, mono_ns now)
{
    arrival = translate(limit, arrival, now);
    if (is_bucket(limit)) {
        bucket_arrived(&limit->bucket, weight, arrival);
    } else {
        window_return(&limit->window, weight, arrival);
    }
}

void limit_unknown(struct limit *limit, uint32_t weight, mono_ns reset_at, mono_ns now)
{
    mono_ns by = mono_add(translate(limit, reset_at, now), limit->config.max_flight_ns);
    if (is_bucket(limit)) {
        bucket_unknown(&limit->bucket, weight, by);
    } else {
        window_return(&limit->window, weight, by);
    }
}

/* The pacer keeps its charge: a target that refuses every connection is not to be tried in a
 * tight loop. */
void limit_refund(struct limit *limit, uint32_t weight, mono_ns now)
{
    (void)advance(limit, now);
    if (is_bucket(limit)) {
        bucket_refund(&limit->bucket, weight);
    } else {
        window_refund(&limit->window, weight);
    }
}

void limit_gate(struct limit *limit, mono_ns until)
{
    limit->gate = mono_max(limit->gate, until);
}

int limit_resize(struct limit *limit, const struct limit_config *config, mono_ns now)
{
    int error = limit_config_check(config, NULL);
    if (error != 0) {
        return error;
    }
    if (config->kind != limit->config.kind) {
        return ERR_INVALID;
    }
    now = advance(limit, now);
    limit->config = *config;
    pacer_resize(&limit->pacer, interval_ns(config), now);
    if (is_bucket(limit)) {
        bucket_resize(&limit->bucket, config, interval_ns(config), now);
    } else {
        window_resize(&limit->window, config->requests, config->per_ns + config->guard_ns);
    }
    return 0;
}

const struct limit_config *limit_config(const struct limit *limit)
{
    return &limit->config;
}

uint32_t limit_free_permits(struct limit *limit, mono_ns now)
{
    now = advance(limit, now);
    return is_bucket(limit) ? bucket_free_permits(&limit->bucket, now)
                            : window_free_permits(&limit->window, now);
}

mono_ns limit_new_again_at(const struct limit *limit)
{
    mono_ns at = is_bucket(limit) ? bucket_full_at(&limit->bucket)
                                  : mono_max(window_free_at(&limit->window), limit->pacer.next);

    return mono_max(at, limit->gate);
}

uint64_t limit_dry_run_delayed(const struct limit *limit)
{
    return limit->delayed;
}

double limit_config_pace(const struct limit_config *config)
{
    return config->dry_run
               ? (double)INFINITY
               : (double)config->requests * (double)NS_PER_S / (double)config->per_ns;
}

double limit_pace_per_second(const struct limit *limit)
{
    return limit_config_pace(&limit->config);
}
