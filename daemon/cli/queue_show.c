/* ls. */
#include "queue_internal.h"

#include "sluice/base/clock.h"
#include "sluice/base/json.h"
#include "sluice/cli/admin_client.h"
#include "sluice/runtime/config.h"

#include <stdio.h>
#include <string.h>

/* ---- ls ---- */

static const char ls_usage[] =
    "usage: sluice queue ls [--json] [--data-dir DIR]\n\n"
    "All queues, a line each: how many messages are visible, in flight (received or held by a "
    "route) and\ndelayed, the age of the oldest visible one, and the dead-letter queue.\n";

static long long number(const struct json_value *object, const char *key)
{
    int64_t value = 0;
    const struct json_value *member = json_get(object, key);

    return member != NULL && json_i64(member, &value) == 0 ? (long long)value : 0;
}

/* The two largest units: 3h12m. */
static const char *age_text(const struct json_value *queue, char *out, size_t size)
{
    static const struct {
        const char *name;
        long long seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    const struct json_value *member = json_get(queue, "oldest_age_seconds");
    long long seconds = (long long)json_number(member);
    size_t first = 0;

    if (member == NULL) {
        return "-";
    }
    while (first < 3 && seconds < units[first].seconds) {
        first++;
    }
    int len = snprintf(out, size, "%lld%s", seconds / units[first].seconds, units[first].name);
    if (first < 3 && len > 0) {
        (void)snprintf(out + len, size - (size_t)len, "%lld%s",
                       seconds % units[first].seconds / units[first + 1].seconds,
                       units[first + 1].name);
    }
    return out;
}

static void print_table(const struct json_value *root)
{
    const struct json_value *queues = json_get(root, "queues");
    long long shown = (long long)json_count(queues);
    char age[48];
    int width = 12;

    for (const struct json_value *q = json_first(queues); q != NULL; q = json_next(q)) {
        int len = (int)json_string(json_get(q, "name")).len;
        width = len > width ? len : width;
    }
    (void)printf("%-*s %10s %10s %10s %8s  %s\n", width, "QUEUE", "VISIBLE", "IN FLIGHT", "DELAYED",
                 "OLDEST", "DEAD LETTERS TO");
    for (const struct json_value *q = json_first(queues); q != NULL; q = json_next(q)) {
        struct str dead_letter = json_string(json_get(q, "dead_letter"));
        (void)printf("%-*.*s %10lld %10lld %10lld %8s  %.*s\n", width,
                     STR_FMT(json_string(json_get(q, "name"))), number(q, "visible"),
                     number(q, "in_flight"), number(q, "delayed"), age_text(q, age, sizeof(age)),
                     STR_FMT(dead_letter.ptr == NULL ? STR("-") : dead_letter));
    }
    if (number(root, "queue_count") > shown) {
        (void)printf("… and %lld more\n", number(root, "queue_count") - shown);
    }
}

static int print_queues(struct str text, bool as_json)
{
    struct json json;
    struct buf out;

    if (json_parse(&json, text, JSON_STRICT, NULL) != 0) {
        (void)fprintf(stderr, "sluice: the daemon's answer is no JSON\n");
        return EXIT_CODE_FAILED;
    }
    if (as_json) {
        buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
        (void)json_write_value(&out, json_get(json.root, "queues"));
        (void)printf("%.*s\n", STR_FMT(buf_str(&out)));
        buf_done(&out);
    } else {
        print_table(json.root);
    }
    json_done(&json);
    return EXIT_CODE_DONE;
}

int queue_ls(int argc, char **argv)
{
    bool as_json = false;
    struct admin_question question = {.method = "GET", .path = "/v1/status"};
    const struct cli_option options[] = {
        CLI_DATA_DIR(question.data_dir),
        {.name = "json", .kind = CLI_FLAG, .ret = &as_json},
    };
    const struct cli_command command = {"sluice queue ls", ls_usage, options,
                                        SL_COUNT(options), 0,        0};
    struct cli_words words;
    struct buf out;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    code = admin_client_ask(&question, &out);
    if (code == EXIT_CODE_DONE) {
        code = print_queues(buf_str(&out), as_json);
    }
    buf_done(&out);
    return code;
}
