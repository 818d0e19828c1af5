#include "sluice/aws/credential_source.h"

#include "sluice/aws/endpoint.h"
#include "sluice/base/clock.h"
#include "sluice/base/digest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NOTES_MAX          16u
#define ROLES_MAX          8u /* one on top of the other */
#define DURATION_DEFAULT_S 3600
/* Constant, so that a policy may name it (sts:RoleSessionName) and CloudTrail shows who it is. */
#define SESSION_NAME     "sluice"
#define CONTAINER_HOST   "http://169.254.170.2"
#define INSTANCE_HOST    "http://169.254.169.254"
#define INSTANCE_HOST_V6 "http://[fd00:ec2::254]"

struct finder {
    const struct aws_environment *env;
    const char *region;
    struct arena *arena;
    struct error *e;
    struct credential_note notes[NOTES_MAX];
    uint32_t note_count;
    struct str visited[ROLES_MAX];
    uint32_t visited_count;
};

/* ---- small things ---- */

static const char *text(struct finder *f, const char *format, ...) SL_PRINTF(2, 3);

/* In the arena; "" when that is full, which only shortens what people read. */
static const char *text(struct finder *f, const char *format, ...)
{
    char out[1536];
    va_list args;
    const char *kept;

    va_start(args, format);
    vsnprintf(out, sizeof(out), format, args);
    va_end(args);
    kept = arena_dup(f->arena, out, strlen(out));
    return kept == NULL ? "" : kept;
}

static void note(struct finder *f, const char *provider, const char *why)
{
    if (f->note_count < NOTES_MAX) {
        f->notes[f->note_count++] = (struct credential_note){provider, why};
    }
}

static struct credential_source *source_new(struct finder *f, enum credential_source_kind kind,
                                            const char *said_by)
{
    struct credential_source *source = arena_alloc(f->arena, sizeof(*source));

    if (source == NULL) {
        (void)error_set(f->e, ERR_NOMEM, "", "out of memory");
        return NULL;
    }
    source->kind = kind;
    source->said_by = said_by;
    return source;
}

static struct str get(const struct finder *f, struct str profile, const char *key)
{
    return aws_profile_get(f->env, AWS_FILE_EITHER, profile, key);
}

static const char *said_by_profile(struct finder *f, enum aws_file file, struct str profile)
{
    return text(f, "%s, profile %.*s", aws_file_path(f->env, file), STR_FMT(profile));
}

/* Region and endpoint of STS for a role. */
static int place_role(struct finder *f, struct credential_source *source)
{
    char region[AWS_REGION_MAX] = "";

    if (f->region != NULL) {
        (void)str_copy(region, sizeof(region), str_from(f->region));
    } else if (aws_region_find(f->env, STR_NONE, region, f->e) != 0) {
        return ERR_NOT_FOUND;
    }
    int error = aws_endpoint_find(f->env, AWS_STS, region, source->role.endpoint, f->e);
    (void)str_copy(source->role.region, sizeof(source->role.region),
                   str_from(aws_endpoint_region(source->role.endpoint, region)));
    return error;
}

/* ---- keys ---- */

