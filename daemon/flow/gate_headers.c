#include "sluice/flow/gate_headers.h"

#define EPOCH_SECONDS_MIN      INT64_C(1000000000)
#define EPOCH_MILLISECONDS_MIN INT64_C(100000000000)
#define FAR_MS                 (INT64_MAX / NS_PER_MS)

/* What one family of quota headers said. */
struct allowance {
    bool told, contradicted; /* how much is left: once, or differently */
    int64_t remaining;
    int64_t reset_ms; /* 0: not said */
};

enum quota_family { FAMILY_RATELIMIT, FAMILY_X_RATELIMIT, FAMILY_X_RATE_LIMIT, FAMILY__COUNT };

struct reading {
    wall_ms wall_now;
    struct allowance allowances[FAMILY__COUNT];
    int64_t retry_after_ms, amazon_ms, policy_ms;
};

/* ---- values ---- */

/* Of any length: beyond what an integer holds it is simply far away. */
static bool read_count(struct str text, int64_t *ret)
{
    if (!str_is_digits(text)) {
        return false;
    }
    if (str_to_i64(text, 0, FAR_MS, ret) != 0) {
        *ret = FAR_MS;
    }
    return true;
}

/* "12", "0.25": what lies behind the third digit counts as another millisecond. */
static bool read_seconds(struct str text, int64_t *ret_seconds, int64_t *ret_ms)
{
    struct str fraction = text, whole;
    int64_t ms = 0;

    if (!str_next(&fraction, '.', &whole) || !read_count(whole, ret_seconds) ||
        (fraction.ptr != NULL && !str_is_digits(fraction))) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        ms = ms * 10 + (fraction.ptr != NULL && i < fraction.len ? fraction.ptr[i] - '0' : 0);
    }
    *ret_ms = ms + (fraction.len > 3 ? 1 : 0);
    return true;
}

static int64_t until_ms(wall_ms at, wall_ms now)
{
    return at > now ? at - now : 0;
}

/* Milliseconds from now; 0 also for what is past or says nothing. */
static int64_t reset_ms(struct str text, wall_ms wall_now)
{
    int64_t seconds, ms, delay_ns;

    text = str_trim(text);
    if (!read_seconds(text, &seconds, &ms)) {
        return outcome_retry_after(text, wall_now, FAR_MS * NS_PER_MS, &delay_ns) == 0
                   ? delay_ns / NS_PER_MS
                   : 0;
    }
    if (seconds >= EPOCH_MILLISECONDS_MIN) {
        return until_ms(seconds, wall_now);
    }
    ms += seconds * 1000;
    return seconds >= EPOCH_SECONDS_MIN ? until_ms(ms, wall_now) : ms;
}

/* ---- allowances ---- */

static void allowance_remaining(struct allowance *allowance, struct str text)
{
    int64_t remaining;

    if (!read_count(str_trim(text), &remaining)) {
        return;
    }
    allowance->contradicted =
        allowance->contradicted || (allowance->told && allowance->remaining != remaining);
    allowance->told = true;
    allowance->remaining = remaining;
}

static void allowance_reset(struct allowance *allowance, struct str text, wall_ms wall_now)
{
    int64_t ms = reset_ms(text, wall_now);

    allowance->reset_ms = ms > allowance->reset_ms ? ms : allowance->reset_ms;
}

static int64_t allowance_wait_ms(const struct allowance *allowance)
{
    return allowance->told && !allowance->contradicted && allowance->remaining == 0
               ? allowance->reset_ms
               : 0;
}

/* As str_next, but what stands between quotation marks is one piece (RFC 9651 §3.3.3). */
static bool next_part(struct str *rest, char separator, struct str *ret)
{
    bool quoted = false;
    size_t i = 0;

    if (rest->ptr == NULL) {
        return false;
    }
    for (; i < rest->len && (quoted || rest->ptr[i] != separator); i++) {
        if (rest->ptr[i] == '"') {
            quoted = !quoted;
        } else if (quoted && rest->ptr[i] == '\\' && i + 1 < rest->len) {
            i++;
        }
    }
    *ret = str_trim((struct str){rest->ptr, i});
    *rest = i < rest->len ? (struct str){rest->ptr + i + 1, rest->len - i - 1} : STR_NONE;
    return true;
}

/* One policy of the list form: what follows its name. */
static void read_policy(struct reading *r, struct str parameters)
{
    struct allowance policy = {0};
    struct str parameter;

    while (next_part(&parameters, ';', &parameter)) {
        struct str value = parameter, name;
        if (!str_next(&value, '=', &name)) {
            continue;
        }
        if (str_equal(str_trim(name), STR("r"))) {
            allowance_remaining(&policy, value);
        } else if (str_equal(str_trim(name), STR("t"))) {
            allowance_reset(&policy, value, r->wall_now);
        }
    }
    int64_t ms = allowance_wait_ms(&policy);
    r->policy_ms = ms > r->policy_ms ? ms : r->policy_ms;
}

