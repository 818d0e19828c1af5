#include "sluice/cli/plan.h"

#include "options.h"

#include "sluice/app.h"
#include "sluice/base/json.h"
#include "sluice/cli/rate.h"
#include "sluice/runtime/config.h"
#include "sluice/sim/sim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CONCURRENCY_SHOWN_MAX 64
#define BURST                 60
#define SATURATED_NS          (20000 * NS_PER_S) /* without a limit: rare bursts must show */
#define LIMITED_NS            (1000 * NS_PER_S)
#define CHART_WIDTH           50
#define ENOUGH                0.99 /* of the best rate */

struct request {
    struct limit_config limit;
    struct sim_latency latency;
    uint32_t first, last; /* concurrency */
    uint64_t seed;
    bool json;
};

struct row {
    uint32_t concurrency, rule_count;
    bool rule_holds;
    double little_rate;
    struct sim_plan_report alone, limited, burst;
};

static const char usage[] = "usage: sluice plan --limit N/W --latency MEAN[:CV] [--concurrency "
                            "A-B] [--hold arrival|response]\n"
                            "                   [--seed N] [--json]\n\n"
                            "What a concurrency gives: by the rule of thumb c × ⌈W/latency⌉, "
                            "simulated without a limiter, and\n"
                            "simulated behind sluice's limit. CV is the coefficient of variation "
                            "of a lognormal latency (1: the\n"
                            "spread of a real function, 0 or absent: constant).\n\n"
                            "  sluice plan --limit 5/1s --latency 600ms:1 --concurrency 1-8\n";

/* ---- arguments ---- */

static int parse_latency(struct str text, struct sim_latency *ret)
{
    struct str mean, rest = text;
    int64_t ns;
    double cv = 0;

    if (!str_next(&rest, ':', &mean) || str_to_duration(mean, &ns) != 0 || ns <= 0 ||
        (rest.ptr != NULL && (str_to_double(rest, &cv) != 0 || cv < 0 || cv > 10))) {
        return ERR_SYNTAX;
    }
    *ret = cv > 0 ? SIM_LATENCY_LOGNORMAL(ns, cv) : SIM_LATENCY_CONSTANT(ns);
    return 0;
}

static int parse_range(struct str text, uint32_t *ret_first, uint32_t *ret_last)
{
    struct str first, rest = text;
    int64_t a, b;

    if (!str_next(&rest, '-', &first) || str_to_i64(first, 1, CONCURRENCY_MAX, &a) != 0) {
        return ERR_SYNTAX;
    }
    b = a;
    if (rest.ptr != NULL && str_to_i64(rest, a, CONCURRENCY_MAX, &b) != 0) {
        return ERR_SYNTAX;
    }
    if (b - a >= CONCURRENCY_SHOWN_MAX) {
        return ERR_RANGE;
    }
    *ret_first = (uint32_t)a;
    *ret_last = (uint32_t)b;
    return 0;
}

enum plan_option { OPTION_LIMIT, OPTION_LATENCY, OPTION_CONCURRENCY, OPTION_HOLD };

static int take_option(const struct cli_option *option, const char *value)
{
    struct request *r = option->ret;
    bool response = strcmp(value, "response") == 0;

    switch (option->id) {
    case OPTION_LIMIT:
        return rate_parse(str_from(value), &r->limit.requests, &r->limit.per_ns, NULL);
    case OPTION_LATENCY:
        return parse_latency(str_from(value), &r->latency);
    case OPTION_CONCURRENCY:
        return parse_range(str_from(value), &r->first, &r->last);
    default:
        r->limit.hold = response ? LIMIT_HOLD_RESPONSE : LIMIT_HOLD_ARRIVAL;
        r->limit.guard_ns = response ? 0 : LIMIT_GUARD_NS;
        return response || strcmp(value, "arrival") == 0 ? 0 : ERR_SYNTAX;
    }
}

#define TAKEN(option, id_, wanted_)                                                                \
    {                                                                                              \
        .name = (option), .kind = CLI_TAKEN, .ret = r, .wanted = (wanted_), .id = (id_),           \
        .take = take_option                                                                        \
    }

/* CLI_GO, or the exit code. */
static int parse(int argc, char **argv, struct request *r)
{
    struct cli_number seed = {.value = 1};
    const struct cli_option options[] = {
        TAKEN("limit", OPTION_LIMIT, "requests/time, as 5/1s"),
        TAKEN("latency", OPTION_LATENCY, "a time, as 600ms or 600ms:1"),
        TAKEN("concurrency", OPTION_CONCURRENCY, "4 or a range as 1-8, of at most 64"),
        TAKEN("hold", OPTION_HOLD, "arrival or response"),
        {.name = "seed", .kind = CLI_NUMBER, .ret = &seed, .max = INT64_MAX},
        {.name = "json", .kind = CLI_FLAG, .ret = &r->json},
    };
    const struct cli_command command = {"sluice plan", usage, options, SL_COUNT(options), 0, 0};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    r->seed = (uint64_t)seed.value;
    if (code == CLI_GO && (r->limit.requests == 0 || r->latency.a_ns == 0)) {
        return cli_usage_error(&command, "--limit and --latency are needed");
    }
    return code;
}

