#include "settings_check.h"

#include "settings_text.h"
#include "sluice/base/clock.h"

#include <stdio.h>
#include <string.h>

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
    if (limit->guard_ns == CONFIG_UNSET) {
        limit->guard_ns = limit->hold == LIMIT_HOLD_ARRIVAL ? LIMIT_GUARD_NS : 0;
    }
}
