/* Hours and days where clocks change, and time across processes. A zone is set once a process: each
 * test that needs one has a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/err.h"
#include "sluice/runtime/calendar.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct row {
    const char *zone, *at; /* UTC */
    enum calendar_unit unit;
    const char *start; /* in local time */
    int64_t minutes;
};

static const struct row rows[] = {
    {"UTC", "2026-11-26T12:34:56", CALENDAR_DAY, "2026-11-26T00:00:00+00:00", 24 * 60},
    {"UTC", "2026-11-26T12:34:56", CALENDAR_HOUR, "2026-11-26T12:00:00+00:00", 60},
    {"UTC", "2026-12-31T23:59:59", CALENDAR_DAY, "2026-12-31T00:00:00+00:00", 24 * 60},
    {"Europe/Berlin", "2026-11-26T23:30:00", CALENDAR_DAY, "2026-11-27T00:00:00+01:00", 24 * 60},
    /* 02:00 → 03:00 and 03:00 → 02:00 */
    {"Europe/Berlin", "2026-03-29T12:00:00", CALENDAR_DAY, "2026-03-29T00:00:00+01:00", 23 * 60},
    {"Europe/Berlin", "2026-10-25T12:00:00", CALENDAR_DAY, "2026-10-25T00:00:00+02:00", 25 * 60},
    {"Europe/Berlin", "2026-10-25T00:30:00", CALENDAR_HOUR, "2026-10-25T02:00:00+02:00", 60},
    {"Europe/Berlin", "2026-10-25T01:30:00", CALENDAR_HOUR, "2026-10-25T02:00:00+01:00", 60},
    {"America/Los_Angeles", "2026-03-08T08:00:00", CALENDAR_DAY, "2026-03-08T00:00:00-08:00",
     23 * 60},
    {"America/Los_Angeles", "2026-11-02T07:59:59", CALENDAR_DAY, "2026-11-01T00:00:00-07:00",
     25 * 60},
    /* no midnight: 00:00 → 01:00 */
    {"America/Sao_Paulo", "2018-11-04T12:00:00", CALENDAR_DAY, "2018-11-04T01:00:00-02:00",
     23 * 60},
    {"America/Sao_Paulo", "2018-11-04T02:59:59", CALENDAR_DAY, "2018-11-03T00:00:00-03:00",
     24 * 60},
    /* two of them: 01:00 → 00:00 */
    {"America/Havana", "2026-11-01T04:30:00", CALENDAR_DAY, "2026-11-01T00:00:00-04:00", 25 * 60},
    {"America/Havana", "2026-11-01T05:30:00", CALENDAR_DAY, "2026-11-01T00:00:00-04:00", 25 * 60},
    /* half an hour, both ways */
    {"Asia/Kolkata", "2026-11-26T18:45:00", CALENDAR_HOUR, "2026-11-27T00:00:00+05:30", 60},
    {"Australia/Lord_Howe", "2026-04-04T20:00:00", CALENDAR_DAY, "2026-04-05T00:00:00+11:00",
     24 * 60 + 30},
    {"Etc/GMT-14", "2026-11-26T10:00:00", CALENDAR_DAY, "2026-11-27T00:00:00+14:00", 24 * 60},
};

static wall_ms utc(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &tm));
    return (wall_ms)timegm(&tm) * 1000;
}

/* In the child: its exit code. */
static int check_row(const struct row *row)
{
    struct calendar_period period, next;
    char text[CALENDAR_TEXT_MAX];
    wall_ms at = utc(row->at);

    if (calendar_zone_problem(str_from(row->zone)) != NULL) {
        return 77;
    }
    calendar_set_zone(row->zone);
    calendar_period(row->unit, at, &period);
    calendar_period(row->unit, period.end, &next);
    calendar_text(period.start, text);
    bool right = strcmp(text, row->start) == 0 && period.start <= at && at < period.end &&
                 period.end - period.start == row->minutes * 60000 && next.start == period.end;
    if (!right) {
        (void)fprintf(stderr, "%s %s: %s, %lld minutes, then %lld ms\n", row->zone, row->at, text,
                      (long long)(period.end - period.start) / 60000,
                      (long long)(next.start - period.end));
    }
    return right ? 0 : 1;
}

static void test_periods(void **state)
{
    uint32_t skipped = 0;
    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            _exit(check_row(&rows[i]));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        skipped += WEXITSTATUS(status) == 77 ? 1 : 0;
        assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
    }
    assert_int_equal(skipped, 0); /* the package tzdata */
}

static void test_zone_names(void **state)
{
    static const char *const bad[] = {"",      "Mars/Olympus",   "/etc/localtime",
                                      "../..", "Europe/Berlin;", "America",
                                      "utc",   "zone.tab"};
    (void)state;
    assert_null(calendar_zone_problem(STR("UTC")));
    assert_null(calendar_zone_problem(STR("America/Argentina/Buenos_Aires")));
    assert_null(calendar_zone_problem(STR("Etc/GMT+12")));
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_non_null(calendar_zone_problem(str_from(bad[i])));
    }
}

static void test_elapsed(void **state)
{
    (void)state;
    const struct calendar_stamp a = {"one", 5000, 100000};
    struct calendar_stamp b = {"one", 9000, 50000}; /* the clock was set back */
    assert_int_equal(calendar_elapsed_ms(&a, &b), 4000);
    b = (struct calendar_stamp){"two", 1000, 160000};
    assert_int_equal(calendar_elapsed_ms(&a, &b), 60000);
    b.realtime = 99999; /* before: nothing is known to have passed */
    assert_int_equal(calendar_elapsed_ms(&a, &b), 0);
    b = (struct calendar_stamp){"", 9000, 100001};
    const struct calendar_stamp unknown = {"", 5000, 100000}; /* no boot is the same as that */
    assert_int_equal(calendar_elapsed_ms(&unknown, &b), 1);
    const struct calendar_stamp far = {"x", 0, INT64_MIN};
    assert_int_equal(calendar_elapsed_ms(&far, &b), 0);
}

static void test_stamp(void **state)
{
    (void)state;
    struct calendar_stamp a = {.boot_id = ""};
    calendar_stamp_now(&a);
    struct calendar_stamp b = a;
    calendar_stamp_now(&b);
    assert_true(a.boot_id[0] != '\0');
    assert_true(calendar_is_same_boot(&a, &b));
    assert_true(b.boottime_ms >= a.boottime_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_periods),
        cmocka_unit_test(test_zone_names),
        cmocka_unit_test(test_elapsed),
        cmocka_unit_test(test_stamp),
    };
    return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
