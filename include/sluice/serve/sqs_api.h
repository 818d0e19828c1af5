/*
 * sqs_api: the SQS API of the embedded queues over HTTP: an http_handler that understands both
 * protocols (AWS JSON 1.0 by X-Amz-Target on any path; Query by form POST or GET on "/" or a
 * queue's path), hands each request to the store and writes the answer.
 *
 * Who may call. With access keys every request must be signed with one of them (Signature Version
 * 4, clock within 15 minutes, no session tokens). Without keys whoever reaches the socket may,
 * except web pages: a request with an Origin, a Referer or a cross-site Sec-Fetch-Site header is
 * refused, and so is a Host that is not local (allow_anonymous lifts only that last rule, for
 * listeners beyond loopback). A key may be bound to actions and queues: what lies outside is
 * AccessDenied, whether or not the queue is there. ListQueues needs the action only.
 *
 * All regions are one namespace of queues. ARNs in answers are of the region that the request's
 * credential scope names, signed or not; with keys that must be the configured one.
 *
 * Memory: at most SQS_API_REQUEST_MAX_BYTES per request for what it decodes and is answered. Loop
 * thread only.
 */
#ifndef SLUICE_SERVE_SQS_API_H
#define SLUICE_SERVE_SQS_API_H

#include "sluice/base/clock.h"
#include "sluice/net/http_server.h"
#include "sluice/queue/store.h"
#include "sluice/runtime/metrics.h"
#include "sluice/sqs/types.h"

/* For http_server_config.body_max_bytes: a body of 1 MiB in a form may have every byte escaped. */
#define SQS_API_BODY_MAX_BYTES    ((size_t)4 << 20)
#define SQS_API_REQUEST_MAX_BYTES ((size_t)8 << 20)

struct sqs_api;

struct sqs_api_key {
    struct str id, secret;
    struct sqs_strings actions, queues; /* patterns of names (str_matches); none: all */
};

/* Everything is copied. */
struct sqs_api_config {
    struct sqs_api_key *access_keys;
    uint32_t access_key_count; /* 0: unsigned requests */
    bool allow_anonymous;
    struct str region;      /* signatures must be for it; empty: for any */
    struct str account;     /* of ARNs in messages */
    wall_ms (*clock)(void); /* NULL: loop_wall; tests bring their own time */
};

/* store and metrics are borrowed and outlive it. Registers sluice_sqs_requests_total{action,code}.
 */
struct sqs_api *sqs_api_new(struct store *store, struct metrics *metrics,
                            const struct sqs_api_config *config);
/* Requests that wait for messages are answered soon with what there is: before a stop. New ones are
 * not let wait any more. */
void sqs_api_drain(struct sqs_api *api);
/* Requests being worked on. */
uint32_t sqs_api_running(const struct sqs_api *api);
/* None may be running: close the server, drain, and let the store finish first. */
void sqs_api_free(struct sqs_api *api);

/* The handler for http_server_new(); context: struct sqs_api *. */
void sqs_api_handle(void *context, struct http_exchange *exchange,
                    const struct http_request_view *request);
/* The same for callers whose right was proved by the socket they came through (the control socket
 * in the data directory, mode 0600: they own the file anyhow): no signature is asked for. */
void sqs_api_handle_owner(void *context, struct http_exchange *exchange,
                          const struct http_request_view *request);

#endif
