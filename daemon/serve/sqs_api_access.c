#include "sqs_api_internal.h"

#include "sluice/sqs/iam.h"
#include "sluice/sqs/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTION_SHOWN_MAX  64
#define REGION_MAX        32
#define CLOCK_SKEW_MAX_MS (INT64_C(15) * 60 * 1000)

/* ---- the keys ---- */

static struct str copy_of(struct str text)
{
    return (struct str){mem_dup(text.ptr == NULL ? "" : text.ptr, text.len), text.len};
}

static void free_copy(struct str *text)
{
    union {
        const char *borrowed;
        char *owned;
    } pointer = {.borrowed = text->ptr};
    if (pointer.owned != NULL) {
        explicit_bzero(pointer.owned, text->len);
        free(pointer.owned);
    }
    *text = STR_NONE;
}

static struct sqs_strings copy_of_all(const struct sqs_strings *patterns)
{
    struct sqs_strings copy = {MEM_NEW_ARRAY(patterns->count + 1, struct str), 0, true};
    for (; copy.count < patterns->count; copy.count++) {
        copy.items[copy.count] = copy_of(patterns->items[copy.count]);
    }
    return copy;
}

static void free_copies(struct sqs_strings *patterns)
{
    for (uint32_t i = 0; i < patterns->count; i++) {
        free_copy(&patterns->items[i]);
    }
    free(patterns->items);
    *patterns = (struct sqs_strings){NULL, 0, false};
}

void sqs_access_init(struct sqs_access *access, const struct sqs_api_config *config)
{
    *access = (struct sqs_access){
        .keys = MEM_NEW_ARRAY(config->access_key_count + 1, struct sqs_api_key),
        .key_count = config->access_key_count,
        .allow_anonymous = config->allow_anonymous,
        .region = copy_of(config->region),
        .account = copy_of(config->account),
    };
    for (uint32_t i = 0; i < config->access_key_count; i++) {
        const struct sqs_api_key *key = &config->access_keys[i];
        access->keys[i] =
            (struct sqs_api_key){copy_of(key->id), copy_of(key->secret), copy_of_all(&key->actions),
                                 copy_of_all(&key->queues)};
    }
}

void sqs_access_done(struct sqs_access *access)
{
    for (uint32_t i = 0; i < access->key_count; i++) {
        free_copy(&access->keys[i].id);
        free_copy(&access->keys[i].secret);
        free_copies(&access->keys[i].actions);
        free_copies(&access->keys[i].queues);
    }
    free(access->keys);
    free_copy(&access->region);
    free_copy(&access->account);
    access->keys = NULL;
    access->key_count = 0;
}

static const struct sqs_api_key *key_find(const struct sqs_access *access, struct str id)
{
    for (uint32_t i = 0; i < access->key_count; i++) {
        if (str_equal(access->keys[i].id, id)) {
            return &access->keys[i];
        }
    }
    return NULL;
}

static int deny(const struct sqs_access *access, struct str action, const char *reason,
                struct sqs_error *e)
{
    action.len = action.len > ACTION_SHOWN_MAX ? ACTION_SHOWN_MAX : action.len;
    return sqs_error_set(e, SQS_ERROR_ACCESS_DENIED,
                         "User: anonymous is not authorized to perform: sqs:%.*s on resource: "
                         "arn:aws:sqs:%.*s:%.*s:* because %s",
                         STR_FMT(action), STR_FMT(access->region), STR_FMT(access->account),
                         reason);
}

/* ---- without keys: whoever reaches the socket, but no web page ---- */

/* Dotted quad that begins with 127; a name such as 127.example.com is none. */
static bool is_loopback_ipv4(struct str host)
{
    struct str part;
    int count = 0;
    while (str_next(&host, '.', &part)) {
        int64_t number;
        if (part.len > 3 || str_to_i64(part, 0, 255, &number) != ERR_OK ||
            (count == 0 && number != 127)) {
            return false;
        }
        count++;
    }
    return count == 4;
}

static bool host_is_local(struct str host)
{
    if (host.len == 0 || str_equal(host, STR("[::1]")) || str_starts_with(host, STR("[::1]:"))) {
        return true;
    }
    struct str name;
    (void)str_next(&host, ':', &name);
    return str_equal_nocase(name, STR("localhost")) || is_loopback_ipv4(name);
}

