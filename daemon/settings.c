#include "sluice/settings.h"

#include "settings_check.h"
#include "sluice/base/clock.h"
#include "sluice/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS(member)   CONFIG_MEMBER(struct settings, member)
#define LIMIT(member)      CONFIG_MEMBER(struct limit_settings, member)
#define TARGET(member)     CONFIG_MEMBER(struct target_settings, member)
#define QUEUE(member)      CONFIG_MEMBER(struct queue_settings, member)
#define ROUTE(member)      CONFIG_MEMBER(struct route_settings, member)
#define ACCESS_KEY(member) CONFIG_MEMBER(struct access_key_settings, member)

#define ACCESS_PATTERNS_MAX 50

#define MINUTE_NS INT64_C(60000000000)
#define HOUR_NS   (60 * MINUTE_NS)
#define DAY_NS    (24 * HOUR_NS)
#define MINUTE_S  INT64_C(60)
#define HOUR_S    (60 * MINUTE_S)
#define DAY_S     (24 * HOUR_S)

/* In the order of their enums. */
static const char *const limit_kinds[] = {"window", "bucket", NULL};
static const char *const limit_holds[] = {"arrival", "response", NULL};
static const char *const deduplication_scopes[] = {"queue", "message_group", NULL};
static const char *const throughput_limits[] = {"per_queue", "per_message_group_id", NULL};
static const char *const log_levels[] = {"debug", "info", "warning", "error", "critical", NULL};
static const char *const log_formats[] = {"auto", "json", "text", NULL};

