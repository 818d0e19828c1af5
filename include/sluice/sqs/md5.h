/*
 * md5: the digests SQS sends with messages. Pure. Hex, lower case, 32 characters and NUL.
 */
#ifndef SLUICE_SQS_MD5_H
#define SLUICE_SQS_MD5_H

#include "sluice/sqs/types.h"

void sqs_md5_body(struct str body, char out[33]);
/* Names in byte order; length-prefixed name, type, transport byte, value. count 0: out is "". */
void sqs_md5_attributes(const struct sqs_attributes *attributes, char out[33]);

#endif
