#include "template.h"

#include "sluice/base/clock.h"

#include <stdio.h>
#include <string.h>

#define RETENTION_S       1209600 /* 14 days, the most there is */
#define ALARM_S           3600
#define ALARM_PERIOD_S    300
#define MAX_RECEIVE_COUNT 5

const char *const template_suffixes[] = {"", "Policy", "Age", "Backlog", "GivenUp", NULL};

/* ---- small writers ---- */

static void object(struct json_writer *w, const char *key)
{
    json_key_write(w, str_from(key));
    json_object_begin(w);
}

static void reference(struct json_writer *w, const char *key, const char *id)
{
    object(w, key);
    json_member_str(w, "Ref", str_from(id));
    json_object_end(w);
}

static void get_att_value(struct json_writer *w, const char *id, const char *attribute)
{
    json_object_begin(w);
    json_key_write(w, STR("Fn::GetAtt"));
    json_array_begin(w);
    json_write_str(w, str_from(id));
    json_write_str(w, str_from(attribute));
    json_array_end(w);
    json_object_end(w);
}

static void get_att(struct json_writer *w, const char *key, const char *id, const char *attribute)
{
    json_key_write(w, str_from(key));
    get_att_value(w, id, attribute);
}

static void resource_begin(struct json_writer *w, const char *id, const char *type)
{
    object(w, id);
    json_member_str(w, "Type", str_from(type));
}

/* ---- queues ---- */

