/*
 * The source on the embedded queue. A message is held, not leased: it belongs to this process until
 * it is settled, so waiting costs no write and no receive (I5), and what a killed process held is
 * visible when the file is next opened.
 */
#include "sluice/base/digest.h"
#include "sluice/base/mem.h"
#include "sluice/deliver/source.h"
#include "sluice/queue/store.h"
#include "sluice/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX_BYTES ((size_t)16 << 20) /* one receive */

struct embedded;

/* One receive and the messages it brought: they share its memory. */
struct batch {
    struct embedded *source;
    struct store_hold hold;
    struct arena arena;
    uint32_t references;
    size_t bytes;
};

struct held {
    struct batch *batch;
    struct message *message;
    const struct store_held *received; /* in the batch's memory */
    char first_received_at[24];
    struct store_settle settle;
};

struct embedded {
    struct source source;
    struct store *store;
    char *queue;
    struct batch *receiving; /* NULL: none */
    uint32_t wanted;         /* a receive that waits for room */
    size_t held_bytes;
};

static void hold_begin(struct embedded *self, uint32_t max);

static void batch_unref(struct batch *batch)
{
    struct embedded *self = batch->source;

    if (--batch->references > 0) {
        return;
    }
    self->held_bytes -= batch->bytes;
    arena_done(&batch->arena);
    free(batch);
    if (self->wanted > 0 && self->held_bytes >= SOURCE_HELD_MAX_BYTES) {
        flow_source_full(self->source.route);
    } else if (self->wanted > 0) {
        uint32_t max = self->wanted;
        self->wanted = 0;
        hold_begin(self, max);
    }
}

static struct message *message_from(struct batch *batch, const struct store_held *held, mono_ns now)
{
    struct message *message = flow_message_new(batch->source->source.route);
    struct held *data = MEM_NEW(struct held);

    data->batch = batch;
    data->message = message;
    data->received = held;
    data->settle.row_id = held->row_id;
    message->source_data = data;
    message->id = held->message_id;
    message->body = held->body;
    message->tenant = held->group_id;
    /* On a standard queue a group id is a tenant's name and orders nothing. */
    message->group = str_ends_with(batch->hold.queue, STR(".fifo")) ? held->group_id : STR_NONE;
    source_trace(message, &held->attributes, held->trace_header);
    message->sent_at = held->sent_at;
    message->receive_count = held->receive_count;
    message->received_at = now;
    message->lease_until = MONO_NEVER;
    batch->references++;
    return message;
}

static void on_held(void *context, struct store_hold *hold)
{
    struct batch *batch = context;
    struct embedded *self = batch->source;
    struct message **messages = NULL;
    mono_ns now = loop_now();

    self->receiving = NULL;
    if (hold->count > 0) {
        messages = MEM_NEW_ARRAY(hold->count, struct message *);
    }
    for (uint32_t i = 0; i < hold->count; i++) {
        messages[i] = message_from(batch, &hold->messages[i], now);
    }
    if (hold->error != 0 && hold->error != ERR_CANCELED && hold->error != ERR_CLOSED) {
        LOG_ERROR("receive failed", LOG_STR("route", flow_route_config(self->source.route)->name),
                  LOG_STR("queue", self->queue), LOG_ERR("error", hold->error));
    }
    batch->bytes = batch->arena.used_bytes;
    self->held_bytes += batch->bytes;
    source_received(&self->source, messages, hold->count, hold->error, now);
    free(messages);
    batch_unref(batch);
}

static void hold_begin(struct embedded *self, uint32_t max)
{
    struct batch *batch = MEM_NEW(struct batch);

    batch->source = self;
    batch->references = 1; /* of the receive itself */
    arena_init(&batch->arena, BATCH_MAX_BYTES);
    batch->hold.queue = str_from(self->queue);
    batch->hold.max = max;
    batch->hold.arena = &batch->arena;
    batch->hold.done = on_held;
    batch->hold.context = batch;
    self->receiving = batch;
    store_hold(self->store, &batch->hold);
}

static void embedded_receive(struct source *source, uint32_t max)
{
    struct embedded *self = SL_CONTAINER_OF(source, struct embedded, source);

    if (self->held_bytes >= SOURCE_HELD_MAX_BYTES) {
        self->wanted = max;
        flow_source_full(source->route);
        return;
    }
    hold_begin(self, max);
}

