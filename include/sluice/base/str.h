/*
 * str: a borrowed run of bytes (pointer and length), the parameter type of every parser.
 * Parsers take struct str, bound each token, and set outputs only on success.
 */
#ifndef SLUICE_BASE_STR_H
#define SLUICE_BASE_STR_H

#include "sluice/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *ptr; /* NULL: absent; len 0 with ptr: empty */
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
/* printf("%.*s", STR_FMT(s)) */
#define STR_FMT(s) ((int)(s).len), ((s).ptr ? (s).ptr : "")

struct str str_from(const char *c_string); /* NULL gives STR_NONE */
bool str_equal(struct str a, struct str b);
bool str_equal_nocase(struct str a, struct str b); /* ASCII */
bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
int str_compare(struct str a, struct str b); /* byte order, as memcmp */
struct str str_trim(struct str s);           /* spaces and tabs */
bool str_is_digits(struct str s);            /* one or more of 0-9 */
/* Cuts the part before the first separator off *rest; false when *rest is used up (ptr NULL). */
bool str_next(struct str *rest, char separator, struct str *ret_part);
/* Decimal integer, the whole of s. ERR_SYNTAX, ERR_RANGE. */
SL_MUST_CHECK int str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret);
SL_MUST_CHECK int str_to_double(struct str s, double *ret);
/* "100us", "250ms", "1s", "1.5s", "10m", "12h", "7d" in nanoseconds; never negative, a unit is
   needed, and a fraction must come to whole nanoseconds. ERR_SYNTAX, ERR_RANGE. */
SL_MUST_CHECK int str_to_duration(struct str s, int64_t *ret_ns);
/* "64KiB", "1MiB", "1.5GiB", "512" in bytes. ERR_SYNTAX, ERR_RANGE. */
SL_MUST_CHECK int str_to_bytes(struct str s, int64_t *ret_bytes);
/* True when s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);
/* How many leading bytes are well-formed UTF-8: s.len when all of it is. */
size_t str_utf8_prefix(struct str s);
/* How many of the first bytes are ASCII that needs no second look: no control character, quotation
 * mark or backslash. Eight at a time. */
size_t str_plain_prefix(struct str s);
/* strncpy that always terminates; truncates. Returns dst. */
char *str_copy(char *dst, size_t dst_size, struct str s);
/* The whole of s, where '*' in the pattern stands for any run of bytes, also none. */
bool str_matches(struct str s, struct str pattern);
/* A URL for people: what may be a secret in it, user and password and the query's values, is "***".
 * Returns out. */
char *str_redact_url(char *out, size_t out_size, struct str url);
/* A length of time for people, in its two largest units: "3d4h", "5m0s", "12s"; negative is 0.
 * Returns out. */
char *str_age(char *out, size_t out_size, int64_t seconds);
/* Constant-time comparison of secrets: time depends on the lengths only. */
bool str_equal_secret(struct str a, struct str b);

#endif
