#include "app_aws.h"

#include "sluice/aws/endpoint.h"
#include "sluice/aws/provider.h"
#include "sluice/aws/region.h"
#include "sluice/base/digest.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"
#include "sluice/sqs/arn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Ten messages of 1 MiB, every byte escaped in the worst case. */
#define RESPONSE_MAX_BYTES ((size_t)64 << 20)
#define ARENA_MAX_BYTES    ((size_t)256 << 10)

/* Who signs: the process itself, or a role that it assumes in a region. */
struct identity {
    struct list_node node;
    const struct role_settings *role; /* borrowed of the settings; NULL: the process */
    char region[AWS_REGION_MAX];
    struct provider *provider;
    struct metric *expires, *fetched, *failed;
};

struct app_aws {
    struct loop *loop;
    const struct settings *settings;
    struct aws_environment *environment; /* as it was at the start; NULL: not needed yet */
    bool unconfigured;                   /* it names no source of credentials */
    char asked_region[AWS_REGION_MAX];   /* of the instance metadata */
    bool has_asked;
    struct http_client *http, *local;
    struct list identities;
    struct metrics_collector collector;
    struct metric_family *expires, *fetched, *failed;
    struct metrics *metrics;
};

/* ---- what the environment says ---- */

static struct aws_overrides overrides_of(const struct settings *s)
{
    return (struct aws_overrides){.profile = s->aws.profile,
                                  .region = s->aws.region,
                                  .endpoint = s->aws.endpoint,
                                  .use_fips = s->aws.use_fips,
                                  .use_dualstack = s->aws.use_dualstack};
}

/* What is wrong with it is better told at the start than at the first call. */
static int check_chain(struct app_aws *aws, struct error *e)
{
    struct credential_chain chain = {0};
    struct arena arena;
    char tried[1024];

    arena_init(&arena, ARENA_MAX_BYTES);
    /* The region matters to nobody here: any will do. */
    int error = credential_chain_find(aws->environment, "us-east-1", &arena, &chain, e);
    aws->unconfigured =
        error == 0 && (chain.source == NULL || (chain.source->kind == CREDENTIAL_SOURCE_INSTANCE &&
                                                !chain.source->instance.named));
    if (error == 0 && chain.source == NULL) {
        credential_chain_describe(&chain, tried, sizeof(tried));
        error = error_set(e, ERR_NOT_FOUND, "", "no AWS credentials: %s", tried);
    }
    arena_done(&arena);
    return error;
}

static const char *ca_file(const struct app_aws *aws)
{
    struct str file = aws_variable(aws->environment, "AWS_CA_BUNDLE");

    if (aws->settings->aws.ca_file != NULL) {
        return aws->settings->aws.ca_file;
    }
    if (file.len == 0) {
        file = aws_profile_get(aws->environment, AWS_FILE_EITHER,
                               aws_profile_name(aws->environment), "ca_bundle");
    }
    return file.len == 0 ? NULL : file.ptr; /* variables and the arena's texts end with a NUL */
}

static int open_environment(struct app_aws *aws, struct error *e)
{
    struct aws_overrides overrides = overrides_of(aws->settings);

    if (aws->environment != NULL) {
        return 0;
    }
    int error = aws_environment_read(&overrides, NULL, &aws->environment, e);
    if (error != 0) {
        return error;
    }
    aws->http = http_client_new(
        aws->loop,
        &(struct http_client_config){.response_max_bytes = RESPONSE_MAX_BYTES,
                                     .ca_file = ca_file(aws),
                                     .proxy = aws->settings->aws.proxy,
                                     .proxy_from_environment = aws->settings->aws.proxy == NULL,
                                     .user_agent = "sluice/" SLUICE_VERSION});
    aws->local = http_client_new(
        aws->loop, &(struct http_client_config){.user_agent = "sluice/" SLUICE_VERSION});
    return 0;
}

/* ---- who signs ---- */

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_same_role(const struct role_settings *a, const struct role_settings *b)
{
    return a == b || (a != NULL && b != NULL && is_same_text(a->arn, b->arn) &&
                      is_same_text(a->external_id, b->external_id) &&
                      is_same_text(a->session_name, b->session_name));
}

