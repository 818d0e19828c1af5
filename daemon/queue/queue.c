#include "queue.h"

#include "sluice/base/mem.h"
#include "sluice/sqs/arn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY_ARENA_BYTES        ((size_t)64 << 10)
#define KMS_REUSE_DEFAULT_SECONDS 300

void queue_count_in(struct queue *queue, int64_t visible_at, int64_t receive_count)
{
    struct queue_state *state = &queue->state;
    enum queue_place place = queue_place_of(visible_at, receive_count, state->advanced_to);
    state->counts[place]++;
    if ((place == QUEUE_DELAYED || place == QUEUE_LEASED) && visible_at < state->next_due) {
        state->next_due = visible_at;
    }
}

void queue_count_out(struct queue *queue, int64_t visible_at, int64_t receive_count)
{
    struct queue_state *state = &queue->state;
    enum queue_place place = queue_place_of(visible_at, receive_count, state->advanced_to);
    if (state->counts[place] > 0) { /* a damaged file must not stop the process */
        state->counts[place]--;
    }
}

void queue_watch_expiry(struct queue *queue, int64_t enqueued_at)
{
    int64_t at = enqueued_at + queue->definition->retention_ms;
    if (at < queue->state.next_expiry) {
        queue->state.next_expiry = at;
    }
}

void queue_definition_set(struct queue_definition *definition, enum sqs_queue_attribute attribute,
                          struct str value)
{
    free(definition->values[attribute]);
    definition->values[attribute] = value.len == 0 ? NULL : mem_dup(value.ptr, value.len);
}

/* The one form of a value, so that equal settings are equal texts; STR_NONE: the same as unset. */
static struct str canonical(enum sqs_queue_attribute attribute, struct str value, char text[24])
{
    const struct sqs_queue_attribute_info *info = sqs_queue_attribute_info(attribute);
    int64_t number;
    if (info->kind == SQS_VALUE_BOOL) {
        return str_equal_nocase(value, STR("true")) ? STR("true") : STR("false");
    }
    if (info->kind != SQS_VALUE_INT || str_to_i64(value, info->min, info->max, &number) != 0) {
        return value;
    }
    if (attribute == SQS_QUEUE_ATTRIBUTE_KMS_DATA_KEY_REUSE_PERIOD_SECONDS &&
        number == KMS_REUSE_DEFAULT_SECONDS) {
        return STR_NONE;
    }
    (void)snprintf(text, 24, "%lld", (long long)number);
    return str_from(text);
}

struct queue_definition *queue_definition_new(const struct queue_definition *base,
                                              const struct sqs_map *changes)
{
    struct queue_definition *ret = MEM_NEW(struct queue_definition);
    char text[24];
    for (int i = 0; base != NULL && i < SQS_QUEUE_ATTRIBUTE__COUNT; i++) {
        queue_definition_set(ret, (enum sqs_queue_attribute)i, str_from(base->values[i]));
    }
    for (uint32_t i = 0; i < changes->count; i++) {
        enum sqs_queue_attribute attribute = sqs_queue_attribute_find(changes->items[i].name);
        if (attribute != SQS_QUEUE_ATTRIBUTE_NONE) {
            queue_definition_set(ret, attribute,
                                 canonical(attribute, changes->items[i].value, text));
        }
    }
    /* A key of the user replaces the encryption by the service, unless both are asked for. */
    if (sqs_map_get(changes, STR("KmsMasterKeyId")).len > 0 &&
        sqs_map_get(changes, STR("SqsManagedSseEnabled")).len == 0) {
        queue_definition_set(ret, SQS_QUEUE_ATTRIBUTE_SQS_MANAGED_SSE_ENABLED, STR_NONE);
    }
    return ret;
}

void queue_definition_free(struct queue_definition *definition)
{
    if (definition == NULL) {
        return;
    }
    for (int i = 0; i < SQS_QUEUE_ATTRIBUTE__COUNT; i++) {
        free(definition->values[i]);
    }
    free(definition);
}

const char *queue_definition_value(const struct queue_definition *definition,
                                   enum sqs_queue_attribute attribute)
{
    const char *value = definition->values[attribute];
    if (value != NULL) {
        return value;
    }
    /* Encryption by a key of the user replaces the encryption by the service. */
    if (attribute == SQS_QUEUE_ATTRIBUTE_SQS_MANAGED_SSE_ENABLED &&
        definition->values[SQS_QUEUE_ATTRIBUTE_KMS_MASTER_KEY_ID] != NULL) {
        return "false";
    }
    return sqs_queue_attribute_info(attribute)->default_value;
}

static int64_t number_of(const struct queue_definition *definition,
                         enum sqs_queue_attribute attribute)
{
    const struct sqs_queue_attribute_info *info = sqs_queue_attribute_info(attribute);
    int64_t value = 0;
    const char *text = queue_definition_value(definition, attribute);
    if (str_to_i64(str_from(text), info->min, info->max, &value) != 0) {
        /* Validated when it was set: only a file edited by hand gets here. */
        (void)!str_to_i64(str_from(info->default_value), info->min, info->max, &value);
    }
    return value;
}

static void parse_redrive(struct queue_definition *definition)
{
    struct str text = str_from(definition->values[SQS_QUEUE_ATTRIBUTE_REDRIVE_POLICY]);
    struct sqs_redrive_policy policy = {.max_receives = 0};
    struct sqs_error e = {.code = SQS_OK};
    struct sqs_arn arn;
    struct arena arena;
    definition->dead_letter[0] = '\0';
    definition->max_receives = 0;
    arena_init(&arena, POLICY_ARENA_BYTES);
    if (text.ptr != NULL && sqs_redrive_policy_parse(text, &arena, &policy, &e) == 0 &&
        sqs_arn_parse(policy.dead_letter_arn, &arn) == 0) {
        str_copy(definition->dead_letter, sizeof(definition->dead_letter), arn.name);
        definition->max_receives = policy.max_receives;
    }
    arena_done(&arena);
}

void queue_definition_parse(struct queue_definition *d)
{
    d->visibility_ms = 1000 * number_of(d, SQS_QUEUE_ATTRIBUTE_VISIBILITY_TIMEOUT);
    d->delay_ms = 1000 * number_of(d, SQS_QUEUE_ATTRIBUTE_DELAY_SECONDS);
    d->retention_ms = 1000 * number_of(d, SQS_QUEUE_ATTRIBUTE_MESSAGE_RETENTION_PERIOD);
    d->max_message_bytes = number_of(d, SQS_QUEUE_ATTRIBUTE_MAXIMUM_MESSAGE_SIZE);
    d->wait_seconds = number_of(d, SQS_QUEUE_ATTRIBUTE_RECEIVE_MESSAGE_WAIT_TIME_SECONDS);
    d->deduplicates_content = str_equal(
        str_from(queue_definition_value(d, SQS_QUEUE_ATTRIBUTE_CONTENT_BASED_DEDUPLICATION)),
        STR("true"));
    d->deduplicates_by_group =
        str_equal(str_from(queue_definition_value(d, SQS_QUEUE_ATTRIBUTE_DEDUPLICATION_SCOPE)),
                  STR("messageGroup"));
    parse_redrive(d);
}
