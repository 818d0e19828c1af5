/*
 * fetch: credentials from a source, once. Asks whom the source names, on the loop; files and
 * commands run on the thread pool. Not for other areas.
 *
 *   fetch.c            its life, one request with its retries, keys, a command
 *   fetch_sts.c        roles and web identity
 *   fetch_metadata.c   the container endpoint and the instance metadata service
 *   fetch_sso.c        a login of `aws sso login`
 *   fetch_answer.c     what they answer
 */
#ifndef SLUICE_AWS_FETCH_H
#define SLUICE_AWS_FETCH_H

#include "sluice/aws/credential_source.h"
#include "sluice/aws/credentials.h"
#include "sluice/base/buf.h"
#include "sluice/net/http_client.h"
#include "sluice/runtime/job.h"

#include <stdatomic.h>

#define FETCH_HEADERS_MAX 8

struct fetch;

/* credentials (the callee's reference now), or NULL with why. Once, never before fetch_new()
 * returned. */
typedef void (*fetch_done)(void *context, struct credentials *credentials, const struct error *why,
                           mono_ns now);

struct fetch_env {
    struct loop *loop;
    struct http_client *http, *local; /* as of struct provider_config */
    wall_ms (*clock)(void);
    int64_t *skew_ms; /* the clock of AWS minus ours, as last seen */
};

/* source is borrowed, with all it points to, until done. */
struct fetch *fetch_new(const struct fetch_env *env, const struct credential_source *source,
                        fetch_done done, void *context);
/* done comes, later, with ERR_CANCELED unless the end was first. */
void fetch_cancel(struct fetch *fetch);

/* ---- shared by the files above ---- */

struct fetch_request {
    const char *method, *url;
    struct http_header headers[FETCH_HEADERS_MAX];
    uint32_t header_count;
    struct str body;
    struct http_client *client;
    int64_t timeout_ns;
    int64_t tries; /* transport errors and 5xx are tried again after a second */
};

struct fetch {
    struct fetch_env env;
    const struct credential_source *source;
    fetch_done done;
    void *context;
    struct arena arena; /* of the requests' texts */
    /* a request */
    struct fetch_request request;
    void (*answered)(struct fetch *fetch, const struct http_result *result);
    struct http_call *call;
    struct loop_timer again;
    int64_t tries;
    /* blocking work */
    struct job job;
    void (*worked)(struct fetch *fetch);
    atomic_bool canceled;
    struct buf text, errors; /* what was read */
    const char *path;        /* of the file to be read */
    int job_error, job_status;
    /* a role */
    struct fetch *signer;
    struct credentials *signing;
    bool resigned;
    /* SSO */
    struct sso_login *login;
};

/* Ends the fetch and frees it. */
void fetch_end(struct fetch *fetch, struct credentials *credentials, const struct error *why);
void fetch_fail(struct fetch *fetch, int code, const char *format, ...) SL_PRINTF(3, 4);
/* Text in the fetch's arena; NULL when it is full. */
const char *fetch_text(struct fetch *fetch, const char *format, ...) SL_PRINTF(2, 3);
void fetch_header(struct fetch_request *request, const char *name, struct str value);
/* request is copied, its texts are borrowed until the end. */
void fetch_ask(struct fetch *fetch, const struct fetch_request *request,
               void (*answered)(struct fetch *fetch, const struct http_result *result));
/* Into fetch->text, on the pool; fetch->job_error says how that went. path is borrowed. */
void fetch_read_file(struct fetch *fetch, const char *path, void (*worked)(struct fetch *fetch));
void fetch_work(struct fetch *fetch, void (*work)(void *context),
                void (*worked)(struct fetch *fetch));

/* For what has nothing to do on the pool, and must not end before fetch_new() returned. */
void fetch_no_work(void *context);

void fetch_role(struct fetch *fetch);
void fetch_web_identity(struct fetch *fetch);
void fetch_container(struct fetch *fetch);
void fetch_instance(struct fetch *fetch);
void fetch_sso(struct fetch *fetch);
void fetch_sso_done(struct sso_login *login);

#endif
