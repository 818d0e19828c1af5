/*
 * The source on an Amazon SQS queue (or any server of its protocol): long polls, leases extended
 * while held, deletes and visibility changes in batches of ten or every 200 ms, each entry's answer
 * looked at.
 */
#include "sluice/aws/sqs_client.h"
#include "sluice/base/digest.h"
#include "sluice/base/json.h"
#include "sluice/base/mem.h"
#include "sluice/deliver/source.h"
#include "sluice/runtime/log.h"
#include "sluice/sqs/marks.h"
#include "sluice/sqs/validate.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_S             20
#define RECEIVE_TIMEOUT_NS ((WAIT_S + 10) * NS_PER_S)
#define CALL_TIMEOUT_NS    (15 * NS_PER_S)
#define BATCH_MAX          10
#define BATCH_DELAY_NS     (200 * NS_PER_MS)
/* The answer took this long from SQS to us, at most, as far as the lease is concerned. */
#define LEASE_MARGIN_NS (2 * NS_PER_S)
#define LEASE_MAX_S     43200 /* of a message from its receipt on, however often extended */
/* A lease that ends sooner has no time for company: what is to be told is told at once. */
#define LEASE_SHORT_NS (3 * NS_PER_S)
#define AT_ONCE_NS     (5 * NS_PER_MS) /* what the same turn adds goes along */
/* Before a message's retention ends: the copy's time, and how far the clocks may be apart. */
#define EXPIRY_MARGIN_NS        (20 * NS_PER_S)
#define URL_MAX                 512
#define ATTRIBUTES_PAUSE_MAX_NS (30 * NS_PER_S)
#define MARKS_MAX_BYTES         ((size_t)64 << 10) /* the list of a dead letter's attributes */

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
    bool urgent; /* flush asked: do not wait for more */
};

/* One batch request under way. */
struct batch_call {
    struct batcher *batcher;
    struct lease *leases[BATCH_MAX];
    uint32_t count;
    mono_ns sent_at;
    struct sqs_handle_entry entries[BATCH_MAX];
    char ids[BATCH_MAX][4];
    struct sqs_handle_batch_in input;
};

struct sqs_source {
    struct source source;
    struct loop *loop;
    struct sqs_client *client;
    char *queue_url;
    int64_t visibility_s;
    struct batcher deletes, visibilities;
    struct sqs_client_call *receiving;
    size_t held_bytes;
    uint32_t wanted; /* a receive that waits for room */
    struct sqs_receive_in receive_in;
    struct str asked_attributes[1], asked_message_attributes[1];
    char dead_letter_url[URL_MAX];
    bool has_dead_letter;
    struct sqs_get_queue_attributes_in attributes_in;
    struct str asked_queue_attributes[2];
    int64_t retention_s; /* 0: not known */
    struct loop_timer attributes_retry;
    int64_t attributes_pause_ns;
    uint32_t failures; /* of receives in a row: the first is logged */
    bool stopped;
};

static void batcher_send(struct batcher *batcher);
static void sqs_receive(struct source *source, uint32_t max);

static const char *route_name(const struct sqs_source *self)
{
    return flow_route_config(self->source.route)->name;
}

/* ---- messages ---- */

static void memory_unref(struct batch_memory *memory)
{
    struct sqs_source *self = memory->self;

    if (--memory->references > 0) {
        return;
    }
    self->held_bytes -= memory->bytes;
    arena_done(&memory->arena);
    free(memory);
    if (self->wanted > 0) {
        uint32_t max = self->wanted;
        self->wanted = 0;
        sqs_receive(&self->source, max);
    }
}

static struct str system_attribute(const struct sqs_message *m, const char *name)
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

    return str_to_i64(system_attribute(m, name), 0, INT64_MAX, &value) == 0 ? value : otherwise;
}

static struct trace_context trace_of(const struct sqs_message *m)
{
    struct trace_context trace;

