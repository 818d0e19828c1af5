#include "sluice/sqs/iam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void a_batch_needs_the_single_action(void **state)
{
    (void)state;
    assert_true(str_equal(sqs_iam_name(SQS_SEND_MESSAGE), STR("SendMessage")));
    assert_true(str_equal(sqs_iam_name(SQS_SEND_MESSAGE_BATCH), STR("SendMessage")));
    assert_true(str_equal(sqs_iam_name(SQS_CHANGE_MESSAGE_VISIBILITY_BATCH),
                          STR("ChangeMessageVisibility")));
    uint32_t count = 0;
    for (const char *name; (name = sqs_iam_name_at(count)) != NULL; count++) {
        assert_false(str_ends_with(str_from(name), STR("Batch")));
        assert_true(sqs_iam_grants_something(str_from(name)));
    }
    assert_int_equal(count, SQS_ACTION__COUNT - 3);
}

static void patterns_grant(void **state)
{
    (void)state;
    assert_true(sqs_iam_grants_something(STR("*")));
    assert_true(sqs_iam_grants_something(STR("Send*")));
    assert_true(sqs_iam_grants_something(STR("*Queue*")));
    assert_false(sqs_iam_grants_something(STR("SendMessageBatch")));
    assert_false(sqs_iam_grants_something(STR("sendmessage")));
    assert_false(sqs_iam_grants_something(STR("")));
    assert_false(sqs_iam_grants_something(STR("Publish*")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_needs_the_single_action),
        cmocka_unit_test(patterns_grant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
