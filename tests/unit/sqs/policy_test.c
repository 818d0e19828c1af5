/* AddPermission and RemovePermission as edits of a JSON text. */
#include "sluice/sqs/policy.h"
#include "sluice/sqs/validate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define ARN  "arn:aws:sqs:us-east-1:000000000000:q"
#define HEAD "{\"Version\":\"2008-10-17\",\"Id\":\"" ARN "/SQSDefaultPolicy\",\"Statement\":["
#define FIRST                                                                                      \
    "{\"Sid\":\"one\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111111111111:"    \
    "root\"},"                                                                                     \
    "\"Action\":\"SQS:ReceiveMessage\",\"Resource\":\"" ARN "\"}"
#define SECOND                                                                                     \
    "{\"Sid\":\"two\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"arn:aws:iam::111111111111:"   \
    "root\","                                                                                      \
    "\"arn:aws:iam::222222222222:root\"]},\"Action\":[\"SQS:SendMessage\",\"SQS:*\"],"             \
    "\"Resource\":\"" ARN "\"}"

static struct str accounts[] = {{"111111111111", 12}, {"222222222222", 12}};
static struct str actions[] = {{"ReceiveMessage", 14}, {"SendMessage", 11}, {"*", 1}};

static const struct sqs_add_permission_in first = {
    .label = {"one", 3}, .account_ids = {accounts, 1, true}, .actions = {actions, 1, true}};
static const struct sqs_add_permission_in second = {
    .label = {"two", 3}, .account_ids = {accounts, 2, true}, .actions = {actions + 1, 2, true}};

/* message NULL: the policy that comes out; else the error. */
static void check_add(const char *policy, const struct sqs_add_permission_in *in,
                      enum sqs_error_code code, const char *wanted)
{
    struct buf out;
    struct sqs_error e = {.code = SQS_OK};
    buf_init(&out, 65536);
    assert_int_equal(sqs_policy_add(str_from(policy), STR(ARN), in, &out, &e), code);
    assert_string_equal(code == SQS_OK ? buf_str(&out).ptr : e.message, wanted);
    buf_done(&out);
}

static void check_remove(const char *policy, const char *label, enum sqs_error_code code,
                         const char *wanted)
{
    struct buf out;
    struct sqs_error e = {.code = SQS_OK};
    buf_init(&out, 65536);
    assert_int_equal(sqs_policy_remove(str_from(policy), str_from(label), &out, &e), code);
    assert_string_equal(code == SQS_OK ? buf_str(&out).ptr : e.message, wanted);
    buf_done(&out);
}

static void statements_come_and_go(void **state)
{
    (void)state;
    check_add("", &first, SQS_OK, HEAD FIRST "]}");
    check_add(HEAD FIRST "]}", &second, SQS_OK, HEAD FIRST "," SECOND "]}");
    check_remove(HEAD FIRST "," SECOND "]}", "one", SQS_OK, HEAD SECOND "]}");
    check_remove(HEAD SECOND "]}", "two", SQS_OK, "");
}

/* A policy set by SetQueueAttributes keeps what it has. */
static void documents_of_others_are_kept(void **state)
{
    (void)state;
    check_add("{\"Statement\":{\"Effect\":\"Deny\",\"n\":1.5},\"Version\":\"2012-10-17\"}", &first,
              SQS_OK,
              "{\"Statement\":[{\"Effect\":\"Deny\",\"n\":1.5}," FIRST
              "],\"Version\":\"2012-10-17\"}");
    check_add("{\"Version\":\"2012-10-17\"}", &first, SQS_OK,
              "{\"Version\":\"2012-10-17\",\"Statement\":[" FIRST "]}");
    check_remove("{\"Statement\":[{\"Effect\":\"Deny\"}," FIRST "]}", "one", SQS_OK,
                 "{\"Statement\":[{\"Effect\":\"Deny\"}]}");
    check_remove("{\"Statement\":" FIRST "}", "one", SQS_OK, "");
}

