/*
 * log: structured lines, one JSON object each in Powertools key order
 * (level, location, message, timestamp, service, then the caller's keys), or short and
 * readable on a terminal. The sink is the one global of the program. Thread-safe. Never bodies,
 * never secrets.
 *
 * Every line is valid JSON whatever the values hold: control characters are escaped, what is no
 * UTF-8 becomes U+FFFD. A line has a maximum (LOG_LINE_MAX bytes): values are cut at LOG_VALUE_MAX
 * bytes, and fields that no longer fit are left out; either adds "truncated":true. The same place
 * writes at most LOG_REPEAT_MAX lines of level WARNING and above in LOG_REPEAT_NS, for each route
 * that a field "route" names; the rest is counted ("suppressed": n on the next one). INFO and DEBUG
 * are never suppressed, nor is what LOG_EACH writes: one canonical line per message is a promise. A
 * sink that would block loses the line (log_dropped_count).
 *
 *   LOG_WARNING("settle failed", LOG_STR("route", name), LOG_I64("attempts", n));
 */
#ifndef SLUICE_RUNTIME_LOG_H
#define SLUICE_RUNTIME_LOG_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define LOG_LINE_MAX   16384 /* with the newline */
#define LOG_VALUE_MAX  4096  /* of one string, before escaping */
#define LOG_REPEAT_MAX 20
#define LOG_REPEAT_NS  (INT64_C(10) * 1000000000)

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_CRITICAL
};
enum log_format {
    LOG_FORMAT_AUTO,
    LOG_FORMAT_JSON,
    LOG_FORMAT_TEXT
}; /* AUTO: text on a terminal */

struct log_config {
    int fd; /* borrowed */
    enum log_level level;
    enum log_format format;
    const char *service;               /* copied; NULL: "sluice" */
    const char *stage;                 /* copied; NULL: none, and no key `stage` */
    int64_t (*clock_ns)(clockid_t id); /* NULL: clock_gettime; tests bring their own time */
};
/* May be called again, from any thread. Before the first call: stderr, INFO, AUTO, "sluice". */
void log_init(const struct log_config *config);
enum log_level log_level(void);
/* "debug" … ; false when it is none. */
bool log_level_parse(struct str name, enum log_level *ret);
/* Lines lost since the start, because the sink was full or broken. */
uint64_t log_dropped_count(void);

enum log_value_type {
    LOG_VALUE_STR,
    LOG_VALUE_I64,
    LOG_VALUE_DOUBLE,
    LOG_VALUE_BOOL,
    LOG_VALUE_ABSENT
};
struct log_field {
    const char *key;
    enum log_value_type type;
    struct str str;
    int64_t i64;
    double number;
};
#define LOG_STR(key, c_string) ((struct log_field){(key), LOG_VALUE_STR, str_from(c_string), 0, 0})
#define LOG_SLICE(key, slice)  ((struct log_field){(key), LOG_VALUE_STR, (slice), 0, 0})
#define LOG_I64(key, value)    ((struct log_field){(key), LOG_VALUE_I64, STR_NONE, (value), 0})
#define LOG_DOUBLE(key, value) ((struct log_field){(key), LOG_VALUE_DOUBLE, STR_NONE, 0, (value)})
#define LOG_BOOL(key, value)   ((struct log_field){(key), LOG_VALUE_BOOL, STR_NONE, (value), 0})
#define LOG_ERR(key, code)     LOG_STR(key, err_name(code))

/* location is "file.c:line". Fields with a NULL string are left out. */
void log_write(enum log_level level, const char *location, const char *message,
               const struct log_field *fields, size_t count);
/* Whatever its level, never suppressed. */
void log_write_each(enum log_level level, const char *location, const char *message,
                    const struct log_field *fields, size_t count);

#define LOG_LINE_TEXT2(line) #line
#define LOG_LINE_TEXT(line)  LOG_LINE_TEXT2(line)
/* Arguments are not evaluated when the level is off. */
#define LOG_AT(level_, message, ...)   LOG_BY_(log_write, level_, message, ##__VA_ARGS__)
#define LOG_EACH(level_, message, ...) LOG_BY_(log_write_each, level_, message, ##__VA_ARGS__)
#define LOG_BY_(write_, level_, message, ...)                                                      \
    do {                                                                                           \
        if ((level_) >= log_level()) {                                                             \
            const struct log_field log_fields_[] = {{NULL, LOG_VALUE_ABSENT, {NULL, 0}, 0, 0},     \
                                                    ##__VA_ARGS__};                                \
            write_((level_), __FILE_NAME__ ":" LOG_LINE_TEXT(__LINE__), (message),                 \
                   log_fields_ + 1, SL_COUNT(log_fields_) - 1);                                    \
        }                                                                                          \
    } while (0)
#define LOG_DEBUG(message, ...)    LOG_AT(LOG_LEVEL_DEBUG, message, ##__VA_ARGS__)
#define LOG_INFO(message, ...)     LOG_AT(LOG_LEVEL_INFO, message, ##__VA_ARGS__)
#define LOG_WARNING(message, ...)  LOG_AT(LOG_LEVEL_WARNING, message, ##__VA_ARGS__)
#define LOG_ERROR(message, ...)    LOG_AT(LOG_LEVEL_ERROR, message, ##__VA_ARGS__)
#define LOG_CRITICAL(message, ...) LOG_AT(LOG_LEVEL_CRITICAL, message, ##__VA_ARGS__)

#endif
