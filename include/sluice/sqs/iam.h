/*
 * iam: what an action is called where access is granted. As in AWS IAM a batch needs the right of
 * its single action: sqs:SendMessage covers SendMessageBatch. Pure.
 */
#ifndef SLUICE_SQS_IAM_H
#define SLUICE_SQS_IAM_H

#include "sluice/sqs/actions.h"

/* "SendMessage" for both SendMessage and SendMessageBatch. */
struct str sqs_iam_name(enum sqs_action action);
/* The i-th name that can be granted, NULL after the last. */
const char *sqs_iam_name_at(uint32_t i);
/* True when the pattern ("SendMessage", "Send*", "*") grants at least one action. */
bool sqs_iam_grants_something(struct str pattern);

#endif
