#include "sluice/runtime/log.h"

#include "sluice/base/clock.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERVICE_MAX  64
#define REPEAT_SLOTS 256u
/* Kept free at the end of a line for "suppressed", "truncated", the brace and the newline. */
#define LINE_TAIL 96
/* The head always fits: an escape makes at most six bytes of one. */
#define MESSAGE_MAX    1024
#define HEAD_VALUE_MAX 128

static int64_t system_clock_ns(clockid_t id)
{
    struct timespec ts = {0};
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* One place in the source, for one route, and what it wrote lately. */
struct repeat {
    uint64_t place; /* 0: free */
    int64_t window_start_ns;
    uint32_t written;
    uint64_t suppressed;
};

/* The sink: the one global of the program. The level is read without the lock on every call. */
static struct {
    pthread_mutex_t mutex;
    atomic_int level;
    atomic_uint_fast64_t dropped;
    int fd;
    bool json;
    char service[SERVICE_MAX], stage[SERVICE_MAX];
    int64_t (*clock_ns)(clockid_t id);
    struct repeat repeats[REPEAT_SLOTS];
} sink = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .level = LOG_LEVEL_INFO,
    .fd = -1, /* not chosen yet: stderr at the first line */
    .service = "sluice",
    .clock_ns = system_clock_ns,
};

/* A line under construction, on the stack: logging works when memory is short. */
struct line {
    char bytes[LOG_LINE_MAX];
    size_t len;
    bool truncated;
};

static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};

static bool format_is_json(enum log_format format, int fd)
{
    return format == LOG_FORMAT_AUTO ? isatty(fd) != 1 : format == LOG_FORMAT_JSON;
}

void log_init(const struct log_config *config)
{
    (void)pthread_mutex_lock(&sink.mutex);
    atomic_store(&sink.level, (int)config->level);
    sink.fd = config->fd;
    sink.json = format_is_json(config->format, config->fd);
    str_copy(sink.service, sizeof(sink.service),
             str_from(config->service != NULL ? config->service : "sluice"));
    str_copy(sink.stage, sizeof(sink.stage), str_from(config->stage));
    sink.clock_ns = config->clock_ns != NULL ? config->clock_ns : system_clock_ns;
    memset(sink.repeats, 0, sizeof(sink.repeats));
    (void)pthread_mutex_unlock(&sink.mutex);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&sink.level, memory_order_relaxed);
}

uint64_t log_dropped_count(void)
{
    return atomic_load(&sink.dropped);
}

