#include "deployment.h"

#include "sluice/sqs/arn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const deployment_drain_actions[] = {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage",
                                                "sqs:GetQueueAttributes", "sqs:ReceiveMessage",
                                                NULL};
const char *const deployment_send_actions[] = {"sqs:SendMessage", NULL};
static const char *const assume[] = {"sts:AssumeRole", NULL};
static const char *const decrypt[] = {"kms:Decrypt", "kms:GenerateDataKey", NULL};

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

bool deployment_is_sqs(const struct route_settings *route)
{
    return route->queue_index == SETTINGS_NONE;
}

/* ---- statements ---- */

/* Sids are letters and digits. */
static void statement(struct json_writer *w, const char *what, const char *name,
                      const char *const *actions, const char *resource)
{
    char sid[128];
    size_t at = (size_t)snprintf(sid, sizeof(sid), "%s", what);

    for (bool first = true; *name != '\0' && at + 1 < sizeof(sid); name++) {
        if (isalnum((unsigned char)*name)) {
            sid[at++] = (char)(first ? toupper((unsigned char)*name) : *name);
        }
        first = !isalnum((unsigned char)*name);
    }
    sid[at] = '\0';
    json_object_begin(w);
    json_member_str(w, "Sid", str_from(sid));
    json_member_str(w, "Effect", STR("Allow"));
    json_key_write(w, STR("Action"));
    json_array_begin(w);
    for (; *actions != NULL; actions++) {
        json_write_str(w, str_from(*actions));
    }
    json_array_end(w);
    json_member_str(w, "Resource", str_from(resource));
    json_object_end(w);
}

/* A name is of the account and region of the queue itself. */
static void dead_letter_arn(const char *queue_arn, const char *dead_letter,
                            char out[DEPLOYMENT_ARN_MAX])
{
    const char *last = strrchr(queue_arn, ':');

    if (strncmp(dead_letter, "arn:", 4) == 0) {
        (void)snprintf(out, DEPLOYMENT_ARN_MAX, "%s", dead_letter);
    } else {
        (void)snprintf(out, DEPLOYMENT_ARN_MAX, "%.*s:%s", (int)(last - queue_arn), queue_arn,
                       dead_letter);
    }
}

static int queue_statements(const struct deployment_policy *policy,
                            const struct route_settings *route, struct json_writer *w,
                            struct error *e)
{
    struct deployment_queue queue;
    char arn[DEPLOYMENT_ARN_MAX];
    int error = deployment_queue(policy->settings, route->queue, &queue, e);

    if (error != 0) {
        return error;
    }
    statement(w, "Drain", route->name, deployment_drain_actions, queue.arn);
    if (policy->dead_letter != NULL) {
        dead_letter_arn(queue.arn, policy->dead_letter, arn);
        statement(w, "DeadLetter", route->name, deployment_send_actions, arn);
    }
    return 0;
}

static int destination_statement(const struct deployment_policy *policy, const char *what,
                                 const struct route_settings *route,
                                 const struct destination_settings *to, struct json_writer *w,
                                 struct error *e)
{
    struct deployment_queue queue;

    if (to->queue == NULL || to->queue_index != SETTINGS_NONE) {
        return 0;
    }
    int error = deployment_queue(policy->settings, to->queue, &queue, e);
    if (error == 0) {
        statement(w, what, route->name, deployment_send_actions, queue.arn);
    }
    return error;
}

static int route_statements(const struct deployment_policy *policy,
                            const struct route_settings *route, struct json_writer *w,
                            struct error *e)
{
    bool for_role = policy->route != NULL && route->assume_role.arn != NULL;
    int error = 0;

    if (deployment_is_sqs(route) && (route->assume_role.arn == NULL || for_role)) {
        error = queue_statements(policy, route, w, e);
    } else if (deployment_is_sqs(route)) {
        statement(w, "Assume", route->name, assume, route->assume_role.arn);
    }
    if (error == 0 && !for_role) {
        error = destination_statement(policy, "OnSuccess", route, &route->on_success, w, e);
    }
    if (error == 0 && !for_role) {
        error = destination_statement(policy, "OnFailure", route, &route->on_failure, w, e);
    }
    return error;
}

int deployment_policy_write(const struct deployment_policy *policy, struct json_writer *w,
                            struct error *e)
{
    bool found = false;
    int error = 0;

    json_object_begin(w);
    json_member_str(w, "Version", STR("2012-10-17"));
    json_key_write(w, STR("Statement"));
    json_array_begin(w);
    for (uint32_t i = 0; i < policy->settings->routes.count && error == 0; i++) {
        const struct route_settings *route = &policy->settings->routes.items[i];
        if (policy->route == NULL || strcmp(policy->route, route->name) == 0) {
            size_t before = w->out->len;
            error = route_statements(policy, route, w, e);
            found = found || w->out->len > before;
        }
    }
    if (policy->kms_key != NULL) {
        statement(w, "Decrypt", "", decrypt, policy->kms_key);
    }
    json_array_end(w);
    json_object_end(w);
    if (error == 0 && !found) {
        error =
            error_set(e, ERR_NOT_FOUND, "",
                      policy->route == NULL ? "no route uses Amazon SQS: there is nothing to allow"
                                            : "there is no such route that uses Amazon SQS");
    }
    return error;
}
