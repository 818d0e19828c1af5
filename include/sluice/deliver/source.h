/*
 * source: the side of a route that receives from a queue and settles messages there. Two
 * implementations (embedded queue, SQS) of one vtable; everything behind it is the same code.
 *
 * The flow asks (receive, settle, extend), the source answers with the flow's events, exactly once
 * each and never before the ask returned. Loop thread only.
 */
#ifndef SLUICE_DELIVER_SOURCE_H
#define SLUICE_DELIVER_SOURCE_H

#include "sluice/flow/flow.h"
#include "sluice/runtime/loop.h"

#include <stdbool.h>
#include <stdint.h>

/* Memory of all the messages that a source holds; the next receive waits beyond (I8). */
#define SOURCE_HELD_MAX_BYTES ((size_t)64 << 20)

struct source;
struct sqs_attributes;
struct sqs_client_totals;
struct sqs_marks;

struct source_ops {
    const char *kind;    /* "embedded", "sqs" */
    bool cheap_receives; /* this and the next two: see flow/flow.h */
    uint32_t receive_batch, receives_max;
    void (*receive)(struct source *source, uint32_t max);
    /* Ends an outstanding receive early if that strands no message (embedded), or lets it end
     * (SQS); its completion comes all the same. */
    void (*cancel_receive)(struct source *source);
    void (*settle)(struct source *source, struct message *message, enum settle how,
                   int64_t delay_ns);
    void (*extend)(struct source *source, struct message *message);
    /* The message attributes of a message that is held: borrowed from it. */
    const struct sqs_attributes *(*attributes)(const struct message *message);
    /* A system attribute by the name that SQS has for it, where the message itself does not know
     * it; STR_NONE: absent. Borrowed from the message. */
    struct str (*system_attribute)(const struct message *message, const char *name);
    /* Frees strings and source_data of a message that the flow lets go. */
    void (*message_done)(struct source *source, struct message *message);
    /* Sends what is batched now instead of later (drain). */
    void (*flush)(struct source *source);
    /* What was asked of a service that is paid for by the request; NULL: of none. */
    const struct sqs_client_totals *(*totals)(const struct source *source);
    /* Before its store or client is closed: nothing more is asked of it. */
    void (*stop)(struct source *source);
    /* No operation is outstanding any more. */
    void (*free)(struct source *source);
};

struct source {
    const struct source_ops *ops;
    struct route *route; /* set by the delivery once the flow's route exists */
};

/* Every receive is answered through here, which counts it and tells the flow (flow_received). */
void source_received(struct source *source, struct message **messages, uint32_t count, int error,
                     mono_ns now);
/* Every settle is answered through here, which goes on with the message or tells the flow. error:
 * as of flow_settled. */
void source_settled(struct message *message, int error, mono_ns now);
/* The trace that a new message goes on: its attribute traceparent, else AWSTraceHeader (STR_NONE:
 * none), else a new one. */
void source_trace(struct message *message, const struct sqs_attributes *attributes,
                  struct str trace_header);
/* Whether the queue has a dead-letter queue, once it is known. */
void source_dead_letter(struct source *source, bool has_dead_letter);
/* What a dead letter of this message says of itself; valid from its settle to the answer. */
const struct sqs_marks *source_marks(const struct message *message);

struct store;
/* On the embedded queue. queue: name, copied. */
struct source *source_embedded_new(struct store *store, struct str queue);

struct sqs_client;
/* On a queue of Amazon SQS. The client is taken; visibility_ns: length of each lease. The queue's
 * redrive policy is read at once and tells the route whether there is a dead-letter queue. */
struct source *source_sqs_new(struct loop *loop, struct sqs_client *client, struct str queue_url,
                              int64_t visibility_ns);

#endif
