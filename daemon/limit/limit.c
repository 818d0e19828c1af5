#include "sluice/limit/limit.h"

#include "bucket.h"
#include "claims.h"
#include "pacer.h"
#include "quota.h"
#include "window.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

struct limit {
    struct limit_config config;
    mono_ns last;     /* newest now seen */
    mono_ns gate;     /* Retry-After */
    bool gate_ahead;  /* not passed yet */
    mono_ns quiet_at; /* calls of an earlier process may arrive until then */
    uint64_t delayed; /* dry run */
    struct pacer pacer;
    struct claims claims; /* of a saved limit */
    union {
        struct window window;
        struct bucket bucket;
        struct quota quota;
    };
};

/* Before all times that matter, and far from overflowing. */
#define LONG_AGO (INT64_MIN / 4)
/* One in this many permits is claimed ahead: what a crash can waste. */
#define CLAIM_DIVISOR 10000u

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
    if (error == 0 && config->kind == LIMIT_QUOTA && config->per_ns != LIMIT_HOUR_NS &&
        config->per_ns != LIMIT_DAY_NS) {
        error = error_set(e, ERR_RANGE, "per", "a quota is per hour or per day");
    }
    return error;
}

static void init_kind(struct limit *limit, mono_ns quiet_at)
{
    const struct limit_config *config = &limit->config;

    switch (config->kind) {
    case LIMIT_WINDOW:
        window_init(&limit->window, config->requests, config->per_ns + config->guard_ns, quiet_at);
        return;
    case LIMIT_BUCKET:
        bucket_init(&limit->bucket, config, interval_ns(config), quiet_at);
        return;
    case LIMIT_QUOTA:
        quota_init(&limit->quota, config->requests);
        return;
    }
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
    /* A saved limit is told what was before, and nothing else was. */
    init_kind(limit, config->saved ? LONG_AGO : limit->quiet_at);
    *ret = limit;
    return 0;
}

