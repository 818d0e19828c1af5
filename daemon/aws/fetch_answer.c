#include "fetch_answer.h"

#include "sluice/base/json.h"

#include <expat.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- time ---- */

/* "Z", "+00:00", "+0100", "-05:30": minutes to take off. */
static int read_offset(const char *text, int64_t *ret_minutes)
{
    int64_t hours, minutes;

    if (strcmp(text, "Z") == 0 || strcmp(text, "UTC") == 0) {
        *ret_minutes = 0;
        return 0;
    }
    struct str rest = str_from(text + 1);
    if ((*text != '+' && *text != '-') || rest.len < 4 || rest.len > 5 ||
        (rest.len == 5 && rest.ptr[2] != ':') ||
        str_to_i64((struct str){rest.ptr, 2}, 0, 23, &hours) != 0 ||
        str_to_i64((struct str){rest.ptr + rest.len - 2, 2}, 0, 59, &minutes) != 0) {
        return ERR_SYNTAX;
    }
    *ret_minutes = (hours * 60 + minutes) * (*text == '-' ? -1 : 1);
    return 0;
}

int fetch_time_parse(struct str text, wall_ms *ret)
{
    char copy[48];
    struct tm tm = {0};
    int64_t offset;

    if (text.len == 0 || text.len >= sizeof(copy)) {
        return ERR_SYNTAX;
    }
    (void)str_copy(copy, sizeof(copy), text);
    const char *end = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end == NULL) {
        return ERR_SYNTAX;
    }
    if (*end == '.') {
        end += 1 + strspn(end + 1, "0123456789");
    }
    if (read_offset(end, &offset) != 0) {
        return ERR_SYNTAX;
    }
    *ret = ((wall_ms)timegm(&tm) - offset * 60) * 1000;
    return 0;
}

/* ---- JSON ---- */

/* Text, or milliseconds since 1970 as the SSO portal has them. */
static int read_expiration(const struct json_value *value, bool must, wall_ms *ret)
{
    int64_t ms;

    if (json_type(value) == JSON_NULL) {
        *ret = CREDENTIALS_NEVER;
        return must ? ERR_PROTOCOL : 0;
    }
    if (json_type(value) == JSON_NUMBER) {
        int error = json_i64(value, &ms);
        *ret = ms;
        return error;
    }
    return fetch_time_parse(json_string(value), ret);
}

static int read_members(const struct json_value *root, const struct fetch_names *names,
                        struct str source, struct credentials **ret, struct error *e)
{
    struct str id = json_string(json_get(root, names->access_key_id));
    struct str secret = json_string(json_get(root, names->secret_access_key));
    struct str token = json_string(json_get(root, names->session_token));
    wall_ms expires_at;

    if (id.len == 0 || secret.len == 0) {
        return error_set(e, ERR_PROTOCOL, "", "the answer lacks %s",
                         id.len == 0 ? names->access_key_id : names->secret_access_key);
    }
    if (read_expiration(json_get(root, names->expiration), names->must_expire, &expires_at) != 0) {
        return error_set(e, ERR_PROTOCOL, "", "the answer has no usable %s", names->expiration);
    }
    *ret = credentials_new(id, secret, token, expires_at, source);
    return 0;
}

int fetch_answer_json(struct str body, const struct fetch_names *names, struct str source,
                      struct credentials **ret, struct error *e)
{
    struct json json;

    if (json_parse(&json, body, JSON_STRICT, NULL) != 0) {
        return error_set(e, ERR_PROTOCOL, "", "the answer is no JSON");
    }
    int error = read_members(json.root, names, source, ret, e);
    json_done(&json);
    return error;
}

/* ---- XML ---- */

enum { FIELD_ID, FIELD_SECRET, FIELD_TOKEN, FIELD_EXPIRATION, FIELD_CODE, FIELD_MESSAGE, FIELDS };

static const char *const field_names[FIELDS] = {
    "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Code", "Message",
};

#define FIELD_MAX 4096

struct reading {
    XML_Parser parser;
    int field; /* which one text belongs to, or FIELDS */
    char text[FIELDS][FIELD_MAX];
    size_t len[FIELDS];
    bool too_long;
};

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = context;

    (void)attributes;
    r->field = FIELDS;
    for (int i = 0; i < FIELDS; i++) {
        /* The first of its name: in an answer of STS there is no second one. */
        if (strcmp(name, field_names[i]) == 0 && r->len[i] == 0) {
            r->field = i;
        }
    }
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
    (void)name;
    ((struct reading *)context)->field = FIELDS;
}

static void XMLCALL on_text(void *context, const XML_Char *text, int len)
{
    struct reading *r = context;

    if (r->field == FIELDS) {
        return;
    }
    if (r->len[r->field] + (size_t)len >= FIELD_MAX) {
        r->too_long = true;
        return;
    }
    memcpy(r->text[r->field] + r->len[r->field], text, (size_t)len);
    r->len[r->field] += (size_t)len;
}

/* Nothing that STS sends has one, and entities are what makes XML dangerous. */
static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                               const XML_Char *public, int internal)
{
    struct reading *r = context;

    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static int read_xml(struct reading *r, struct str body)
{
    *r = (struct reading){.parser = XML_ParserCreate("UTF-8"), .field = FIELDS};
    if (r->parser == NULL) {
        return ERR_NOMEM;
    }
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    enum XML_Status status = XML_Parse(r->parser, body.ptr, (int)body.len, XML_TRUE);
    XML_ParserFree(r->parser);
    return status == XML_STATUS_OK && !r->too_long ? 0 : ERR_PROTOCOL;
}

static struct str field(const struct reading *r, int i)
{
    return (struct str){r->text[i], r->len[i]};
}

int fetch_answer_sts(struct str body, struct str source, struct credentials **ret, struct error *e)
{
    struct reading r;
    wall_ms expires_at;
    int error = read_xml(&r, body);

    if (error != 0) {
        error = error_set(e, ERR_PROTOCOL, "", "the answer is no XML");
    } else if (r.len[FIELD_ID] == 0 || r.len[FIELD_SECRET] == 0) {
        error = error_set(e, ERR_PROTOCOL, "", "the answer lacks %s",
                          field_names[r.len[FIELD_ID] == 0 ? FIELD_ID : FIELD_SECRET]);
    } else if (fetch_time_parse(field(&r, FIELD_EXPIRATION), &expires_at) != 0) {
        error = error_set(e, ERR_PROTOCOL, "", "the answer has no usable Expiration");
    } else {
        *ret = credentials_new(field(&r, FIELD_ID), field(&r, FIELD_SECRET), field(&r, FIELD_TOKEN),
                               expires_at, source);
    }
    explicit_bzero(&r, sizeof(r));
    return error;
}

void fetch_answer_sts_error(struct str body, char *out, size_t out_size)
{
    struct reading r;

    (void)read_xml(&r, body);
    if (r.len[FIELD_CODE] == 0) {
        (void)str_copy(out, out_size, STR("the answer is not from STS"));
        return;
    }
    (void)snprintf(out, out_size, "%.*s: %.*s", STR_FMT(field(&r, FIELD_CODE)),
                   STR_FMT(field(&r, FIELD_MESSAGE)));
}
