#include "unit/base/unit.h"

#include "sluice/flow/outcome_rules.h"

#define T(text)      ((char[]){text})
#define LIST(...)    ((char *const[]){__VA_ARGS__})
#define HEADER(n, v) ((struct outcome_header){STR(n), STR(v)})

static struct outcome_rule rule_of(struct outcome_rule_text text)
{
    struct outcome_rule rule;
    struct error e = {0};
    if (outcome_rule_read(&text, &rule, &e) != 0) {
        fail_msg("refused: %s: %s", e.where, e.text);
    }
    return rule;
}

static bool holds(struct outcome_rule_text text, struct outcome_facts facts)
{
    struct outcome_rule rule = rule_of(text);
    return outcome_rules_match(&rule, 1, &facts) == 1;
}

static struct outcome_facts answer(int status)
{
    return (struct outcome_facts){.status = status, .written = true};
}

static void statuses(void **state)
{
    (void)state;
    struct outcome_rule_text text = {.statuses = LIST(T("409"), T("500-502"), T("3xx"), T("4XX")),
                                     .status_count = 3,
                                     .outcome = OUTCOME_ACK};
    for (int status = 100; status < 1000; status++) {
        bool expected =
            status == 409 || (status >= 500 && status <= 502) || (status >= 300 && status < 400);
        assert_int_equal(holds(text, answer(status)), expected);
    }
    text.status_count = 4;
    assert_true(holds(text, answer(499)));
    /* The status line came, the answer did not. */
    struct outcome_facts broken = {.error = ERR_RESET, .status = 409, .written = true};
    assert_false(holds(text, broken));
    broken.error = ERR_TOO_BIG;
    assert_true(holds(text, broken));
}

static void errors(void **state)
{
    const struct {
        int error;
        char *name;
    } cases[] = {
        {ERR_TIMEOUT, T("timeout")},         {ERR_CONNECT, T("connect_error")},
        {ERR_RESOLVE, T("resolve_error")},   {ERR_TLS, T("tls_error")},
        {ERR_RESET, T("connection_broken")}, {ERR_PROTOCOL, T("connection_broken")},
        {ERR_NOMEM, T("connection_broken")}, {ERR_TOO_BIG, T("response_too_big")},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        for (size_t j = 0; j < SL_COUNT(cases); j++) {
            struct outcome_rule_text text = {
                .errors = LIST(cases[j].name), .error_count = 1, .outcome = OUTCOME_DEAD_LETTER};
            assert_int_equal(holds(text, (struct outcome_facts){.error = cases[i].error}),
                             strcmp(cases[i].name, cases[j].name) == 0);
            assert_false(holds(text, answer(200)));
        }
    }
    struct outcome_rule_text timeout = {.errors = LIST(T("timeout")), .error_count = 1};
    assert_false(holds(timeout, (struct outcome_facts){.error = ERR_CANCELED, .written = true}));
}

/* I3: what was never sent is never acknowledged. */
static void ack_needs_a_written_request(void **state)
{
    (void)state;
    struct outcome_rule_text text = {
        .errors = LIST(T("timeout")), .error_count = 1, .outcome = OUTCOME_ACK};
    assert_false(holds(text, (struct outcome_facts){.error = ERR_TIMEOUT}));
    assert_true(holds(text, (struct outcome_facts){.error = ERR_TIMEOUT, .written = true}));
    text.outcome = OUTCOME_DEAD_LETTER;
    assert_true(holds(text, (struct outcome_facts){.error = ERR_TIMEOUT}));
}

static void headers(void **state)
{
    const struct outcome_header given[] = {
        HEADER("Content-Type", "application/json"),
        HEADER("X-Result", "Busy; code=7"),
        HEADER("x-result", "second"),
    };
    static const struct {
        const char *header;
        bool holds;
    } cases[] = {
        {"x-result", true},           {"X-RESULT: busy*", true},
        {"X-Result:*CODE=7", true},   {"X-Result : second ", true},
        {"X-Result: busy", false},    {"X-Result: *code", false},
        {"X-Resul", false},           {"Content-Type: application/*", true},
        {"X-Result: b*y; c*7", true}, {"Content-Typ*", false},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct outcome_facts facts = answer(200);
        facts.headers = given;
        facts.header_count = SL_COUNT(given);
        struct outcome_rule_text text = {.header = cases[i].header, .outcome = OUTCOME_RETRY};
        if (holds(text, facts) != cases[i].holds) {
            fail_msg("\"%s\" should%s hold", cases[i].header, cases[i].holds ? "" : " not");
        }
        assert_false(holds(text, answer(200)));
        facts.error = ERR_TIMEOUT;
        assert_false(holds(text, facts));
    }
}

