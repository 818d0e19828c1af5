#include "sluice/sqs/arn.h"

#include <string.h>

static struct str slice(struct str s, size_t from, size_t to)
{
    return (struct str){s.ptr + from, to - from};
}

/* Position of the last c before `end`, or `end` when there is none. */
static size_t find_last(struct str s, char c, size_t end)
{
    for (size_t i = end; i > 0; i--) {
        if (s.ptr[i - 1] == c) {
            return i - 1;
        }
    }
    return end;
}

/* What follows "scheme://", or the whole of it. */
static struct str without_scheme(struct str url)
{
    static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < SL_COUNT(schemes); i++) {
        if (url.len >= schemes[i].len &&
            str_equal_nocase(slice(url, 0, schemes[i].len), schemes[i])) {
            return slice(url, schemes[i].len, url.len);
        }
    }
    return url;
}

int sqs_queue_url_parse(struct str url, struct sqs_queue_ref *ret)
{
    if (url.ptr == NULL || url.len == 0) {
        return ERR_INVALID;
    }
    struct str rest = without_scheme(url);
    bool has_host = rest.ptr != url.ptr;
    while (rest.len > 0 && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
    }
    size_t slash = find_last(rest, '/', rest.len);
    if (slash == rest.len) {
        if (has_host || rest.len == 0) {
            return ERR_INVALID;
        }
        *ret = (struct sqs_queue_ref){STR_NONE, rest};
        return ERR_OK;
    }
    struct sqs_queue_ref ref = {STR_NONE, slice(rest, slash + 1, rest.len)};
    size_t before = find_last(rest, '/', slash);
    if (before != slash) {
        ref.account = slice(rest, before + 1, slash);
    } else if (!has_host && slash > 0) {
        ref.account = slice(rest, 0, slash); /* "000000000000/jobs" */
    }
    if (ref.account.len == 0) {
        ref.account = STR_NONE;
    }
    *ret = ref;
    return ERR_OK;
}

static struct str join(struct arena *arena, const struct str *parts, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += parts[i].len;
    }
    char *out = arena_alloc(arena, len + 1);
    if (out == NULL) {
        return STR_NONE;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(out + at, parts[i].ptr, parts[i].len);
            at += parts[i].len;
        }
    }
    return (struct str){out, len};
}

struct str sqs_queue_url_build(struct arena *arena, struct str endpoint, struct str account,
                               struct str name)
{
    const struct str parts[] = {endpoint, STR("/"), account, STR("/"), name};
    return join(arena, parts, SL_COUNT(parts));
}

/* sqs.<region>.amazonaws.com, sqs-fips.…, sqs.<region>.api.aws, <region>.queue.amazonaws.com,
 * queue.amazonaws.com (the first region of all), those of the other partitions, and a VPC
 * endpoint's own name, vpce-….sqs.<region>.vpce.amazonaws.com. */
static struct str region_of_host(struct str host)
{
    size_t colon = find_last(host, ':', host.len);
    host.len = colon;
    static const struct str prefixes[] = {{"sqs.", 4}, {"sqs-fips.", 9}};
    static const struct str suffixes[] = {
        {".amazonaws.com", 14}, {".amazonaws.com.cn", 17},
        {".api.aws", 8},        {".api.amazonwebservices.com.cn", 29},
        {".amazonaws.eu", 13},  {".c2s.ic.gov", 11},
        {".sc2s.sgov.gov", 14}};
    if (str_equal(host, STR("queue.amazonaws.com"))) {
        return STR("us-east-1");
    }
    if (str_ends_with(host, STR(".queue.amazonaws.com"))) {
        return slice(host, 0, host.len - STR(".queue.amazonaws.com").len);
    }
    if (str_ends_with(host, STR(".vpce.amazonaws.com"))) {
        struct str rest = slice(host, 0, host.len - STR(".vpce.amazonaws.com").len);
        size_t dot = find_last(rest, '.', rest.len);
        return dot < rest.len && str_ends_with(slice(rest, 0, dot), STR(".sqs"))
                   ? slice(rest, dot + 1, rest.len)
                   : STR_NONE;
    }
    for (size_t p = 0; p < SL_COUNT(prefixes); p++) {
        for (size_t s = 0; s < SL_COUNT(suffixes); s++) {
            if (host.len > prefixes[p].len + suffixes[s].len &&
                str_starts_with(host, prefixes[p]) && str_ends_with(host, suffixes[s])) {
                return slice(host, prefixes[p].len, host.len - suffixes[s].len);
            }
        }
    }
    return STR_NONE;
}

int sqs_endpoint_parse(struct str queue_url, struct sqs_endpoint *ret)
{
    struct sqs_queue_ref ref;
    if (sqs_queue_url_parse(queue_url, &ref) != ERR_OK || ref.account.ptr == NULL) {
        return ERR_INVALID;
    }
    struct str rest = without_scheme(queue_url);
    size_t scheme_len = queue_url.len - rest.len;
    if (scheme_len == 0) {
        return ERR_INVALID;
    }
    struct str host;
    struct str path = rest;
    (void)str_next(&path, '/', &host);
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '@' || c == '?' || c == '#' || c == '\\') {
            return ERR_INVALID;
        }
    }
    if (host.len == 0 || host.ptr[0] == ':') {
        return ERR_INVALID;
    }
    struct sqs_endpoint endpoint = {.origin = slice(queue_url, 0, scheme_len + host.len)};
    bool tls = scheme_len == STR("https://").len;
    struct str default_port = tls ? STR(":443") : STR(":80");
    if (str_ends_with(host, default_port)) {
        host.len -= default_port.len;
    }
    endpoint.host = host;
    endpoint.region = region_of_host(host);
    *ret = endpoint;
    return ERR_OK;
}

const char *sqs_partition(struct str region)
{
    static const struct {
        struct str prefix;
        const char *name;
    } partitions[] = {{{"cn-", 3}, "aws-cn"},         {{"us-gov-", 7}, "aws-us-gov"},
                      {{"us-iso-", 7}, "aws-iso"},    {{"us-isob-", 8}, "aws-iso-b"},
                      {{"eu-isoe-", 8}, "aws-iso-e"}, {{"us-isof-", 8}, "aws-iso-f"},
                      {{"eusc-", 5}, "aws-eusc"}};

    for (size_t i = 0; i < SL_COUNT(partitions); i++) {
        if (str_starts_with(region, partitions[i].prefix)) {
            return partitions[i].name;
        }
    }
    return "aws";
}

int sqs_arn_parse(struct str arn, struct sqs_arn *ret)
{
    struct str part[6];
    struct str rest = arn;
    for (size_t i = 0; i < SL_COUNT(part); i++) {
        if (!str_next(&rest, ':', &part[i])) {
            return ERR_INVALID;
        }
    }
    if (rest.ptr != NULL || !str_equal(part[0], STR("arn")) || !str_equal(part[2], STR("sqs")) ||
        part[1].len == 0 || part[3].len == 0 || part[4].len == 0 || part[5].len == 0) {
        return ERR_INVALID;
    }
    *ret = (struct sqs_arn){part[1], part[3], part[4], part[5]};
    return ERR_OK;
}

struct str sqs_arn_build(struct arena *arena, struct str region, struct str account,
                         struct str name)
{
    const struct str parts[] = {STR("arn:aws:sqs:"), region, STR(":"), account, STR(":"), name};
    return join(arena, parts, SL_COUNT(parts));
}
