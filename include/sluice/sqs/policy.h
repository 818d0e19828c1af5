/*
 * policy: the access policy of a queue as AddPermission and RemovePermission edit it: a JSON
 * document with one statement for each label. What else a document holds stays as it is; a policy
 * is stored and returned, never evaluated. Pure.
 */
#ifndef SLUICE_SQS_POLICY_H
#define SLUICE_SQS_POLICY_H

#include "sluice/base/buf.h"
#include "sluice/sqs/error.h"
#include "sluice/sqs/types.h"

/* Label, actions and account numbers of an AddPermission. */
SL_MUST_CHECK int sqs_validate_add_permission(const struct sqs_add_permission_in *in,
                                              struct sqs_error *e);
/* Writes the policy (empty: there is none yet) with the statement of `in` to out, at most
 * SQS_POLICY_MAX_BYTES. Returns SQS_OK or the error code. */
SL_MUST_CHECK int sqs_policy_add(struct str policy, struct str queue_arn,
                                 const struct sqs_add_permission_in *in, struct buf *out,
                                 struct sqs_error *e);
/* Writes the policy without the statement of that label; nothing when it was the last one. */
SL_MUST_CHECK int sqs_policy_remove(struct str policy, struct str label, struct buf *out,
                                    struct sqs_error *e);

#endif