static void embedded_cancel_receive(struct source *source)
{
    struct embedded *self = SL_CONTAINER_OF(source, struct embedded, source);

    if (self->receiving != NULL) {
        store_hold_cancel(self->store, &self->receiving->hold);
    } else if (self->wanted > 0) {
        self->wanted = 0;
        source_received(source, NULL, 0, ERR_CANCELED, loop_now());
    }
}

static void on_settled(void *context, struct store_settle *settle)
{
    struct held *held = context;
    int error = settle->error;

    if (error == ERR_NOT_FOUND) {
        error = 0; /* purged or expired meanwhile: nothing is left to do */
    }
    if (error != 0) {
        char trace_id[33];
        digest_hex(held->message->trace.trace_id, sizeof(held->message->trace.trace_id), trace_id);
        LOG_WARNING("settle failed",
                    LOG_STR("route", flow_route_config(held->message->route)->name),
                    LOG_SLICE("function_name", settle->queue),
                    LOG_SLICE("function_request_id", held->message->id),
                    LOG_STR("trace_id", trace_id), LOG_ERR("error", error));
    }
    source_settled(held->message, error, loop_now());
}

static void embedded_settle(struct source *source, struct message *message, enum settle how,
                            int64_t delay_ns)
{
    struct embedded *self = SL_CONTAINER_OF(source, struct embedded, source);
    struct held *held = message->source_data;
    struct store_settle *settle = &held->settle;

    settle->queue = str_from(self->queue);
    settle->how = how == SETTLE_ACK           ? STORE_SETTLE_DELETE
                  : how == SETTLE_DEAD_LETTER ? STORE_SETTLE_DEAD_LETTER
                                              : STORE_SETTLE_RELEASE;
    settle->delay_ms = (delay_ns + NS_PER_MS - 1) / NS_PER_MS;
    /* Attempts are counted here, over restarts too: handing back costs no receive, or the waits of
     * our own retries would use up the queue's max_receives (I5). */
    settle->uncount = how == SETTLE_RELEASE;
    settle->marks = how == SETTLE_DEAD_LETTER ? source_marks(message) : NULL;
    settle->done = on_settled;
    settle->context = held;
    store_settle(self->store, settle);
}

static void embedded_extend(struct source *source, struct message *message)
{
    (void)source;
    (void)message;
    SL_ASSERT(!"a held message has no lease to extend");
}

static const struct sqs_attributes *embedded_attributes(const struct message *message)
{
    const struct held *held = message->source_data;

    return &held->received->attributes;
}

static struct str embedded_system_attribute(const struct message *message, const char *name)
{
    struct held *held = message->source_data;
    const struct store_held *received = held->received;

    (void)snprintf(held->first_received_at, sizeof(held->first_received_at), "%lld",
                   (long long)received->first_received_at);
    const struct {
        const char *name;
        struct str value;
    } known[] = {
        {"SenderId", received->sender_id},
        {"SequenceNumber", received->sequence_number},
        {"MessageDeduplicationId", received->deduplication_id},
        {"DeadLetterQueueSourceArn", received->source_arn},
        {"ApproximateFirstReceiveTimestamp", str_from(held->first_received_at)},
    };

    for (size_t i = 0; i < SL_COUNT(known); i++) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].value;
        }
    }
    return STR_NONE;
}

static void embedded_message_done(struct source *source, struct message *message)
{
    struct held *held = message->source_data;

    (void)source;
    if (held != NULL) {
        batch_unref(held->batch);
        free(held);
    }
}

static void embedded_flush(struct source *source)
{
    (void)source; /* the store commits what is pending at once */
}

static void embedded_stop(struct source *source)
{
    (void)source; /* it asks for nothing of its own accord */
}

static void embedded_free(struct source *source)
{
    struct embedded *self = SL_CONTAINER_OF(source, struct embedded, source);

    free(self->queue);
    free(self);
}

struct source *source_embedded_new(struct store *store, struct str queue)
{
    static const struct source_ops ops = {
        .kind = "embedded",
        .cheap_receives = true,
        .receive = embedded_receive,
        .cancel_receive = embedded_cancel_receive,
        .settle = embedded_settle,
        .extend = embedded_extend,
        .attributes = embedded_attributes,
        .system_attribute = embedded_system_attribute,
        .message_done = embedded_message_done,
        .flush = embedded_flush,
        .stop = embedded_stop,
        .free = embedded_free,
    };
    struct embedded *self = MEM_NEW(struct embedded);

    self->source.ops = &ops;
    self->store = store;
    self->queue = mem_dup(queue.ptr, queue.len);
    return &self->source;
}
