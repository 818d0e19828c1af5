#include "settings_rows.h"

#include "sluice/limit/keyed.h"

#define LIMIT(member) CONFIG_MEMBER(struct limit_settings, member)

/* In the order of their enums. */
static const char *const limit_kinds[] = {"window", "bucket", "quota", NULL};
static const char *const quota_periods[] = {"none", "hour", "day", NULL};
static const char *const limit_holds[] = {"arrival", "response", NULL};

static const struct config_row rows[] = {
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
             "requests / per and depth `burst`. quota: `requests` in each hour or day of the "
             "calendar (`period`, `time_zone`)."},
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
     .help =
         "The window. Beyond 60s the limit's state is kept on disk, over restarts. Not for kind "
         "quota."},
    {.path = "limits.*.period",
     .type = CONFIG_ENUM,
     LIMIT(period),
     .names = quota_periods,
     .fallback = "\"none\"",
     .help = "Of a quota: hour or day. Its state is kept on disk, over restarts."},
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
    {.path = "limits.*.key",
     .type = CONFIG_STRING,
     LIMIT(key),
     .min = 1,
     .max = 300,
     .help = "The limit holds for each value of this key on its own: \"message_group_id\", "
             "\"attribute:NAME\", \"body:/json/pointer\" or \"message_id\". Messages without it "
             "share one more. Without a key there is one limit for all messages.",
     .example = "\"message_group_id\""},
    {.path = "limits.*.keys_max",
     .type = CONFIG_INTEGER,
     LIMIT(keys_max),
     .min = 1,
     .max = LIMIT_KEYS_MAX,
     .unit = "keys",
     .help = "Keys that are remembered at a time, 10000 when not given. One is forgotten only when "
             "all its permits are free again; messages of more keys wait until then.",
     .example = "10000"},
    {.path = "limits.*.dry_run",
     .type = CONFIG_BOOL,
     LIMIT(dry_run),
     .fallback = "false",
     .help = "Hold up nothing, only count the calls that the limit would have delayed "
             "(sluice_limit_dry_run_delayed_total). A call beyond the limit takes no permit."},
};

const struct config_rows settings_rows_limits = CONFIG_ROWS(rows);
