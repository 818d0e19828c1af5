#include "sluice/cli/control.h"

#include "options.h"

#include "sluice/app.h"
#include "sluice/base/json.h"
#include "sluice/cli/admin_client.h"
#include "sluice/cli/rate.h"
#include "sluice/runtime/config.h"

#include <stdio.h>
#include <string.h>

struct options {
    const char *data_dir, *limit;
    bool json;
};

static const char status_usage[] =
    "usage: sluice status [--data-dir DIR] [--json]\n\n"
    "What the daemon on this data directory does now: routes, limits, targets, queues.\n"
    "Without --data-dir: $STATE_DIRECTORY, else $XDG_STATE_HOME/sluice.\n";
static const char route_usage[] =
    "usage: sluice route pause NAME [--data-dir DIR]\n"
    "       sluice route resume NAME [--data-dir DIR]\n"
    "       sluice route limit NAME N/W [--limit LIMIT] [--data-dir DIR]\n\n"
    "pause    stops receiving and calling; calls in flight end\n"
    "resume   goes on\n"
    "limit    a new rate at once (5/1s, 100/m), until the daemon ends; history is kept, so the "
    "change\n"
    "         itself never lets more through than the larger of the two allows\n";

static int ask(const struct options *options, const char *method, const char *path, struct str body,
               struct buf *out)
{
    const struct admin_question question = {
        .data_dir = options->data_dir, .method = method, .path = path, .body = body};

    return admin_client_ask(&question, out);
}

/* ---- status ---- */

/* "-": the limit has no such number. */
static const char *number_text(const struct json_value *object, const char *key, char out[24])
{
    (void)snprintf(out, 24, "%lld", admin_number(object, key));
    return json_get(object, key) != NULL ? out : "-";
}

static const char *limit_note(const struct json_value *limit, char out[48])
{
    bool by_key = json_get(limit, "keys") != NULL;
    bool dry_run = json_bool(json_get(limit, "dry_run"));
    long long keys = admin_number(limit, "keys");

    out[0] = '\0';
    if (by_key) {
        (void)snprintf(out, 48, "  %lld key%s%s", keys, keys == 1 ? "" : "s",
                       dry_run ? ", dry run" : "");
    } else if (dry_run) {
        (void)snprintf(out, 48, "  dry run");
    }
    return out;
}

static void print_limits(const struct json_value *limits)
{
    char per[32], free_permits[24], peak[24], note[48];

    printf("%-20s %-14s %-10s %12s %12s\n", "LIMIT", "RATE", "HOLD", "FREE PERMITS", "WINDOW PEAK");
    for (const struct json_value *l = json_first(limits); l != NULL; l = json_next(l)) {
        char rate[48];
        double seconds = json_number(json_get(l, "per_seconds"));
        config_duration_text((int64_t)(seconds * 1e9 + 0.5), per, sizeof(per));
        snprintf(rate, sizeof(rate), "%lld/%s", admin_number(l, "requests"), per);
        printf("%-20.*s %-14s %-10.*s %12s %12s%s\n", STR_FMT(json_string(json_get(l, "name"))),
               rate, STR_FMT(json_string(json_get(l, "hold"))),
               number_text(l, "free_permits", free_permits), number_text(l, "window_peak", peak),
               limit_note(l, note));
    }
}

static void print_routes(const struct json_value *routes)
{
    printf("%-20s %-8s %-20s %-8s %8s %8s %8s %8s %10s  %s\n", "ROUTE", "STATE", "QUEUE", "READY",
           "WAITING", "FLIGHT", "SETTLING", "STARTED", "DELIVERED", "HELD BY");
    for (const struct json_value *r = json_first(routes); r != NULL; r = json_next(r)) {
        const char *state = json_bool(json_get(r, "draining")) ? "draining"
                            : json_bool(json_get(r, "paused")) ? "paused"
                                                               : "running";
        printf("%-20.*s %-8s %-20.*s %-8lld %8lld %8lld %8lld %8lld %10lld  %.*s\n",
               STR_FMT(json_string(json_get(r, "name"))), state,
               STR_FMT(json_string(json_get(r, "queue"))),
               admin_number(r, "ready") + admin_number(r, "buffered"), admin_number(r, "waiting"),
               admin_number(r, "in_flight"), admin_number(r, "settling"),
               admin_number(r, "started"), admin_number(json_get(r, "settled"), "ack"),
               STR_FMT(json_string(json_get(r, "blocked_by"))));
    }
}

/* Routes on Amazon SQS, whose requests are paid for. */
static void print_costs(const struct json_value *routes)
{
    bool headed = false;

    for (const struct json_value *r = json_first(routes); r != NULL; r = json_next(r)) {
        const struct json_value *sqs = json_get(r, "sqs");
        if (sqs == NULL) {
            continue;
        }
        if (!headed) {
            headed = true;
            printf("\n%-20s %12s %12s %12s %16s %16s\n", "SQS OF", "REQUESTS", "BILLED",
                   "EMPTY RECV", "PER 1,000 MSGS", "USD PER 1M MSGS");
        }
        printf("%-20.*s %12lld %12lld %12lld", STR_FMT(json_string(json_get(r, "name"))),
               admin_number(sqs, "requests"), admin_number(sqs, "billed_requests"),
               admin_number(sqs, "empty_receives"));
        if (json_get(sqs, "requests_per_1000_messages") != NULL) {
            printf(" %16.0f %16.2f\n", json_number(json_get(sqs, "requests_per_1000_messages")),
                   json_number(json_get(sqs, "dollars_per_million_messages")));
        } else {
            printf(" %16s %16s\n", "-", "-");
        }
    }
}

