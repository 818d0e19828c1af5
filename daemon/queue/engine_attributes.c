/* Attributes of queues: get, set, and the rules of dead-letter policies. */
#include "engine_internal.h"

#include "sluice/sqs/arn.h"
#include "sluice/sqs/filter.h"

#include <inttypes.h>

#define POLICY_MAX_BYTES ((size_t)4096)

/* ---- get ---- */

/* What is counted or known rather than set; false when the attribute is a setting. */
static bool live_value(struct engine *engine, struct store_request *request,
                       const struct queue *queue, enum sqs_queue_attribute attribute,
                       struct str *ret)
{
    struct arena *arena = request->arena;
    const uint64_t *counts = queue->state.counts;
    switch (attribute) {
    case SQS_QUEUE_ATTRIBUTE_APPROXIMATE_NUMBER_OF_MESSAGES:
        *ret = engine_text(arena, "%" PRIu64, counts[QUEUE_VISIBLE]);
        return true;
    case SQS_QUEUE_ATTRIBUTE_APPROXIMATE_NUMBER_OF_MESSAGES_DELAYED:
        *ret = engine_text(arena, "%" PRIu64, counts[QUEUE_DELAYED]);
        return true;
    case SQS_QUEUE_ATTRIBUTE_APPROXIMATE_NUMBER_OF_MESSAGES_NOT_VISIBLE:
        *ret = engine_text(arena, "%" PRIu64, counts[QUEUE_LEASED] + counts[QUEUE_HELD]);
        return true;
    case SQS_QUEUE_ATTRIBUTE_CREATED_TIMESTAMP:
        *ret = engine_text(arena, "%" PRId64, queue->created_at / 1000);
        return true;
    case SQS_QUEUE_ATTRIBUTE_LAST_MODIFIED_TIMESTAMP:
        *ret = engine_text(arena, "%" PRId64, queue->definition->modified_at / 1000);
        return true;
    case SQS_QUEUE_ATTRIBUTE_QUEUE_ARN:
        *ret = sqs_arn_build(arena, engine_region(engine, request), str_from(engine->account),
                             queue_name(queue));
        return true;
    default:
        return false;
    }
}

/* Writes the policy's ARN for another region. */
static int policy_in_region(struct engine *engine, struct arena *arena, struct str region,
                            struct sqs_redrive_policy *policy)
{
    struct sqs_arn arn;
    if (sqs_arn_parse(policy->dead_letter_arn, &arn) != 0) {
        return ERR_INVALID;
    }
    policy->dead_letter_arn = sqs_arn_build(arena, region, str_from(engine->account), arn.name);
    return policy->dead_letter_arn.ptr == NULL ? ERR_NOMEM : 0;
}

/* As the request's region has it. */
static struct str shown_redrive_policy(struct engine *engine, struct store_request *request,
                                       struct str text)
{
    struct sqs_redrive_policy policy;
    struct sqs_error e;
    struct str shown = STR_NONE;
    struct buf out;
    buf_init(&out, POLICY_MAX_BYTES);
    if (sqs_redrive_policy_parse(text, request->arena, &policy, &e) == SQS_OK &&
        policy_in_region(engine, request->arena, engine_region(engine, request), &policy) == 0 &&
        sqs_redrive_policy_write(&policy, &out) == 0) {
        shown = (struct str){arena_dup(request->arena, out.ptr, out.len), out.len};
    }
    buf_done(&out);
    return shown.ptr == NULL ? STR_NONE : shown;
}

/* STR_NONE: the queue does not show this attribute. */
static struct str shown_value(struct engine *engine, struct store_request *request,
                              const struct queue *queue, enum sqs_queue_attribute attribute)
{
    struct str value = STR_NONE;
    if (live_value(engine, request, queue, attribute, &value)) {
        return value;
    }
    if (sqs_queue_attribute_info(attribute)->fifo_only && !queue->fifo) {
        return STR_NONE;
    }
    /* Copied: the definition may be replaced before the answer is written out. */
    value = str_from(queue_definition_value(queue->definition, attribute));
    if (attribute == SQS_QUEUE_ATTRIBUTE_REDRIVE_POLICY && value.ptr != NULL) {
        return shown_redrive_policy(engine, request, value);
    }
    const char *copy = value.ptr == NULL ? NULL : arena_dup(request->arena, value.ptr, value.len);
    return copy == NULL ? STR_NONE : (struct str){copy, value.len};
}

