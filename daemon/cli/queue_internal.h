/*
 * queue_internal: what the verbs of `sluice queue` share. queue.c: the verbs and asking the daemon;
 * queue_show.c: ls, peek; queue_change.c: create, send, purge, rm; queue_redrive.c; queue_file.c:
 * backup, check.
 */
#ifndef SLUICE_CLI_QUEUE_INTERNAL_H
#define SLUICE_CLI_QUEUE_INTERNAL_H

#include "options.h"

#include "sluice/app.h"
#include "sluice/base/mem.h"
#include "sluice/sqs/codec.h"
#include "sluice/sqs/validate.h"

/* argv[0] is the verb. Each returns the exit code. */
int queue_ls(int argc, char **argv);
int queue_create(int argc, char **argv);
int queue_send(int argc, char **argv);
int queue_peek(int argc, char **argv);
int queue_purge(int argc, char **argv);
int queue_redrive(int argc, char **argv);
int queue_rm(int argc, char **argv);
int queue_backup(int argc, char **argv);
int queue_check(int argc, char **argv);

/* Requests of one command. */
struct queue_client {
    const char *data_dir;
    struct arena arena; /* of inputs and answers */
};
void queue_client_init(struct queue_client *client, const char *data_dir);
void queue_client_done(struct queue_client *client);

/* One SQS action of the daemon's; queue is the name that messages tell. Prints what went wrong.
 * EXIT_CODE_DONE with *ret_output (struct sqs_…_out, NULL for void actions; ret_output may be
 * NULL), or the exit code. With `quiet` a queue that does not exist prints nothing. */
struct queue_call {
    enum sqs_action action;
    const void *input;
    const char *queue;
    const char *path; /* NULL: "/" */
    bool quiet;
};
#define QUEUE_NOT_THERE (-2) /* instead of an exit code, with `quiet` */
int queue_client_run(struct queue_client *client, const struct queue_call *call, void **ret_output);

/* An attribute of the queue; STR_NONE when it is not set. EXIT_CODE_DONE or the exit code. */
int queue_client_attribute(struct queue_client *client, const char *queue, const char *name,
                           struct str *ret);
/* EXIT_CODE_USAGE with a message unless it is the name of a queue. */
int queue_name_check(const char *name);
/* "name=value", cut at the first '='. */
SL_MUST_CHECK int queue_pair_parse(const char *text, struct sqs_pair *ret);
/* Asks a person; without a terminal there must have been --yes. CLI_GO or the exit code. */
int queue_confirm(const struct cli_command *command, bool yes, const char *format, ...)
    SL_PRINTF(3, 4);

#endif
