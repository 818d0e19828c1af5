/* ls, peek. */
#include "queue_internal.h"

#include "sluice/base/json.h"
#include "sluice/cli/admin_client.h"
#include "sluice/runtime/loop.h"

#include <stdio.h>
#include <string.h>

/* ---- ls ---- */

static const char ls_usage[] =
    "usage: sluice queue ls [--json] [--data-dir DIR]\n\n"
    "All queues, a line each: how many messages are visible, in flight (received or held by a "
    "route) and\ndelayed, the age of the oldest visible one, and the dead-letter queue.\n";

static const char *oldest_text(const struct json_value *queue, char *out, size_t size)
{
    const struct json_value *age = json_get(queue, "oldest_age_seconds");

    return age == NULL ? "-" : str_age(out, size, (int64_t)json_number(age));
}

static void print_table(const struct json_value *root)
{
    const struct json_value *queues = json_get(root, "queues");
    long long shown = (long long)json_count(queues);
    char age[48];
    int width = 12;

    for (const struct json_value *q = json_first(queues); q != NULL; q = json_next(q)) {
        int len = (int)json_string(json_get(q, "name")).len;
        width = len > width ? len : width;
    }
    (void)printf("%-*s %10s %10s %10s %8s  %s\n", width, "QUEUE", "VISIBLE", "IN FLIGHT", "DELAYED",
                 "OLDEST", "DEAD LETTERS TO");
    for (const struct json_value *q = json_first(queues); q != NULL; q = json_next(q)) {
        struct str dead_letter = json_string(json_get(q, "dead_letter"));
        (void)printf("%-*.*s %10lld %10lld %10lld %8s  %.*s\n", width,
                     STR_FMT(json_string(json_get(q, "name"))), admin_number(q, "visible"),
                     admin_number(q, "in_flight"), admin_number(q, "delayed"),
                     oldest_text(q, age, sizeof(age)),
                     STR_FMT(dead_letter.ptr == NULL ? STR("-") : dead_letter));
    }
    if (admin_number(root, "queue_count") > shown) {
        (void)printf("… and %lld more\n", admin_number(root, "queue_count") - shown);
    }
}

static int print_queues(struct str text, bool as_json)
{
    struct json json;
    struct buf out;

    if (json_parse(&json, text, JSON_STRICT, NULL) != 0) {
        (void)fprintf(stderr, "sluice: the daemon's answer is no JSON\n");
        return EXIT_CODE_FAILED;
    }
    if (as_json) {
        buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
        (void)json_write_value(&out, json_get(json.root, "queues"));
        (void)printf("%.*s\n", STR_FMT(buf_str(&out)));
        buf_done(&out);
    } else {
        print_table(json.root);
    }
    json_done(&json);
    return EXIT_CODE_DONE;
}

int queue_ls(int argc, char **argv)
{
    bool as_json = false;
    struct admin_question question = {.method = "GET", .path = "/v1/status"};
    const struct cli_option options[] = {
        CLI_DATA_DIR(question.data_dir),
        {.name = "json", .kind = CLI_FLAG, .ret = &as_json},
    };
    const struct cli_command command = {"sluice queue ls", ls_usage, options,
                                        SL_COUNT(options), 0,        0};
    struct cli_words words;
    struct buf out;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    code = admin_client_ask(&question, &out);
    if (code == EXIT_CODE_DONE) {
        code = print_queues(buf_str(&out), as_json);
    }
    buf_done(&out);
    return code;
}

/* ---- peek ---- */

#define PEEK_MAX 1000

static const char peek_usage[] =
    "usage: sluice queue peek NAME [--max N] [--all] [--json] [--data-dir DIR]\n\n"
    "Shows the oldest messages of the queue. Nothing is received: no count goes up, nothing is "
    "hidden.\n\n"
    "  --max N    at most N of them, 1 to 1000 (10)\n"
    "  --all      also those in flight and delayed\n"
    "  --json     as ReceiveMessage answers them, for programs\n";