/* ---- the figures ---- */

static void compute(const struct request *r, uint32_t concurrency, struct row *row)
{
    struct sim_plan plan = {.limit = r->limit,
                            .concurrency = concurrency,
                            .latency = r->latency,
                            .duration_ns = SATURATED_NS,
                            .seed = r->seed};
    int64_t mean_ns = r->latency.a_ns;
    int64_t per_call = (r->limit.per_ns + mean_ns - 1) / mean_ns;

    row->concurrency = concurrency;
    row->rule_count = (uint32_t)(concurrency * per_call);
    row->rule_holds = row->rule_count <= r->limit.requests;
    row->little_rate = (double)concurrency * (double)NS_PER_S / (double)mean_ns;
    /* As many calls as are worth the time; fast APIs need fewer seconds for them. */
    if (row->little_rate > 50) {
        plan.duration_ns = (int64_t)((double)SATURATED_NS * 50 / row->little_rate);
    }
    sim_plan_run(&plan, &row->alone);
    plan.limited = true;
    plan.duration_ns = LIMITED_NS;
    sim_plan_run(&plan, &row->limited);
    plan.burst = BURST;
    sim_plan_run(&plan, &row->burst);
}

/* The least concurrency at which the limit, and not the concurrency, sets the rate. */
static const struct row *recommend(const struct row *rows, uint32_t count)
{
    double best = 0;

    for (uint32_t i = 0; i < count; i++) {
        best = fmax(best, rows[i].limited.limit.per_second);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].limited.limit.per_second >= ENOUGH * best) {
            return &rows[i];
        }
    }
    return &rows[count - 1];
}

/* ---- output ---- */

static void print_time_chart(const struct request *r, const struct row *row)
{
    int64_t per_ns = r->limit.per_ns, latency = r->latency.a_ns;
    char per[32], line[CHART_WIDTH + 1];

    config_duration_text(per_ns, per, sizeof(per));
    printf("Concurrency %u, every call takes exactly the mean ('|' a start, ']' the end of %s): %u "
           "starts "
           "in it, %s\n",
           row->concurrency, per, row->rule_count, row->rule_holds ? "True" : "False");
    for (uint32_t worker = 0; worker < row->concurrency; worker++) {
        memset(line, '-', CHART_WIDTH);
        line[CHART_WIDTH] = '\0';
        for (int64_t at = 0; at < per_ns * 3 / 2; at += latency) {
            line[at * CHART_WIDTH * 2 / (per_ns * 3)] = '|';
        }
        line[CHART_WIDTH * 2 / 3] = ']';
        printf("  worker %-3u %s\n", worker + 1, line);
    }
    putchar('\n');
}

static void print_table(const struct row *rows, uint32_t count, uint32_t requests)
{
    printf("     %-29s | %-24s | %s\n", "rule of thumb, constant time", "concurrency alone",
           "behind sluice");
    printf("%4s %11s %6s %10s | %12s %11s | %8s %6s %9s %12s\n", "c", "c*ceil(W/t)", "holds",
           "mean rate", "rate", "peak in W", "rate", "peak", "in flight", "wait of 60");
    for (uint32_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        printf("%4u %11u %6s %8.2f/s | %10.2f/s %9u%2s | %6.2f/s %6u %9u %10.1f s\n",
               row->concurrency, row->rule_count, row->rule_holds ? "True" : "False",
               row->little_rate, row->alone.limit.per_second, row->alone.limit.peak,
               row->alone.limit.peak > requests ? " !" : "", row->limited.limit.per_second,
               row->limited.limit.peak, row->limited.in_flight_peak, row->burst.wait_max_s);
    }
}

static void print_peaks(const struct row *rows, uint32_t count, uint32_t requests)
{
    uint32_t highest = requests;
    uint32_t mark;

    for (uint32_t i = 0; i < count; i++) {
        highest = rows[i].alone.limit.peak > highest ? rows[i].alone.limit.peak : highest;
    }
    mark = requests * CHART_WIDTH / highest;
    printf(
        "\nMost calls in any window, concurrency alone ('#'), behind sluice ('='), limit ('|'):\n");
    for (uint32_t i = 0; i < count; i++) {
        char line[CHART_WIDTH + 2];
        uint32_t alone = rows[i].alone.limit.peak * CHART_WIDTH / highest;
        uint32_t limited = rows[i].limited.limit.peak * CHART_WIDTH / highest;
        for (uint32_t x = 0; x <= CHART_WIDTH; x++) {
            line[x] = x < limited ? '=' : x < alone ? '#' : ' ';
        }
        line[mark] = '|';
        line[CHART_WIDTH + 1] = '\0';
        printf("%4u %s %u\n", rows[i].concurrency, line, rows[i].alone.limit.peak);
    }
}

