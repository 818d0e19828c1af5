/*
 * source_sqs_internal: the source on an Amazon SQS queue, shared by its files. Not for other files.
 *
 *   source_sqs.c          receiving; what the delivery asks for
 *   source_sqs_message.c  a received message as the flow knows it
 *   source_sqs_tell.c     deletes and visibility changes, in batches
 *   source_sqs_copy.c     dead letters: copied first, then deleted
 *   source_sqs_queue.c    what the queue says of itself: redrive policy, retention
 */
#ifndef SLUICE_DELIVER_SOURCE_SQS_INTERNAL_H
#define SLUICE_DELIVER_SOURCE_SQS_INTERNAL_H

#include "sluice/aws/sqs_client.h"
#include "sluice/base/list.h"
#include "sluice/deliver/source.h"

#define SQS_CALL_TIMEOUT_NS (15 * NS_PER_S)
#define SQS_BATCH_MAX       10
/* The answer took this long from SQS to us, at most, as far as the lease is concerned. */
#define SQS_LEASE_MARGIN_NS (2 * NS_PER_S)
#define SQS_LEASE_MAX_S     43200 /* of a message from its receipt on, however often extended */
#define SQS_URL_MAX         512

struct sqs_source;

/* One receive's memory, shared by its messages. */
struct batch_memory {
    struct sqs_source *self;
    struct arena arena;
    uint32_t references;
    size_t bytes;
};

enum pending_kind { PENDING_DELETE, PENDING_RELEASE, PENDING_EXTEND };

/* What SQS knows of a message, and the one thing it is being told now. */
struct lease {
    struct sqs_source *self;
    struct message *message;
    struct batch_memory *memory;
    const struct sqs_message *received;
    struct list_node node; /* in a batcher's pending list or a request's entries */
    enum pending_kind kind;
    int64_t visibility_s;
    bool copied;   /* to the dead-letter queue: only its deletion is left */
    bool unmarked; /* the dead-letter queue did not take it with marks */
};

/* Collects entries of one action. */
struct batcher {
    struct sqs_source *self;
    enum sqs_action action;
    struct list pending;
    struct loop_timer timer;
    mono_ns send_at; /* while something is pending */
    bool urgent;     /* flush asked: do not wait for more */
};

struct sqs_source {
    struct source source;
    struct loop *loop;
    struct sqs_client *client;
    char *queue_url;
    int64_t visibility_s;
    struct batcher deletes, visibilities;
    size_t held_bytes;
    uint32_t wanted;  /* messages of a receive that waits for room */
    uint32_t waiting; /* receives that do */
    struct sqs_receive_in receive_in;
    struct str asked_attributes[1], asked_message_attributes[1];
    char dead_letter_url[SQS_URL_MAX];
    bool has_dead_letter;
    struct sqs_get_queue_attributes_in attributes_in;
    struct str asked_queue_attributes[4];
    int64_t retention_s; /* 0: not known */
    struct loop_timer attributes_retry;
    int64_t attributes_pause_ns;
    uint32_t empty_in_a_row; /* receives */
    mono_ns look_again;      /* at the queue's attributes: not before */
    bool told_crowded;
    uint32_t failures; /* of receives in a row: the first is logged */
    bool stopped;
};
const char *source_sqs_route_name(const struct sqs_source *self);
/* STR_NONE when the message has none of that name. */
struct str source_sqs_system_attribute(const struct sqs_message *m, const char *name);

/* A message with a lease of its own, which holds a reference of the memory. */
struct message *source_sqs_message(struct sqs_source *self, struct batch_memory *memory,
                                   const struct sqs_message *received, mono_ns now);
/* The last message gone, a receive that waits for room goes on. */
void source_sqs_memory_unref(struct batch_memory *memory);
void source_sqs_receive(struct source *source, uint32_t max);

void source_sqs_batcher_init(struct sqs_source *self, struct batcher *batcher,
                             enum sqs_action action);
/* Tells SQS what the lease says (kind, visibility_s), with others when it can wait. */
void source_sqs_tell(struct batcher *batcher, struct lease *lease);
void source_sqs_flush(struct batcher *batcher);

/* Copies the message to the dead-letter queue and then deletes it. */
void source_sqs_copy(struct sqs_source *self, struct lease *lease);

/* Asks the queue for its redrive policy and its retention, again until it answers. */
void source_sqs_queue_init(struct sqs_source *self);
/* A receive brought so many: when none comes for long it looks why, now and then. */
void source_sqs_queue_received(struct sqs_source *self, uint32_t count, mono_ns now);

#endif
