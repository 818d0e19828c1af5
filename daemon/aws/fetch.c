#include "fetch.h"

#include "fetch_answer.h"
#include "sluice/base/json.h"
#include "sluice/base/words.h"
#include "sluice/runtime/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA_MAX_BYTES    ((size_t)256 << 10)
#define TEXT_MAX_BYTES     ((size_t)64 << 10)
#define ERRORS_MAX_BYTES   ((size_t)4 << 10)
#define AGAIN_NS           NS_PER_S
#define COMMAND_TIMEOUT_NS (60 * NS_PER_S)
#define LINE_MAX_BYTES     160 /* of a command's errors, in ours */

/* ---- its life ---- */

static void wipe(struct buf *buf)
{
    if (buf->ptr != NULL) {
        explicit_bzero(buf->ptr, buf->cap);
    }
    buf_done(buf);
}

static void fetch_free(struct fetch *fetch)
{
    loop_timer_clear(fetch->env.loop, &fetch->again);
    fetch_sso_done(fetch->login);
    credentials_unref(fetch->signing);
    wipe(&fetch->text);
    wipe(&fetch->errors);
    arena_wipe(&fetch->arena);
    arena_done(&fetch->arena);
    free(fetch);
}

void fetch_end(struct fetch *fetch, struct credentials *credentials, const struct error *why)
{
    fetch_done done = fetch->done;
    void *context = fetch->context;
    struct error copy = {0};

    if (why != NULL) {
        copy = *why;
    }
    fetch_free(fetch);
    done(context, credentials, credentials == NULL ? &copy : NULL, loop_now());
}

void fetch_fail(struct fetch *fetch, int code, const char *format, ...)
{
    char text[sizeof(((struct error *)0)->text)];
    struct error e;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)error_set(&e, code, fetch->source->said_by, "%s: %s",
                    credential_source_name(fetch->source->kind), text);
    fetch_end(fetch, NULL, &e);
}

const char *fetch_text(struct fetch *fetch, const char *format, ...)
{
    char out[8192];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(out, sizeof(out), format, args);
    va_end(args);
    const char *kept =
        len < 0 || len >= (int)sizeof(out) ? NULL : arena_dup(&fetch->arena, out, (size_t)len);
    explicit_bzero(out, sizeof(out));
    return kept;
}

/* ---- a request ---- */

void fetch_header(struct fetch_request *request, const char *name, struct str value)
{
    SL_ASSERT(request->header_count < FETCH_HEADERS_MAX);
    request->headers[request->header_count++] = (struct http_header){str_from(name), value};
}

static void ask(struct fetch *fetch);

static bool ends_canceled(struct fetch *fetch)
{
    bool canceled = atomic_load(&fetch->canceled);

    if (canceled) {
        fetch_fail(fetch, ERR_CANCELED, "canceled");
    }
    return canceled;
}

static void on_again(void *context, mono_ns now)
{
    struct fetch *fetch = context;

    (void)now;
    fetch->again.callback = NULL;
    if (!ends_canceled(fetch)) {
        ask(fetch);
    }
}

static void on_answer(void *context, const struct http_result *result, mono_ns now)
{
    struct fetch *fetch = context;
    bool passes = result->error != 0 ? err_class(result->error) == ERR_CLASS_TRANSIENT
                                     : result->status >= 500 || result->status == 429;

    fetch->call = NULL;
    if (ends_canceled(fetch)) {
        return;
    }
    if (passes && ++fetch->tries < fetch->request.tries) {
        fetch->again = (struct loop_timer){.callback = on_again, .context = fetch};
        loop_timer_set(fetch->env.loop, &fetch->again, now + AGAIN_NS);
        return;
    }
    fetch->answered(fetch, result);
}

static void ask(struct fetch *fetch)
{
    static const struct http_call_events events = {NULL, on_answer};
    const struct fetch_request *r = &fetch->request;
    const struct http_call_request request = {.method = r->method,
                                              .url = r->url,
                                              .headers = r->headers,
                                              .header_count = r->header_count,
                                              .body = r->body,
                                              .connect_timeout_ns = r->timeout_ns,
                                              .timeout_ns = r->timeout_ns};
    int error = r->url == NULL
                    ? ERR_TOO_BIG
                    : http_client_submit(r->client, &request, &events, fetch, &fetch->call);

    if (error != 0) { /* a header or a URL that cannot be sent: a file with a line break in it */
        fetch_fail(fetch, error, "the request cannot be sent: %s", err_text(error));
    }
}

void fetch_ask(struct fetch *fetch, const struct fetch_request *request,
               void (*answered)(struct fetch *fetch, const struct http_result *result))
{
    fetch->request = *request;
    fetch->answered = answered;
    fetch->tries = 0;
    ask(fetch);
}

/* ---- blocking work ---- */

static void on_worked(void *context)
{
    struct fetch *fetch = context;

    if (!ends_canceled(fetch)) {
        fetch->worked(fetch);
    }
}

void fetch_work(struct fetch *fetch, void (*work)(void *context),
                void (*worked)(struct fetch *fetch))
{
    fetch->job = (struct job){.work = work, .done = on_worked, .context = fetch};
    fetch->worked = worked;
    job_start(fetch->env.loop, &fetch->job);
}

