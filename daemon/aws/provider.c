#include "sluice/aws/provider.h"

#include "fetch.h"
#include "sluice/base/list.h"
#include "sluice/base/rng.h"
#include "sluice/runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX_BYTES ((size_t)256 << 10)
#define LEAD_MS         (INT64_C(15) * 60 * 1000) /* renewed so long before the end */
#define RESERVE_MS      (INT64_C(60) * 1000)      /* not used in the last minute */
#define AGAIN_MS        (INT64_C(5) * 60 * 1000)  /* instance metadata that has nothing newer */
#define BACKOFF_NS      NS_PER_S
#define BACKOFF_MAX_NS  (60 * NS_PER_S)
#define TRIED_MAX       1024
#define GOOD_NS         (300 * NS_PER_S) /* those not refused for so long were good */

/* One fetch: the environment is read on the pool, the order decides, the source is asked. Owns all
 * that the source points to, so it lives until the fetch has ended. */
struct renewal {
    struct provider *provider;
    struct job job;
    struct aws_environment *environment;
    struct arena arena;
    const struct credential_source *source;
    struct fetch *fetch;
    struct error why;
    char tried[TRIED_MAX]; /* sources that had nothing, and why */
};

struct provider_wait {
    struct list_node node;
    struct provider *provider;
    provider_done done;
    void *context;
};

struct provider {
    struct provider_config config;
    struct renewal *renewal;
    struct list waits;
    struct loop_timer answer; /* of waits that are refused at once */
    struct credentials *current, *refused;
    bool outlives;         /* the current ones may be used beyond their end */
    wall_ms renew_at;      /* the current ones, by the clock of AWS */
    wall_ms reserve_ms;    /* of them */
    mono_ns current_since; /* when they came */
    mono_ns not_before;    /* the next fetch */
    uint32_t failures;     /* in a row */
    struct error why;      /* the last one */
    uint64_t fetched, failed;
    int64_t skew_ms; /* the clock of AWS minus ours, as STS showed it */
    struct rng rng;
    struct arena texts; /* of config */
    bool told;          /* of the failures in a row */
    bool told_none;     /* and that nothing is left to sign with */
    bool closed;
};

static wall_ms aws_now(const struct provider *p)
{
    return p->config.clock() + p->skew_ms;
}

/* What may be signed with now: not what has ended, unless its source lets it live on. */
static struct credentials *usable(const struct provider *p)
{
    const struct credentials *c = p->current;
    bool over = c != NULL && c->expires_at != CREDENTIALS_NEVER &&
                aws_now(p) >= c->expires_at - p->reserve_ms;

    return over && !p->outlives ? NULL : p->current;
}

/* ---- waits ---- */

static void answer_waits(struct provider *p, mono_ns now)
{
    struct credentials *credentials = usable(p);
    struct list waiting;

    /* Those that come while these are answered wait for the next one. */
    list_init(&waiting);
    while (p->waits.count > 0) {
        list_push(&waiting, list_pop(&p->waits));
    }
    while (waiting.count > 0) {
        struct provider_wait *wait = LIST_ENTRY(list_pop(&waiting), struct provider_wait, node);
        provider_done done = wait->done;
        void *context = wait->context;
        free(wait);
        if (done != NULL) {
            done(context, credentials, credentials == NULL ? &p->why : NULL, now);
        }
    }
}

static void on_answer(void *context, mono_ns now)
{
    answer_waits(context, now);
}

/* ---- a fetch ---- */

static void provider_free_now(struct provider *p)
{
    arena_done(&p->texts);
    free(p);
}

static bool same(const struct credentials *a, const struct credentials *b)
{
    return str_equal(a->access_key_id, b->access_key_id) &&
           str_equal(a->session_token, b->session_token) &&
           str_equal_secret(a->secret_access_key, b->secret_access_key);
}

/* The trouble, if there was any, is over. */
static void trusted(struct provider *p, const struct credentials *credentials)
{
    if (p->failures > 0 || p->fetched == 0) {
        LOG_INFO("AWS credentials", LOG_STR("source", credentials->source),
                 LOG_I64("failures", p->failures));
    }
    credentials_unref(p->refused);
    p->refused = NULL;
    p->failures = 0;
    p->told = p->told_none = false;
    p->why = (struct error){0};
}

