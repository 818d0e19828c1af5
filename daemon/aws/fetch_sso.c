#include "fetch.h"
#include "fetch_answer.h"

#include "sluice/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_NS      (10 * NS_PER_S)
#define TRIES           3
#define NEAR_END_MS     (INT64_C(60) * 1000) /* such a token might not outlive the request */
#define CACHE_MAX_BYTES ((size_t)64 << 10)

/* The file of a login, as `aws sso login` writes it, and what becomes of it. */
struct sso_login {
    struct json file;
    struct str access_token, refresh_token; /* newer than the file's, in the fetch's arena */
    char expires_at[24];
    struct buf written;
};

void fetch_sso_done(struct sso_login *login)
{
    if (login != NULL) {
        json_done(&login->file);
        if (login->written.ptr != NULL) {
            explicit_bzero(login->written.ptr, login->written.cap);
        }
        buf_done(&login->written);
        free(login);
    }
}

static struct str get(const struct sso_login *login, const char *key)
{
    return json_string(json_get(login->file.root, key));
}

static void login_again(struct fetch *fetch, const char *why)
{
    fetch_fail(fetch, ERR_DENIED, "%s: run `aws sso login` for the profile again (%s)", why,
               fetch->source->sso.cache_path);
}

/* ---- the credentials of the role ---- */

static void on_credentials(struct fetch *fetch, const struct http_result *result)
{
    static const struct fetch_names names = {"accessKeyId", "secretAccessKey", "sessionToken",
                                             "expiration", true};
    struct credentials *credentials = NULL;
    struct buf inner;
    struct error e = {0};
    struct json json;
    int error;

    if (result->error != 0) {
        fetch_fail(fetch, result->error, "%s could not be reached: %s", fetch->source->sso.endpoint,
                   result->detail);
        return;
    }
    if (result->status == 401) {
        login_again(fetch, "the login is no longer valid");
        return;
    }
    if (result->status != 200 || json_parse(&json, result->body, JSON_STRICT, NULL) != 0) {
        fetch_fail(fetch, ERR_DENIED, "%s refused role %.*s in account %.*s (HTTP %d)",
                   fetch->source->sso.endpoint, STR_FMT(fetch->source->sso.role_name),
                   STR_FMT(fetch->source->sso.account_id), result->status);
        return;
    }
    buf_init(&inner, CACHE_MAX_BYTES);
    (void)json_write_value(&inner, json_get(json.root, "roleCredentials"));
    json_done(&json);
    error = fetch_answer_json(buf_str(&inner), &names, str_from(fetch->source->said_by),
                              &credentials, &e);
    if (inner.ptr != NULL) {
        explicit_bzero(inner.ptr, inner.cap);
    }
    buf_done(&inner);
    if (error != 0) {
        fetch_fail(fetch, ERR_PROTOCOL, "%s", e.text);
    } else {
        fetch_end(fetch, credentials, NULL);
    }
}

static void ask_credentials(struct fetch *fetch)
{
    const struct credential_source *s = fetch->source;
    struct fetch_request request = {
        .method = "GET",
        .url = fetch_text(fetch, "%s/federation/credentials?account_id=%.*s&role_name=%.*s",
                          s->sso.endpoint, STR_FMT(s->sso.account_id), STR_FMT(s->sso.role_name)),
        .client = fetch->env.http,
        .timeout_ns = TIMEOUT_NS,
        .tries = TRIES};

    fetch_header(&request, "x-amz-sso_bearer_token", fetch->login->access_token);
    fetch_header(&request, "Accept", STR("application/json"));
    fetch_ask(fetch, &request, on_credentials);
}

/* ---- a new token for a login that has one to renew it with ---- */

static void write_member(struct json_writer *w, struct str key, struct str value)
{
    json_key_write(w, key);
    json_write_str(w, value);
}

/* The file as it was, with the new tokens. */
static void compose(struct sso_login *login)
{
    struct json_writer w;

    buf_init(&login->written, CACHE_MAX_BYTES);
    json_writer_init(&w, &login->written);
    json_object_begin(&w);
    for (const struct json_value *v = json_first(login->file.root); v != NULL; v = json_next(v)) {
        struct str key = json_key(v);
        if (!str_equal(key, STR("accessToken")) && !str_equal(key, STR("expiresAt")) &&
            !str_equal(key, STR("refreshToken"))) {
            struct buf value;
            buf_init(&value, CACHE_MAX_BYTES);
            (void)json_write_value(&value, v);
            json_key_write(&w, key);
            json_write_raw(&w, buf_str(&value));
            if (value.ptr != NULL) {
                explicit_bzero(value.ptr, value.cap);
            }
            buf_done(&value);
        }
    }
    write_member(&w, STR("accessToken"), login->access_token);
    write_member(&w, STR("expiresAt"), str_from(login->expires_at));
    write_member(&w, STR("refreshToken"), login->refresh_token);
    json_object_end(&w);
}

