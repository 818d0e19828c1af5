#include "deployment.h"

#include "sluice/sqs/arn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX_BYTES ((size_t)16 << 20)

/* A batch of messages is covered by the action on one. */
static const char *const drain_actions[] = {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage",
                                            "sqs:GetQueueAttributes", "sqs:ReceiveMessage", NULL};
static const char *const send_actions[] = {"sqs:SendMessage", NULL};
static const char *const assume_actions[] = {"sts:AssumeRole", NULL};
/* A sender needs both: the key of the data that it encrypts comes from the queue's key. */
static const char *const decrypt_actions[] = {"kms:Decrypt", NULL};
static const char *const encrypt_actions[] = {"kms:Decrypt", "kms:GenerateDataKey", NULL};

/* ---- queues ---- */

static struct str region_of(const struct settings *settings, const struct sqs_endpoint *endpoint)
{
    const struct str candidates[] = {endpoint->region, str_from(settings->aws.region),
                                     str_from(getenv("AWS_REGION")),
                                     str_from(getenv("AWS_DEFAULT_REGION"))};

    for (size_t i = 0; i < SL_COUNT(candidates); i++) {
        if (candidates[i].len > 0) {
            return candidates[i];
        }
    }
    return STR_NONE;
}

int deployment_queue(const struct settings *settings, const char *url, struct deployment_queue *ret,
                     struct error *e)
{
    struct sqs_endpoint endpoint;
    struct sqs_queue_ref ref;

    if (sqs_endpoint_parse(str_from(url), &endpoint) != 0 ||
        sqs_queue_url_parse(str_from(url), &ref) != 0) {
        return error_set(e, ERR_INVALID, "", "\"%s\" is no queue URL", url);
    }
    struct str region = region_of(settings, &endpoint);
    if (region.len == 0) {
        return error_set(e, ERR_NOT_FOUND, "",
                         "the region of %s is not known: set aws.region or AWS_REGION", url);
    }
    ret->name = ref.name;
    ret->fifo = str_ends_with(ref.name, STR(".fifo"));
    int len =
        snprintf(ret->arn, sizeof(ret->arn), "arn:%s:sqs:%.*s:%.*s:%.*s", sqs_partition(region),
                 STR_FMT(region), STR_FMT(ref.account), STR_FMT(ref.name));
    return len < (int)sizeof(ret->arn) ? 0 : error_set(e, ERR_TOO_BIG, "", "%s is too long", url);
}

static bool is_sqs(const struct route_settings *route)
{
    return route->queue_index == SETTINGS_NONE;
}

bool deployment_drains(const struct route_settings *route, const char *asked_route)
{
    return is_sqs(route) && (asked_route == NULL ? route->assume_role.arn == NULL
                                                 : strcmp(asked_route, route->name) == 0);
}

/* ---- what is needed ---- */

static int need(struct deployment_needs *needs, struct deployment_arns *arns, const char *arn,
                struct error *e)
{
    for (uint32_t i = 0; i < arns->count; i++) {
        if (strcmp(arns->items[i], arn) == 0) {
            return 0;
        }
    }
    const char *copy = arena_dup(&needs->arena, arn, strlen(arn));
    if (copy == NULL) {
        return error_set(e, ERR_TOO_BIG, "", "too many queues");
    }
    arns->items[arns->count++] = copy;
    return 0;
}

static int need_queue(const struct deployment_wanted *wanted, const struct route_settings *route,
                      struct deployment_needs *needs, struct error *e)
{
    struct deployment_queue queue;
    char arn[DEPLOYMENT_ARN_MAX];
    int error = deployment_queue(wanted->settings, route->queue, &queue, e);

    if (error == 0) {
        error = need(needs, &needs->drain, queue.arn, e);
    }
    if (error != 0) {
        return error;
    }
    error = wanted->dead_letter(wanted->context, route, &queue, arn, e);
    if (error == ERR_NOT_FOUND) {
        return 0;
    }
    return error == 0 ? need(needs, &needs->send, arn, e) : error;
}

static int need_destination(const struct deployment_wanted *wanted,
                            const struct destination_settings *to, struct deployment_needs *needs,
                            struct error *e)
{
    struct deployment_queue queue;

