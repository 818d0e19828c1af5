#include "sluice/cli/usage.h"

#include "options.h"

#include "sluice/app.h"
#include "sluice/base/json.h"
#include "sluice/cli/admin_client.h"
#include "sluice/runtime/config.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: sluice usage [--data-dir DIR] [--json]\n\n"
    "What the daemon on this data directory called this hour and today, by limit, and how much of "
    "each\n"
    "quota is used. Calls are counted since the daemon's start, quotas over restarts.\n"
    "Without --data-dir: $STATE_DIRECTORY, else $XDG_STATE_HOME/sluice.\n";

static void print_limit(const struct json_value *l)
{
    const struct str period = json_string(json_get(l, "period"));
    const long long requests = admin_number(l, "requests");
    char rate[48], per[32], used[48] = "-", percent[16] = "-";

    if (period.len > 0) {
        long long n = admin_number(l, "used");
        snprintf(rate, sizeof(rate), "%lld/%.*s", requests, STR_FMT(period));
        snprintf(used, sizeof(used), "%lld/%lld", n, requests);
        snprintf(percent, sizeof(percent), "%.1f %%", 100.0 * (double)n / (double)requests);
    } else {
        double seconds = json_number(json_get(l, "per_seconds"));
        config_duration_text((int64_t)(seconds * 1e9 + 0.5), per, sizeof(per));
        snprintf(rate, sizeof(rate), "%lld/%s", requests, per);
    }
    const struct str resets = json_string(json_get(l, "resets_at"));
    printf("%-20.*s %-16s %16s %8s %10lld %10lld  %.*s\n",
           STR_FMT(json_string(json_get(l, "name"))), rate, used, percent,
           admin_number(l, "calls_this_hour"), admin_number(l, "calls_today"),
           STR_FMT(resets.len > 0 ? resets : STR("-")));
}

static int print_usage(struct str text)
{
    struct json json;

    if (json_parse(&json, text, JSON_STRICT, NULL) != 0) {
        fprintf(stderr, "sluice: the daemon's answer is no JSON\n");
        return EXIT_CODE_FAILED;
    }
    printf("%-20s %-16s %16s %8s %10s %10s  %s\n", "LIMIT", "RATE", "QUOTA USED", "", "THIS HOUR",
           "TODAY", "RESETS AT");
    for (const struct json_value *l = json_first(json_get(json.root, "limits")); l != NULL;
         l = json_next(l)) {
        print_limit(l);
    }
    json_done(&json);
    return EXIT_CODE_DONE;
}

int cli_usage(int argc, char **argv)
{
    const char *data_dir = NULL;
    bool as_json = false;
    const struct cli_option known[] = {
        CLI_DATA_DIR(data_dir),
        {.name = "json", .kind = CLI_FLAG, .ret = &as_json},
    };
    const struct cli_command command = {"sluice usage", usage, known, SL_COUNT(known), 0, 0};
    struct cli_words words;
    struct buf out;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    const struct admin_question question = {
        .data_dir = data_dir, .method = "GET", .path = "/v1/usage", .body = STR_NONE};
    buf_init(&out, ADMIN_ANSWER_MAX_BYTES);
    code = admin_client_ask(&question, &out);
    if (code == EXIT_CODE_DONE && as_json) {
        printf("%.*s\n", STR_FMT(buf_str(&out)));
    } else if (code == EXIT_CODE_DONE) {
        code = print_usage(buf_str(&out));
    }
    buf_done(&out);
    return code;
}