static void add_series(struct app_aws *aws, struct identity *identity)
{
    const char *labels[] = {identity->role == NULL ? "own" : identity->role->arn};

    if (aws->metrics != NULL) {
        identity->expires = metric_series(aws->expires, labels);
        identity->fetched = metric_series(aws->fetched, labels);
        identity->failed = metric_series(aws->failed, labels);
    }
}

static struct identity *identity_of(struct app_aws *aws, const struct role_settings *role,
                                    const char *region)
{
    struct provider_config config = {.loop = aws->loop,
                                     .http = aws->http,
                                     .local = aws->local,
                                     .overrides = overrides_of(aws->settings),
                                     .region = region};

    LIST_FOR(&aws->identities, node)
    {
        struct identity *identity = LIST_ENTRY(node, struct identity, node);
        if (is_same_role(identity->role, role) &&
            (role == NULL || strcmp(identity->region, region) == 0)) {
            return identity;
        }
    }
    struct identity *identity = MEM_NEW(struct identity);
    identity->role = role;
    (void)str_copy(identity->region, sizeof(identity->region), str_from(region));
    if (role != NULL) {
        config.role_arn = role->arn;
        config.external_id = role->external_id;
        config.session_name = role->session_name;
    }
    digest_random(&config.seed, sizeof(config.seed));
    identity->provider = provider_new(&config);
    add_series(aws, identity);
    list_push(&aws->identities, &identity->node);
    return identity;
}

/* ---- clients ---- */

static int find_region(struct app_aws *aws, const char *queue_url, char ret[AWS_REGION_MAX],
                       struct error *e)
{
    int error = aws_region_find(aws->environment, str_from(queue_url), ret, e);

    if (error == ERR_NOT_FOUND && !aws->has_asked) {
        /* Only where nothing else says, and once: the start waits for it. */
        aws->has_asked = true;
        if (aws_region_of_instance(aws->environment, aws->asked_region) != 0) {
            aws->asked_region[0] = '\0';
        }
    }
    if (error == ERR_NOT_FOUND && aws->asked_region[0] != '\0') {
        (void)str_copy(ret, AWS_REGION_MAX, str_from(aws->asked_region));
        error = 0;
    }
    return error;
}

/* "": the queue URL's own host. A host that is not of AWS is only replaced by the configuration. */
static int find_endpoint(const struct app_aws *aws, const char *queue_url, const char *region,
                         char ret[AWS_ENDPOINT_MAX], struct error *e)
{
    struct sqs_endpoint parsed;
    bool of_aws =
        sqs_endpoint_parse(str_from(queue_url), &parsed) == 0 && parsed.region.ptr != NULL;

    ret[0] = '\0';
    if (!of_aws && aws->settings->aws.endpoint == NULL) {
        return 0;
    }
    int error = aws_endpoint_given(aws->environment, AWS_SQS, ret, e);
    if (error == 0 && ret[0] == '\0' && aws_endpoint_is_special(aws->environment)) {
        error = aws_endpoint_find(aws->environment, AWS_SQS, region, ret, e);
    }
    return error;
}

/* A server on plain http may do without, when nothing was configured. */
static int find_provider(struct app_aws *aws, const char *queue_url,
                         const struct role_settings *role, const char *region,
                         struct provider **ret, struct error *e)
{
    int error = check_chain(aws, e);

    if (aws->unconfigured && role == NULL && str_starts_with(str_from(queue_url), STR("http://"))) {
        LOG_WARNING("no AWS credentials: requests are not signed", LOG_STR("queue", queue_url));
        *ret = NULL;
        return 0;
    }
    if (error == 0) {
        *ret = identity_of(aws, role, region)->provider;
    }
    return error;
}

int app_aws_client(struct app_aws *aws, const char *queue_url, const struct role_settings *role,
                   struct sqs_client **ret, struct error *e)
{
    char region[AWS_REGION_MAX] = "", endpoint[AWS_ENDPOINT_MAX] = "";
    struct sqs_client_config config = {.loop = aws->loop, .queue_url = queue_url, .region = region};
    int error = open_environment(aws, e);