static void bodies(void **state)
{
    static const struct {
        const char *pointer, *value, *body;
        bool holds;
    } cases[] = {
        {"/error/code", "busy", "{\"error\":{\"code\":\"busy\"}}", true},
        {"/error/code", "busy", "{\"error\":{\"code\":\"Busy\"}}", false},
        {"/error/code", "busy", "{\"error\":{\"code\":[\"busy\"]}}", false},
        {"/error/code", NULL, "{\"error\":{\"code\":null}}", true},
        {"/error/code", NULL, "{\"error\":{}}", false},
        {"/error/code", "7", "{\"error\":{\"code\":7}}", true},
        {"/error/code", "7", "{\"error\":{\"code\":\"7\"}}", true},
        {"/error/code", "7", "{\"error\":{\"code\":70}}", false},
        {"/done", "true", "{\"done\":true}", true},
        {"/done", "true", "{\"done\":false}", false},
        {"/done", "null", "{\"done\":null}", true},
        {"/items/1", "b", "{\"items\":[\"a\",\"b\"]}", true},
        {"", "ok", "\"ok\"", true},
        {"", "", "\"\"", true},
        {"", NULL, "1", true},
        {"/a", NULL, "{\"a\":1", false},
        {"/a", NULL, "{\"a\":1} x", false},
        {"/a", NULL, "{\"a\":1,\"a\":2}", false},
        {"/a", NULL, "", false},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct outcome_facts facts = answer(200);
        struct outcome_rule_text text = {
            .body = cases[i].pointer, .value = cases[i].value, .outcome = OUTCOME_RETRY};
        facts.body = str_from(cases[i].body);
        if (holds(text, facts) != cases[i].holds) {
            fail_msg("\"%s\" in %s should%s hold", cases[i].pointer, cases[i].body,
                     cases[i].holds ? "" : " not");
        }
        facts.error = ERR_TOO_BIG; /* a part of it */
        assert_false(holds(text, facts));
    }
}

static void a_body_beyond_the_bound_is_not_read(void **state)
{
    size_t len = OUTCOME_RULE_BODY_MAX + 1;
    char *body = malloc(len);

    (void)state;
    assert_non_null(body);
    memset(body, ' ', len);
    memcpy(body, "{\"a\":1}", 7);
    struct outcome_rule_text text = {.body = "/a", .outcome = OUTCOME_RETRY};
    struct outcome_facts facts = answer(200);
    facts.body = (struct str){body, len - 1};
    assert_true(holds(text, facts));
    facts.body.len = len;
    assert_false(holds(text, facts));
    free(body);
}

static void the_first_that_holds_decides(void **state)
{
    const struct outcome_rule rules[] = {
        rule_of((struct outcome_rule_text){.statuses = LIST(T("200")),
                                           .status_count = 1,
                                           .body = "/status",
                                           .value = "busy",
                                           .outcome = OUTCOME_THROTTLE}),
        rule_of((struct outcome_rule_text){
            .statuses = LIST(T("2xx")), .status_count = 1, .outcome = OUTCOME_ACK}),
        rule_of((struct outcome_rule_text){.body = "/status", .outcome = OUTCOME_DEAD_LETTER}),
    };
    struct outcome_facts facts = answer(200);

    (void)state;
    facts.body = STR("{\"status\":\"busy\"}");
    assert_int_equal(outcome_rules_match(rules, 3, &facts), 1);
    facts.status = 201;
    assert_int_equal(outcome_rules_match(rules, 3, &facts), 2);
    facts.status = 500;
    assert_int_equal(outcome_rules_match(rules, 3, &facts), 3);
    facts.body = STR("{}");
    assert_int_equal(outcome_rules_match(rules, 3, &facts), 0);
    assert_int_equal(outcome_rules_match(rules, 0, &facts), 0);
}