static const struct config_row rows[] = {
    /* ---- limits ---- */
    {.path = "limits",
     .type = CONFIG_TABLE,
     SETTINGS(limits),
     .item_size = sizeof(struct limit_settings),
     .help = "Rate limits by name: requests per time, exact at the target. Routes that share a "
             "quota name the same limit.",
     .example = "createjob"},
    {.path = "limits.*.kind",
     .type = CONFIG_ENUM,
     LIMIT(kind),
     .names = limit_kinds,
     .fallback = "\"window\"",
     .help = "window: at most `requests` in any window of `per`. bucket: token bucket of rate "
             "requests / per and depth `burst`."},
    {.path = "limits.*.requests",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_REQUIRED | CONFIG_RELOADABLE,
     LIMIT(requests),
     .min = 1,
     .max = LIMIT_REQUESTS_MAX,
     .unit = "requests",
     .help = "How many requests the target takes in `per`.",
     .example = "5"},
    {.path = "limits.*.per",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     LIMIT(per_ns),
     .min = NS_PER_MS,
     .max = 366 * DAY_NS,
     .fallback = "\"1s\"",
     .help = "The window. At most 60s while the state of limits is not kept on disk."},
    {.path = "limits.*.hold",
     .type = CONFIG_ENUM,
     .flags = CONFIG_RELOADABLE,
     LIMIT(hold),
     .names = limit_holds,
     .fallback = "\"arrival\"",
     .help = "When a permit's time begins: at the request's arrival at the target's host, or at "
             "its response (exact also for what the application counts, and behind proxies; "
             "slower)."},
    {.path = "limits.*.burst",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     LIMIT(burst),
     .min = 1,
     .max = LIMIT_REQUESTS_MAX,
     .unit = "requests",
     .help = "Depth of the bucket, for kind bucket only; 1 when not given.",
     .example = "10"},
    {.path = "limits.*.guard",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     LIMIT(guard_ns),
     .min = 0,
     .max = 10 * NS_PER_S,
     .help = "Added to every permit's time, for the target's own delay in reading; 10ms with hold "
             "arrival, 0s with hold response when not given.",
     .example = "\"10ms\""},
    {.path = "limits.*.max_flight",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     LIMIT(max_flight_ns),
     .min = NS_PER_MS,
     .max = MINUTE_NS,
     .fallback = "\"1s\"",
     .help = "How long bytes of a connection that is gone may still travel."},

    /* ---- targets ---- */
    {.path = "targets",
     .type = CONFIG_TABLE,
     SETTINGS(targets),
     .item_size = sizeof(struct target_settings),
     .help = "HTTP APIs that are protected, by name.",
     .example = "legacy"},
    {.path = "targets.*.url",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED | CONFIG_RELOADABLE,
     TARGET(url),
     .min = 1,
     .max = 2048,
     .help = "Where every message is sent by POST: an http:// or https:// URL.",
     .example = "\"http://127.0.0.1:8080/jobs\""},
    {.path = "targets.*.concurrency",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     TARGET(concurrency),
     .min = 1,
     .max = CONCURRENCY_MAX,
     .fallback = "8",
     .unit = "calls",
     .help = "How many calls may be in flight at once."},
    {.path = "targets.*.timeout",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     TARGET(timeout_ns),
     .min = NS_PER_MS,
     .max = 6 * HOUR_NS,
     .fallback = "\"30s\"",
     .help = "How long one call may take in all."},
    {.path = "targets.*.connect_timeout",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     TARGET(connect_timeout_ns),
     .min = NS_PER_MS,
     .max = 5 * MINUTE_NS,
     .help = "How long connecting may take, TLS included; 5s, or the timeout if that is shorter, "
             "when not given.",
     .example = "\"5s\""},
    {.path = "targets.*.abort_hold",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     TARGET(abort_hold_ns),
     .min = 0,
     .max = 6 * HOUR_NS,
     .fallback = "\"0s\"",
     .help = "How long a call that was cut off still counts as in flight: the API's longest run, "
             "where it does not notice that its caller is gone."},
    {.path = "targets.*.headers",
     .type = CONFIG_MAP,
     .flags = CONFIG_SECRET | CONFIG_RELOADABLE,
     TARGET(headers),
     .max = 32,
     .help = "Headers added to every request; the values are never printed.",
     .example = "{\"Authorization\": \"Bearer …\"}"},

    /* ---- queues ---- */
    {.path = "queues",
     .type = CONFIG_TABLE,
     .flags = CONFIG_FIFO,
     SETTINGS(queues),
     .item_size = sizeof(struct queue_settings),
     .help = "Queues of the embedded SQS server that are made at the start, by name; one whose "
             "name ends in .fifo is a FIFO queue.",
     .example = "jobs"},
    {.path = "queues.*.dead_letter",
     .type = CONFIG_NAME,
     .flags = CONFIG_RELOADABLE | CONFIG_FIFO,
     QUEUE(dead_letter),
     .help =
         "The queue for messages that are given up; made with defaults when it is not declared.",
     .example = "\"jobs-dlq\""},
    {.path = "queues.*.max_receives",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     QUEUE(max_receives),
     .min = 1,
     .max = 1000,
     .fallback = "5",
     .unit = "receives",
     .help = "How often a message may be received before it goes to the dead-letter queue."},
    {.path = "queues.*.visibility_timeout",
     .type = CONFIG_SECONDS,
     .flags = CONFIG_RELOADABLE,
     QUEUE(visibility_timeout_s),
     .min = 0,
     .max = 12 * HOUR_S,
     .fallback = "\"30s\"",
     .help = "How long a received message is hidden from other SQS clients."},
    {.path = "queues.*.delay",
     .type = CONFIG_SECONDS,
     .flags = CONFIG_RELOADABLE,
     QUEUE(delay_s),
     .min = 0,
     .max = 15 * MINUTE_S,
     .fallback = "\"0s\"",
     .help = "How long a new message is hidden from everybody."},
    {.path = "queues.*.retention",
     .type = CONFIG_SECONDS,
     .flags = CONFIG_RELOADABLE,
     QUEUE(retention_s),
     .min = MINUTE_S,
     .max = 14 * DAY_S,
     .fallback = "\"14d\"",
     .help = "How long a message is kept."},
    {.path = "queues.*.receive_wait",
     .type = CONFIG_SECONDS,
     .flags = CONFIG_RELOADABLE,
     QUEUE(receive_wait_s),
     .min = 0,
     .max = 20,
     .fallback = "\"0s\"",
     .help = "How long a receive that says nothing of its own waits for a message."},
    {.path = "queues.*.max_message_bytes",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     QUEUE(max_message_bytes),
     .min = 1024,
     .max = 1048576,
     .fallback = "1048576",
     .unit = "bytes",
     .help = "The largest message: its body and attributes."},
    {.path = "queues.*.content_based_deduplication",
     .type = CONFIG_BOOL,
     .flags = CONFIG_RELOADABLE,
     QUEUE(content_based_deduplication),
     .fallback = "false",
     .help = "FIFO: a message without a deduplication id gets the digest of its body as one."},
    {.path = "queues.*.deduplication_scope",
     .type = CONFIG_ENUM,
     .flags = CONFIG_RELOADABLE,
     QUEUE(deduplication_scope),
     .names = deduplication_scopes,
     .fallback = "\"queue\"",
     .help = "FIFO: whether a deduplication id counts in the whole queue or in its message group."},
    {.path = "queues.*.fifo_throughput_limit",
     .type = CONFIG_ENUM,
     .flags = CONFIG_RELOADABLE,
     QUEUE(fifo_throughput_limit),
     .names = throughput_limits,
     .fallback = "\"per_queue\"",
     .help = "FIFO: per_message_group_id, with that deduplication scope, is the high-throughput "
             "mode of SQS; stored and returned, nothing is throttled here."},

    /* ---- routes ---- */
    {.path = "routes",
     .type = CONFIG_TABLE,
     SETTINGS(routes),
     .item_size = sizeof(struct route_settings),
     .help = "Routes by name: one queue is drained into one target.",
     .example = "createjob"},
    {.path = "routes.*.queue",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     ROUTE(queue),
     .min = 1,
     .max = 1024,
     .help = "The name of a queue declared above, or the https:// (http://) URL of an SQS queue.",
     .example = "\"jobs\""},
    {.path = "routes.*.target",
     .type = CONFIG_NAME,
     .flags = CONFIG_REQUIRED,
     ROUTE(target),
     .help = "The name of the target.",
     .example = "\"legacy\""},
    {.path = "routes.*.limits",
     .type = CONFIG_STRINGS,
     .flags = CONFIG_RELOADABLE,
     ROUTE(limits),
     .max = LIMIT_SET_MAX,
     .fallback = "[]",
     .help = "The names of the limits that every call must pass, all of them.",
     .example = "[\"createjob\"]"},
    {.path = "routes.*.concurrency",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     ROUTE(concurrency),
     .min = 0,
     .max = CONCURRENCY_MAX,
     .fallback = "0",
     .unit = "calls",
     .help = "This route's share of the target's concurrency; 0: all of it."},
    {.path = "routes.*.weight",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     ROUTE(weight),
     .min = 1,
     .max = LIMIT_REQUESTS_MAX,
     .fallback = "1",
     .unit = "permits",
     .help = "How many permits of each limit one call takes."},
    {.path = "routes.*.paused",
     .type = CONFIG_BOOL,
     ROUTE(paused),
     .fallback = "false",
     .help = "Start paused: receive and call nothing until it is resumed."},
    {.path = "routes.*.visibility",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     ROUTE(visibility_ns),
     .min = NS_PER_S,
     .max = 12 * HOUR_NS,
     .help = "How long a message received from SQS is asked for, and extended by; the longer of "
             "30s and twice the target's timeout when not given.",
     .example = "\"1m\""},
    {.path = "routes.*.retry",
     .type = CONFIG_OBJECT,
     .help = "What happens after a failure: waits that double with full jitter."},
    {.path = "routes.*.retry.max_attempts",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     ROUTE(retry.max_attempts),
     .min = 0,
     .max = 1000000,
     .fallback = "20",
     .unit = "attempts",
     .help = "Attempts that reached the target, before the message goes to the dead-letter queue; "
             "0: no bound."},
    {.path = "routes.*.retry.min_backoff",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     ROUTE(retry.min_backoff_ns),
     .min = NS_PER_MS,
     .max = HOUR_NS,
     .fallback = "\"1s\"",
     .help = "The first wait."},
    {.path = "routes.*.retry.max_backoff",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     ROUTE(retry.max_backoff_ns),
     .min = NS_PER_MS,
     .max = 12 * HOUR_NS,
     .fallback = "\"120s\"",
     .help = "The longest wait."},
    {.path = "routes.*.retry.max_doublings",
     .type = CONFIG_INTEGER,
     .flags = CONFIG_RELOADABLE,
     ROUTE(retry.max_doublings),
     .min = 0,
     .max = 32,
     .fallback = "16",
     .unit = "doublings",
     .help = "How often the wait doubles."},

    /* ---- the process ---- */
    {.path = "sqs_api", .type = CONFIG_OBJECT, .help = "The SQS API of the embedded queues."},
    {.path = "sqs_api.listen",
     .type = CONFIG_STRINGS,
     SETTINGS(sqs_api.listen),
     .max = 8,
     .fallback = "[\"127.0.0.1:9324\"]",
     .help = "Addresses: \"127.0.0.1:9324\", \"[::1]:9324\" or \"unix:/path\"; none: no SQS API."},
    {.path = "sqs_api.region",
     .type = CONFIG_STRING,
     SETTINGS(sqs_api.region),
     .min = 1,
     .max = 32,
     .fallback = "\"us-east-1\"",
     .help = "The region in ARNs and signatures."},
    {.path = "sqs_api.account",
     .type = CONFIG_STRING,
     SETTINGS(sqs_api.account),
     .min = 12,
     .max = 12,
     .fallback = "\"000000000000\"",
     .help = "The account number in ARNs and queue URLs: 12 digits."},
    {.path = "sqs_api.access_keys",
     .type = CONFIG_LIST,
     .flags = CONFIG_RELOADABLE,
     SETTINGS(sqs_api.access_keys),
     .item_size = sizeof(struct access_key_settings),
     .max = 100,
     .help =
         "Callers must sign with one of these keys; without any, only local callers are served."},
    {.path = "sqs_api.access_keys[].id",
     .type = CONFIG_NAME,
     .flags = CONFIG_REQUIRED | CONFIG_RELOADABLE,
     ACCESS_KEY(id),
     .help = "The access key ID.",
     .example = "\"AKIDEXAMPLE\""},
    {.path = "sqs_api.access_keys[].secret",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED | CONFIG_SECRET | CONFIG_RELOADABLE,
     ACCESS_KEY(secret),
     .min = 1,
     .max = 256,
     .help = "The secret access key; never printed.",
     .example = "\"replace-this-secret\""},
    {.path = "sqs_api.access_keys[].actions",
     .type = CONFIG_STRINGS,
     .flags = CONFIG_RELOADABLE,
     ACCESS_KEY(actions),
     .min = 1,
     .max = ACCESS_PATTERNS_MAX,
     .fallback = "[\"*\"]",
     .help = "The SQS actions that this key may use: names (\"SendMessage\", which covers "
             "SendMessageBatch) or patterns (\"Get*\")."},
    {.path = "sqs_api.access_keys[].queues",
     .type = CONFIG_STRINGS,
     .flags = CONFIG_RELOADABLE,
     ACCESS_KEY(queues),
     .min = 1,
     .max = ACCESS_PATTERNS_MAX,
     .fallback = "[\"*\"]",
     .help = "The queues that this key may use: names or patterns (\"jobs-*\"). ListQueues shows "
             "all names whatever stands here; leave it out of actions to prevent that."},
    {.path = "sqs_api.allow_anonymous",
     .type = CONFIG_BOOL,
     SETTINGS(sqs_api.allow_anonymous),
     .fallback = "false",
     .help = "Serve callers that do not sign, on any address."},
    {.path = "sqs_api.sixty_second_rules",
     .type = CONFIG_BOOL,
     SETTINGS(sqs_api.sixty_second_rules),
     .fallback = "false",
     .help = "As in AWS: a queue may be purged once a minute, and its name is free a minute after "
             "it was deleted."},
    {.path = "sqs_api.tls",
     .type = CONFIG_OBJECT,
     .help = "TLS (1.2 and newer) on the addresses above, but not on Unix sockets. The files are "
             "read at the start: after a renewal, restart."},
    {.path = "sqs_api.tls.cert_file",
     .type = CONFIG_STRING,
     SETTINGS(sqs_api.tls.cert_file),
     .min = 1,
     .max = 1024,
     .help = "The certificate and its chain, PEM; none: no TLS.",
     .example = "\"/etc/sluice/tls/cert.pem\""},
    {.path = "sqs_api.tls.key_file",
     .type = CONFIG_STRING,
     SETTINGS(sqs_api.tls.key_file),
     .min = 1,
     .max = 1024,
     .help = "The certificate's private key, PEM, without a passphrase.",
     .example = "\"/etc/sluice/tls/key.pem\""},
    {.path = "http",
     .type = CONFIG_OBJECT,
     .help = "Health (/healthz, /readyz) and metrics (/metrics)."},
    {.path = "http.listen",
     .type = CONFIG_STRINGS,
     SETTINGS(http.listen),
     .max = 8,
     .fallback = "[\"127.0.0.1:9325\"]",
     .help = "Addresses, as for sqs_api; none: no health and no metrics."},
    {.path = "log", .type = CONFIG_OBJECT, .help = "Logs, on standard error."},
    {.path = "log.level",
     .type = CONFIG_ENUM,
     .flags = CONFIG_RELOADABLE,
     SETTINGS(log.level),
     .names = log_levels,
     .fallback = "\"info\"",
     .help = "The least level that is written."},
    {.path = "log.format",
     .type = CONFIG_ENUM,
     .flags = CONFIG_RELOADABLE,
     SETTINGS(log.format),
     .names = log_formats,
     .fallback = "\"auto\"",
     .help = "auto: text on a terminal, else JSON."},
    {.path = "log.service",
     .type = CONFIG_NAME,
     .flags = CONFIG_RELOADABLE,
     SETTINGS(log.service),
     .fallback = "\"sluice\"",
     .help = "The value of the key `service` in every line."},
    {.path = "aws", .type = CONFIG_OBJECT, .help = "For routes fed from Amazon SQS."},
    {.path = "aws.region",
     .type = CONFIG_STRING,
     SETTINGS(aws.region),
     .min = 1,
     .max = 32,
     .help = "The region; from the environment or the queue URL when not given.",
     .example = "\"eu-central-1\""},
    {.path = "aws.endpoint",
     .type = CONFIG_STRING,
     SETTINGS(aws.endpoint),
     .min = 1,
     .max = 2048,
     .help = "Where SQS is reached; the host of the queue URL when not given.",
     .example = "\"https://sqs.eu-central-1.amazonaws.com\""},
    {.path = "drain_timeout",
     .type = CONFIG_DURATION,
     .flags = CONFIG_RELOADABLE,
     SETTINGS(drain_timeout_ns),
     .min = 0,
     .max = HOUR_NS,
     .fallback = "\"25s\"",
     .help = "How long a stop may take to finish calls and hand the rest back."},
    {.path = "data_dir",
     .type = CONFIG_STRING,
     SETTINGS(data_dir),
     .min = 1,
     .max = 1024,
     .help = "Where the embedded queue lives; --data-dir comes first, $STATE_DIRECTORY and "
             "$XDG_STATE_HOME/sluice come after it.",
     .example = "\"/var/lib/sluice\""},
};

