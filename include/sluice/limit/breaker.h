/*
 * breaker: no calls to a target that fails as a whole, and a careful return.
 *
 *   CLOSED ──failing──► OPEN ──its time is over──► HALF_OPEN ──3 successes──► CLOSED, ramping up
 *                         ▲────────────────────────────┘ a probe failed
 *
 * CLOSED counts the last 100 results that are not older than five minutes, and opens when
 * failure_percent of them failed (of 20, if there are fewer), or when 5 in a row never reached the
 * target (refused, not resolved, no TLS, no connection in time). A throttled answer is no failure:
 * it proves that somebody answers. Forgetting by count suits a busy target; by time, an idle one:
 * what failed last night says nothing about now. Five minutes because a target that is called once
 * in 10 s has to come to its 20 results, too.
 *
 * OPEN for a time drawn from [0, 1 s · 2^k] (full jitter, at most max_open), k growing with every
 * opening that follows without a whole ramp of good health. HALF_OPEN: one probe at a time. CLOSED
 * again, share and pace of the calls rise from 10 to 100 % within 10 s, as what has just come back
 * is the easiest to knock over.
 *
 * Results of calls that started before the last change of state are old news and change nothing.
 * Numbers after resilience4j and Finagle. Pure, one thread, open struct to embed, no allocation.
 */
#ifndef SLUICE_LIMIT_BREAKER_H
#define SLUICE_LIMIT_BREAKER_H

#include "sluice/base/rng.h"
#include "sluice/limit/limit.h"

#define BREAKER_SAMPLES     100u
#define BREAKER_CALLS_MIN   20u
#define BREAKER_UNREACHED   5u
#define BREAKER_PROBES      3u
#define BREAKER_MEMORY_NS   (300 * NS_PER_S)
#define BREAKER_OPEN_NS     NS_PER_S
#define BREAKER_MAX_OPEN_NS (60 * NS_PER_S) /* default */
#define BREAKER_RAMP_NS     (10 * NS_PER_S)

#define BREAKER_STATE_MAP(XX)                                                                      \
    XX(CLOSED, "closed")       /* calls go through */                                              \
    XX(OPEN, "open")           /* none does */                                                     \
    XX(HALF_OPEN, "half_open") /* one at a time does */

enum breaker_state {
#define XX(name, text) BREAKER_##name,
    BREAKER_STATE_MAP(XX)
#undef XX
        BREAKER_STATE__COUNT
};
const char *breaker_state_name(enum breaker_state state);

/* Why it opened. */
#define BREAKER_CAUSE_MAP(XX)                                                                      \
    XX(NONE, "none")                                                                               \
    XX(FAILURES, "failures")         /* that share of the last calls failed */                     \
    XX(UNREACHED, "unreached")       /* that many in a row never reached it */                     \
    XX(PROBE_FAILED, "probe_failed") /* it still does */

enum breaker_cause {
#define XX(name, text) BREAKER_CAUSE_##name,
    BREAKER_CAUSE_MAP(XX)
#undef XX
        BREAKER_CAUSE__COUNT
};
const char *breaker_cause_name(enum breaker_cause cause);

enum breaker_result {
    BREAKER_SUCCEEDED, /* it answered, whatever it says about the message */
    BREAKER_FAILED,    /* it may do so another time: 5xx, broken connection, timeout */
    BREAKER_NOT_REACHED,
    BREAKER_THROTTLED, /* it answers: no failure, but no proof of health */
    BREAKER_IGNORED,   /* says nothing about the target */
};

struct breaker_config {
    bool enabled;
    uint32_t failure_percent; /* 1 … 100 */
    int64_t max_open_ns;      /* >= BREAKER_OPEN_NS */
};

struct breaker {
    struct breaker_config config;
    enum breaker_state state;
    enum breaker_cause cause; /* of the last opening */
    bool unreached;           /* what failed last never reached the target */
    mono_ns until;            /* OPEN: the end of it */
    bool probing;             /* HALF_OPEN: a probe is under way */
    mono_ns changed_at;
    uint32_t calls, failures; /* counted at the last opening */
    uint64_t entered[BREAKER_STATE__COUNT];
    /* private */
    uint32_t generation; /* of the state: a result of an older one is old news */
    uint32_t doublings;
    uint32_t successes;            /* HALF_OPEN */
    mono_ns ramp_until, ramp_next; /* CLOSED */
    struct {
        mono_ns at;
        bool failed;
    } samples[BREAKER_SAMPLES]; /* ring, oldest first */
    uint32_t first, count, failed, unreached_in_a_row;
};

void breaker_init(struct breaker *b, const struct breaker_config *config, mono_ns now);
/* May another call start, where used of bound calls run? Reason: LIMIT_REASON_BREAKER. */
struct limit_verdict breaker_check(const struct breaker *b, uint32_t used, uint32_t bound,
                                   mono_ns now);
/* A call starts; at full pace the next one would be interval_ns later (0: no pace). Returns what
 * breaker_ended wants to know of it. */
uint32_t breaker_started(struct breaker *b, int64_t interval_ns, mono_ns now);
/* Every call that started ends once. True: the state changed. */
SL_MUST_CHECK bool breaker_ended(struct breaker *b, uint32_t generation, enum breaker_result result,
                                 struct rng *rng, mono_ns now);
/* OPEN becomes HALF_OPEN when its time has come: to be called at `until`. True: it did. */
SL_MUST_CHECK bool breaker_tick(struct breaker *b, mono_ns now);
/* Share of the calls that is let through now, of 1000. */
uint32_t breaker_share_permille(const struct breaker *b, mono_ns now);

#endif
