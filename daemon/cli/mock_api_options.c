#include "mock_api_options.h"

#include "options.h"

#include "sluice/base/clock.h"
#include "sluice/cli/rate.h"

#define CV_MAX          10
#define LATENCY_MAX_NS  (INT64_C(24) * 3600 * NS_PER_S)
#define CONCURRENCY_MAX 1000000
#define RETRY_AFTER_MAX 86400

const char mock_usage[] =
    "usage: sluice mock-api [options]\n\n"
    "A stand-in for an API that takes N calls in any W and K at once. Answers 201, and 429 "
    "beyond.\n"
    "GET /stats tells what arrived, POST /reset begins a new measurement; any other request is a "
    "call.\n\n"
    "  --listen ADDRESS      where (127.0.0.1:8080; port 0: any, printed)\n"
    "  --limit N/W           calls in any window W, as 5/1s (none)\n"
    "  --concurrency K       calls at once (no bound)\n"
    "  --retry-after S       Retry-After of each 429, in seconds (no header)\n"
    "  --latency TIME[:CV]   of a call, as 600ms or 600ms:1 (lognormal) or const:600ms (0)\n"
    "  --errors P[:STATUS[:TIME]]\n"
    "                        share of calls that fail, as 10%:500:50ms (0%:500, the latency)\n"
    "  --close-share P       share of calls taken, and their connection closed without an answer\n"
    "  --outage FROM-TO[:refuse|503|blackhole]\n"
    "                        since the start, as 10s-20s:503 (refuse); may be given 16 times\n"
    "  --duration TIME       end by itself (runs until SIGTERM or SIGINT)\n"
    "  --report FILE         the report at the end goes there (stdout)\n"
    "  --log FILE            a line a call: kernel time, application time (ns), message id, "
    "status\n"
    "  --seed N              of latencies, errors and closes (1)\n"
    "  --help\n\n"
    "Calls are counted by the kernel's receive stamp of the segment that completed them.\n"
    "Without --limit the report's window is one second.\n";

int mock_parse_latency(struct str text, struct mock_latency *ret)
{
    struct str rest = text, mean;
    struct mock_latency latency = {0, 0};

    if (str_starts_with(text, STR("const:"))) {
        rest = (struct str){text.ptr + 6, text.len - 6};
    }
    if (!str_next(&rest, ':', &mean)) {
        return ERR_SYNTAX;
    }
    if (!str_equal(mean, STR("0")) && str_to_duration(mean, &latency.mean_ns) != 0) {
        return ERR_SYNTAX;
    }
    if (rest.ptr != NULL &&
        (str_starts_with(text, STR("const:")) || str_to_double(rest, &latency.cv) != 0)) {
        return ERR_SYNTAX;
    }
    if (latency.mean_ns > LATENCY_MAX_NS || latency.cv < 0 || latency.cv > CV_MAX) {
        return ERR_RANGE;
    }
    *ret = latency;
    return 0;
}

int mock_parse_share(struct str text, double *ret)
{
    bool is_percent = str_ends_with(text, STR("%"));
    double share;

    if (is_percent) {
        text.len--;
    }
    if (str_to_double(text, &share) != 0) {
        return ERR_SYNTAX;
    }
    share = is_percent ? share / 100 : share;
    if (!(share >= 0 && share <= 1)) {
        return ERR_RANGE;
    }
    *ret = share;
    return 0;
}

static int parse_errors(struct str text, struct mock_options *ret)
{
    struct str rest = text, part;
    int64_t status = 500;

    if (!str_next(&rest, ':', &part) || mock_parse_share(part, &ret->error_share) != 0) {
        return ERR_SYNTAX;
    }
    if (str_next(&rest, ':', &part) && str_to_i64(part, 300, 599, &status) != 0) {
        return ERR_RANGE;
    }
    ret->error_status = (int)status;
    ret->has_error_latency = rest.ptr != NULL;
    return rest.ptr != NULL ? mock_parse_latency(rest, &ret->error_latency) : 0;
}

static int parse_time(struct str text, int64_t *ret_ns)
{
    if (str_equal(text, STR("0"))) {
        *ret_ns = 0;
        return 0;
    }
    return str_to_duration(text, ret_ns);
}

int mock_parse_outage(struct str text, struct mock_outage *ret)
{
    struct str rest = text, times, begin;
    struct mock_outage outage = {.mode = MOCK_OUTAGE_REFUSE};

    if (!str_next(&rest, ':', &times) || !str_next(&times, '-', &begin) || times.ptr == NULL ||
        parse_time(begin, &outage.begin_ns) != 0 || parse_time(times, &outage.end_ns) != 0) {
        return ERR_SYNTAX;
    }
    if (rest.ptr == NULL || str_equal(rest, STR("refuse"))) {
        outage.mode = MOCK_OUTAGE_REFUSE;
    } else if (str_equal(rest, STR("503"))) {
        outage.mode = MOCK_OUTAGE_503;
    } else if (str_equal(rest, STR("blackhole"))) {
        outage.mode = MOCK_OUTAGE_BLACKHOLE;
    } else {
        return ERR_SYNTAX;
    }
    if (outage.begin_ns >= outage.end_ns) {
        return ERR_RANGE;
    }
    *ret = outage;
    return 0;
}

