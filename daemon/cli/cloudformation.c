#include "sluice/cli/cloudformation.h"

#include "deployment.h"
#include "options.h"

#include "sluice/app.h"
#include "sluice/cli/check.h"

#include "sluice/base/clock.h"
#include "sluice/base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINT_MAX_BYTES   ((size_t)1 << 20)
#define ID_MAX            96
#define RETENTION_S       1209600 /* 14 days, the most there is */
#define ALARM_AGE_S       3600
#define MAX_RECEIVE_COUNT 5

static const char usage[] =
    "usage: sluice cloudformation --config FILE [--stage NAME]\n"
    "\n"
    "Prints a CloudFormation template (JSON) with the Amazon SQS queues that the configuration\n"
    "drains, a dead-letter queue for each, the managed policy that the daemon needs, and alarms "
    "on\n"
    "messages that wait for an hour or were given up. Queues of routes that assume a role belong "
    "to\n"
    "another account and are left out.\n"
    "\n"
    "  -c, --config FILE  the configuration\n"
    "      --stage NAME   merged with the stage's own file\n"
    "  -h, --help         this text\n"
    "\n"
    "Exit status: 0 printed, 2 usage, 3 the configuration is refused, or has no queue of SQS.\n";

/* One queue of the template, once however many routes drain it. */
struct item {
    const struct route_settings *route;
    struct deployment_queue queue;
    char id[ID_MAX], dead_id[ID_MAX]; /* logical ids: letters and digits */
};

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

/* Its name, with "-dlq" before the ".fifo" that a FIFO queue's name ends in. */
static void dead_letter_name(const struct item *item, char out[128])
{
    struct str name = item->queue.name;

    name.len -= item->queue.fifo ? 5 : 0;
    (void)snprintf(out, 128, "%.*s-dlq%s", STR_FMT(name), item->queue.fifo ? ".fifo" : "");
}

static void queue_common(struct json_writer *w, const struct item *item, struct str name)
{
    object(w, "Properties");
    json_member_str(w, "QueueName", name);
    if (item->queue.fifo) {
        json_member_bool(w, "FifoQueue", true);
    }
    json_member_i64(w, "MessageRetentionPeriod", RETENTION_S);
    json_member_bool(w, "SqsManagedSseEnabled", true);
    tags(w);
}

static void write_queue(struct json_writer *w, const struct item *item)
{
    char name[128];

    dead_letter_name(item, name);
    resource_begin(w, item->dead_id, "AWS::SQS::Queue");
    json_member_str(w, "UpdateReplacePolicy", STR("Retain"));
    json_member_str(w, "DeletionPolicy", STR("Retain"));
    queue_common(w, item, str_from(name));
    json_object_end(w);
    json_object_end(w);
    resource_begin(w, item->id, "AWS::SQS::Queue");
    json_member_str(w, "UpdateReplacePolicy", STR("Retain"));
    json_member_str(w, "DeletionPolicy", STR("Retain"));
    queue_common(w, item, item->queue.name);
    json_member_i64(w, "ReceiveMessageWaitTimeSeconds", 20);
    json_member_i64(w, "VisibilityTimeout", (item->route->visibility_ns + NS_PER_S - 1) / NS_PER_S);
    object(w, "RedrivePolicy");
    get_att(w, "deadLetterTargetArn", item->dead_id, "Arn");
    json_member_i64(w, "maxReceiveCount", MAX_RECEIVE_COUNT);
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
}

