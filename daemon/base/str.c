#include "sluice/base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX_BYTES 64

struct str str_from(const char *c_string)
{
    return (struct str){c_string, c_string == NULL ? 0 : strlen(c_string)};
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static unsigned char ascii_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_equal((struct str){s.ptr, prefix.len}, prefix);
}

bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0) {
        return order;
    }
    return a.len == b.len ? 0 : (a.len < b.len ? -1 : 1);
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

bool str_is_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return s.len > 0;
}

bool str_next(struct str *rest, char separator, struct str *ret_part)
{
    if (rest->ptr == NULL) {
        return false;
    }
    const char *end = rest->len == 0 ? NULL : memchr(rest->ptr, separator, rest->len);
    if (end == NULL) {
        *ret_part = *rest;
        *rest = STR_NONE;
        return true;
    }
    size_t len = (size_t)(end - rest->ptr);
    *ret_part = (struct str){rest->ptr, len};
    *rest = (struct str){end + 1, rest->len - len - 1};
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == s.len) {
        return ERR_SYNTAX;
    }
    int64_t value = 0;
    bool overflow = false;
    for (; i < s.len; i++) {
        if (!is_digit(s.ptr[i])) {
            return ERR_SYNTAX;
        }
        int digit = s.ptr[i] - '0';
        /* Built downwards for negative numbers, so that INT64_MIN needs no special case. */
        overflow = overflow || __builtin_mul_overflow(value, (int64_t)10, &value) ||
                   __builtin_add_overflow(value, (int64_t)(negative ? -digit : digit), &value);
    }
    if (overflow || value < min || value > max) {
        return ERR_RANGE;
    }
    *ret = value;
    return 0;
}

/* JSON's grammar of numbers, a little wider: "5.", ".5" and "+1" stay out, "007" may pass. */
static bool is_number(struct str s)
{
    size_t i = s.len > 0 && s.ptr[0] == '-' ? 1 : 0;
    size_t digits = 0;
    for (; i < s.len && is_digit(s.ptr[i]); i++) {
        digits++;
    }
    if (digits > 0 && i < s.len && s.ptr[i] == '.') {
        digits = 0;
        for (i++; i < s.len && is_digit(s.ptr[i]); i++) {
            digits++;
        }
    }
    if (digits > 0 && i < s.len && (s.ptr[i] == 'e' || s.ptr[i] == 'E')) {
        digits = 0;
        i++;
        i += i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+') ? 1 : 0;
        for (; i < s.len && is_digit(s.ptr[i]); i++) {
            digits++;
        }
    }
    return digits > 0 && i == s.len;
}

int str_to_double(struct str s, double *ret)
{
    char text[NUMBER_MAX_BYTES];
    if (s.len >= sizeof(text) || !is_number(s)) {
        return ERR_SYNTAX;
    }
    str_copy(text, sizeof(text), s);
    char *end = NULL;
    /* sluice never calls setlocale, so the decimal point is '.'; the end check notices otherwise.
     */
    double value = strtod(text, &end);
    if (end != text + s.len) {
        return ERR_SYNTAX;
    }
    if (!isfinite(value)) {
        return ERR_RANGE;
    }
    *ret = value;
    return 0;
}

struct unit {
    struct str name;
    int64_t factor;
};

/* Splits "1.5s" into whole part, fraction in 1/10^9 and unit; 0 or ERR_SYNTAX or ERR_RANGE. */
static int split_quantity(struct str s, int64_t *ret_whole, int64_t *ret_nano, struct str *ret_unit)
{
    size_t i = 0;
    while (i < s.len && is_digit(s.ptr[i])) {
        i++;
    }
    int rc = str_to_i64((struct str){s.ptr, i}, 0, INT64_MAX, ret_whole);
    if (rc != 0) {
        return rc;
    }
    *ret_nano = 0;
    if (i < s.len && s.ptr[i] == '.') {
        int64_t weight = 100000000;
        size_t first = ++i;
        for (; i < s.len && is_digit(s.ptr[i]); i++) {
            *ret_nano += (s.ptr[i] - '0') * weight;
            weight /= 10;
        }
        if (i == first || i - first > 9) {
            return ERR_SYNTAX;
        }
    }
    *ret_unit = (struct str){s.ptr + i, s.len - i};
    return 0;
}

static int str_to_quantity(struct str s, const struct unit *units, size_t count, int64_t *ret)
{
    int64_t whole = 0;
    int64_t nano = 0;
    struct str name = STR_NONE;
    int rc = split_quantity(s, &whole, &nano, &name);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < count; i++) {
        if (!str_equal(units[i].name, name)) {
            continue;
        }
        /* 128 bits hold any product here: no step can overflow, and a fraction that is not a whole
           number of the base unit is an error rather than a silent rounding. */
        __int128 total = (__int128)whole * units[i].factor;
        __int128 part = (__int128)nano * units[i].factor;
        if (part % 1000000000 != 0) {
            return ERR_SYNTAX;
        }
        total += part / 1000000000;
        if (total > INT64_MAX) {
            return ERR_RANGE;
        }
        *ret = (int64_t)total;
        return 0;
    }
    return ERR_SYNTAX;
}

