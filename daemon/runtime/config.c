#include "sluice/runtime/config.h"

#include "config_rows.h"
#include "sluice/base/json.h"
#include "sluice/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX      80
#define MAP_VALUE_MAX  4096
#define STRING_MAX     4096
#define LIST_COUNT_MAX 1000 /* entries of a table or list without bounds of its own */

/* One run over a text. path is that of the value at hand, as a person would write it. */
struct reader {
    const struct config_table *table;
    struct error_list *errors;
    struct buf path;
    int first_code;
};

static void read_object(struct reader *r, const char *pattern, const struct json_value *object,
                        void *base);

/* ---- messages ---- */

#define REPORT(r, code, ...)                                                                       \
    report((r), error_list_add((r)->errors, (code), path_text(r), __VA_ARGS__))

static const char *path_text(const struct reader *r)
{
    return buf_str(&r->path).ptr;
}

static void report(struct reader *r, int code)
{
    if (r->first_code == 0) {
        r->first_code = code;
    }
}

/* Adds a part to the path and returns its old length, for path_cut. */
static size_t path_add(struct reader *r, struct str key)
{
    size_t before = r->path.len;
    if (before > 0) {
        buf_addc(&r->path, '.');
    }
    buf_add(&r->path, key);
    return before;
}

static void path_cut(struct reader *r, size_t len)
{
    r->path.len = len;
    if (r->path.ptr != NULL) {
        r->path.ptr[len] = '\0';
    }
    r->path.failed = 0;
}

/* "5", "\"abc\"": the value as it stands in the file, cut where it is long; never a secret. */
static void found_text(const struct config_row *row, const struct json_value *value,
                       char out[FOUND_MAX])
{
    bool is_url = (row->flags & CONFIG_URL) != 0 && json_string(value).len > 0;
    if ((row->flags & CONFIG_SECRET) != 0 || is_url) {
        str_copy(out, FOUND_MAX, STR("a value that is not shown"));
        return;
    }
    struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX);
    json_write_value(&text, value);
    struct str whole = buf_str(&text);
    if (whole.len >= FOUND_MAX) {
        struct str cut = {whole.ptr, FOUND_MAX - 4};
        cut.len = str_utf8_prefix(cut);
        str_copy(out, FOUND_MAX, cut);
        str_copy(out + cut.len, FOUND_MAX - cut.len, STR("…"));
    } else {
        str_copy(out, FOUND_MAX, whole);
    }
    buf_done(&text);
}

static const char *type_text(const struct json_value *value)
{
    static const char *const texts[] = {"null",     "true or false", "a number",
                                        "a string", "a list",        "an object"};
    return texts[json_type(value)];
}

/* "found X; allowed: Y<more>" */
static void report_value(struct reader *r, int code, const struct config_row *row,
                         const struct json_value *value, const char *more)
{
    char found[FOUND_MAX];
    struct buf allowed;
    found_text(row, value, found);
    buf_init(&allowed, 256);
    config_row_describe(row, &allowed);
    REPORT(r, code, "found %s; allowed: %s%s%s%s", found, buf_str(&allowed).ptr,
           row->unit != NULL ? " in " : "", row->unit != NULL ? row->unit : "", more);
    buf_done(&allowed);
}

static bool expect(struct reader *r, const struct config_row *row, const struct json_value *value,
                   enum json_type type)
{
    if (json_type(value) == type) {
        return true;
    }
    report_value(r, ERR_INVALID, row, value, "");
    return false;
}

/* ---- values ---- */

static void store_integer(const struct config_row *row, void *base, int64_t value)
{
    void *member = config_row_member(row, base);
    if (row->size == sizeof(int64_t)) {
        memcpy(member, &value, sizeof(value));
    } else {
        SL_ASSERT(row->size == sizeof(uint32_t) && value >= 0 && value <= UINT32_MAX);
        uint32_t small = (uint32_t)value;
        memcpy(member, &small, sizeof(small));
    }
}

static void store_string(const struct config_row *row, void *base, struct str text)
{
    char *copy = mem_dup(text.ptr, text.len);
    memcpy(config_row_member(row, base), &copy, sizeof(copy));
}

