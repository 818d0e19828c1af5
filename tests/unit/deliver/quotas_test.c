/* What is made of the records of earlier processes: slots and periods, other periods than today's,
 * clocks that were set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/quotas.c"

#define DAY_MS  INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)

struct fixture {
    struct delivery d;
    struct delivery_limit limit;
    struct saved_limit s;
    struct store_quota_row rows[8];
};

static struct fixture *fixture_of(struct limit_config config)
{
    struct fixture *f = MEM_NEW(struct fixture);
    config.saved = true;
    config.max_flight_ns = NS_PER_S;
    assert_int_equal(limit_new(&config, loop_now(), &f->limit.limit), 0);
    f->s.d = &f->d;
    f->s.limit = &f->limit;
    f->s.op.rows = f->rows;
    if (config.kind != LIMIT_QUOTA) {
        quotas_resize(&f->s, &config);
    }
    return f;
}

static struct fixture *daily(void)
{
    return fixture_of(
        (struct limit_config){.kind = LIMIT_QUOTA, .requests = 100, .per_ns = LIMIT_DAY_NS});
}

static void row(struct fixture *f, int64_t period, int64_t until, uint64_t used)
{
    f->rows[f->s.op.count++] = (struct store_quota_row){period, until, used};
    f->s.op.found = true;
}

/* Permits that are left after the start. */
static uint32_t left(struct fixture *f, uint64_t outstanding)
{
    mono_ns now = loop_now();
    if (is_quota(&f->s)) {
        restore_quota(&f->s, now);
    } else {
        restore_clocked(&f->s, now);
    }
    limit_restored(f->limit.limit, outstanding, now);
    return limit_free_permits(f->limit.limit, now);
}

static void fixture_free(struct fixture *f)
{
    limit_free(f->limit.limit);
    free(f);
}

/* Of now: a test that runs over midnight is about the day it began in. */
static void today_of(struct calendar_period *ret)
{
    calendar_period(CALENDAR_DAY, loop_wall() - 1000, ret);
}

static void test_quota_today(void **state)
{
    struct fixture *f = daily();
    struct calendar_period today;
    (void)state;
    today_of(&today);
    row(f, today.start, today.end, 30);
    row(f, today.start - DAY_MS, today.start, 90); /* yesterday */
    assert_int_equal(left(f, 5), 100 - 30 - 5);
    fixture_free(f);
}

/* It was per hour before: all of today's hours count, and when it is per day on the next start the
 * day's own row has them already. */
static void test_quota_of_other_periods(void **state)
{
    struct fixture *f = daily();
    struct calendar_period today;
    (void)state;
    today_of(&today);
    row(f, today.start + 2 * HOUR_MS, today.start + 3 * HOUR_MS, 4);
    row(f, today.start, today.start + HOUR_MS, 3);
    row(f, today.start - HOUR_MS, today.start, 50); /* yesterday's last */
    assert_int_equal(left(f, 0), 100 - 7);
    fixture_free(f);
    f = daily();
    row(f, today.start, today.end, 9);
    row(f, today.start, today.start + HOUR_MS, 3);
    assert_int_equal(left(f, 0), 100 - 9);
    fixture_free(f);
}

/* The clock was set back since: what is over does not begin again. */
static void test_quota_of_tomorrow(void **state)
{
    struct fixture *f = daily();
    struct calendar_period today;
    (void)state;
    today_of(&today);
    row(f, today.end, today.end + DAY_MS, 60);
    row(f, today.start, today.end, 100);
    assert_int_equal(left(f, 0), 100 - 60);
    assert_true(f->s.periods[0].start == today.end);
    fixture_free(f);
}

/* In 2099 the clock was wrong: its calls were today's, as far as one can know. */
static void test_quota_of_a_wrong_clock(void **state)
{
    struct fixture *f = daily();
    struct calendar_period today;
    (void)state;
    today_of(&today);
    row(f, today.end + 30000 * DAY_MS, today.end + 30001 * DAY_MS, 60);
    row(f, today.start, today.end, 10);
    assert_int_equal(left(f, 0), 100 - 70);
    assert_true(f->s.periods[0].start == today.start);
    fixture_free(f);
}

