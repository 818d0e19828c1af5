/* docs.aws.amazon.com, "Create a signed AWS API request". */
#include "sluice/sqs/sigv4.h"

#include "sluice/base/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM       "AWS4-HMAC-SHA256"
#define TERMINATOR      "aws4_request"
#define HEADERS_MAX     64
#define QUERY_PARTS_MAX 256
#define CANONICAL_MAX   ((size_t)512 * 1024)
#define SECRET_MAX      256
#define DATE_LEN        16
#define HEX_SHA256_SIZE (2 * DIGEST_SHA256_BYTES + 1)

/* ---- dates, without the C library's clock: this room is pure ---- */

#define MS_PER_DAY    INT64_C(86400000)
#define DAYS_TO_EPOCH INT64_C(719468) /* from 0000-03-01 to 1970-01-01 */

struct civil {
    int year, month, day;
};

/* Days are counted in eras of 400 years that begin on 1 March, so that the leap day comes last. */
static struct civil civil_from_days(int64_t days)
{
    int64_t shifted = days + DAYS_TO_EPOCH;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    int month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    return (struct civil){(int)(year + era * 400) + (month <= 2 ? 1 : 0), month,
                          (int)(of_year - (153 * from_march + 2) / 5) + 1};
}

static int64_t days_from_civil(struct civil date)
{
    int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t of_year = (153 * from_march + 2) / 5 + date.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_EPOCH;
}

static void put_digits(char *out, int width, int64_t value)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void sigv4_date(wall_ms now, char out[17])
{
    int64_t ms = now < 0 ? 0 : now;
    struct civil date = civil_from_days(ms / MS_PER_DAY);
    int64_t seconds = ms % MS_PER_DAY / 1000;
    put_digits(out, 4, date.year);
    put_digits(out + 4, 2, date.month);
    put_digits(out + 6, 2, date.day);
    out[8] = 'T';
    put_digits(out + 9, 2, seconds / 3600);
    put_digits(out + 11, 2, seconds / 60 % 60);
    put_digits(out + 13, 2, seconds % 60);
    out[15] = 'Z';
    out[DATE_LEN] = '\0';
}

static bool is_timestamp(struct str text)
{
    if (text.len != DATE_LEN) {
        return false;
    }
    for (size_t i = 0; i < DATE_LEN; i++) {
        char wanted = i == 8 ? 'T' : i == 15 ? 'Z' : '0';
        bool digit = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        if (wanted == '0' ? !digit : text.ptr[i] != wanted) {
            return false;
        }
    }
    return true;
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + (text[1] - '0');
}

int sigv4_parse_date(struct str text, wall_ms *ret)
{
    if (!is_timestamp(text)) {
        return ERR_SYNTAX;
    }
    const char *t = text.ptr;
    struct civil date = {two_digits(t) * 100 + two_digits(t + 2), two_digits(t + 4),
                         two_digits(t + 6)};
    int hour = two_digits(t + 9);
    int minute = two_digits(t + 11);
    int second = two_digits(t + 13);
    if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > 31 || hour > 23 ||
        minute > 59 || second > 60) {
        return ERR_SYNTAX;
    }
    *ret =
        days_from_civil(date) * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * INT64_C(1000);
    return ERR_OK;
}

/* ---- canonical parts ---- */

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void add_encoded(struct buf *out, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    if (is_unreserved(c)) {
        (void)buf_addc(out, c);
    } else {
        unsigned char byte = (unsigned char)c;
        const char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        (void)buf_append(out, escape, sizeof(escape));
    }
}

/* The path as on the wire, each segment encoded once more (S3 alone does without). */
static void add_path(struct buf *out, struct str path)
{
    if (path.len == 0) {
        (void)buf_addc(out, '/');
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '/') {
            (void)buf_addc(out, '/');
        } else {
            add_encoded(out, path.ptr[i]);
        }
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* A name or value of the query, decoded and encoded again: clients differ in what they escape. */
static void add_reencoded(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        int high = text.ptr[i] == '%' && i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;
        if (low >= 0) {
            add_encoded(out, (char)(high * 16 + low));
            i += 2;
        } else {
            add_encoded(out, text.ptr[i] == '+' ? ' ' : text.ptr[i]);
        }
    }
}

struct query_part {
    size_t name_at, name_len, value_at, value_len; /* in the scratch buffer */
    const struct buf *scratch;
};