/* Nobody talks to them without TLS. */
static void write_queue_policy(struct json_writer *w, const struct item *item)
{
    char id[ID_MAX + 8];
    const char *ids[] = {item->id, item->dead_id};

    (void)snprintf(id, sizeof(id), "%sPolicy", item->id);
    resource_begin(w, id, "AWS::SQS::QueuePolicy");
    object(w, "Properties");
    json_key_write(w, STR("Queues"));
    json_array_begin(w);
    for (size_t i = 0; i < SL_COUNT(ids); i++) {
        json_object_begin(w);
        json_member_str(w, "Ref", str_from(ids[i]));
        json_object_end(w);
    }
    json_array_end(w);
    object(w, "PolicyDocument");
    json_member_str(w, "Version", STR("2012-10-17"));
    json_key_write(w, STR("Statement"));
    json_array_begin(w);
    for (size_t i = 0; i < SL_COUNT(ids); i++) {
        json_object_begin(w);
        json_member_str(w, "Sid", i == 0 ? STR("OnlyByTls") : STR("DeadLettersOnlyByTls"));
        json_member_str(w, "Effect", STR("Deny"));
        json_member_str(w, "Principal", STR("*"));
        json_member_str(w, "Action", STR("sqs:*"));
        get_att(w, "Resource", ids[i], "Arn");
        object(w, "Condition");
        object(w, "Bool");
        json_member_str(w, "aws:SecureTransport", STR("false"));
        json_object_end(w);
        json_object_end(w);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
}

/* ---- alarms ---- */

static void write_alarm(struct json_writer *w, const char *id, const char *queue_id,
                        const char *metric, int64_t threshold, const char *text)
{
    resource_begin(w, id, "AWS::CloudWatch::Alarm");
    object(w, "Properties");
    json_member_str(w, "AlarmDescription", str_from(text));
    json_member_str(w, "Namespace", STR("AWS/SQS"));
    json_member_str(w, "MetricName", str_from(metric));
    json_key_write(w, STR("Dimensions"));
    json_array_begin(w);
    json_object_begin(w);
    json_member_str(w, "Name", STR("QueueName"));
    get_att(w, "Value", queue_id, "QueueName");
    json_object_end(w);
    json_array_end(w);
    json_member_str(w, "Statistic", STR("Maximum"));
    json_member_i64(w, "Period", 300);
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

static void write_alarms(struct json_writer *w, const struct item *item)
{
    char id[ID_MAX + 16];

    (void)snprintf(id, sizeof(id), "%sAge", item->id);
    write_alarm(w, id, item->id, "ApproximateAgeOfOldestMessage", ALARM_AGE_S,
                "A message has waited for more than an hour.");
    (void)snprintf(id, sizeof(id), "%sDead", item->id);
    write_alarm(w, id, item->dead_id, "ApproximateNumberOfMessagesVisible", 0,
                "Messages were given up.");
}

/* ---- the daemon's policy ---- */

static void policy_statement(struct json_writer *w, const char *sid, const char *const *actions,
                             const struct item *items, uint32_t count, bool dead_letters)
{
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
    for (uint32_t i = 0; i < count; i++) {
        get_att_value(w, dead_letters ? items[i].dead_id : items[i].id, "Arn");
    }
    json_array_end(w);
    json_object_end(w);
}

static void write_policy(struct json_writer *w, const struct item *items, uint32_t count)
{
    resource_begin(w, "SluicePolicy", "AWS::IAM::ManagedPolicy");
    object(w, "Properties");
    json_member_str(w, "Description", STR("What sluice needs to drain its queues."));
    object(w, "PolicyDocument");
    json_member_str(w, "Version", STR("2012-10-17"));
    json_key_write(w, STR("Statement"));
    json_array_begin(w);
    policy_statement(w, "Drain", deployment_drain_actions, items, count, false);
    policy_statement(w, "DeadLetters", deployment_send_actions, items, count, true);
    json_array_end(w);
    json_object_end(w);
    json_object_end(w);
    json_object_end(w);
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

static void write_outputs(struct json_writer *w, const struct item *items, uint32_t count)
{
    char id[ID_MAX + 16];

    object(w, "Outputs");
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof(id), "%sUrl", items[i].id);
        object(w, id);
        reference(w, "Value", items[i].id);
        json_object_end(w);
        (void)snprintf(id, sizeof(id), "%sUrl", items[i].dead_id);
        object(w, id);
        reference(w, "Value", items[i].dead_id);
        json_object_end(w);
    }
    object(w, "SluicePolicyArn");
    reference(w, "Value", "SluicePolicy");
    json_object_end(w);
    json_object_end(w);
}

static void write_template(struct json_writer *w, const struct settings *settings,
                           const struct item *items, uint32_t count)
{
    json_object_begin(w);
    write_head(w, settings);
    object(w, "Resources");
    for (uint32_t i = 0; i < count; i++) {
        write_queue(w, &items[i]);
        write_queue_policy(w, &items[i]);
        write_alarms(w, &items[i]);
    }
    write_policy(w, items, count);
    json_object_end(w);
    write_outputs(w, items, count);
    json_object_end(w);
}

/* ---- what is in it ---- */

/* "orders-v2.fifo" is OrdersV2Fifo; two names that come to the same get a number. */
static void make_ids(struct item *items, uint32_t i)
{
    struct str name = items[i].queue.name;
    size_t at = 0;
    bool first = true;

    for (size_t k = 0; k < name.len && at < 64; k++) {
        if (isalnum((unsigned char)name.ptr[k])) {
            items[i].id[at++] = (char)(first ? toupper((unsigned char)name.ptr[k]) : name.ptr[k]);
        }
        first = !isalnum((unsigned char)name.ptr[k]);
    }
    items[i].id[at] = '\0';
    for (uint32_t k = 0; k < i; k++) {
        if (strcmp(items[k].id, items[i].id) == 0) {
            (void)snprintf(items[i].id + at, ID_MAX - at, "%u", i + 1);
        }
    }
    (void)snprintf(items[i].dead_id, ID_MAX, "%.80sDeadLetters", items[i].id);
}

static int collect(const struct settings *settings, struct item *items, uint32_t *ret_count,
                   struct error *e)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < settings->routes.count; i++) {
        const struct route_settings *route = &settings->routes.items[i];
        struct item *item = &items[count];
        bool known = false;
        if (!deployment_is_sqs(route) || route->assume_role.arn != NULL) {
            continue;
        }
        int error = deployment_queue(settings, route->queue, &item->queue, e);
        if (error != 0) {
            return error;
        }
        for (uint32_t k = 0; k < count; k++) {
            known = known || strcmp(items[k].queue.arn, item->queue.arn) == 0;
        }
        item->route = route;
        if (!known) {
            make_ids(items, count++);
        }
    }
    *ret_count = count;
    return count > 0 ? 0
                     : error_set(e, ERR_NOT_FOUND, "",
                                 "no route drains an SQS queue of this account: there is nothing "
                                 "to deploy");
}

