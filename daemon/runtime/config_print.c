/* The dump of what holds, and the example file with every key: both JSON that config_parse reads.
 */
#include "config_rows.h"
#include "sluice/base/clock.h"
#include "sluice/base/json.h"
#include "sluice/runtime/config.h"

#include <string.h>

#define INDENT         4
#define COMMENT_COLUMN 100

struct printer {
    const struct config_table *table;
    struct buf *out;
    uint32_t depth;
};

static void new_line(struct printer *p)
{
    buf_addf(p->out, "\n%*s", (int)(p->depth * INDENT), "");
}

static void write_string(struct printer *p, struct str text)
{
    struct json_writer writer;
    json_writer_init(&writer, p->out);
    json_write_str(&writer, text);
}

static void write_key(struct printer *p, struct str key)
{
    write_string(p, key);
    buf_adds(p->out, ": ");
}

static void write_secret(struct printer *p, const struct config_row *row, const char *text)
{
    char url[2200];

    if ((row->flags & CONFIG_SECRET) != 0) {
        write_string(p, STR("<redacted>"));
    } else if ((row->flags & CONFIG_URL) != 0) {
        write_string(p, str_from(str_redact_url(url, sizeof(url), str_from(text))));
    } else {
        write_string(p, str_from(text));
    }
}

/* ---- dump ---- */

static void dump_object(struct printer *p, const char *pattern, const void *base);

static void dump_strings(struct printer *p, const struct config_row *row, const void *base)
{
    struct config_strings strings;
    memcpy(&strings, config_row_value(row, base), sizeof(strings));
    buf_addc(p->out, '[');
    for (uint32_t i = 0; i < strings.count; i++) {
        buf_adds(p->out, i > 0 ? ", " : "");
        write_secret(p, row, strings.items[i]);
    }
    buf_addc(p->out, ']');
}

static void dump_map(struct printer *p, const struct config_row *row, const void *base)
{
    struct config_map map;
    memcpy(&map, config_row_value(row, base), sizeof(map));
    buf_addc(p->out, '{');
    for (uint32_t i = 0; i < map.count; i++) {
        buf_adds(p->out, i > 0 ? ", " : "");
        write_key(p, str_from(map.items[i].name));
        write_secret(p, row, map.items[i].value);
    }
    buf_addc(p->out, '}');
}

static void dump_entries(struct printer *p, const struct config_row *row, const void *base)
{
    bool table = row->type == CONFIG_TABLE;
    struct config_array array;
    char pattern[CONFIG_PATTERN_MAX];
    memcpy(&array, config_row_value(row, base), sizeof(array));
    config_row_inside(row, pattern);
    buf_addc(p->out, table ? '{' : '[');
    p->depth++;
    for (uint32_t i = 0; i < array.count; i++) {
        const char *entry = (const char *)array.items + i * row->item_size;
        buf_adds(p->out, i > 0 ? "," : "");
        new_line(p);
        if (table) {
            char *name;
            memcpy(&name, entry, sizeof(name));
            write_key(p, str_from(name));
        }
        dump_object(p, pattern, entry);
    }
    p->depth--;
    if (array.count > 0) {
        new_line(p);
    }
    buf_addc(p->out, table ? '}' : ']');
}

static void dump_duration(struct printer *p, const struct config_row *row, const void *base)
{
    char text[32];
    int64_t unit = row->type == CONFIG_SECONDS ? NS_PER_S : 1;
    config_duration_text(config_row_integer(row, base) * unit, text, sizeof(text));
    write_string(p, str_from(text));
}

static void dump_value(struct printer *p, const struct config_row *row, const void *base)
{
    char pattern[CONFIG_PATTERN_MAX];
    char *string;
    switch (row->type) {
    case CONFIG_OBJECT:
        config_row_inside(row, pattern);
        dump_object(p, pattern, base);
        break;
    case CONFIG_TABLE:
    case CONFIG_LIST:
        dump_entries(p, row, base);
        break;
    case CONFIG_STRING:
    case CONFIG_NAME:
        memcpy(&string, config_row_value(row, base), sizeof(string));
        write_secret(p, row, string);
        break;
    case CONFIG_STRINGS:
        dump_strings(p, row, base);
        break;
    case CONFIG_MAP:
        dump_map(p, row, base);
        break;
    case CONFIG_INTEGER:
        buf_addf(p->out, "%lld", (long long)config_row_integer(row, base));
        break;
    case CONFIG_BOOL:
        buf_adds(p->out, config_row_integer(row, base) != 0 ? "true" : "false");
        break;
    case CONFIG_DURATION:
    case CONFIG_SECONDS:
        dump_duration(p, row, base);
        break;
    case CONFIG_ENUM:
        write_string(p, str_from(row->names[config_row_integer(row, base)]));
        break;
    }
}

