#include "sluice/deliver/destinations.h"

#include "destination_send.h"

#include "sluice/aws/sqs_client.h"
#include "sluice/base/mem.h"
#include "sluice/net/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_NS (5 * NS_PER_S)
#define ARENA_MAX_BYTES    ((size_t)4 << 20)

struct destination {
    void (*start)(struct destination *destination, struct destination_send *send);
    char *where; /* queue name, queue URL or URL */
    char *name;  /* where, for people */
    bool fifo;
    struct store *store;
    struct sqs_client *sqs;
    struct loop *loop;
    struct http_client *http;
    uint32_t running;
    bool stopped;
    struct list waiting;
    struct loop_timer patience; /* of the first that waits */
};

static struct destination_send *first_waiting(const struct destination *d)
{
    struct list_node *node = list_first(&d->waiting);

    return node == NULL ? NULL : LIST_ENTRY(node, struct destination_send, node);
}

static void watch_waiting(struct destination *d)
{
    const struct destination_send *first = first_waiting(d);

    if (first == NULL) {
        loop_timer_clear(d->loop, &d->patience);
    } else {
        loop_timer_set(d->loop, &d->patience, first->since + DESTINATION_TIMEOUT_NS);
    }
}

static void on_patience(void *context, mono_ns now)
{
    struct destination *d = context;
    struct destination_send *send;

    while ((send = first_waiting(d)) != NULL && send->since + DESTINATION_TIMEOUT_NS <= now) {
        (void)list_pop(&d->waiting);
        send->done(send->context, ERR_TIMEOUT, false, "it is slow: others had to be sent before",
                   now);
    }
    watch_waiting(d);
}

static void start_next(struct destination *d)
{
    struct list_node *node;

    if (d->stopped) {
        return;
    }
    while (d->running < DESTINATION_SENDS_MAX && (node = list_pop(&d->waiting)) != NULL) {
        d->running++;
        d->start(d, LIST_ENTRY(node, struct destination_send, node));
    }
    watch_waiting(d);
}

/* What the next one waits for is over before done may ask for more. */
static void finish(struct destination_send *send, int error, bool refused, const char *reason)
{
    struct destination *d = send->destination;
    mono_ns now = loop_now();

    d->running--;
    start_next(d);
    send->done(send->context, error, refused, reason, now);
}

/* The message's id stays the same however often it is sent: a receiver may tell by it. */
static void prepare(struct destination_send *send)
{
    (void)snprintf(send->key, sizeof(send->key), "%.*s-%s",
                   (int)(send->message_id.len < 120 ? send->message_id.len : 120),
                   send->message_id.ptr, send->condition);
    trace_context_format(send->trace, send->traceparent);
}

/* Refused for what it is: it would be again. */
static bool is_about_the_message(enum sqs_error_code code)
{
    return code == SQS_ERROR_INVALID_PARAMETER_VALUE || code == SQS_ERROR_INVALID_MESSAGE_CONTENTS;
}

static void prepare_entry(struct destination_send *send)
{
    struct sqs_send_entry *entry = &send->input.entry;

    send->input.queue_url = str_from(send->destination->where);
    send->attribute = (struct sqs_attribute){.name = STR("traceparent"),
                                             .data_type = STR("String"),
                                             .string_value = str_from(send->traceparent)};
    *entry = (struct sqs_send_entry){.body = send->record(send->context),
                                     .attributes = {&send->attribute, 1, true}};
    if (send->trace_header.ptr != NULL) {
        send->system_attribute = (struct sqs_attribute){.name = STR("AWSTraceHeader"),
                                                        .data_type = STR("String"),
                                                        .string_value = send->trace_header};
        entry->system_attributes = (struct sqs_attributes){&send->system_attribute, 1, true};
    }
    if (send->destination->fifo) {
        entry->group_id = send->group.len > 0 ? send->group : send->message_id;
        entry->deduplication_id = str_from(send->key);
    }
}

/* ---- an embedded queue ---- */

static void on_stored(void *context, struct store_request *request)
{
    struct destination_send *send = context;

    arena_done(&send->arena);
    finish(send, request->error.code == SQS_OK ? 0 : ERR_PROTOCOL,
           is_about_the_message(request->error.code), request->error.message);
}

static void start_queue(struct destination *d, struct destination_send *send)
{
    arena_init(&send->arena, ARENA_MAX_BYTES);
    send->request = (struct store_request){.action = SQS_SEND_MESSAGE,
                                           .input = &send->input,
                                           .endpoint = STR("http://localhost"),
                                           .arena = &send->arena,
                                           .wall = loop_wall(),
                                           .done = on_stored,
                                           .context = send};
    prepare_entry(send);
    store_submit(d->store, &send->request);
}

