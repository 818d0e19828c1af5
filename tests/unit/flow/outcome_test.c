#include "unit/base/unit.h"

#include "sluice/flow/outcome.h"

#include "sluice/base/clock.h"

static enum outcome of_status(int status)
{
    return outcome_of(&(struct attempt_result){.status = status, .written = true});
}

static enum outcome expected(int status)
{
    switch (status) {
    case 408:
        return OUTCOME_RETRY;
    case 429:
    case 503:
        return OUTCOME_THROTTLE;
    default:
        return status < 200   ? OUTCOME_RETRY
               : status < 300 ? OUTCOME_ACK
               : status < 500 ? OUTCOME_DEAD_LETTER
                              : OUTCOME_RETRY;
    }
}

static void table_of_statuses(void **state)
{
    (void)state;
    for (int status = 100; status < 1000; status++) {
        assert_int_equal(of_status(status), expected(status));
    }
    assert_int_equal(of_status(0), OUTCOME_RETRY);
}

static void table_of_errors(void **state)
{
    static const int errors[] = {ERR_RESOLVE, ERR_CONNECT,  ERR_TLS,     ERR_RESET,
                                 ERR_TIMEOUT, ERR_PROTOCOL, ERR_CANCELED};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(errors); i++) {
        /* Whatever the status line said: the answer did not come through. */
        struct attempt_result result = {.error = errors[i], .status = 200, .written = true};
        assert_int_equal(outcome_of(&result), OUTCOME_RETRY);
    }
    struct attempt_result too_big = {.error = ERR_TOO_BIG, .status = 201, .written = true};
    assert_int_equal(outcome_of(&too_big), OUTCOME_ACK);
    too_big.status = 0;
    assert_int_equal(outcome_of(&too_big), OUTCOME_RETRY);
}

static void what_counts(void **state)
{
    static const struct {
        struct attempt_result result;
        bool counts;
    } cases[] = {
        {{.status = 200, .written = true}, true},
        {{.status = 400, .written = true}, true},
        {{.status = 500, .written = true}, true},
        {{.status = 429, .written = true}, false},
        {{.status = 503, .written = true}, false},
        {{.error = ERR_TIMEOUT, .written = true}, true},
        {{.error = ERR_RESET, .written = true}, true},
        {{.error = ERR_CONNECT}, false},
        {{.error = ERR_RESOLVE}, false},
        {{.error = ERR_TLS}, false},
        {{.error = ERR_CANCELED}, false},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        const struct attempt_result *result = &cases[i].result;
        assert_int_equal(outcome_counts(result, outcome_of(result)), cases[i].counts);
    }
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(outcome_name(OUTCOME_ACK), "ack");
    assert_string_equal(outcome_name(OUTCOME_DEAD_LETTER), "dead_letter");
    assert_string_equal(outcome_name((enum outcome)99), "unknown");
}

/* ---- Retry-After ---- */

#define NOW INT64_C(784111777000) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define CAP (900 * NS_PER_S)

static int64_t delay_of(const char *value)
{
    int64_t delay = -1;

    assert_int_equal(outcome_retry_after(str_from(value), NOW, CAP, &delay), 0);
    return delay;
}

static void retry_after_seconds(void **state)
{
    (void)state;
    assert_int_equal(delay_of("0"), 0);
    assert_int_equal(delay_of("1"), NS_PER_S);
    assert_int_equal(delay_of("  120\t"), 120 * NS_PER_S);
    assert_int_equal(delay_of("0000030"), 30 * NS_PER_S);
    assert_int_equal(delay_of("900"), CAP);
    assert_int_equal(delay_of("901"), CAP);
    assert_int_equal(delay_of("99999999999999999999999999"), CAP);
    assert_int_equal(delay_of("9223372036854775807"), CAP);
}

static void retry_after_dates(void **state)
{
    (void)state;
    assert_int_equal(delay_of("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
    assert_int_equal(delay_of("Sun, 06 Nov 1994 08:50:07 GMT"), 30 * NS_PER_S);
    assert_int_equal(delay_of("Sunday, 06-Nov-94 08:49:47 GMT"), 10 * NS_PER_S);
    assert_int_equal(delay_of("Sun Nov  6 08:49:47 1994"), 10 * NS_PER_S);
    assert_int_equal(delay_of("Wed Nov 16 08:49:47 1994"), CAP);
    assert_int_equal(delay_of("Sat, 05 Nov 1994 08:49:37 GMT"), 0); /* past */
    assert_int_equal(delay_of("Fri, 31 Dec 9999 23:59:59 GMT"), CAP);
    assert_int_equal(delay_of("Sun, 06 Nov 1994 08:49:60 GMT"), 23 * NS_PER_S); /* leap second */
}

/* A two-digit year that seems more than 50 years ahead is of the past. */
static void retry_after_old_years(void **state)
{
    int64_t delay = -1;
    wall_ms in_2026 = INT64_C(1767225600000);

    (void)state;
    assert_int_equal(
        outcome_retry_after(STR("Thursday, 01-Jan-26 00:00:05 GMT"), in_2026, CAP, &delay), 0);
    assert_int_equal(delay, 5 * NS_PER_S);
    assert_int_equal(
        outcome_retry_after(STR("Friday, 01-Jan-99 00:00:05 GMT"), in_2026, CAP, &delay), 0);
    assert_int_equal(delay, 0);
}

static void retry_after_refused(void **state)
{
    static const char *const values[] = {
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1s",
        "10 20",
        "soon",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1995 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMTX",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:47 GMT",
        "Sun Nov 6 08:49:47 1994",
        "day, 06-Nov-94 08:49:47 GMT",
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        int64_t delay = 42;
        if (outcome_retry_after(str_from(values[i]), NOW, CAP, &delay) != ERR_SYNTAX) {
            fail_msg("accepted: \"%s\"", values[i]);
        }
        assert_int_equal(delay, 42); /* set only on success */
    }
    int64_t delay = 42;
    assert_int_equal(outcome_retry_after(STR_NONE, NOW, CAP, &delay), ERR_SYNTAX);
}

/* 29 February of leap years, the turn of centuries: against a second way of counting. */
static void retry_after_calendar(void **state)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    wall_ms at = 0;

    (void)state;
    for (int year = 1970; year < 2110; year++) {
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (int month = 0; month < 12; month++) {
            for (int day = 1; day <= days[month] + (month == 1 && leap ? 1 : 0); day++) {
                char text[64];
                int64_t delay = -1;
                (void)snprintf(text, sizeof(text), "Mon, %02d %s %04d 00:00:01 GMT", day,
                               months[month], year);
                assert_int_equal(outcome_retry_after(str_from(text), at, CAP, &delay), 0);
                assert_int_equal(delay, NS_PER_S);
                at += INT64_C(86400000);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_statuses),     cmocka_unit_test(table_of_errors),
        cmocka_unit_test(what_counts),           cmocka_unit_test(names),
        cmocka_unit_test(retry_after_seconds),   cmocka_unit_test(retry_after_dates),
        cmocka_unit_test(retry_after_old_years), cmocka_unit_test(retry_after_refused),
        cmocka_unit_test(retry_after_calendar),
    };

    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
