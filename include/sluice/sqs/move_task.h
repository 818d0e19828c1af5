/*
 * move_task: what the message move tasks of dead-letter queues are called and asked with. Pure.
 */
#ifndef SLUICE_SQS_MOVE_TASK_H
#define SLUICE_SQS_MOVE_TASK_H

#include "sluice/base/mem.h"
#include "sluice/sqs/error.h"
#include "sluice/sqs/types.h"

#define SQS_MOVE_RATE_MAX 500
#define SQS_MOVE_LIST_MAX 10

/* XX(NAME): the words on the wire; numbers are stored, so their order is fixed. */
#define SQS_MOVE_STATUS_MAP(XX)                                                                    \
    XX(RUNNING)                                                                                    \
    XX(COMPLETED)                                                                                  \
    XX(CANCELLED)                                                                                  \
    XX(FAILED)

enum sqs_move_status {
#define XX(name) SQS_MOVE_##name,
    SQS_MOVE_STATUS_MAP(XX)
#undef XX
        SQS_MOVE__COUNT
};
const char *sqs_move_status_name(enum sqs_move_status status);

/* The form of the ARNs, that they differ, the rate. What there is, the queue knows. */
SL_MUST_CHECK int sqs_validate_start_move_task(const struct sqs_start_move_task_in *in,
                                               struct sqs_error *e);
SL_MUST_CHECK int sqs_validate_list_move_tasks(const struct sqs_list_move_tasks_in *in,
                                               struct sqs_error *e);

/* A TaskHandle is base64 of {"taskId":"…","sourceArn":"…"}. STR_NONE when the arena is full. */
struct str sqs_move_handle_write(struct arena *arena, struct str task_id, struct str source_arn);
struct sqs_move_handle {
    struct str task_id, source_arn; /* in the arena */
};
SL_MUST_CHECK int sqs_move_handle_read(struct str handle, struct arena *arena,
                                       struct sqs_move_handle *ret, struct sqs_error *e);

#endif
