#include "source_sqs_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

/* Before a message's retention ends: the copy's time, and how far the clocks may be apart. */
#define EXPIRY_MARGIN_NS (20 * NS_PER_S)

void source_sqs_memory_unref(struct batch_memory *memory)
{
    struct sqs_source *self = memory->self;

    if (--memory->references > 0) {
        return;
    }
    self->held_bytes -= memory->bytes;
    arena_done(&memory->arena);
    free(memory);
    for (uint32_t waiting = self->waiting; waiting > 0; waiting--) {
        self->waiting--;
        source_sqs_receive(&self->source, self->wanted);
    }
}

struct str source_sqs_system_attribute(const struct sqs_message *m, const char *name)
{
    for (uint32_t i = 0; i < m->system_attributes.count; i++) {
        if (str_equal(m->system_attributes.items[i].name, str_from(name))) {
            return m->system_attributes.items[i].value;
        }
    }
    return STR_NONE;
}

static int64_t system_number(const struct sqs_message *m, const char *name, int64_t otherwise)
{
    int64_t value;

    return str_to_i64(source_sqs_system_attribute(m, name), 0, INT64_MAX, &value) == 0 ? value
                                                                                       : otherwise;
}

/* SQS deletes it then, held or not: in time it can still be copied. */
static mono_ns expires_at(const struct sqs_source *self, wall_ms sent_at, mono_ns now)
{
    /* A time that is yet to come is no time of SQS. */
    bool known = self->retention_s > 0 && sent_at <= loop_wall();
    int64_t age_ms = known ? loop_wall() - sent_at : 0;

    return known ? mono_add(now, (self->retention_s * 1000 - age_ms) * NS_PER_MS - EXPIRY_MARGIN_NS)
                 : MONO_NEVER;
}

struct message *source_sqs_message(struct sqs_source *self, struct batch_memory *memory,
                                   const struct sqs_message *received, mono_ns now)
{
    struct message *message = flow_message_new(self->source.route);
    struct lease *lease = MEM_NEW(struct lease);

    lease->self = self;
    lease->message = message;
    lease->memory = memory;
    lease->received = received;
    memory->references++;
    message->source_data = lease;
    message->id = received->message_id;
    message->body = received->body;
    message->tenant = source_sqs_system_attribute(received, "MessageGroupId");
    message->group =
        str_ends_with(str_from(self->queue_url), STR(".fifo")) ? message->tenant : STR_NONE;
    source_trace(message, &received->attributes,
                 source_sqs_system_attribute(received, "AWSTraceHeader"));
    message->sent_at = system_number(received, "SentTimestamp", loop_wall());
    message->expires_at = expires_at(self, message->sent_at, now);
    message->receive_count = (uint32_t)system_number(received, "ApproximateReceiveCount", 1);
    message->received_at = now;
    message->visibility_ns = self->visibility_s * NS_PER_S;
    message->lease_until = now + message->visibility_ns - SQS_LEASE_MARGIN_NS;
    message->lease_cap = now + SQS_LEASE_MAX_S * NS_PER_S - SQS_LEASE_MARGIN_NS;
    return message;
}