    role = role == NULL || role->arn == NULL ? NULL : role;
    if (error == 0) {
        error = find_region(aws, queue_url, region, e);
    }
    if (error == 0) {
        error = find_endpoint(aws, queue_url, region, endpoint, e);
    }
    if (error == 0) {
        error = find_provider(aws, queue_url, role, region, &config.provider, e);
    }
    if (error != 0) {
        return error;
    }
    config.http = aws->http;
    config.endpoint = endpoint[0] == '\0' ? NULL : endpoint;
    return sqs_client_new(&config, ret, e);
}

/* ---- for people ---- */

const char *app_aws_trouble(const struct app_aws *aws)
{
    struct provider_status status;

    LIST_FOR(&aws->identities, node)
    {
        provider_status(LIST_ENTRY(node, struct identity, node)->provider, &status);
        if (status.trouble != NULL) {
            return "no AWS credentials";
        }
    }
    return NULL;
}

const char *app_aws_source(const struct app_aws *aws)
{
    struct provider_status status = {.source = ""};

    LIST_FOR(&aws->identities, node)
    {
        provider_status(LIST_ENTRY(node, struct identity, node)->provider, &status);
        if (status.source[0] != '\0') {
            return status.source;
        }
    }
    return "none";
}

static void on_collect(void *context)
{
    struct app_aws *aws = context;
    struct provider_status status;

    LIST_FOR(&aws->identities, node)
    {
        struct identity *identity = LIST_ENTRY(node, struct identity, node);
        provider_status(identity->provider, &status);
        /* +Inf: they do not expire. */
        metric_set(identity->expires, status.expires_at == CREDENTIALS_NEVER
                                          ? HUGE_VAL
                                          : (double)status.expires_at / 1e3);
        metric_set(identity->fetched, (double)status.fetched);
        metric_set(identity->failed, (double)status.failed);
    }
}

void app_aws_metrics(struct app_aws *aws, struct metrics *metrics)
{
    static const char *const labels[] = {"role", NULL};

    aws->metrics = metrics;
    aws->expires = metrics_family(
        metrics, METRIC_GAUGE, "sluice_aws_credentials_expiry_timestamp_seconds",
        "Unix time at which the AWS credentials in use end; +Inf: never, 0: there are none.",
        labels);
    aws->fetched =
        metrics_family(metrics, METRIC_COUNTER, "sluice_aws_credentials_fetches_total",
                       "Times that AWS credentials were fetched from their source.", labels);
    aws->failed = metrics_family(metrics, METRIC_COUNTER, "sluice_aws_credentials_failures_total",
                                 "Times that their source had none, or AWS refused them.", labels);
    aws->collector = (struct metrics_collector){.collect = on_collect, .context = aws};
    metrics_collector_add(metrics, &aws->collector);
}

/* ---- life ---- */

struct app_aws *app_aws_new(struct loop *loop, const struct settings *settings)
{
    struct app_aws *aws = MEM_NEW(struct app_aws);

    aws->loop = loop;
    aws->settings = settings;
    list_init(&aws->identities);
    return aws;
}

static void close_client(struct http_client **client)
{
    if (*client != NULL) {
        http_client_close(*client);
        *client = NULL;
    }
}

void app_aws_close(struct app_aws *aws)
{
    if (aws == NULL) {
        return;
    }
    if (aws->metrics != NULL) {
        metrics_collector_remove(aws->metrics, &aws->collector);
        aws->metrics = NULL;
    }
    while (aws->identities.count > 0) {
        struct identity *identity = LIST_ENTRY(list_pop(&aws->identities), struct identity, node);
        provider_free(identity->provider);
        free(identity);
    }
    close_client(&aws->http);
    close_client(&aws->local);
}

void app_aws_free(struct app_aws *aws)
{
    if (aws != NULL) {
        aws_environment_free(aws->environment);
        free(aws);
    }
}
