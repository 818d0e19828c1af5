#include "bucket.h"

/*
 * Exact for any delay: take the last-sent call of any run of arrivals, the first of which is at t.
 * When it was sent every other call of the run was charged at t or later, or still held, so
 * the run had fewer than burst + (now - t) / T tokens' worth of calls with it. The order in which
 * arrivals become known does not matter: charging an older one late gives a later tat, never an
 * earlier one.
 */
void bucket_init(struct bucket *bucket, const struct limit_config *config, int64_t interval_ns,
                 mono_ns quiet_at)
{
    *bucket = (struct bucket){
        .burst = config->burst,
        .interval_ns = interval_ns,
        .guard_ns = config->guard_ns,
        .empty_until = mono_add(quiet_at, config->guard_ns),
        .tat = mono_add(quiet_at, config->guard_ns + config->burst * interval_ns),
    };
    /* A take needs held + weight <= burst, so there are never more calls than that. */
    stamps_init(&bucket->lost, config->burst);
}

void bucket_done(struct bucket *bucket)
{
    stamps_done(&bucket->lost);
}

static void charge(struct bucket *bucket, uint64_t weight, mono_ns arrival)
{
    bucket->tat = mono_add(mono_max(bucket->tat, mono_add(arrival, bucket->guard_ns)),
                           (int64_t)weight * bucket->interval_ns);
}

static void release(struct bucket *bucket, uint32_t weight)
{
    SL_ASSERT(bucket->held >= weight);
    bucket->held -= weight;
}

/* Calls that were lost so long ago that they have arrived by now, or never will. */
static void settle_lost(struct bucket *bucket, mono_ns now)
{
    while (stamps_first(&bucket->lost) <= now) {
        mono_ns at;
        uint32_t weight = stamps_pop(&bucket->lost, UINT32_MAX, &at);
        release(bucket, weight);
        charge(bucket, weight, at);
    }
}

struct limit_verdict bucket_check(struct bucket *bucket, uint32_t weight, mono_ns now)
{
    struct limit_verdict no = {.reason = LIMIT_REASON_PERMIT, .at = MONO_NEVER};

    settle_lost(bucket, now);
    if (weight > bucket->burst) {
        return no;
    }
    if (bucket->held + weight > bucket->burst) {
        no.at = stamps_first(&bucket->lost);
        return no;
    }
    /* max(tat, now) + (held + weight - burst) * T <= now, in a form that is never positive. */
    int64_t spare = (int64_t)(bucket->burst - bucket->held - weight) * bucket->interval_ns;
    no.at = bucket->tat - spare;
    if (no.at > now) {
        return no;
    }
    return (struct limit_verdict){.admit = true, .reason = LIMIT_REASON_NONE, .at = now};
}

void bucket_take(struct bucket *bucket, uint32_t weight)
{
    SL_ASSERT(bucket->held + weight <= bucket->burst);
    bucket->held += weight;
}

void bucket_arrived(struct bucket *bucket, uint32_t weight, mono_ns arrival)
{
    release(bucket, weight);
    charge(bucket, weight, arrival);
}

void bucket_unknown(struct bucket *bucket, uint32_t weight, mono_ns by)
{
    SL_ASSERT(bucket->held >= bucket->lost.units + weight);
    stamps_push(&bucket->lost, by, weight);
}

void bucket_restore(struct bucket *bucket, uint64_t units, mono_ns at)
{
    if (units > 0) { /* bounded by what the configuration was checked for: no time overflows */
        charge(bucket, units < bucket->burst ? units : bucket->burst, at);
    }
}

void bucket_refund(struct bucket *bucket, uint32_t weight)
{
    release(bucket, weight);
}

void bucket_resize(struct bucket *bucket, const struct limit_config *config, int64_t interval_ns,
                   mono_ns now)
{
    settle_lost(bucket, now);
    /* The level as time at the old rate; then the same tokens at the new one, rounded down. The
     * wait after a start is no debt of tokens: another rate makes it neither shorter nor longer. */
    now = mono_max(now, bucket->empty_until);
    __int128 level =
        (__int128)bucket->burst * bucket->interval_ns - (mono_max(bucket->tat, now) - now);
    __int128 full = (__int128)config->burst * interval_ns;

    level *= interval_ns;
    level = level >= 0 ? level / bucket->interval_ns
                       : -((-level + bucket->interval_ns - 1) / bucket->interval_ns);
    level = level < full ? level : full;
    __int128 missing = full - level;
    bucket->tat = mono_add(now, missing < INT64_MAX ? (int64_t)missing : INT64_MAX);
    bucket->burst = config->burst;
    bucket->interval_ns = interval_ns;
    bucket->guard_ns = config->guard_ns;
    stamps_reserve(&bucket->lost, config->burst);
}

mono_ns bucket_full_at(const struct bucket *bucket)
{
    mono_ns at = bucket->tat;

    if (bucket->held > bucket->lost.units) {
        return MONO_NEVER;
    }
    for (uint32_t i = 0; i < bucket->lost.count; i++) { /* as if they all arrived last of all */
        at = mono_max(at, mono_add(bucket->lost.items[i].at, bucket->guard_ns));
    }
    return mono_add(at, (int64_t)bucket->held * bucket->interval_ns);
}

void bucket_drain(struct bucket *bucket, mono_ns at)
{
    bucket->tat = mono_max(bucket->tat, mono_add(at, (bucket->burst - 1) * bucket->interval_ns));
}

uint32_t bucket_free_permits(struct bucket *bucket, mono_ns now)
{
    settle_lost(bucket, now);
    int64_t full_ns = bucket->burst * bucket->interval_ns;
    int64_t missing_ns = mono_max(bucket->tat, now) - now;
    int64_t tokens = missing_ns < full_ns ? (full_ns - missing_ns) / bucket->interval_ns : 0;
    return tokens > (int64_t)bucket->held ? (uint32_t)(tokens - (int64_t)bucket->held) : 0;
}
