/*
 * mock_api_window: an exact sliding log: the highest number of stamps in any half-open window of a
 * span. Stamps may come a little out of order (they are the kernel's, read connection by
 * connection). Keeps what lies within span + lateness of the newest stamp, at most WINDOW_LOG_MAX;
 * when that does not suffice it says so (is_exact) instead of guessing. No clock, no I/O.
 */
#ifndef SLUICE_CLI_MOCK_API_WINDOW_H
#define SLUICE_CLI_MOCK_API_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_LOG_MAX ((size_t)1 << 20)

struct window_log {
    int64_t *stamps; /* ring, ascending */
    size_t head, count, capacity;
    int64_t span_ns, lateness_ns;
    int64_t dropped_until; /* the newest stamp no longer kept; INT64_MIN: none */
    uint64_t peak;
    bool is_exact;
};

void window_log_init(struct window_log *log, int64_t span_ns, int64_t lateness_ns);
void window_log_done(struct window_log *log);
/* Forgets everything. */
void window_log_reset(struct window_log *log);
/* The highest number of stamps in any window that would hold this one, itself included. */
uint64_t window_log_peak_with(const struct window_log *log, int64_t stamp);
/* Adds it and returns the same. */
uint64_t window_log_add(struct window_log *log, int64_t stamp);

#endif
