#include "source_sqs_internal.h"

#include "sluice/base/digest.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * How long the first of a batch waits for others, which are paid for with it. What waits is at most
 * nine deletions, whatever the pace: so many messages come again after a kill -9. The next of a
 * FIFO group waits for the deletion of the one before it.
 */
#define DELETE_DELAY_NS (2 * NS_PER_S)
#define BATCH_DELAY_NS  (200 * NS_PER_MS)
/* A lease that ends sooner has no time for company: what is to be told is told at once. */
#define LEASE_SHORT_NS (3 * NS_PER_S)
#define AT_ONCE_NS     (5 * NS_PER_MS) /* what the same turn adds goes along */

/* One batch request under way. */
struct batch_call {
    struct batcher *batcher;
    struct lease *leases[SQS_BATCH_MAX];
    uint32_t count;
    mono_ns sent_at;
    struct sqs_handle_entry entries[SQS_BATCH_MAX];
    char ids[SQS_BATCH_MAX][4];
    struct sqs_handle_batch_in input;
};

static void lease_told(struct lease *lease, int error, mono_ns sent_at, mono_ns now)
{
    struct message *message = lease->message;

    if (lease->kind == PENDING_EXTEND) {
        flow_extended(message, error, sent_at + lease->visibility_s * NS_PER_S, now);
    } else {
        source_settled(message, error, now);
    }
}

static void entry_failed(struct batch_call *call, const struct lease *lease,
                         const struct sqs_batch_failure *failure)
{
    char trace_id[33];

    digest_hex(lease->message->trace.trace_id, sizeof(lease->message->trace.trace_id), trace_id);
    LOG_WARNING("settle failed", LOG_STR("route", source_sqs_route_name(lease->self)),
                LOG_STR("function_name", lease->self->queue_url),
                LOG_SLICE("function_request_id", lease->message->id), LOG_STR("trace_id", trace_id),
                LOG_STR("action", sqs_action_info(call->batcher->action)->name),
                LOG_SLICE("code", failure->code), LOG_SLICE("reason", failure->message));
}

/* The handle is no longer good: the message was deleted, or another receiver has it, or (FIFO) its
 * time is over. Nothing to retry. */
static bool is_lost(const struct sqs_batch_failure *failure)
{
    return str_ends_with(failure->code, STR("ReceiptHandleIsInvalid")) ||
           str_ends_with(failure->code, STR("InvalidParameterValue")) ||
           str_ends_with(failure->code, STR("MessageNotInflight"));
}

static int error_of_entry(struct batch_call *call, uint32_t i,
                          const struct sqs_client_answer *answer)
{
    const struct sqs_handle_batch_out *out = answer->output;

    if (answer->error != 0) {
        return answer->error;
    }
    for (uint32_t f = 0; f < out->failed.count; f++) {
        if (str_equal(out->failed.items[f].id, str_from(call->ids[i]))) {
            entry_failed(call, call->leases[i], &out->failed.items[f]);
            return is_lost(&out->failed.items[f]) ? ERR_NOT_FOUND : ERR_PROTOCOL;
        }
    }
    return 0;
}

static void on_batch(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct batch_call *call = context;

    if (answer->error != 0) {
        LOG_WARNING("settle failed", LOG_STR("route", source_sqs_route_name(call->batcher->self)),
                    LOG_STR("function_name", call->batcher->self->queue_url),
                    LOG_STR("action", sqs_action_info(call->batcher->action)->name),
                    LOG_I64("messages", call->count), LOG_ERR("error", answer->error),
                    LOG_STR("reason", answer->reason));
    }
    for (uint32_t i = 0; i < call->count; i++) {
        lease_told(call->leases[i], error_of_entry(call, i, answer), call->sent_at, now);
    }
    free(call);
}

static void batcher_send(struct batcher *batcher)
{
    struct batch_call *call = MEM_NEW(struct batch_call);
    struct sqs_client_call *running;
    int error;

    call->batcher = batcher;
    call->sent_at = loop_now();
    while (call->count < SQS_BATCH_MAX && batcher->pending.count > 0) {
        uint32_t i = call->count++;
        struct lease *lease = LIST_ENTRY(list_pop(&batcher->pending), struct lease, node);
        snprintf(call->ids[i], sizeof(call->ids[i]), "%u", i);
        call->leases[i] = lease;
        call->entries[i].id = str_from(call->ids[i]);
        call->entries[i].receipt_handle = lease->received->receipt_handle;
        if (lease->kind != PENDING_DELETE) {
            call->entries[i].visibility_timeout = (struct sqs_int){true, lease->visibility_s};
        }
    }
    call->input.queue_url = str_from(batcher->self->queue_url);
    call->input.entries.items = call->entries;
    call->input.entries.count = call->count;
    error = sqs_client_call(batcher->self->client, batcher->action, &call->input,
                            SQS_CALL_TIMEOUT_NS, on_batch, call, &running);
    SL_ASSERT(error == 0);
}

void source_sqs_flush(struct batcher *batcher)
{
    loop_timer_clear(batcher->self->loop, &batcher->timer);
    while (batcher->pending.count > 0) {
        batcher_send(batcher);
    }
}

static void on_batch_timer(void *context, mono_ns now)
{
    (void)now;
    source_sqs_flush(context);
}

void source_sqs_tell(struct batcher *batcher, struct lease *lease)
{
    if (batcher->self->stopped) {
        return;
    }
    list_push(&batcher->pending, &lease->node);
    int64_t left_ns = lease->message->lease_until - loop_now();
    bool at_once = batcher->urgent || left_ns < LEASE_SHORT_NS;
    bool can_wait = lease->kind == PENDING_DELETE && lease->message->group.ptr == NULL &&
                    left_ns >= LEASE_SHORT_NS + DELETE_DELAY_NS;
    int64_t delay_ns = at_once ? AT_ONCE_NS : can_wait ? DELETE_DELAY_NS : BATCH_DELAY_NS;

    if (batcher->pending.count >= SQS_BATCH_MAX) {
        source_sqs_flush(batcher);
    } else if (batcher->pending.count == 1 || loop_now() + delay_ns < batcher->send_at) {
        batcher->send_at = loop_now() + delay_ns;
        loop_timer_set(batcher->self->loop, &batcher->timer, batcher->send_at);
    }
}

void source_sqs_batcher_init(struct sqs_source *self, struct batcher *batcher,
                             enum sqs_action action)
{
    batcher->self = self;
    batcher->action = action;
    list_init(&batcher->pending);
    batcher->timer = (struct loop_timer){.callback = on_batch_timer, .context = batcher};
}
