/*
 * The source on an Amazon SQS queue (or any server of its protocol): long polls, leases extended
 * while held, deletes and visibility changes in batches of ten or every 200 ms, each entry's answer
 * looked at.
 */
#include "source_sqs_internal.h"

#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

#include <stdlib.h>

#define WAIT_S             20
#define RECEIVE_TIMEOUT_NS ((WAIT_S + 10) * NS_PER_S)
#define RECEIVES_MAX       10 /* at once; each may bring 10 MiB more than the bound of what is held */

const char *source_sqs_route_name(const struct sqs_source *self)
{
    return flow_route_config(self->source.route)->name;
}

/* ---- receiving ---- */

static void receive_failed(struct sqs_source *self, const struct sqs_client_answer *answer,
                           mono_ns now)
{
    if (self->failures++ == 0 && answer->error != ERR_CANCELED) {
        LOG_WARNING("receive failed", LOG_STR("route", source_sqs_route_name(self)),
                    LOG_STR("queue", self->queue_url), LOG_ERR("error", answer->error),
                    LOG_STR("reason", answer->reason),
                    LOG_STR("code", answer->sqs.code != SQS_OK
                                        ? sqs_error_info(answer->sqs.code)->query_code
                                        : NULL));
    }
    source_received(&self->source, NULL, 0, answer->error, now);
}

static void on_received(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct sqs_source *self = context;
    const struct sqs_receive_out *out = answer->output;
    struct message *messages[SQS_BATCH_MAX];
    struct batch_memory *memory;
    uint32_t count = 0;

    if (answer->error != 0) {
        receive_failed(self, answer, now);
        return;
    }
    if (self->failures > 0) {
        LOG_INFO("receiving again", LOG_STR("route", source_sqs_route_name(self)),
                 LOG_STR("queue", self->queue_url), LOG_I64("failures", self->failures));
        self->failures = 0;
    }
    source_sqs_queue_received(self, out->messages.count, now);
    memory = MEM_NEW(struct batch_memory);
    memory->self = self;
    memory->references = 1;
    memory->arena = *answer->arena;
    memory->bytes = memory->arena.used_bytes;
    self->held_bytes += memory->bytes;
    arena_init(answer->arena, 0);
    for (; count < out->messages.count && count < SQS_BATCH_MAX; count++) {
        messages[count] = source_sqs_message(self, memory, &out->messages.items[count], now);
    }
    source_received(&self->source, messages, count, 0, now);
    source_sqs_memory_unref(memory);
}

void source_sqs_receive(struct source *source, uint32_t max)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);
    struct sqs_client_call *call;

    if (self->held_bytes >= SOURCE_HELD_MAX_BYTES) {
        self->wanted = max;
        self->waiting++;
        flow_source_full(source->route);
        return;
    }
    self->receive_in.max_messages =
        (struct sqs_int){true, max < SQS_BATCH_MAX ? max : SQS_BATCH_MAX};
    int error = sqs_client_call(self->client, SQS_RECEIVE_MESSAGE, &self->receive_in,
                                RECEIVE_TIMEOUT_NS, on_received, self, &call);
    /* Only memory or a bad URL can refuse a call, and the URL was checked. */
    SL_ASSERT(error == 0);
}

static void sqs_cancel_receive(struct source *source)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);

    /* An aborted long poll may strand up to ten messages until their visibility ends: it is let
     * run out (20 s at most), and what it brings is handed back. */
    for (; self->waiting > 0; self->waiting--) {
        source_received(source, NULL, 0, ERR_CANCELED, loop_now());
    }
}

static int64_t seconds_up(int64_t ns)
{
    int64_t s = (ns + NS_PER_S - 1) / NS_PER_S;

    return s < 0 ? 0 : s > SQS_LEASE_MAX_S ? SQS_LEASE_MAX_S : s;
}

static int64_t seconds_down(int64_t ns)
{
    return seconds_up(ns - NS_PER_S + 1);
}

