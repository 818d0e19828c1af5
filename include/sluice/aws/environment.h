/*
 * environment: what the AWS tools take from outside of a program, as it is now: variables, and
 * the profiles of the config and credentials files, read the way the AWS SDKs read them (botocore
 * is the measure). A value that is read as a whole, and again before credentials are renewed, since
 * files change. Reading blocks on files: at the start, or on a thread of the pool.
 *
 * What the configuration of sluice says (struct aws_overrides) comes before variables, these before
 * the profile. An empty variable counts as unset.
 */
#ifndef SLUICE_AWS_ENVIRONMENT_H
#define SLUICE_AWS_ENVIRONMENT_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdbool.h>

struct aws_environment;

/* The keys of `aws` in the configuration; borrowed. */
struct aws_overrides {
    const char *profile, *region, *endpoint; /* NULL: not given */
    bool use_fips, use_dualstack;            /* true here, or in the environment, or the profile */
};

/* getter: of a variable, NULL when unset; NULL: getenv. ERR_SYNTAX with file and line, ERR_DENIED,
 * ERR_IO … when a file that is there cannot be read; ERR_NOT_FOUND when a profile that was named
 * (overrides, AWS_PROFILE) is in no file. Files that are not there are empty. */
SL_MUST_CHECK int aws_environment_read(const struct aws_overrides *overrides,
                                       const char *(*getter)(const char *name),
                                       struct aws_environment **ret, struct error *e);
/* Wipes: a profile may hold secrets. */
void aws_environment_free(struct aws_environment *environment);

/* STR_NONE when unset or empty. Borrowed, as all that follows. */
struct str aws_variable(const struct aws_environment *environment, const char *name);
/* The name of the profile in use: "default" when none was named. */
struct str aws_profile_name(const struct aws_environment *environment);
/* A key of a profile; STR_NONE when it has none. */
enum aws_file { AWS_FILE_EITHER, AWS_FILE_CREDENTIALS, AWS_FILE_CONFIG }; /* credentials first */
struct str aws_profile_get(const struct aws_environment *environment, enum aws_file file,
                           struct str profile, const char *key);
/* The path of the file, for people. */
const char *aws_file_path(const struct aws_environment *environment, enum aws_file file);
bool aws_profile_exists(const struct aws_environment *environment, struct str profile);
/* [sso-session NAME], and endpoint_url in the block of a service of [services NAME]. STR_NONE. */
bool aws_sso_session_exists(const struct aws_environment *environment, struct str session);
struct str aws_sso_session_get(const struct aws_environment *environment, struct str session,
                               const char *key);
struct str aws_services_endpoint(const struct aws_environment *environment, struct str services,
                                 const char *service);
const struct aws_overrides *aws_environment_overrides(const struct aws_environment *environment);

#endif
