/*
 * flow_internal: what the files of flow/ share. Not for other areas.
 *
 *   message.c  the one setter of a message's state, its groups
 *   outcome.c  the table of outcomes, Retry-After
 *   outcome_rules.c  the configuration's own table
 *   gate_headers.c   what an answer says about when to call again
 *   retry.c    how long to wait, and for what: the retry budget
 *   attempt.c  start and end of a call
 *   health.c   what the ends say about the target: its breaker, whose failure it was
 *   lease.c    extending what is held, losing it
 *   handback.c waits that are longer, or more, than can be held
 *   settle.c   the way out
 *   receive.c  how many messages to ask for
 *   lanes.c    whose turn it is among the ready messages of a route: tenants, limits by key
 *   share.c    whose turn it is among routes that share a limit or a target
 *   route.c    a route and its target: making, admission, statistics
 *   pump.c     one turn
 */
#ifndef SLUICE_FLOW_INTERNAL_H
#define SLUICE_FLOW_INTERNAL_H

#include "sluice/base/map.h"
#include "sluice/base/rng.h"
#include "sluice/flow/flow.h"
#include "sluice/limit/adaptive.h"
#include "sluice/limit/budget.h"
#include "sluice/limit/keyed.h"

#define HELD_MAX           1000u          /* messages of a route outside a call (I8) */
#define WAITS_MAX          (HELD_MAX / 2) /* of them waiting for a retry, or behind one that does */
#define HORIZON_NS         (2 * NS_PER_S) /* calls that start within it are worth a receive (I5) */
#define EXCUSE_NS          (7200 * NS_PER_S) /* as long may failures be the target's alone */
#define FAILING_MIN        5u   /* failures in a row of several messages: it is the target */
#define PARKED_MAX         100u /* retries without a budget: then they are the work (I8) */
#define RECEIVE_BACKOFF_NS (250 * NS_PER_MS)
#define SETTLE_BACKOFF_NS  (100 * NS_PER_MS)
#define SETTLE_LAST_NS     (2 * NS_PER_S)  /* before the lease ends: the last try */
#define BACKOFF_MAX_NS     (20 * NS_PER_S) /* of receives and settlements that fail */

/* Messages of one MessageGroupId held here: the active one may be called, the others wait (I7). */
struct group {
    struct message *active;
    struct list waiting; /* BUFFERED, in order of receipt */
};

struct target {
    struct list_node node;
    struct target_config config;
    char *name; /* config.name */
    struct flow *flow;
    struct concurrency concurrency;
    bool available;
    uint32_t in_flight; /* counted here too: I2 is checked against the concurrency's own count */
    uint32_t bound_at_start;  /* the bound when the last attempt started */
    struct adaptive adaptive; /* used when config.adaptive */
    struct breaker breaker;
    struct budget budget;
    struct list parked; /* WAITING messages of all its routes that the budget holds up */
    /* failures in a row */
    uint32_t failures;
    const struct message *failed; /* the last one's; NULL: it is gone */
    bool failed_several;          /* not all of one message */
    mono_ns failing_since;        /* the first of them */
};

/* How many attempts ended lately, a second. */
struct end_rate {
    mono_ns since;
    uint32_t ends;
    double per_second;
};

/* See lanes.c. */
struct lanes {
    struct map by_id;   /* lanes of the messages held */
    struct map tenants; /* and their tenants */
    struct list idle;   /* tenants without a lane */
    struct heap active; /* lanes with something to call, by round */
    struct heap parked; /* lanes whose key has no permit, by when it may have one */
    int64_t round;      /* of the last call */
    uint32_t parked_messages;
    enum limit_reason parked_by; /* the last one */
};

