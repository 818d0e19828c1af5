/*
 * delivery_internal: what the files of deliver/ share. Not for other areas.
 */
#ifndef SLUICE_DELIVER_INTERNAL_H
#define SLUICE_DELIVER_INTERNAL_H

#include "sluice/base/map.h"
#include "sluice/deliver/delivery.h"
#include "sluice/deliver/message_headers.h"
#include "sluice/deliver/message_key.h"
#include "sluice/limit/keyed.h"
#include "sluice/flow/gate_headers.h"
#include "sluice/net/http_client.h"
#include "sluice/net/resolver.h"
#include "sluice/queue/store.h"
#include "sluice/runtime/calendar.h"
#include "sluice/sqs/sns.h"
#include "sluice/sqs/types.h"

#define DELIVERY_NAME_MAX 81
#define WORKING_MAX       1000000u /* keys of work under way: far beyond what is ever in flight */
#define PUMP_BUDGET       256      /* starts and promotions a turn (I9) */

/* Highest count of calls started in any window of W, for sluice_window_peak_requests. */
struct window_peak {
    mono_ns *stamps; /* ring, oldest first */
    uint32_t first, count, capacity;
    uint32_t peak;
    int64_t per_ns;
};
void window_peak_init(struct window_peak *peak, uint32_t requests, int64_t per_ns);
void window_peak_done(struct window_peak *peak);
/* A start of that weight at now. */
void window_peak_add(struct window_peak *peak, uint32_t weight, mono_ns now);

struct saved_limit;

/* How long a gate was shut, for sluice_limit_gated_seconds_total. */
struct gate_watch {
    mono_ns from, until; /* the last time it was shut */
    int64_t before_ns;   /* all times before that */
};

struct delivery_limit {
    struct list_node node;
    char name[DELIVERY_NAME_MAX];
    struct limit *limit;       /* NULL: it is one by key */
    struct limit_keyed *keyed; /* NULL: it is not */
    uint32_t keys_max;
    struct message_key key;
    struct window_peak peak;        /* not of one by key */
    struct saved_limit *saved;      /* NULL: it does not outlive the process */
    uint64_t calls_hour, calls_day; /* permits taken in the present ones */
    struct gate_watch gate;
    struct metric *keys, *delayed;
    struct metric *requests, *pace, *window_peak, *guard, *gated;
};

struct delivery_target {
    struct list_node node;
    struct delivery *d;
    char name[DELIVERY_NAME_MAX];
    char *url;
    struct target *target;
    struct target_config config;
    int64_t connect_timeout_ns;
    struct resolver_entry *resolver;
    struct http_header *headers; /* configured ones, strings owned */
    uint32_t header_count;
    struct message_header *message_headers; /* owned */
    uint32_t message_header_count;
    struct outcome_rule *rules; /* owned */
    uint32_t rule_count;
    struct metric *in_flight, *concurrency, *duration, *arrival;
    struct metric *codes[600]; /* by status, made on first use */
    struct metric *breaker[BREAKER_STATE__COUNT], *breaker_to[BREAKER_STATE__COUNT];
    bool told_unavailable;
    bool told_proxy; /* a response carried Via: said once */
};

/* Where a route sends the records of what was delivered, and of what was given up. */
enum delivery_end { DELIVERY_SUCCESS, DELIVERY_FAILURE, DELIVERY_END__COUNT };

struct delivery_destination {
    struct destination *destination; /* NULL: none */
    uint32_t failures;               /* in a row: the first is logged */
    struct metric *sent, *failed;
};

struct delivery_route {
    struct list_node node;
    struct delivery *d;
    char name[DELIVERY_NAME_MAX], queue[512];
    struct route *route;
    struct source *source;
    struct delivery_target *target;
    struct delivery_limit *limits[LIMIT_SET_MAX];
    uint32_t limit_count;
    struct delivery_limit *keyed[LIMIT_SET_MAX]; /* those of them by key, as the flow has them */
    struct message_key tenant;
    struct delivery_destination destinations[DELIVERY_END__COUNT];
    bool unwraps_sns;
    bool source_has_dead_letter; /* the queue itself has a dead-letter queue */
    mono_ns told_gate;           /* the end of the gate that the log knows */
    bool logged_first;           /* cold_start of the next canonical line is false */
    /* idempotency */
    struct message_key key; /* kind NONE: off */
    int64_t key_expires_ms;
    bool at_most_once;
    bool told_keyless; /* a message had no key: said once */
    struct metric *idempotent_hits;
    /* records of attempts */
    bool may_have_retries; /* the file may have some of this route: what comes is looked up */
    uint64_t retries_noted;
    struct metric *age, *last_success, *paused;
    struct metric *received, *receives_ok, *receives_empty, *receives_failed, *retries;
    struct metric *lease_remaining, *leases_lost, *handed_back;
    struct metric *settled[SETTLE__COUNT], *throttle_wait[LIMIT_REASON__COUNT];
    struct metric *held[MESSAGE_STATE__COUNT], *dead_letters[GIVE_UP__COUNT];
    struct route_cost *cost; /* cost.h; NULL: nothing is paid for */
};

struct quota_families {
    struct metric_family *used, *requests, *reset, *failures;
};

/* What a message carries besides what the flow knows: message->user. Made when it is first needed,
 * which for most messages is never. */