enum mock_option {
    OPTION_LIMIT,
    OPTION_CONCURRENCY,
    OPTION_RETRY_AFTER,
    OPTION_LATENCY,
    OPTION_ERRORS,
    OPTION_CLOSE_SHARE,
    OPTION_OUTAGE,
    OPTION_DURATION,
    OPTION_SEED,
};

static int parse_u32(struct str text, int64_t max, uint32_t *ret)
{
    int64_t number;
    int error = str_to_i64(text, 1, max, &number);
    if (error == 0) {
        *ret = (uint32_t)number;
    }
    return error;
}

static int parse_duration(struct str text, int64_t *ret_ns)
{
    int error = str_to_duration(text, ret_ns);
    return error == 0 && *ret_ns == 0 ? ERR_RANGE : error;
}

static int parse_outage_into(struct str text, struct mock_options *o)
{
    if (o->outage_count == MOCK_OUTAGES_MAX) {
        return ERR_RANGE;
    }
    int error = mock_parse_outage(text, &o->outages[o->outage_count]);
    o->outage_count += error == 0 ? 1 : 0;
    return error;
}

static int parse_seed(struct str text, uint64_t *ret)
{
    int64_t seed;
    int error = str_to_i64(text, 0, INT64_MAX, &seed);
    if (error == 0) {
        *ret = (uint64_t)seed;
    }
    return error;
}

static int parse_one(const struct cli_option *option, const char *value)
{
    struct mock_options *o = option->ret;
    struct str text = str_from(value);

    switch (option->id) {
    case OPTION_LIMIT:
        return rate_parse(text, &o->requests, &o->per_ns, NULL);
    case OPTION_CONCURRENCY:
        return parse_u32(text, CONCURRENCY_MAX, &o->concurrency);
    case OPTION_RETRY_AFTER:
        return parse_u32(text, RETRY_AFTER_MAX, &o->retry_after);
    case OPTION_LATENCY:
        return mock_parse_latency(text, &o->latency);
    case OPTION_ERRORS:
        return parse_errors(text, o);
    case OPTION_CLOSE_SHARE:
        return mock_parse_share(text, &o->close_share);
    case OPTION_OUTAGE:
        return parse_outage_into(text, o);
    case OPTION_DURATION:
        return parse_duration(text, &o->duration_ns);
    case OPTION_SEED:
        return parse_seed(text, &o->seed);
    default:
        return ERR_BUG;
    }
}

#define TAKEN(option, id_, wanted_)                                                                \
    {                                                                                              \
        .name = (option), .kind = CLI_TAKEN, .ret = &o, .wanted = (wanted_), .id = (id_),          \
        .take = parse_one                                                                          \
    }
#define TEXT(option, member, wanted_)                                                              \
    {                                                                                              \
        .name = (option), .kind = CLI_TEXT, .ret = &o.member, .wanted = (wanted_)                  \
    }

int mock_options_parse(int argc, char **argv, struct mock_options *ret, struct error *e)
{
    struct mock_options o = {
        .listen = "127.0.0.1:8080", .per_ns = NS_PER_S, .error_status = 500, .seed = 1};
    const struct cli_option options[] = {
        TEXT("listen", listen, "an address, as 127.0.0.1:8080"),
        TAKEN("limit", OPTION_LIMIT, "requests/time, as 5/1s"),
        TAKEN("concurrency", OPTION_CONCURRENCY, "a number from 1 to 1000000"),
        TAKEN("retry-after", OPTION_RETRY_AFTER, "seconds, from 1 to 86400"),
        TAKEN("latency", OPTION_LATENCY,
              "a time, as 600ms, const:600ms or 600ms:1 with a coefficient of variation from 0 "
              "to 10"),
        TAKEN("errors", OPTION_ERRORS,
              "share[:status[:time]], as 10%:500:50ms with a status from 300 to 599"),
        TAKEN("close-share", OPTION_CLOSE_SHARE, "a share, as 10% or 0.1"),
        TAKEN("outage", OPTION_OUTAGE,
              "from-to[:refuse|503|blackhole], as 10s-20s:503, at most 16 times"),
        TAKEN("duration", OPTION_DURATION, "a time, as 60s"),
        TEXT("report", report_path, "a file"),
        TEXT("log", log_path, "a file"),
        TAKEN("seed", OPTION_SEED, "a number from 0 on"),
    };
    struct cli_words words;
    int error = cli_options_parse(argc, argv, options, SL_COUNT(options), &words, e);

    if (error != 0) {
        return error;
    }
    if (words.count > 0) {
        return error_set(e, ERR_INVALID, "", "unexpected \"%s\"", words.items[0]);
    }
    o.help = words.help;
    if (!o.has_error_latency) {
        o.error_latency = o.latency;
    }
    *ret = o;
    return 0;
}