static void read_file(void *context)
{
    struct fetch *fetch = context;
    char chunk[4096];
    ssize_t n = 1;
    int fd = open(fetch->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    fetch->job_error = fd < 0 ? err_from_errno(errno) : 0;
    while (fetch->job_error == 0 && n != 0) {
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0) {
            fetch->job_error = buf_append(&fetch->text, chunk, (size_t)n);
        } else if (n < 0 && errno != EINTR) {
            fetch->job_error = err_from_errno(errno);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    explicit_bzero(chunk, sizeof(chunk));
}

void fetch_read_file(struct fetch *fetch, const char *path, void (*worked)(struct fetch *fetch))
{
    fetch->path = path;
    buf_reset(&fetch->text);
    fetch_work(fetch, read_file, worked);
}

/* ---- a command ---- */

static void run_command(void *context)
{
    struct fetch *fetch = context;
    struct str words[WORDS_MAX];
    char *argv[WORDS_MAX + 1];
    uint32_t count = 0;

    fetch->job_error = words_split(fetch->source->command, &fetch->arena, words, &count);
    if (fetch->job_error != 0 || count == 0) {
        fetch->job_error = ERR_SYNTAX;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        argv[i] = arena_dup(&fetch->arena, words[i].ptr, words[i].len);
        if (argv[i] == NULL) {
            fetch->job_error = ERR_NOMEM;
            return;
        }
    }
    argv[count] = NULL;
    fetch->job_error = command_run(argv, COMMAND_TIMEOUT_NS, &fetch->canceled, &fetch->text,
                                   &fetch->errors, &fetch->job_status);
}

/* What a command said last on its standard error: that is where the reason stands. */
static struct str last_line(struct str text)
{
    struct str line, last = STR("nothing on its standard error");

    while (str_next(&text, '\n', &line)) {
        line = str_trim(line);
        if (line.len > 0) {
            last = line;
        }
    }
    last.len = last.len < LINE_MAX_BYTES ? last.len : LINE_MAX_BYTES;
    return last;
}

static void on_command(struct fetch *fetch)
{
    static const struct fetch_names names = {"AccessKeyId", "SecretAccessKey", "SessionToken",
                                             "Expiration", false};
    struct credentials *credentials = NULL;
    struct error e = {0};
    struct json json;
    int64_t version = 0;

    if (fetch->job_error != 0) {
        fetch_fail(fetch, fetch->job_error, "the command %s",
                   fetch->job_error == ERR_TIMEOUT     ? "did not end within 60 s"
                   : fetch->job_error == ERR_NOT_FOUND ? "is not there"
                   : fetch->job_error == ERR_SYNTAX    ? "is no line of words"
                                                       : err_text(fetch->job_error));
        return;
    }
    if (fetch->job_status != 0) {
        fetch_fail(fetch, ERR_PROTOCOL, "the command ended with status %d: %.*s", fetch->job_status,
                   STR_FMT(last_line(buf_str(&fetch->errors))));
        return;
    }
    if (json_parse(&json, buf_str(&fetch->text), JSON_STRICT, NULL) == 0) {
        if (json_i64(json_get(json.root, "Version"), &version) != 0) {
            version = 0;
        }
        json_done(&json);
    }
    if (version != 1) {
        fetch_fail(fetch, ERR_PROTOCOL, "the command did not write JSON with \"Version\": 1");
    } else if (fetch_answer_json(buf_str(&fetch->text), &names, str_from(fetch->source->said_by),
                                 &credentials, &e) != 0) {
        fetch_fail(fetch, ERR_PROTOCOL, "the command: %s", e.text);
    } else {
        fetch_end(fetch, credentials, NULL);
    }
}

/* ---- keys ---- */

void fetch_no_work(void *context)
{
    (void)context;
}

static void on_keys(struct fetch *fetch)
{
    const struct credential_source *s = fetch->source;
    wall_ms expires_at = CREDENTIALS_NEVER;

    if (s->keys.expires.len > 0 && fetch_time_parse(s->keys.expires, &expires_at) != 0) {
        fetch_fail(fetch, ERR_INVALID,
                   "AWS_CREDENTIAL_EXPIRATION is no time like "
                   "2026-11-26T10:00:00Z");
        return;
    }
    fetch_end(fetch,
              credentials_new(s->keys.access_key_id, s->keys.secret_access_key,
                              s->keys.session_token, expires_at, str_from(s->said_by)),
              NULL);
}

/* ---- start and cancel ---- */

struct fetch *fetch_new(const struct fetch_env *env, const struct credential_source *source,
                        fetch_done done, void *context)
{
    struct fetch *fetch = MEM_NEW(struct fetch);

    fetch->env = *env;
    fetch->source = source;
    fetch->done = done;
    fetch->context = context;
    arena_init(&fetch->arena, ARENA_MAX_BYTES);
    buf_init(&fetch->text, TEXT_MAX_BYTES);
    buf_init(&fetch->errors, ERRORS_MAX_BYTES);
    switch (source->kind) {
    case CREDENTIAL_SOURCE_ASSUME_ROLE:
        fetch_role(fetch);
        break;
    case CREDENTIAL_SOURCE_WEB_IDENTITY:
        fetch_web_identity(fetch);
        break;
    case CREDENTIAL_SOURCE_SSO:
        fetch_sso(fetch);
        break;
    case CREDENTIAL_SOURCE_PROCESS:
        fetch_work(fetch, run_command, on_command);
        break;
    case CREDENTIAL_SOURCE_CONTAINER:
        fetch_container(fetch);
        break;
    case CREDENTIAL_SOURCE_INSTANCE:
        fetch_instance(fetch);
        break;
    default:
        fetch_work(fetch, fetch_no_work, on_keys);
    }
    return fetch;
}

void fetch_cancel(struct fetch *fetch)
{
    atomic_store(&fetch->canceled, true);
    if (fetch->signer != NULL) {
        fetch_cancel(fetch->signer);
    } else if (fetch->call != NULL) {
        http_client_cancel(fetch->call);
    } else if (fetch->again.callback != NULL) {
        loop_timer_set(fetch->env.loop, &fetch->again, loop_now());
    }
}
