#include "sluice/aws/credentials.h"

#include "sluice/base/buf.h"
#include "sluice/base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)

/* ---- the value ---- */

static struct str copy_of(struct str text)
{
    return text.ptr == NULL ? STR_NONE : (struct str){mem_dup(text.ptr, text.len), text.len};
}

static void wipe(struct str *text)
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

struct credentials *credentials_new(struct str access_key_id, struct str secret_access_key,
                                    struct str session_token)
{
    struct credentials *c = MEM_NEW(struct credentials);
    c->access_key_id = copy_of(access_key_id);
    c->secret_access_key = copy_of(secret_access_key);
    c->session_token = session_token.len == 0 ? STR_NONE : copy_of(session_token);
    (void)str_copy(c->source, sizeof(c->source), STR("given"));
    return c;
}

void credentials_free(struct credentials *credentials)
{
    if (credentials != NULL) {
        wipe(&credentials->access_key_id);
        wipe(&credentials->secret_access_key);
        wipe(&credentials->session_token);
        wipe(&credentials->region);
        free(credentials);
    }
}

/* ---- the environment ---- */

/* An empty variable counts as unset, as everywhere in the AWS tools. */
static struct str environment(const char *name)
{
    struct str value = str_from(getenv(name));
    return value.len == 0 ? STR_NONE : value;
}

/* 0 with *ret NULL when there are no keys in the environment. */
static int from_environment(struct credentials **ret, struct error *e)
{
    struct str id = environment("AWS_ACCESS_KEY_ID");
    struct str secret = environment("AWS_SECRET_ACCESS_KEY");
    if (id.ptr == NULL && secret.ptr == NULL) {
        return ERR_OK;
    }
    if (id.ptr == NULL || secret.ptr == NULL) {
        return error_set(e, ERR_NOT_FOUND, "environment",
                         "%s is set, but %s is not: set both, or none to use the credentials file",
                         id.ptr != NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                         id.ptr == NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
    }
    *ret = credentials_new(id, secret, environment("AWS_SESSION_TOKEN"));
    (void)str_copy((*ret)->source, sizeof((*ret)->source), STR("environment"));
    return ERR_OK;
}

/* ---- the file ---- */

struct profile {
    struct str id, secret, token, region; /* borrowed from the text */
    struct str unsupported;               /* the key that would need more than a file */
    bool found;
};

/* Empty and false when neither the variable nor HOME says where. */
static bool file_path(char *out, size_t size)
{
    struct str path = environment("AWS_SHARED_CREDENTIALS_FILE");
    struct str home = environment("HOME");
    out[0] = '\0';
    if (path.ptr != NULL && !str_starts_with(path, STR("~/"))) {
        (void)str_copy(out, size, path);
        return true;
    }
    if (home.ptr == NULL) {
        return false;
    }
    const char *rest = path.ptr == NULL ? "/.aws/credentials" : path.ptr + 1;
    return snprintf(out, size, "%.*s%s", STR_FMT(home), rest) < (int)size;
}

static int read_file(const char *path, struct buf *out, struct error *e)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT || errno == ENOTDIR
                   ? ERR_NOT_FOUND
                   : error_set(e, err_from_errno(errno), path, "cannot be read: %s",
                               strerror(errno));
    }
    char chunk[4096];
    size_t count;
    int rc = ERR_OK;
    while (rc == ERR_OK && (count = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        rc = buf_append(out, chunk, count);
    }
    if (rc == ERR_OK && ferror(file) != 0) {
        rc = ERR_IO;
    }
    (void)fclose(file);
    explicit_bzero(chunk, sizeof(chunk));
    return rc == ERR_OK ? ERR_OK : error_set(e, rc, path, "cannot be read: %s", err_text(rc));
}

static void profile_set(struct profile *profile, struct str key, struct str value)
{
    static const char *const unsupported[] = {"role_arn", "credential_process", "sso_session",
                                              "sso_start_url", "web_identity_token_file"};
    if (str_equal(key, STR("aws_access_key_id"))) {
        profile->id = value;
    } else if (str_equal(key, STR("aws_secret_access_key"))) {
        profile->secret = value;
    } else if (str_equal(key, STR("aws_session_token")) ||
               str_equal(key, STR("aws_security_token"))) {
        profile->token = value;
    } else if (str_equal(key, STR("region"))) {
        profile->region = value;
    }
    for (size_t i = 0; i < SL_COUNT(unsupported); i++) {
        if (str_equal(key, str_from(unsupported[i]))) {
            profile->unsupported = key;
        }
    }
}