int engine_get_queue_attributes(struct engine *engine, struct store_request *request)
{
    const struct sqs_get_queue_attributes_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL || sqs_validate_queue_attribute_names(&in->names, &request->error) != 0) {
        return rc;
    }
    struct sqs_get_queue_attributes_out *out = engine_output(request, sizeof(*out));
    if (out == NULL) {
        return 0;
    }
    struct sqs_map *map = &out->attributes;
    map->items = arena_alloc(request->arena, SQS_QUEUE_ATTRIBUTE__COUNT * sizeof(struct sqs_pair));
    if (map->items == NULL) {
        return engine_out_of_memory(request);
    }
    for (int i = 0; i < SQS_QUEUE_ATTRIBUTE__COUNT; i++) {
        enum sqs_queue_attribute attribute = (enum sqs_queue_attribute)i;
        struct str name = str_from(sqs_queue_attribute_info(attribute)->name);
        if (!sqs_filter_name(&in->names, name)) {
            continue;
        }
        struct str value = shown_value(engine, request, queue, attribute);
        if (value.ptr != NULL) {
            map->items[map->count++] = (struct sqs_pair){name, value};
        }
    }
    map->set = map->count > 0;
    return 0;
}

/* ---- dead-letter policies ---- */

static int bad_redrive(struct store_request *request, struct str text, const char *reason)
{
    return sqs_error_set(&request->error, SQS_ERROR_INVALID_PARAMETER_VALUE,
                         "Value %.*s for parameter RedrivePolicy is invalid. Reason: %s",
                         (int)(text.len > 300 ? 300 : text.len), text.ptr, reason);
}

/* The source by its name: the policy may name it in any region. */
static bool is_allowed_source(struct store_request *request, const struct queue *target,
                              struct str account, struct str source)
{
    struct sqs_arn arn;
    struct sqs_redrive_allow_policy policy = {.permission = SQS_REDRIVE_ALLOW_ALL};
    struct sqs_error e = {.code = SQS_OK};
    struct str text =
        str_from(target->definition->values[SQS_QUEUE_ATTRIBUTE_REDRIVE_ALLOW_POLICY]);
    if (text.ptr == NULL ||
        sqs_redrive_allow_policy_parse(text, request->arena, &policy, &e) != 0 ||
        policy.permission == SQS_REDRIVE_ALLOW_ALL) {
        return true;
    }
    for (uint32_t i = 0; i < policy.source_arns.count; i++) {
        if (policy.permission == SQS_REDRIVE_BY_QUEUE &&
            sqs_arn_parse(policy.source_arns.items[i], &arn) == 0 &&
            str_equal(arn.account, account) && str_equal(arn.name, source)) {
            return true;
        }
    }
    return false;
}

static int check_target(struct engine *engine, struct store_request *request, struct str name,
                        struct str text, const struct sqs_redrive_policy *policy)
{
    struct sqs_arn arn;
    if (sqs_arn_parse(policy->dead_letter_arn, &arn) != 0) {
        return bad_redrive(request, text, "deadLetterTargetArn is not the ARN of a queue.");
    }
    if (!engine_arn_is_ours(engine, request, &arn)) {
        return bad_redrive(
            request, text,
            "Dead-letter queue must be in the same account and region as the source.");
    }
    if (str_equal(arn.name, name)) {
        return 0;
    }
    struct queue *target = engine_queue(engine, arn.name);
    if (target == NULL) {
        return bad_redrive(request, text, "Dead letter target does not exist.");
    }
    if (target->fifo != sqs_queue_name_is_fifo(name)) {
        return bad_redrive(request, text,
                           "Dead-letter queue must be same type of queue as the source.");
    }
    if (!is_allowed_source(request, target, arn.account, name)) {
        return bad_redrive(
            request, text,
            "The dead-letter queue's RedriveAllowPolicy does not allow this source.");
    }
    return 0;
}