int str_to_duration(struct str s, int64_t *ret_ns)
{
    static const struct unit units[] = {
        {{"ns", 2}, INT64_C(1)},
        {{"us", 2}, INT64_C(1000)},
        {{"ms", 2}, INT64_C(1000000)},
        {{"s", 1}, INT64_C(1000000000)},
        {{"m", 1}, INT64_C(60000000000)},
        {{"h", 1}, INT64_C(3600000000000)},
        {{"d", 1}, INT64_C(86400000000000)},
    };
    return str_to_quantity(s, units, SL_COUNT(units), ret_ns);
}

int str_to_bytes(struct str s, int64_t *ret_bytes)
{
    static const struct unit units[] = {
        {{"", 0}, INT64_C(1)},          {{"B", 1}, INT64_C(1)},
        {{"KiB", 3}, INT64_C(1) << 10}, {{"MiB", 3}, INT64_C(1) << 20},
        {{"GiB", 3}, INT64_C(1) << 30}, {{"TiB", 3}, INT64_C(1) << 40},
    };
    return str_to_quantity(s, units, SL_COUNT(units), ret_bytes);
}

/* Length of the well-formed sequence that starts with the non-ASCII byte at p, or 0. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    size_t len = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;   /* overlong */
        high = p[0] == 0xed ? 0x9f : high; /* surrogates */
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        low = p[0] == 0xf0 ? 0x90 : low;   /* overlong */
        high = p[0] == 0xf4 ? 0x8f : high; /* beyond U+10FFFF */
    }
    if (len == 0 || len > left || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

size_t str_utf8_prefix(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        uint64_t word;
        if (s.len - i >= sizeof(word)) {
            memcpy(&word, p + i, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        size_t step = p[i] < 0x80 ? 1 : utf8_sequence(p + i, s.len - i);
        if (step == 0) {
            return i;
        }
        i += step;
    }
    return i;
}

#define EVERY_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* A bit of 0x80 is set for the lowest byte that is 0; above it there may be others. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - EVERY_BYTE(1)) & ~word;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

size_t str_plain_prefix(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    for (uint64_t word; s.len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        uint64_t special = word | ((word - EVERY_BYTE(0x20)) & ~word) |
                           zero_bytes(word ^ EVERY_BYTE('"')) | zero_bytes(word ^ EVERY_BYTE('\\'));
        if ((special & EVERY_BYTE(0x80)) != 0) {
            break;
        }
    }
    while (i < s.len && is_plain(p[i])) {
        i++;
    }
    return i;
}

bool str_is_utf8(struct str s)
{
    return str_utf8_prefix(s) == s.len;
}

char *str_copy(char *dst, size_t dst_size, struct str s)
{
    if (dst_size == 0) {
        return dst;
    }
    size_t len = s.len < dst_size - 1 ? s.len : dst_size - 1;
    if (len > 0) {
        memcpy(dst, s.ptr, len);
    }
    dst[len] = '\0';
    return dst;
}

bool str_equal_secret(struct str a, struct str b)
{
    if (a.len != b.len) {
        return false;
    }
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a.len; i++) {
        difference = (unsigned char)(difference | (a.ptr[i] ^ b.ptr[i]));
    }
    return difference == 0;
}

/* Only the last '*' needs to be remembered: an earlier one has taken as little as it can. */
bool str_matches(struct str s, struct str pattern)
{
    size_t at = 0;
    size_t p = 0;
    size_t star = SIZE_MAX;
    size_t taken = 0; /* s up to where the last '*' reaches */
    while (at < s.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            taken = at;
        } else if (p < pattern.len && pattern.ptr[p] == s.ptr[at]) {
            p++;
            at++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            at = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

char *str_age(char *out, size_t out_size, int64_t seconds)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    size_t first = 0;

    seconds = seconds < 0 ? 0 : seconds;
    while (first < 3 && seconds < units[first].seconds) {
        first++;
    }
    int len = snprintf(out, out_size, "%lld%s", (long long)(seconds / units[first].seconds),
                       units[first].name);
    if (first < 3 && len > 0 && (size_t)len < out_size) {
        int64_t rest = seconds % units[first].seconds / units[first + 1].seconds;
        (void)snprintf(out + len, out_size - (size_t)len, "%lld%s", (long long)rest,
                       units[first + 1].name);
    }
    return out;
}

char *str_redact_url(char *out, size_t out_size, struct str url)
{
    const char *scheme = memmem(url.ptr, url.len, "://", 3);
    struct str start = {url.ptr, scheme == NULL ? 0 : (size_t)(scheme + 3 - url.ptr)};
    struct str rest = {url.ptr + start.len, url.len - start.len};
    const char *query = memchr(rest.ptr, '?', rest.len);
    size_t shown = query == NULL ? rest.len : (size_t)(query - rest.ptr);
    size_t path = 0;

    while (path < shown && rest.ptr[path] != '/') {
        path++;
    }
    const char *at = memrchr(rest.ptr, '@', path);
    size_t user = at == NULL ? 0 : (size_t)(at + 1 - rest.ptr);
    (void)snprintf(out, out_size, "%.*s%s%.*s%s", STR_FMT(start), user > 0 ? "***@" : "",
                   (int)(shown - user), rest.ptr + user, query == NULL ? "" : "?***");
    return out;
}
