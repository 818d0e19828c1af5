#include "json_scan.h"

#include "sluice/base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* cJSON copies a number into 64 bytes and silently goes on with what fits. */
#define NUMBER_MAX_BYTES 63

enum scan_state {
    SCAN_VALUE,        /* a value must come */
    SCAN_VALUE_OR_END, /* just after '[' */
    SCAN_KEY,
    SCAN_KEY_OR_END, /* just after '{' */
    SCAN_AFTER,      /* a value has ended */
};

struct scan {
    const char *text;
    size_t len, at;
    char *blank;
    size_t key_count, stop_key;
    enum scan_state state;
    int depth;
    char closers[JSON_DEPTH_MAX]; /* what ends each open container */
    struct error *e;
};

void json_scan_position(struct str text, size_t offset, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.ptr[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

SL_PRINTF(4, 5)
static int scan_fail(const struct scan *s, int code, size_t offset, const char *format, ...)
{
    char what[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    size_t line = 0;
    size_t column = 0;
    json_scan_position((struct str){s->text, s->len}, offset, &line, &column);
    return error_set(s->e, code, "", "line %zu, column %zu: %s", line, column, what);
}

/* "expected <wanted>, found <the byte here>" */
static int scan_unexpected(const struct scan *s, const char *wanted)
{
    if (s->at >= s->len) {
        return scan_fail(s, ERR_SYNTAX, s->at, "expected %s, found the end of the text", wanted);
    }
    unsigned char c = (unsigned char)s->text[s->at];
    if (c > 0x20 && c < 0x7f) {
        return scan_fail(s, ERR_SYNTAX, s->at, "expected %s, found '%c'", wanted, c);
    }
    return scan_fail(s, ERR_SYNTAX, s->at, "expected %s, found byte 0x%02x", wanted, c);
}

static int scan_peek(const struct scan *s, size_t ahead)
{
    return ahead < s->len - s->at ? (unsigned char)s->text[s->at + ahead] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int scan_comment(struct scan *s)
{
    size_t start = s->at;
    bool block = scan_peek(s, 1) == '*';
    s->at += 2;
    for (;; s->at++) {
        if (s->at >= s->len) {
            if (block) {
                return scan_fail(s, ERR_SYNTAX, start, "comment without an end");
            }
            break;
        }
        if (!block && s->text[s->at] == '\n') {
            break;
        }
        if (block && s->text[s->at] == '*' && scan_peek(s, 1) == '/') {
            s->at += 2;
            break;
        }
    }
    for (size_t i = start; i < s->at; i++) {
        s->blank[i] = s->blank[i] == '\n' ? '\n' : ' ';
    }
    return 0;
}

static int scan_space(struct scan *s)
{
    for (;;) {
        int c = scan_peek(s, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            s->at++;
        } else if (c == '/' && s->blank != NULL &&
                   (scan_peek(s, 1) == '/' || scan_peek(s, 1) == '*')) {
            int rc = scan_comment(s);
            if (rc != 0) {
                return rc;
            }
        } else {
            return 0;
        }
    }
}

/* The four digits of \uXXXX at offset, or -1. */
static int scan_hex4(const struct scan *s, size_t offset)
{
    if (s->len - offset < 4) {
        return -1;
    }
    int value = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = s->text[offset + i];
        int digit = -1;
        if (is_digit(c)) {
            digit = c - '0';
        } else if (c >= 'a' && c <= 'f') {
            digit = c - 'a' + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = c - 'A' + 10;
        }
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* At the 'u' of \uXXXX. */
static int scan_unicode_escape(struct scan *s)
{
    size_t start = s->at - 1;
    int unit = scan_hex4(s, s->at + 1);
    if (unit < 0) {
        return scan_fail(s, ERR_SYNTAX, start, "\\u needs four hexadecimal digits");
    }
    if (unit == 0) {
        /* C strings end there: cJSON would cut the rest off without a word. */
        return scan_fail(s, ERR_NUL_CHARACTER, start, "a string may not contain \\u0000");
    }
    s->at += 5;
    bool high = unit >= 0xd800 && unit <= 0xdbff;
    if (high && scan_peek(s, 0) == '\\' && scan_peek(s, 1) == 'u') {
        int low = scan_hex4(s, s->at + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            s->at += 6;
            return 0;
        }
    }
    if (unit >= 0xd800 && unit <= 0xdfff) {
        return scan_fail(s, ERR_SYNTAX, start, "half of a surrogate pair");
    }
    return 0;
}

/* At a byte that a string cannot take as it stands. */
static int scan_string_special(struct scan *s, size_t start)
{
    int c = scan_peek(s, 0);
    if (c < 0) {
        return scan_fail(s, ERR_SYNTAX, start, "string without an end");
    }
    if (c == 0) {
        return scan_fail(s, ERR_NUL_CHARACTER, s->at, "a string may not contain a NUL byte");
    }
    if (c != '\\') {
        return scan_fail(s, ERR_SYNTAX, s->at, "control character 0x%02x in a string: escape it",
                         (unsigned)c);
    }
    s->at++;
    c = scan_peek(s, 0);
    if (c == 'u') {
        return scan_unicode_escape(s);
    }
    if (c <= 0 || strchr("\"\\/bfnrt", c) == NULL) {
        return scan_fail(s, ERR_SYNTAX, s->at - 1, "unknown escape in a string");
    }
    s->at++;
    return 0;
}

/* At the opening quote. UTF-8 was checked for the whole text. */
static int scan_string(struct scan *s)
{
    size_t start = s->at++;
    for (;;) {
        const char *p = s->text + s->at;
        const char *end = s->text + s->len;
        p += str_plain_prefix((struct str){p, (size_t)(end - p)});
        while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) {
            p++;
        }
        s->at = (size_t)(p - s->text);
        if (p < end && *p == '"') {
            s->at++;
            return 0;
        }
        int rc = scan_string_special(s, start);
        if (rc != 0) {
            return rc;
        }
    }
}

static int scan_digits(struct scan *s)
{
    if (!is_digit(scan_peek(s, 0))) {
        return scan_unexpected(s, "a digit");
    }
    while (is_digit(scan_peek(s, 0))) {
        s->at++;
    }
    return 0;
}

static int scan_number_grammar(struct scan *s)
{
    if (scan_peek(s, 0) == '-') {
        s->at++;
    }
    if (scan_peek(s, 0) == '0' && is_digit(scan_peek(s, 1))) {
        return scan_fail(s, ERR_SYNTAX, s->at, "a number may not begin with 0");
    }
    int rc = scan_digits(s);
    if (rc == 0 && scan_peek(s, 0) == '.') {
        s->at++;
        rc = scan_digits(s);
    }
    if (rc == 0 && (scan_peek(s, 0) == 'e' || scan_peek(s, 0) == 'E')) {
        s->at++;
        s->at += scan_peek(s, 0) == '+' || scan_peek(s, 0) == '-' ? 1 : 0;
        rc = scan_digits(s);
    }
    return rc;
}

static int scan_number(struct scan *s)
{
    size_t start = s->at;
    int rc = scan_number_grammar(s);
    if (rc != 0) {
        return rc;
    }
    double value = 0;
    size_t len = s->at - start;
    if (len > NUMBER_MAX_BYTES) {
        return scan_fail(s, ERR_RANGE, start, "number longer than %d characters", NUMBER_MAX_BYTES);
    }
    if (str_to_double((struct str){s->text + start, len}, &value) != 0) {
        return scan_fail(s, ERR_RANGE, start, "number out of range");
    }
    return 0;
}

static int scan_literal(struct scan *s, struct str word)
{
    struct str rest = {s->text + s->at, s->len - s->at};
    if (!str_starts_with(rest, word)) {
        return scan_unexpected(s, "a value");
    }
    s->at += word.len;
    return 0;
}

static int scan_open(struct scan *s, char closer, enum scan_state next)
{
    if (s->depth == JSON_DEPTH_MAX) {
        return scan_fail(s, ERR_TOO_DEEP, s->at, "nested deeper than %d levels", JSON_DEPTH_MAX);
    }
    s->closers[s->depth++] = closer;
    s->at++;
    s->state = next;
    return 0;
}

static void scan_close(struct scan *s)
{
    s->depth--;
    s->at++;
    s->state = SCAN_AFTER;
}

static int scan_value(struct scan *s)
{
    int c = scan_peek(s, 0);
    if (c == '{') {
        return scan_open(s, '}', SCAN_KEY_OR_END);
    }
    if (c == '[') {
        return scan_open(s, ']', SCAN_VALUE_OR_END);
    }
    s->state = SCAN_AFTER;
    switch (c) {
    case '"':
        return scan_string(s);
    case 't':
        return scan_literal(s, STR("true"));
    case 'f':
        return scan_literal(s, STR("false"));
    case 'n':
        return scan_literal(s, STR("null"));
    default:
        return c == '-' || is_digit(c) ? scan_number(s) : scan_unexpected(s, "a value");
    }
}

static int scan_key(struct scan *s)
{
    if (scan_peek(s, 0) != '"') {
        return scan_unexpected(s, "a key in double quotes");
    }
    if (s->key_count++ == s->stop_key) {
        return ERR_CANCELED;
    }
    int rc = scan_string(s);
    if (rc == 0) {
        rc = scan_space(s);
    }
    if (rc != 0) {
        return rc;
    }
    if (scan_peek(s, 0) != ':') {
        return scan_unexpected(s, "':'");
    }
    s->at++;
    s->state = SCAN_VALUE;
    return 0;
}

static int scan_after(struct scan *s)
{
    char closer = s->closers[s->depth - 1];
    int c = scan_peek(s, 0);
    if (c == closer) {
        scan_close(s);
        return 0;
    }
    if (c != ',') {
        return scan_unexpected(s, closer == '}' ? "',' or '}'" : "',' or ']'");
    }
    size_t comma_at = s->at++;
    s->state = closer == '}' ? SCAN_KEY : SCAN_VALUE;
    int rc = scan_space(s);
    if (rc == 0 && s->blank != NULL && scan_peek(s, 0) == closer) {
        s->blank[comma_at] = ' ';
        scan_close(s);
    }
    return rc;
}

static int scan_step(struct scan *s)
{
    switch (s->state) {
    case SCAN_VALUE_OR_END:
        if (scan_peek(s, 0) == ']') {
            scan_close(s);
            return 0;
        }
        return scan_value(s);
    case SCAN_KEY_OR_END:
        if (scan_peek(s, 0) == '}') {
            scan_close(s);
            return 0;
        }
        return scan_key(s);
    case SCAN_KEY:
        return scan_key(s);
    case SCAN_AFTER:
        return scan_after(s);
    case SCAN_VALUE:
    default:
        return scan_value(s);
    }
}

static int scan_document(struct scan *s)
{
    for (;;) {
        int rc = scan_space(s);
        if (rc != 0) {
            return rc;
        }
        if (s->depth == 0 && s->state == SCAN_AFTER) {
            return s->at == s->len ? 0 : scan_unexpected(s, "nothing more");
        }
        rc = scan_step(s);
        if (rc != 0) {
            return rc;
        }
    }
}

int json_scan(struct str text, char *blank, struct error *e)
{
    struct scan s = {.text = text.len == 0 ? "" : text.ptr,
                     .len = text.len,
                     .blank = blank,
                     .stop_key = JSON_SCAN_ALL,
                     .e = e};
    size_t good = str_utf8_prefix(text);
    if (good != text.len) {
        return scan_fail(&s, ERR_SYNTAX, good, "byte 0x%02x is not valid UTF-8",
                         (unsigned)(unsigned char)text.ptr[good]);
    }
    return scan_document(&s);
}

size_t json_scan_key_offset(struct str text, size_t key_index)
{
    struct scan s = {.text = text.ptr, .len = text.len, .stop_key = key_index};
    int rc = scan_document(&s);
    SL_ASSERT(rc == ERR_CANCELED);
    return s.at;
}
