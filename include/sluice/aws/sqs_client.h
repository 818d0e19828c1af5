/*
 * sqs_client: calls to one SQS queue over net/http_client: AWS JSON 1.0, signed with Signature
 * Version 4. Loop thread only. Retrying is the caller's.
 */
#ifndef SLUICE_AWS_SQS_CLIENT_H
#define SLUICE_AWS_SQS_CLIENT_H

#include "sluice/base/clock.h"
#include "sluice/base/err.h"
#include "sluice/base/mem.h"
#include "sluice/net/http_client.h"
#include "sluice/runtime/loop.h"
#include "sluice/sqs/actions.h"
#include "sluice/sqs/error.h"

struct sqs_client;
struct sqs_client_call;
struct provider; /* aws/provider.h */

struct sqs_client_config {
    struct loop *loop;
    struct http_client *http;  /* borrowed */
    struct provider *provider; /* borrowed; NULL: requests are not signed */
    const char
        *queue_url; /* https://sqs.<region>.amazonaws.com/<account>/<name>, or of any SQS server */
    const char *region;     /* to sign for: see aws/endpoint.h */
    const char *endpoint;   /* NULL: scheme and host of queue_url */
    wall_ms (*clock)(void); /* NULL: loop_wall; tests bring their own time */
};

/* ERR_INVALID with *e when URL or region are missing or wrong. */
SL_MUST_CHECK int sqs_client_new(const struct sqs_client_config *config, struct sqs_client **ret,
                                 struct error *e);
/* Calls that still run are canceled, and their done never comes. */
void sqs_client_free(struct sqs_client *client);

struct sqs_client_answer {
    int error; /* 0; transport: ERR_TIMEOUT, ERR_CONNECT …; ERR_PROTOCOL: SQS answered an error */
    struct sqs_error sqs; /* with ERR_PROTOCOL: what SQS said; code SQS_OK otherwise */
    const char *reason;   /* with an error: what a person needs to know of it, never NULL */
    bool transient;       /* trying again later may help (5xx, throttling, transport) */
    void *output; /* struct sqs_…_out of the action (in the arena), NULL for void actions */
    struct arena *arena; /* holds output; arena_take_over: see below */
};

/* input is read before this returns. Always 0 but for ERR_NOMEM: what cannot even start is told by
 * done. A refusal by a server whose clock is 4 minutes or more away is signed anew, once, with its
 * time, which is kept. A call waits for credentials, as long as its timeout allows; those that SQS
 * refuses as expired or unknown are told to the provider, and the call is signed anew with others,
 * once. done: once, never before this returned. answer and what it points to are
 * valid inside done; a caller that wants to keep the messages moves the arena: *mine =
 * *answer->arena; arena_init(answer->arena, 0). Received bodies and attributes whose MD5 does not
 * fit are ERR_CORRUPT. timeout_ns: total. */
typedef void (*sqs_client_done)(void *context, const struct sqs_client_answer *answer, mono_ns now);
SL_MUST_CHECK int sqs_client_call(struct sqs_client *client, enum sqs_action action,
                                  const void *input, int64_t timeout_ns, sqs_client_done done,
                                  void *context, struct sqs_client_call **ret);
/* done comes with ERR_CANCELED. */
void sqs_client_cancel(struct sqs_client_call *call);
/* What was asked of SQS since the start: requests that went out, and what they are billed as (each
 * started 64 KiB of a request or its answer, whichever is more, is one). */
#define SQS_BILLED_BYTES ((size_t)64 << 10)
struct sqs_client_totals {
    uint64_t requests[SQS_ACTION__COUNT];
    uint64_t billed;
};
const struct sqs_client_totals *sqs_client_totals(const struct sqs_client *client);
/* Calls to another queue of the same server (the dead-letter queue): QueueUrl in the input decides;
 * this is its URL by the ARN. ERR_SYNTAX. */
SL_MUST_CHECK int sqs_client_url_of_arn(const struct sqs_client *client, struct str arn, char *out,
                                        size_t out_size);

#endif