/* ---- a queue of SQS ---- */

static void on_sent(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    (void)now;
    finish(context, answer->error, is_about_the_message(answer->sqs.code), answer->reason);
}

static void start_sqs(struct destination *d, struct destination_send *send)
{
    struct sqs_client_call *running;
    int error;

    prepare_entry(send);
    error = sqs_client_call(d->sqs, SQS_SEND_MESSAGE, &send->input, DESTINATION_TIMEOUT_NS, on_sent,
                            send, &running);
    SL_ASSERT(error == 0);
}

/* ---- a URL ---- */

static void on_posted(void *context, const struct http_result *result, mono_ns now)
{
    char reason[192];
    bool taken = result->error == 0 && result->status >= 200 && result->status < 300;

    (void)now;
    if (result->error != 0) {
        str_copy(reason, sizeof(reason), str_from(result->detail));
    } else {
        (void)snprintf(reason, sizeof(reason), "it answered %d", result->status);
    }
    finish(context,
           taken                ? 0
           : result->error != 0 ? result->error
                                : ERR_PROTOCOL,
           result->error == 0 && result->status == 413, reason);
}

static void on_not_started(void *context, mono_ns now)
{
    struct destination_send *send = context;

    (void)now;
    finish(send, send->error, false, err_text(send->error));
}

static void start_url(struct destination *d, struct destination_send *send)
{
    static const struct http_call_events events = {NULL, on_posted};
    const struct http_header headers[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("Sluice-Message-Id"), send->message_id},
        {STR("Idempotency-Key"), str_from(send->key)},
        {STR("traceparent"), str_from(send->traceparent)},
        {STR("X-Amzn-Trace-Id"), send->trace_header}, /* the last: only where there is one */
    };
    const struct http_call_request request = {
        .method = "POST",
        .url = d->where,
        .headers = headers,
        .header_count = SL_COUNT(headers) - (send->trace_header.ptr == NULL ? 1 : 0),
        .body = send->record(send->context),
        .connect_timeout_ns = CONNECT_TIMEOUT_NS,
        .timeout_ns = DESTINATION_TIMEOUT_NS,
    };
    struct http_call *call;

    send->error = http_client_submit(d->http, &request, &events, send, &call);
    if (send->error != 0) { /* never complete before destination_send returned */
        send->not_started = (struct loop_timer){.callback = on_not_started, .context = send};
        loop_timer_set(d->loop, &send->not_started, loop_now());
    }
}

/* ---- all of them ---- */

static struct destination *new_one(struct loop *loop, struct str where, size_t shown)
{
    struct destination *d = MEM_NEW(struct destination);

    d->loop = loop;
    d->patience = (struct loop_timer){.callback = on_patience, .context = d};
    d->where = mem_dup(where.ptr, where.len);
    d->name = mem_dup(where.ptr, shown);
    d->fifo = str_ends_with(where, STR(".fifo"));
    list_init(&d->waiting);
    return d;
}

struct destination *destination_queue_new(struct loop *loop, struct store *store, struct str queue)
{
    struct destination *d = new_one(loop, queue, queue.len);

    d->start = start_queue;
    d->store = store;
    return d;
}

struct destination *destination_sqs_new(struct loop *loop, struct sqs_client *client,
                                        struct str queue_url)
{
    struct destination *d = new_one(loop, queue_url, queue_url.len);

    d->start = start_sqs;
    d->sqs = client;
    return d;
}

struct destination *destination_url_new(struct loop *loop, struct http_client *client,
                                        struct str url)
{
    /* Path and query of a URL to post to are often a secret. */
    struct destination *d = new_one(loop, url, str_url_origin(url).len);

    d->start = start_url;
    d->http = client;
    return d;
}

void destination_stop(struct destination *destination)
{
    if (destination != NULL) {
        destination->stopped = true;
        loop_timer_clear(destination->loop, &destination->patience);
    }
}

void destination_free(struct destination *destination)
{
    if (destination == NULL) {
        return;
    }
    loop_timer_clear(destination->loop, &destination->patience);
    sqs_client_free(destination->sqs);
    free(destination->where);
    free(destination->name);
    free(destination);
}

const char *destination_name(const struct destination *destination)
{
    return destination->name;
}

void destination_send(struct destination *destination, struct destination_send *send)
{
    send->destination = destination;
    send->since = loop_now();
    prepare(send);
    list_push(&destination->waiting, &send->node);
    start_next(destination);
}
