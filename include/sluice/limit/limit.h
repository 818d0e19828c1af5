/*
 * limit: a named rate limit, "N requests per W", exact at the receiver.
 *
 * A window limit owns N permits. A permit is taken before the first byte of a call is written and
 * is free again W (+ guard) after the moment by which the call must have arrived: any half-open
 * window of W at the receiver then holds at most N arrivals, whatever the delay. (Every arrival in
 * [t, t+W) was sent before t+W and its permit is not free before its arrival + W >= t+W, so at
 * t+W they all hold different permits.) A pacer (GCRA, interval rounded up) in front spreads calls;
 * it decides smoothness, never safety.
 *
 * A bucket limit (rate N per W, depth burst) is GCRA that starts empty with the same hold: a call
 * whose arrival is not certain counts as arriving now:
 *     admit when max(TAT, now) + (u + weight - burst) * T <= now, u = units not known to have
 *     arrived, T = W/N rounded up; at a known arrival A: TAT = max(TAT, A) + weight * T.
 *
 * A quota limit is N per hour or day of the calendar. It is told when periods begin and end; within
 * LIMIT_QUOTA_SLACK_NS of a boundary a call counts for both, and so does one under way at it.
 *
 * Pure: integer nanoseconds, no clock, no allocation per decision. One thread. A new limit holds
 * everything for W + max_flight + guard (calls of a previous process may still arrive), unless it
 * is saved: then it holds everything until limit_restored() and every permit is claimed on disk
 * before it is taken.
 * Time never goes back inside: an older `now` counts as the newest one seen.
 *
 * The life of a permit:   limit_check → limit_take → exactly one of
 *     limit_arrived  (arrival is certain, at a time <= now),
 *     limit_unknown  (the call ended without certainty; its socket was reset at that time),
 *     limit_refund   (no byte was written),
 *     limit_withdraw (nothing was tried).
 */
#ifndef SLUICE_LIMIT_LIMIT_H
#define SLUICE_LIMIT_LIMIT_H

#include "sluice/base/clock.h"
#include "sluice/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_REQUESTS_MAX  1000000u
#define LIMIT_PER_MAX_NS    (366 * 86400 * NS_PER_S)
#define LIMIT_FLIGHT_MAX_NS (3600 * NS_PER_S) /* largest guard and max_flight */
#define LIMIT_GUARD_NS      (10 * NS_PER_MS)  /* default */
#define LIMIT_MAX_FLIGHT_NS NS_PER_S          /* default */
/* A longer window outlives the process: its state is saved. */
#define LIMIT_UNSAVED_MAX_NS (60 * NS_PER_S)
/* How far the target's clock and ours may differ at the end of a quota's period. */
#define LIMIT_QUOTA_SLACK_NS NS_PER_S
#define LIMIT_HOUR_NS        (3600 * NS_PER_S)
#define LIMIT_DAY_NS         (24 * LIMIT_HOUR_NS)

enum limit_kind { LIMIT_WINDOW, LIMIT_BUCKET, LIMIT_QUOTA };
enum limit_hold { LIMIT_HOLD_ARRIVAL, LIMIT_HOLD_RESPONSE };

struct limit_config {
    enum limit_kind kind;
    enum limit_hold hold;
    uint32_t requests;     /* N, 1 … LIMIT_REQUESTS_MAX */
    int64_t per_ns;        /* W > 0; quota: LIMIT_HOUR_NS or LIMIT_DAY_NS, whatever the clocks do */
    uint32_t burst;        /* bucket: depth >= 1; ignored by window */
    int64_t guard_ns;      /* added to W after an arrival */
    int64_t max_flight_ns; /* how long bytes of a dead connection may travel */
    bool pace;             /* the pacer in front (window); false only in comparisons and tests */
    bool dry_run;          /* admits everything, counts what it would not have admitted */
    bool saved;            /* permits are claimed on disk; cannot change later */
};

