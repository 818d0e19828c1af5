#include "fetch.h"
#include "fetch_answer.h"

#include "sluice/base/json.h"

#include <stdio.h>
#include <string.h>

#define CONTAINER_TIMEOUT_NS (2 * NS_PER_S)
#define CONTAINER_TRIES      3
#define TOKEN_SECONDS        "21600"
#define ROLES_PATH           "/latest/meta-data/iam/security-credentials/"
#define NAME_MAX_BYTES       128

static const struct fetch_names names = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration",
                                         true};

/* ---- the container endpoint ---- */

static void on_container(struct fetch *fetch, const struct http_result *result)
{
    struct credentials *credentials = NULL;
    struct error e = {0};

    if (result->error != 0) {
        fetch_fail(fetch, result->error, "%s could not be reached: %s",
                   fetch->source->container.url, result->detail);
    } else if (result->status != 200) {
        fetch_fail(fetch, ERR_DENIED, "%s answered HTTP %d", fetch->source->container.url,
                   result->status);
    } else if (fetch_answer_json(result->body, &names, STR("container endpoint"), &credentials,
                                 &e) != 0) {
        fetch_fail(fetch, ERR_PROTOCOL, "%s: %s", fetch->source->container.url, e.text);
    } else {
        fetch_end(fetch, credentials, NULL);
    }
}

static void ask_container(struct fetch *fetch)
{
    struct str token = fetch->source->container.token;
    struct fetch_request request = {.method = "GET",
                                    .url = fetch->source->container.url,
                                    .client = fetch->env.local,
                                    .timeout_ns = CONTAINER_TIMEOUT_NS,
                                    .tries = CONTAINER_TRIES};

    if (fetch->source->container.token_file.len > 0) {
        if (fetch->job_error != 0) {
            fetch_fail(fetch, fetch->job_error, "the token file %s: %s", fetch->path,
                       err_text(fetch->job_error));
            return;
        }
        token = buf_str(&fetch->text);
    }
    if (token.len > 0 && (memchr(token.ptr, '\r', token.len) != NULL ||
                          memchr(token.ptr, '\n', token.len) != NULL)) {
        fetch_fail(fetch, ERR_INVALID, "the authorization token has a line break in it");
        return;
    }
    fetch_header(&request, "Accept", STR("application/json"));
    if (token.len > 0) {
        fetch_header(&request, "Authorization", token);
    }
    fetch_ask(fetch, &request, on_container);
}

/* The token file is read again every time: it is replaced while we run. */
void fetch_container(struct fetch *fetch)
{
    struct str file = fetch->source->container.token_file;

    if (file.len > 0) {
        fetch_read_file(fetch, fetch_text(fetch, "%.*s", STR_FMT(file)), ask_container);
    } else {
        fetch_work(fetch, fetch_no_work, ask_container);
    }
}

/* ---- instance metadata: version 2 only, as version 1 answers whoever makes us ask ---- */

static void instance_failed(struct fetch *fetch, const struct http_result *result, const char *what)
{
    const char *endpoint = fetch->source->instance.endpoint;

    if (result->error != 0) {
        fetch_fail(fetch, result->error,
                   "%s could not be reached (%s): this is no EC2 instance, or a container on one "
                   "whose metadata hop limit is 1",
                   endpoint, result->detail);
    } else if (result->status == 404) {
        fetch_fail(fetch, ERR_NOT_FOUND, "%s: %s is not there: the instance has no role", endpoint,
                   what);
    } else {
        fetch_fail(fetch, ERR_DENIED, "%s: %s: HTTP %d", endpoint, what, result->status);
    }
}

static void ask_instance(struct fetch *fetch, const char *path,
                         void (*answered)(struct fetch *fetch, const struct http_result *result))
{
    struct fetch_request request = {
        .method = "GET",
        .url = fetch_text(fetch, "%s%s", fetch->source->instance.endpoint, path),
        .client = fetch->env.local,
        .timeout_ns = fetch->source->instance.timeout_ns,
        .tries = fetch->source->instance.attempts};

    fetch_header(&request, "X-aws-ec2-metadata-token", buf_str(&fetch->text));
    fetch_ask(fetch, &request, answered);
}

static void on_instance_keys(struct fetch *fetch, const struct http_result *result)
{
    struct credentials *credentials = NULL;
    struct error e = {0};
    struct json json;
    char code[64] = "Success";

    if (result->error != 0 || result->status != 200) {
        instance_failed(fetch, result, "the credentials of the role");
        return;
    }
    if (json_parse(&json, result->body, JSON_STRICT, NULL) == 0) {
        struct str said = json_string(json_get(json.root, "Code"));
        if (said.ptr != NULL) {
            (void)str_copy(code, sizeof(code), said);
        }
        json_done(&json);
    }
    if (strcmp(code, "Success") != 0) {
        fetch_fail(fetch, ERR_DENIED, "the role of the instance gives no credentials: %s", code);
    } else if (fetch_answer_json(result->body, &names, STR("instance metadata"), &credentials,
                                 &e) != 0) {
        fetch_fail(fetch, ERR_PROTOCOL, "%s", e.text);
    } else {
        fetch_end(fetch, credentials, NULL);
    }
}

static void on_role_name(struct fetch *fetch, const struct http_result *result)
{
    struct str rest = result->body, name;
    char path[sizeof(ROLES_PATH) + NAME_MAX_BYTES];

    if (result->error != 0 || result->status != 200) {
        instance_failed(fetch, result, "its role");
        return;
    }
    (void)str_next(&rest, '\n', &name);
    name = str_trim(name);
    if (name.len == 0 || name.len > NAME_MAX_BYTES) {
        fetch_fail(fetch, ERR_NOT_FOUND, "the instance has no role");
        return;
    }
    (void)snprintf(path, sizeof(path), "%s%.*s", ROLES_PATH, STR_FMT(name));
    ask_instance(fetch, path, on_instance_keys);
}

static void on_session(struct fetch *fetch, const struct http_result *result)
{
    if (result->error != 0 || result->status != 200 || result->body.len == 0) {
        instance_failed(fetch, result, "a session token (IMDSv2)");
        return;
    }
    buf_reset(&fetch->text);
    if (buf_add(&fetch->text, result->body) != 0) {
        fetch_fail(fetch, ERR_TOO_BIG, "the session token is too long");
        return;
    }
    ask_instance(fetch, ROLES_PATH, on_role_name);
}

static void ask_session(struct fetch *fetch)
{
    struct fetch_request request = {
        .method = "PUT",
        .url = fetch_text(fetch, "%s/latest/api/token", fetch->source->instance.endpoint),
        .client = fetch->env.local,
        .timeout_ns = fetch->source->instance.timeout_ns,
        .tries = fetch->source->instance.attempts};

    fetch_header(&request, "X-aws-ec2-metadata-token-ttl-seconds", STR(TOKEN_SECONDS));
    fetch_ask(fetch, &request, on_session);
}

void fetch_instance(struct fetch *fetch)
{
    fetch_work(fetch, fetch_no_work, ask_session);
}