static void sqs_settle(struct source *source, struct message *message, enum settle how,
                       int64_t delay_ns)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);
    struct lease *lease = message->source_data;

    bool is_over = how == SETTLE_ACK || lease->copied;

    if (how == SETTLE_DEAD_LETTER && self->has_dead_letter && !lease->copied) {
        source_sqs_copy(self, lease);
        return;
    }
    lease->kind = is_over ? PENDING_DELETE : PENDING_RELEASE;
    /* The queue hides no message for longer than until the cap of its lease. */
    lease->visibility_s =
        mono_min(seconds_up(delay_ns), seconds_down(message->lease_cap - loop_now()));
    source_sqs_tell(is_over ? &self->deletes : &self->visibilities, lease);
}

static void sqs_extend(struct source *source, struct message *message)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);
    struct lease *lease = message->source_data;

    lease->kind = PENDING_EXTEND;
    lease->visibility_s = seconds_down(message->extension_ns);
    source_sqs_tell(&self->visibilities, lease);
}

static const struct sqs_attributes *sqs_attributes(const struct message *message)
{
    const struct lease *lease = message->source_data;

    return &lease->received->attributes;
}

static struct str sqs_system_attribute(const struct message *message, const char *name)
{
    const struct lease *lease = message->source_data;

    return source_sqs_system_attribute(lease->received, name);
}

static void sqs_message_done(struct source *source, struct message *message)
{
    struct lease *lease = message->source_data;

    (void)source;
    if (lease != NULL) {
        source_sqs_memory_unref(lease->memory);
        free(lease);
    }
}

static void sqs_flush(struct source *source)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);

    self->deletes.urgent = self->visibilities.urgent = true;
    source_sqs_flush(&self->deletes);
    source_sqs_flush(&self->visibilities);
}

static const struct sqs_client_totals *sqs_totals(const struct source *source)
{
    /* The source is the first member. */
    return sqs_client_totals(((const struct sqs_source *)(const void *)source)->client);
}

static void sqs_stop(struct source *source)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);

    self->stopped = true;
    loop_timer_clear(self->loop, &self->attributes_retry);
    loop_timer_clear(self->loop, &self->deletes.timer);
    loop_timer_clear(self->loop, &self->visibilities.timer);
}

static void sqs_free(struct source *source)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);

    sqs_client_free(self->client);
    free(self->queue_url);
    free(self);
}

static void prepare_inputs(struct sqs_source *self)
{
    self->asked_attributes[0] = STR("All");
    self->asked_message_attributes[0] = STR("All");
    self->receive_in.queue_url = str_from(self->queue_url);
    self->receive_in.attribute_names = (struct sqs_strings){self->asked_attributes, 1, true};
    self->receive_in.message_attribute_names =
        (struct sqs_strings){self->asked_message_attributes, 1, true};
    self->receive_in.visibility_timeout = (struct sqs_int){true, self->visibility_s};
    self->receive_in.wait_seconds = (struct sqs_int){true, WAIT_S};
}

struct source *source_sqs_new(struct loop *loop, struct sqs_client *client, struct str queue_url,
                              int64_t visibility_ns)
{
    static const struct source_ops ops = {
        .kind = "sqs",
        .receive_batch = SQS_BATCH_MAX,
        .receives_max = RECEIVES_MAX,
        .receive = source_sqs_receive,
        .cancel_receive = sqs_cancel_receive,
        .settle = sqs_settle,
        .extend = sqs_extend,
        .attributes = sqs_attributes,
        .system_attribute = sqs_system_attribute,
        .message_done = sqs_message_done,
        .flush = sqs_flush,
        .totals = sqs_totals,
        .stop = sqs_stop,
        .free = sqs_free,
    };
    struct sqs_source *self = MEM_NEW(struct sqs_source);

    self->source.ops = &ops;
    self->loop = loop;
    self->client = client;
    self->queue_url = mem_dup(queue_url.ptr, queue_url.len);
    self->visibility_s = seconds_up(visibility_ns);
    source_sqs_batcher_init(self, &self->deletes, SQS_DELETE_MESSAGE_BATCH);
    source_sqs_batcher_init(self, &self->visibilities, SQS_CHANGE_MESSAGE_VISIBILITY_BATCH);
    prepare_inputs(self);
    source_sqs_queue_init(self);
    return &self->source;
}