static int compare_query_parts(const void *a, const void *b)
{
    const struct query_part *x = a;
    const struct query_part *y = b;
    const char *text = x->scratch->ptr;
    int order = str_compare((struct str){text + x->name_at, x->name_len},
                            (struct str){text + y->name_at, y->name_len});
    if (order != 0) {
        return order;
    }
    return str_compare((struct str){text + x->value_at, x->value_len},
                       (struct str){text + y->value_at, y->value_len});
}

/* Names and values re-encoded into scratch; their places in parts. */
static int split_query(struct str query, struct buf *scratch, struct query_part *parts,
                       size_t *ret_count)
{
    size_t count = 0;
    struct str part;
    while (query.len > 0 && str_next(&query, '&', &part)) {
        if (part.len == 0) {
            continue;
        }
        if (count == QUERY_PARTS_MAX) {
            return ERR_TOO_BIG;
        }
        struct str name;
        struct str value = part;
        (void)str_next(&value, '=', &name);
        struct query_part *slot = &parts[count++];
        slot->scratch = scratch;
        slot->name_at = scratch->len;
        add_reencoded(scratch, name);
        slot->name_len = scratch->len - slot->name_at;
        slot->value_at = scratch->len;
        add_reencoded(scratch, value);
        slot->value_len = scratch->len - slot->value_at;
    }
    *ret_count = count;
    return buf_failed(scratch);
}

static int add_query(struct buf *out, struct str query)
{
    if (query.len == 0) {
        return ERR_OK;
    }
    struct query_part *parts = calloc(QUERY_PARTS_MAX, sizeof(*parts));
    if (parts == NULL) {
        return ERR_NOMEM;
    }
    struct buf scratch;
    buf_init(&scratch, CANONICAL_MAX);
    size_t count = 0;
    int rc = split_query(query, &scratch, parts, &count);
    if (rc == ERR_OK) {
        qsort(parts, count, sizeof(*parts), compare_query_parts);
    }
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        if (i > 0) {
            (void)buf_addc(out, '&');
        }
        (void)buf_append(out, scratch.ptr + parts[i].name_at, parts[i].name_len);
        (void)buf_addc(out, '=');
        (void)buf_append(out, scratch.ptr + parts[i].value_at, parts[i].value_len);
    }
    buf_done(&scratch);
    free(parts);
    return rc;
}

static void add_lower(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        (void)buf_addc(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
}

/* Trimmed, and every run of spaces one space. */
static void add_collapsed(struct buf *out, struct str text)
{
    text = str_trim(text);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != ' ' || text.ptr[i - 1] != ' ') {
            (void)buf_addc(out, text.ptr[i]);
        }
    }
}

/* The values of all headers of that name, in order, with commas. False when there is none. */
static bool add_header(struct buf *out, const struct sigv4_request *request, struct str name)
{
    bool found = false;
    add_lower(out, name);
    (void)buf_addc(out, ':');
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (!str_equal_nocase(request->headers[i].name, name)) {
            continue;
        }
        if (found) {
            (void)buf_addc(out, ',');
        }
        add_collapsed(out, request->headers[i].value);
        found = true;
    }
    (void)buf_addc(out, '\n');
    return found;
}

/* signed_headers: "content-type;host;…", in the order it is to be signed. */
static int canonical_request(const struct sigv4_request *request, struct str signed_headers,
                             struct buf *out)
{
    (void)buf_add(out, request->method);
    (void)buf_addc(out, '\n');
    add_path(out, request->path);
    (void)buf_addc(out, '\n');
    int rc = add_query(out, request->query);
    if (rc != ERR_OK) {
        return rc;
    }
    (void)buf_addc(out, '\n');
    struct str rest = signed_headers;
    struct str name;
    while (str_next(&rest, ';', &name)) {
        if (!add_header(out, request, name)) {
            return ERR_NOT_FOUND;
        }
    }
    (void)buf_addc(out, '\n');
    (void)buf_add(out, signed_headers);
    (void)buf_addc(out, '\n');
    uint8_t digest[DIGEST_SHA256_BYTES];
    char hex[HEX_SHA256_SIZE];
    digest_sha256(request->body, digest);
    digest_hex(digest, sizeof(digest), hex);
    (void)buf_adds(out, hex);
    return buf_failed(out);
}

/* ---- the signature ---- */

struct scope {
    struct str timestamp; /* 20261123T120000Z */
    struct str date, region, service;
};