static int check_redrive_policy(struct engine *engine, struct store_request *request,
                                struct str name, struct queue_definition *definition)
{
    struct sqs_redrive_policy policy = {.max_receives = 0};
    struct str text = str_from(definition->values[SQS_QUEUE_ATTRIBUTE_REDRIVE_POLICY]);
    if (sqs_redrive_policy_parse(text, request->arena, &policy, &request->error) != 0 ||
        check_target(engine, request, name, text, &policy) != 0) {
        return (int)request->error.code;
    }
    struct buf canonical;
    buf_init(&canonical, POLICY_MAX_BYTES);
    if (policy_in_region(engine, request->arena, str_from(engine->region), &policy) == 0 &&
        sqs_redrive_policy_write(&policy, &canonical) == 0) {
        queue_definition_set(definition, SQS_QUEUE_ATTRIBUTE_REDRIVE_POLICY, buf_str(&canonical));
    }
    buf_done(&canonical);
    return 0;
}

/* Values that exclude each other, whether they were given now or before. */
static int check_values(struct store_request *request, const struct sqs_map *changes,
                        const struct queue_definition *definition)
{
    char *const *values = definition->values;
    if (sqs_map_get(changes, STR("SqsManagedSseEnabled")).len > 0 &&
        values[SQS_QUEUE_ATTRIBUTE_KMS_MASTER_KEY_ID] != NULL &&
        str_equal(str_from(values[SQS_QUEUE_ATTRIBUTE_SQS_MANAGED_SSE_ENABLED]), STR("true"))) {
        return sqs_both_encryptions(&request->error);
    }
    return sqs_validate_fifo_throughput(
        str_from(queue_definition_value(definition, SQS_QUEUE_ATTRIBUTE_DEDUPLICATION_SCOPE)),
        str_from(queue_definition_value(definition, SQS_QUEUE_ATTRIBUTE_FIFO_THROUGHPUT_LIMIT)),
        &request->error);
}

/* Of the policies only what changes is checked: an old one whose target is gone must not stop other
 * changes. */
int engine_check_definition(struct engine *engine, struct store_request *request, struct str name,
                            const struct sqs_map *changes, struct queue_definition *definition)
{
    if (check_values(request, changes, definition) != 0) {
        return (int)request->error.code;
    }
    struct sqs_redrive_allow_policy allow = {.permission = SQS_REDRIVE_ALLOW_ALL};
    struct str allow_text = sqs_map_get(changes, STR("RedriveAllowPolicy"));
    if (allow_text.len > 0 &&
        sqs_redrive_allow_policy_parse(allow_text, request->arena, &allow, &request->error) != 0) {
        return (int)request->error.code;
    }
    if (sqs_map_get(changes, STR("RedrivePolicy")).len == 0) {
        return 0;
    }
    return check_redrive_policy(engine, request, name, definition);
}

/* ---- set ---- */

int engine_replace_definition(struct engine *engine, struct store_request *request,
                              struct queue *queue, struct queue_definition *definition)
{
    definition->modified_at = request->wall;
    engine_undo_add(engine, UNDO_DEFINITION, queue);
    queue->definition = definition;
    /* Another retention holds for the messages that are there, too. */
    if (queue_total(queue) > 0) {
        queue->state.next_expiry = engine->now;
        queue->state.sweep_from = 0;
    }
    int rc = engine_write_attributes(engine, queue, definition);
    if (rc == 0) {
        sqlite3_stmt *s = db_use(&engine->db, STATEMENT_QUEUE_MODIFY);
        sqlite3_bind_int64(s, 1, queue->id);
        sqlite3_bind_int64(s, 2, request->wall);
        rc = db_run(s);
    }
    return rc;
}

int engine_set_queue_attributes(struct engine *engine, struct store_request *request)
{
    const struct sqs_set_queue_attributes_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL ||
        sqs_validate_set_queue_attributes(&in->attributes, queue->fifo, &request->error) != 0) {
        return rc;
    }
    struct queue_definition *definition = queue_definition_new(queue->definition, &in->attributes);
    if (engine_check_definition(engine, request, queue_name(queue), &in->attributes, definition) !=
        0) {
        queue_definition_free(definition);
        return 0;
    }
    queue_definition_parse(definition);
    return engine_replace_definition(engine, request, queue, definition);
}
