#include "sluice/flow/outcome_rules.h"

#include "sluice/base/json.h"

#include <stdio.h>
#include <string.h>

#define STATUS_MIN 100
#define STATUS_MAX 999

enum error_index {
#define XX(name, text) ERROR_INDEX_##name,
    OUTCOME_ERROR_MAP(XX)
#undef XX
        ERROR_INDEX__COUNT
};

#define ERROR_BIT(name) (1u << ERROR_INDEX_##name)
/* What ends an attempt before a byte of it is written. */
#define UNREACHED_ERRORS (ERROR_BIT(ERR_CONNECT) | ERROR_BIT(ERR_RESOLVE) | ERROR_BIT(ERR_TLS))

static const char *const error_names[] = {
#define XX(name, text) (text),
    OUTCOME_ERROR_MAP(XX)
#undef XX
};

static const char errors_allowed[] =
#define XX(name, text) " \"" text "\""
    OUTCOME_ERROR_MAP(XX)
#undef XX
    ;

/* ---- reading ---- */

static bool read_status(struct str text, struct outcome_status_range *ret)
{
    struct str rest = text, part;
    int64_t from = 0, to = 0;

    if (text.len == 3 && text.ptr[0] >= '1' && text.ptr[0] <= '9' &&
        str_equal_nocase((struct str){text.ptr + 1, 2}, STR("xx"))) {
        from = (text.ptr[0] - '0') * INT64_C(100);
        to = from + 99;
    } else if (!str_next(&rest, '-', &part) ||
               str_to_i64(part, STATUS_MIN, STATUS_MAX, &from) != 0) {
        return false;
    } else if (rest.ptr == NULL) {
        to = from;
    } else if (str_to_i64(rest, from, STATUS_MAX, &to) != 0) {
        return false;
    }
    *ret = (struct outcome_status_range){(int)from, (int)to};
    return true;
}

static int read_statuses(const struct outcome_rule_text *text, struct outcome_rule *rule,
                         struct error *e)
{
    char where[32];

    for (uint32_t i = 0; i < text->status_count; i++) {
        (void)snprintf(where, sizeof(where), "status[%u]", i);
        if (i == OUTCOME_RULE_STATUSES_MAX) {
            return error_set(e, ERR_INVALID, where, "one too many; allowed: at most %u",
                             OUTCOME_RULE_STATUSES_MAX);
        }
        if (!read_status(str_from(text->statuses[i]), &rule->statuses[i])) {
            return error_set(e, ERR_INVALID, where,
                             "found \"%.40s\"; allowed: a status from %d to %d (\"409\"), a range "
                             "(\"500-599\") or a class (\"5xx\")",
                             text->statuses[i], STATUS_MIN, STATUS_MAX);
        }
    }
    rule->status_count = text->status_count;
    return 0;
}

static int read_errors(const struct outcome_rule_text *text, struct outcome_rule *rule,
                       struct error *e)
{
    char where[32];

    for (uint32_t i = 0; i < text->error_count; i++) {
        uint32_t index = 0;
        while (index < ERROR_INDEX__COUNT && strcmp(text->errors[i], error_names[index]) != 0) {
            index++;
        }
        (void)snprintf(where, sizeof(where), "error[%u]", i);
        if (index == ERROR_INDEX__COUNT) {
            return error_set(e, ERR_INVALID, where, "found \"%.40s\"; allowed:%s", text->errors[i],
                             errors_allowed);
        }
        rule->errors |= 1u << index;
    }
    return 0;
}

static bool copy_text(char out[OUTCOME_RULE_TEXT_MAX + 1], struct str text)
{
    if (text.len > OUTCOME_RULE_TEXT_MAX) {
        return false;
    }
    (void)str_copy(out, OUTCOME_RULE_TEXT_MAX + 1, text);
    return true;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z') {
            *text = (char)(*text - 'A' + 'a');
        }
    }
}

static bool is_token(struct str name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr(marks, c) == NULL)) {
            return false;
        }
    }
    return name.len > 0;
}

