#include "sluice/base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define INTEGER_END 9007199254740992.0 /* 2^53 */

void json_writer_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

/* Before every value and key; need_comma is false at the start and after '{', '[' and ':'. */
static void write_comma(struct json_writer *w)
{
    if (w->need_comma) {
        (void)buf_addc(w->out, ',');
    }
    w->need_comma = true;
}

static void write_open(struct json_writer *w, char c)
{
    write_comma(w);
    (void)buf_addc(w->out, c);
    w->need_comma = false;
}

static void write_close(struct json_writer *w, char c)
{
    (void)buf_addc(w->out, c);
    w->need_comma = true;
}

void json_object_begin(struct json_writer *w)
{
    write_open(w, '{');
}

void json_object_end(struct json_writer *w)
{
    write_close(w, '}');
}

void json_array_begin(struct json_writer *w)
{
    write_open(w, '[');
}

void json_array_end(struct json_writer *w)
{
    write_close(w, ']');
}

static void write_escape(struct buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        (void)buf_adds(out, "\\\"");
        break;
    case '\\':
        (void)buf_adds(out, "\\\\");
        break;
    case '\b':
        (void)buf_adds(out, "\\b");
        break;
    case '\f':
        (void)buf_adds(out, "\\f");
        break;
    case '\n':
        (void)buf_adds(out, "\\n");
        break;
    case '\r':
        (void)buf_adds(out, "\\r");
        break;
    case '\t':
        (void)buf_adds(out, "\\t");
        break;
    default:
        (void)buf_addf(out, "\\u%04x", (unsigned)c);
        break;
    }
}

/* Valid UTF-8 only. Runs that need no escape go out in one piece. */
static void write_escaped(struct buf *out, struct str s)
{
    size_t start = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        (void)buf_append(out, s.ptr + start, i - start);
        write_escape(out, c);
        start = i + 1;
    }
    if (start < s.len) {
        (void)buf_append(out, s.ptr + start, s.len - start);
    }
}

static void write_string(struct buf *out, struct str s)
{
    (void)buf_addc(out, '"');
    while (s.len > 0) {
        size_t good = str_utf8_prefix(s);
        write_escaped(out, (struct str){s.ptr, good});
        if (good == s.len) {
            break;
        }
        (void)buf_adds(out, "\xef\xbf\xbd");
        s = (struct str){s.ptr + good + 1, s.len - good - 1};
    }
    (void)buf_addc(out, '"');
}

void json_key_write(struct json_writer *w, struct str key)
{
    write_comma(w);
    write_string(w->out, key);
    (void)buf_addc(w->out, ':');
    w->need_comma = false;
}

void json_write_str(struct json_writer *w, struct str value)
{
    if (value.ptr == NULL) {
        json_write_null(w);
        return;
    }
    write_comma(w);
    write_string(w->out, value);
}

void json_write_i64(struct json_writer *w, int64_t value)
{
    write_comma(w);
    (void)buf_addf(w->out, "%" PRId64, value);
}

void json_write_double(struct json_writer *w, double value)
{
    if (!isfinite(value)) {
        json_write_null(w);
        return;
    }
    if (value == floor(value) && fabs(value) < INTEGER_END) {
        json_write_i64(w, (int64_t)value); /* 1000000, not 1e+06 */
        return;
    }
    char text[32];
    double back = 0;
    int len = snprintf(text, sizeof(text), "%.15g", value);
    if (str_to_double((struct str){text, (size_t)len}, &back) != 0 || back != value) {
        len = snprintf(text, sizeof(text), "%.17g", value);
    }
    json_write_raw(w, (struct str){text, (size_t)len});
}

void json_write_bool(struct json_writer *w, bool value)
{
    json_write_raw(w, value ? STR("true") : STR("false"));
}

void json_write_null(struct json_writer *w)
{
    json_write_raw(w, STR("null"));
}

void json_write_raw(struct json_writer *w, struct str json_text)
{
    write_comma(w);
    (void)buf_add(w->out, json_text);
}

void json_member_str(struct json_writer *w, const char *key, struct str value)
{
    json_key_write(w, str_from(key));
    json_write_str(w, value);
}

void json_member_i64(struct json_writer *w, const char *key, int64_t value)
{
    json_key_write(w, str_from(key));
    json_write_i64(w, value);
}

void json_member_double(struct json_writer *w, const char *key, double value)
{
    json_key_write(w, str_from(key));
    json_write_double(w, value);
}

void json_member_bool(struct json_writer *w, const char *key, bool value)
{
    json_key_write(w, str_from(key));
    json_write_bool(w, value);
}

static void write_value(struct json_writer *w, const struct json_value *value);

static void write_children(struct json_writer *w, const struct json_value *value, bool with_keys)
{
    for (const struct json_value *v = json_first(value); v != NULL; v = json_next(v)) {
        if (with_keys) {
            json_key_write(w, json_key(v));
        }
        write_value(w, v);
    }
}

/* Recursion ends at JSON_DEPTH_MAX: a parsed tree is no deeper. */
static void write_value(struct json_writer *w, const struct json_value *value)
{
    switch (json_type(value)) {
    case JSON_BOOL:
        json_write_bool(w, json_bool(value));
        break;
    case JSON_NUMBER:
        json_write_double(w, json_number(value));
        break;
    case JSON_STRING:
        json_write_str(w, json_string(value));
        break;
    case JSON_ARRAY:
        json_array_begin(w);
        write_children(w, value, false);
        json_array_end(w);
        break;
    case JSON_OBJECT:
        json_object_begin(w);
        write_children(w, value, true);
        json_object_end(w);
        break;
    case JSON_NULL:
    default:
        json_write_null(w);
        break;
    }
}

void json_write_copy(struct json_writer *w, const struct json_value *value)
{
    write_value(w, value);
}

int json_write_value(struct buf *out, const struct json_value *value)
{
    struct json_writer w;
    json_writer_init(&w, out);
    write_value(&w, value);
    return buf_failed(out);
}
