#include "source_sqs_internal.h"

#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"
#include "sluice/sqs/marks.h"
#include "sluice/sqs/validate.h"

#include <stdlib.h>

#define MARKS_MAX_BYTES ((size_t)64 << 10) /* the list of a dead letter's attributes */

struct dead_letter_call {
    struct lease *lease;
    struct sqs_send_message_in input;
    struct sqs_attribute trace;
    struct arena arena;
};

static void on_copied(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct dead_letter_call *call = context;
    struct lease *lease = call->lease;

    arena_done(&call->arena);
    free(call);
    if (answer->error != 0) {
        LOG_WARNING("the dead-letter queue did not take the message",
                    LOG_STR("route", source_sqs_route_name(lease->self)),
                    LOG_SLICE("function_request_id", lease->message->id),
                    LOG_STR("queue", lease->self->dead_letter_url), LOG_ERR("error", answer->error),
                    LOG_STR("reason", answer->reason));
        lease->unmarked = answer->sqs.code == SQS_ERROR_INVALID_PARAMETER_VALUE;
        source_settled(lease->message, answer->error, now);
        return;
    }
    lease->copied = true;
    lease->kind = PENDING_DELETE;
    source_sqs_tell(&lease->self->deletes, lease);
}

/* Its own attributes all, and beside them as many marks as there is room for. */
static void prepare_attributes(struct dead_letter_call *call, const struct lease *lease)
{
    struct sqs_attributes *attributes = &call->input.entry.attributes;
    size_t body = lease->received->body.len;
    size_t room = body < SQS_BATCH_BYTES_MAX ? SQS_BATCH_BYTES_MAX - body : 0;

    arena_init(&call->arena, MARKS_MAX_BYTES);
    *attributes = lease->received->attributes;
    if (!lease->unmarked &&
        sqs_marks_add(&lease->received->attributes, source_marks(lease->message), room,
                      &call->arena, attributes) != 0) {
        *attributes = lease->received->attributes;
    }
}

void source_sqs_copy(struct sqs_source *self, struct lease *lease)
{
    struct dead_letter_call *call = MEM_NEW(struct dead_letter_call);
    struct str header = source_sqs_system_attribute(lease->received, "AWSTraceHeader");
    struct sqs_client_call *running;
    int error;

    call->lease = lease;
    call->input.queue_url = str_from(self->dead_letter_url);
    call->input.entry.body = lease->received->body;
    prepare_attributes(call, lease);
    call->input.entry.group_id = source_sqs_system_attribute(lease->received, "MessageGroupId");
    call->input.entry.deduplication_id =
        str_ends_with(str_from(self->dead_letter_url), STR(".fifo")) ? lease->received->message_id
                                                                     : STR_NONE;
    if (header.ptr != NULL) {
        call->trace = (struct sqs_attribute){
            .name = STR("AWSTraceHeader"), .data_type = STR("String"), .string_value = header};
        call->input.entry.system_attributes.items = &call->trace;
        call->input.entry.system_attributes.count = 1;
        call->input.entry.system_attributes.set = true;
    }
    error = sqs_client_call(self->client, SQS_SEND_MESSAGE, &call->input, SQS_CALL_TIMEOUT_NS,
                            on_copied, call, &running);
    SL_ASSERT(error == 0);
}
