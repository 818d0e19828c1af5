#include "config_rows.h"

#include "sluice/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer words are no typing errors of ours. */
#define SUGGEST_LEN_MAX 40

/* What follows the pattern in the row's path; NULL when the row lies elsewhere. */
static const char *path_after(const char *path, const char *pattern)
{
    size_t len = strlen(pattern);
    if (len == 0) {
        return path;
    }
    if (strncmp(path, pattern, len) != 0 || path[len] != '.') {
        return NULL;
    }
    return path + len + 1;
}

uint32_t config_table_count(const struct config_table *table)
{
    uint32_t count = 0;
    for (uint32_t part = 0; part < CONFIG_PARTS_MAX && table->parts[part] != NULL; part++) {
        count += table->parts[part]->count;
    }
    return count;
}

const struct config_row *config_table_row(const struct config_table *table, uint32_t i)
{
    for (uint32_t part = 0; part < CONFIG_PARTS_MAX && table->parts[part] != NULL; part++) {
        if (i < table->parts[part]->count) {
            return &table->parts[part]->items[i];
        }
        i -= table->parts[part]->count;
    }
    return NULL;
}

uint32_t config_row_child(const struct config_table *table, const char *pattern, uint32_t i)
{
    const struct config_row *row;
    for (; (row = config_table_row(table, i)) != NULL; i++) {
        const char *rest = path_after(row->path, pattern);
        if (rest != NULL && strpbrk(rest, ".*[") == NULL) {
            break;
        }
    }
    return i;
}

const char *config_row_key(const struct config_row *row)
{
    const char *dot = strrchr(row->path, '.');
    return dot == NULL ? row->path : dot + 1;
}

void config_row_inside(const struct config_row *row, char pattern[CONFIG_PATTERN_MAX])
{
    const char *suffix = row->type == CONFIG_TABLE ? ".*" : row->type == CONFIG_LIST ? "[]" : "";
    int len = snprintf(pattern, CONFIG_PATTERN_MAX, "%s%s", row->path, suffix);
    SL_ASSERT(len > 0 && len < CONFIG_PATTERN_MAX);
}

void *config_row_member(const struct config_row *row, void *base)
{
    return (char *)base + row->offset;
}

const void *config_row_value(const struct config_row *row, const void *base)
{
    return (const char *)base + row->offset;
}

int64_t config_row_integer(const struct config_row *row, const void *base)
{
    const void *value = config_row_value(row, base);
    int64_t i64 = 0;
    if (row->size == sizeof(i64)) {
        memcpy(&i64, value, sizeof(i64));
    } else if (row->type == CONFIG_BOOL) {
        bool flag = false;
        memcpy(&flag, value, sizeof(flag));
        i64 = flag;
    } else {
        uint32_t u32 = 0;
        memcpy(&u32, value, sizeof(u32));
        i64 = u32;
    }
    return i64;
}

/* ---- what a row allows ---- */

static void describe_names(const struct config_row *row, struct buf *out)
{
    for (uint32_t i = 0; row->names[i] != NULL; i++) {
        const char *before = i == 0 ? "" : row->names[i + 1] == NULL ? " or " : ", ";
        buf_addf(out, "%s\"%s\"", before, row->names[i]);
    }
}

static void describe_durations(const struct config_row *row, struct buf *out)
{
    char min[32];
    char max[32];
    int64_t unit = row->type == CONFIG_SECONDS ? NS_PER_S : 1;
    config_duration_text(row->min * unit, min, sizeof(min));
    config_duration_text(row->max * unit, max, sizeof(max));
    buf_addf(out, "a duration%s from \"%s\" to \"%s\"",
             row->type == CONFIG_SECONDS ? " of whole seconds" : "", min, max);
}

int config_row_describe(const struct config_row *row, struct buf *out)
{
    switch (row->type) {
    case CONFIG_OBJECT:
        buf_adds(out, "an object {…}");
        break;
    case CONFIG_TABLE:
        buf_adds(out, "an object of named objects {\"name\": {…}}");
        break;
    case CONFIG_LIST:
        buf_adds(out, "a list of objects [{…}]");
        break;
    case CONFIG_STRING:
        if (row->min < row->max) {
            buf_addf(out, "a string of %lld to %lld bytes", (long long)row->min,
                     (long long)row->max);
        } else {
            buf_addf(out, "a string of %lld bytes", (long long)row->max);
        }
        break;
    case CONFIG_NAME:
        buf_addf(out, "a name: 1 to %u of A-Z a-z 0-9 _ -%s", CONFIG_NAME_MAX,
                 (row->flags & CONFIG_FIFO) != 0 ? CONFIG_FIFO_TEXT : "");
        break;
    case CONFIG_STRINGS:
        buf_addf(out, "a list of at most %lld strings", (long long)row->max);
        break;
    case CONFIG_MAP:
        buf_adds(out, "an object of strings {\"name\": \"value\"}");
        break;
    case CONFIG_INTEGER:
        buf_addf(out, "a whole number from %lld to %lld", (long long)row->min, (long long)row->max);
        break;
    case CONFIG_BOOL:
        buf_adds(out, "true or false");
        break;
    case CONFIG_DURATION:
    case CONFIG_SECONDS:
        describe_durations(row, out);
        break;
    case CONFIG_ENUM:
        describe_names(row, out);
        break;
    }
    return buf_failed(out);
}