/* What said no. Reason names appear in sluice_throttle_wait_seconds_total{reason}. */
#define LIMIT_REASON_MAP(XX)                                                                       \
    XX(NONE, "none")                                                                               \
    XX(PERMIT, "permit")           /* all permits taken or not yet free */                         \
    XX(PACER, "pacer")             /* too close to the call before */                              \
    XX(COLD, "cold")               /* start: calls of an earlier process may still arrive */       \
    XX(GATE, "gate")               /* Retry-After of the target */                                 \
    XX(QUOTA, "quota")             /* the period's requests are used up */                         \
    XX(CLAIM, "claim")             /* the permit is not claimed on disk yet */                     \
    XX(CONCURRENCY, "concurrency") /* K calls in flight */                                         \
    XX(ROUTE_CONCURRENCY, "route_concurrency") /* the route's share of K */                        \
    XX(PAUSED, "paused")                       /* the route is paused */                           \
    XX(KEY, "key")                             /* a limit by key: of the message's key */          \
    XX(KEYS_FULL, "keys_full")                 /* no room for one more key of a limit by key */    \
    XX(UNAVAILABLE, "unavailable")   /* the target cannot be called: its name does not resolve */  \
    XX(BREAKER, "breaker")           /* the target fails, or has just come back */                 \
    XX(RETRY_BUDGET, "retry_budget") /* too many calls would repeat failed ones */

enum limit_reason {
#define XX(name, text) LIMIT_REASON_##name,
    LIMIT_REASON_MAP(XX)
#undef XX
        LIMIT_REASON__COUNT
};
const char *limit_reason_name(enum limit_reason reason);

struct limit_verdict {
    bool admit;
    enum limit_reason reason; /* NONE when admitted */
    mono_ns at; /* earliest time worth asking again; MONO_NEVER: only after an event (arrival …) */
};

struct limit; /* opaque: owns its permits */

/* ERR_RANGE with *e filled (field name, value, allowed) for a bad configuration. */
SL_MUST_CHECK int limit_config_check(const struct limit_config *config, struct error *e);
/* Starts cold at now. Errors: as limit_config_check. */
SL_MUST_CHECK int limit_new(const struct limit_config *config, mono_ns now, struct limit **ret);
void limit_free(struct limit *limit);

/* May a call of this weight (1 … N or burst; more never admits) start now? Changes nothing that a
 * caller can see. */
struct limit_verdict limit_check(struct limit *limit, uint32_t weight, mono_ns now);
/* Takes the permits. Only directly after limit_check admitted the same weight at the same now.
 * False: a dry run without permits for it: none was taken, and none is to be given back. */
bool limit_take(struct limit *limit, uint32_t weight, mono_ns now);
void limit_arrived(struct limit *limit, uint32_t weight, mono_ns arrival, mono_ns now);
void limit_unknown(struct limit *limit, uint32_t weight, mono_ns reset_at, mono_ns now);
void limit_refund(struct limit *limit, uint32_t weight, mono_ns now);
/* As limit_refund, and the pace is given back as well. */
void limit_withdraw(struct limit *limit, uint32_t weight, mono_ns now);

/* No call before `until` (Retry-After). The latest gate wins; an earlier one changes nothing.
 * Behind it calls begin one at a time: the pacer sees to it, and a bucket is left one token. */
void limit_gate(struct limit *limit, mono_ns until);
mono_ns limit_gated_until(const struct limit *limit); /* may have passed */
/* New N, W, burst, guard, hold …: history is kept, so the transition is bounded by max(old, new).
 * Kind cannot change here (ERR_INVALID). */
SL_MUST_CHECK int limit_resize(struct limit *limit, const struct limit_config *config, mono_ns now);

const struct limit_config *limit_config(const struct limit *limit);
uint32_t limit_free_permits(struct limit *limit, mono_ns now);
/* N / W in seconds. */
double limit_config_pace(const struct limit_config *config);
double limit_pace_per_second(const struct limit *limit);
/* From when the limit is as one that was made with it and never used, should nothing be taken any
 * more; MONO_NEVER while permits are out. */
mono_ns limit_new_again_at(const struct limit *limit);
/* Calls that a dry run let pass and a limit would have delayed. What it let pass beyond the limit
 * is not charged: each call is compared with what the limit had admitted until then. */
uint64_t limit_dry_run_delayed(const struct limit *limit);

