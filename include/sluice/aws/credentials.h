/*
 * credentials: the keys that sign calls to AWS, and when they end. A value: never changed once it
 * is made, shared by reference, so that a call under way keeps what it was signed with. Any thread
 * may read; ref and unref on the loop's thread.
 */
#ifndef SLUICE_AWS_CREDENTIALS_H
#define SLUICE_AWS_CREDENTIALS_H

#include "sluice/base/clock.h"
#include "sluice/base/str.h"

#include <stdint.h>

#define CREDENTIALS_NEVER INT64_MAX /* expires_at of those that do not expire */

struct credentials {
    struct str access_key_id, secret_access_key;
    struct str session_token; /* STR_NONE when there is none */
    wall_ms expires_at;       /* by the clock of AWS; CREDENTIALS_NEVER */
    char source[320];         /* for people: "environment", "role arn:aws:… by profile x" */
    uint32_t references;
};

/* Copies. session_token may be STR_NONE; source is shortened to its room. One reference. */
struct credentials *credentials_new(struct str access_key_id, struct str secret_access_key,
                                    struct str session_token, wall_ms expires_at,
                                    struct str source);
struct credentials *credentials_ref(struct credentials *credentials);
/* NULL is fine. The last one wipes the secrets. */
void credentials_unref(struct credentials *credentials);

#endif
