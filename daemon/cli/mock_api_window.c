#include "mock_api_window.h"

#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY ((size_t)256) /* a power of two, as every capacity */

void window_log_init(struct window_log *log, int64_t span_ns, int64_t lateness_ns)
{
    *log = (struct window_log){
        .span_ns = span_ns,
        .lateness_ns = lateness_ns,
        .dropped_until = INT64_MIN,
        .is_exact = true,
    };
}

void window_log_done(struct window_log *log)
{
    free(log->stamps);
    log->stamps = NULL;
    log->capacity = log->count = 0;
}

void window_log_reset(struct window_log *log)
{
    log->head = log->count = 0;
    log->peak = 0;
    log->dropped_until = INT64_MIN;
    log->is_exact = true;
}

static int64_t stamp_at(const struct window_log *log, size_t i)
{
    return log->stamps[(log->head + i) & (log->capacity - 1)];
}

/* Index of the first stamp greater than `stamp`. */
static size_t first_after(const struct window_log *log, int64_t stamp)
{
    size_t low = 0, high = log->count;

    if (high == 0 || stamp_at(log, high - 1) <= stamp) {
        return high;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stamp_at(log, middle) > stamp) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/*
 * A window is (e − span, e] for some stamp e in it: sliding it so that it ends at its last stamp
 * loses none. Those that hold `stamp` end at itself or at a stamp less than a span later.
 */
uint64_t window_log_peak_with(const struct window_log *log, int64_t stamp)
{
    size_t place = first_after(log, stamp);
    size_t begin = first_after(log, stamp - log->span_ns);
    uint64_t peak = place - begin + 1;

    for (size_t i = place; i < log->count; i++) {
        int64_t end = stamp_at(log, i);
        if (end >= stamp + log->span_ns) {
            break;
        }
        while (stamp_at(log, begin) <= end - log->span_ns) {
            begin++;
        }
        uint64_t held = i - begin + 2; /* itself, and the new one */
        peak = held > peak ? held : peak;
    }
    return peak;
}

static void grow(struct window_log *log)
{
    size_t capacity = log->capacity == 0 ? FIRST_CAPACITY : log->capacity * 2;
    int64_t *stamps = MEM_NEW_ARRAY(capacity, int64_t);

    for (size_t i = 0; i < log->count; i++) {
        stamps[i] = stamp_at(log, i);
    }
    free(log->stamps);
    log->stamps = stamps;
    log->capacity = capacity;
    log->head = 0;
}

static void drop_oldest(struct window_log *log)
{
    log->dropped_until = stamp_at(log, 0);
    log->head = (log->head + 1) & (log->capacity - 1);
    log->count--;
}

static void drop_old(struct window_log *log, int64_t newest)
{
    while (log->count > 0 && stamp_at(log, 0) <= newest - log->span_ns - log->lateness_ns) {
        drop_oldest(log);
    }
    if (log->count == WINDOW_LOG_MAX) {
        drop_oldest(log); /* whether that mattered shows at the next stamp */
    }
}

uint64_t window_log_add(struct window_log *log, int64_t stamp)
{
    int64_t newest = log->count > 0 ? stamp_at(log, log->count - 1) : stamp;

    drop_old(log, stamp > newest ? stamp : newest);
    if (log->dropped_until > stamp - log->span_ns) {
        log->is_exact = false; /* too late, or too many: its windows are not whole any more */
    }
    uint64_t peak = window_log_peak_with(log, stamp);
    if (log->count == log->capacity) {
        grow(log);
    }
    size_t place = first_after(log, stamp);
    for (size_t i = log->count; i > place; i--) {
        log->stamps[(log->head + i) & (log->capacity - 1)] = stamp_at(log, i - 1);
    }
    log->stamps[(log->head + place) & (log->capacity - 1)] = stamp;
    log->count++;
    log->peak = peak > log->peak ? peak : log->peak;
    return peak;
}
