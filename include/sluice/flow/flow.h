/*
 * flow: everything that happens to messages, decided once per turn by one pump.
 *
 * A flow owns targets, limits and routes. Events (received, attempt acknowledged, attempt ended,
 * settled, paused …) only record facts; flow_pump() decides: promotes retries, starts what every
 * admission allows (I6), asks for receives, asks for lease extensions, and returns the next
 * deadline. The flow does no I/O: effects go through struct flow_ops, which the daemon implements
 * with sockets and the simulation with a script. Pure: takes now, calls no clock, writes no log.
 *
 * Async contract of the ops: a completion (flow_received, flow_attempt_ended, flow_settled) comes
 * exactly once for each ask, never before the op returns, always on the thread of the pump.
 */
#ifndef SLUICE_FLOW_FLOW_H
#define SLUICE_FLOW_FLOW_H

#include "sluice/base/clock.h"
#include "sluice/base/rng.h"
#include "sluice/flow/message.h"
#include "sluice/flow/outcome.h"
#include "sluice/limit/breaker.h"
#include "sluice/limit/concurrency.h"
#include "sluice/limit/limit.h"

struct flow;
struct route;
struct target;
struct limit_keyed;

/* What a message says of itself, borrowed until the next question. Absent counts as empty. */
struct message_keys {
    struct str tenant;
    struct str keys[LIMIT_SET_MAX]; /* of route_config.keyed */
};

struct flow_ops {
    /* Ask the route's source for up to max messages; completion: flow_received (any count, 0 too).
     */
    void (*receive)(void *context, struct route *route, uint32_t max);
    /* Start the HTTP call of this message (permits and slot are taken). Then flow_attempt_arrived
     * at most once, then flow_attempt_ended exactly once. */
    void (*start)(void *context, struct message *message);
    /* Tell the queue. how: ACK, DEAD_LETTER or RELEASE. Completion: flow_settled, in which the flow
     * frees the message (ops->message_done). Comes again after a settlement that failed. */
    void (*settle)(void *context, struct message *message, enum settle how, int64_t delay_ns);
    /* Make the lease end message->extension_ns from now; completion: flow_extended, exactly once.
     * The message is not settled (and not freed) while it is outstanding. */
    void (*extend)(void *context, struct message *message);
    /* The flow is about to free this struct: free strings and source_data. message->settled: it was
     * settled as message->settle says (LOST comes only here, never through ops->settle); false when
     * flow_free() ends what is still held. */
    void (*message_done)(void *context, struct message *message);
    /* Asked once, when the message was received. NULL: message->tenant, and no keys. */
    void (*keys)(void *context, const struct message *message, struct message_keys *ret);
    /* The state of the target's breaker changed: to be told and counted; no call back into the
     * flow but to read. */
    void (*breaker)(void *context, struct target *target);
};

struct retry_config {      /* terms of Google Cloud Tasks */
    uint32_t max_attempts; /* counted attempts before dead_letter; 0: no bound */
    int64_t
        max_retry_duration_ns; /* since the first attempt; 0: no bound. The first bound ends it */
    int64_t min_backoff_ns, max_backoff_ns;
    uint32_t max_doublings;
};
/* Upper end of the k-th wait (k from 0): min·2^k, after max_doublings linear, at most max. */
int64_t retry_backoff_bound_ns(const struct retry_config *retry, uint32_t k);

struct target_config {
    const char *name;
    uint32_t concurrency;
    int64_t timeout_ns; /* of one attempt: no call starts with less lease left */
    int64_t abort_hold_ns;
    bool unclean_start;
    struct breaker_config breaker; /* zeroed: none */
    bool adaptive;                 /* as few calls at once as it can take, concurrency at most */
    void *user;                    /* of the ops' owner */
};

#define ROUTE_PRIORITY_MAX 9u
#define ROUTE_SHARE_MAX    1000u

struct route_config {
    const char *name;
    struct target *target;
    struct limit_set limits;
    struct limit_keyed
        *keyed[LIMIT_SET_MAX]; /* limits by key, borrowed; LIMIT_SET_MAX with limits */
    uint32_t keyed_count;
    uint32_t concurrency; /* share of the target's; 0: all of it */
    uint32_t weight;      /* permits a call takes; >= 1 */
    uint32_t share;       /* of a limit (or target) that it shares, beside the others'; >= 1 */
    uint32_t priority;    /* 0 … ROUTE_PRIORITY_MAX: higher ones take what they can first */
    struct retry_config retry;
    bool paused;
    bool cheap_receives;    /* a receive is no request: ask often, and hold little */
    uint32_t receive_batch; /* messages of one receive at most: each asks for so many when it can;
                               0: no bound */
    uint32_t receives_max;  /* under way at once, while they come back full; 0: one */
    bool has_dead_letter; /* false: dead_letter becomes a release with max_backoff, nothing is lost
                           */
    bool at_most_once;    /* what may have been done, as no answer came, is not called again but
                           given up: GIVE_UP_UNKNOWN */
    void *user;           /* of the ops' owner */
};

