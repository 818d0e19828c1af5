#include "settings_check.h"

#include "settings_text.h"
#include "sluice/base/clock.h"
#include "sluice/limit/keyed.h"

#include <stdio.h>
#include <string.h>

#define KEYS_MAX       10000u
#define PER_DEFAULT_NS NS_PER_S /* as the row says */

/* A quota's time is its period: `per` would say it twice. */
static void check_quota(struct check *check, struct limit_settings *limit)
{
    int64_t per_ns = limit->period == QUOTA_PERIOD_HOUR ? LIMIT_HOUR_NS : LIMIT_DAY_NS;
    char per[32];

    if (limit->period == QUOTA_PERIOD_NONE) {
        FAIL(check, place("limits", limit->name, "period").text,
             "not given; a quota needs \"hour\" or \"day\"");
    } else if (limit->per_ns != PER_DEFAULT_NS && limit->per_ns != per_ns) {
        config_duration_text(limit->per_ns, per, sizeof(per));
        FAIL(check, place("limits", limit->name, "per").text,
             "found \"%s\" with kind \"quota\"; remove it: a quota counts by its period", per);
    }
    limit->per_ns = per_ns;
}

static void check_key(struct check *check, struct limit_settings *limit)
{
    const struct place max = place("limits", limit->name, "keys_max");
    const char *problem = NULL;
    uint32_t permits = limit->kind == LIMIT_BUCKET ? limit->burst : limit->requests;
    if (limit->key == NULL) {
        if (limit->keys_max != 0) {
            FAIL(check, max.text, "given without key; remove it, or say what the key is");
        }
        return;
    }
    limit->keys_max = limit->keys_max == 0 ? KEYS_MAX : limit->keys_max;
    if (message_key_parse(str_from(limit->key), &limit->parsed_key, &problem) != 0) {
        FAIL(check, place("limits", limit->name, "key").text, "found \"%.80s\": %s; allowed: %s",
             limit->key, problem, MESSAGE_KEY_FORMS);
    }
    if (limit->kind == LIMIT_QUOTA || limit->per_ns > LIMIT_UNSAVED_MAX_NS) {
        FAIL(check, place("limits", limit->name, "key").text,
             "given with a quota or a window of more than 60s, which is kept on disk; a limit by "
             "key "
             "is not: remove it, or use a window of at most 60s");
    }
    if (permits > 0 && permits > LIMIT_KEYED_PERMITS_MAX / limit->keys_max) {
        FAIL(check, max.text,
             "found %u keys of %u permits each; allowed: at most %u permits in all, so up to %u "
             "keys",
             limit->keys_max, permits, LIMIT_KEYED_PERMITS_MAX, LIMIT_KEYED_PERMITS_MAX / permits);
    }
}

/* What is beyond its bounds alone was said already. */
static void check_burst(struct check *check, const struct limit_settings *limit)
{
    struct limit_config config = {.kind = LIMIT_BUCKET,
                                  .requests = limit->requests,
                                  .per_ns = limit->per_ns,
                                  .burst = limit->burst};
    char per[32];

    if (limit->requests == 0 || limit->per_ns <= 0 || limit_config_check(&config, NULL) == 0) {
        return;
    }
    config_duration_text(limit->per_ns, per, sizeof(per));
    FAIL(check, place("limits", limit->name, "burst").text,
         "found %u; it would take longer than 366 days to fill at %u requests per %s; use a "
         "smaller burst",
         limit->burst, limit->requests, per);
}

void check_limit(struct check *check, struct limit_settings *limit)
{
    if (limit->kind == LIMIT_QUOTA) {
        check_quota(check, limit);
    } else if (limit->period != QUOTA_PERIOD_NONE) {
        FAIL(check, place("limits", limit->name, "period").text,
             "for kind \"quota\" only; remove it, or set kind to \"quota\"");
    }
    if (limit->kind != LIMIT_BUCKET && limit->burst != 0) {
        FAIL(check, place("limits", limit->name, "burst").text,
             "found %u with kind \"%s\"; remove it, or set kind to \"bucket\"", limit->burst,
             limit->kind == LIMIT_WINDOW ? "window" : "quota");
    }
    if (limit->kind == LIMIT_BUCKET && limit->burst == 0) {
        limit->burst = 1;
    }
    if (limit->kind == LIMIT_BUCKET) {
        check_burst(check, limit);
    }
    check_key(check, limit);
    if (limit->kind == LIMIT_QUOTA && limit->dry_run) {
        FAIL(check, place("limits", limit->name, "dry_run").text,
             "given with kind \"quota\"; remove it: `sluice usage` shows what is used without it");
    }
    if (limit->guard_ns == CONFIG_UNSET) {
        limit->guard_ns = limit->hold == LIMIT_HOLD_ARRIVAL ? LIMIT_GUARD_NS : 0;
    }
}