/* Takes the credentials. */
static void keep(struct provider *p, struct credentials *credentials, bool outlives, mono_ns now)
{
    int64_t life_ms = credentials->expires_at - aws_now(p);
    int64_t lead_ms = LEAD_MS < life_ms / 4 ? LEAD_MS : life_ms / 4;

    bool nothing_newer =
        outlives && (life_ms <= 0 || (p->current != NULL && same(p->current, credentials)));

    if (p->refused == NULL || !same(p->refused, credentials)) {
        trusted(p, credentials);
    }
    credentials_unref(p->current);
    p->current = credentials;
    p->current_since = now;
    p->outlives = outlives;
    p->fetched++;
    if (credentials->expires_at == CREDENTIALS_NEVER) {
        p->renew_at = CREDENTIALS_NEVER;
        p->reserve_ms = 0;
        return;
    }
    lead_ms = lead_ms < 0 ? 0 : lead_ms;
    p->renew_at = credentials->expires_at - lead_ms - rng_between(&p->rng, 0, lead_ms / 4);
    p->reserve_ms = life_ms < 4 * RESERVE_MS ? lead_ms : RESERVE_MS;
    if (nothing_newer) { /* asking at every call would be no use to anybody */
        p->renew_at = aws_now(p) + AGAIN_MS + rng_between(&p->rng, 0, AGAIN_MS);
    }
}

/* tried: what had nothing, before the one that failed; "" */
static void failed(struct provider *p, const struct error *why, const char *tried, mono_ns now)
{
    int64_t wait_ns = BACKOFF_NS << (p->failures < 6 ? p->failures : 6);

    wait_ns = wait_ns < BACKOFF_MAX_NS ? wait_ns : BACKOFF_MAX_NS;
    p->not_before = mono_add(now, wait_ns / 2 + rng_between(&p->rng, 0, wait_ns / 2));
    p->failures++;
    p->failed++;
    p->why = *why;
    bool none = usable(p) == NULL;
    if (!p->told || (none && !p->told_none)) {
        p->told = true;
        p->told_none = none;
        LOG_ERROR(none ? "no AWS credentials" : "AWS credentials not renewed",
                  LOG_STR("where", why->where), LOG_STR("reason", why->text),
                  LOG_STR("passed_over", tried[0] == '\0' ? NULL : tried),
                  LOG_ERR("error", why->code));
    }
}

static void renewal_end(struct renewal *r, struct credentials *credentials, mono_ns now)
{
    struct provider *p = r->provider;

    p->renewal = NULL;
    bool outlives = r->source != NULL && r->source->kind == CREDENTIAL_SOURCE_INSTANCE;

    if (credentials != NULL && !outlives && credentials->expires_at <= aws_now(p)) {
        (void)error_set(&r->why, ERR_DENIED, credentials->source,
                        "it gave credentials that have ended already");
        credentials_unref(credentials);
        credentials = NULL;
    }
    if (p->closed) {
        credentials_unref(credentials);
    } else if (credentials != NULL) {
        keep(p, credentials, outlives, now);
    } else {
        failed(p, &r->why, r->tried, now);
    }
    aws_environment_free(r->environment);
    arena_wipe(&r->arena);
    arena_done(&r->arena);
    free(r);
    if (p->closed) {
        provider_free_now(p);
    } else {
        answer_waits(p, now);
    }
}

static void on_fetched(void *context, struct credentials *credentials, const struct error *why,
                       mono_ns now)
{
    struct renewal *r = context;

    r->fetch = NULL;
    if (why != NULL) {
        r->why = *why;
    }
    renewal_end(r, credentials, now);
}

/* On the pool: files. */
static void read_chain(void *context)
{
    struct renewal *r = context;
    const struct provider_config *config = &r->provider->config;
    struct credential_chain chain = {0};
    struct credential_role role = {config->role_arn, config->external_id, config->session_name,
                                   config->region, NULL};
    int error = aws_environment_read(&config->overrides, config->getter, &r->environment, &r->why);

    if (error == 0) {
        error = credential_chain_find(r->environment, config->region, &r->arena, &chain, &r->why);
    }
    if (error == 0 && chain.source == NULL) {
        (void)error_set(&r->why, ERR_NOT_FOUND, "", "no source has any");
    }
    /* The last one is asked without being configured: then all of them count. */
    if (error == 0 && (chain.source == NULL || chain.source->kind == CREDENTIAL_SOURCE_INSTANCE)) {
        credential_chain_describe(&chain, r->tried, sizeof(r->tried));
    }
    r->source = chain.source;
    if (r->source != NULL && role.arn != NULL) {
        role.signs = chain.source;
        if (credential_source_role(r->environment, &role, &r->arena, &r->source, &r->why) != 0) {
            r->source = NULL;
        }
    }
}

