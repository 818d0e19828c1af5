#include "app_queues.h"

#include "sluice/base/json.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>

#define ATTRIBUTES_MAX  9
#define VALUE_MAX       1024
#define ARENA_MAX_BYTES ((size_t)256 << 10)

struct declaration;

/* One queue: its two requests and what they point to. */
struct step {
    struct declaration *declaration;
    const char *name;
    struct store_request create, set;
    struct sqs_create_queue_in create_in;
    struct sqs_set_queue_attributes_in set_in;
    struct sqs_pair fifo, pairs[ATTRIBUTES_MAX];
    char values[ATTRIBUTES_MAX][VALUE_MAX];
    struct arena create_arena, set_arena; /* the store's thread fills them, one each */
};

struct declaration {
    struct step *steps;
    uint32_t count, outstanding;
    int error;
    void (*done)(void *context, int error);
    void *context;
};

static void on_step(void *context, struct store_request *request)
{
    struct step *step = context;
    struct declaration *d = step->declaration;

    if (request->error.code != SQS_OK) {
        LOG_ERROR("a queue of the configuration could not be set up", LOG_STR("queue", step->name),
                  LOG_STR("reason", request->error.message));
        d->error = d->error == 0 ? ERR_INVALID : d->error;
    }
    if (--d->outstanding > 0) {
        return;
    }
    for (uint32_t i = 0; i < d->count; i++) {
        arena_done(&d->steps[i].create_arena);
        arena_done(&d->steps[i].set_arena);
    }
    d->done(d->context, d->error);
    free(d->steps);
    free(d);
}

static void attribute(struct step *step, const char *name, const char *value)
{
    uint32_t i = step->set_in.attributes.count++;

    str_copy(step->values[i], VALUE_MAX, str_from(value));
    step->pairs[i] = (struct sqs_pair){str_from(name), str_from(step->values[i])};
}

static void attribute_number(struct step *step, const char *name, uint32_t value)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", value);
    attribute(step, name, text);
}

/* In the order of enum queue_scope. */
static const char *const deduplication_scopes[] = {"queue", "messageGroup"};
static const char *const throughput_limits[] = {"perQueue", "perMessageGroupId"};

/* A queue is FIFO from its beginning or never. */
static void prepare_fifo(struct step *step, const struct queue_settings *queue)
{
    step->fifo = (struct sqs_pair){STR("FifoQueue"), STR("true")};
    step->create_in.attributes = (struct sqs_map){.items = &step->fifo, .count = 1, .set = true};
    attribute(step, "ContentBasedDeduplication",
              queue->content_based_deduplication ? "true" : "false");
    attribute(step, "DeduplicationScope", deduplication_scopes[queue->deduplication_scope]);
    attribute(step, "FifoThroughputLimit", throughput_limits[queue->fifo_throughput_limit]);
}

static void prepare(struct step *step, const struct settings *settings,
                    const struct queue_settings *queue)
{
    char policy[VALUE_MAX] = "";

    step->name = queue->name;
    step->create_in.queue_name = step->set_in.queue_url = str_from(queue->name);
    step->set_in.attributes.items = step->pairs;
    step->set_in.attributes.set = true;
    if (queue->dead_letter != NULL) {
        snprintf(policy, sizeof(policy),
                 "{\"deadLetterTargetArn\":\"arn:aws:sqs:%s:%s:%s\",\"maxReceiveCount\":%u}",
                 settings->sqs_api.region, settings->sqs_api.account, queue->dead_letter,
                 queue->max_receives);
    }
    attribute_number(step, "VisibilityTimeout", queue->visibility_timeout_s);
    attribute_number(step, "DelaySeconds", queue->delay_s);
    attribute_number(step, "MessageRetentionPeriod", queue->retention_s);
    attribute_number(step, "ReceiveMessageWaitTimeSeconds", queue->receive_wait_s);
    attribute_number(step, "MaximumMessageSize", queue->max_message_bytes);
    attribute(step, "RedrivePolicy", policy); /* empty removes */
    if (queue->fifo) {
        prepare_fifo(step, queue);
    }
    arena_init(&step->create_arena, ARENA_MAX_BYTES);
    arena_init(&step->set_arena, ARENA_MAX_BYTES);
    step->create = (struct store_request){.action = SQS_CREATE_QUEUE,
                                          .input = &step->create_in,
                                          .endpoint = STR("http://localhost"),
                                          .arena = &step->create_arena,
                                          .wall = loop_wall(),
                                          .done = on_step,
                                          .context = step};
    step->set = (struct store_request){.action = SQS_SET_QUEUE_ATTRIBUTES,
                                       .input = &step->set_in,
                                       .endpoint = STR("http://localhost"),
                                       .arena = &step->set_arena,
                                       .wall = loop_wall(),
                                       .done = on_step,
                                       .context = step};
}

void app_queues_declare(struct store *store, const struct settings *settings,
                        void (*done)(void *context, int error), void *context)
{
    struct declaration *d = MEM_NEW(struct declaration);

    d->count = settings->queues.count;
    d->done = done;
    d->context = context;
    if (d->count == 0) {
        done(context, 0);
        free(d);
        return;
    }
    d->steps = MEM_NEW_ARRAY(d->count, struct step);
    d->outstanding = 2 * d->count;
    for (uint32_t i = 0; i < d->count; i++) {
        d->steps[i].declaration = d;
        prepare(&d->steps[i], settings, &settings->queues.items[i]);
        store_submit(store, &d->steps[i].create);
    }
    /* In order: a dead-letter queue exists before the policy that names it. */
    for (uint32_t i = 0; i < d->count; i++) {
        store_submit(store, &d->steps[i].set);
    }
}