static void read_integer(struct reader *r, const struct config_row *row,
                         const struct json_value *value, void *base)
{
    int64_t number = 0;
    if (!expect(r, row, value, JSON_NUMBER)) {
        return;
    }
    if (json_i64(value, &number) != 0) {
        report_value(r, ERR_INVALID, row, value, "");
    } else if (number < row->min || number > row->max) {
        report_value(r, ERR_RANGE, row, value, "");
    } else {
        store_integer(row, base, number);
    }
}

static void read_duration(struct reader *r, const struct config_row *row,
                          const struct json_value *value, void *base)
{
    int64_t unit = row->type == CONFIG_SECONDS ? 1000000000 : 1;
    int64_t ns = 0;
    if (json_type(value) == JSON_NUMBER) {
        report_value(r, ERR_INVALID, row, value, "; a duration is a string with its unit");
        return;
    }
    if (!expect(r, row, value, JSON_STRING)) {
        return;
    }
    int rc = str_to_duration(json_string(value), &ns);
    if (rc == ERR_SYNTAX) {
        report_value(r, rc, row, value, "; write a number and its unit: ns, us, ms, s, m, h or d");
    } else if (rc != 0 || ns / unit < row->min || ns / unit > row->max) {
        report_value(r, ERR_RANGE, row, value, "");
    } else if (ns % unit != 0) {
        report_value(r, ERR_RANGE, row, value, "; leave the fraction out");
    } else {
        store_integer(row, base, ns / unit);
    }
}

static const char *next_name(void *context, uint32_t i)
{
    return ((const char *const *)context)[i];
}

static void read_enum(struct reader *r, const struct config_row *row,
                      const struct json_value *value, void *base)
{
    if (!expect(r, row, value, JSON_STRING)) {
        return;
    }
    struct str text = json_string(value);
    for (uint32_t i = 0; row->names[i] != NULL; i++) {
        if (str_equal(text, str_from(row->names[i]))) {
            store_integer(row, base, i);
            return;
        }
    }
    union {
        const char *const *names;
        void *context;
    } names = {.names = row->names};
    const char *suggestion = config_suggest(text, next_name, names.context);
    char more[FOUND_MAX] = "";
    if (suggestion != NULL) {
        (void)snprintf(more, sizeof(more), "; did you mean \"%s\"?", suggestion);
    }
    report_value(r, ERR_INVALID, row, value, more);
}

static void read_bool(struct reader *r, const struct config_row *row,
                      const struct json_value *value, void *base)
{
    bool flag = json_bool(value);
    if (json_type(value) == JSON_STRING) {
        report_value(r, ERR_INVALID, row, value, ", without quotes");
    } else if (expect(r, row, value, JSON_BOOL)) {
        memcpy(config_row_member(row, base), &flag, sizeof(flag));
    }
}

static void read_string(struct reader *r, const struct config_row *row,
                        const struct json_value *value, void *base)
{
    if (!expect(r, row, value, JSON_STRING)) {
        return;
    }
    struct str text = json_string(value);
    bool valid = row->type == CONFIG_NAME
                     ? config_row_takes_name(row, text)
                     : (int64_t)text.len >= row->min && (int64_t)text.len <= row->max;
    if (valid) {
        store_string(row, base, text);
    } else {
        report_value(r, ERR_RANGE, row, value, "");
    }
}

/* One string is as good as a list of one. */
static void read_strings(struct reader *r, const struct config_row *row,
                         const struct json_value *value, void *base)
{
    bool single = json_type(value) == JSON_STRING;
    if (!single && !expect(r, row, value, JSON_ARRAY)) {
        return;
    }
    size_t count = single ? 1 : json_count(value);
    if ((int64_t)count < row->min || (int64_t)count > row->max) {
        report_value(r, ERR_RANGE, row, value, "");
        return;
    }
    struct config_strings strings = {MEM_NEW_ARRAY(count, char *), 0};
    const struct json_value *item = single ? value : json_first(value);
    for (size_t i = 0; i < count; i++, item = single ? NULL : json_next(item)) {
        struct str text = json_string(item);
        if (text.ptr == NULL || text.len == 0 || text.len > STRING_MAX) {
            report_value(r, ERR_INVALID, row, item, ", none of them empty");
            continue;
        }
        strings.items[strings.count++] = mem_dup(text.ptr, text.len);
    }
    memcpy(config_row_member(row, base), &strings, sizeof(strings));
}