static void print_rest(const struct json_value *root)
{
    const struct json_value *queues = json_get(root, "queues");

    printf("%-20s %12s %12s %-10s %s\n", "TARGET", "IN FLIGHT", "CONCURRENCY", "BREAKER", "URL");
    for (const struct json_value *t = json_first(json_get(root, "targets")); t != NULL;
         t = json_next(t)) {
        printf("%-20.*s %12lld %12lld %-10.*s %.*s\n", STR_FMT(json_string(json_get(t, "name"))),
               admin_number(t, "in_flight"), admin_number(t, "concurrency"),
               STR_FMT(json_string(json_get(t, "breaker"))),
               STR_FMT(json_string(json_get(t, "url"))));
    }
    printf("\n%-20s %12s %12s %12s\n", "QUEUE", "VISIBLE", "IN FLIGHT", "DELAYED");
    for (const struct json_value *q = json_first(queues); q != NULL; q = json_next(q)) {
        printf("%-20.*s %12lld %12lld %12lld\n", STR_FMT(json_string(json_get(q, "name"))),
               admin_number(q, "visible"), admin_number(q, "in_flight"),
               admin_number(q, "delayed"));
    }
}

static int print_status(struct str text)
{
    struct json json;
    int error = json_parse(&json, text, JSON_STRICT, NULL);

    if (error != 0) {
        fprintf(stderr, "sluice: the daemon's answer is no JSON\n");
        return EXIT_CODE_FAILED;
    }
    print_routes(json_get(json.root, "routes"));
    print_costs(json_get(json.root, "routes"));
    putchar('\n');
    print_limits(json_get(json.root, "limits"));
    putchar('\n');
    print_rest(json.root);
    json_done(&json);
    return EXIT_CODE_DONE;
}

int cli_status(int argc, char **argv)
{
    struct options options = {0};
    const struct cli_option known[] = {
        CLI_DATA_DIR(options.data_dir),
        {.name = "json", .kind = CLI_FLAG, .ret = &options.json},
    };
    const struct cli_command command = {
        "sluice status", status_usage, known, SL_COUNT(known), 0, 0};
    struct cli_words words;
    struct buf out;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    code = ask(&options, "GET", "/v1/status", STR_NONE, &out);
    if (code == EXIT_CODE_DONE) {
        if (options.json) {
            printf("%.*s\n", STR_FMT(buf_str(&out)));
        } else {
            code = print_status(buf_str(&out));
        }
    }
    buf_done(&out);
    return code;
}

/* ---- route ---- */

static int send_limit(const struct options *options, const char *route, const char *rate)
{
    char path[256], per[40];
    struct error e = {0};
    struct buf body, out;
    struct json_writer w;
    uint32_t requests;
    int64_t per_ns;
    int code;

    if (rate_parse(str_from(rate), &requests, &per_ns, &e) != 0) {
        fprintf(stderr, "sluice: %s\n", e.text);
        return EXIT_CODE_USAGE;
    }
    config_duration_text(per_ns, per, sizeof(per));
    buf_init(&body, 4096);
    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_member_i64(&w, "requests", requests);
    json_member_str(&w, "per", str_from(per));
    if (options->limit != NULL) {
        json_member_str(&w, "limit", str_from(options->limit));
    }
    json_object_end(&w);
    snprintf(path, sizeof(path), "/v1/routes/%s/limit", route);
    code = ask(options, "POST", path, buf_str(&body), &out);
    if (code == EXIT_CODE_DONE) {
        printf("route %s: limit is now %u per %s\n", route, requests, per);
    }
    buf_done(&body);
    buf_done(&out);
    return code;
}

static int send_pause(const struct options *options, const char *route, const char *verb)
{
    char path[256];
    struct buf out;
    int code;

    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    snprintf(path, sizeof(path), "/v1/routes/%s/%s", route, verb);
    code = ask(options, "POST", path, STR_NONE, &out);
    if (code == EXIT_CODE_DONE) {
        printf("route %s: %sd\n", route, verb);
    }
    buf_done(&out);
    return code;
}

int cli_route(int argc, char **argv)
{
    struct options options = {0};
    const struct cli_option known[] = {
        CLI_DATA_DIR(options.data_dir),
        {.name = "limit", .kind = CLI_TEXT, .ret = &options.limit, .wanted = "a limit's name"},
    };
    const struct cli_command command = {"sluice route", route_usage, known, SL_COUNT(known), 2, 3};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    const char *verb = words.items[0], *name = words.items[1];
    if (!config_name_is_valid(str_from(name))) {
        fprintf(stderr, "sluice: \"%s\" is no route's name\n", name);
        return EXIT_CODE_USAGE;
    }
    if (words.count == 3 && strcmp(verb, "limit") == 0) {
        return send_limit(&options, name, words.items[2]);
    }
    if (words.count == 2 && (strcmp(verb, "pause") == 0 || strcmp(verb, "resume") == 0)) {
        return send_pause(&options, name, verb);
    }
    return cli_usage_error(&command, "\"%s\" with %d arguments", verb, words.count - 1);
}
