/*
 * extended: messages whose body lies in S3, as the Amazon SQS Extended Client Library sends them:
 * the body is a pointer, and an attribute says how large the payload is. Pure.
 */
#ifndef SLUICE_SQS_EXTENDED_H
#define SLUICE_SQS_EXTENDED_H

#include "sluice/sqs/types.h"

#include <stdbool.h>

/* Both: the attribute (ExtendedPayloadSize, SQSLargePayloadSize) and a body of that shape. */
bool sqs_extended_is_pointer(struct str body, const struct sqs_attributes *attributes);

#endif