static void read_map(struct reader *r, const struct config_row *row, const struct json_value *value,
                     void *base)
{
    if (!expect(r, row, value, JSON_OBJECT)) {
        return;
    }
    size_t count = json_count(value);
    if ((int64_t)count > row->max) {
        REPORT(r, ERR_RANGE, "found %zu members; allowed: at most %lld", count,
               (long long)row->max);
        return;
    }
    struct config_map map = {MEM_NEW_ARRAY(count, struct config_pair), 0};
    for (const struct json_value *item = json_first(value); item != NULL; item = json_next(item)) {
        struct str key = json_key(item);
        struct str text = json_string(item);
        size_t before = path_add(r, key);
        if (key.len == 0) {
            REPORT(r, ERR_INVALID, "found an empty name; give it a name or remove it");
        } else if (text.ptr == NULL || text.len > MAP_VALUE_MAX) {
            REPORT(r, ERR_INVALID, "found %s; allowed: a string of at most %d bytes",
                   text.ptr == NULL ? type_text(item) : "a longer one", MAP_VALUE_MAX);
        } else {
            map.items[map.count++] =
                (struct config_pair){mem_dup(key.ptr, key.len), mem_dup(text.ptr, text.len)};
        }
        path_cut(r, before);
    }
    memcpy(config_row_member(row, base), &map, sizeof(map));
}

/* ---- structures ---- */

static void read_entry(struct reader *r, const struct config_row *row,
                       const struct json_value *value, size_t index, void *entry)
{
    char pattern[CONFIG_PATTERN_MAX];
    config_row_inside(row, pattern);
    size_t before = r->path.len;
    if (row->type == CONFIG_TABLE) {
        struct str name = json_key(value);
        path_add(r, name);
        if (!config_row_takes_name(row, name)) {
            REPORT(r, ERR_INVALID,
                   "the name \"%.*s\" is not allowed; use 1 to %u of A-Z a-z 0-9 _ -%s",
                   name.len > FOUND_MAX ? FOUND_MAX : (int)name.len, name.ptr, CONFIG_NAME_MAX,
                   (row->flags & CONFIG_FIFO) != 0 ? CONFIG_FIFO_TEXT : "");
        }
        char *copy = mem_dup(name.ptr, name.len);
        memcpy(entry, &copy, sizeof(copy));
    } else {
        buf_addf(&r->path, "[%zu]", index);
    }
    if (json_type(value) == JSON_OBJECT) {
        read_object(r, pattern, value, entry);
    } else {
        REPORT(r, ERR_INVALID, "found %s; allowed: an object {…}", type_text(value));
    }
    path_cut(r, before);
}

static void read_entries(struct reader *r, const struct config_row *row,
                         const struct json_value *value, void *base)
{
    if (!expect(r, row, value, row->type == CONFIG_TABLE ? JSON_OBJECT : JSON_ARRAY)) {
        return;
    }
    size_t count = json_count(value);
    size_t max = row->max > 0 ? (size_t)row->max : LIST_COUNT_MAX;
    if (count > max) {
        REPORT(r, ERR_RANGE, "found %zu entries; allowed: at most %zu", count, max);
        return;
    }
    char *items = mem_zalloc(count, row->item_size);
    struct config_array array = {items, 0};
    for (const struct json_value *item = json_first(value); item != NULL; item = json_next(item)) {
        read_entry(r, row, item, array.count, items + array.count * row->item_size);
        array.count++;
    }
    memcpy(config_row_member(row, base), &array, sizeof(array));
}

