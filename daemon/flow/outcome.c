#include "sluice/flow/outcome.h"

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {
#define XX(name, text) [OUTCOME_##name] = (text),
        OUTCOME_MAP(XX)
#undef XX
    };
    return (unsigned)outcome < SL_COUNT(names) ? names[outcome] : "unknown";
}

const char *outcome_error_name(int error)
{
    static const struct {
        int error;
        const char *name;
    } names[] = {{ERR_CANCELED, "canceled"},
#define XX(code, text) {code, text},
                 OUTCOME_ERROR_MAP(XX)
#undef XX
    };
    size_t i = 0;

    while (i + 1 < SL_COUNT(names) && names[i].error != error) { /* the last is for all others */
        i++;
    }
    return names[i].name;
}

static enum outcome outcome_of_status(int status)
{
    if (status >= 200 && status < 300) {
        return OUTCOME_ACK;
    }
    if (status == 429 || status == 503) {
        return OUTCOME_THROTTLE;
    }
    if (status >= 300 && status < 500 && status != 408) {
        return OUTCOME_DEAD_LETTER;
    }
    return OUTCOME_RETRY; /* 408, 5xx, and what HTTP does not know */
}

enum outcome outcome_of(const struct attempt_result *result)
{
    if (result->rule > 0) {
        return result->ruled;
    }
    /* A body beyond our maximum is no reason to call again: the API's answer is known. */
    if (result->error == 0 || (result->error == ERR_TOO_BIG && result->status != 0)) {
        return outcome_of_status(result->status);
    }
    return OUTCOME_RETRY;
}

bool outcome_counts(const struct attempt_result *result, enum outcome outcome)
{
    if (outcome == OUTCOME_THROTTLE) {
        return false;
    }
    return result->error == 0 || result->written;
}

bool outcome_is_unknown(const struct attempt_result *result)
{
    return result->end == ATTEMPT_CALLED && result->error != 0 && result->written &&
           !(result->error == ERR_TOO_BIG && result->status != 0);
}

/* ---- Retry-After ---- */

struct cursor {
    struct str rest;
    bool failed;
};

static void expect(struct cursor *c, char wanted)
{
    if (c->failed || c->rest.len == 0 || c->rest.ptr[0] != wanted) {
        c->failed = true;
        return;
    }
    c->rest.ptr++;
    c->rest.len--;
}

static int64_t digits(struct cursor *c, size_t count, int64_t min, int64_t max)
{
    int64_t value = 0;

    if (c->failed || c->rest.len < count ||
        str_to_i64((struct str){c->rest.ptr, count}, min, max, &value) != 0 ||
        c->rest.ptr[0] < '0' || c->rest.ptr[0] > '9') {
        c->failed = true;
        return 0;
    }
    c->rest.ptr += count;
    c->rest.len -= count;
    return value;
}