    for (uint32_t i = 0; i < m->attributes.count; i++) {
        if (str_equal(m->attributes.items[i].name, STR("traceparent")) &&
            trace_context_parse(m->attributes.items[i].string_value, &trace) == 0) {
            return trace;
        }
    }
    trace_context_new(&trace);
    return trace;
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

static struct message *message_from(struct sqs_source *self, struct batch_memory *memory,
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
    message->tenant = system_attribute(received, "MessageGroupId");
    message->group =
        str_ends_with(str_from(self->queue_url), STR(".fifo")) ? message->tenant : STR_NONE;
    message->trace = trace_of(received);
    message->sent_at = system_number(received, "SentTimestamp", loop_wall());
    message->expires_at = expires_at(self, message->sent_at, now);
    message->receive_count = (uint32_t)system_number(received, "ApproximateReceiveCount", 1);
    message->received_at = now;
    message->visibility_ns = self->visibility_s * NS_PER_S;
    message->lease_until = now + message->visibility_ns - LEASE_MARGIN_NS;
    message->lease_cap = now + LEASE_MAX_S * NS_PER_S - LEASE_MARGIN_NS;
    return message;
}

/* ---- receiving ---- */

static void receive_failed(struct sqs_source *self, const struct sqs_client_answer *answer,
                           mono_ns now)
{
    if (self->failures++ == 0 && answer->error != ERR_CANCELED) {
        LOG_WARNING("receive failed", LOG_STR("route", route_name(self)),
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
    struct message *messages[BATCH_MAX];
    struct batch_memory *memory;
    uint32_t count = 0;

    self->receiving = NULL;
    if (answer->error != 0) {
        receive_failed(self, answer, now);
        return;
    }
    if (self->failures > 0) {
        LOG_INFO("receiving again", LOG_STR("route", route_name(self)),
                 LOG_STR("queue", self->queue_url), LOG_I64("failures", self->failures));
        self->failures = 0;
    }
    memory = MEM_NEW(struct batch_memory);
    memory->self = self;
    memory->references = 1;
    memory->arena = *answer->arena;
    memory->bytes = memory->arena.used_bytes;
    self->held_bytes += memory->bytes;
    arena_init(answer->arena, 0);
    for (; count < out->messages.count && count < BATCH_MAX; count++) {
        messages[count] = message_from(self, memory, &out->messages.items[count], now);
    }
    source_received(&self->source, messages, count, 0, now);
    memory_unref(memory);
}

static void sqs_receive(struct source *source, uint32_t max)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);
    struct sqs_client_answer refused = {0};

    if (self->held_bytes >= SOURCE_HELD_MAX_BYTES) {
        self->wanted = max;
        flow_source_full(source->route);
        return;
    }
    self->receive_in.max_messages = (struct sqs_int){true, max < BATCH_MAX ? max : BATCH_MAX};
    refused.error = sqs_client_call(self->client, SQS_RECEIVE_MESSAGE, &self->receive_in,
                                    RECEIVE_TIMEOUT_NS, on_received, self, &self->receiving);
    /* Only memory or a bad URL can refuse a call, and the URL was checked. */
    SL_ASSERT(refused.error == 0);
}

static void sqs_cancel_receive(struct source *source)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);

    /* An aborted long poll may strand up to ten messages until their visibility ends: it is let
     * run out (20 s at most), and what it brings is handed back. */
    if (self->wanted > 0) {
        self->wanted = 0;
        source_received(source, NULL, 0, ERR_CANCELED, loop_now());
    }
}