static void read_row(struct reader *r, const struct config_row *row, const struct json_value *value,
                     void *base)
{
    char pattern[CONFIG_PATTERN_MAX];
    switch (row->type) {
    case CONFIG_OBJECT:
        config_row_inside(row, pattern);
        if (expect(r, row, value, JSON_OBJECT)) {
            read_object(r, pattern, value, base);
        }
        break;
    case CONFIG_TABLE:
    case CONFIG_LIST:
        read_entries(r, row, value, base);
        break;
    case CONFIG_STRING:
    case CONFIG_NAME:
        read_string(r, row, value, base);
        break;
    case CONFIG_STRINGS:
        read_strings(r, row, value, base);
        break;
    case CONFIG_MAP:
        read_map(r, row, value, base);
        break;
    case CONFIG_INTEGER:
        read_integer(r, row, value, base);
        break;
    case CONFIG_BOOL:
        read_bool(r, row, value, base);
        break;
    case CONFIG_DURATION:
    case CONFIG_SECONDS:
        read_duration(r, row, value, base);
        break;
    case CONFIG_ENUM:
        read_enum(r, row, value, base);
        break;
    }
}

/* The default, by the same way as a value of the file: it cannot be out of the bounds unnoticed. */
static void read_default(struct reader *r, const struct config_row *row, void *base)
{
    if (row->type == CONFIG_OBJECT) {
        char pattern[CONFIG_PATTERN_MAX];
        config_row_inside(row, pattern);
        read_object(r, pattern, NULL, base);
        return;
    }
    if (row->fallback == NULL) {
        bool number = row->type == CONFIG_INTEGER || row->type == CONFIG_DURATION;
        if (number && row->size == sizeof(int64_t)) {
            store_integer(row, base, CONFIG_UNSET);
        }
        return;
    }
    struct json json;
    int rc = json_parse(&json, str_from(row->fallback), JSON_STRICT, NULL);
    SL_ASSERT(rc == 0);
    read_row(r, row, json.root, base);
    json_done(&json);
}

struct siblings {
    const struct config_table *table;
    const char *pattern;
};

static const char *next_sibling(void *context, uint32_t index)
{
    const struct siblings *siblings = context;
    CONFIG_ROW_FOR(siblings->table, siblings->pattern, i)
    {
        if (index-- == 0) {
            return config_row_key(config_table_row(siblings->table, i));
        }
    }
    return NULL;
}

static void report_unknown(struct reader *r, const char *pattern, struct str key)
{
    struct siblings siblings = {r->table, pattern};
    const char *suggestion = config_suggest(key, next_sibling, &siblings);
    struct buf allowed;
    buf_init(&allowed, 1024);
    const char *name;
    for (uint32_t i = 0; (name = next_sibling(&siblings, i)) != NULL; i++) {
        buf_addf(&allowed, "%s%s", i == 0 ? "" : ", ", name);
    }
    if (suggestion != NULL) {
        REPORT(r, ERR_INVALID, "unknown key; did you mean \"%s\"?", suggestion);
    } else {
        REPORT(r, ERR_INVALID, "unknown key; remove it; allowed here: %s", buf_str(&allowed).ptr);
    }
    buf_done(&allowed);
}

static const struct config_row *find_row(const struct reader *r, const char *pattern,
                                         struct str key)
{
    CONFIG_ROW_FOR(r->table, pattern, i)
    {
        if (str_equal(key, str_from(config_row_key(config_table_row(r->table, i))))) {
            return config_table_row(r->table, i);
        }
    }
    return NULL;
}

/* A structure's keys: what is there is read, what is not gets its default. object NULL: nothing. */
static void read_object(struct reader *r, const char *pattern, const struct json_value *object,
                        void *base)
{
    const struct json_value *child = object == NULL ? NULL : json_first(object);
    for (; child != NULL; child = json_next(child)) {
        const struct config_row *row = find_row(r, pattern, json_key(child));
        size_t before = path_add(r, json_key(child));
        if (row == NULL) {
            report_unknown(r, pattern, json_key(child));
        } else {
            read_row(r, row, child, base);
        }
        path_cut(r, before);
    }
    CONFIG_ROW_FOR(r->table, pattern, i)
    {
        const struct config_row *row = config_table_row(r->table, i);
        const char *key = config_row_key(row);
        if (object != NULL && json_get(object, key) != NULL) {
            continue;
        }
        size_t before = path_add(r, str_from(key));
        if ((row->flags & CONFIG_REQUIRED) != 0) {
            REPORT(r, ERR_INVALID, "is missing; add it, for example \"%s\": %s", key, row->example);
        } else {
            read_default(r, row, base);
        }
        path_cut(r, before);
    }
}

