/*
 * delivery: the flow brought to life: sources on one side, targets over HTTP on the other, one pump
 * a turn in between, with its metrics and its one log line a message.
 *
 * Built by the app in order limits → targets → routes, then started. Loop thread only.
 */
#ifndef SLUICE_DELIVER_DELIVERY_H
#define SLUICE_DELIVER_DELIVERY_H

#include "sluice/base/err.h"
#include "sluice/base/json.h"
#include "sluice/deliver/destinations.h"
#include "sluice/deliver/message_key.h"
#include "sluice/deliver/source.h"
#include "sluice/flow/flow.h"
#include "sluice/flow/outcome_rules.h"
#include "sluice/runtime/loop.h"
#include "sluice/runtime/metrics.h"

struct delivery;
struct http_client;
struct message_header;
struct message_key;
struct sqs_pair;
struct store;

struct delivery_parts {
    struct loop *loop;
    struct metrics *metrics;
    struct http_client *client; /* for the targets; borrowed */
    struct store *store;        /* for what is remembered of messages and limits; borrowed */
    const char *data_dir;       /* for the marks of limits; borrowed */
    uint32_t cents_per_million; /* requests to Amazon SQS; 0: as the kind of queue has it */
    bool unclean_start;
    uint64_t seed;
};

struct delivery_target_config {
    const char *name, *url;
    uint32_t concurrency;
    int64_t timeout_ns, connect_timeout_ns, abort_hold_ns;
    struct breaker_config breaker;
    bool adaptive;
    const struct sqs_pair *headers; /* more request headers, copied */
    uint32_t header_count;
    const struct message_header *message_headers; /* copied */
    uint32_t message_header_count;
    const struct outcome_rule *rules; /* copied */
    uint32_t rule_count;
};

struct delivery_route_config {
    const char *name, *queue, *target; /* queue: for logs and metrics */
    const char *limits[LIMIT_SET_MAX];
    uint32_t limit_count;
    uint32_t concurrency, weight, share, priority;
    struct message_key tenant;
    struct retry_config retry;
    bool paused;
    bool unwraps_sns;                            /* the envelope of SNS is taken off */
    bool has_dead_letter;                        /* the queue has a dead-letter queue */
    bool asks_for_dead_letter;                   /* that is not known yet: the source will say */
    struct source *source;                       /* taken */
    struct destination *on_success, *on_failure; /* taken; NULL: none */
    const struct message_key *idempotency_key;   /* copied; NULL: no idempotency */
    int64_t idempotency_expires_ns;
    bool at_most_once; /* idempotency: what may have been done is dead-lettered, not called */
};

struct delivery *delivery_new(const struct delivery_parts *parts);
SL_MUST_CHECK int delivery_limit_add(struct delivery *d, const char *name,
                                     const struct limit_config *config, struct error *e);
/* For each value of the key on its own, at most keys_max at a time (limit/keyed.h). */
SL_MUST_CHECK int delivery_limit_keyed_add(struct delivery *d, const char *name,
                                           const struct limit_config *config,
                                           const struct message_key *key, uint32_t keys_max,
                                           struct error *e);
SL_MUST_CHECK int delivery_target_add(struct delivery *d,
                                      const struct delivery_target_config *config, struct error *e);
SL_MUST_CHECK int delivery_route_add(struct delivery *d, const struct delivery_route_config *config,
                                     struct error *e);
/* From now on the pump runs. */
void delivery_start(struct delivery *d);
/* Stops receiving, finishes calls in flight, settles, hands back the rest; then drained(context),
 * once. */
void delivery_drain(struct delivery *d, void (*drained)(void *context), void *context);
/* After the drain (or at once): closes resolvers, stops the pump. Free after the http client's
 * calls ended. */
void delivery_stop(struct delivery *d);
void delivery_free(struct delivery *d);
/* No target works at a call any more, as far as one can know: what comes next need not wait (I2).
 */
bool delivery_is_quiet(struct delivery *d);

/* ---- control: ERR_NOT_FOUND / ERR_RANGE / ERR_INVALID with *e saying what to do ---- */
SL_MUST_CHECK int delivery_route_pause(struct delivery *d, const char *route, bool paused,
                                       struct error *e);
/* limit NULL: the route's only one. */
SL_MUST_CHECK int delivery_limit_change(struct delivery *d, const char *route, const char *limit,
                                        uint32_t requests, int64_t per_ns, struct error *e);
/* {"limits":[…],"targets":[…],"routes":[…]} members into an open object. */
void delivery_status(struct delivery *d, struct json_writer *w);
/* {"limits":[…]}: what was called this hour and today, and of quotas. Into an open object. */
void delivery_usage(struct delivery *d, struct json_writer *w);
/* Why the daemon is not fit for work (a target's name does not resolve …), or NULL. */
const char *delivery_trouble(struct delivery *d);

#endif