static const struct config_table table = {rows, SL_COUNT(rows), sizeof(struct settings)};

const struct config_table *settings_table(void)
{
    return &table;
}

/* An error of the text as a whole has no path: it lies in the file. */
static void name_file(struct error_list *errors, uint32_t first, const char *filename)
{
    for (uint32_t i = first; i < errors->count; i++) {
        if (errors->items[i].where[0] == '\0') {
            str_copy(errors->items[i].where, sizeof(errors->items[i].where), str_from(filename));
        }
    }
}

int settings_load(struct str text, const char *filename, struct settings **ret,
                  struct error_list *errors)
{
    struct settings *settings = MEM_NEW(struct settings);
    uint32_t first = errors->count;
    int rc = config_parse(&table, text, settings, errors);
    /* Also after an error: a person wants to know everything that is wrong. What could not be read
       is zero here, and passes. */
    int resolved = settings_resolve(settings, errors);
    rc = rc != 0 ? rc : resolved;
    name_file(errors, first, filename);
    if (rc != 0) {
        settings_free(settings);
        return rc;
    }
    *ret = settings;
    return 0;
}

static int read_file(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return err_from_errno(errno);
    }
    int rc = 0;
    while (rc == 0) {
        char *room = buf_reserve(text, 4096);
        if (room == NULL) {
            rc = buf_failed(text);
            break;
        }
        ssize_t n = read(fd, room, 4096);
        if (n == 0) {
            break;
        }
        if (n < 0) {
            rc = errno == EINTR ? 0 : err_from_errno(errno);
            continue;
        }
        buf_commit(text, (size_t)n);
    }
    (void)close(fd);
    return rc;
}

