/*
 * calendar: hours and days of one time zone, the process's, and time across processes. Everything
 * here is about what people and other machines call a time; a pure area is only told what comes of
 * it. Pure apart from the zone's file and the clocks that are named.
 */
#ifndef SLUICE_RUNTIME_CALENDAR_H
#define SLUICE_RUNTIME_CALENDAR_H

#include "sluice/base/clock.h"
#include "sluice/base/str.h"

#include <stdbool.h>

/* ---- the time zone ---- */

#define CALENDAR_ZONE_MAX 64
/* NULL when the C library knows the zone ("UTC", "Europe/Berlin"): it takes UTC for one that it
 * does not know, and says nothing. Else what is wrong with it. */
const char *calendar_zone_problem(struct str zone);
/* Once, before there are threads. "UTC" leaves the process's own zone alone. */
void calendar_set_zone(const char *zone);

enum calendar_unit { CALENDAR_HOUR, CALENDAR_DAY };

struct calendar_period {
    wall_ms start, end; /* [start, end); the end is the start of the next one */
};
/* The hour or day around `at`, in local time: a day has 23 or 25 hours when the clocks change. */
void calendar_period(enum calendar_unit unit, wall_ms at, struct calendar_period *ret);

#define CALENDAR_TEXT_MAX 40
/* "2026-11-27T00:00:00+01:00" */
void calendar_text(wall_ms at, char out[CALENDAR_TEXT_MAX]);

/* ---- time across processes ---- */

#define CALENDAR_BOOT_ID_MAX 40
/* A moment, as a later process can tell how long ago it was. */
struct calendar_stamp {
    char boot_id[CALENDAR_BOOT_ID_MAX]; /* "": unknown */
    int64_t boottime_ms;                /* since boot, suspended time included */
    wall_ms realtime;
};
/* ret is zeroed, or a stamp of this process: of that the boot id stays. The boot id is the
 * kernel's, or where that is hidden, SLUICE_BOOT_ID in the environment. */
void calendar_stamp_now(struct calendar_stamp *ret);
bool calendar_is_same_boot(const struct calendar_stamp *a, const struct calendar_stamp *b);
/* From the one to the other, in ms: by the time since boot when it is the same boot, else by the
 * wall clock. Never negative. */
int64_t calendar_elapsed_ms(const struct calendar_stamp *from, const struct calendar_stamp *to);

#endif