bool log_level_parse(struct str name, enum log_level *ret)
{
    for (size_t i = 0; i < SL_COUNT(level_names); i++) {
        if (str_equal_nocase(name, str_from(level_names[i]))) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* ---- building a line ---- */

static void put(struct line *line, const char *ptr, size_t len)
{
    if (len > sizeof(line->bytes) - line->len) {
        len = sizeof(line->bytes) - line->len;
    }
    memcpy(line->bytes + line->len, ptr, len);
    line->len += len;
}

static void puts_line(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* One character of a string as JSON and as quoted text want it; len bytes of well-formed UTF-8. */
static void put_escaped_char(struct line *line, const char *ptr, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*ptr;
    if (len > 1) {
        put(line, ptr, len);
    } else if (c == '"' || c == '\\') {
        put(line, (char[]){'\\', (char)c}, 2);
    } else if (c == '\n') {
        put(line, "\\n", 2);
    } else if (c == '\t') {
        put(line, "\\t", 2);
    } else if (c < 0x20 || c == 0x7f) {
        put(line, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    } else {
        put(line, ptr, 1);
    }
}

static size_t character_len(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.ptr[i];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return len;
}

/* The content of a quoted string. What is no UTF-8 becomes U+FFFD, one for each byte. */
static void put_escaped(struct line *line, struct str s, size_t max)
{
    if (s.len > max) {
        s.len = max;
        /* Not inside a character: back over its continuation bytes. */
        while (s.len > max - 3 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80) {
            s.len--;
        }
        line->truncated = true;
    }
    size_t valid_until = 0;
    for (size_t i = 0; i < s.len;) {
        if (i >= valid_until) {
            valid_until = i + str_utf8_prefix((struct str){s.ptr + i, s.len - i});
        }
        if (i >= valid_until) {
            puts_line(line, "\xef\xbf\xbd");
            i++;
            continue;
        }
        size_t len = character_len(s, i);
        put_escaped_char(line, s.ptr + i, len);
        i += len;
    }
}

static void put_quoted(struct line *line, struct str s, size_t max)
{
    put(line, "\"", 1);
    put_escaped(line, s, max);
    put(line, "\"", 1);
}

static void put_double(struct line *line, double value)
{
    char text[40];
    if (!isfinite(value)) {
        puts_line(line, "null");
        return;
    }
    (void)snprintf(text, sizeof(text), "%.15g", value);
    puts_line(line, text);
}

static void put_i64(struct line *line, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    puts_line(line, text);
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) {
            return true;
        }
    }
    return s.len == 0;
}

static void put_value(struct line *line, const struct log_field *field, bool json)
{
    switch (field->type) {
    case LOG_VALUE_STR:
        if (json || needs_quotes(field->str)) {
            put_quoted(line, field->str, LOG_VALUE_MAX);
        } else {
            put_escaped(line, field->str, LOG_VALUE_MAX);
        }
        break;
    case LOG_VALUE_I64:
        put_i64(line, field->i64);
        break;
    case LOG_VALUE_DOUBLE:
        put_double(line, field->number);
        break;
    case LOG_VALUE_BOOL:
        puts_line(line, field->i64 != 0 ? "true" : "false");
        break;
    case LOG_VALUE_ABSENT:
        break;
    }
}

/* Adds the field, or nothing of it when the line would become too long. */
static void put_field(struct line *line, const struct log_field *field, bool json)
{
    if (field->type == LOG_VALUE_ABSENT ||
        (field->type == LOG_VALUE_STR && field->str.ptr == NULL)) {
        return;
    }
    size_t before = line->len;
    put(line, json ? "," : " ", 1);
    if (json) {
        put_quoted(line, str_from(field->key), HEAD_VALUE_MAX);
        put(line, ":", 1);
    } else {
        puts_line(line, field->key);
        put(line, "=", 1);
    }
    put_value(line, field, json);
    if (line->len > sizeof(line->bytes) - LINE_TAIL) {
        line->len = before;
        line->truncated = true;
    }
}

static void put_tail(struct line *line, uint64_t suppressed, bool json)
{
    char text[48];
    if (suppressed > 0) {
        (void)snprintf(text, sizeof(text), json ? ",\"suppressed\":%llu" : " suppressed=%llu",
                       (unsigned long long)suppressed);
        puts_line(line, text);
    }
    if (line->truncated) {
        puts_line(line, json ? ",\"truncated\":true" : " truncated=true");
    }
    puts_line(line, json ? "}\n" : "\n");
}

static void put_head_json(struct line *line, enum log_level level, const char *location,
                          const char *message, int64_t wall_ns)
{
    char date[32];
    char text[64];
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm tm = {0};
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
    (void)snprintf(text, sizeof(text), "%s,%03d+0000", date, (int)(wall_ns % NS_PER_S / NS_PER_MS));
    puts_line(line, "{\"level\":\"");
    puts_line(line, level_names[level]);
    puts_line(line, "\",\"location\":");
    put_quoted(line, str_from(location), HEAD_VALUE_MAX);
    puts_line(line, ",\"message\":");
    put_quoted(line, str_from(message), MESSAGE_MAX);
    puts_line(line, ",\"timestamp\":");
    put_quoted(line, str_from(text), HEAD_VALUE_MAX);
    puts_line(line, ",\"service\":");
    put_quoted(line, str_from(sink.service), HEAD_VALUE_MAX);
    if (sink.stage[0] != '\0') {
        puts_line(line, ",\"stage\":");
        put_quoted(line, str_from(sink.stage), HEAD_VALUE_MAX);
    }
}

static void put_head_text(struct line *line, enum log_level level, const char *message,
                          int64_t wall_ns)
{
    char date[32];
    char text[64];
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm tm = {0};
    (void)localtime_r(&seconds, &tm);
    (void)strftime(date, sizeof(date), "%H:%M:%S", &tm);
    (void)snprintf(text, sizeof(text), "%s.%03d %-8s ", date, (int)(wall_ns % NS_PER_S / NS_PER_MS),
                   level_names[level]);
    puts_line(line, text);
    put_escaped(line, str_from(message), MESSAGE_MAX);
}

/* ---- repeats ---- */

static uint64_t hash_more(uint64_t hash, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)text.ptr[i]) * UINT64_C(1099511628211); /* FNV-1a */
    }
    return hash;
}