int settings_load_file(const char *path, struct settings **ret, struct error_list *errors)
{
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX + 4096);
    int rc = read_file(path, &text);
    if (rc != 0) {
        (void)error_list_add(errors, rc, path, "cannot be read: %s; check the path and its rights",
                             err_text(rc));
    } else {
        rc = settings_load(buf_str(&text), path, ret, errors);
    }
    /* It may have held secrets. */
    if (text.ptr != NULL) {
        explicit_bzero(text.ptr, text.cap);
    }
    buf_done(&text);
    return rc;
}

struct settings *settings_default(void)
{
    struct settings *settings = NULL;
    struct error_list errors = {0};
    int rc = settings_load(STR("{}"), "defaults", &settings, &errors);
    SL_ASSERT(rc == 0);
    error_list_free(&errors);
    return settings;
}

void settings_free(struct settings *settings)
{
    if (settings != NULL) {
        config_free(&table, settings);
        free(settings);
    }
}

int settings_dump(const struct settings *settings, struct buf *out)
{
    return config_dump(&table, settings, out);
}

int settings_example(struct buf *out)
{
    buf_adds(out,
             "// Every key of the configuration, with its default. Generated from the table of\n"
             "// settings: `sluice check --example` prints it.\n");
    return config_example(&table, out);
}