static int read_header(const char *header, struct outcome_rule *rule, struct error *e)
{
    struct str rest = str_from(header), name;

    if (header == NULL) {
        return 0;
    }
    if (!str_next(&rest, ':', &name)) {
        name = STR_NONE;
    }
    name = str_trim(name);
    struct str value = str_trim(rest);
    if (!is_token(name) || (rest.ptr != NULL && value.len == 0) ||
        !copy_text(rule->header_name, name) || !copy_text(rule->header_value, value)) {
        return error_set(e, ERR_INVALID, "header",
                         "found \"%.60s\"; allowed: the name of a header, or \"Name: value\" where "
                         "* stands for any text, each of at most %u bytes",
                         header, OUTCOME_RULE_TEXT_MAX);
    }
    lower(rule->header_value);
    return 0;
}

static int read_body(const struct outcome_rule_text *text, struct outcome_rule *rule,
                     struct error *e)
{
    if (text->body == NULL) {
        return text->value == NULL
                   ? 0
                   : error_set(e, ERR_INVALID, "value",
                               "there is no \"body\" that it could be compared with; add a JSON "
                               "Pointer, or remove it");
    }
    if (!json_pointer_is_valid(str_from(text->body)) ||
        !copy_text(rule->body_pointer, str_from(text->body))) {
        return error_set(e, ERR_INVALID, "body",
                         "found \"%.60s\"; allowed: a JSON Pointer such as \"/error/code\" of at "
                         "most %u bytes",
                         text->body, OUTCOME_RULE_TEXT_MAX);
    }
    if (text->value != NULL && !copy_text(rule->body_value, str_from(text->value))) {
        return error_set(e, ERR_INVALID, "value", "allowed: at most %u bytes",
                         OUTCOME_RULE_TEXT_MAX);
    }
    rule->has_body = true;
    rule->has_body_value = text->value != NULL;
    return 0;
}

/* What no single condition can say. */
static int check_whole(const struct outcome_rule *rule, struct error *e)
{
    bool of_answer = rule->status_count > 0 || rule->header_name[0] != '\0';

    if (!of_answer && !rule->has_body && rule->errors == 0) {
        return error_set(e, ERR_INVALID, "",
                         "no condition: it would decide every attempt; add \"status\", \"error\", "
                         "\"header\" or \"body\"");
    }
    if (rule->errors != 0 &&
        (rule->has_body || (of_answer && (rule->errors & ERROR_BIT(ERR_TOO_BIG)) == 0))) {
        return error_set(e, ERR_INVALID, "error",
                         "an attempt that ends so has no %s: the rule would never hold; make it "
                         "two rules",
                         rule->has_body ? "complete body" : "answer");
    }
    if (rule->outcome == OUTCOME_ACK && (rule->errors & UNREACHED_ERRORS) != 0) {
        return error_set(e, ERR_INVALID, "outcome",
                         "\"ack\" would delete messages that were never sent; leave connect_error, "
                         "resolve_error and tls_error out, or use another outcome");
    }
    return 0;
}

int outcome_rule_read(const struct outcome_rule_text *text, struct outcome_rule *ret,
                      struct error *e)
{
    struct outcome_rule rule = {.outcome = text->outcome};
    int error = read_statuses(text, &rule, e);

    if (error == 0) {
        error = read_errors(text, &rule, e);
    }
    if (error == 0) {
        error = read_header(text->header, &rule, e);
    }
    if (error == 0) {
        error = read_body(text, &rule, e);
    }
    if (error == 0) {
        error = check_whole(&rule, e);
    }
    if (error == 0) {
        *ret = rule;
    }
    return error;
}

bool outcome_rule_same(const struct outcome_rule *a, const struct outcome_rule *b)
{
    bool same = a->status_count == b->status_count && a->errors == b->errors &&
                str_equal_nocase(str_from(a->header_name), str_from(b->header_name)) &&
                strcmp(a->header_value, b->header_value) == 0 && a->has_body == b->has_body &&
                strcmp(a->body_pointer, b->body_pointer) == 0 &&
                a->has_body_value == b->has_body_value && strcmp(a->body_value, b->body_value) == 0;

    for (uint32_t i = 0; same && i < a->status_count; i++) {
        same = a->statuses[i].from == b->statuses[i].from && a->statuses[i].to == b->statuses[i].to;
    }
    return same;
}