static void tags(struct json_writer *w)
{
    json_key_write(w, STR("Tags"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Key", STR("stage"));
    reference(w, "Value", "Stage");
    json_object_end(w);
    json_array_end(w);
}

/* The dead-letter queue names who may use it as one. By name: a reference back to the queue, which
 * refers to this one, would be a circle. */
static void write_allowed_source(struct json_writer *w, const struct template_item *source)
{
    char arn[TEMPLATE_NAME_MAX + 80];

    (void)snprintf(arn, sizeof(arn),
                   "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:%s", source->name);
    object(w, "RedriveAllowPolicy");
    json_member_str(w, "redrivePermission", STR("byQueue"));
    json_key_write(w, STR("sourceQueueArns"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Fn::Sub", str_from(arn));
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
}

static void write_queue(struct json_writer *w, const struct deployment_template *t,
                        const struct template_item *item)
{
    resource_begin(w, item->id, "AWS::SQS::Queue");
    json_member_str(w, "UpdateReplacePolicy", STR("Retain"));
    json_member_str(w, "DeletionPolicy", STR("Retain"));
    object(w, "Properties");
    json_member_str(w, "QueueName", str_from(item->name));
    if (item->fifo) {
        json_member_bool(w, "FifoQueue", true);
    }
    json_member_i64(w, "MessageRetentionPeriod", RETENTION_S);
    json_member_bool(w, "SqsManagedSseEnabled", true);
    tags(w);
    if (item->route != NULL) {
        json_member_i64(w, "ReceiveMessageWaitTimeSeconds", 20);
        json_member_i64(w, "VisibilityTimeout",
                        (item->route->visibility_ns + NS_PER_S - 1) / NS_PER_S);
    }
    if (item->dead != TEMPLATE_NONE) {
        object(w, "RedrivePolicy");
        get_att(w, "deadLetterTargetArn", t->items[item->dead].id, "Arn");
        json_member_i64(w, "maxReceiveCount", MAX_RECEIVE_COUNT);
        json_object_end(w);
    }
    if (item->source != TEMPLATE_NONE) {
        write_allowed_source(w, &t->items[item->source]);
    }
    json_object_end(w);
    json_object_end(w);
}

/* Nobody talks to it without TLS. */
static void write_queue_policy(struct json_writer *w, const struct template_item *item)
{
    char id[TEMPLATE_ID_MAX + 16];

    (void)snprintf(id, sizeof(id), "%sPolicy", item->id);
    resource_begin(w, id, "AWS::SQS::QueuePolicy");
    object(w, "Properties");
    json_key_write(w, STR("Queues"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Ref", str_from(item->id));
    json_object_end(w);
    json_array_end(w);
    object(w, "PolicyDocument");
    json_member_str(w, "Version", STR("2012-10-17"));
    json_key_write(w, STR("Statement"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Sid", STR("OnlyByTls"));
    json_member_str(w, "Effect", STR("Deny"));
    json_member_str(w, "Principal", STR("*"));
    json_member_str(w, "Action", STR("sqs:*"));
    get_att(w, "Resource", item->id, "Arn");
    object(w, "Condition");
    object(w, "Bool");
    json_member_str(w, "aws:SecureTransport", STR("false"));
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
}

/* ---- alarms ---- */

static void write_metric(struct json_writer *w, const struct template_item *item,
                         const char *metric)
{
    json_member_str(w, "Namespace", STR("AWS/SQS"));
    json_member_str(w, "MetricName", str_from(metric));
    json_key_write(w, STR("Dimensions"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Name", STR("QueueName"));
    get_att(w, "Value", item->id, "QueueName");
    json_object_end(w);
    json_array_end(w);
}

static void alarm_begin(struct json_writer *w, const struct template_item *item, const char *suffix,
                        const char *text)
{
    char id[TEMPLATE_ID_MAX + 16];

    (void)snprintf(id, sizeof(id), "%s%s", item->id, suffix);
    resource_begin(w, id, "AWS::CloudWatch::Alarm");
    object(w, "Properties");
    json_member_str(w, "AlarmDescription", str_from(text));
}

static void alarm_end(struct json_writer *w, int64_t threshold)
{
    json_member_i64(w, "EvaluationPeriods", 1);
    json_member_i64(w, "Threshold", threshold);
    json_member_str(w, "ComparisonOperator", STR("GreaterThanThreshold"));
    json_member_str(w, "TreatMissingData", STR("notBreaching"));
    json_key_write(w, STR("AlarmActions"));
    json_object_begin(w);
    json_key_write(w, STR("Fn::If"));
    json_array_begin(w);
    json_write_str(w, STR("HasAlarmTopic"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Ref", STR("AlarmTopicArn"));
    json_object_end(w);
    json_array_end(w);
    json_object_begin(w);
    json_member_str(w, "Ref", STR("AWS::NoValue"));
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
}

static void write_alarm(struct json_writer *w, const struct template_item *item, const char *suffix,
                        const char *metric, int64_t threshold, const char *text)
{
    alarm_begin(w, item, suffix, text);
    write_metric(w, item, metric);
    json_member_str(w, "Statistic", STR("Maximum"));
    json_member_i64(w, "Period", ALARM_PERIOD_S);
    alarm_end(w, threshold);
}

/* Earlier than the age of its messages, this tells that a backlog grew beyond the pace. */
static void write_backlog_alarm(struct json_writer *w, const struct template_item *item,
                                double pace)
{
    char expression[64];

    (void)snprintf(expression, sizeof(expression), "visible / %.6g", pace);
    alarm_begin(w, item, "Backlog",
                "At the pace of its limits, what is in the queue takes more than an hour.");
    json_key_write(w, STR("Metrics"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Id", STR("visible"));
    object(w, "MetricStat");
    object(w, "Metric");
    write_metric(w, item, "ApproximateNumberOfMessagesVisible");
    json_object_end(w);
    json_member_i64(w, "Period", ALARM_PERIOD_S);
    json_member_str(w, "Stat", STR("Maximum"));
    json_object_end(w);
    json_member_bool(w, "ReturnData", false);
    json_object_end(w);
    json_object_begin(w);
    json_member_str(w, "Id", STR("seconds"));
    json_member_str(w, "Label", STR("Seconds to drain"));
    json_member_str(w, "Expression", str_from(expression));
    json_member_bool(w, "ReturnData", true);
    json_object_end(w);
    json_array_end(w);
    alarm_end(w, ALARM_S);
}

static void write_alarms(struct json_writer *w, const struct deployment_template *t,
                         const struct template_item *item)
{
    double pace = 0;

    if (item->route != NULL) {
        write_alarm(w, item, "Age", "ApproximateAgeOfOldestMessage", ALARM_S,
                    "A message has waited for more than an hour.");
    }
    if (item->route != NULL && settings_narrowest_limit(t->settings, item->route, &pace) != NULL) {
        write_backlog_alarm(w, item, pace);
    }
    if (item->source != TEMPLATE_NONE) {
        write_alarm(w, item, "GivenUp", "ApproximateNumberOfMessagesVisible", 0,
                    "Messages were given up.");
    }
}

/* ---- the daemon's policy ---- */

/* A queue of the template is referred to, so that the policy follows it. */
static void write_policy_resource(void *context, struct json_writer *w, const char *arn)
{
    const struct deployment_template *t = context;

    for (uint32_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].arn, arn) == 0) {
            get_att_value(w, t->items[i].id, "Arn");
            return;
        }
    }
    json_write_str(w, str_from(arn));
}

static int dead_letter_arn(void *context, const struct route_settings *route,
                           const struct deployment_queue *queue, char *out, struct error *e)
{
    const struct deployment_template *t = context;

    (void)route;
    (void)e;
    for (uint32_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].arn, queue->arn) == 0) {
            (void)str_copy(out, DEPLOYMENT_ARN_MAX, str_from(t->items[t->items[i].dead].arn));
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

static int write_policy(struct json_writer *w, struct deployment_template *t, struct error *e)
{
    const struct deployment_wanted wanted = {
        .settings = t->settings, .route = t->route, .dead_letter = dead_letter_arn, .context = t};
    struct deployment_needs needs;
    int error = deployment_needs_find(&wanted, &needs, e);

    if (error == 0) {
        resource_begin(w, TEMPLATE_POLICY_ID, "AWS::IAM::ManagedPolicy");
        object(w, "Properties");
        json_member_str(w, "Description", STR("What sluice needs to drain its queues."));
        json_key_write(w, STR("PolicyDocument"));
        deployment_policy_write(
            &needs, &(struct deployment_policy){.resource = write_policy_resource, .context = t},
            w);
        json_object_end(w);
        json_object_end(w);
    }
    deployment_needs_done(&needs);
    return error;
}

/* ---- the template ---- */

static void parameter(struct json_writer *w, const char *name, const char *fallback,
                      const char *text)
{
    object(w, name);
    json_member_str(w, "Type", STR("String"));
    json_member_str(w, "Default", str_from(fallback));
    json_member_str(w, "Description", str_from(text));
    json_object_end(w);
}

static void write_head(struct json_writer *w, const struct settings *settings)
{
    json_member_str(w, "AWSTemplateFormatVersion", STR("2010-09-09"));
    json_member_str(w, "Description",
                    STR("Queues that sluice drains, what it may do with them, and alarms."));
    object(w, "Parameters");
    parameter(w, "Stage", settings->stage == NULL ? "" : settings->stage, "dev, stg, prd ...");
    parameter(w, "AlarmTopicArn", "", "SNS topic that alarms are sent to; empty: to nobody.");
    json_object_end(w);
    object(w, "Conditions");
    object(w, "HasAlarmTopic");
    json_key_write(w, STR("Fn::Not"));
    json_array_begin(w);
    json_object_begin(w);
    json_key_write(w, STR("Fn::Equals"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Ref", STR("AlarmTopicArn"));
    json_object_end(w);
    json_write_str(w, STR(""));
    json_array_end(w);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
    json_object_end(w);
}

static void write_outputs(struct json_writer *w, const struct deployment_template *t)
{
    char id[TEMPLATE_ID_MAX + 16];

    object(w, "Outputs");
    for (uint32_t i = 0; i < t->count; i++) {
        (void)snprintf(id, sizeof(id), "%sUrl", t->items[i].id);
        object(w, id);
        reference(w, "Value", t->items[i].id);
        json_object_end(w);
        (void)snprintf(id, sizeof(id), "%sArn", t->items[i].id);
        object(w, id);
        get_att(w, "Value", t->items[i].id, "Arn");
        json_object_end(w);
    }
    object(w, TEMPLATE_POLICY_ID "Arn");
    reference(w, "Value", TEMPLATE_POLICY_ID);
    json_object_end(w);
    json_object_end(w);
}

int template_write(struct json_writer *w, struct deployment_template *t, struct error *e)
{
    json_object_begin(w);
    write_head(w, t->settings);
    object(w, "Resources");
    for (uint32_t i = 0; i < t->count; i++) {
        write_queue(w, t, &t->items[i]);
        write_queue_policy(w, &t->items[i]);
        write_alarms(w, t, &t->items[i]);
    }
    int error = write_policy(w, t, e);
    json_object_end(w);
    write_outputs(w, t);
    json_object_end(w);
    return error;
}