struct route {
    struct heap_node turn; /* flow->turns of its priority, by service; while it may start */
    struct flow *flow;
    struct route_config config;
    char *name;                              /* config.name */
    struct list lists[MESSAGE_STATE__COUNT]; /* by state; NEW unused */
    uint32_t held;
    uint32_t parked;       /* of them for the retry budget */
    struct heap deadlines; /* WAITING: retry; SETTLING: (next) settlement */
    struct heap leases;    /* next extension, or the end of the lease */
    struct map groups;     /* id → struct group */
    struct lanes lanes;    /* of its ready messages */
    struct concurrency share;
    bool has_share, paused, draining;
    bool source_full;
    /* admission */
    enum limit_reason blocked_by;
    enum limit_reason said_no; /* the last thing that did, also when it no longer does */
    mono_ns blocked_until;
    mono_ns accounted_at;
    int64_t throttle_wait_ns[LIMIT_REASON__COUNT];
    /* sharing: see share.c */
    bool contends;          /* has ready messages, and nothing of its own says no */
    mono_ns contended_at;   /* the last time it did */
    const void *waits_for;  /* the limit or target that did; NULL: none, as far as it is known */
    int64_t service;        /* permits taken, divided by its share */
    int64_t stride;         /* what a call adds to it */
    int64_t stride_max;     /* of it and its sharers */
    struct route **sharers; /* the other routes with a limit or the target in common */
    uint32_t sharer_count;
    /* the gate of throttled answers */
    mono_ns gate_until, gate_set_at;
    uint32_t gate_failures;
    /* receiving */
    uint32_t receiving;     /* receives under way */
    uint32_t receives_now;  /* so many may be: grows while they come back full */
    bool answered;          /* a receive of it has ended */
    uint32_t receive_asked; /* of the last one; of each, when there are several */
    mono_ns receive_asked_at;
    int64_t receive_took_ns;
    mono_ns receive_at; /* after a failure: not before */
    uint32_t receive_failures;
    struct end_rate rate;
    /* totals */
    uint64_t started, received, retries, leases_lost, waits_handed_back;
    uint64_t settled[SETTLE__COUNT], outcomes[OUTCOME__COUNT];
};

/* A weighty call that waits for permits keeps lighter calls off the limit it waits for. */
struct reservation {
    struct limit *limit;
    uint32_t weight;
    mono_ns until;
};

struct flow {
    const struct flow_ops *ops;
    void *context;
    struct rng rng;
    mono_ns now; /* the newest time seen */
    struct list targets;
    struct heap turns[ROUTE_PRIORITY_MAX + 1]; /* routes that may start, in the current pump */
    struct route **routes;
    uint32_t route_count;
    struct reservation *reservations; /* LIMIT_SET_MAX a route; of the current pump */
    uint32_t reservation_count;
};

/* Never earlier than a time the flow has seen. */
mono_ns flow_time(struct flow *flow, mono_ns now);

/* ---- message.c ---- */
void message_move(struct message *message, enum message_state to);
/* To READY; accounts the waiting of the others first. */
void message_make_ready(struct message *message, mono_ns now);
/* NEW → READY or BUFFERED. ERR_FULL, ERR_NOMEM: no room for its group. */
SL_MUST_CHECK int group_join(struct message *message, mono_ns now);
/* The message goes its last way; the next of its group may be called. */
void group_leave(struct message *message, mono_ns now);
void message_free(struct message *message);
/* Its queue deletes it by then, and there is a place where it would be kept. */
bool message_expires(const struct message *message, mono_ns by);

/* ---- retry.c ---- */
/* Full jitter: uniform in [0, bound]. */
int64_t retry_backoff_ns(const struct retry_config *retry, uint32_t k, struct rng *rng);
/* Full jitter of a plain doubling from first up to BACKOFF_MAX_NS. */
int64_t backoff_ns(int64_t first_ns, uint32_t k, struct rng *rng);
/* Its wait is over: to READY, or parked until the budget lets it repeat its call. */
void retry_due(struct message *message, mono_ns now);
/* No longer parked. */
void retry_unpark(struct message *message);
/* Promotes what is parked as the budget allows. */
void retries_run(struct target *target, uint32_t *budget, mono_ns now);
/* When to look at what is parked again. */
mono_ns retries_deadline(const struct target *target, mono_ns now);

/* ---- attempt.c ---- */
void attempt_start(struct message *message, mono_ns now);
/* To the dead-letter queue; where there is none it is handed back, and not lost. */
void give_up(struct message *message, enum give_up why, mono_ns now);

/* ---- health.c ---- */
/* Opens and closes the target's breaker by the time; returns when to look again. */
mono_ns health_run(struct target *target, mono_ns now);
struct limit_verdict health_admit(struct route *route, mono_ns now);
void health_started(struct message *message, mono_ns now);
void health_ended(struct message *message, const struct attempt_result *result,
                  enum outcome outcome, mono_ns now);
