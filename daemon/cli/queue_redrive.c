/* redrive: a message move task, started and followed. */
#include "queue_internal.h"

#include "sluice/base/clock.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define POLL_EVERY_NS (200 * NS_PER_MS)
#define RATE_MAX      500

static const char redrive_usage[] =
    "usage: sluice queue redrive DEAD_LETTER_QUEUE [--to QUEUE] [--rate N] [--detach] "
    "[--data-dir DIR]\n\n"
    "Moves dead letters back to the queues they came from, as new messages, and tells how it goes "
    "until all\nthat were there are moved. Ctrl-C ends the watching, not the move.\n\n"
    "  --to QUEUE    to that queue instead\n"
    "  --rate N      at most N messages per second, 1 to 500 (as fast as it goes)\n"
    "  --detach      start it and come back at once; the daemon goes on\n";

struct redrive {
    struct queue_client client;
    const char *queue; /* of the dead letters */
    struct str source, destination;
};

static int start(struct redrive *r, const struct cli_number *rate)
{
    const struct sqs_start_move_task_in in = {.source_arn = r->source,
                                              .destination_arn = r->destination,
                                              .max_per_second = {rate->set, rate->value}};

    return queue_client_run(&r->client,
                            &(struct queue_call){.action = SQS_START_MESSAGE_MOVE_TASK,
                                                 .input = &in,
                                                 .queue = r->queue},
                            NULL);
}

/* CLI_GO while it runs, else the exit code. */
static int look(const struct redrive *r, const struct sqs_move_task *task)
{
    long long moved = (long long)task->moved.value;
    bool runs =
        str_equal(task->status, STR("RUNNING")) || str_equal(task->status, STR("CANCELLING"));

    if (runs && isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\rredrive: %lld of %lld moved", moved,
                      (long long)task->to_move.value);
    }
    if (runs) {
        return CLI_GO;
    }
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r\033[K", stderr);
    }
    if (str_equal(task->status, STR("COMPLETED"))) {
        (void)printf("queue %s: %lld messages moved\n", r->queue, moved);
        return EXIT_CODE_DONE;
    }
    (void)fprintf(stderr, "sluice: queue %s: the move ended as %.*s after %lld messages%s%.*s\n",
                  r->queue, STR_FMT(task->status), moved, task->failure_reason.len > 0 ? ": " : "",
                  STR_FMT(task->failure_reason));
    return EXIT_CODE_FAILED;
}

static int follow(struct redrive *r)
{
    const struct sqs_list_move_tasks_in in = {.source_arn = r->source, .max_results = {true, 1}};
    const struct queue_call call = {
        .action = SQS_LIST_MESSAGE_MOVE_TASKS, .input = &in, .queue = r->queue};
    const struct timespec pause = {.tv_nsec = POLL_EVERY_NS};
    int code = CLI_GO;

    while (code == CLI_GO) {
        struct queue_client once;
        void *answer = NULL;
        queue_client_init(&once, r->client.data_dir); /* memory for one answer, again and again */
        code = queue_client_run(&once, &call, &answer);
        const struct sqs_list_move_tasks_out *out = answer;
        if (code == EXIT_CODE_DONE && out->results.count == 0) {
            (void)fprintf(stderr, "sluice: queue %s: the move is not known any more\n", r->queue);
            code = EXIT_CODE_FAILED;
        } else if (code == EXIT_CODE_DONE) {
            code = look(r, &out->results.items[0]);
        }
        queue_client_done(&once);
        if (code == CLI_GO) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return code;
}

static int redrive(struct redrive *r, const char *to, const struct cli_number *rate, bool detach)
{
    int code = queue_client_attribute(&r->client, r->queue, "QueueArn", &r->source);

    if (code == EXIT_CODE_DONE && to != NULL) {
        code = queue_client_attribute(&r->client, to, "QueueArn", &r->destination);
    }
    if (code == EXIT_CODE_DONE) {
        code = start(r, rate);
    }
    if (code == EXIT_CODE_DONE && detach) {
        (void)printf("queue %s: the move has begun\n", r->queue);
        return code;
    }
    return code == EXIT_CODE_DONE ? follow(r) : code;
}

int queue_redrive(int argc, char **argv)
{
    const char *data_dir = NULL, *to = NULL;
    struct cli_number rate = {.set = false};
    bool detach = false;
    const struct cli_option options[] = {
        CLI_DATA_DIR(data_dir),
        {.name = "to", .kind = CLI_TEXT, .ret = &to, .wanted = "a queue"},
        {.name = "rate", .kind = CLI_NUMBER, .ret = &rate, .min = 1, .max = RATE_MAX},
        {.name = "detach", .kind = CLI_FLAG, .ret = &detach},
    };
    const struct cli_command command = {
        "sluice queue redrive", redrive_usage, options, SL_COUNT(options), 1, 1};
    struct redrive r = {.queue = NULL};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    r.queue = words.items[0];
    if (queue_name_check(r.queue) != EXIT_CODE_DONE ||
        (to != NULL && queue_name_check(to) != EXIT_CODE_DONE)) {
        return EXIT_CODE_USAGE;
    }
    queue_client_init(&r.client, data_dir);
    code = redrive(&r, to, &rate, detach);
    queue_client_done(&r.client);
    return code;
}