static void print_advice(const struct request *r, const struct row *rows, uint32_t count)
{
    const struct row *row = recommend(rows, count);

    printf("\nRecommended: concurrency %u behind the limit: %.2f calls per second, at most %u in "
           "any window.\n",
           row->concurrency, row->limited.limit.per_second, row->limited.limit.peak);
    if (row->limited.limit.utilisation < 0.9 && row == &rows[count - 1]) {
        printf("Even %u calls at once do not reach the limit: try a higher --concurrency.\n",
               row->concurrency);
    } else {
        printf("Fewer at once would make the concurrency the bottleneck; more would only load the "
               "API.\n");
    }
    if (row->alone.limit.peak > r->limit.requests) {
        printf("Without the limit the same concurrency would send up to %u in a window of %u.\n",
               row->alone.limit.peak, r->limit.requests);
    }
}

static void json_rows(struct json_writer *w, const struct row *rows, uint32_t count)
{
    json_key_write(w, STR("concurrencies"));
    json_array_begin(w);
    for (uint32_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        json_object_begin(w);
        json_member_i64(w, "concurrency", row->concurrency);
        json_member_i64(w, "rule_count", row->rule_count);
        json_member_bool(w, "rule_holds", row->rule_holds);
        json_member_double(w, "mean_rate", row->little_rate);
        json_member_double(w, "alone_rate", row->alone.limit.per_second);
        json_member_i64(w, "alone_window_peak", row->alone.limit.peak);
        json_member_double(w, "limited_rate", row->limited.limit.per_second);
        json_member_i64(w, "limited_window_peak", row->limited.limit.peak);
        json_member_i64(w, "limited_in_flight_peak", row->limited.in_flight_peak);
        json_member_double(w, "burst_wait_mean_seconds", row->burst.wait_mean_s);
        json_member_double(w, "burst_wait_max_seconds", row->burst.wait_max_s);
        json_object_end(w);
    }
    json_array_end(w);
}

static int print_json(const struct request *r, const struct row *rows, uint32_t count)
{
    struct buf out;
    struct json_writer w;
    int failed;

    buf_init(&out, (size_t)1 << 20);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_member_i64(&w, "requests", r->limit.requests);
    json_member_double(&w, "per_seconds", (double)r->limit.per_ns / (double)NS_PER_S);
    json_member_double(&w, "latency_seconds", (double)r->latency.a_ns / (double)NS_PER_S);
    json_member_double(&w, "latency_cv", r->latency.cv);
    json_rows(&w, rows, count);
    json_member_i64(&w, "recommended_concurrency", recommend(rows, count)->concurrency);
    json_object_end(&w);
    failed = buf_failed(&out);
    if (!failed) {
        printf("%.*s\n", STR_FMT(buf_str(&out)));
    }
    buf_done(&out);
    return failed ? EXIT_CODE_FAILED : EXIT_CODE_DONE;
}

static void print_text(const struct request *r, const struct row *rows, uint32_t count)
{
    char per[32], mean[32];

    config_duration_text(r->limit.per_ns, per, sizeof(per));
    config_duration_text(r->latency.a_ns, mean, sizeof(mean));
    printf("Limit %u per %s, hold %s; the API takes %s", r->limit.requests, per,
           r->limit.hold == LIMIT_HOLD_ARRIVAL ? "arrival" : "response", mean);
    printf(r->latency.cv > 0 ? " (lognormal, cv %.3g).\n\n" : " (constant).\n\n", r->latency.cv);
    for (uint32_t i = 0; i < count && r->latency.a_ns <= r->limit.per_ns; i++) {
        if (rows[i].concurrency == 2 || rows[i].concurrency == 3) {
            print_time_chart(r, &rows[i]);
        }
    }
    print_table(rows, count, r->limit.requests);
    print_peaks(rows, count, r->limit.requests);
    print_advice(r, rows, count);
}

int cli_plan(int argc, char **argv)
{
    struct request r = {.limit = {.kind = LIMIT_WINDOW,
                                  .hold = LIMIT_HOLD_ARRIVAL,
                                  .guard_ns = LIMIT_GUARD_NS,
                                  .max_flight_ns = LIMIT_MAX_FLIGHT_NS,
                                  .pace = true},
                        .first = 1,
                        .last = 8};
    struct row rows[CONCURRENCY_SHOWN_MAX] = {{0}};
    uint32_t count;
    int code = parse(argc, argv, &r);

    if (code != CLI_GO) {
        return code;
    }
    count = r.last - r.first + 1;
    for (uint32_t i = 0; i < count; i++) {
        compute(&r, r.first + i, &rows[i]);
    }
    if (r.json) {
        return print_json(&r, rows, count);
    }
    print_text(&r, rows, count);
    return EXIT_CODE_DONE;
}
