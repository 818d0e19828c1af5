/*
 * message: one message held by sluice, from its receipt to its settlement, and its states.
 *
 *   BUFFERED ──► READY ──► IN_FLIGHT ──► SETTLING ──► (gone)
 *                  ▲           │
 *                  └─ WAITING ◄┘      WAITING: retry at a time; READY again when it comes
 *
 * I4: a message is in exactly one state, state is membership of one list of its route, and
 * message_move() in message.c is the only function that changes it (illegal moves assert).
 * Owner: the flow, from flow_received() until ops->settle's completion (flow_settled).
 */
#ifndef SLUICE_FLOW_MESSAGE_H
#define SLUICE_FLOW_MESSAGE_H

#include "sluice/base/clock.h"
#include "sluice/base/heap.h"
#include "sluice/base/list.h"
#include "sluice/base/str.h"
#include "sluice/base/trace_context.h"
#include "sluice/limit/limit.h"

#include <stdbool.h>

#define MESSAGE_STATE_MAP(XX)                                                                      \
    XX(NEW, "new")             /* not yet on a list */                                             \
    XX(BUFFERED, "buffered")   /* received, waits for its turn (its group, a time) */              \
    XX(READY, "ready")         /* may be called now */                                             \
    XX(IN_FLIGHT, "in_flight") /* an attempt runs */                                               \
    XX(WAITING, "waiting")     /* waits to retry, outside the concurrency bound */                 \
    XX(SETTLING, "settling")   /* the queue is being told */

enum message_state {
#define XX(name, text) MESSAGE_##name,
    MESSAGE_STATE_MAP(XX)
#undef XX
        MESSAGE_STATE__COUNT
};
const char *message_state_name(enum message_state state);

/* How a message leaves the flow. */
#define SETTLE_MAP(XX)                                                                             \
    XX(ACK, "ack")                 /* delete */                                                    \
    XX(DEAD_LETTER, "dead_letter") /* move to the dead-letter queue */                             \
    XX(RELEASE, "release")         /* hand back, visible after a delay (0: at once) */             \
    XX(LOST, "lost")               /* the lease ran out: forget, tell nobody */

enum settle {
#define XX(name, text) SETTLE_##name,
    SETTLE_MAP(XX)
#undef XX
        SETTLE__COUNT
};
const char *settle_name(enum settle settle);

/* Why a message was given up: what a dead letter says of itself. */
#define GIVE_UP_MAP(XX)                                                                            \
    XX(NONE, "none")                                                                               \
    XX(REFUSED, "refused")           /* the outcome of its last attempt is dead_letter */          \
    XX(MAX_ATTEMPTS, "max_attempts") /* of the route's retry plan */                               \
    XX(MAX_DURATION, "max_retry_duration")                                                         \
    XX(S3_POINTER, "s3_pointer")  /* its body lies in S3: there is nothing to call with */         \
    XX(EXPIRED, "expired")        /* its retention ends */                                         \
    XX(UNKNOWN, "unknown_result") /* idempotency: it may have been called, and must not be         \
                                     called again */

enum give_up {
#define XX(name, text) GIVE_UP_##name,
    GIVE_UP_MAP(XX)
#undef XX
        GIVE_UP__COUNT
};
const char *give_up_name(enum give_up why);

struct route;
struct group;
struct lane;

struct message {
    struct route *route;
    struct list_node node;     /* in the list of its state */
    struct heap_node deadline; /* route heap: retry time (WAITING), settlement (SETTLING) */
    struct heap_node lease;    /* route heap: next extension of the lease */
    /* facts of the receipt */
    struct str id; /* queue's message id */
    struct str body;
    struct str
        group; /* MessageGroupId of a FIFO queue, or STR_NONE: its messages keep their order */
    struct str tenant; /* MessageGroupId, whatever the queue, or STR_NONE */
    struct trace_context trace;
    struct str trace_header; /* AWSTraceHeader, or STR_NONE */
    wall_ms sent_at;         /* SentTimestamp */
    mono_ns received_at;
    mono_ns lease_until;   /* ours until then; MONO_NEVER when the source needs no extension */
    mono_ns lease_cap;     /* no extension reaches beyond; MONO_NEVER when the source sets no end */
    int64_t visibility_ns; /* what one receive or extension lasts; 0 with MONO_NEVER */
    int64_t extension_ns;  /* of ops->extend: the lease is to end that long from now */
    mono_ns expires_at; /* its queue deletes it soon after, held or not; MONO_NEVER: it does not */
    void *source_data;  /* private to the source (receipt handle …), freed by it at settle */
    void *user;         /* of the ops' owner, freed by it in ops->message_done */
    uint32_t receive_count;
    enum message_state state;
    /* history here */
    uint32_t attempts; /* counted attempts: those that reached the API, are no throttle, and did not
                          fail because the target as a whole does */
    uint32_t calls;    /* all attempts started */
    mono_ns
        first_attempt_at; /* MONO_NEVER: none yet; kept over a restart, so also before its start */
    enum give_up give_up; /* with SETTLE_DEAD_LETTER, and with RELEASE where there is no
                             dead-letter queue */
    uint32_t backoffs;    /* failures in a row, for the backoff exponent */
    int last_status;      /* HTTP status of the last attempt, 0 when none came */
    int last_error;       /* enum err of the last transport error, 0 */
    uint32_t last_rule;   /* number of the rule that decided the last attempt; 0: the defaults */
    enum limit_reason wait_reason; /* what said no last */
    mono_ns ready_at;              /* since when it could have been called */
    int64_t throttle_wait_ns;      /* sum of the waits for an admission */
    int64_t last_duration_ns;      /* of the last attempt */
    mono_ns attempt_started_at;
    struct limit_grant grant; /* what the running attempt holds */
    /* how it leaves: valid in SETTLING and in ops->message_done */
    enum settle settle;
    uint32_t settle_failures; /* settlements that failed so far */
    int64_t settle_delay_ns;
    bool settled; /* confirmed by the queue, or LOST */
    /* private to the flow */
    bool settling;               /* ops->settle is outstanding */
    bool extending;              /* ops->extend is outstanding */
    bool extension_failed;       /* the last one did */
    bool lease_wait;             /* BUFFERED until its lease is long enough for a call */
    bool lease_lost;             /* the lease ran out meanwhile */
    bool repeats;                /* its next call repeats a failed one: takes of the retry budget */
    uint32_t breaker_generation; /* of the target's breaker when its attempt started */
    struct list_node parked;     /* WAITING for the retry budget of its target */
    mono_ns parked_at;
    struct group *group_state;   /* of its group while it is of one */
    struct list_node group_node; /* behind the active one of its group */
    struct lane *lane;           /* of its tenant and keys */
    struct list_node lane_node;  /* in its lane, while READY */
};

#endif