static void test_window_over_a_break(void **state)
{
    struct fixture *f = fixture_of(
        (struct limit_config){.kind = LIMIT_WINDOW, .requests = 10, .per_ns = LIMIT_HOUR_NS});
    (void)state;
    calendar_stamp_now(&f->s.op.stamp);
    f->s.op.stamp.boottime_ms -= 1800 * 1000; /* half an hour ago … */
    f->s.op.stamp.realtime += DAY_MS;         /* … whatever the wall clock says */
    f->s.op.clock_ms = 100 * DAY_MS;
    row(f, 100 * DAY_MS - 1200 * 1000, 100 * DAY_MS - 1200 * 1000, 3); /* 50 minutes old by now */
    row(f, 100 * DAY_MS - 2400 * 1000, 100 * DAY_MS - 2400 * 1000, 4); /* 70 */
    assert_int_equal(left(f, 2), 10 - 3 - 2);
    mono_ns later = loop_now() + 601 * NS_PER_S;
    assert_int_equal(limit_free_permits(f->limit.limit, later), 10 - 2);
    fixture_free(f);
}

static void test_window_after_a_reboot(void **state)
{
    struct fixture *f = fixture_of(
        (struct limit_config){.kind = LIMIT_WINDOW, .requests = 10, .per_ns = LIMIT_HOUR_NS});
    (void)state;
    calendar_stamp_now(&f->s.op.stamp);
    str_copy(f->s.op.stamp.boot_id, sizeof(f->s.op.stamp.boot_id), STR("another"));
    f->s.op.stamp.realtime += DAY_MS; /* the clock was set back: nothing is known to have passed */
    f->s.op.clock_ms = 100 * DAY_MS;
    row(f, 100 * DAY_MS, 100 * DAY_MS, 3);
    assert_int_equal(left(f, 0), 10 - 3);
    assert_int_equal(limit_free_permits(f->limit.limit, loop_now() + 3590 * NS_PER_S), 10 - 3);
    fixture_free(f);
}

/* What the end of a slot says is never earlier than the arrival, however late that is known. */
static void test_slots_end_late(void **state)
{
    struct fixture *f = fixture_of(
        (struct limit_config){.kind = LIMIT_WINDOW, .requests = 10, .per_ns = LIMIT_DAY_NS});
    struct limit_record record = {.arrived = 3};
    mono_ns now = loop_now();
    (void)state;
    f->s.clock_ms = 1000 * DAY_MS;
    f->s.clock_at = now;
    for (int64_t ms = 0; ms < 200000; ms += 777) {
        f->s.op.count = 0;
        fill_clocked(&f->s, &record, now + ms * NS_PER_MS);
        assert_int_equal(f->s.op.count, 1);
        assert_true(f->s.saved[0].until > f->s.clock_ms + ms + 1000);
        assert_true(f->s.saved[0].until <= f->s.clock_ms + ms + 1001 + f->s.slot_ms);
        assert_true(f->s.op.forget_before < f->s.clock_ms + ms - DAY_MS);
    }
    assert_true(DAY_MS / f->s.slot_ms <= SLOTS);
    fixture_free(f);
}

static void test_fresh(void **state)
{
    struct fixture *f = fixture_of((struct limit_config){
        .kind = LIMIT_BUCKET, .requests = 1, .per_ns = LIMIT_DAY_NS, .burst = 10});
    (void)state;
    assert_int_equal(left(f, 0), 10); /* nothing was ever called */
    fixture_free(f);
    f = daily();
    assert_int_equal(left(f, 0), 100);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota_today),         cmocka_unit_test(test_quota_of_other_periods),
        cmocka_unit_test(test_quota_of_tomorrow),   cmocka_unit_test(test_quota_of_a_wrong_clock),
        cmocka_unit_test(test_window_over_a_break), cmocka_unit_test(test_window_after_a_reboot),
        cmocka_unit_test(test_slots_end_late),      cmocka_unit_test(test_fresh),
    };
    return cmocka_run_group_tests_name("quotas", tests, NULL, NULL);
}