/* For the AWS CLI and ourselves: a refresh token is good once. */
static void write_cache(void *context)
{
    struct fetch *fetch = context;
    struct str text = buf_str(&fetch->login->written);
    char path[1200];

    (void)snprintf(path, sizeof(path), "%s.sluice", fetch->source->sso.cache_path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    good = (fd < 0 || close(fd) == 0) && good;
    fetch->job_error =
        good && rename(path, fetch->source->sso.cache_path) == 0 ? 0 : err_from_errno(errno);
}

/* Not written: the token of this process is good all the same. */
static void on_cache_written(struct fetch *fetch)
{
    ask_credentials(fetch);
}

static int take_token(struct fetch *fetch, struct str body)
{
    struct sso_login *login = fetch->login;
    struct json json;
    struct tm tm;
    int64_t seconds;

    if (json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        return ERR_PROTOCOL;
    }
    struct str access = json_string(json_get(json.root, "accessToken"));
    struct str refresh = json_string(json_get(json.root, "refreshToken"));
    int error = json_i64(json_get(json.root, "expiresIn"), &seconds);
    if (error == 0 && access.len > 0) {
        const char *kept = arena_dup(&fetch->arena, access.ptr, access.len);
        login->access_token = kept == NULL ? STR_NONE : (struct str){kept, access.len};
        login->refresh_token = get(login, "refreshToken");
        if (refresh.len > 0) {
            kept = arena_dup(&fetch->arena, refresh.ptr, refresh.len);
            login->refresh_token = kept == NULL ? STR_NONE : (struct str){kept, refresh.len};
        }
        time_t end = (time_t)(fetch->env.clock() / 1000 + seconds);
        (void)strftime(login->expires_at, sizeof(login->expires_at), "%Y-%m-%dT%H:%M:%SZ",
                       gmtime_r(&end, &tm));
    }
    json_done(&json);
    return error != 0 || login->access_token.len == 0 ? ERR_PROTOCOL : 0;
}

static void on_token(struct fetch *fetch, const struct http_result *result)
{
    if (result->error != 0) {
        fetch_fail(fetch, result->error, "%s could not be reached: %s",
                   fetch->source->sso.oidc_endpoint, result->detail);
        return;
    }
    if (result->status != 200 || take_token(fetch, result->body) != 0) {
        login_again(fetch, "the login could not be renewed");
        return;
    }
    compose(fetch->login);
    fetch_work(fetch, write_cache, on_cache_written);
}

static void renew(struct fetch *fetch)
{
    struct fetch_request request = {
        .method = "POST",
        .url = fetch_text(fetch, "%s/token", fetch->source->sso.oidc_endpoint),
        .client = fetch->env.http,
        .timeout_ns = TIMEOUT_NS,
        .tries = 1}; /* a refresh token may be used up by a request whose answer got lost */
    struct json_writer w;
    struct buf body;

    buf_init(&body, CACHE_MAX_BYTES);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_member_str(&w, "grantType", STR("refresh_token"));
    json_member_str(&w, "clientId", get(fetch->login, "clientId"));
    json_member_str(&w, "clientSecret", get(fetch->login, "clientSecret"));
    json_member_str(&w, "refreshToken", get(fetch->login, "refreshToken"));
    json_object_end(&w);
    request.body = str_from(arena_dup(&fetch->arena, buf_str(&body).ptr, buf_str(&body).len));
    if (body.ptr != NULL) {
        explicit_bzero(body.ptr, body.cap);
    }
    buf_done(&body);
    fetch_header(&request, "Content-Type", STR("application/json"));
    fetch_ask(fetch, &request, on_token);
}

/* ---- the login ---- */

static bool is_over(struct fetch *fetch, const char *key)
{
    wall_ms at;

    return fetch_time_parse(get(fetch->login, key), &at) != 0 ||
           at <= fetch->env.clock() + *fetch->env.skew_ms + NEAR_END_MS;
}

static void on_cache(struct fetch *fetch)
{
    fetch->login = MEM_NEW(struct sso_login);
    if (fetch->job_error == ERR_NOT_FOUND) {
        login_again(fetch, "there is no login");
    } else if (fetch->job_error != 0 ||
               json_parse(&fetch->login->file, buf_str(&fetch->text), JSON_STRICT, NULL) != 0) {
        login_again(fetch, "the file of the login cannot be read");
    } else if (get(fetch->login, "accessToken").len > 0 && !is_over(fetch, "expiresAt")) {
        fetch->login->access_token = get(fetch->login, "accessToken");
        ask_credentials(fetch);
    } else if (get(fetch->login, "refreshToken").len > 0 && get(fetch->login, "clientId").len > 0 &&
               get(fetch->login, "clientSecret").len > 0 &&
               !is_over(fetch, "registrationExpiresAt")) {
        renew(fetch);
    } else {
        login_again(fetch, "the login has expired");
    }
}

void fetch_sso(struct fetch *fetch)
{
    fetch_read_file(fetch, fetch->source->sso.cache_path, on_cache);
}