static void hmac(const uint8_t key[DIGEST_SHA256_BYTES], struct str data,
                 uint8_t out[DIGEST_SHA256_BYTES])
{
    digest_hmac_sha256((struct str){(const char *)key, DIGEST_SHA256_BYTES}, data, out);
}

static int signing_key(const struct scope *scope, struct str secret,
                       uint8_t key[DIGEST_SHA256_BYTES])
{
    uint8_t first[4 + SECRET_MAX];
    if (secret.len == 0 || secret.len > SECRET_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < 4 + secret.len; i++) {
        first[i] = (uint8_t)(i < 4 ? "AWS4"[i] : secret.ptr[i - 4]);
    }
    uint8_t step[DIGEST_SHA256_BYTES];
    digest_hmac_sha256((struct str){(const char *)first, 4 + secret.len}, scope->date, step);
    hmac(step, scope->region, key);
    hmac(key, scope->service, step);
    hmac(step, STR(TERMINATOR), key);
    explicit_bzero(first, sizeof(first));
    explicit_bzero(step, sizeof(step));
    return ERR_OK;
}

static int signature(const struct sigv4_request *request, const struct scope *scope,
                     struct str signed_headers, struct str secret, char out[HEX_SHA256_SIZE])
{
    struct buf text;
    buf_init(&text, CANONICAL_MAX);
    int rc = canonical_request(request, signed_headers, &text);
    uint8_t digest[DIGEST_SHA256_BYTES];
    uint8_t key[DIGEST_SHA256_BYTES];
    if (rc == ERR_OK) {
        char hex[HEX_SHA256_SIZE];
        digest_sha256(buf_str(&text), digest);
        digest_hex(digest, sizeof(digest), hex);
        buf_reset(&text);
        (void)buf_addf(&text, ALGORITHM "\n%.*s\n%.*s/%.*s/%.*s/" TERMINATOR "\n%s",
                       STR_FMT(scope->timestamp), STR_FMT(scope->date), STR_FMT(scope->region),
                       STR_FMT(scope->service), hex);
        rc = buf_failed(&text);
    }
    if (rc == ERR_OK) {
        rc = signing_key(scope, secret, key);
    }
    if (rc == ERR_OK) {
        hmac(key, buf_str(&text), digest);
        digest_hex(digest, sizeof(digest), out);
        explicit_bzero(key, sizeof(key));
    }
    buf_done(&text);
    return rc;
}

static struct str header_value(const struct sigv4_request *request, struct str name)
{
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (str_equal_nocase(request->headers[i].name, name)) {
            return str_trim(request->headers[i].value);
        }
    }
    return STR_NONE;
}

static int compare_names(const void *a, const void *b)
{
    const struct str *x = a;
    const struct str *y = b;
    return str_compare(*x, *y);
}

/* All header names, lower case, sorted, each once, joined with ';'. */
static int list_headers(const struct sigv4_request *request, struct buf *out)
{
    struct str names[HEADERS_MAX];
    if (request->header_count > HEADERS_MAX) {
        return ERR_TOO_BIG;
    }
    struct buf lower;
    buf_init(&lower, (size_t)64 * 1024);
    for (uint32_t i = 0; i < request->header_count; i++) {
        add_lower(&lower, request->headers[i].name);
    }
    int rc = buf_failed(&lower);
    size_t at = 0;
    for (uint32_t i = 0; rc == ERR_OK && i < request->header_count; i++) {
        names[i] = (struct str){buf_str(&lower).ptr + at, request->headers[i].name.len};
        at += names[i].len;
    }
    if (rc == ERR_OK) {
        qsort(names, request->header_count, sizeof(names[0]), compare_names);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < request->header_count; i++) {
        if (i > 0 && str_equal(names[i], names[i - 1])) {
            continue;
        }
        if (i > 0) {
            (void)buf_addc(out, ';');
        }
        (void)buf_add(out, names[i]);
    }
    buf_done(&lower);
    return rc == ERR_OK ? buf_failed(out) : rc;
}