static void labels(void **state)
{
    (void)state;
    check_add(HEAD FIRST "]}", &first, SQS_ERROR_INVALID_PARAMETER_VALUE,
              "Value one for parameter Label is invalid. Reason: Already exists.");
    check_remove(HEAD FIRST "]}", "two", SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Value two for parameter Label is invalid. Reason: can't find label.");
    check_remove("", "one", SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Value one for parameter Label is invalid. Reason: can't find label.");
    check_remove(HEAD FIRST "]}", "", SQS_ERROR_MISSING_PARAMETER,
                 "The request must contain the parameter Label.");
}

static void limits(void **state)
{
    (void)state;
    char policy[16384];
    char wanted[16384];
    struct buf text;
    buf_init(&text, sizeof(policy) - 1);
    (void)buf_adds(&text, "{\"Statement\":[{}");
    for (int i = 1; i < 19; i++) {
        (void)buf_adds(&text, ",{}");
    }
    (void)snprintf(policy, sizeof(policy), "%s]}", text.ptr);
    (void)snprintf(wanted, sizeof(wanted), "%s," FIRST "]}", text.ptr);
    buf_done(&text);
    check_add(policy, &first, SQS_OK, wanted);
    check_add(wanted, &second, SQS_ERROR_OVER_LIMIT,
              "21 Statements were found, maximum allowed is 20.");

    /* Exactly 8192 bytes fit. */
    static const char tail[] = "\",\"Statement\":[" FIRST "]}";
    (void)snprintf(policy, sizeof(policy), "{\"Id\":\"");
    size_t fill = SQS_POLICY_MAX_BYTES - strlen(policy) - strlen(tail);
    memset(policy + 7, 'x', fill);
    (void)snprintf(policy + 7 + fill, sizeof(policy) - 7 - fill, "\"}");
    (void)snprintf(wanted, sizeof(wanted), "%.*s%s", (int)(7 + fill), policy, tail);
    assert_int_equal(strlen(wanted), SQS_POLICY_MAX_BYTES);
    check_add(policy, &first, SQS_OK, wanted);
    (void)snprintf(policy + 7 + fill, sizeof(policy) - 7 - fill, "x\"}");
    check_add(policy, &first, SQS_ERROR_OVER_LIMIT, "The policy is longer than 8192 bytes.");
}

static void check_request(struct sqs_add_permission_in in, enum sqs_error_code code,
                          const char *message)
{
    struct sqs_error e = {.code = SQS_OK};
    int rc = sqs_validate_add_permission(&in, &e);
    assert_int_equal(rc, code);
    assert_string_equal(e.message, message);
}

static void requests(void **state)
{
    (void)state;
    struct str eight[8] = {{"*", 1}, {"*", 1}, {"*", 1}, {"*", 1},
                           {"*", 1}, {"*", 1}, {"*", 1}, {"*", 1}};
    check_request(second, SQS_OK, "");
    struct sqs_add_permission_in in = first;
    in.label = STR("");
    check_request(in, SQS_ERROR_MISSING_PARAMETER, "The request must contain the parameter Label.");
    in.label = STR("a b");
    check_request(in, SQS_ERROR_INVALID_PARAMETER_VALUE,
                  "Value a b for parameter Label is invalid. Reason: Can only include alphanumeric "
                  "characters, hyphens, or underscores. 1 to 80 in length.");
    in = first;
    in.actions.count = 0;
    check_request(in, SQS_ERROR_MISSING_PARAMETER,
                  "The request must contain the parameter Actions.");
    in.actions = (struct sqs_strings){eight, 8, true};
    check_request(in, SQS_ERROR_OVER_LIMIT, "8 Actions were found, maximum allowed is 7.");
    in.actions.count = 7;
    check_request(in, SQS_OK, "");
    eight[3] = STR("CreateQueue");
    check_request(in, SQS_ERROR_INVALID_PARAMETER_VALUE,
                  "Value SQS:CreateQueue for parameter ActionName is invalid. Reason: Only the "
                  "queue owner is allowed to invoke this action.");
    in = first;
    in.account_ids.count = 0;
    check_request(in, SQS_ERROR_INVALID_PARAMETER_VALUE,
                  "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.");
    struct str account = STR("12345678901x");
    in.account_ids = (struct sqs_strings){&account, 1, true};
    check_request(in, SQS_ERROR_INVALID_PARAMETER_VALUE,
                  "Value [12345678901x] for parameter PrincipalId is invalid. Reason: Unable to "
                  "verify.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_come_and_go),
        cmocka_unit_test(documents_of_others_are_kept),
        cmocka_unit_test(labels),
        cmocka_unit_test(limits),
        cmocka_unit_test(requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
