/*
 * codec: requests and answers between the wire and the structures of sqs/types, driven by the table
 * of sqs/actions. AWS JSON 1.0 in both directions (server and client), Query in, XML out. Pure.
 */
#ifndef SLUICE_SQS_CODEC_H
#define SLUICE_SQS_CODEC_H

#include "sluice/base/buf.h"
#include "sluice/base/mem.h"
#include "sluice/sqs/actions.h"
#include "sluice/sqs/error.h"

/* ---- AWS JSON 1.0 ---- */
/* Text to *ret (struct of shape, allocated in arena; strings in arena). Unknown members are
 * ignored, wrong types are SerializationException, a missing required member MissingParameter.
 * Returns enum sqs_error_code. */
SL_MUST_CHECK int sqs_json_decode(const struct sqs_shape *shape, struct str text,
                                  struct arena *arena, void **ret, struct sqs_error *e);
/* Appends the JSON object; absent members are left out. 0 or the buffer's error. */
SL_MUST_CHECK int sqs_json_encode(const struct sqs_shape *shape, const void *value,
                                  struct buf *out);
int sqs_json_error(const struct sqs_error *e, struct buf *out); /* {"__type":…,"message":…} */

/* ---- Query / XML ---- */
/* The Action parameter (decoded) of a form or query string; STR_NONE when absent. */
struct str sqs_query_parameter(struct str form, const char *name, struct arena *arena);
SL_MUST_CHECK int sqs_query_decode(const struct sqs_shape *shape, struct str form,
                                   struct arena *arena, void **ret, struct sqs_error *e);
SL_MUST_CHECK int sqs_xml_encode(const struct sqs_action_info *action, const void *value,
                                 const char *request_id, struct buf *out);
int sqs_xml_error(const struct sqs_error *e, const char *request_id, struct buf *out);

#endif