/* ---- matching ---- */

struct matcher {
    const struct outcome_facts *facts;
    struct json body;
    bool parsed;
};

static bool status_holds(const struct outcome_rule *rule, int status)
{
    for (uint32_t i = 0; i < rule->status_count; i++) {
        if (status >= rule->statuses[i].from && status <= rule->statuses[i].to) {
            return true;
        }
    }
    return rule->status_count == 0;
}

static bool error_holds(const struct outcome_rule *rule, int error)
{
    const char *name = outcome_error_name(error);

    for (uint32_t i = 0; i < ERROR_INDEX__COUNT; i++) {
        if ((rule->errors & (1u << i)) != 0 && strcmp(name, error_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool header_value_holds(const struct outcome_rule *rule, struct str value)
{
    char text[OUTCOME_RULE_HEADER_MAX + 1];

    if (rule->header_value[0] == '\0') {
        return true;
    }
    (void)str_copy(text, sizeof(text), str_trim(value));
    lower(text);
    return str_matches(str_from(text), str_from(rule->header_value));
}

static bool header_holds(const struct outcome_rule *rule, const struct outcome_facts *facts)
{
    for (uint32_t i = 0; i < facts->header_count; i++) {
        if (str_equal_nocase(facts->headers[i].name, str_from(rule->header_name)) &&
            header_value_holds(rule, facts->headers[i].value)) {
            return true;
        }
    }
    return rule->header_name[0] == '\0';
}

/* A string is its text, all else its JSON. */
static bool value_holds(const struct outcome_rule *rule, const struct json_value *value)
{
    struct buf text;
    bool holds;

    if (json_type(value) == JSON_STRING) {
        return str_equal(json_string(value), str_from(rule->body_value));
    }
    buf_init(&text, OUTCOME_RULE_TEXT_MAX + 1);
    holds = json_write_value(&text, value) == 0 &&
            str_equal(buf_str(&text), str_from(rule->body_value));
    buf_done(&text);
    return holds;
}

static bool body_holds(const struct outcome_rule *rule, struct matcher *m)
{
    const struct outcome_facts *facts = m->facts;

    if (!rule->has_body) {
        return true;
    }
    if (facts->error != 0 || facts->body.len > OUTCOME_RULE_BODY_MAX) {
        return false;
    }
    if (!m->parsed) {
        m->parsed = true;
        if (json_parse(&m->body, facts->body, JSON_STRICT, NULL) != 0) {
            m->body.root = NULL;
        }
    }
    if (m->body.root == NULL) {
        return false;
    }
    const struct json_value *value = json_pointer(m->body.root, str_from(rule->body_pointer));
    return value != NULL && (!rule->has_body_value || value_holds(rule, value));
}

static bool rule_holds(const struct outcome_rule *rule, struct matcher *m)
{
    const struct outcome_facts *facts = m->facts;
    bool answered = facts->error == 0 || (facts->error == ERR_TOO_BIG && facts->status != 0);

    if (rule->outcome == OUTCOME_ACK && facts->error != 0 && !facts->written) {
        return false;
    }
    if (rule->errors != 0 && (facts->error == 0 || !error_holds(rule, facts->error))) {
        return false;
    }
    if (!answered) {
        return rule->errors != 0; /* it has no other condition: outcome_rule_read saw to that */
    }
    return status_holds(rule, facts->status) && header_holds(rule, facts) && body_holds(rule, m);
}

uint32_t outcome_rules_match(const struct outcome_rule *rules, uint32_t count,
                             const struct outcome_facts *facts)
{
    struct matcher m = {.facts = facts};
    uint32_t number = 0;

    for (uint32_t i = 0; number == 0 && i < count; i++) {
        number = rule_holds(&rules[i], &m) ? i + 1 : 0;
    }
    if (m.body.root != NULL) {
        json_done(&m.body);
    }
    return number;
}
