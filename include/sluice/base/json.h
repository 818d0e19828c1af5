/*
 * json: strict reading (over cJSON) and streaming writing.
 *
 * Reading rejects what cJSON lets through: duplicate keys, trailing text, non-finite numbers,
 * embedded NUL (ERR_NUL_CHARACTER), invalid UTF-8, depth over JSON_DEPTH_MAX. Lookup is
 * case-sensitive. A struct json owns the tree; values are borrowed pointers into it.
 */
#ifndef SLUICE_BASE_JSON_H
#define SLUICE_BASE_JSON_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 32

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value; /* borrowed */

struct json {
    struct json_value *root;
};

enum json_flags {
    JSON_STRICT = 0,
    JSON_COMMENTS = 1, /* allow // and block comments and trailing commas: the configuration */
};

/*
 * text need not be NUL-terminated; *ret_json is set only on success. On error *e (may be NULL) says
 * "line 3, column 7: …"; for a duplicate key e->where is its path ("limits.a").
 * ERR_SYNTAX, ERR_NUL_CHARACTER, ERR_TOO_DEEP, ERR_RANGE (a number that is no finite double or has
 * more than 63 characters), ERR_DUPLICATE, ERR_NOMEM.
 */
SL_MUST_CHECK int json_parse(struct json *ret_json, struct str text, int flags, struct error *e);
void json_done(struct json *json);

/* The readers take NULL (what json_get gives for an absent key) and read it as null. */
enum json_type json_type(const struct json_value *value);
const char *json_type_name(enum json_type type);        /* "string" … */
struct str json_string(const struct json_value *value); /* STR_NONE unless a string */
bool json_bool(const struct json_value *value);         /* false unless true */
double json_number(const struct json_value *value);
/* ERR_INVALID unless a number without fraction and |n| < 2^53: beyond, digits may have been lost.
 */
SL_MUST_CHECK int json_i64(const struct json_value *value, int64_t *ret);
const struct json_value *json_get(const struct json_value *object, const char *key); /* or NULL */
const struct json_value *json_get_str(const struct json_value *object, struct str key);
size_t json_count(const struct json_value *array_or_object);
/* Walks children in order: first = json_first(v), then json_next(child); key only in objects. */
const struct json_value *json_first(const struct json_value *array_or_object);
const struct json_value *json_next(const struct json_value *value);
struct str json_key(const struct json_value *value);
/* What a JSON Pointer (RFC 6901) names: "" the root, "/a/0" the first of a's items, with ~0 for ~
 * and ~1 for /. NULL where there is nothing, and for a pointer that is none. */
const struct json_value *json_pointer(const struct json_value *root, struct str pointer);
bool json_pointer_is_valid(struct str pointer);
/* Appends the value as compact JSON. */
int json_write_value(struct buf *out, const struct json_value *value);

/*
 * Streaming writer: commas are its business. Errors collect in the buffer (buf_failed).
 *   json_object_begin(&w); json_key_write(&w, "a"); json_write_i64(&w, 1); json_object_end(&w);
 * Invalid UTF-8 is written as U+FFFD, so a line of JSON is always valid.
 */
struct json_writer {
    struct buf *out;
    bool need_comma;
};
void json_writer_init(struct json_writer *w, struct buf *out);
void json_object_begin(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array_begin(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key_write(struct json_writer *w, struct str key);
void json_write_str(struct json_writer *w, struct str value); /* STR_NONE writes null */
void json_write_i64(struct json_writer *w, int64_t value);
void json_write_double(struct json_writer *w,
                       double value); /* shortest of %.15g/%.17g; non-finite: null */
void json_write_bool(struct json_writer *w, bool value);
void json_write_null(struct json_writer *w);
void json_write_raw(struct json_writer *w, struct str json_text);
/* The value as it is. */
void json_write_copy(struct json_writer *w, const struct json_value *value);
/* base with the patch applied (JSON Merge Patch, RFC 7396): members of objects one by one, null
 * removes, all else replaces. base may be NULL. */
void json_write_merged(struct json_writer *w, const struct json_value *base,
                       const struct json_value *patch);
/* key and value in one call */
void json_member_str(struct json_writer *w, const char *key, struct str value);
void json_member_i64(struct json_writer *w, const char *key, int64_t value);
void json_member_double(struct json_writer *w, const char *key, double value);
void json_member_bool(struct json_writer *w, const char *key, bool value);

#endif