/* A result carries the verdict into the flow. */
static void a_rule_comes_before_the_defaults(void **state)
{
    struct attempt_result result = {.status = 409, .written = true};

    (void)state;
    assert_int_equal(outcome_of(&result), OUTCOME_DEAD_LETTER);
    result.rule = 2;
    result.ruled = OUTCOME_ACK;
    assert_int_equal(outcome_of(&result), OUTCOME_ACK);
    result.ruled = OUTCOME_THROTTLE;
    assert_int_equal(outcome_of(&result), OUTCOME_THROTTLE);
    assert_false(outcome_counts(&result, outcome_of(&result)));
}

static void refused(void **state)
{
    char long_text[OUTCOME_RULE_TEXT_MAX + 3];
    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    const struct {
        struct outcome_rule_text text;
        const char *where;
    } cases[] = {
        {{.outcome = OUTCOME_ACK}, ""},
        {{.statuses = LIST(T("200"), T("99")), .status_count = 2}, "status[1]"},
        {{.statuses = LIST(T("1000")), .status_count = 1}, "status[0]"},
        {{.statuses = LIST(T("-409")), .status_count = 1}, "status[0]"},
        {{.statuses = LIST(T("500-")), .status_count = 1}, "status[0]"},
        {{.statuses = LIST(T("501-500")), .status_count = 1}, "status[0]"},
        {{.statuses = LIST(T("0xx")), .status_count = 1}, "status[0]"},
        {{.statuses = LIST(T("")), .status_count = 1}, "status[0]"},
        {{.errors = LIST(T("canceled")), .error_count = 1}, "error[0]"},
        {{.errors = LIST(T("timeout"), T("")), .error_count = 2}, "error[1]"},
        {{.header = ""}, "header"},
        {{.header = ": x"}, "header"},
        {{.header = "X Y"}, "header"},
        {{.header = "X:"}, "header"},
        {{.header = long_text}, "header"},
        {{.body = "a"}, "body"},
        {{.body = "/~"}, "body"},
        {{.statuses = LIST(T("200")), .status_count = 1, .value = "x"}, "value"},
        {{.body = "/a", .value = long_text}, "value"},
        {{.errors = LIST(T("timeout")), .error_count = 1, .header = "X"}, "error"},
        {{.errors = LIST(T("response_too_big")), .error_count = 1, .body = ""}, "error"},
        {{.errors = LIST(T("tls_error")), .error_count = 1, .outcome = OUTCOME_ACK}, "outcome"},
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct outcome_rule rule;
        struct error e = {0};
        assert_int_equal(outcome_rule_read(&cases[i].text, &rule, &e), ERR_INVALID);
        assert_string_equal(e.where, cases[i].where);
        assert_true(strlen(e.text) > 0);
    }
}

static void same(void **state)
{
    (void)state;
    struct outcome_rule_text text = {.statuses = LIST(T("5xx")),
                                     .status_count = 1,
                                     .header = "X-A: b",
                                     .body = "/a",
                                     .value = "1",
                                     .outcome = OUTCOME_ACK};
    struct outcome_rule a = rule_of(text);
    text.statuses = LIST(T("500-599"));
    text.header = "x-a: B";
    text.outcome = OUTCOME_RETRY;
    struct outcome_rule b = rule_of(text);
    assert_true(outcome_rule_same(&a, &b));
    text.value = "2";
    b = rule_of(text);
    assert_false(outcome_rule_same(&a, &b));
    text.value = NULL;
    b = rule_of(text);
    assert_false(outcome_rule_same(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(errors),
        cmocka_unit_test(ack_needs_a_written_request),
        cmocka_unit_test(headers),
        cmocka_unit_test(bodies),
        cmocka_unit_test(a_body_beyond_the_bound_is_not_read),
        cmocka_unit_test(the_first_that_holds_decides),
        cmocka_unit_test(a_rule_comes_before_the_defaults),
        cmocka_unit_test(refused),
        cmocka_unit_test(same),
    };

    return cmocka_run_group_tests_name("outcome_rules", tests, NULL, NULL);
}
