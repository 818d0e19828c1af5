#include "sluice/runtime/calendar.h"

#include "sluice/base/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ZONE_DIRECTORY "/usr/share/zoneinfo"
#define MS_PER_S       INT64_C(1000)
#define HOUR_S         3600
#define DAY_S          86400

/* ---- the time zone ---- */

static bool is_local; /* a zone was set: times are the C library's local ones. Written once, before
                         there are threads */

static bool is_utc(struct str zone)
{
    return str_equal(zone, STR("UTC"));
}

/* Names as the database has them: no way out of its directory. */
static bool is_plain(struct str zone)
{
    for (size_t i = 0; i < zone.len; i++) {
        unsigned char c = (unsigned char)zone.ptr[i];
        if (!isalnum(c) && c != '/' && c != '_' && c != '+' && c != '-') {
            return false;
        }
    }
    return zone.len > 0 && zone.len < CALENDAR_ZONE_MAX && zone.ptr[0] != '/';
}

const char *calendar_zone_problem(struct str zone)
{
    char path[sizeof(ZONE_DIRECTORY) + CALENDAR_ZONE_MAX + 1];
    char magic[4] = {0};

    if (is_utc(zone)) {
        return NULL;
    }
    if (!is_plain(zone)) {
        return "allowed: \"UTC\" or the name of a time zone, such as \"Europe/Berlin\"";
    }
    (void)snprintf(path, sizeof(path), ZONE_DIRECTORY "/%.*s", STR_FMT(zone));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && access(ZONE_DIRECTORY, F_OK) != 0) {
        return "there are no time zones in " ZONE_DIRECTORY
               ": install the package tzdata, or use \"UTC\"";
    }
    ssize_t len = fd < 0 ? 0 : read(fd, magic, sizeof(magic));
    if (fd >= 0) {
        (void)close(fd);
    }
    return len == sizeof(magic) && memcmp(magic, "TZif", sizeof(magic)) == 0
               ? NULL
               : "no such time zone in " ZONE_DIRECTORY
                 "; allowed: \"UTC\" or a name such as \"Europe/Berlin\"";
}

void calendar_set_zone(const char *zone)
{
    char value[CALENDAR_ZONE_MAX + 1];

    is_local = !is_utc(str_from(zone));
    if (is_local) {
        (void)snprintf(value, sizeof(value), ":%s", zone); /* a file, whatever it looks like */
        (void)setenv("TZ", value, 1);
        tzset();
    }
}

static void break_down(time_t at, struct tm *ret)
{
    (void)(is_local ? localtime_r(&at, ret) : gmtime_r(&at, ret));
}

static time_t put_together(struct tm *tm)
{
    tm->tm_isdst = -1;
    return is_local ? mktime(tm) : timegm(tm);
}

/* The first second of the day that `noon` lies in. Midnight may be missing, or be there twice. */
static time_t day_start(time_t noon)
{
    struct tm day, tm;

    break_down(noon, &day);
    tm = day;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    time_t start = put_together(&tm);
    break_down(start, &tm);
    if (tm.tm_mday != day.tm_mday) { /* still the day before: as far on as that has hours left */
        start += DAY_S - (tm.tm_hour * HOUR_S + tm.tm_min * 60 + tm.tm_sec);
    }
    break_down(start - HOUR_S, &tm);
    return tm.tm_mday == day.tm_mday ? start - HOUR_S : start;
}

static time_t noon_of(time_t at, int days_later)
{
    struct tm tm;

    break_down(at, &tm);
    tm.tm_mday += days_later;
    tm.tm_hour = 12;
    tm.tm_min = tm.tm_sec = 0;
    return put_together(&tm);
}

void calendar_period(enum calendar_unit unit, wall_ms at, struct calendar_period *ret)
{
    time_t seconds = (time_t)(at / MS_PER_S);
    time_t start, end;

    if (unit == CALENDAR_DAY) {
        start = day_start(noon_of(seconds, 0));
        end = day_start(noon_of(seconds, 1));
    } else {
        struct tm tm;
        break_down(seconds, &tm);
        start = seconds - (tm.tm_min * 60 + tm.tm_sec);
        end = start + HOUR_S;
    }
    *ret = (struct calendar_period){(wall_ms)start * MS_PER_S, (wall_ms)end * MS_PER_S};
}

void calendar_text(wall_ms at, char out[CALENDAR_TEXT_MAX])
{
    struct tm tm;
    char zone[8];

    break_down((time_t)(at / MS_PER_S), &tm);
    size_t len = strftime(out, CALENDAR_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)strftime(zone, sizeof(zone), "%z", &tm);
    (void)snprintf(out + len, CALENDAR_TEXT_MAX - len, "%.3s:%.2s", zone, zone + 3);
}

/* ---- time across processes ---- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec ts = {0};
    (void)clock_gettime(clock, &ts);
    return ts.tv_sec * MS_PER_S + ts.tv_nsec / NS_PER_MS;
}

static void read_boot_id(char *out, size_t size)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, out, size - 1);

    if (fd >= 0) {
        (void)close(fd);
    }
    out[len < 0 ? 0 : len] = '\0';
    out[strcspn(out, "\n")] = '\0';
    const char *given = getenv("SLUICE_BOOT_ID");
    if (out[0] == '\0' && given != NULL) {
        str_copy(out, size, str_from(given));
    }
}

void calendar_stamp_now(struct calendar_stamp *ret)
{
    ret->boottime_ms = clock_ms(CLOCK_BOOTTIME);
    ret->realtime = clock_ms(CLOCK_REALTIME);
    if (ret->boot_id[0] == '\0') {
        read_boot_id(ret->boot_id, sizeof(ret->boot_id));
    }
}

bool calendar_is_same_boot(const struct calendar_stamp *a, const struct calendar_stamp *b)
{
    return a->boot_id[0] != '\0' && strcmp(a->boot_id, b->boot_id) == 0;
}

int64_t calendar_elapsed_ms(const struct calendar_stamp *from, const struct calendar_stamp *to)
{
    bool same_boot = calendar_is_same_boot(from, to);
    int64_t elapsed = 0;

    if (__builtin_sub_overflow(same_boot ? to->boottime_ms : to->realtime,
                               same_boot ? from->boottime_ms : from->realtime, &elapsed)) {
        return 0;
    }
    return elapsed > 0 ? elapsed : 0;
}
