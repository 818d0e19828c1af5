#include "sluice/limit/breaker.h"

#define DOUBLINGS_MAX 30u

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {
#define XX(name, text) [BREAKER_##name] = (text),
        BREAKER_STATE_MAP(XX)
#undef XX
    };
    return (unsigned)state < SL_COUNT(names) ? names[state] : "unknown";
}

const char *breaker_cause_name(enum breaker_cause cause)
{
    static const char *const names[] = {
#define XX(name, text) [BREAKER_CAUSE_##name] = (text),
        BREAKER_CAUSE_MAP(XX)
#undef XX
    };
    return (unsigned)cause < SL_COUNT(names) ? names[cause] : "unknown";
}

void breaker_init(struct breaker *b, const struct breaker_config *config, mono_ns now)
{
    SL_ASSERT(!config->enabled || (config->failure_percent >= 1 && config->failure_percent <= 100 &&
                                   config->max_open_ns >= BREAKER_OPEN_NS));
    *b = (struct breaker){.config = *config, .changed_at = now, .ramp_until = now};
}

/* ---- changes of state ---- */

static void enter(struct breaker *b, enum breaker_state state, mono_ns now)
{
    b->state = state;
    b->generation++;
    b->entered[state]++;
    b->changed_at = now;
    b->probing = false;
    b->successes = 0;
}

static void forget(struct breaker *b)
{
    b->first = b->count = b->failed = b->unreached_in_a_row = 0;
}

static void open_for(struct breaker *b, enum breaker_cause cause, struct rng *rng, mono_ns now)
{
    if (b->state == BREAKER_CLOSED) {
        b->calls = cause == BREAKER_CAUSE_UNREACHED ? b->unreached_in_a_row : b->count;
        b->failures = cause == BREAKER_CAUSE_UNREACHED ? b->unreached_in_a_row : b->failed;
        if (now >= b->ramp_until) { /* it was well again */
            b->doublings = 0;
        }
    } else {
        b->calls = b->successes + 1;
        b->failures = 1;
    }
    int64_t bound = BREAKER_OPEN_NS << b->doublings;
    if (bound >= b->config.max_open_ns) {
        bound = b->config.max_open_ns;
    } else if (b->doublings < DOUBLINGS_MAX) {
        b->doublings++;
    }
    b->cause = cause;
    b->until = mono_add(now, rng_between(rng, 0, bound));
    enter(b, BREAKER_OPEN, now);
}

bool breaker_tick(struct breaker *b, mono_ns now)
{
    if (b->state != BREAKER_OPEN || now < b->until) {
        return false;
    }
    enter(b, BREAKER_HALF_OPEN, now);
    return true;
}

/* ---- results ---- */

static void drop_oldest(struct breaker *b)
{
    b->failed -= b->samples[b->first].failed ? 1 : 0;
    b->first = (b->first + 1) % BREAKER_SAMPLES;
    b->count--;
}

static void sample(struct breaker *b, bool failed, mono_ns now)
{
    while (b->count > 0 &&
           (b->count == BREAKER_SAMPLES || b->samples[b->first].at <= now - BREAKER_MEMORY_NS)) {
        drop_oldest(b);
    }
    uint32_t slot = (b->first + b->count) % BREAKER_SAMPLES;
    b->samples[slot].at = now;
    b->samples[slot].failed = failed;
    b->count++;
    b->failed += failed ? 1 : 0;
}

static bool closed_ended(struct breaker *b, enum breaker_result result, struct rng *rng,
                         mono_ns now)
{
    bool failed = result == BREAKER_FAILED || result == BREAKER_NOT_REACHED;

    b->unreached_in_a_row = result == BREAKER_NOT_REACHED ? b->unreached_in_a_row + 1 : 0;
    if (result == BREAKER_THROTTLED) {
        return false;
    }
    sample(b, failed, now);
    if (!failed) {
        return false;
    }
    b->unreached = result == BREAKER_NOT_REACHED;
    if (b->unreached_in_a_row >= BREAKER_UNREACHED) {
        open_for(b, BREAKER_CAUSE_UNREACHED, rng, now);
        return true;
    }
    uint32_t of = b->count > BREAKER_CALLS_MIN ? b->count : BREAKER_CALLS_MIN;
    if (b->failed * 100 >= of * b->config.failure_percent) { /* whatever the calls up to 20 bring */
        open_for(b, BREAKER_CAUSE_FAILURES, rng, now);
        return true;
    }
    return false;
}