static int from_variables(struct finder *f, const struct credential_source **ret)
{
    struct str id = aws_variable(f->env, "AWS_ACCESS_KEY_ID");
    struct str secret = aws_variable(f->env, "AWS_SECRET_ACCESS_KEY");
    struct str token = aws_variable(f->env, "AWS_SECURITY_TOKEN");

    if (id.ptr == NULL && secret.ptr == NULL) {
        note(f, "environment", "no AWS_ACCESS_KEY_ID");
        return 0;
    }
    if (id.ptr == NULL || secret.ptr == NULL) {
        return error_set(f->e, ERR_INVALID, "environment",
                         "%s is set, but %s is not: set both, or none to use another source",
                         id.ptr != NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                         id.ptr == NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
    }
    struct credential_source *source = source_new(f, CREDENTIAL_SOURCE_STATIC, "environment");
    if (source == NULL) {
        return ERR_NOMEM;
    }
    source->keys.access_key_id = id;
    source->keys.secret_access_key = secret;
    source->keys.session_token =
        token.ptr != NULL ? token : aws_variable(f->env, "AWS_SESSION_TOKEN");
    source->keys.expires = aws_variable(f->env, "AWS_CREDENTIAL_EXPIRATION");
    *ret = source;
    return 0;
}

static int from_file(struct finder *f, struct str profile, enum aws_file file,
                     const struct credential_source **ret)
{
    struct str id = aws_profile_get(f->env, file, profile, "aws_access_key_id");
    struct str secret = aws_profile_get(f->env, file, profile, "aws_secret_access_key");
    struct str token = aws_profile_get(f->env, file, profile, "aws_security_token");

    if (id.len == 0) {
        note(f, file == AWS_FILE_CREDENTIALS ? "credentials file" : "config file",
             aws_file_path(f->env, file)[0] == '\0'
                 ? "no HOME"
                 : text(f, "no keys in %s", said_by_profile(f, file, profile)));
        return 0;
    }
    if (secret.len == 0) {
        return error_set(f->e, ERR_NOT_FOUND, aws_file_path(f->env, file),
                         "profile \"%.*s\" has aws_access_key_id, but lacks aws_secret_access_key",
                         STR_FMT(profile));
    }
    struct credential_source *source =
        source_new(f, CREDENTIAL_SOURCE_STATIC, said_by_profile(f, file, profile));
    if (source == NULL) {
        return ERR_NOMEM;
    }
    source->keys.access_key_id = id;
    source->keys.secret_access_key = secret;
    source->keys.session_token =
        token.ptr != NULL ? token : aws_profile_get(f->env, file, profile, "aws_session_token");
    *ret = source;
    return 0;
}

/* ---- web identity ---- */

/* A variable comes before the profile's key, one by one, unless a role asks for this profile. */
static struct str web_value(const struct finder *f, struct str profile, bool variables,
                            const char *variable, const char *key)
{
    struct str value = variables ? aws_variable(f->env, variable) : STR_NONE;

    return value.ptr != NULL ? value : get(f, profile, key);
}

static int from_web_identity(struct finder *f, struct str profile, bool variables,
                             const struct credential_source **ret)
{
    struct str file =
        web_value(f, profile, variables, "AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
    struct str arn = web_value(f, profile, variables, "AWS_ROLE_ARN", "role_arn");
    struct str name =
        web_value(f, profile, variables, "AWS_ROLE_SESSION_NAME", "role_session_name");

    if (file.len == 0) {
        note(f, "web identity", "no AWS_WEB_IDENTITY_TOKEN_FILE");
        return 0;
    }
    if (arn.len == 0) {
        return error_set(f->e, ERR_INVALID, "AWS_WEB_IDENTITY_TOKEN_FILE",
                         "is set, but no role to assume with it: set AWS_ROLE_ARN or the profile's "
                         "role_arn");
    }
    bool by_variable = variables && aws_variable(f->env, "AWS_WEB_IDENTITY_TOKEN_FILE").ptr != NULL;
    struct credential_source *source =
        source_new(f, CREDENTIAL_SOURCE_WEB_IDENTITY,
                   by_variable ? "environment" : said_by_profile(f, AWS_FILE_CONFIG, profile));
    if (source == NULL) {
        return ERR_NOMEM;
    }
    source->role.arn = arn;
    source->role.token_file = file;
    source->role.session_name = name.len > 0 ? name : STR(SESSION_NAME);
    source->role.duration_s = DURATION_DEFAULT_S;
    *ret = source;
    return place_role(f, source);
}

/* ---- SSO ---- */

/* Of the profile, else of the sso-session that it names. */
static int sso_value(struct finder *f, struct str profile, struct str session, const char *key,
                     struct str *ret)
{
    struct str own = get(f, profile, key);
    struct str of_session =
        session.ptr == NULL ? STR_NONE : aws_sso_session_get(f->env, session, key);

    if (own.len > 0 && of_session.len > 0 && !str_equal(own, of_session)) {
        return error_set(f->e, ERR_INVALID, aws_file_path(f->env, AWS_FILE_CONFIG),
                         "%s is \"%.*s\" in profile \"%.*s\" and \"%.*s\" in its sso-session: "
                         "leave one of them out",
                         key, STR_FMT(own), STR_FMT(profile), STR_FMT(of_session));
    }
    *ret = own.len > 0 ? own : of_session;
    if (ret->len == 0) {
        return error_set(f->e, ERR_INVALID, aws_file_path(f->env, AWS_FILE_CONFIG),
                         "profile \"%.*s\" uses SSO, but lacks %s", STR_FMT(profile), key);
    }
    return 0;
}

/* Where the AWS CLI keeps the token of a login. */
static int sso_cache_path(struct finder *f, struct credential_source *source)
{
    uint8_t sha1[DIGEST_SHA1_BYTES];
    char hex[2 * DIGEST_SHA1_BYTES + 1];
    struct str home = aws_variable(f->env, "HOME");

    if (home.ptr == NULL) {
        return error_set(f->e, ERR_INVALID, "HOME",
                         "is not set: the token of an SSO login is under it");
    }
    digest_sha1(source->sso.cache_key, sha1);
    digest_hex(sha1, sizeof(sha1), hex);
    int len = snprintf(source->sso.cache_path, sizeof(source->sso.cache_path),
                       "%.*s/.aws/sso/cache/%s.json", STR_FMT(home), hex);
    return len < (int)sizeof(source->sso.cache_path)
               ? 0
               : error_set(f->e, ERR_TOO_BIG, "HOME", "is too long");
}

static int place_sso(struct finder *f, struct credential_source *source)
{
    char region[AWS_REGION_MAX];

    (void)str_copy(region, sizeof(region), source->sso.region);
    int error = aws_endpoint_find(f->env, AWS_SSO, region, source->sso.endpoint, f->e);
    if (error == 0) {
        error = aws_endpoint_find(f->env, AWS_SSO_OIDC, region, source->sso.oidc_endpoint, f->e);
    }
    return error == 0 ? sso_cache_path(f, source) : error;
}

static int from_sso(struct finder *f, struct str profile, const struct credential_source **ret)
{
    struct str session = get(f, profile, "sso_session");
    struct str start_url;
    int error;

    if (get(f, profile, "sso_role_name").ptr == NULL &&
        get(f, profile, "sso_account_id").ptr == NULL) {
        note(f, "SSO", "not in the profile");
        return 0;
    }
    if (session.len > 0 && !aws_sso_session_exists(f->env, session)) {
        return error_set(f->e, ERR_NOT_FOUND, aws_file_path(f->env, AWS_FILE_CONFIG),
                         "profile \"%.*s\" names the sso-session \"%.*s\", which is not there",
                         STR_FMT(profile), STR_FMT(session));
    }
    struct credential_source *source =
        source_new(f, CREDENTIAL_SOURCE_SSO, said_by_profile(f, AWS_FILE_CONFIG, profile));
    if (source == NULL) {
        return ERR_NOMEM;
    }
    error = sso_value(f, profile, session, "sso_role_name", &source->sso.role_name);
    if (error == 0) {
        error = sso_value(f, profile, session, "sso_account_id", &source->sso.account_id);
    }
    if (error == 0) {
        error = sso_value(f, profile, session, "sso_start_url", &start_url);
    }
    if (error == 0) {
        error = sso_value(f, profile, session, "sso_region", &source->sso.region);
    }
    if (error != 0) {
        return error;
    }
    source->sso.cache_key = session.len > 0 ? session : start_url;
    *ret = source;
    return place_sso(f, source);
}

/* ---- process ---- */

static int from_process(struct finder *f, struct str profile, const struct credential_source **ret)
{
    struct str command = get(f, profile, "credential_process");

    if (command.len == 0) {
        note(f, "credential_process", "not in the profile");
        return 0;
    }
    struct credential_source *source =
        source_new(f, CREDENTIAL_SOURCE_PROCESS, said_by_profile(f, AWS_FILE_CONFIG, profile));
    if (source == NULL) {
        return ERR_NOMEM;
    }
    source->command = command;
    *ret = source;
    return 0;
}

/* ---- container ---- */

/* Plain http goes to hosts that are this machine, or the agents of ECS and EKS. */
static bool is_near(struct str host)
{
    static const char *const hosts[] = {"localhost",    "::1",   "169.254.170.2", "169.254.170.23",
                                        "fd00:ec2::23", "[::1]", "[fd00:ec2::23]"};

    for (size_t i = 0; i < SL_COUNT(hosts); i++) {
        if (str_equal_nocase(host, str_from(hosts[i]))) {
            return true;
        }
    }
    return str_starts_with(host, STR("127."));
}

static struct str host_of(struct str url)
{
    struct str rest = url, host;

    for (int i = 0; i < 3; i++) {
        (void)str_next(&rest, '/', &host);
    }
    if (host.len > 0 && host.ptr[0] == '[') {
        const char *end = memchr(host.ptr, ']', host.len);
        host.len = end == NULL ? host.len : (size_t)(end - host.ptr) + 1;
    } else if (host.ptr != NULL) {
        struct str port = host;
        (void)str_next(&port, ':', &host);
    }
    return host;
}

static int from_container(struct finder *f, const struct credential_source **ret)
{
    struct str relative = aws_variable(f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    struct str full = aws_variable(f->env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");

    if (relative.ptr == NULL && full.ptr == NULL) {
        note(f, "container endpoint", "no AWS_CONTAINER_CREDENTIALS_FULL_URI");
        return 0;
    }
    struct credential_source *source = source_new(f, CREDENTIAL_SOURCE_CONTAINER, "environment");
    if (source == NULL) {
        return ERR_NOMEM;
    }
    int len = relative.ptr != NULL ? snprintf(source->container.url, sizeof(source->container.url),
                                              "%s%.*s", CONTAINER_HOST, STR_FMT(relative))
                                   : snprintf(source->container.url, sizeof(source->container.url),
                                              "%.*s", STR_FMT(full));
    bool is_http = str_starts_with(str_from(source->container.url), STR("http://"));
    bool is_https = str_starts_with(str_from(source->container.url), STR("https://"));
    if (len >= (int)sizeof(source->container.url) || (!is_http && !is_https) ||
        (relative.ptr != NULL && relative.ptr[0] != '/')) {
        return error_set(f->e, ERR_INVALID,
                         relative.ptr != NULL ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                              : "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                         "\"%.*s\" is no address: expected %s", (int)(len < 200 ? len : 200),
                         relative.ptr != NULL ? relative.ptr : full.ptr,
                         relative.ptr != NULL ? "a path, \"/…\"" : "an http(s):// URL");
    }
    if (is_http && !is_near(host_of(str_from(source->container.url)))) {
        return error_set(f->e, ERR_INVALID, "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                         "\"%.200s\": http:// is only for this machine and the agents of ECS and "
                         "EKS; use https://",
                         source->container.url);
    }
    source->container.token_file = aws_variable(f->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    source->container.token = aws_variable(f->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    *ret = source;
    return 0;
}

/* ---- instance metadata ---- */

static struct str either(const struct finder *f, const char *variable, const char *key)
{
    struct str value = aws_variable(f->env, variable);

    return value.ptr != NULL ? value : get(f, aws_profile_name(f->env), key);
}

static int from_instance(struct finder *f, const struct credential_source **ret)
{
    struct str endpoint =
        either(f, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
    struct str mode =
        either(f, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");
    struct str timeout = either(f, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout");
    struct str attempts =
        either(f, "AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts");
    int64_t seconds = 1;

    if (str_equal_nocase(aws_variable(f->env, "AWS_EC2_METADATA_DISABLED"), STR("true"))) {
        note(f, "instance metadata", "AWS_EC2_METADATA_DISABLED");
        return 0;
    }
    struct credential_source *source =
        source_new(f, CREDENTIAL_SOURCE_INSTANCE, "instance metadata");
    if (source == NULL) {
        return ERR_NOMEM;
    }
    source->instance.named = endpoint.ptr != NULL;
    if (endpoint.ptr == NULL) {
        endpoint = str_equal_nocase(mode, STR("ipv6")) ? STR(INSTANCE_HOST_V6) : STR(INSTANCE_HOST);
    }
    while (endpoint.len > 0 && endpoint.ptr[endpoint.len - 1] == '/') {
        endpoint.len--;
    }
    if (!str_starts_with(endpoint, STR("http")) ||
        endpoint.len >= sizeof(source->instance.endpoint)) {
        return error_set(f->e, ERR_INVALID, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                         "\"%.*s\" is no http:// URL",
                         (int)(endpoint.len < 200 ? endpoint.len : 200), endpoint.ptr);
    }
    (void)str_copy(source->instance.endpoint, sizeof(source->instance.endpoint), endpoint);
    source->instance.attempts = 1;
    if ((timeout.ptr != NULL && str_to_i64(timeout, 1, 3600, &seconds) != 0) ||
        (attempts.ptr != NULL && str_to_i64(attempts, 1, 100, &source->instance.attempts) != 0)) {
        return error_set(f->e, ERR_INVALID,
                         "AWS_METADATA_SERVICE_TIMEOUT, AWS_METADATA_SERVICE_NUM_ATTEMPTS",
                         "expected whole numbers from 1 on");
    }
    source->instance.timeout_ns = seconds * NS_PER_S;
    *ret = source;
    return 0;
}

/* ---- roles ---- */

static bool has_keys(const struct finder *f, struct str profile)
{
    return get(f, profile, "aws_access_key_id").ptr != NULL ||
           get(f, profile, "aws_secret_access_key").ptr != NULL;
}

static bool has_role(const struct finder *f, struct str profile)
{
    return get(f, profile, "role_arn").ptr != NULL &&
           get(f, profile, "web_identity_token_file").ptr == NULL;
}

/* What belongs to a profile, without the variables and the machine. */
static int from_profile(struct finder *f, struct str profile, bool variables,
                        const struct credential_source **ret)
{
    int error = from_web_identity(f, profile, variables, ret);

    if (error == 0 && *ret == NULL) {
        error = from_sso(f, profile, ret);
    }
    if (error == 0 && *ret == NULL) {
        error = from_file(f, profile, AWS_FILE_CREDENTIALS, ret);
    }
    if (error == 0 && *ret == NULL) {
        error = from_process(f, profile, ret);
    }
    if (error == 0 && *ret == NULL) {
        error = from_file(f, profile, AWS_FILE_CONFIG, ret);
    }
    return error;
}

static int from_role(struct finder *f, struct str profile, const struct credential_source **ret);

static int signer_by_name(struct finder *f, struct str profile, struct str name,
                          const struct credential_source **ret)
{
    int error;

    if (str_equal(name, STR("Environment"))) {
        error = from_variables(f, ret);
    } else if (str_equal(name, STR("EcsContainer"))) {
        error = from_container(f, ret);
    } else if (str_equal(name, STR("Ec2InstanceMetadata"))) {
        error = from_instance(f, ret);
    } else {
        return error_set(f->e, ERR_INVALID, aws_file_path(f->env, AWS_FILE_CONFIG),
                         "profile \"%.*s\": credential_source is \"%.*s\": expected Environment, "
                         "Ec2InstanceMetadata or EcsContainer",
                         STR_FMT(profile), STR_FMT(name));
    }
    if (error == 0 && *ret == NULL) {
        error = error_set(f->e, ERR_NOT_FOUND, aws_file_path(f->env, AWS_FILE_CONFIG),
                          "profile \"%.*s\": its credential_source %.*s has no credentials: %s",
                          STR_FMT(profile), STR_FMT(name), f->notes[f->note_count - 1].why);
    }
    return error;
}

static int signer_by_profile(struct finder *f, struct str profile, struct str name,
                             const struct credential_source **ret)
{
    const char *path = aws_file_path(f->env, AWS_FILE_CONFIG);
    int error;

    if (!aws_profile_exists(f->env, name)) {
        return error_set(f->e, ERR_NOT_FOUND, path,
                         "profile \"%.*s\": its source_profile \"%.*s\" is not there",
                         STR_FMT(profile), STR_FMT(name));
    }
    for (uint32_t i = 0; i < f->visited_count; i++) {
        bool itself = str_equal(name, profile) && has_keys(f, name);
        if ((str_equal(f->visited[i], name) && !itself) || f->visited_count == ROLES_MAX) {
            return error_set(f->e, ERR_INVALID, path,
                             "profile \"%.*s\": its source_profile \"%.*s\" leads back to itself",
                             STR_FMT(profile), STR_FMT(name));
        }
    }
    if (has_role(f, name) && !has_keys(f, name)) {
        return from_role(f, name, ret);
    }
    error = from_profile(f, name, false, ret);
    if (error == 0 && *ret == NULL) {
        error = error_set(f->e, ERR_NOT_FOUND, path,
                          "profile \"%.*s\": its source_profile \"%.*s\" has no credentials",
                          STR_FMT(profile), STR_FMT(name));
    }
    return error;
}

/* Who asks STS for the role of the profile. */
static int find_signer(struct finder *f, struct str profile, const struct credential_source **ret)
{
    struct str by_profile = get(f, profile, "source_profile");
    struct str by_name = get(f, profile, "credential_source");
    const char *path = aws_file_path(f->env, AWS_FILE_CONFIG);

    f->visited[f->visited_count++] = profile;
    if (get(f, profile, "mfa_serial").ptr != NULL) {
        return error_set(f->e, ERR_INVALID, path,
                         "profile \"%.*s\" has mfa_serial: a daemon has nobody who types the code. "
                         "Use a role that does not ask for it",
                         STR_FMT(profile));
    }
    if (by_profile.ptr != NULL && by_name.ptr != NULL) {
        return error_set(f->e, ERR_INVALID, path,
                         "profile \"%.*s\" has source_profile and credential_source: one of both",
                         STR_FMT(profile));
    }
    if (by_name.ptr != NULL) {
        return signer_by_name(f, profile, by_name, ret);
    }
    if (by_profile.ptr != NULL) {
        return signer_by_profile(f, profile, by_profile, ret);
    }
    return error_set(f->e, ERR_INVALID, path,
                     "profile \"%.*s\" has role_arn, but neither source_profile nor "
                     "credential_source",
                     STR_FMT(profile));
}

static int from_role(struct finder *f, struct str profile, const struct credential_source **ret)
{
    struct credential_source *source =
        source_new(f, CREDENTIAL_SOURCE_ASSUME_ROLE, said_by_profile(f, AWS_FILE_CONFIG, profile));
    struct str name = get(f, profile, "role_session_name");
    struct str duration = get(f, profile, "duration_seconds");
    int error;

    if (source == NULL) {
        return ERR_NOMEM;
    }
    source->role.arn = get(f, profile, "role_arn");
    source->role.external_id = get(f, profile, "external_id");
    source->role.session_name = name.len > 0 ? name : STR(SESSION_NAME);
    source->role.duration_s = DURATION_DEFAULT_S;
    if (duration.ptr != NULL && str_to_i64(duration, 900, 43200, &source->role.duration_s) != 0) {
        return error_set(f->e, ERR_INVALID, aws_file_path(f->env, AWS_FILE_CONFIG),
                         "profile \"%.*s\": duration_seconds is \"%.*s\": expected 900 … 43200",
                         STR_FMT(profile), STR_FMT(duration));
    }
    error = find_signer(f, profile, &source->role.signs);
    if (error == 0) {
        error = place_role(f, source);
    }
    *ret = source;
    return error;
}

/* ---- the order ---- */

int credential_chain_find(const struct aws_environment *environment, const char *region,
                          struct arena *arena, struct credential_chain *ret, struct error *e)
{
    struct finder f = {.env = environment, .region = region, .arena = arena, .e = e};
    struct str profile = aws_profile_name(environment);
    const struct credential_source *found = NULL;
    int error = from_variables(&f, &found);

    if (error == 0 && found == NULL) {
        if (has_role(&f, profile)) {
            error = from_role(&f, profile, &found);
        } else {
            note(&f, "role", "not in the profile");
        }
    }
    if (error == 0 && found == NULL) {
        error = from_profile(&f, profile, true, &found);
    }
    if (error == 0 && found == NULL) {
        error = from_container(&f, &found);
    }
    if (error == 0 && found == NULL) {
        error = from_instance(&f, &found);
    }
    if (error != 0) {
        return error;
    }
    struct credential_note *notes = arena_alloc(arena, sizeof(f.notes));
    if (notes == NULL) {
        return error_set(e, ERR_NOMEM, "", "out of memory");
    }
    memcpy(notes, f.notes, sizeof(f.notes));
    *ret = (struct credential_chain){found, notes, f.note_count};
    return 0;
}

int credential_source_role(const struct aws_environment *environment,
                           const struct credential_role *role, struct arena *arena,
                           const struct credential_source **ret, struct error *e)
{
    struct finder f = {.env = environment, .region = role->region, .arena = arena, .e = e};
    struct credential_source *source =
        source_new(&f, CREDENTIAL_SOURCE_ASSUME_ROLE, "configuration");

    if (source == NULL) {
        return ERR_NOMEM;
    }
    source->role.arn = str_from(role->arn);
    source->role.external_id = str_from(role->external_id);
    source->role.session_name =
        role->session_name == NULL ? STR(SESSION_NAME) : str_from(role->session_name);
    source->role.duration_s = DURATION_DEFAULT_S;
    source->role.signs = role->signs;
    *ret = source;
    return place_role(&f, source);
}

int credential_source_instance(const struct aws_environment *environment, struct arena *arena,
                               const struct credential_source **ret, struct error *e)
{
    struct finder f = {.env = environment, .arena = arena, .e = e};

    *ret = NULL;
    return from_instance(&f, ret);
}

void credential_chain_describe(const struct credential_chain *chain, char *out, size_t out_size)
{
    size_t at = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < chain->note_count && at < out_size; i++) {
        int len = snprintf(out + at, out_size - at, "%s%s: %s", i == 0 ? "" : "; ",
                           chain->notes[i].provider, chain->notes[i].why);
        at += len > 0 ? (size_t)len : 0;
    }
}

const char *credential_source_name(enum credential_source_kind kind)
{
    static const char *const names[] = {
#define XX(name, text) (text),
        CREDENTIAL_SOURCE_MAP(XX)
#undef XX
    };

    return names[kind];
}
