#include "sluice/aws/endpoint.h"

#include "sluice/sqs/arn.h"

#include <stdio.h>
#include <string.h>

struct service {
    const char *variable;    /* AWS_ENDPOINT_URL_… */
    const char *block;       /* in [services x] */
    const char *host, *fips; /* first labels of the host */
    bool fips_in_gov;        /* GovCloud has a FIPS host of its own; else all its hosts are */
};

static const struct service services[] = {
    [AWS_SQS] = {"AWS_ENDPOINT_URL_SQS", "sqs", "sqs", "sqs-fips", false},
    [AWS_STS] = {"AWS_ENDPOINT_URL_STS", "sts", "sts", "sts-fips", false},
    [AWS_SSO] = {"AWS_ENDPOINT_URL_SSO", "sso", "portal.sso", "portal.sso-fips", true},
    [AWS_SSO_OIDC] = {"AWS_ENDPOINT_URL_SSO_OIDC", "sso_oidc", "oidc", "oidc-fips", true},
};

/* The first whose prefix fits; the last fits always. */
static const struct partition {
    const char *prefix, *name, *suffix, *dualstack; /* dualstack NULL: has none */
} partitions[] = {
    {"cn-", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {"us-gov-", "aws-us-gov", "amazonaws.com", "api.aws"},
    {"us-iso-", "aws-iso", "c2s.ic.gov", NULL},
    {"us-isob-", "aws-iso-b", "sc2s.sgov.gov", NULL},
    {"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk", NULL},
    {"us-isof-", "aws-iso-f", "csp.hci.ic.gov", NULL},
    {"eusc-", "aws-eusc", "amazonaws.eu", NULL},
    {"", "aws", "amazonaws.com", "api.aws"},
};

/* Regions where AWS_STS_REGIONAL_ENDPOINTS=legacy means the one global endpoint. */
static const char *const legacy_sts[] = {
    "ap-northeast-1", "ap-south-1",   "ap-southeast-1", "ap-southeast-2",
    "aws-global",     "ca-central-1", "eu-central-1",   "eu-north-1",
    "eu-west-1",      "eu-west-2",    "eu-west-3",      "sa-east-1",
    "us-east-1",      "us-east-2",    "us-west-1",      "us-west-2",
};

#define STS_GLOBAL "https://sts.amazonaws.com"

/* ---- region ---- */

static bool is_label(struct str s)
{
    bool good = s.len > 0 && s.len < AWS_REGION_MAX && s.ptr[0] != '-' && s.ptr[s.len - 1] != '-';

    for (size_t i = 0; good && i < s.len; i++) {
        char c = s.ptr[i];
        good =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    }
    return good;
}

int aws_region_find(const struct aws_environment *environment, struct str queue_url,
                    char ret[AWS_REGION_MAX], struct error *e)
{
    struct sqs_endpoint parsed = {.region = STR_NONE};

    if (queue_url.ptr != NULL && sqs_endpoint_parse(queue_url, &parsed) != 0) {
        parsed.region = STR_NONE;
    }
    const struct {
        const char *where;
        struct str region;
    } candidates[] = {
        {"the queue URL", parsed.region},
        {"aws.region", str_from(aws_environment_overrides(environment)->region)},
        {"AWS_REGION", aws_variable(environment, "AWS_REGION")},
        {"AWS_DEFAULT_REGION", aws_variable(environment, "AWS_DEFAULT_REGION")},
        {"the profile's region",
         aws_profile_get(environment, AWS_FILE_EITHER, aws_profile_name(environment), "region")},
    };
    for (size_t i = 0; i < SL_COUNT(candidates); i++) {
        if (candidates[i].region.len == 0) {
            continue;
        }
        if (!is_label(candidates[i].region)) {
            return error_set(e, ERR_INVALID, candidates[i].where,
                             "\"%.*s\" is no region: expected one like \"eu-central-1\"",
                             (int)(candidates[i].region.len < 80 ? candidates[i].region.len : 80),
                             candidates[i].region.ptr);
        }
        (void)str_copy(ret, AWS_REGION_MAX, candidates[i].region);
        return 0;
    }
    return error_set(e, ERR_NOT_FOUND, "",
                     "no region: set aws.region, AWS_REGION, AWS_DEFAULT_REGION or the profile's "
                     "region");
}

static const struct partition *partition_of(const char *region)
{
    const struct partition *partition = partitions;

    while (strncmp(region, partition->prefix, strlen(partition->prefix)) != 0) {
        partition++;
    }
    return partition;
}

/* ---- endpoint ---- */

static bool is_true(struct str value)
{
    return str_equal_nocase(value, STR("true"));
}

static bool asked(const struct aws_environment *environment, bool configured, const char *variable,
                  const char *key)
{
    struct str value = aws_variable(environment, variable);

    return configured ||
           (value.ptr != NULL ? is_true(value)
                              : is_true(aws_profile_get(environment, AWS_FILE_EITHER,
                                                        aws_profile_name(environment), key)));
}

static bool fips_asked(const struct aws_environment *environment)
{
    return asked(environment, aws_environment_overrides(environment)->use_fips,
                 "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint");
}

static bool dualstack_asked(const struct aws_environment *environment)
{
    return asked(environment, aws_environment_overrides(environment)->use_dualstack,
                 "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint");
}

bool aws_endpoint_is_special(const struct aws_environment *environment)
{
    return fips_asked(environment) || dualstack_asked(environment);
}

struct given {
    const char *where;
    struct str url;
};

static struct given given_by(const struct aws_environment *environment,
                             const struct service *service)
{
    struct str profile = aws_profile_name(environment);
    struct str block = aws_profile_get(environment, AWS_FILE_EITHER, profile, "services");
    const struct given candidates[] = {
        {service->variable, aws_variable(environment, service->variable)},
        {"AWS_ENDPOINT_URL", aws_variable(environment, "AWS_ENDPOINT_URL")},
        {"the profile's services",
         block.ptr == NULL ? STR_NONE : aws_services_endpoint(environment, block, service->block)},
        {"the profile's endpoint_url",
         aws_profile_get(environment, AWS_FILE_EITHER, profile, "endpoint_url")},
    };

    if (asked(environment, false, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
              "ignore_configured_endpoint_urls")) {
        return (struct given){NULL, STR_NONE};
    }
    for (size_t i = 0; i < SL_COUNT(candidates); i++) {
        if (candidates[i].url.len > 0) {
            return candidates[i];
        }
    }
    return (struct given){NULL, STR_NONE};
}

int aws_endpoint_given(const struct aws_environment *environment, enum aws_service service,
                       char ret[AWS_ENDPOINT_MAX], struct error *e)
{
    const char *configured = aws_environment_overrides(environment)->endpoint;
    struct given given = service == AWS_SQS && configured != NULL
                             ? (struct given){"aws.endpoint", str_from(configured)}
                             : given_by(environment, &services[service]);
    struct str url = given.url;

    ret[0] = '\0';
    if (url.len == 0) {
        return 0;
    }
    while (url.len > 0 && url.ptr[url.len - 1] == '/') {
        url.len--;
    }
    if ((!str_starts_with(url, STR("http://")) && !str_starts_with(url, STR("https://"))) ||
        url.len >= AWS_ENDPOINT_MAX) {
        return error_set(e, ERR_INVALID, given.where,
                         "\"%.*s\" is no endpoint: expected http(s)://host[:port]",
                         (int)(url.len < 200 ? url.len : 200), url.ptr);
    }
    /* Those of STS and SSO may be given for tests while SQS itself is reached by FIPS. */
    if (service == AWS_SQS && aws_endpoint_is_special(environment)) {
        return error_set(e, ERR_INVALID, given.where,
                         "an endpoint is given, and FIPS or dual-stack endpoints are asked for: "
                         "one of both");
    }
    (void)str_copy(ret, AWS_ENDPOINT_MAX, url);
    return 0;
}

static bool is_legacy_sts(const struct aws_environment *environment, const char *region)
{
    struct str how = aws_variable(environment, "AWS_STS_REGIONAL_ENDPOINTS");

    if (how.ptr == NULL) {
        how = aws_profile_get(environment, AWS_FILE_EITHER, aws_profile_name(environment),
                              "sts_regional_endpoints");
    }
    if (!str_equal_nocase(how, STR("legacy"))) {
        return false;
    }
    for (size_t i = 0; i < SL_COUNT(legacy_sts); i++) {
        if (strcmp(region, legacy_sts[i]) == 0) {
            return true;
        }
    }
    return false;
}

int aws_endpoint_find(const struct aws_environment *environment, enum aws_service service,
                      const char *region, char ret[AWS_ENDPOINT_MAX], struct error *e)
{
    const struct service *s = &services[service];
    const struct partition *partition = partition_of(region);
    bool fips = fips_asked(environment);
    bool dualstack = dualstack_asked(environment);
    int error = aws_endpoint_given(environment, service, ret, e);

    if (error != 0 || ret[0] != '\0') {
        return error;
    }
    if (service == AWS_STS && !fips && !dualstack && is_legacy_sts(environment, region)) {
        (void)str_copy(ret, AWS_ENDPOINT_MAX, STR(STS_GLOBAL));
        return 0;
    }
    if (dualstack && partition->dualstack == NULL) {
        return error_set(e, ERR_INVALID, "aws.use_dualstack",
                         "the partition of region %s has no dual-stack endpoints", region);
    }
    bool is_gov = strcmp(partition->name, "aws-us-gov") == 0;
    bool fips_host = fips && (!is_gov || dualstack || s->fips_in_gov);
    snprintf(ret, AWS_ENDPOINT_MAX, "https://%s.%s.%s", fips_host ? s->fips : s->host, region,
             dualstack ? partition->dualstack : partition->suffix);
    return 0;
}

const char *aws_endpoint_region(const char *endpoint, const char *region)
{
    return strcmp(endpoint, STS_GLOBAL) == 0 ? "us-east-1" : region;
}