/* A browser says where a request comes from: with Origin when a script or a form sends it, and with
 * Sec-Fetch-Site or Referer when a picture or a link of a page does. No SQS client sends these. */
static bool from_web_page(const struct http_request_view *request)
{
    struct str site = http_request_header(request, "sec-fetch-site");
    return http_request_header(request, "origin").ptr != NULL ||
           http_request_header(request, "referer").ptr != NULL ||
           (site.ptr != NULL && !str_equal(site, STR("none")));
}

static int check_unsigned(const struct sqs_access *access, const struct http_request_view *request,
                          struct str action, struct sqs_error *e)
{
    if (from_web_page(request)) {
        return deny(access, action,
                    "it comes from a web page (Origin, Referer or Sec-Fetch-Site header). Set "
                    "sqs_api.access_keys and sign the requests to allow it.",
                    e);
    }
    if (!access->allow_anonymous && !request->from_unix_socket && !host_is_local(request->host)) {
        return deny(access, action,
                    "its Host header is not local (localhost, 127.x.x.x, [::1]). Set "
                    "sqs_api.access_keys and sign the requests, or sqs_api.allow_anonymous, to "
                    "allow it.",
                    e);
    }
    return SQS_OK;
}

/* ---- with keys: Signature Version 4 ---- */

static int check_date(const struct http_request_view *request, wall_ms now, struct sqs_error *e)
{
    struct str text = str_trim(http_request_header(request, "x-amz-date"));
    wall_ms date;
    if (text.ptr == NULL || sigv4_parse_date(text, &date) != ERR_OK) {
        return sqs_error_set(e, SQS_ERROR_INCOMPLETE_SIGNATURE,
                             "The request needs an X-Amz-Date header of the form "
                             "20060102T150405Z.");
    }
    char clock[17];
    char bound[17];
    sigv4_date(now, clock);
    if (date < now - CLOCK_SKEW_MAX_MS) {
        sigv4_date(now - CLOCK_SKEW_MAX_MS, bound);
        return sqs_error_set(e, SQS_ERROR_INVALID_SIGNATURE,
                             "Signature expired: %.*s is now earlier than %s (%s - 15 min.)",
                             STR_FMT(text), bound, clock);
    }
    if (date > now + CLOCK_SKEW_MAX_MS) {
        sigv4_date(now + CLOCK_SKEW_MAX_MS, bound);
        return sqs_error_set(e, SQS_ERROR_INVALID_SIGNATURE,
                             "Signature not yet current: %.*s is still later than %s (%s + 15 "
                             "min.)",
                             STR_FMT(text), bound, clock);
    }
    return SQS_OK;
}

static int check_scope(const struct sqs_access *access, const struct sigv4_authorization *claim,
                       struct sqs_error *e)
{
    if (!str_equal(claim->service, STR("sqs"))) {
        return sqs_error_set(e, SQS_ERROR_INVALID_SIGNATURE,
                             "Credential should be scoped to correct service: 'sqs'.");
    }
    if (access->region.len > 0 && !str_equal(claim->region, access->region)) {
        return sqs_error_set(e, SQS_ERROR_INVALID_SIGNATURE,
                             "Credential should be scoped to a valid region, not '%.*s': this "
                             "server's region is '%.*s'.",
                             STR_FMT(claim->region), STR_FMT(access->region));
    }
    return SQS_OK;
}

static bool signature_is_right(const struct http_request_view *request,
                               const struct sigv4_authorization *claim, struct str secret)
{
    struct sigv4_header headers[HTTP_HEADERS_MAX];
    uint32_t count = 0;
    for (; count < request->header_count && count < HTTP_HEADERS_MAX; count++) {
        headers[count] =
            (struct sigv4_header){request->headers[count].name, request->headers[count].value};
    }
    const struct sigv4_request canonical = {request->method, request->path, request->query,
                                            headers,         count,         request->body};
    return sigv4_verify(&canonical, claim, secret);
}