/* ---- telling SQS ---- */

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
    LOG_WARNING("settle failed", LOG_STR("route", route_name(lease->self)),
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
        LOG_WARNING("settle failed", LOG_STR("route", route_name(call->batcher->self)),
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
    while (call->count < BATCH_MAX && batcher->pending.count > 0) {
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
    error = sqs_client_call(batcher->self->client, batcher->action, &call->input, CALL_TIMEOUT_NS,
                            on_batch, call, &running);
    SL_ASSERT(error == 0);
}

static void batcher_flush(struct batcher *batcher)
{
    loop_timer_clear(batcher->self->loop, &batcher->timer);
    while (batcher->pending.count > 0) {
        batcher_send(batcher);
    }
}

static void on_batch_timer(void *context, mono_ns now)
{
    (void)now;
    batcher_flush(context);
}

static void batcher_add(struct batcher *batcher, struct lease *lease)
{
    if (batcher->self->stopped) {
        return;
    }
    list_push(&batcher->pending, &lease->node);
    bool at_once = batcher->urgent || lease->message->lease_until - loop_now() < LEASE_SHORT_NS;

    if (batcher->pending.count >= BATCH_MAX) {
        batcher_flush(batcher);
    } else if (at_once || batcher->pending.count == 1) {
        loop_timer_set(batcher->self->loop, &batcher->timer,
                       loop_now() + (at_once ? AT_ONCE_NS : BATCH_DELAY_NS));
    }
}

static int64_t seconds_up(int64_t ns)
{
    int64_t s = (ns + NS_PER_S - 1) / NS_PER_S;

    return s < 0 ? 0 : s > LEASE_MAX_S ? LEASE_MAX_S : s;
}

static int64_t seconds_down(int64_t ns)
{
    return seconds_up(ns - NS_PER_S + 1);
}

/* ---- dead letters: copied first, then deleted ---- */

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
                    LOG_STR("route", route_name(lease->self)),
                    LOG_SLICE("function_request_id", lease->message->id),
                    LOG_STR("queue", lease->self->dead_letter_url), LOG_ERR("error", answer->error),
                    LOG_STR("reason", answer->reason));
        lease->unmarked = answer->sqs.code == SQS_ERROR_INVALID_PARAMETER_VALUE;
        source_settled(lease->message, answer->error, now);
        return;
    }
    lease->copied = true;
    lease->kind = PENDING_DELETE;
    batcher_add(&lease->self->deletes, lease);
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

static void copy_to_dead_letter(struct sqs_source *self, struct lease *lease)
{
    struct dead_letter_call *call = MEM_NEW(struct dead_letter_call);
    struct str header = system_attribute(lease->received, "AWSTraceHeader");
    struct sqs_client_call *running;
    int error;

    call->lease = lease;
    call->input.queue_url = str_from(self->dead_letter_url);
    call->input.entry.body = lease->received->body;
    prepare_attributes(call, lease);
    call->input.entry.group_id = system_attribute(lease->received, "MessageGroupId");
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
    error = sqs_client_call(self->client, SQS_SEND_MESSAGE, &call->input, CALL_TIMEOUT_NS,
                            on_copied, call, &running);
    SL_ASSERT(error == 0);
}

static void sqs_settle(struct source *source, struct message *message, enum settle how,
                       int64_t delay_ns)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);
    struct lease *lease = message->source_data;

    bool is_over = how == SETTLE_ACK || lease->copied;

    if (how == SETTLE_DEAD_LETTER && self->has_dead_letter && !lease->copied) {
        copy_to_dead_letter(self, lease);
        return;
    }
    lease->kind = is_over ? PENDING_DELETE : PENDING_RELEASE;
    /* The queue hides no message for longer than until the cap of its lease. */
    lease->visibility_s =
        mono_min(seconds_up(delay_ns), seconds_down(message->lease_cap - loop_now()));
    batcher_add(is_over ? &self->deletes : &self->visibilities, lease);
}

static void sqs_extend(struct source *source, struct message *message)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);
    struct lease *lease = message->source_data;

    lease->kind = PENDING_EXTEND;
    lease->visibility_s = seconds_down(message->extension_ns);
    batcher_add(&self->visibilities, lease);
}

static const struct sqs_attributes *sqs_attributes(const struct message *message)
{
    const struct lease *lease = message->source_data;

    return &lease->received->attributes;
}

static void sqs_message_done(struct source *source, struct message *message)
{
    struct lease *lease = message->source_data;

    (void)source;
    if (lease != NULL) {
        memory_unref(lease->memory);
        free(lease);
    }
}

