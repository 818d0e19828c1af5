/*
 * credentials: the access key that signs calls to AWS, from the environment or the shared
 * credentials file. Read once, at the start; may be used from any thread afterwards.
 *
 *   1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   2. the profile AWS_PROFILE (else "default") of AWS_SHARED_CREDENTIALS_FILE (else
 *      ~/.aws/credentials): aws_access_key_id, aws_secret_access_key, aws_session_token, region
 */
#ifndef SLUICE_AWS_CREDENTIALS_H
#define SLUICE_AWS_CREDENTIALS_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

struct credentials {
    struct str access_key_id, secret_access_key;
    struct str session_token; /* STR_NONE when there is none */
    struct str region;        /* of the profile, else STR_NONE */
    char source[320];         /* for logs: "environment", "/home/a/.aws/credentials, profile x" */
};

/* ERR_NOT_FOUND with *e naming everything that was tried; ERR_SYNTAX with the line; ERR_UNSUPPORTED
 * for a profile that needs a role, a process or a login; ERR_DENIED, ERR_IO … when the file cannot
 * be read. */
SL_MUST_CHECK int credentials_load(struct credentials **ret, struct error *e);
/* A copy of given keys (tests, other sources). token may be STR_NONE. */
struct credentials *credentials_new(struct str access_key_id, struct str secret_access_key,
                                    struct str session_token);
/* Wipes the secrets. */
void credentials_free(struct credentials *credentials);

#endif
