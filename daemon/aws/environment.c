#include "sluice/aws/environment.h"

#include "profile_file.h"
#include "sluice/base/buf.h"
#include "sluice/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES  ((size_t)1 << 20)
#define ARENA_MAX_BYTES ((size_t)32 << 20)

struct aws_environment {
    struct aws_overrides overrides; /* its strings are in the arena */
    const char *(*getter)(const char *name);
    struct arena arena;
    struct profile_file config, credentials;
    struct str profile;
};

/* ---- variables ---- */

static const char *system_variable(const char *name)
{
    return getenv(name);
}

struct str aws_variable(const struct aws_environment *environment, const char *name)
{
    struct str value = str_from(environment->getter(name));

    return value.len == 0 ? STR_NONE : value;
}

/* ---- files ---- */

/* "~/x" is under HOME; false when that is needed and not set. */
static bool expand(const struct aws_environment *environment, struct str path, char *out,
                   size_t size)
{
    struct str home = aws_variable(environment, "HOME");

    if (!str_starts_with(path, STR("~/"))) {
        return snprintf(out, size, "%.*s", STR_FMT(path)) < (int)size;
    }
    return home.ptr != NULL && snprintf(out, size, "%.*s%.*s", STR_FMT(home), (int)path.len - 1,
                                        path.ptr + 1) < (int)size;
}

/* A directory is no file; neither is there an error in one that is not there. */
static int read_file(const char *path, struct buf *text, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int error = 0;
    ssize_t n = 1;

    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : error_set(e, err_from_errno(errno), path, "cannot be read: %s",
                               strerror(errno));
    }
    while (error == 0 && n != 0) {
        char *room = buf_reserve(text, 4096);
        if (room == NULL) {
            error = error_set(e, buf_failed(text), path, "is larger than 1 MiB");
            break;
        }
        n = read(fd, room, 4096);
        if (n > 0) {
            buf_commit(text, (size_t)n);
        } else if (n < 0 && errno == EISDIR) {
            n = 0;
        } else if (n < 0 && errno != EINTR) {
            error =
                error_set(e, err_from_errno(errno), path, "cannot be read: %s", strerror(errno));
        }
    }
    (void)close(fd);
    return error;
}

static int load(struct aws_environment *environment, struct profile_file *file,
                const char *variable, const char *otherwise, struct error *e)
{
    struct str path = aws_variable(environment, variable);
    struct buf text;
    int error;

    if (!expand(environment, path.ptr == NULL ? str_from(otherwise) : path, file->path,
                sizeof(file->path))) {
        file->path[0] = '\0';
        return 0;
    }
    buf_init(&text, FILE_MAX_BYTES);
    error = read_file(file->path, &text, e);
    if (error == 0) {
        error = profile_file_parse(file, buf_str(&text), &environment->arena, e);
    }
    if (text.ptr != NULL) {
        explicit_bzero(text.ptr, text.cap);
    }
    buf_done(&text);
    return error;
}

/* ---- profiles ---- */

const char *aws_file_path(const struct aws_environment *environment, enum aws_file file)
{
    return file == AWS_FILE_CREDENTIALS ? environment->credentials.path : environment->config.path;
}

struct str aws_profile_name(const struct aws_environment *environment)
{
    return environment->profile;
}

static struct str value_in(const struct profile_file *file, enum profile_section_kind kind,
                           struct str section, const char *key)
{
    const struct profile_entry *entry =
        profile_file_entry(file, profile_file_section(file, kind, section), str_from(key));

    return entry == NULL ? STR_NONE : entry->value;
}

struct str aws_profile_get(const struct aws_environment *environment, enum aws_file file,
                           struct str profile, const char *key)
{
    struct str value = STR_NONE;

    if (file != AWS_FILE_CONFIG) {
        value = value_in(&environment->credentials, SECTION_PROFILE, profile, key);
    }
    if (value.ptr == NULL && file != AWS_FILE_CREDENTIALS) {
        value = value_in(&environment->config, SECTION_PROFILE, profile, key);
    }
    return value;
}