int config_parse(const struct config_table *table, struct str text, void *root,
                 struct error_list *errors)
{
    struct error error = {0};
    struct json json;
    if (text.len > CONFIG_TEXT_MAX) {
        return error_list_add(errors, ERR_TOO_BIG, "", "found %zu bytes; allowed: at most %u",
                              text.len, CONFIG_TEXT_MAX);
    }
    int rc = json_parse(&json, text, JSON_COMMENTS, &error);
    if (rc != 0) {
        return error_list_add(errors, rc, error.where, "%s", error.text);
    }
    struct reader r = {.table = table, .errors = errors};
    buf_init(&r.path, 1024);
    if (json_type(json.root) == JSON_OBJECT) {
        read_object(&r, "", json.root, root);
    } else {
        REPORT(&r, ERR_INVALID, "found %s; allowed: an object {…}", type_text(json.root));
    }
    buf_done(&r.path);
    json_done(&json);
    return r.first_code;
}

/* ---- release ---- */

static void free_object(const struct config_table *table, const char *pattern, void *base);

static void free_string(const struct config_row *row, char *text)
{
    if (text != NULL && (row->flags & CONFIG_SECRET) != 0) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

static void free_entries(const struct config_table *table, const struct config_row *row,
                         struct config_array *array)
{
    char pattern[CONFIG_PATTERN_MAX];
    config_row_inside(row, pattern);
    for (uint32_t i = 0; i < array->count; i++) {
        char *entry = (char *)array->items + i * row->item_size;
        free_object(table, pattern, entry);
        if (row->type == CONFIG_TABLE) {
            char *name;
            memcpy(&name, entry, sizeof(name));
            free(name);
        }
    }
    free(array->items);
}

static void free_row(const struct config_table *table, const struct config_row *row, void *base)
{
    union {
        char *string;
        struct config_strings strings;
        struct config_map map;
        struct config_array array;
    } u;
    bool owns = row->type == CONFIG_STRING || row->type == CONFIG_NAME ||
                row->type == CONFIG_STRINGS || row->type == CONFIG_MAP ||
                row->type == CONFIG_TABLE || row->type == CONFIG_LIST;
    if (!owns) {
        return;
    }
    SL_ASSERT(row->size <= sizeof(u));
    memcpy(&u, config_row_member(row, base), row->size);
    memset(config_row_member(row, base), 0, row->size);
    if (row->type == CONFIG_STRING || row->type == CONFIG_NAME) {
        free_string(row, u.string);
    } else if (row->type == CONFIG_STRINGS) {
        for (uint32_t i = 0; i < u.strings.count; i++) {
            free_string(row, u.strings.items[i]);
        }
        free(u.strings.items);
    } else if (row->type == CONFIG_MAP) {
        for (uint32_t i = 0; i < u.map.count; i++) {
            free(u.map.items[i].name);
            free_string(row, u.map.items[i].value);
        }
        free(u.map.items);
    } else {
        free_entries(table, row, &u.array);
    }
}

static void free_object(const struct config_table *table, const char *pattern, void *base)
{
    CONFIG_ROW_FOR(table, pattern, i)
    {
        const struct config_row *row = config_table_row(table, i);
        if (row->type == CONFIG_OBJECT) {
            char inside[CONFIG_PATTERN_MAX];
            config_row_inside(row, inside);
            free_object(table, inside, base);
        } else {
            free_row(table, row, base);
        }
    }
}

void config_free(const struct config_table *table, void *root)
{
    free_object(table, "", root);
}