static void on_chain(void *context)
{
    struct renewal *r = context;
    struct provider *p = r->provider;
    const struct fetch_env env = {p->config.loop, p->config.http, p->config.local, p->config.clock,
                                  &p->skew_ms};

    if (p->closed || r->source == NULL) {
        renewal_end(r, NULL, loop_now());
        return;
    }
    r->fetch = fetch_new(&env, r->source, on_fetched, r);
}

static void renew(struct provider *p)
{
    struct renewal *r = MEM_NEW(struct renewal);

    r->provider = p;
    arena_init(&r->arena, ARENA_MAX_BYTES);
    r->job = (struct job){.work = read_chain, .done = on_chain, .context = r};
    p->renewal = r;
    job_start(p->config.loop, &r->job);
}

static bool may_fetch(const struct provider *p)
{
    return p->renewal == NULL && loop_now() >= p->not_before;
}

/* ---- for those who sign ---- */

struct credentials *provider_current(struct provider *p)
{
    if (p->current == NULL) {
        return NULL;
    }
    if (p->refused != NULL && loop_now() - p->current_since >= GOOD_NS) {
        trusted(p, p->current); /* the same as before, and AWS takes them now */
    }
    if (aws_now(p) >= p->renew_at && may_fetch(p)) {
        renew(p);
    }
    return usable(p);
}

struct provider_wait *provider_wait(struct provider *p, provider_done done, void *context)
{
    struct provider_wait *wait = MEM_NEW(struct provider_wait);

    *wait = (struct provider_wait){.provider = p, .done = done, .context = context};
    list_push(&p->waits, &wait->node);
    if (may_fetch(p)) {
        renew(p);
    } else if (p->renewal == NULL) {
        loop_timer_set(p->config.loop, &p->answer, loop_now());
    }
    return wait;
}

void provider_wait_cancel(struct provider_wait *wait)
{
    wait->done = NULL;
}

void provider_refused(struct provider *p, const struct credentials *credentials, struct str code)
{
    mono_ns now = loop_now();
    struct error why;

    if (p->current == NULL || p->current != credentials) {
        return; /* newer ones are there already, or on their way */
    }
    bool again = p->refused != NULL && same(p->refused, p->current);
    (void)error_set(&why, ERR_DENIED, p->current->source, "AWS refuses these credentials: %.*s",
                    STR_FMT(code));
    credentials_unref(p->refused);
    p->refused = p->current;
    p->current = NULL;
    p->not_before = 0;
    if (again) {
        failed(p, &why, "", now);
    }
    if (may_fetch(p)) {
        renew(p);
    }
}

void provider_status(const struct provider *p, struct provider_status *ret)
{
    const struct credentials *credentials = usable(p);

    *ret = (struct provider_status){
        .source = credentials == NULL ? "" : credentials->source,
        .expires_at = credentials == NULL ? 0 : credentials->expires_at,
        .fetched = p->fetched,
        .failed = p->failed,
        .trouble = credentials == NULL && p->failures > 0 ? p->why.text : NULL,
    };
}

/* ---- making it ---- */

static const char *copy(struct provider *p, const char *text)
{
    return text == NULL ? NULL : arena_dup(&p->texts, text, strlen(text));
}

struct provider *provider_new(const struct provider_config *config)
{
    struct provider *p = MEM_NEW(struct provider);

    arena_init(&p->texts, ARENA_MAX_BYTES);
    p->config = *config;
    p->config.overrides.profile = copy(p, config->overrides.profile);
    p->config.overrides.region = copy(p, config->overrides.region);
    p->config.overrides.endpoint = copy(p, config->overrides.endpoint);
    p->config.role_arn = copy(p, config->role_arn);
    p->config.external_id = copy(p, config->external_id);
    p->config.session_name = copy(p, config->session_name);
    p->config.region = copy(p, config->region);
    p->config.clock = config->clock == NULL ? loop_wall : config->clock;
    p->answer = (struct loop_timer){.callback = on_answer, .context = p};
    list_init(&p->waits);
    rng_init(&p->rng, config->seed);
    return p;
}

void provider_free(struct provider *p)
{
    if (p == NULL) {
        return;
    }
    p->closed = true;
    loop_timer_clear(p->config.loop, &p->answer);
    credentials_unref(p->current);
    credentials_unref(p->refused);
    p->current = p->refused = NULL;
    p->why = (struct error){.code = ERR_CANCELED, .text = "the daemon ends"};
    answer_waits(p, loop_now());
    if (p->renewal == NULL) {
        provider_free_now(p);
    } else if (p->renewal->fetch != NULL) {
        fetch_cancel(p->renewal->fetch);
    }
}
