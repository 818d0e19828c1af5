/* AddPermission and RemovePermission: edits of the queue's Policy, which is stored and returned. */
#include "engine_internal.h"

#include "sluice/sqs/arn.h"
#include "sluice/sqs/policy.h"

/* The queue's definition with another policy; an empty one is none. */
static int set_policy(struct engine *engine, struct store_request *request, struct queue *queue,
                      struct str policy)
{
    struct sqs_pair pair = {STR("Policy"), policy};
    const struct sqs_map changes = {.items = &pair, .count = 1, .set = true};
    struct queue_definition *definition = queue_definition_new(queue->definition, &changes);
    queue_definition_parse(definition);
    return engine_replace_definition(engine, request, queue, definition);
}

static struct str policy_of(const struct queue *queue)
{
    return str_from(queue->definition->values[SQS_QUEUE_ATTRIBUTE_POLICY]);
}

int engine_add_permission(struct engine *engine, struct store_request *request)
{
    const struct sqs_add_permission_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL || sqs_validate_add_permission(in, &request->error) != 0) {
        return rc;
    }
    struct str arn = sqs_arn_build(request->arena, engine_region(engine, request),
                                   str_from(engine->account), queue_name(queue));
    struct buf policy;
    buf_init(&policy, (size_t)4 * SQS_POLICY_MAX_BYTES);
    if (sqs_policy_add(policy_of(queue), arn, in, &policy, &request->error) == 0) {
        rc = set_policy(engine, request, queue, buf_str(&policy));
    }
    buf_done(&policy);
    return rc;
}

int engine_remove_permission(struct engine *engine, struct store_request *request)
{
    const struct sqs_remove_permission_in *in = request->input;
    int rc;
    struct queue *queue = engine_request_queue(engine, request, in->queue_url, &rc);
    if (queue == NULL) {
        return rc;
    }
    struct buf policy;
    buf_init(&policy, (size_t)4 * SQS_POLICY_MAX_BYTES);
    if (sqs_policy_remove(policy_of(queue), in->label, &policy, &request->error) == 0) {
        rc = set_policy(engine, request, queue, buf_str(&policy));
    }
    buf_done(&policy);
    return rc;
}
