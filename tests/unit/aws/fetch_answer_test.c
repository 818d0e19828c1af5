/* What the services that hand out credentials answer, and what they should not. */
#include "aws/fetch_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void times(void **state)
{
    static const struct {
        const char *text;
        wall_ms at;
    } rows[] = {
        {"1970-01-01T00:00:01Z", 1000},
        {"2026-11-26T10:00:00Z", INT64_C(1795687200000)},
        {"2026-11-26T10:00:00.999Z", INT64_C(1795687200000)},
        {"2026-11-26T12:30:00+02:30", INT64_C(1795687200000)},
        {"2026-11-26T05:00:00-0500", INT64_C(1795687200000)},
        {"2026-11-26T10:00:00UTC", INT64_C(1795687200000)},
    };
    static const char *const wrong[] = {"",
                                        "now",
                                        "2026-11-26",
                                        "2026-11-26T10:00:00",
                                        "2026-11-26T10:00:00+2",
                                        "2026-11-26T10:00:00+02.30",
                                        "2026-11-26T10:00:00X02:30",
                                        "2026-11-26T10:00:00.5"};
    wall_ms at;

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_int_equal(fetch_time_parse(str_from(rows[i].text), &at), 0);
        assert_true(at == rows[i].at);
    }
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        assert_int_equal(fetch_time_parse(str_from(wrong[i]), &at), ERR_SYNTAX);
    }
}

#define STS(inner)                                                                                 \
    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"   \
    "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/y</Arn></"                                \
    "AssumedRoleUser><Credentials>" inner "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
#define KEYS "<AccessKeyId>AKID</AccessKeyId><SecretAccessKey>a&amp;b+/=</SecretAccessKey>"
#define REST "<SessionToken>TOK</SessionToken><Expiration>2026-11-26T10:00:00Z</Expiration>"

static void answers_of_sts(void **state)
{
    struct credentials *c = NULL;
    struct error e;
    char said[200];

    (void)state;
    assert_int_equal(fetch_answer_sts(STR(STS(KEYS REST)), STR("role"), &c, &e), 0);
    assert_true(str_equal(c->access_key_id, STR("AKID")));
    assert_true(str_equal(c->secret_access_key, STR("a&b+/=")));
    assert_true(str_equal(c->session_token, STR("TOK")));
    assert_true(c->expires_at == INT64_C(1795687200000));
    assert_string_equal(c->source, "role");
    credentials_unref(c);
    static const struct {
        const char *body, *says;
    } wrong[] = {
        {"", "no XML"},
        {"<html>", "no XML"},
        {"{\"AccessKeyId\":\"AKID\"}", "no XML"},
        {"<!DOCTYPE a [<!ENTITY b \"c\">]>" STS(KEYS REST), "no XML"},
        {STS(REST), "lacks AccessKeyId"},
        {STS("<AccessKeyId>AKID</AccessKeyId>" REST), "lacks SecretAccessKey"},
        {STS(KEYS), "Expiration"},
        {STS(KEYS "<Expiration>soon</Expiration>"), "Expiration"},
    };
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        assert_int_equal(fetch_answer_sts(str_from(wrong[i].body), STR("role"), &c, &e),
                         ERR_PROTOCOL);
        assert_non_null(strstr(e.text, wrong[i].says));
    }
    fetch_answer_sts_error(STR("<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: x is "
                               "not authorized</Message></Error></ErrorResponse>"),
                           said, sizeof(said));
    assert_string_equal(said, "AccessDenied: User: x is not authorized");
    fetch_answer_sts_error(STR("<html>nginx</html>"), said, sizeof(said));
    assert_string_equal(said, "the answer is not from STS");
}

static void too_long(void **state)
{
    static char body[16384];
    struct credentials *c = NULL;
    struct error e;
    size_t at;

    (void)state;
    at = (size_t)snprintf(body, sizeof(body), "<a><SessionToken>");
    memset(body + at, 'x', 8000);
    (void)snprintf(body + at + 8000, 200, "</SessionToken>" KEYS "</a>");
    assert_int_equal(fetch_answer_sts(str_from(body), STR("role"), &c, &e), ERR_PROTOCOL);
}

static void answers_in_json(void **state)
{
    static const struct fetch_names names = {"AccessKeyId", "SecretAccessKey", "Token",
                                             "Expiration", true};
    static const struct fetch_names forever = {"AccessKeyId", "SecretAccessKey", "Token",
                                               "Expiration", false};
    static const char *const wrong[] = {
        "",
        "[]",
        "{\"AccessKeyId\":\"A\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}",
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Expiration\":\"soon\"}",
        "{\"AccessKeyId\":1,\"SecretAccessKey\":\"S\",\"Expiration\":\"2026-11-26T10:00:00Z\"}"};
    struct credentials *c = NULL;
    struct error e;

    (void)state;
    assert_int_equal(
        fetch_answer_json(STR("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","
                              "\"Expiration\":\"2026-11-26T10:00:00Z\",\"Other\":[1]}"),
                          &names, STR("x"), &c, &e),
        0);
    assert_true(str_equal(c->session_token, STR("T")));
    credentials_unref(c);
    assert_int_equal(
        fetch_answer_json(
            STR("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Expiration\":1795687200000}"),
            &names, STR("x"), &c, &e),
        0);
    assert_true(c->expires_at == INT64_C(1795687200000) && c->session_token.ptr == NULL);
    credentials_unref(c);
    assert_int_equal(fetch_answer_json(STR("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}"),
                                       &forever, STR("x"), &c, &e),
                     0);
    assert_true(c->expires_at == CREDENTIALS_NEVER);
    credentials_unref(c);
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        assert_int_equal(fetch_answer_json(str_from(wrong[i]), &names, STR("x"), &c, &e),
                         ERR_PROTOCOL);
        assert_true(e.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(answers_of_sts),
        cmocka_unit_test(too_long),
        cmocka_unit_test(answers_in_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
