#include "fetch.h"
#include "fetch_answer.h"
#include "sqs_client_internal.h"

#include "sluice/sqs/sigv4.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_NS     (10 * NS_PER_S)
#define TRIES          3
#define VERSION        "2011-06-15"
#define SKEW_MS        (INT64_C(4) * 60 * 1000)
#define ERROR_MAX      320
#define TOKEN_MAX      ((size_t)16 << 10)
#define BODY_MAX_BYTES ((size_t)64 << 10)

static void add_encoded(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            (void)buf_addc(out, c);
        } else {
            (void)buf_addf(out, "%%%02X", (unsigned char)c);
        }
    }
}

static void add_parameter(struct buf *out, const char *name, struct str value)
{
    if (value.len > 0) {
        (void)buf_addf(out, "&%s=", name);
        add_encoded(out, value);
    }
}

static const char *endpoint_host(const char *endpoint)
{
    const char *host = strstr(endpoint, "://");

    return host == NULL ? endpoint : host + 3;
}

static void on_answer(struct fetch *fetch, const struct http_result *result);

/* Signed when there is somebody to sign with. */
static void send_request(struct fetch *fetch, struct str body)
{
    const struct credential_source *s = fetch->source;
    struct fetch_request request = {.method = "POST",
                                    .url = fetch_text(fetch, "%s/", s->role.endpoint),
                                    .body = body,
                                    .client = fetch->env.http,
                                    .timeout_ns = TIMEOUT_NS,
                                    .tries = TRIES};
    struct buf authorization;
    char date[17];

    fetch_header(&request, "Content-Type", STR("application/x-www-form-urlencoded; charset=utf-8"));
    fetch_header(&request, "Accept", STR("application/xml"));
    if (fetch->signing != NULL) {
        struct sigv4_header headers[4];
        uint32_t count = 0;
        sigv4_date(fetch->env.clock() + *fetch->env.skew_ms, date);
        fetch_header(&request, "X-Amz-Date", str_from(fetch_text(fetch, "%s", date)));
        if (fetch->signing->session_token.len > 0) {
            fetch_header(&request, "X-Amz-Security-Token", fetch->signing->session_token);
        }
        headers[count++] =
            (struct sigv4_header){STR("Host"), str_from(endpoint_host(s->role.endpoint))};
        for (uint32_t i = 0; i < request.header_count; i++) {
            if (!str_equal(request.headers[i].name, STR("Accept"))) {
                headers[count++] =
                    (struct sigv4_header){request.headers[i].name, request.headers[i].value};
            }
        }
        const struct sigv4_request signed_request = {STR("POST"), STR("/"), STR(""),
                                                     headers,     count,    body};
        const struct sigv4_credentials keys = {fetch->signing->access_key_id,
                                               fetch->signing->secret_access_key,
                                               fetch->signing->session_token};
        buf_init(&authorization, (size_t)16 << 10);
        if (sigv4_sign(&signed_request, &keys, str_from(s->role.region), STR("sts"),
                       &authorization) == 0) {
            fetch_header(&request, "Authorization",
                         str_from(fetch_text(fetch, "%s", buf_str(&authorization).ptr)));
        }
        buf_done(&authorization);
    }
    fetch_ask(fetch, &request, on_answer);
}

/* A signature is refused when our clock is wrong: the answer says what time it is there. */
static bool sign_again(struct fetch *fetch, const struct http_result *result)
{
    wall_ms theirs;

    if (fetch->signing == NULL || fetch->resigned || !sqs_answer_date(result, &theirs)) {
        return false;
    }
    int64_t skew_ms = theirs - fetch->env.clock();
    int64_t change_ms = skew_ms - *fetch->env.skew_ms;
    if (change_ms < SKEW_MS && change_ms > -SKEW_MS) {
        return false;
    }
    *fetch->env.skew_ms = skew_ms;
    fetch->resigned = true;
    send_request(fetch, fetch->request.body);
    return true;
}

