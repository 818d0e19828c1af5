/* sqs_client_internal: what an answer of SQS means, apart from how it was asked for. Pure. */
#ifndef SLUICE_AWS_SQS_CLIENT_INTERNAL_H
#define SLUICE_AWS_SQS_CLIENT_INTERNAL_H

#include "sluice/aws/sqs_client.h"
#include "sluice/base/clock.h"

/* Reads the answer of `action` into *ret (ret->arena is set). sent_md5: of the body that
 * SendMessage sent, or "". */
void sqs_answer_read(enum sqs_action action, const struct http_result *result, const char *sent_md5,
                     struct sqs_client_answer *ret);
/* The server's clock by its Date header, in ms; false when there is none. */
bool sqs_answer_date(const struct http_result *result, wall_ms *ret);
/* Whether it refuses the key or the token itself, so that others may help: its name for that. */
bool sqs_answer_refuses_key(const struct http_result *result, char *ret, size_t ret_size);

#endif