/* One of count names of three letters: its index. */
static int name3(struct cursor *c, const char *names, int count)
{
    for (int i = 0; !c->failed && c->rest.len >= 3 && i < count; i++) {
        struct str name = {names + (ptrdiff_t)i * 3, 3};
        if (str_equal((struct str){c->rest.ptr, 3}, name)) {
            c->rest.ptr += 3;
            c->rest.len -= 3;
            return i;
        }
    }
    c->failed = true;
    return 0;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar (H. Hinnant, days_from_civil). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static int64_t days_of_month(int64_t year, int month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 1 && leap ? 29 : days[month];
}

static int64_t time_of_day(struct cursor *c)
{
    int64_t hour = digits(c, 2, 0, 23);
    expect(c, ':');
    int64_t minute = digits(c, 2, 0, 59);
    expect(c, ':');
    int64_t second = digits(c, 2, 0, 60);

    return hour * 3600 + minute * 60 + second;
}

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static int date_end(const struct cursor *c, int64_t year, int month, int64_t day, int64_t seconds,
                    wall_ms *ret)
{
    if (c->failed || c->rest.len != 0 || day > days_of_month(year, month)) {
        return ERR_SYNTAX;
    }
    *ret = (days_from_civil(year, month + 1, day) * 86400 + seconds) * 1000;
    return 0;
}

/* IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT": the form that RFC 9110 §5.6.7 asks senders for. */
static int date_imf(struct str value, wall_ms *ret)
{
    struct cursor c = {value, false};

    (void)name3(&c, day_names, 7);
    expect(&c, ',');
    expect(&c, ' ');
    int64_t day = digits(&c, 2, 1, 31);
    expect(&c, ' ');
    int month = name3(&c, month_names, 12);
    expect(&c, ' ');
    int64_t year = digits(&c, 4, 1970, 9999);
    expect(&c, ' ');
    int64_t seconds = time_of_day(&c);
    expect(&c, ' ');
    (void)name3(&c, "GMT", 1);
    return date_end(&c, year, month, day, seconds, ret);
}

/* asctime, "Sun Nov  6 08:49:37 1994": obsolete, still to be accepted. */
static int date_asctime(struct str value, wall_ms *ret)
{
    struct cursor c = {value, false};

    (void)name3(&c, day_names, 7);
    expect(&c, ' ');
    int month = name3(&c, month_names, 12);
    expect(&c, ' ');
    bool padded = c.rest.len > 0 && c.rest.ptr[0] == ' ';
    if (padded) {
        expect(&c, ' ');
    }
    int64_t day = digits(&c, padded ? 1 : 2, 1, 31);
    expect(&c, ' ');
    int64_t seconds = time_of_day(&c);
    expect(&c, ' ');
    int64_t year = digits(&c, 4, 1970, 9999);
    return date_end(&c, year, month, day, seconds, ret);
}

/* RFC 850, "Sunday, 06-Nov-94 08:49:37 GMT": obsolete; a year that seems more than 50 years ahead
 * is of the past century. */
static int date_rfc850(struct str value, wall_ms wall_now, wall_ms *ret)
{
    struct str rest = value, name;
    wall_ms at = 0;

    if (!str_next(&rest, ',', &name) || rest.ptr == NULL || name.len < 6 || name.len > 9 ||
        !str_ends_with(name, STR("day"))) {
        return ERR_SYNTAX;
    }
    struct cursor c = {rest, false};
    expect(&c, ' ');
    int64_t day = digits(&c, 2, 1, 31);
    expect(&c, '-');
    int month = name3(&c, month_names, 12);
    expect(&c, '-');
    int64_t year = 2000 + digits(&c, 2, 0, 99);
    expect(&c, ' ');
    int64_t seconds = time_of_day(&c);
    expect(&c, ' ');
    (void)name3(&c, "GMT", 1);
    int error = date_end(&c, year, month, day, seconds, &at);
    if (error == 0 && (at - wall_now) / 1000 > INT64_C(50) * 36525 * 864) {
        error = date_end(&c, year - 100, month, day, seconds, &at);
    }
    if (error == 0) {
        *ret = at;
    }
    return error;
}

int outcome_retry_after(struct str value, wall_ms wall_now, int64_t cap_ns, int64_t *ret_delay_ns)
{
    wall_ms at = 0;
    int64_t cap_ms = cap_ns / NS_PER_MS, delay_ms;

    value = str_trim(value);
    if (str_is_digits(value)) {
        int64_t seconds = 0;
        if (str_to_i64(value, 0, INT64_MAX / 1000, &seconds) != 0) {
            seconds = INT64_MAX / 1000; /* of any length: it is simply far away */
        }
        delay_ms = seconds * 1000;
    } else if (date_imf(value, &at) == 0 || date_asctime(value, &at) == 0 ||
               date_rfc850(value, wall_now, &at) == 0) {
        delay_ms = at > wall_now ? at - wall_now : 0;
    } else {
        return ERR_SYNTAX;
    }
    *ret_delay_ns = delay_ms >= cap_ms ? cap_ns : delay_ms * NS_PER_MS;
    return 0;
}
