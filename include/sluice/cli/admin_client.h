/*
 * admin_client: questions to a running daemon over the Unix socket in its data directory.
 */
#ifndef SLUICE_CLI_ADMIN_CLIENT_H
#define SLUICE_CLI_ADMIN_CLIENT_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"
#include "sluice/base/json.h"

#define ADMIN_ANSWER_MAX_BYTES ((size_t)16 << 20)

/* Strings are borrowed. */
struct admin_question {
    const char *data_dir; /* --data-dir; NULL: as datadir_resolve() finds it */
    const char *method, *path;
    const char *sqs_target; /* "AmazonSQS.SendMessage": AWS JSON; NULL: an admin request */
    struct str body;
};

/* Blocks (its own loop) for at most 10 s. *ret_status is the HTTP status, out the body. ERR_CONNECT
 * with *e saying how to start the daemon when none listens; ERR_INVALID when there is no data
 * directory to look in. */
SL_MUST_CHECK int admin_client_call(const struct admin_question *question, int *ret_status,
                                    struct buf *out, struct error *e);

/* Prints an error of admin_client_call() and returns the exit code that goes with it. */
int admin_client_failed(const struct error *e);

/* The same for a command: prints what went wrong, the daemon's own text if it answered, and returns
 * the exit code. out may hold an answer in any case. */
int admin_client_ask(const struct admin_question *question, struct buf *out);

/* A whole number of an answer, for printing; 0 where there is none. */
long long admin_number(const struct json_value *object, const char *key);

#endif