/* It ended without its call: a probe that was none. */
void health_uncalled(const struct message *message, mono_ns now);
/* It is about to be freed: no other is taken for it. */
void health_forget(const struct message *message);
/* A failure now is the target's, whatever message is called … */
bool health_is_failing(const struct target *target);
/* … and, for a while and unless the retry plan is all there is, counts against no message. */
bool health_excuses(const struct target *target, mono_ns now);
/* The message the route calls next, NULL when none is ready. */
struct message *health_candidate(const struct route *route);
/* How many messages a half-open breaker would like to have to probe with. */
uint32_t health_probes_wanted(const struct route *route, mono_ns now);

/* ---- lease.c ---- */
void lease_schedule(struct message *message);
/* After lease_schedule(): where an extension just failed the next one waits. */
void lease_put_off(struct message *message, mono_ns now);
bool lease_suffices(const struct message *message, mono_ns now);
/* Its lease does not suffice: READY → BUFFERED until it is extended; back to the queue when it
 * cannot be. */
void lease_park(struct message *message, mono_ns now);
void leases_run(struct route *route, uint32_t *budget, mono_ns now);

/* ---- handback.c ---- */
/* What is left of its wait, as far as the queue hides a message; 0 when it waits for no time. */
int64_t wait_left_ns(const struct message *message, mono_ns now);
/* Back to the queue with the rest of its wait as delay. */
void hand_back(struct message *message, mono_ns now);
void waits_run(struct route *route, uint32_t *budget, mono_ns now);

/* ---- settle.c ---- */
/* To SETTLING; the pump tells the queue. What goes back or is lost takes those behind it in its
 * group along: none of them may be called before it (I7). */
void settle_begin(struct message *message, enum settle how, int64_t delay_ns, mono_ns now);
/* Its time has come: tell the queue, or forget what is lost. */
void settle_run(struct message *message, mono_ns now);

/* ---- receive.c ---- */
void end_rate_note(struct end_rate *rate, mono_ns now);
double end_rate_per_second(const struct end_rate *rate, mono_ns now);
/* Deadlines of WAITING messages until `until`, counted up to enough. */
uint32_t waits_until(const struct route *route, mono_ns until, uint32_t enough);
/* Asks the source when it is time; returns when to look again. */
mono_ns receive_run(struct route *route, mono_ns now);

/* ---- lanes.c ---- */
void lanes_init(struct route *route, size_t most);
void lanes_done(struct route *route);
/* For as long as the message is held. ERR_FULL: no room for its lane. */
SL_MUST_CHECK int lane_join(struct message *message);
void lane_leave(struct message *message);
/* It became ready, or is no longer. */
void lane_push(struct message *message);
void lane_remove(struct message *message);
/* Parked lanes whose time has come. */
void lanes_wake(struct route *route, mono_ns now);
/* Something happened to the limits of the message's keys. */
void lane_event(const struct message *message);
/* The message whose turn it is; NULL: there is none, or all lanes are parked. */
struct message *lanes_first(const struct route *route);
bool lane_is_parked(const struct message *message);
/* Whether the keys of the lane have permits; parks it when they have not. */
bool lane_admit(struct lane *lane, mono_ns now);
/* All limits of a message of an admitted lane. */
void lane_limits(const struct message *message, struct limit_set *ret);
/* A call of its first message started. */
void lane_served(struct lane *lane);
/* Hands back what a parked lane cannot call soon. */
void lane_shed(struct lane *lane, mono_ns now);
void lanes_check_invariants(const struct route *route);

/* Ready ones that no key holds up. */
static inline uint32_t route_ready_count(const struct route *route)
{
    return (uint32_t)route->lists[MESSAGE_READY].count - route->lanes.parked_messages;
}

/* ---- share.c ---- */
/* Before the route is one of flow->routes. */
void share_init(struct route *route);
void share_done(struct route *route);
/* Whether it waits for what it shares, as of now. */
void share_contend(struct route *route, bool contends, mono_ns now);
/* A call of the route started. */
void share_charge(struct route *route);
/* Permits of the limit that the route can expect to get within the horizon. */
double share_expect(const struct route *route, struct limit *limit, int64_t horizon_ns,
                    mono_ns now);

/* ---- route.c ---- */
/* What concerns this route alone, and leaves all that it shares to the others. */
struct limit_verdict route_admit_own(struct route *route, mono_ns now);
/* All of it; sets route->waits_for. */
struct limit_verdict route_admit(struct route *route, mono_ns now);
void route_reserve(struct route *route, mono_ns now);
/* Books the waiting since the last call to what said no. */
void route_account(struct route *route, mono_ns now);
void route_free(struct route *route);
void target_free(struct target *target);

#endif
