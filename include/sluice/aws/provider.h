/*
 * provider: credentials that are there when they are needed. Fetches them from their source, renews
 * them ahead of their end without anybody waiting for it, and keeps what it has while renewal fails
 * and they still hold (and longer, where the instance metadata service itself serves old ones:
 * static stability). Loop thread only; files and processes run on the thread pool.
 */
#ifndef SLUICE_AWS_PROVIDER_H
#define SLUICE_AWS_PROVIDER_H

#include "sluice/aws/credential_source.h"
#include "sluice/aws/credentials.h"
#include "sluice/net/http_client.h"
#include "sluice/runtime/loop.h"

struct provider;
struct provider_wait;

struct provider_config {
    struct loop *loop;
    struct http_client *http;  /* to AWS: STS, SSO; borrowed */
    struct http_client *local; /* to the container endpoint and instance metadata: no proxy */
    struct aws_overrides overrides;
    /* A role to be assumed on top of what the environment gives (another account's queue). */
    const char *role_arn, *external_id, *session_name; /* NULL: none */
    const char *region;                                /* for STS; NULL: as the environment says */
    const char *(*getter)(const char *name);           /* NULL: getenv */
    wall_ms (*clock)(void);                            /* NULL: loop_wall */
    uint64_t seed;                                     /* of jitter */
};

/* Copies. Nothing is fetched before it is asked for. */
struct provider *provider_new(const struct provider_config *config);
/* Waits that are left are never answered. */
void provider_free(struct provider *provider);

/* What is to be signed with now, borrowed (ref it to keep it), or NULL: none is there yet or any
 * more; then wait. Starts a renewal when it is time. */
struct credentials *provider_current(struct provider *provider);
/* done once, never before this returned: credentials (borrowed), or NULL with why, which names
 * every provider tried and why it had nothing. After a failure the next fetch waits its backoff. */
typedef void (*provider_done)(void *context, struct credentials *credentials,
                              const struct error *why, mono_ns now);
struct provider_wait *provider_wait(struct provider *provider, provider_done done, void *context);
void provider_wait_cancel(struct provider_wait *wait);
/* AWS refused these as expired or unknown: they are not used again, if they are the current ones.
 */
void provider_refused(struct provider *provider, const struct credentials *credentials);

#endif