void limit_free(struct limit *limit)
{
    if (limit == NULL) {
        return;
    }
    if (limit->config.kind == LIMIT_BUCKET) {
        bucket_done(&limit->bucket);
    } else if (limit->config.kind == LIMIT_WINDOW) {
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
    const struct limit_config *config = &limit->config;

    if (config->saved || config->kind == LIMIT_QUOTA) {
        return LONG_AGO;
    }
    int64_t more = config->kind == LIMIT_BUCKET ? limit->bucket.interval_ns : config->per_ns;
    return mono_add(limit->quiet_at, more + config->guard_ns);
}

static void also_wait(struct limit_verdict *verdict, enum limit_reason reason, mono_ns at,
                      mono_ns now)
{
    if (at > now && (verdict->admit || at > verdict->at)) {
        *verdict = (struct limit_verdict){.admit = false, .reason = reason, .at = at};
    }
}

static struct limit_verdict check_kind(struct limit *limit, uint32_t weight, mono_ns now)
{
    switch (limit->config.kind) {
    case LIMIT_BUCKET:
        return bucket_check(&limit->bucket, weight, now);
    case LIMIT_QUOTA:
        return quota_check(&limit->quota, weight, now);
    default:
        return window_check(&limit->window, weight, now);
    }
}

/* The target that asked for a pause is not to get a bucketful at once when it is over. */
static void pass_gate(struct limit *limit, mono_ns now)
{
    if (limit->gate_ahead && now >= limit->gate) {
        limit->gate_ahead = false;
        if (limit->config.kind == LIMIT_BUCKET) {
            bucket_drain(&limit->bucket, limit->gate);
        }
    }
}

static struct limit_verdict decide(struct limit *limit, uint32_t weight, mono_ns now)
{
    const struct limit_config *config = &limit->config;
    struct limit_verdict verdict;

    pass_gate(limit, now);
    if (config->saved && !limit->claims.restored) {
        return (struct limit_verdict){.reason = LIMIT_REASON_COLD, .at = MONO_NEVER};
    }
    verdict = check_kind(limit, weight, now);
    if (!verdict.admit && now < cold_until(limit)) {
        verdict.reason = LIMIT_REASON_COLD;
    }
    also_wait(&verdict, LIMIT_REASON_GATE, limit->gate, now);
    if (config->pace && config->kind == LIMIT_WINDOW) {
        also_wait(&verdict, LIMIT_REASON_PACER, pacer_at(&limit->pacer), now);
    }
    if (verdict.admit && config->saved && !claims_allow(&limit->claims, weight)) {
        return (struct limit_verdict){.reason = LIMIT_REASON_CLAIM, .at = MONO_NEVER};
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
    if (limit->config.saved) {
        SL_ASSERT(claims_allow(&limit->claims, weight));
        claims_take(&limit->claims, weight);
    }
    switch (limit->config.kind) {
    case LIMIT_WINDOW:
        window_take(&limit->window, weight);
        pacer_take(&limit->pacer, weight, now);
        return true;
    case LIMIT_BUCKET:
        bucket_take(&limit->bucket, weight);
        return true;
    case LIMIT_QUOTA:
        quota_take(&limit->quota, weight, now);
        return true;
    }
    return true;
}

void limit_arrived(struct limit *limit, uint32_t weight, mono_ns arrival, mono_ns now)
{
    arrival = translate(limit, arrival, now);
    limit->claims.arrived += weight;
    switch (limit->config.kind) {
    case LIMIT_WINDOW:
        window_return(&limit->window, weight, arrival);
        return;
    case LIMIT_BUCKET:
        bucket_arrived(&limit->bucket, weight, arrival);
        return;
    case LIMIT_QUOTA:
        quota_arrived(&limit->quota, weight, arrival, limit->last);
        return;
    }
}

void limit_unknown(struct limit *limit, uint32_t weight, mono_ns reset_at, mono_ns now)
{
    mono_ns by = mono_add(translate(limit, reset_at, now), limit->config.max_flight_ns);
    limit->claims.arrived += weight; /* by now + max_flight: that is when a record says they did */
    switch (limit->config.kind) {
    case LIMIT_WINDOW:
        window_return(&limit->window, weight, by);
        return;
    case LIMIT_BUCKET:
        bucket_unknown(&limit->bucket, weight, by);
        return;
    case LIMIT_QUOTA:
        quota_unknown(&limit->quota, weight, by, limit->last);
        return;
    }
}

/* The pacer keeps its charge: a target that refuses every connection is not to be tried in a
 * tight loop. */
void limit_refund(struct limit *limit, uint32_t weight, mono_ns now)
{
    now = advance(limit, now);
    claims_refund(&limit->claims, weight);
    switch (limit->config.kind) {
    case LIMIT_WINDOW:
        window_refund(&limit->window, weight);
        return;
    case LIMIT_BUCKET:
        bucket_refund(&limit->bucket, weight);
        return;
    case LIMIT_QUOTA:
        quota_refund(&limit->quota, weight, now);
        return;
    }
}

void limit_withdraw(struct limit *limit, uint32_t weight, mono_ns now)
{
    if (limit->config.kind == LIMIT_WINDOW) {
        pacer_return(&limit->pacer, weight);
    }
    limit_refund(limit, weight, now);
}

void limit_gate(struct limit *limit, mono_ns until)
{
    if (until > limit->gate && until > limit->last) {
        limit->gate = until;
        limit->gate_ahead = true;
    }
}

mono_ns limit_gated_until(const struct limit *limit)
{
    return limit->gate;
}

int limit_resize(struct limit *limit, const struct limit_config *config, mono_ns now)
{
    int error = limit_config_check(config, NULL);
    if (error != 0) {
        return error;
    }
    if (config->kind != limit->config.kind || config->saved != limit->config.saved ||
        (config->kind == LIMIT_QUOTA && config->per_ns != limit->config.per_ns)) {
        return ERR_INVALID;
    }
    now = advance(limit, now);
    pass_gate(limit, now);
    limit->config = *config;
    pacer_resize(&limit->pacer, interval_ns(config), now);
    switch (config->kind) {
    case LIMIT_WINDOW:
        window_resize(&limit->window, config->requests, config->per_ns + config->guard_ns);
        return 0;
    case LIMIT_BUCKET:
        bucket_resize(&limit->bucket, config, interval_ns(config), now);
        return 0;
    case LIMIT_QUOTA:
        limit->quota.requests = config->requests;
        return 0;
    }
    return ERR_INVALID;
}

const struct limit_config *limit_config(const struct limit *limit)
{
    return &limit->config;
}

uint32_t limit_free_permits(struct limit *limit, mono_ns now)
{
    now = advance(limit, now);
    pass_gate(limit, now);
    switch (limit->config.kind) {
    case LIMIT_BUCKET:
        return bucket_free_permits(&limit->bucket, now);
    case LIMIT_QUOTA:
        return quota_free_permits(&limit->quota, now);
    default:
        return window_free_permits(&limit->window, now);
    }
}

mono_ns limit_new_again_at(const struct limit *limit)
{
    mono_ns at;

    switch (limit->config.kind) {
    case LIMIT_WINDOW:
        return mono_max(mono_max(window_free_at(&limit->window), limit->pacer.next), limit->gate);
    case LIMIT_BUCKET:
        at = limit->gate_ahead /* it empties the bucket */
                 ? mono_add(limit->gate, limit->config.burst * limit->bucket.interval_ns)
                 : limit->gate;
        return mono_max(bucket_full_at(&limit->bucket), at);
    case LIMIT_QUOTA:
        break;
    }
    return MONO_NEVER;
}

uint64_t limit_dry_run_delayed(const struct limit *limit)
{
    return limit->delayed;
}

double limit_config_pace(const struct limit_config *config)
{
    return (double)config->requests * (double)NS_PER_S / (double)config->per_ns;
}

double limit_pace_per_second(const struct limit *limit)
{
    return limit_config_pace(&limit->config);
}

void limit_quota_periods(struct limit *limit, const struct limit_period periods[2], mono_ns now)
{
    SL_ASSERT(limit->config.kind == LIMIT_QUOTA);
    quota_set_periods(&limit->quota, periods, advance(limit, now));
}

/* ---- saved ---- */

bool limit_outlives_process(const struct limit_config *config)
{
    return !config->dry_run &&
           (config->kind == LIMIT_QUOTA || config->per_ns > LIMIT_UNSAVED_MAX_NS);
}

void limit_restore(struct limit *limit, uint64_t units, mono_ns at)
{
    SL_ASSERT(limit->config.saved && !limit->claims.restored);
    if (limit->config.kind == LIMIT_BUCKET) {
        bucket_restore(&limit->bucket, units, at);
    } else if (limit->config.kind == LIMIT_WINDOW) {
        window_restore(&limit->window, units, at);
    }
}

void limit_restore_quota(struct limit *limit, const uint64_t used[2])
{
    SL_ASSERT(limit->config.kind == LIMIT_QUOTA && !limit->claims.restored);
    quota_restore(&limit->quota, used, 0, LONG_AGO);
}

void limit_restored(struct limit *limit, uint64_t outstanding, mono_ns now)
{
    static const uint64_t none[2] = {0, 0};
    mono_ns quiet_at = mono_add(advance(limit, now), limit->config.max_flight_ns);

    limit_restore(limit, outstanding, quiet_at);
    if (limit->config.kind == LIMIT_QUOTA) {
        quota_restore(&limit->quota, none, outstanding, quiet_at);
    }
    limit->claims.restored = true;
    limit->claims.allowed = outstanding;
    limit->claims.arrived = outstanding; /* the next record counts them among those */
}

void limit_claim_want(struct limit *limit, uint32_t weight)
{
    if (weight > limit->claims.wanted) {
        limit->claims.wanted = weight;
    }
}

static uint32_t claim_units(const struct limit *limit)
{
    uint32_t units = limit->config.requests / CLAIM_DIVISOR;
    units = units > 1 ? units : 1;
    return units > limit->claims.wanted ? units : limit->claims.wanted;
}

/* Calls under way. */
static uint64_t uncertain(const struct limit *limit)
{
    return limit->config.kind == LIMIT_WINDOW
               ? limit->window.held
               : limit->bucket.held - limit->bucket.lost.units; /* those count as arrived */
}

bool limit_claim_begin(struct limit *limit, bool final, struct limit_record *ret, mono_ns now)
{
    struct claims *claims = &limit->claims;

    if (!claims->restored || claims->writing || (!final && claims->wanted == 0)) {
        return false;
    }
    now = advance(limit, now);
    *ret = (struct limit_record){.arrived = claims->arrived};
    if (limit->config.kind == LIMIT_QUOTA) {
        quota_record(&limit->quota, ret, now);
    } else {
        ret->outstanding = uncertain(limit);
    }
    claims_begin(claims, ret->outstanding, final ? 0 : claim_units(limit));
    ret->outstanding = claims->allowed_written;
    return true;
}

void limit_claim_used(const struct limit *limit, struct limit_use *ret)
{
    const struct claims *claims = &limit->claims;

    ret->in_force = claims->allowed - claims->room;
    ret->being_written = claims->allowed_written - claims->room_written;
    ret->is_being_written = claims->writing;
}

void limit_claim_end(struct limit *limit, bool written)
{
    SL_ASSERT(limit->claims.writing);
    claims_end(&limit->claims, written);
}
