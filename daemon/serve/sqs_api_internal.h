/* sqs_api_internal: who may call, apart from what is called. */
#ifndef SLUICE_SERVE_SQS_API_INTERNAL_H
#define SLUICE_SERVE_SQS_API_INTERNAL_H

#include "sluice/serve/sqs_api.h"

struct sqs_access {
    struct sqs_api_key *keys; /* owned copies */
    uint32_t key_count;
    bool allow_anonymous;
    struct str region, account; /* owned copies */
};

void sqs_access_init(struct sqs_access *access, const struct sqs_api_config *config);
void sqs_access_done(struct sqs_access *access);
/* SQS_OK when the request may be served; else the error with its message. action: its name in lower
 * case or in any case, for the message. */
SL_MUST_CHECK int sqs_access_check(const struct sqs_access *access,
                                   const struct http_request_view *request, struct str action,
                                   wall_ms now, struct sqs_error *e);

#endif