static bool probe_ended(struct breaker *b, enum breaker_result result, struct rng *rng, mono_ns now)
{
    b->probing = false;
    if (result == BREAKER_FAILED || result == BREAKER_NOT_REACHED) {
        b->unreached = result == BREAKER_NOT_REACHED;
        open_for(b, BREAKER_CAUSE_PROBE_FAILED, rng, now);
        return true;
    }
    if (result != BREAKER_SUCCEEDED || ++b->successes < BREAKER_PROBES) {
        return false;
    }
    forget(b);
    enter(b, BREAKER_CLOSED, now);
    b->ramp_until = mono_add(now, BREAKER_RAMP_NS);
    b->ramp_next = now;
    return true;
}

bool breaker_ended(struct breaker *b, uint32_t generation, enum breaker_result result,
                   struct rng *rng, mono_ns now)
{
    if (generation != b->generation || !b->config.enabled) {
        return false;
    }
    if (b->state == BREAKER_HALF_OPEN) {
        return probe_ended(b, result, rng, now);
    }
    if (result == BREAKER_IGNORED) {
        return false;
    }
    return closed_ended(b, result, rng, now);
}

/* ---- admission ---- */

uint32_t breaker_share_permille(const struct breaker *b, mono_ns now)
{
    if (b->state != BREAKER_CLOSED) {
        return 0;
    }
    if (now >= b->ramp_until) {
        return 1000;
    }
    return (uint32_t)(1000 - 900 * (b->ramp_until - now) / BREAKER_RAMP_NS);
}

static struct limit_verdict no(mono_ns at)
{
    return (struct limit_verdict){.reason = LIMIT_REASON_BREAKER, .at = at};
}

/* When the share reaches that many of bound, one nanosecond later. */
static mono_ns ramp_reaches(const struct breaker *b, uint32_t calls, uint32_t bound)
{
    int64_t permille = (INT64_C(1000) * calls + bound - 1) / bound;
    int64_t left_ns = (1000 - permille) * BREAKER_RAMP_NS / 900;

    return permille >= 1000 ? b->ramp_until : b->ramp_until - left_ns + 1;
}

struct limit_verdict breaker_check(const struct breaker *b, uint32_t used, uint32_t bound,
                                   mono_ns now)
{
    const struct limit_verdict yes = {.admit = true, .reason = LIMIT_REASON_NONE, .at = now};

    if (b->state == BREAKER_OPEN) {
        return no(b->until);
    }
    if (b->state == BREAKER_HALF_OPEN) {
        return b->probing ? no(MONO_NEVER) : yes;
    }
    if (now >= b->ramp_until) {
        return yes;
    }
    uint64_t most = (uint64_t)bound * breaker_share_permille(b, now) / 1000;
    if (used >= most && used >= 1) {
        return no(ramp_reaches(b, used + 1, bound));
    }
    return now < b->ramp_next ? no(b->ramp_next) : yes;
}

uint32_t breaker_started(struct breaker *b, int64_t interval_ns, mono_ns now)
{
    if (b->state == BREAKER_HALF_OPEN) {
        b->probing = true;
    } else if (now < b->ramp_until) {
        int64_t ramped;
        if (__builtin_mul_overflow(interval_ns, INT64_C(1000), &ramped)) {
            ramped = INT64_MAX;
        }
        b->ramp_next =
            mono_min(mono_add(now, ramped / breaker_share_permille(b, now)), b->ramp_until);
    }
    return b->generation;
}