bool aws_profile_exists(const struct aws_environment *environment, struct str profile)
{
    return profile_file_section(&environment->credentials, SECTION_PROFILE, profile) != NULL ||
           profile_file_section(&environment->config, SECTION_PROFILE, profile) != NULL;
}

bool aws_sso_session_exists(const struct aws_environment *environment, struct str session)
{
    return profile_file_section(&environment->config, SECTION_SSO_SESSION, session) != NULL;
}

struct str aws_sso_session_get(const struct aws_environment *environment, struct str session,
                               const char *key)
{
    return value_in(&environment->config, SECTION_SSO_SESSION, session, key);
}

struct str aws_services_endpoint(const struct aws_environment *environment, struct str services,
                                 const char *service)
{
    const struct profile_section *section =
        profile_file_section(&environment->config, SECTION_SERVICES, services);
    const struct profile_entry *entry =
        profile_file_entry(&environment->config, section, str_from(service));

    for (entry = entry == NULL ? NULL : entry->nested; entry != NULL; entry = entry->next) {
        if (str_equal(entry->key, STR("endpoint_url"))) {
            return entry->value;
        }
    }
    return STR_NONE;
}

/* ---- reading it all ---- */

const struct aws_overrides *aws_environment_overrides(const struct aws_environment *environment)
{
    return &environment->overrides;
}

static const char *copy(struct aws_environment *environment, const char *text)
{
    return text == NULL ? NULL : arena_dup(&environment->arena, text, strlen(text));
}

/* AWS_DEFAULT_PROFILE comes first: that is what botocore does. */
static int choose_profile(struct aws_environment *environment, struct error *e)
{
    const struct str candidates[] = {str_from(environment->overrides.profile),
                                     aws_variable(environment, "AWS_DEFAULT_PROFILE"),
                                     aws_variable(environment, "AWS_PROFILE")};

    environment->profile = STR("default");
    for (size_t i = 0; i < SL_COUNT(candidates); i++) {
        if (candidates[i].len == 0) {
            continue;
        }
        environment->profile = candidates[i];
        if (aws_profile_exists(environment, candidates[i])) {
            return 0;
        }
        return error_set(e, ERR_NOT_FOUND, i == 0 ? "aws.profile" : "AWS_PROFILE",
                         "there is no profile \"%.*s\" in %s or %s: add it there, or name another "
                         "one",
                         STR_FMT(candidates[i]),
                         environment->config.path[0] == '\0' ? "~/.aws/config (HOME is not set)"
                                                             : environment->config.path,
                         environment->credentials.path[0] == '\0' ? "~/.aws/credentials"
                                                                  : environment->credentials.path);
    }
    return 0;
}

int aws_environment_read(const struct aws_overrides *overrides,
                         const char *(*getter)(const char *name), struct aws_environment **ret,
                         struct error *e)
{
    struct aws_environment *environment = MEM_NEW(struct aws_environment);
    int error;

    arena_init(&environment->arena, ARENA_MAX_BYTES);
    environment->getter = getter == NULL ? system_variable : getter;
    if (overrides != NULL) {
        environment->overrides = (struct aws_overrides){
            copy(environment, overrides->profile), copy(environment, overrides->region),
            copy(environment, overrides->endpoint), overrides->use_fips, overrides->use_dualstack};
    }
    environment->credentials.is_credentials = true;
    error = load(environment, &environment->config, "AWS_CONFIG_FILE", "~/.aws/config", e);
    if (error == 0) {
        error = load(environment, &environment->credentials, "AWS_SHARED_CREDENTIALS_FILE",
                     "~/.aws/credentials", e);
    }
    if (error == 0) {
        error = choose_profile(environment, e);
    }
    if (error != 0) {
        aws_environment_free(environment);
        return error;
    }
    *ret = environment;
    return 0;
}

void aws_environment_free(struct aws_environment *environment)
{
    if (environment != NULL) {
        arena_wipe(&environment->arena);
        arena_done(&environment->arena);
        free(environment);
    }
}