static int check_signed(const struct sqs_access *access, const struct http_request_view *request,
                        struct str action, wall_ms now, const struct sqs_api_key **ret_key,
                        struct sqs_error *e)
{
    struct str authorization = http_request_header(request, "authorization");
    if (authorization.ptr == NULL) {
        return deny(access, action,
                    "the request has no Authorization header: sign it (Signature Version 4) with "
                    "one of sqs_api.access_keys.",
                    e);
    }
    struct sigv4_authorization claim;
    if (sigv4_parse(authorization, &claim) != ERR_OK) {
        return sqs_error_set(e, SQS_ERROR_INCOMPLETE_SIGNATURE,
                             "Authorization header requires 'AWS4-HMAC-SHA256' with 'Credential', "
                             "'SignedHeaders' and 'Signature' parameters.");
    }
    if (http_request_header(request, "x-amz-security-token").ptr != NULL) {
        return sqs_error_set(e, SQS_ERROR_UNRECOGNIZED_CLIENT,
                             "The security token included in the request is invalid: this server "
                             "takes the keys of sqs_api.access_keys, and no session tokens.");
    }
    const struct sqs_api_key *key = key_find(access, claim.access_key_id);
    if (key == NULL) {
        return sqs_error_set(e, SQS_ERROR_UNRECOGNIZED_CLIENT,
                             "The security token included in the request is invalid.");
    }
    int rc = check_scope(access, &claim, e);
    if (rc == SQS_OK) {
        rc = check_date(request, now, e);
    }
    if (rc == SQS_OK && !signature_is_right(request, &claim, key->secret)) {
        rc = sqs_error_set(e, SQS_ERROR_INVALID_SIGNATURE,
                           "The request signature we calculated does not match the signature you "
                           "provided. Check your AWS Secret Access Key and signing method. Consult "
                           "the service documentation for details.");
    }
    *ret_key = key;
    return rc;
}

int sqs_access_check(const struct sqs_access *access, const struct http_request_view *request,
                     struct str action, wall_ms now, const struct sqs_api_key **ret_key,
                     struct sqs_error *e)
{
    *ret_key = NULL;
    return access->key_count > 0 ? check_signed(access, request, action, now, ret_key, e)
                                 : check_unsigned(access, request, action, e);
}

struct str sqs_access_region(const struct http_request_view *request)
{
    struct sigv4_authorization claim;
    struct str authorization = http_request_header(request, "authorization");
    if (authorization.ptr == NULL || sigv4_parse(authorization, &claim) != ERR_OK ||
        claim.region.len > REGION_MAX) {
        return STR_NONE;
    }
    for (size_t i = 0; i < claim.region.len; i++) {
        char c = claim.region.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') {
            return STR_NONE;
        }
    }
    return claim.region;
}

/* ---- what a key may do ---- */

static bool is_granted(const struct sqs_strings *patterns, struct str name)
{
    bool granted = patterns->count == 0;
    for (uint32_t i = 0; i < patterns->count && !granted; i++) {
        granted = str_matches(name, patterns->items[i]);
    }
    return granted;
}

int sqs_access_authorize(const struct sqs_access *access, const struct sqs_api_key *key,
                         enum sqs_action action, struct str queue, struct sqs_error *e)
{
    struct str name = sqs_iam_name(action);
    bool action_is_granted = key == NULL || is_granted(&key->actions, name);
    if (action_is_granted &&
        (key == NULL || queue.ptr == NULL || is_granted(&key->queues, queue))) {
        return SQS_OK;
    }
    queue = queue.ptr == NULL ? SQS_ACCESS_EVERY_QUEUE : queue;
    queue.len = queue.len > SQS_QUEUE_NAME_MAX ? SQS_QUEUE_NAME_MAX : queue.len;
    return sqs_error_set(e, SQS_ERROR_ACCESS_DENIED,
                         "User: arn:aws:iam::%.*s:user/%.*s is not authorized to perform: "
                         "sqs:%.*s on resource: arn:aws:sqs:%.*s:%.*s:%.*s because the %s of "
                         "this key in sqs_api.access_keys do not allow it",
                         STR_FMT(access->account), STR_FMT(key->id), STR_FMT(name),
                         STR_FMT(access->region), STR_FMT(access->account), STR_FMT(queue),
                         action_is_granted ? "queues" : "actions");
}