static struct str trim_line(struct str line)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
        line.len--;
    }
    return str_trim(line);
}

/* INI: [section], key = value, comments with # and ;. Indented lines are nested settings of other
 * tools and mean nothing here. */
static int parse_file(struct str text, struct str name, const char *path, struct profile *ret,
                      struct error *e)
{
    struct str line;
    bool inside = false;
    for (unsigned number = 1; str_next(&text, '\n', &line); number++) {
        bool indented = line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
        line = trim_line(line);
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';' || indented) {
            continue;
        }
        if (line.ptr[0] == '[') {
            if (line.ptr[line.len - 1] != ']') {
                return error_set(e, ERR_SYNTAX, path, "line %u: a section needs its ']'", number);
            }
            inside = str_equal(str_trim((struct str){line.ptr + 1, line.len - 2}), name);
            ret->found = ret->found || inside;
            continue;
        }
        struct str key;
        (void)str_next(&line, '=', &key);
        if (line.ptr == NULL) {
            return error_set(e, ERR_SYNTAX, path, "line %u: expected key = value", number);
        }
        if (inside) {
            profile_set(ret, str_trim(key), str_trim(line));
        }
    }
    return ERR_OK;
}

static int profile_incomplete(const struct profile *profile, struct str name, const char *path,
                              struct error *e)
{
    if (!profile->found) {
        return error_set(e, ERR_NOT_FOUND, path,
                         "has no profile \"%.*s\": add [%.*s] or set "
                         "AWS_PROFILE to one that is there",
                         STR_FMT(name), STR_FMT(name));
    }
    if (profile->unsupported.ptr != NULL) {
        return error_set(
            e, ERR_UNSUPPORTED, path,
            "profile \"%.*s\" uses %.*s, which sluice does not follow: give it keys in "
            "the environment (\"aws configure export-credentials --format env\")",
            STR_FMT(name), STR_FMT(profile->unsupported));
    }
    return error_set(e, ERR_NOT_FOUND, path, "profile \"%.*s\" lacks %s", STR_FMT(name),
                     profile->id.len == 0 ? "aws_access_key_id" : "aws_secret_access_key");
}

static int from_profile(const struct buf *text, const char *path, struct credentials **ret,
                        struct error *e)
{
    struct profile profile = {0};
    struct str name = environment("AWS_PROFILE");
    if (name.ptr == NULL) {
        name = STR("default");
    }
    int rc = parse_file(buf_str(text), name, path, &profile, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (profile.id.len == 0 || profile.secret.len == 0) {
        return profile_incomplete(&profile, name, path, e);
    }
    *ret = credentials_new(profile.id, profile.secret, profile.token);
    (*ret)->region = profile.region.len == 0 ? STR_NONE : copy_of(profile.region);
    (void)snprintf((*ret)->source, sizeof((*ret)->source), "%.200s, profile %.*s", path,
                   STR_FMT(name));
    return ERR_OK;
}

static int from_file(struct credentials **ret, struct error *e)
{
    char path[PATH_MAX];
    if (!file_path(path, sizeof(path))) {
        return error_set(e, ERR_NOT_FOUND, "",
                         "no AWS credentials: tried AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
                         "(not set) and the shared credentials file (neither "
                         "AWS_SHARED_CREDENTIALS_FILE nor HOME is set)");
    }
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    int rc = read_file(path, &text, e);
    if (rc == ERR_NOT_FOUND) {
        (void)error_set(
            e, rc, "",
            "no AWS credentials: tried AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (not "
            "set) and the shared credentials file %s (not there)",
            path);
    } else if (rc == ERR_OK) {
        rc = from_profile(&text, path, ret, e);
    }
    if (text.len > 0) {
        explicit_bzero(text.ptr, text.len);
    }
    buf_done(&text);
    return rc;
}

int credentials_load(struct credentials **ret, struct error *e)
{
    struct credentials *found = NULL;
    int rc = from_environment(&found, e);
    if (rc == ERR_OK && found == NULL) {
        rc = from_file(&found, e);
    }
    if (rc == ERR_OK) {
        *ret = found;
    }
    return rc;
}
