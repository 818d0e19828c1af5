#include "settings_check.h"

#include "settings_text.h"
#include "sluice/base/clock.h"
#include "sluice/limit/keyed.h"

#include <stdio.h>
#include <string.h>

#define KEYS_MAX 10000u

static void check_per(struct check *check, const struct limit_settings *limit)
{
    char per[32];
    char other[32];
    if (limit->per_ns <= LIMIT_UNSAVED_MAX_NS) {
        return;
    }
    /* The same pace in a window that is allowed: one request per W / N. */
    int64_t one_ns = limit->requests == 0 ? limit->per_ns : limit->per_ns / limit->requests;
    one_ns = one_ns > NS_PER_S ? one_ns / NS_PER_S * NS_PER_S : one_ns;
    config_duration_text(limit->per_ns, per, sizeof(per));
    config_duration_text(one_ns, other, sizeof(other));
    const struct place where = place("limits", limit->name, "per");
    if (one_ns <= LIMIT_UNSAVED_MAX_NS && limit->requests > 1) {
        FAIL(
            check, where.text,
            "found \"%s\"; allowed: at most \"60s\" while the state of limits is not kept on disk; "
            "use the same pace in a shorter window, for example 1 request per \"%s\"",
            per, other);
    } else {
        FAIL(
            check, where.text,
            "found \"%s\"; allowed: at most \"60s\" while the state of limits is not kept on disk; "
            "use a shorter window",
            per);
    }
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
    if (permits > 0 && permits > LIMIT_KEYED_PERMITS_MAX / limit->keys_max) {
        FAIL(check, max.text,
             "found %u keys of %u permits each; allowed: at most %u permits in all, so up to %u "
             "keys",
             limit->keys_max, permits, LIMIT_KEYED_PERMITS_MAX, LIMIT_KEYED_PERMITS_MAX / permits);
    }
}

void check_limit(struct check *check, struct limit_settings *limit)
{
    check_per(check, limit);
    if (limit->kind == LIMIT_WINDOW && limit->burst != 0) {
        FAIL(check, place("limits", limit->name, "burst").text,
             "found %u with kind \"window\"; remove it, or set kind to \"bucket\"", limit->burst);
    }
    if (limit->kind == LIMIT_BUCKET && limit->burst == 0) {
        limit->burst = 1;
    }
    check_key(check, limit);
    if (limit->guard_ns == CONFIG_UNSET) {
        limit->guard_ns = limit->hold == LIMIT_HOLD_ARRIVAL ? LIMIT_GUARD_NS : 0;
    }
}