/* ---- values of their own ---- */

bool config_name_is_valid(struct str name)
{
    if (name.len == 0 || name.len > CONFIG_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

bool config_queue_name_is_valid(struct str name)
{
    const struct str fifo = STR(".fifo");
    struct str stem = name;
    if (str_ends_with(name, fifo)) {
        stem.len -= fifo.len;
    }
    return name.len <= CONFIG_NAME_MAX && config_name_is_valid(stem);
}

bool config_row_takes_name(const struct config_row *row, struct str name)
{
    return (row->flags & CONFIG_FIFO) != 0 ? config_queue_name_is_valid(name)
                                           : config_name_is_valid(name);
}

void config_duration_text(int64_t ns, char *out, size_t out_size)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"d", 86400 * NS_PER_S},
        {"h", 3600 * NS_PER_S},
        {"m", 60 * NS_PER_S},
        {"s", NS_PER_S},
        {"ms", NS_PER_MS},
        {"us", NS_PER_US},
        {"ns", 1},
    };
    size_t i = 0;
    while (ns % units[i].ns != 0) {
        i++;
    }
    const char *name = ns == 0 ? "s" : units[i].name;
    (void)snprintf(out, out_size, "%lld%s", (long long)(ns / units[i].ns), name);
}

/* ---- did you mean ---- */

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t least = a < b ? a : b;
    return least < c ? least : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* How many insertions, deletions, replacements and swaps of neighbours lead from a to b
   (optimal string alignment). Case does not count. */
static uint32_t edit_distance(struct str a, struct str b)
{
    uint32_t rows[3][SUGGEST_LEN_MAX + 1];
    for (uint32_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= a.len; i++) {
        uint32_t *now = rows[i % 3];
        const uint32_t *above = rows[(i + 2) % 3];
        const uint32_t *above2 = rows[(i + 1) % 3];
        now[0] = i;
        for (uint32_t j = 1; j <= b.len; j++) {
            char ca = lower(a.ptr[i - 1]);
            char cb = lower(b.ptr[j - 1]);
            now[j] = min3(above[j] + 1, now[j - 1] + 1, above[j - 1] + (ca != cb));
            bool swapped = i > 1 && j > 1 && ca == lower(b.ptr[j - 2]) && lower(a.ptr[i - 2]) == cb;
            if (swapped && above2[j - 2] + 1 < now[j]) {
                now[j] = above2[j - 2] + 1;
            }
        }
    }
    return rows[a.len % 3][b.len];
}

const char *config_suggest(struct str found, const char *(*next)(void *context, uint32_t i),
                           void *context)
{
    const char *best = NULL;
    uint32_t best_distance = UINT32_MAX;
    if (found.len == 0 || found.len > SUGGEST_LEN_MAX) {
        return NULL;
    }
    const char *candidate;
    for (uint32_t i = 0; (candidate = next(context, i)) != NULL; i++) {
        struct str text = str_from(candidate);
        if (text.len > SUGGEST_LEN_MAX) {
            continue;
        }
        uint32_t distance = edit_distance(found, text);
        /* A third of the word may be wrong. */
        size_t longer = found.len > text.len ? found.len : text.len;
        if (distance < best_distance && distance <= (longer + 2) / 3 && distance < longer) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

/* ---- errors ---- */

int error_list_add(struct error_list *list, int code, const char *where, const char *format, ...)
{
    if (list->count >= CONFIG_ERRORS_MAX) {
        list->dropped++;
        return code;
    }
    if (list->count % 16 == 0) {
        struct error *items = realloc(list->items, (list->count + 16) * sizeof(items[0]));
        if (items == NULL) {
            list->dropped++;
            return code;
        }
        list->items = items;
    }
    char text[sizeof(list->items[0].text)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(&list->items[list->count++], code, where, "%s", text);
}

void error_list_free(struct error_list *list)
{
    free(list->items);
    *list = (struct error_list){0};
}
