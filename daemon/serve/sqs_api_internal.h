/* sqs_api_internal: who may call, apart from what is called. */
#ifndef SLUICE_SERVE_SQS_API_INTERNAL_H
#define SLUICE_SERVE_SQS_API_INTERNAL_H

#include "sluice/serve/sqs_api.h"
#include "sluice/sqs/validate.h"

struct sqs_access {
    struct sqs_api_key *keys; /* owned copies */
    uint32_t key_count;
    bool allow_anonymous;
    struct str region, account; /* owned copies */
};

void sqs_access_init(struct sqs_access *access, const struct sqs_api_config *config);
void sqs_access_done(struct sqs_access *access);
/* Who calls. SQS_OK, with the key it was signed with (NULL: there are no keys); else the error with
 * its message. action: its name as sent, for the message. */
SL_MUST_CHECK int sqs_access_check(const struct sqs_access *access,
                                   const struct http_request_view *request, struct str action,
                                   wall_ms now, const struct sqs_api_key **ret_key,
                                   struct sqs_error *e);
/* The region in the request's credential scope, verified or not; STR_NONE when it names none. */
struct str sqs_access_region(const struct http_request_view *request);
/* What is called: may the holder of this key do this with that queue? queue: STR_NONE when the
 * action is about none, SQS_ACCESS_EVERY_QUEUE when it may be any. */
#define SQS_ACCESS_EVERY_QUEUE STR("*")
SL_MUST_CHECK int sqs_access_authorize(const struct sqs_access *access,
                                       const struct sqs_api_key *key, enum sqs_action action,
                                       struct str queue, struct sqs_error *e);

#endif