static void on_answer(struct fetch *fetch, const struct http_result *result)
{
    const struct credential_source *s = fetch->source;
    struct credentials *credentials = NULL;
    char said[ERROR_MAX];
    char source[320];
    struct error e = {0};

    if (result->error != 0) {
        fetch_fail(fetch, result->error, "%s could not be reached for %.*s: %s", s->role.endpoint,
                   STR_FMT(s->role.arn), result->detail);
        return;
    }
    if (result->status != 200) {
        if (!sign_again(fetch, result)) {
            fetch_answer_sts_error(result->body, said, sizeof(said));
            fetch_fail(fetch, ERR_DENIED, "STS refused %.*s (HTTP %d): %s", STR_FMT(s->role.arn),
                       result->status, said);
        }
        return;
    }
    (void)snprintf(source, sizeof(source), "%s %.*s, %s", credential_source_name(s->kind),
                   STR_FMT(s->role.arn), s->said_by);
    if (fetch_answer_sts(result->body, str_from(source), &credentials, &e) != 0) {
        fetch_fail(fetch, ERR_PROTOCOL, "STS: %s", e.text);
        return;
    }
    fetch_end(fetch, credentials, NULL);
}

static void ask(struct fetch *fetch, const char *action, struct str token)
{
    const struct credential_source *s = fetch->source;
    struct buf body;

    buf_init(&body, BODY_MAX_BYTES);
    (void)buf_addf(&body, "Action=%s&Version=" VERSION, action);
    add_parameter(&body, "RoleArn", s->role.arn);
    add_parameter(&body, "RoleSessionName", s->role.session_name);
    add_parameter(&body, "ExternalId", s->role.external_id);
    (void)buf_addf(&body, "&DurationSeconds=%lld", (long long)s->role.duration_s);
    add_parameter(&body, "WebIdentityToken", token);
    struct str text = buf_str(&body);
    char *kept = buf_failed(&body) != 0 ? NULL : arena_dup(&fetch->arena, text.ptr, text.len);
    size_t len = text.len;
    if (body.ptr != NULL) {
        explicit_bzero(body.ptr, body.cap);
    }
    buf_done(&body);
    if (kept == NULL) {
        fetch_fail(fetch, ERR_TOO_BIG, "the request to STS is too large");
        return;
    }
    send_request(fetch, (struct str){kept, len});
}

/* ---- a role ---- */

static void on_signer(void *context, struct credentials *credentials, const struct error *why,
                      mono_ns now)
{
    struct fetch *fetch = context;

    (void)now;
    fetch->signer = NULL;
    fetch->signing = credentials;
    if (credentials == NULL) {
        fetch_end(fetch, NULL, why);
        return;
    }
    ask(fetch, "AssumeRole", STR_NONE);
}

void fetch_role(struct fetch *fetch)
{
    fetch->signer = fetch_new(&fetch->env, fetch->source->role.signs, on_signer, fetch);
}

/* ---- web identity ---- */

static void on_token(struct fetch *fetch)
{
    struct str token = buf_str(&fetch->text);

    while (token.len > 0 && (unsigned char)token.ptr[token.len - 1] <= ' ') {
        token.len--;
    }
    if (fetch->job_error != 0 || token.len == 0) {
        fetch_fail(fetch, fetch->job_error != 0 ? fetch->job_error : ERR_INVALID,
                   "the token file %s %s", fetch->path,
                   fetch->job_error != 0 ? err_text(fetch->job_error) : "is empty");
        return;
    }
    ask(fetch, "AssumeRoleWithWebIdentity", token);
}

/* Read again every time: the kubelet replaces it. */
void fetch_web_identity(struct fetch *fetch)
{
    struct str file = fetch->source->role.token_file;

    fetch_read_file(fetch, fetch_text(fetch, "%.*s", STR_FMT(file)), on_token);
}