static int print_template(const struct settings *settings)
{
    struct item *items = MEM_NEW_ARRAY(settings->routes.count + 1, struct item);
    struct json_writer w;
    struct error e = {0};
    struct buf out;
    uint32_t count = 0;
    int code = EXIT_CODE_REFUSED;

    if (collect(settings, items, &count, &e) != 0) {
        (void)fprintf(stderr, "sluice cloudformation: %s\n", e.text);
    } else {
        buf_init(&out, PRINT_MAX_BYTES);
        json_writer_init(&w, &out);
        write_template(&w, settings, items, count);
        code = buf_failed(&out) == 0 && printf("%s\n", buf_str(&out).ptr) > 0 ? EXIT_CODE_DONE
                                                                              : EXIT_CODE_FAILED;
        buf_done(&out);
    }
    free(items);
    return code;
}

int cli_cloudformation(int argc, char **argv)
{
    const char *file = NULL, *stage = NULL;
    const struct cli_option options[] = {
        {.name = "config", .letter = 'c', .kind = CLI_TEXT, .ret = &file, .wanted = "a file"},
        CLI_STAGE(stage),
    };
    const struct cli_command command = {"sluice cloudformation", usage, options,
                                        SL_COUNT(options),       0,     0};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    if (file == NULL) {
        return cli_usage_error(&command, "--config is needed");
    }
    struct settings *settings = cli_load_settings("", file, stage);
    if (settings == NULL) {
        return EXIT_CODE_REFUSED;
    }
    code = print_template(settings);
    settings_free(settings);
    return code;
}