/* A route that fails loudly must not silence what happens to another. */
static uint64_t place_of(const char *location, const struct log_field *fields, size_t count)
{
    uint64_t hash = hash_more(UINT64_C(14695981039346656037), str_from(location));

    for (size_t i = 0; i < count; i++) {
        if (fields[i].type == LOG_VALUE_STR && strcmp(fields[i].key, "route") == 0) {
            hash = hash_more(hash, fields[i].str);
        }
    }
    return hash == 0 ? 1 : hash;
}

/* Two places that fall on one slot displace each other: then more is written than need be, never
   less. */
static struct repeat *repeat_of(uint64_t place)
{
    struct repeat *repeat = &sink.repeats[place % REPEAT_SLOTS];
    if (repeat->place != place) {
        *repeat = (struct repeat){.place = place, .window_start_ns = INT64_MIN};
    }
    return repeat;
}

/* True when the line is to be counted instead of written. */
static bool suppress(struct repeat *repeat, int64_t now_ns, uint64_t *ret_suppressed)
{
    *ret_suppressed = 0;
    if (repeat->window_start_ns == INT64_MIN || now_ns - repeat->window_start_ns >= LOG_REPEAT_NS) {
        repeat->window_start_ns = now_ns;
        repeat->written = 0;
    }
    if (repeat->written >= LOG_REPEAT_MAX) {
        repeat->suppressed++;
        return true;
    }
    repeat->written++;
    *ret_suppressed = repeat->suppressed;
    repeat->suppressed = 0;
    return false;
}

/* ---- writing ---- */

static void write_all(int fd, const char *ptr, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, ptr, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            atomic_fetch_add(&sink.dropped, 1);
            return;
        }
        ptr += n;
        len -= (size_t)n;
    }
}

static void write_line(enum log_level level, const char *location, const char *message,
                       const struct log_field *fields, size_t count, uint64_t suppressed)
{
    struct line line;
    int64_t wall_ns = sink.clock_ns(CLOCK_REALTIME);

    line.len = 0;
    line.truncated = false;
    if (sink.json) {
        put_head_json(&line, level, location, message, wall_ns);
    } else {
        put_head_text(&line, level, message, wall_ns);
    }
    for (size_t i = 0; i < count; i++) {
        put_field(&line, &fields[i], sink.json);
    }
    put_tail(&line, suppressed, sink.json);
    write_all(sink.fd, line.bytes, line.len);
}

static void sink_lock(void)
{
    (void)pthread_mutex_lock(&sink.mutex);
    if (sink.fd < 0) {
        sink.fd = STDERR_FILENO;
        sink.json = format_is_json(LOG_FORMAT_AUTO, STDERR_FILENO);
    }
}

void log_write(enum log_level level, const char *location, const char *message,
               const struct log_field *fields, size_t count)
{
    int saved_errno = errno;
    uint64_t suppressed = 0;

    sink_lock();
    if (level < LOG_LEVEL_WARNING || !suppress(repeat_of(place_of(location, fields, count)),
                                               sink.clock_ns(CLOCK_MONOTONIC), &suppressed)) {
        write_line(level, location, message, fields, count, suppressed);
    }
    (void)pthread_mutex_unlock(&sink.mutex);
    errno = saved_errno;
}

void log_write_each(enum log_level level, const char *location, const char *message,
                    const struct log_field *fields, size_t count)
{
    int saved_errno = errno;

    sink_lock();
    write_line(level, location, message, fields, count, 0);
    (void)pthread_mutex_unlock(&sink.mutex);
    errno = saved_errno;
}