static struct str attribute(const struct sqs_message *message, const char *name)
{
    return sqs_map_get(&message->system_attributes, str_from(name));
}

static void print_message(const struct sqs_message *message, wall_ms now)
{
    struct str group = attribute(message, "MessageGroupId");
    struct str received = attribute(message, "ApproximateReceiveCount");
    const char *state = str_equal(attribute(message, "IsDelayed"), STR("true"))    ? "delayed"
                        : str_equal(attribute(message, "IsVisible"), STR("false")) ? "in flight"
                                                                                   : "visible";
    char age[48] = "-";
    int64_t sent = 0;

    if (str_to_i64(attribute(message, "SentTimestamp"), 0, INT64_MAX, &sent) == 0) {
        (void)str_age(age, sizeof(age), (now - sent) / 1000);
    }
    (void)printf("%.*s  %s, sent %s ago, received %.*s times", STR_FMT(message->message_id), state,
                 age, STR_FMT(received.ptr == NULL ? STR("0") : received));
    if (group.ptr != NULL) {
        (void)printf(", group %.*s", STR_FMT(group));
    }
    (void)putchar('\n');
    for (uint32_t i = 0; i < message->attributes.count; i++) {
        const struct sqs_attribute *a = &message->attributes.items[i];
        (void)printf("  %.*s: %.*s\n", STR_FMT(a->name),
                     STR_FMT(a->string_value.ptr != NULL ? a->string_value : STR("(binary)")));
    }
    (void)printf("%.*s\n", STR_FMT(message->body));
}

static int print_json(const struct sqs_receive_out *out)
{
    struct buf text;

    buf_init(&text, 2 * ADMIN_ANSWER_MAX_BYTES);
    int error = sqs_json_encode(sqs_action_info(SQS_RECEIVE_MESSAGE)->output, out, &text);
    if (error == 0) {
        (void)printf("%.*s\n", STR_FMT(buf_str(&text)));
    }
    buf_done(&text);
    return error == 0 ? EXIT_CODE_DONE : EXIT_CODE_FAILED;
}

static int print_messages(const struct sqs_receive_out *out, bool as_json)
{
    wall_ms now = loop_wall();

    if (as_json) {
        return print_json(out);
    }
    for (uint32_t i = 0; i < out->messages.count; i++) {
        (void)fputs(i > 0 ? "\n" : "", stdout);
        print_message(&out->messages.items[i], now);
    }
    return EXIT_CODE_DONE;
}

int queue_peek(int argc, char **argv)
{
    const char *data_dir = NULL;
    struct cli_number max = {.value = 10};
    bool all = false, as_json = false;
    const struct cli_option options[] = {
        CLI_DATA_DIR(data_dir),
        {.name = "max", .letter = 'n', .kind = CLI_NUMBER, .ret = &max, .min = 1, .max = PEEK_MAX},
        {.name = "all", .letter = 'a', .kind = CLI_FLAG, .ret = &all},
        {.name = "json", .kind = CLI_FLAG, .ret = &as_json},
    };
    const struct cli_command command = {"sluice queue peek", peek_usage, options,
                                        SL_COUNT(options),   1,          1};
    char path[128];
    struct queue_client client;
    struct cli_words words;
    void *answer = NULL;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    const char *name = words.items[0];
    if (queue_name_check(name) != EXIT_CODE_DONE) {
        return EXIT_CODE_USAGE;
    }
    const struct sqs_receive_in in = {.queue_url = str_from(name)};
    (void)snprintf(path, sizeof(path), "/_aws/sqs/messages?Limit=%lld%s", (long long)max.value,
                   all ? "&ShowInvisible=true&ShowDelayed=true" : "");
    queue_client_init(&client, data_dir);
    code = queue_client_run(
        &client,
        &(struct queue_call){
            .action = SQS_RECEIVE_MESSAGE, .path = path, .input = &in, .queue = name},
        &answer);
    if (code == EXIT_CODE_DONE) {
        code = print_messages(answer, as_json);
    }
    queue_client_done(&client);
    return code;
}
