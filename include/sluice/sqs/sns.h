/*
 * sns: the envelope in which Amazon SNS delivers to a queue without raw message delivery. Pure.
 */
#ifndef SLUICE_SQS_SNS_H
#define SLUICE_SQS_SNS_H

#include "sluice/base/err.h"
#include "sluice/base/mem.h"
#include "sluice/sqs/types.h"

struct sns_envelope {
    struct str message;               /* what was published */
    struct sqs_attributes attributes; /* MessageAttributes; then SNS.TopicArn, SNS.MessageId and
                                         SNS.Subject, as far as they are there, as Strings */
};

/* ERR_NOT_FOUND: the body is no envelope of a notification; ERR_NOMEM: the arena is full. *ret lies
 * in the arena. A Binary attribute that is no base64 makes it no envelope. */
SL_MUST_CHECK int sns_unwrap(struct str body, struct arena *arena, struct sns_envelope *ret);

#endif
