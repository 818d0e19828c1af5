/*
 * provider: credentials that are there when they are needed. Reads the environment and its files,
 * fetches from the source they name, renews ahead of the end without anybody waiting for it, and
 * keeps what it has while renewal fails and it still holds. What the instance metadata service gave
 * is used beyond its end while there is nothing newer, as AWS asks for (static stability).
 *
 * Nothing is fetched before it is asked for, and nothing is renewed while nobody asks. Loop thread
 * only; files and commands run on the thread pool.
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
    const char *(*getter)(const char *name);           /* of variables; NULL: getenv */
    wall_ms (*clock)(void);                            /* NULL: loop_wall */
    uint64_t seed;                                     /* of jitter */
};

/* Copies. */
struct provider *provider_new(const struct provider_config *config);
/* Waits that are left are answered with ERR_CANCELED now. It frees itself when what runs has ended.
 */
void provider_free(struct provider *provider);

/* What is to be signed with now, borrowed (ref it to keep it), or NULL: there is none, then wait.
 * Starts a renewal when it is time. */
struct credentials *provider_current(struct provider *provider);

/* done once, never before this returned, unless canceled: credentials (borrowed), or NULL with why,
 * which says what was tried and why it had nothing. Soon after a failure that is its answer again:
 * a source that fails is asked after 1 s, then ever more seldom, once a minute at last. */
typedef void (*provider_done)(void *context, struct credentials *credentials,
                              const struct error *why, mono_ns now);
struct provider_wait *provider_wait(struct provider *provider, provider_done done, void *context);
void provider_wait_cancel(struct provider_wait *wait);

/* AWS refused these as expired or unknown (code: what it called that). If they are the current ones
 * they are fetched anew: at once the first time, after a wait when that helped nothing. */
void provider_refused(struct provider *provider, const struct credentials *credentials,
                      struct str code);

struct provider_status {
    const char *source;       /* of the current ones; "" */
    wall_ms expires_at;       /* CREDENTIALS_NEVER; 0: there are none */
    uint64_t fetched, failed; /* fetches since the start */
    const char *trouble;      /* why there are none; NULL while there are, or nobody asked */
};
void provider_status(const struct provider *provider, struct provider_status *ret);

#endif