    if (to->queue == NULL || to->queue_index != SETTINGS_NONE) {
        return 0;
    }
    int error = deployment_queue(wanted->settings, to->queue, &queue, e);
    return error == 0 ? need(needs, &needs->send, queue.arn, e) : error;
}

static int need_route(const struct deployment_wanted *wanted, const struct route_settings *route,
                      struct deployment_needs *needs, struct error *e)
{
    int error = 0;

    if (deployment_drains(route, wanted->route)) {
        error = need_queue(wanted, route, needs, e);
    } else if (is_sqs(route)) {
        error = need(needs, &needs->assume, route->assume_role.arn, e);
    }
    if (wanted->route != NULL && route->assume_role.arn != NULL) {
        return error; /* records are sent with the daemon's own credentials */
    }
    if (error == 0) {
        error = need_destination(wanted, &route->on_success, needs, e);
    }
    return error == 0 ? need_destination(wanted, &route->on_failure, needs, e) : error;
}

int deployment_needs_find(const struct deployment_wanted *wanted, struct deployment_needs *ret,
                          struct error *e)
{
    uint32_t count = wanted->settings->routes.count;
    int error = 0;

    *ret = (struct deployment_needs){.drain.items = MEM_NEW_ARRAY(count + 1, const char *),
                                     .send.items = MEM_NEW_ARRAY(3 * count + 1, const char *),
                                     .assume.items = MEM_NEW_ARRAY(count + 1, const char *)};
    arena_init(&ret->arena, ARENA_MAX_BYTES);
    for (uint32_t i = 0; i < count && error == 0; i++) {
        const struct route_settings *route = &wanted->settings->routes.items[i];
        if (wanted->route == NULL || strcmp(wanted->route, route->name) == 0) {
            error = need_route(wanted, route, ret, e);
        }
    }
    if (error == 0 && ret->drain.count + ret->send.count + ret->assume.count == 0) {
        error =
            error_set(e, ERR_NOT_FOUND, "",
                      wanted->route == NULL ? "no route uses Amazon SQS: there is nothing to allow"
                                            : "there is no such route that uses Amazon SQS");
    }
    return error;
}

void deployment_needs_done(struct deployment_needs *needs)
{
    free(needs->drain.items);
    free(needs->send.items);
    free(needs->assume.items);
    arena_done(&needs->arena);
}

/* ---- the policy ---- */

static void statement(const struct deployment_policy *policy, struct json_writer *w,
                      const char *sid, const char *const *actions,
                      const struct deployment_arns *arns)
{
    if (arns->count == 0) {
        return;
    }
    json_object_begin(w);
    json_member_str(w, "Sid", str_from(sid));
    json_member_str(w, "Effect", STR("Allow"));
    json_key_write(w, STR("Action"));
    json_array_begin(w);
    for (; *actions != NULL; actions++) {
        json_write_str(w, str_from(*actions));
    }
    json_array_end(w);
    json_key_write(w, STR("Resource"));
    json_array_begin(w);
    for (uint32_t i = 0; i < arns->count; i++) {
        if (policy->resource != NULL) {
            policy->resource(policy->context, w, arns->items[i]);
        } else {
            json_write_str(w, str_from(arns->items[i]));
        }
    }
    json_array_end(w);
    json_object_end(w);
}

void deployment_policy_write(const struct deployment_needs *needs,
                             const struct deployment_policy *policy, struct json_writer *w)
{
    const char *keys[] = {policy->kms_key};
    const bool uses_queues = needs->drain.count + needs->send.count > 0;
    const struct deployment_arns key = {keys, policy->kms_key != NULL && uses_queues ? 1 : 0};

    json_object_begin(w);
    json_member_str(w, "Version", STR("2012-10-17"));
    json_key_write(w, STR("Statement"));
    json_array_begin(w);
    statement(policy, w, "Drain", drain_actions, &needs->drain);
    statement(policy, w, "Send", send_actions, &needs->send);
    statement(policy, w, "AssumeRole", assume_actions, &needs->assume);
    statement(policy, w, "UseKey", needs->send.count > 0 ? encrypt_actions : decrypt_actions, &key);
    json_array_end(w);
    json_object_end(w);
}