static void sqs_flush(struct source *source)
{
    struct sqs_source *self = SL_CONTAINER_OF(source, struct sqs_source, source);

    self->deletes.urgent = self->visibilities.urgent = true;
    batcher_flush(&self->deletes);
    batcher_flush(&self->visibilities);
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

/* ---- the queue's own redrive policy ---- */

static void ask_attributes(struct sqs_source *self);

static void take_redrive_policy(struct sqs_source *self, struct str policy)
{
    struct json json;

    if (json_parse(&json, policy, JSON_STRICT, NULL) != 0) {
        return;
    }
    self->has_dead_letter =
        sqs_client_url_of_arn(self->client, json_string(json_get(json.root, "deadLetterTargetArn")),
                              self->dead_letter_url, sizeof(self->dead_letter_url)) == 0;
    json_done(&json);
}

static void on_attributes(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct sqs_source *self = context;
    const struct sqs_get_queue_attributes_out *out = answer->output;

    if (answer->error != 0) {
        if (answer->error != ERR_CANCELED) {
            LOG_WARNING("the queue's attributes could not be read",
                        LOG_STR("route", route_name(self)), LOG_STR("queue", self->queue_url),
                        LOG_ERR("error", answer->error), LOG_STR("reason", answer->reason));
            if (!self->stopped) {
                loop_timer_set(self->loop, &self->attributes_retry,
                               now + self->attributes_pause_ns);
            }
            self->attributes_pause_ns =
                mono_min(2 * self->attributes_pause_ns, ATTRIBUTES_PAUSE_MAX_NS);
        }
        return;
    }
    for (uint32_t i = 0; i < out->attributes.count; i++) {
        const struct sqs_pair *pair = &out->attributes.items[i];
        if (str_equal(pair->name, STR("RedrivePolicy"))) {
            take_redrive_policy(self, pair->value);
        } else if (str_equal(pair->name, STR("MessageRetentionPeriod")) &&
                   str_to_i64(pair->value, 1, INT32_MAX, &self->retention_s) != 0) {
            self->retention_s = 0;
        }
    }
    source_dead_letter(&self->source, self->has_dead_letter);
}

static void ask_attributes(struct sqs_source *self)
{
    struct sqs_client_call *running;
    int error = sqs_client_call(self->client, SQS_GET_QUEUE_ATTRIBUTES, &self->attributes_in,
                                CALL_TIMEOUT_NS, on_attributes, self, &running);

    SL_ASSERT(error == 0);
}

static void on_attributes_retry(void *context, mono_ns now)
{
    (void)now;
    ask_attributes(context);
}

static void batcher_init(struct sqs_source *self, struct batcher *batcher, enum sqs_action action)
{
    batcher->self = self;
    batcher->action = action;
    list_init(&batcher->pending);
    batcher->timer = (struct loop_timer){.callback = on_batch_timer, .context = batcher};
}

static void prepare_inputs(struct sqs_source *self)
{
    self->asked_attributes[0] = STR("All");
    self->asked_message_attributes[0] = STR("All");
    self->asked_queue_attributes[0] = STR("RedrivePolicy");
    self->asked_queue_attributes[1] = STR("MessageRetentionPeriod");
    self->receive_in.queue_url = str_from(self->queue_url);
    self->receive_in.attribute_names = (struct sqs_strings){self->asked_attributes, 1, true};
    self->receive_in.message_attribute_names =
        (struct sqs_strings){self->asked_message_attributes, 1, true};
    self->receive_in.visibility_timeout = (struct sqs_int){true, self->visibility_s};
    self->receive_in.wait_seconds = (struct sqs_int){true, WAIT_S};
    self->attributes_in.queue_url = str_from(self->queue_url);
    self->attributes_in.names = (struct sqs_strings){self->asked_queue_attributes, 2, true};
}

struct source *source_sqs_new(struct loop *loop, struct sqs_client *client, struct str queue_url,
                              int64_t visibility_ns)
{
    static const struct source_ops ops = {
        .kind = "sqs",
        .receive = sqs_receive,
        .cancel_receive = sqs_cancel_receive,
        .settle = sqs_settle,
        .extend = sqs_extend,
        .attributes = sqs_attributes,
        .message_done = sqs_message_done,
        .flush = sqs_flush,
        .stop = sqs_stop,
        .free = sqs_free,
    };
    struct sqs_source *self = MEM_NEW(struct sqs_source);

    self->source.ops = &ops;
    self->loop = loop;
    self->client = client;
    self->queue_url = mem_dup(queue_url.ptr, queue_url.len);
    self->visibility_s = seconds_up(visibility_ns);
    batcher_init(self, &self->deletes, SQS_DELETE_MESSAGE_BATCH);
    batcher_init(self, &self->visibilities, SQS_CHANGE_MESSAGE_VISIBILITY_BATCH);
    self->attributes_pause_ns = NS_PER_S;
    self->attributes_retry = (struct loop_timer){.callback = on_attributes_retry, .context = self};
    prepare_inputs(self);
    ask_attributes(self);
    return &self->source;
}
