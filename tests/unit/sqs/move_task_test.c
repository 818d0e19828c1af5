/* What starting, listing and cancelling move tasks may be asked with. */
#include "sluice/sqs/move_task.h"

#include "sluice/base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define ARN "arn:aws:sqs:us-east-1:000000000000:"

static void check_start(const char *source, const char *destination, int64_t rate,
                        const char *message)
{
    const struct sqs_start_move_task_in in = {.source_arn = str_from(source),
                                              .destination_arn = str_from(destination),
                                              .max_per_second = {rate >= 0, rate}};
    struct sqs_error e = {.code = SQS_OK};
    int rc = sqs_validate_start_move_task(&in, &e);
    assert_int_equal(rc, message == NULL ? SQS_OK : SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_string_equal(e.message, message == NULL ? "" : message);
}

#define FORM(name)                                                                                 \
    "You must use this format to specify the " name                                                \
    ": arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
#define RATE                                                                                       \
    "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a "       \
    "number "                                                                                      \
    "that's between 1 and 500."

static void starting(void **state)
{
    (void)state;
    check_start(ARN "a", NULL, -1, NULL);
    check_start(ARN "a", ARN "b", 1, NULL);
    check_start(ARN "a", ARN "b", 500, NULL);
    check_start("", NULL, -1, FORM("SourceArn"));
    check_start("a", NULL, -1, FORM("SourceArn"));
    check_start(ARN "a", "", -1, FORM("DestinationArn"));
    check_start(ARN "a", ARN "a", -1,
                "Source queue arn and destination queue arn cannot be the same.");
    check_start(ARN "a", ARN "b", 0, RATE);
    check_start(ARN "a", ARN "b", 501, RATE);
}

static void listing(void **state)
{
    (void)state;
    struct sqs_error e = {.code = SQS_OK};
    struct sqs_list_move_tasks_in in = {.source_arn = STR(ARN "a"), .max_results = {true, 10}};
    assert_int_equal(sqs_validate_list_move_tasks(&in, &e), SQS_OK);
    for (int64_t wrong = 0; wrong <= 11; wrong += 11) {
        in.max_results.value = wrong;
        assert_int_equal(sqs_validate_list_move_tasks(&in, &e), SQS_ERROR_INVALID_PARAMETER_VALUE);
        assert_string_equal(e.message, "Value for parameter MaxResults is invalid. Reason: You "
                                       "must enter a number that's between 1 and 10.");
    }
}

static void check_handle(struct arena *arena, const char *json, bool ok)
{
    struct buf text;
    struct sqs_move_handle handle;
    struct sqs_error e = {.code = SQS_OK};
    buf_init(&text, 4096);
    assert_int_equal(digest_base64(&text, json, strlen(json)), 0);
    int rc = sqs_move_handle_read(buf_str(&text), arena, &handle, &e);
    assert_int_equal(rc, ok ? SQS_OK : SQS_ERROR_INVALID_PARAMETER_VALUE);
    if (ok) {
        assert_true(str_equal(handle.task_id, STR("t")));
        assert_true(str_equal(handle.source_arn, STR("a")));
    } else {
        assert_string_equal(e.message, "Value for parameter TaskHandle is invalid.");
    }
    buf_done(&text);
}

static void handles(void **state)
{
    (void)state;
    struct arena arena;
    struct sqs_move_handle handle;
    struct sqs_error e;
    arena_init(&arena, 65536);
    check_handle(&arena, "{\"taskId\":\"t\",\"sourceArn\":\"a\"}", true);
    check_handle(&arena, "{\"taskId\":\"t\"}", false);
    check_handle(&arena, "{\"taskId\":\"t\",\"sourceArn\":1}", false);
    check_handle(&arena, "{\"taskId\":\"\",\"sourceArn\":\"a\"}", false);
    check_handle(&arena, "[]", false);
    check_handle(&arena, "nonsense", false);
    assert_int_not_equal(sqs_move_handle_read(STR("###"), &arena, &handle, &e), SQS_OK);
    assert_int_not_equal(sqs_move_handle_read(STR_NONE, &arena, &handle, &e), SQS_OK);

    struct str text = sqs_move_handle_write(&arena, STR("t"), STR("a"));
    assert_true(str_equal(text, STR("eyJ0YXNrSWQiOiJ0Iiwic291cmNlQXJuIjoiYSJ9")));
    assert_int_equal(sqs_move_handle_read(text, &arena, &handle, &e), SQS_OK);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starting),
        cmocka_unit_test(listing),
        cmocka_unit_test(handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