/* Nothing to print: a setting that was not given and has no default. */
static bool is_absent(const struct config_row *row, const void *base)
{
    char *string;
    if (row->type == CONFIG_STRING || row->type == CONFIG_NAME) {
        memcpy(&string, config_row_value(row, base), sizeof(string));
        return string == NULL;
    }
    bool number = row->type == CONFIG_INTEGER || row->type == CONFIG_DURATION;
    if (!number || row->fallback != NULL) {
        return false;
    }
    int64_t value = config_row_integer(row, base);
    return value == CONFIG_UNSET || (row->size < sizeof(value) && value < row->min);
}

static void dump_object(struct printer *p, const char *pattern, const void *base)
{
    bool first = true;
    buf_addc(p->out, '{');
    p->depth++;
    CONFIG_ROW_FOR(p->table, pattern, i)
    {
        const struct config_row *row = config_table_row(p->table, i);
        if (is_absent(row, base)) {
            continue;
        }
        buf_adds(p->out, first ? "" : ",");
        first = false;
        new_line(p);
        write_key(p, str_from(config_row_key(row)));
        dump_value(p, row, base);
    }
    p->depth--;
    if (!first) {
        new_line(p);
    }
    buf_addc(p->out, '}');
}

int config_dump(const struct config_table *table, const void *root, struct buf *out)
{
    struct printer p = {.table = table, .out = out};
    dump_object(&p, "", root);
    buf_addc(out, '\n');
    return buf_failed(out);
}

/* ---- example ---- */

static bool is_group(const struct config_row *row)
{
    return row->type == CONFIG_OBJECT || row->type == CONFIG_TABLE || row->type == CONFIG_LIST;
}

/* A key with a default or that must be there stands in the example; the others only as comments. */
static bool is_live(const struct config_row *row)
{
    return is_group(row) || row->fallback != NULL || (row->flags & CONFIG_REQUIRED) != 0;
}

/* Words of the text as // lines no longer than the file is wide. */
static void write_comment(struct printer *p, struct str text)
{
    size_t column = COMMENT_COLUMN;
    struct str word;
    while (str_next(&text, ' ', &word)) {
        if (column + 1 + word.len > COMMENT_COLUMN) {
            new_line(p);
            buf_adds(p->out, "//");
            column = p->depth * INDENT + 2;
        }
        buf_addc(p->out, ' ');
        buf_add(p->out, word);
        column += 1 + word.len;
    }
}

static void write_facts(struct printer *p, const struct config_row *row)
{
    struct buf text;
    buf_init(&text, 2048);
    buf_adds(&text, row->help);
    if (!is_group(row)) {
        buf_addc(&text, ' ');
        size_t start = text.len;
        config_row_describe(row, &text);
        if (text.len > start && text.ptr[start] == 'a') {
            text.ptr[start] = 'A';
        }
        if (row->unit != NULL) {
            buf_addf(&text, " (%s)", row->unit);
        }
        if ((row->flags & CONFIG_REQUIRED) != 0) {
            buf_adds(&text, "; required.");
        } else if (row->fallback != NULL) {
            buf_addf(&text, "; default %s.", row->fallback);
        } else {
            buf_addc(&text, '.');
        }
    }
    write_comment(p, buf_str(&text));
    buf_done(&text);
}

static void example_object(struct printer *p, const char *pattern);

static void example_value(struct printer *p, const struct config_row *row)
{
    char pattern[CONFIG_PATTERN_MAX];
    if (!is_group(row)) {
        buf_adds(p->out, row->example != NULL ? row->example : row->fallback);
        return;
    }
    config_row_inside(row, pattern);
    if (row->type == CONFIG_OBJECT) {
        example_object(p, pattern);
        return;
    }
    buf_addc(p->out, row->type == CONFIG_TABLE ? '{' : '[');
    p->depth++;
    new_line(p);
    if (row->type == CONFIG_TABLE) {
        write_key(p, str_from(row->example));
    }
    example_object(p, pattern);
    p->depth--;
    new_line(p);
    buf_addc(p->out, row->type == CONFIG_TABLE ? '}' : ']');
}

static void example_object(struct printer *p, const char *pattern)
{
    bool first = true;
    buf_addc(p->out, '{');
    p->depth++;
    CONFIG_ROW_FOR(p->table, pattern, i)
    {
        const struct config_row *row = config_table_row(p->table, i);
        if (!first) {
            buf_addc(p->out, '\n');
        }
        first = false;
        write_facts(p, row);
        new_line(p);
        buf_adds(p->out, is_live(row) ? "" : "// ");
        write_key(p, str_from(config_row_key(row)));
        example_value(p, row);
        /* Also after the last one: a line below it can be uncommented as it is. */
        buf_addc(p->out, ',');
    }
    p->depth--;
    new_line(p);
    buf_addc(p->out, '}');
}

int config_example(const struct config_table *table, struct buf *out)
{
    struct printer p = {.table = table, .out = out};
    example_object(&p, "");
    buf_addc(out, '\n');
    return buf_failed(out);
}