struct parcel {
    struct message *message;
    struct letter *letter; /* letter.h; NULL: nothing */
    /* an envelope that was taken off */
    bool unwrapped;
    struct str original; /* the body with it */
    struct sns_envelope envelope;
    struct arena envelope_arena;
    /* attempts as the file has them */
    uint32_t attempts_noted, backoffs_noted;
    bool has_retry_record;
    /* idempotency */
    bool has_key;
    uint8_t key[STORE_RECORD_KEY_BYTES];
    char header[256];  /* Idempotency-Key */
    bool working;      /* its key is among those that this process works at */
    bool known_failed; /* the API said that the work is not done, whatever the file says */
    bool answered;     /* the outcome was ack: the record has to say so before the queue is told */
    bool finished;     /* it does */
    /* the one record operation that runs */
    struct store_records op;
    struct store_record record;
    struct arena arena;
    struct loop_timer postponed;
    void (*begun)(void *context, enum attempt_end end, mono_ns now);
    void *begun_context;
};
struct parcel *delivery_parcel(struct message *message);
/* The message attributes: of the envelope, where one was taken off. Borrowed from the message. */
const struct sqs_attributes *delivery_attributes(const struct message *message);
/* The body as it lies in the queue. */
struct str delivery_original(const struct message *message);

#define KEY_BYTES_MAX ((size_t)64 << 10) /* a longer value from a body counts as absent */

struct delivery {
    struct loop *loop;
    struct store *store;
    struct map working;   /* keys of work under way → struct parcel */
    bool told_unrecorded; /* records cannot be written: said once */
    struct metrics *metrics;
    struct http_client *client;
    const char *data_dir;
    struct flow *flow;
    bool unclean_start, started, stopped;
    struct list limits, targets, routes;
    struct list saved; /* limits that outlive the process */
    struct calendar_period hour, day;
    struct calendar_stamp stamp;
    struct loop_hook pump;
    struct loop_timer deadline;
    struct metrics_collector collector, quota_collector;
    struct delivery_families *families;
    struct cost_families *cost;
    uint32_t cents_per_million;
    struct quota_families quota_families;
    void (*drained)(void *context);
    void *drained_context;
    uint32_t attempts_running;
    struct buf key_scratch[LIMIT_SET_MAX + 1];
};

/* quotas.c: limits that outlive the process */
void quotas_init(struct delivery *d);
void quotas_done(struct delivery *d);
void quotas_add(struct delivery *d, struct delivery_limit *limit);
/* A call has taken permits, and nothing of it is written yet. */
void quotas_mark(struct saved_limit *s);
/* After a change of its configuration. */
void quotas_resize(struct saved_limit *s, const struct limit_config *config);
/* Before the pump: what the calendar says now; after it: the claims that calls wait for. Both
 * return when they want to be called again. */
mono_ns quotas_tell(struct delivery *d, mono_ns now);
mono_ns quotas_claim(struct delivery *d, mono_ns now);
/* Nothing will be called any more: writes what really was. True when that is done. */
bool quotas_flush(struct delivery *d, mono_ns now);

/* dispatch.c: flow_ops.start */
void dispatch_start(void *context, struct message *message);
/* settle.c: flow_ops.settle, and what comes of it */
void delivery_settle(struct message *message, enum settle how, int64_t delay_ns);
/*
 * ledger.c: what is remembered of messages in the queue file, so that attempts are counted over a
 * restart and work is not done twice. Nothing here runs when the calls of a route succeed and it
 * has no idempotency.
 */
/* Restores what is known of them, then flow_received(), now or later, once. */
void ledger_received(struct delivery_route *route, struct message **messages, uint32_t count,
                     int error, mono_ns now);
/* The work is about to begin: begun() comes once, later: ATTEMPT_CALLED when that is written down
 * and synced, or why there is to be no call. Routes with a key only. */
void ledger_begin(struct message *message,
                  void (*begun)(void *context, enum attempt_end end, mono_ns now), void *context);
/* It was not called after all. */
void ledger_withdraw(struct message *message);
/* After flow_attempt_ended() of a call. */
void ledger_attempt_ended(struct message *message, const struct attempt_result *facts);
/* Before the queue is told. True: delivery_settle() or flow_settled() comes later. */
bool ledger_settle(struct message *message, enum settle how);
void ledger_message_done(struct message *message);

/* instruments.c: metrics and the canonical line */
void instruments_init(struct delivery *d);
void instruments_done(struct delivery *d);
void instruments_limit(struct delivery *d, struct delivery_limit *limit);
void instruments_target(struct delivery *d, struct delivery_target *target);
void instruments_route(struct delivery *d, struct delivery_route *route);
/* flow_ops.breaker */
void instruments_breaker(void *context, struct target *target);
void instruments_attempt(const struct message *message, const struct http_result *result,
                         enum outcome outcome, int64_t duration_ns);
/* After an attempt of the route ended: a gate that its answer shut is logged once and timed. */
void instruments_gate(struct delivery_route *route, const struct gate_advice *advice, mono_ns now);
void instruments_settle(struct delivery_route *route, const struct message *message,
                        enum settle how);
void instruments_destination(struct delivery_route *route, enum delivery_end end);
/* "201", or "connect_error", "timeout" …: the value of the label code. */
const char *instruments_code(int status, int error, char out[16]);

const struct limit_config *delivery_limit_config(const struct delivery_limit *limit);
/* control.c: its name, requests and per_seconds as members of an open object. */
void delivery_limit_describe(const struct delivery_limit *limit, struct json_writer *w);
struct delivery_limit *delivery_limit_find(struct delivery *d, const char *name);
struct delivery_target *delivery_target_find(struct delivery *d, const char *name);
struct delivery_route *delivery_route_find(struct delivery *d, const char *name);
/* The route of a message. */
struct delivery_route *delivery_route_of(const struct message *message);

#endif