static void read_ratelimit(struct reading *r, struct str value)
{
    struct allowance *allowance = &r->allowances[FAMILY_RATELIMIT];
    struct str member;

    while (next_part(&value, ',', &member)) {
        struct str parameters = member, first, name;
        if (!next_part(&parameters, ';', &first)) {
            continue;
        }
        if (parameters.ptr != NULL && (first.len == 0 || first.ptr[0] == '"')) {
            read_policy(r, parameters);
            continue;
        }
        if (!str_next(&first, '=', &name)) {
            continue;
        }
        if (first.ptr == NULL) { /* a name that is a token: early list forms */
            read_policy(r, parameters);
        } else if (str_equal(name, STR("remaining"))) {
            allowance_remaining(allowance, first);
        } else if (str_equal(name, STR("reset"))) {
            allowance_reset(allowance, first, r->wall_now);
        }
    }
}

/* ---- headers ---- */

static void read_longest_ms(int64_t *longest, int64_t ms)
{
    *longest = ms > *longest ? ms : *longest;
}

static void read_waits(struct reading *r, const struct outcome_header *header)
{
    int64_t delay_ns, ms;

    if (str_equal_nocase(header->name, STR("retry-after"))) {
        if (outcome_retry_after(header->value, r->wall_now, FAR_MS * NS_PER_MS, &delay_ns) == 0) {
            read_longest_ms(&r->retry_after_ms, delay_ns / NS_PER_MS);
        }
    } else if (str_equal_nocase(header->name, STR("x-amz-retry-after")) &&
               read_count(str_trim(header->value), &ms)) {
        read_longest_ms(&r->amazon_ms, ms);
    }
}

static void read_allowances(struct reading *r, const struct outcome_header *header)
{
    static const struct str prefixes[] = {
        [FAMILY_RATELIMIT] = {"ratelimit-", 10},
        [FAMILY_X_RATELIMIT] = {"x-ratelimit-", 12},
        [FAMILY_X_RATE_LIMIT] = {"x-rate-limit-", 13},
    };

    if (str_equal_nocase(header->name, STR("ratelimit"))) {
        read_ratelimit(r, header->value);
        return;
    }
    for (int family = 0; family < FAMILY__COUNT; family++) {
        size_t len = prefixes[family].len;
        if (header->name.len <= len ||
            !str_equal_nocase((struct str){header->name.ptr, len}, prefixes[family])) {
            continue;
        }
        struct str rest = {header->name.ptr + len, header->name.len - len};
        if (str_equal_nocase(rest, STR("remaining"))) {
            allowance_remaining(&r->allowances[family], header->value);
        } else if (str_equal_nocase(rest, STR("reset"))) {
            allowance_reset(&r->allowances[family], header->value, r->wall_now);
        }
    }
}

static void advise(struct gate_advice *advice, const char *header, int64_t ms, int64_t cap_ns)
{
    int64_t delay_ns = ms >= cap_ns / NS_PER_MS ? cap_ns : ms * NS_PER_MS;

    if (delay_ns > advice->delay_ns) {
        *advice = (struct gate_advice){
            .header = header, .delay_ns = delay_ns, .capped = ms > cap_ns / NS_PER_MS};
    }
}

struct gate_advice gate_headers_read(const struct outcome_header *headers, uint32_t count,
                                     bool retry_after, wall_ms wall_now, int64_t cap_ns)
{
    static const char *const names[] = {
        [FAMILY_RATELIMIT] = "RateLimit-Reset",
        [FAMILY_X_RATELIMIT] = "X-RateLimit-Reset",
        [FAMILY_X_RATE_LIMIT] = "X-Rate-Limit-Reset",
    };
    struct reading r = {.wall_now = wall_now};
    struct gate_advice advice = {0};

    for (uint32_t i = 0; i < count; i++) {
        if (retry_after) {
            read_waits(&r, &headers[i]);
        }
        read_allowances(&r, &headers[i]);
    }
    advise(&advice, "Retry-After", r.retry_after_ms, cap_ns);
    advise(&advice, "x-amz-retry-after", r.amazon_ms, cap_ns);
    if (advice.header != NULL) {
        return advice;
    }
    advise(&advice, "RateLimit", r.policy_ms, cap_ns);
    for (int family = 0; family < FAMILY__COUNT; family++) {
        advise(&advice, names[family], allowance_wait_ms(&r.allowances[family]), cap_ns);
    }
    return advice;
}