int sigv4_sign(const struct sigv4_request *request, const struct sigv4_credentials *credentials,
               struct str region, struct str service, struct buf *ret_authorization)
{
    struct str timestamp = header_value(request, STR("x-amz-date"));
    if (!is_timestamp(timestamp) || header_value(request, STR("host")).len == 0) {
        return ERR_INVALID;
    }
    struct scope scope = {timestamp, {timestamp.ptr, 8}, region, service};
    struct buf names;
    buf_init(&names, (size_t)64 * 1024);
    char hex[HEX_SHA256_SIZE];
    int rc = list_headers(request, &names);
    if (rc == ERR_OK) {
        rc = signature(request, &scope, buf_str(&names), credentials->secret_access_key, hex);
    }
    if (rc == ERR_OK) {
        rc = buf_addf(ret_authorization,
                      ALGORITHM " Credential=%.*s/%.*s/%.*s/%.*s/" TERMINATOR
                                ", SignedHeaders=%.*s, Signature=%s",
                      STR_FMT(credentials->access_key_id), STR_FMT(scope.date), STR_FMT(region),
                      STR_FMT(service), STR_FMT(buf_str(&names)), hex);
    }
    buf_done(&names);
    return rc;
}

/* ---- verifying ---- */

/* "AKID/20261123/us-east-1/sqs/aws4_request", read from the right. */
static int parse_credential(struct str credential, struct sigv4_authorization *out)
{
    struct str *const parts[] = {NULL, &out->service, &out->region, &out->date};
    for (size_t i = 0; i < SL_COUNT(parts); i++) {
        size_t at = credential.len;
        while (at > 0 && credential.ptr[at - 1] != '/') {
            at--;
        }
        struct str part = {credential.ptr + at, credential.len - at};
        if (at == 0 || part.len == 0 || (i == 0 && !str_equal(part, STR(TERMINATOR)))) {
            return ERR_SYNTAX;
        }
        if (parts[i] != NULL) {
            *parts[i] = part;
        }
        credential.len = at - 1;
    }
    out->access_key_id = credential;
    return credential.len > 0 && out->date.len == 8 ? ERR_OK : ERR_SYNTAX;
}

int sigv4_parse(struct str authorization, struct sigv4_authorization *ret)
{
    struct sigv4_authorization out = {0};
    struct str rest = str_trim(authorization);
    if (!str_starts_with(rest, STR(ALGORITHM " "))) {
        return ERR_SYNTAX;
    }
    rest.ptr += STR(ALGORITHM " ").len;
    rest.len -= STR(ALGORITHM " ").len;
    struct str field;
    struct str credential = STR_NONE;
    while (str_next(&rest, ',', &field)) {
        struct str value = str_trim(field);
        struct str name;
        (void)str_next(&value, '=', &name);
        if (str_equal(name, STR("Credential"))) {
            credential = value;
        } else if (str_equal(name, STR("SignedHeaders"))) {
            out.signed_headers = value;
        } else if (str_equal(name, STR("Signature"))) {
            out.signature = value;
        }
    }
    if (credential.len == 0 || out.signed_headers.len == 0 || out.signature.len == 0) {
        return ERR_SYNTAX;
    }
    int rc = parse_credential(credential, &out);
    if (rc == ERR_OK) {
        *ret = out;
    }
    return rc;
}

static bool list_has(struct str list, struct str name)
{
    struct str part;
    while (str_next(&list, ';', &part)) {
        if (str_equal_nocase(part, name)) {
            return true;
        }
    }
    return false;
}

/* What decides about a request must be covered: its host and every x-amz- header that is there. */
static bool covers_request(const struct sigv4_request *request, struct str signed_headers)
{
    if (!list_has(signed_headers, STR("host"))) {
        return false;
    }
    for (uint32_t i = 0; i < request->header_count; i++) {
        struct str name = request->headers[i].name;
        if (name.len >= 6 && str_equal_nocase((struct str){name.ptr, 6}, STR("x-amz-")) &&
            !list_has(signed_headers, name)) {
            return false;
        }
    }
    return true;
}

bool sigv4_verify(const struct sigv4_request *request,
                  const struct sigv4_authorization *authorization, struct str secret_access_key)
{
    struct str timestamp = header_value(request, STR("x-amz-date"));
    if (!is_timestamp(timestamp) || !str_starts_with(timestamp, authorization->date) ||
        !covers_request(request, authorization->signed_headers)) {
        return false;
    }
    struct scope scope = {timestamp, authorization->date, authorization->region,
                          authorization->service};
    char hex[HEX_SHA256_SIZE];
    if (signature(request, &scope, authorization->signed_headers, secret_access_key, hex) !=
        ERR_OK) {
        return false;
    }
    return str_equal_secret(str_from(hex), authorization->signature);
}