struct flow *flow_new(const struct flow_ops *ops, void *context, uint64_t seed);
void flow_free(struct flow *flow); /* frees routes, targets and every message still held */

struct target *flow_target_add(struct flow *flow, const struct target_config *config, mono_ns now);
struct route *flow_route_add(struct flow *flow, const struct route_config *config, mono_ns now);

/* A zeroed message for the source to fill and to hand over with flow_received; strings and
 * source_data are the source's to allocate and to free in ops->message_done. */
struct message *flow_message_new(struct route *route);

/* ---- events: facts only ---- */
/* count messages (may be 0) answer one receive. error != 0: the receive failed; the route backs
 * off, up to 20 s (ERR_CANCELED: it does not, the daemon wanted it). The array stays the caller's.
 */
void flow_received(struct route *route, struct message **messages, uint32_t count, int error,
                   mono_ns now);
/* The last byte of the request was acknowledged at that time (clock read after the ioctl). */
void flow_attempt_arrived(struct message *message, mono_ns arrived_at, mono_ns now);
/* Between start and its end: the call that needed a preparation begins only now. False: the lease
 * ran out meanwhile, or would during the call; end the attempt as postponed. */
SL_MUST_CHECK bool flow_attempt_called(struct message *message, mono_ns now);
void flow_attempt_ended(struct message *message, const struct attempt_result *result, mono_ns now);
/* error 0: settled, the message is freed. ERR_NOT_FOUND: it was no longer ours to settle, freed as
 * LOST. Else settling is tried again with backoff while the lease lasts; ERR_UNSUPPORTED: there is
 * no dead-letter queue (any more), a release takes its place. */
void flow_settled(struct message *message, int error, mono_ns now);
/* lease_until: new end. ERR_NOT_FOUND: the handle is stale or has expired, the message is another
 * receiver's: it is forgotten now, and not called. Any other error: tried again while it lasts. */
void flow_extended(struct message *message, int error, mono_ns lease_until, mono_ns now);
/* The target cannot be called at all now (its name does not resolve) / can again. */
void flow_target_available(struct target *target, bool available);
/* The source has no room for the receive it was asked for: what waits longest goes back to it. */
void flow_source_full(struct route *route);

/* ---- control ---- */
void flow_route_pause(struct route *route, bool paused);
/* The source found out whether its queue has a dead-letter queue. */
void flow_route_dead_letter(struct route *route, bool has_dead_letter);
/* A limit by key admits more, or less, than it did. */
void flow_limits_changed(struct flow *flow);
/* Stop receiving, hand back everything that is not in flight, let attempts end. */
void flow_drain(struct flow *flow, mono_ns now);
bool flow_is_drained(const struct flow *flow); /* holds no message and no receive is outstanding */

/* Decides. Work is bounded by budget (starts + promotions); when it ran out returns now. Returns
 * the next deadline (MONO_NEVER: only an event can change anything). */
mono_ns flow_pump(struct flow *flow, uint32_t budget, mono_ns now);

/* ---- to read ---- */
struct route_stats {
    uint32_t held[MESSAGE_STATE__COUNT]; /* by state; sum = messages held */
    bool paused, draining;
    enum limit_reason blocked_by; /* of the first ready message; NONE when nothing waits */
    int64_t throttle_wait_ns[LIMIT_REASON__COUNT];
    uint64_t started, received, retries, settled[SETTLE__COUNT], outcomes[OUTCOME__COUNT];
    uint64_t leases_lost; /* noticed by time, by a failed extension, or by a failed settlement */
    uint64_t waits_handed_back; /* a wait too long for the lease, or too many of them */
};
void flow_route_stats(const struct route *route, struct route_stats *ret);
struct route *flow_route_find(const struct flow *flow, const char *name); /* NULL: none */
struct route *flow_route_at(const struct flow *flow, uint32_t index);     /* NULL past the end */
const struct route_config *flow_route_config(const struct route *route);
/* An answer asked for no call of this route before; a time that has passed: none does. */
mono_ns flow_route_gated_until(const struct route *route);
struct concurrency *flow_target_concurrency(struct target *target);
const struct breaker *flow_target_breaker(const struct target *target);
const struct target_config *flow_target_config(const struct target *target);
/* Asserts I4 (each list's members have its state, the sum is the number held) and I2. */
void flow_check_invariants(const struct flow *flow);

#endif
