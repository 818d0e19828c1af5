/*
 * credential_source: where credentials come from, decided once and without asking anybody: the
 * SDKs' order applied to an environment. Pure; what it names is fetched by aws/provider.
 *
 * Order: environment variables · the profile's role (role_arn with source_profile, which may name a
 * role again, or credential_source) · web identity (variables, or the profile) · SSO of the profile
 * · keys of the credentials file · credential_process · keys of the config file · container
 * endpoint · instance metadata. The first one that is configured is used; it is never passed over
 * because it fails. Only the last, instance metadata, is asked without being configured.
 */
#ifndef SLUICE_AWS_CREDENTIAL_SOURCE_H
#define SLUICE_AWS_CREDENTIAL_SOURCE_H

#include "sluice/aws/environment.h"
#include "sluice/base/mem.h"

#include <stdint.h>

#define CREDENTIAL_SOURCE_MAP(XX)                                                                  \
    XX(STATIC, "keys")                                                                             \
    XX(ASSUME_ROLE, "role")                                                                        \
    XX(WEB_IDENTITY, "web identity")                                                               \
    XX(SSO, "SSO")                                                                                 \
    XX(PROCESS, "credential_process")                                                              \
    XX(CONTAINER, "container endpoint")                                                            \
    XX(INSTANCE, "instance metadata")

enum credential_source_kind {
#define XX(name, text) CREDENTIAL_SOURCE_##name,
    CREDENTIAL_SOURCE_MAP(XX)
#undef XX
        CREDENTIAL_SOURCE__COUNT
};

/* Only the members of its kind are set; all text is in the arena or borrowed from the
 * environment. */
struct credential_source {
    enum credential_source_kind kind;
    const char *said_by; /* for people: "environment", "/root/.aws/config, profile x" */
    struct {
        struct str access_key_id, secret_access_key, session_token;
        struct str expires; /* AWS_CREDENTIAL_EXPIRATION as it is written; STR_NONE */
    } keys;
    struct { /* ASSUME_ROLE, WEB_IDENTITY */
        struct str arn, session_name, external_id, token_file;
        int64_t duration_s;                    /* 3600 */
        const struct credential_source *signs; /* ASSUME_ROLE: who calls STS */
        char endpoint[512], region[64];        /* of STS */
    } role;
    struct {
        struct str account_id, role_name, cache_key; /* cache_key: session name or start URL */
        struct str region;
        char endpoint[512], oidc_endpoint[512];
        char cache_path[1024];
    } sso;
    struct str command; /* PROCESS */
    struct {
        char url[1024];
        struct str token_file, token; /* STR_NONE: without */
    } container;
    struct {
        char endpoint[512]; /* http://169.254.169.254 */
        bool named;         /* somebody said so, and where: it is no guess */
        int64_t timeout_ns;
        int64_t attempts;
    } instance;
};

struct credential_role {
    const char *arn, *external_id, *session_name, *region;
    const struct credential_source *signs;
};

/* One provider that had nothing, and why; in the SDKs' order. */
struct credential_note {
    const char *provider, *why; /* in the arena */
};

struct credential_chain {
    const struct credential_source *source; /* NULL: nothing is configured, and nothing to ask */
    const struct credential_note *notes;    /* of all that came before it */
    uint32_t note_count;
};

/* region: of the calls to STS, where neither variable nor profile says; may be NULL. ERR_INVALID,
 * ERR_NOT_FOUND, ERR_SYNTAX with *e: what is configured cannot work (half of a pair of keys, a
 * source_profile that is not there or goes in a circle, mfa_serial). */
SL_MUST_CHECK int credential_chain_find(const struct aws_environment *environment,
                                        const char *region, struct arena *arena,
                                        struct credential_chain *ret, struct error *e);
/* A role on top of what the chain found (another account's queue): *ret in the arena, signs is
 * borrowed. external_id, session_name, region: NULL as in a profile. Errors as above. */
SL_MUST_CHECK int credential_source_role(const struct aws_environment *environment,
                                         const struct credential_role *role, struct arena *arena,
                                         const struct credential_source **ret, struct error *e);
/* The instance metadata service alone; *ret NULL: it is disabled. */
SL_MUST_CHECK int credential_source_instance(const struct aws_environment *environment,
                                             struct arena *arena,
                                             const struct credential_source **ret, struct error *e);
/* "role", "instance metadata" … */
const char *credential_source_name(enum credential_source_kind kind);
/* "environment: AWS_ACCESS_KEY_ID is not set; …": all notes as one line for people. */
void credential_chain_describe(const struct credential_chain *chain, char *out, size_t out_size);

#endif
