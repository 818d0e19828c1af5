/*
 * sigv4: AWS Signature Version 4 (docs.aws.amazon.com, "Create a signed AWS API request"), for
 * signing and for verifying with the client's own list of signed headers. Pure: takes the time as
 * text.
 */
#ifndef SLUICE_SQS_SIGV4_H
#define SLUICE_SQS_SIGV4_H

#include "sluice/base/buf.h"
#include "sluice/base/clock.h"
#include "sluice/base/str.h"

struct sigv4_header {
    struct str name, value; /* any case; the signature lower-cases, trims and sorts */
};

struct sigv4_request {
    struct str method, path, query; /* path and query as on the wire */
    const struct sigv4_header *headers;
    uint32_t header_count;
    struct str body;
};

struct sigv4_credentials {
    struct str access_key_id, secret_access_key, session_token; /* token: STR_NONE when none */
};

/* "20261123T120000Z" and NUL. */
void sigv4_date(wall_ms now, char out[17]);
/* The reverse. ERR_SYNTAX. */
SL_MUST_CHECK int sigv4_parse_date(struct str text, wall_ms *ret);
/* The value of the Authorization header, signing exactly the headers given (host, x-amz-date … must
 * be among them; also X-Amz-Security-Token when there is a token). */
SL_MUST_CHECK int sigv4_sign(const struct sigv4_request *request,
                             const struct sigv4_credentials *credentials, struct str region,
                             struct str service, struct buf *ret_authorization);

/* Parsed Authorization header (strings borrowed). */
struct sigv4_authorization {
    struct str access_key_id, date, region, service, signed_headers, signature;
};
SL_MUST_CHECK int sigv4_parse(struct str authorization, struct sigv4_authorization *ret);
/* True when the signature is right for this secret (constant-time compare). The date is checked by
 * the caller. */
bool sigv4_verify(const struct sigv4_request *request,
                  const struct sigv4_authorization *authorization, struct str secret_access_key);

#endif
