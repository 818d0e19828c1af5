#include "sluice/cli/queue.h"

#include "queue_internal.h"

#include "sluice/base/json.h"
#include "sluice/cli/admin_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ARENA_MAX_BYTES   ((size_t)64 << 20)
#define REQUEST_MAX_BYTES ((size_t)8 << 20)

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} verbs[] = {
    {"ls", queue_ls, "all queues: how many messages are where, how old the oldest is"},
    {"create", queue_create, "make a queue (FIFO when its name ends in .fifo)"},
    {"send", queue_send, "put a message on a queue, print its id"},
    {"peek", queue_peek, "show messages without receiving them"},
    {"purge", queue_purge, "delete all messages of a queue"},
    {"redrive", queue_redrive, "move dead letters back"},
    {"rm", queue_rm, "delete a queue with its messages"},
    {"backup", queue_backup, "copy all queues to a file while the daemon runs"},
    {"check", queue_check, "check a queue file while no daemon runs"},
};

static void usage(FILE *out)
{
    (void)fputs("usage: sluice queue <verb> [options]\n\n", out);
    for (size_t i = 0; i < SL_COUNT(verbs); i++) {
        (void)fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].help);
    }
    (void)fputs("\n`sluice queue <verb> --help` tells more. All but check ask the daemon that runs "
                "on the data\ndirectory: --data-dir, else $STATE_DIRECTORY, else "
                "$XDG_STATE_HOME/sluice.\n",
                out);
}

int cli_queue(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    if (name == NULL) {
        usage(stderr);
        return EXIT_CODE_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return EXIT_CODE_DONE;
    }
    for (size_t i = 0; i < SL_COUNT(verbs); i++) {
        if (strcmp(name, verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    (void)fprintf(stderr, "sluice queue: \"%s\" is no verb\n\n", name);
    usage(stderr);
    return EXIT_CODE_USAGE;
}

/* ---- asking the daemon ---- */

void queue_client_init(struct queue_client *client, const char *data_dir)
{
    client->data_dir = data_dir;
    arena_init(&client->arena, ARENA_MAX_BYTES);
}

void queue_client_done(struct queue_client *client)
{
    arena_done(&client->arena);
}

static int refused(const struct queue_call *call, int status, struct str body)
{
    struct json json;
    int code = EXIT_CODE_FAILED;

    if (json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        (void)fprintf(stderr, "sluice: the daemon answered %d\n", status);
        return code;
    }
    struct str type = json_string(json_get(json.root, "__type"));
    struct str text = json_string(json_get(json.root, "message"));
    if (sqs_error_find(type) != SQS_ERROR_QUEUE_DOES_NOT_EXIST) {
        (void)fprintf(stderr, "sluice: queue %s: %.*s\n", call->queue, STR_FMT(text));
    } else if (call->quiet) {
        code = QUEUE_NOT_THERE;
    } else {
        (void)fprintf(stderr,
                      "sluice: there is no queue \"%s\"; `sluice queue ls` shows those there are\n",
                      call->queue);
    }
    json_done(&json);
    return code;
}

static int read_answer(struct queue_client *client, const struct sqs_action_info *info,
                       struct str body, void **ret_output)
{
    struct sqs_error e;

    if (info->output == NULL || ret_output == NULL) {
        return EXIT_CODE_DONE;
    }
    if (sqs_json_decode(info->output, body, &client->arena, ret_output, &e) != SQS_OK) {
        (void)fprintf(stderr, "sluice: the daemon's answer cannot be read: %s\n", e.message);
        return EXIT_CODE_FAILED;
    }
    return EXIT_CODE_DONE;
}

static int ask(struct queue_client *client, const struct queue_call *call, struct str body,
               void **ret_output)
{
    const struct sqs_action_info *info = sqs_action_info(call->action);
    char target[64];
    struct admin_question question = {.data_dir = client->data_dir,
                                      .method = "POST",
                                      .path = call->path == NULL ? "/" : call->path,
                                      .sqs_target = target,
                                      .body = body};
    struct error e = {0};
    struct buf out;
    int status = 0, code;

    (void)snprintf(target, sizeof(target), "AmazonSQS.%s", info->name);
    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    if (admin_client_call(&question, &status, &out, &e) != 0) {
        code = admin_client_failed(&e);
    } else if (status != 200) {
        code = refused(call, status, buf_str(&out));
    } else {
        code = read_answer(client, info, buf_str(&out), ret_output);
    }
    buf_done(&out);
    return code;
}

int queue_client_run(struct queue_client *client, const struct queue_call *call, void **ret_output)
{
    struct buf body;
    int code = EXIT_CODE_FAILED;

    buf_init(&body, REQUEST_MAX_BYTES);
    if (sqs_json_encode(sqs_action_info(call->action)->input, call->input, &body) != 0) {
        (void)fprintf(stderr, "sluice: the request is too large\n");
    } else {
        code = ask(client, call, buf_str(&body), ret_output);
    }
    buf_done(&body);
    return code;
}

int queue_client_attribute(struct queue_client *client, const char *queue, const char *name,
                           struct str *ret)
{
    struct str names[] = {str_from(name)};
    const struct sqs_get_queue_attributes_in in = {str_from(queue), {names, 1, true}};
    void *answer = NULL;
    int code = queue_client_run(
        client,
        &(struct queue_call){.action = SQS_GET_QUEUE_ATTRIBUTES, .input = &in, .queue = queue},
        &answer);

    if (code == EXIT_CODE_DONE) {
        const struct sqs_get_queue_attributes_out *out = answer;
        *ret = sqs_map_get(&out->attributes, str_from(name));
    }
    return code;
}

/* ---- what verbs have in common ---- */

int queue_name_check(const char *name)
{
    struct sqs_error e;

    if (sqs_validate_queue_name(str_from(name), &e) == SQS_OK) {
        return EXIT_CODE_DONE;
    }
    (void)fprintf(stderr, "sluice: \"%s\" is no queue's name: %s\n", name, e.message);
    return EXIT_CODE_USAGE;
}

int queue_pair_parse(const char *text, struct sqs_pair *ret)
{
    const char *equals = strchr(text, '=');

    if (equals == NULL || equals == text) {
        return ERR_SYNTAX;
    }
    ret->name = (struct str){text, (size_t)(equals - text)};
    ret->value = str_from(equals + 1);
    return 0;
}

int queue_confirm(const struct cli_command *command, bool yes, const char *format, ...)
{
    char answer[16] = "";
    va_list args;

    if (yes) {
        return CLI_GO;
    }
    if (!isatty(STDIN_FILENO)) {
        return cli_usage_error(command, "give --yes where nobody can be asked");
    }
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputs(" [y/N] ", stderr);
    if (fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y')) {
        return CLI_GO;
    }
    (void)fputs("nothing was changed\n", stderr);
    return EXIT_CODE_FAILED;
}