/* ---- quota: the calendar ---- */
#define LIMIT_PERIOD_NONE INT64_MIN
struct limit_period {
    int64_t id; /* grows from period to period */
    mono_ns start, end;
};
/* The present period and the one that follows it. To be told before the first call, soon after each
 * boundary, and whenever the clock was set: then the same periods have other times. A present
 * period older than the one told before is ignored. */
void limit_quota_periods(struct limit *limit, const struct limit_period periods[2], mono_ns now);

/* ---- saved limits ---- */
/* Whether a limit of this configuration outlives the process, so that it should be saved. One that
 * only counts (dry_run) does not: it need not be right after a crash. */
bool limit_outlives_process(const struct limit_config *config);

struct limit_record {
    uint64_t outstanding; /* calls that may still arrive, those it gives permission for included */
    uint64_t arrived;     /* window, bucket: by now + max_flight, since the record before */
    uint32_t period_count;
    struct {
        int64_t id;
        uint64_t used; /* all that arrived in it, outstanding ones not included */
    } periods[2];      /* quota */
};

/* What records of earlier processes say, before limit_restored(). Window, bucket: units that
 * arrived by `at`, earliest first. */
void limit_restore(struct limit *limit, uint64_t units, mono_ns at);
/* Quota: in the present period and the next one; the periods must have been told. */
void limit_restore_quota(struct limit *limit, const uint64_t used[2]);
/* That was all; `outstanding` of the last record, 0 when there is none. Calls may begin. */
void limit_restored(struct limit *limit, uint64_t outstanding, mono_ns now);

/* A call of this weight was refused with LIMIT_REASON_CLAIM and is ready otherwise. */
void limit_claim_want(struct limit *limit, uint32_t weight);
/* Whether a record is to be written now, and what it says; then limit_claim_end(). One at a time.
 * final: nothing will be called any more; gives back what was claimed and not used. */
bool limit_claim_begin(struct limit *limit, bool final, struct limit_record *ret, mono_ns now);
/* How much of `outstanding` is really used: of the record in force, and of the one that is being
 * written if one is. Changes with every call that starts; a record that is known never to have
 * permitted more than that wastes nothing. */
struct limit_use {
    uint64_t in_force, being_written;
    bool is_being_written;
};
void limit_claim_used(const struct limit *limit, struct limit_use *ret);
/* written false: nothing happened, the claim is still wanted. */
void limit_claim_end(struct limit *limit, bool written);

/* ---- several limits on one route: check all, then charge all ---- */
#define LIMIT_SET_MAX 4
struct limit_set {
    struct limit *limits[LIMIT_SET_MAX]; /* borrowed */
    uint32_t count;
};
/* Admits when all admit; else the verdict that keeps waiting longest. LIMIT_REASON_CLAIM only when
 * nothing else says no: then limit_set_want() asks for the claims. */
struct limit_verdict limit_set_check(const struct limit_set *set, uint32_t weight, mono_ns now);
/* The same; *ret_index: the limit that says no, unset when none does. */
struct limit_verdict limit_set_slowest(const struct limit_set *set, uint32_t weight, mono_ns now,
                                       uint32_t *ret_index);
void limit_set_want(const struct limit_set *set, uint32_t weight, mono_ns now);

/*
 * grant: what one attempt holds of every limit of its set. Each limit is settled once, at the event
 * its hold asks for; the rest of the calls are no-ops. Embedded in the attempt.
 */
struct limit_grant {
    struct limit_set set;
    uint32_t weight;
    uint32_t open; /* bit i: permit of limits[i] not given back yet */
};
void limit_grant_take(struct limit_grant *grant, const struct limit_set *set, uint32_t weight,
                      mono_ns now);
void limit_grant_arrived(struct limit_grant *grant, mono_ns arrival,
                         mono_ns now); /* TCP acknowledged: hold = arrival */
void limit_grant_response(struct limit_grant *grant, mono_ns response,
                          mono_ns now); /* complete response: all that is open */
void limit_grant_unknown(struct limit_grant *grant, mono_ns reset_at, mono_ns now);
void limit_grant_refund(struct limit_grant *grant, mono_ns now);
void limit_grant_withdraw(struct limit_grant *grant, mono_ns now);

#endif
