/* What surrounds queues: tags, permissions, dead-letter sources, attributes that exclude each
 * other. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define ARN_OF(name) "arn:aws:sqs:" KIT_REGION ":" KIT_ACCOUNT ":" name
#define REDRIVE(name)                                                                              \
    "RedrivePolicy", "{\"deadLetterTargetArn\":\"" ARN_OF(name) "\",\"maxReceiveCount\":1}"

static int setup(void **state)
{
    *state = MEM_NEW(struct kit);
    kit_init(*state);
    assert_int_equal(kit_create(*state, "jobs", NULL), 0);
    return 0;
}

static void expect_error(struct kit *kit, int rc, enum sqs_error_code code, const char *message)
{
    assert_int_equal(rc, code);
    assert_string_equal(kit->request.error.message, message);
    assert_null(kit->request.output);
}

/* ---- tags ---- */

/* "Key", "value", …, NULL */
static int tag(struct kit *kit, const char *queue, ...)
{
    va_list args;
    va_start(args, queue);
    struct sqs_tag_queue_in in = {.queue_url = kit_url(kit, queue), .tags = kit_map(kit, args)};
    va_end(args);
    return kit_run(kit, SQS_TAG_QUEUE, &in);
}

static int untag(struct kit *kit, const char *queue, const char *key)
{
    struct str name = kit_text(kit, key);
    struct sqs_untag_queue_in in = {.queue_url = kit_url(kit, queue), .keys = {&name, 1, true}};
    return kit_run(kit, SQS_UNTAG_QUEUE, &in);
}

static const struct sqs_map *tags(struct kit *kit, const char *queue)
{
    assert_int_equal(kit_queue_action(kit, SQS_LIST_QUEUE_TAGS, queue), 0);
    return &((const struct sqs_list_queue_tags_out *)kit->request.output)->tags;
}

static void test_tags(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(tags(kit, "jobs")->count, 0);
    assert_int_equal(tag(kit, "jobs", "team", "billing", "Team", "other", NULL), 0);
    assert_int_equal(tag(kit, "jobs", "team", "sales", "empty", "", NULL), 0);
    const struct sqs_map *got = tags(kit, "jobs");
    assert_int_equal(got->count, 3);
    assert_true(got->set);
    assert_str(got->items[0].name, "Team"); /* in byte order: answers are the same every time */
    assert_str(sqs_map_get(got, STR("team")), "sales");
    assert_str(sqs_map_get(got, STR("empty")), "");
    kit_reopen(kit);
    assert_int_equal(untag(kit, "jobs", "team"), 0);
    assert_int_equal(untag(kit, "jobs", "never-there"), 0);
    assert_int_equal(tags(kit, "jobs")->count, 2);
    expect_error(kit, tag(kit, "jobs", NULL), SQS_ERROR_MISSING_PARAMETER,
                 "The request must contain the parameter Tags.");
    expect_error(kit, untag(kit, "jobs", ""), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Tag keys must be between 1 and 128 characters in length.");
    assert_int_equal(tag(kit, "nosuch", "a", "b", NULL), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(untag(kit, "nosuch", "a"), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(kit_queue_action(kit, SQS_LIST_QUEUE_TAGS, "nosuch"),
                     SQS_ERROR_QUEUE_DOES_NOT_EXIST);
}

static void test_tags_have_a_limit(void **state)
{
    struct kit *kit = *state;
    char key[16];
    for (int i = 0; i < SQS_TAGS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "key-%d", i);
        assert_int_equal(tag(kit, "jobs", key, "v", NULL), 0);
    }
    assert_int_equal(tag(kit, "jobs", "key-0", "again", "key-1", "again", NULL), 0);
    expect_error(kit, tag(kit, "jobs", "key-2", "x", "one-more", "v", NULL),
                 SQS_ERROR_INVALID_PARAMETER_VALUE, "Too many tags added for queue jobs.");
    const struct sqs_map *got = tags(kit, "jobs");
    assert_int_equal(got->count, SQS_TAGS_MAX);
    assert_str(sqs_map_get(got, STR("key-1")), "again");
    assert_str(sqs_map_get(got, STR("key-2")), "v"); /* a refused request changes nothing */
    assert_int_equal(untag(kit, "jobs", "key-2"), 0);
    assert_int_equal(tag(kit, "jobs", "one-more", "v", NULL), 0);
}

static int create_tagged(struct kit *kit, const char *name, struct sqs_pair *pairs, uint32_t count)
{
    struct sqs_create_queue_in in = {.queue_name = kit_text(kit, name),
                                     .tags = {pairs, count, true}};
    return kit_run(kit, SQS_CREATE_QUEUE, &in);
}

static void test_create_with_tags(void **state)
{
    struct kit *kit = *state;
    struct sqs_pair pairs[SQS_TAGS_MAX + 1];
    for (size_t i = 0; i < SL_COUNT(pairs); i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key-%zu", i);
        pairs[i] = (struct sqs_pair){kit_text(kit, key), STR("v")};
    }
    expect_error(kit, create_tagged(kit, "new", pairs, SL_COUNT(pairs)),
                 SQS_ERROR_INVALID_PARAMETER_VALUE, "Too many tags added for queue new.");
    assert_int_equal(create_tagged(kit, "new", pairs, SQS_TAGS_MAX), 0);
    assert_int_equal(tags(kit, "new")->count, SQS_TAGS_MAX);
    /* Creating again asks for no other tags than there are. */
    assert_int_equal(create_tagged(kit, "new", pairs, 1), 0);
    assert_int_equal(tags(kit, "new")->count, SQS_TAGS_MAX);
    /* A queue of the same name inherits nothing, and neither does one that gets its row. */
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "new"), 0);
    assert_int_equal(kit_create(kit, "new", NULL), 0);
    assert_int_equal(tags(kit, "new")->count, 0);
}

/* ---- permissions ---- */

static int permit(struct kit *kit, const char *queue, const char *label, const char *action)
{
    struct str account = STR("111111111111");
    struct str name = str_from(action);
    struct sqs_add_permission_in in = {.queue_url = kit_url(kit, queue),
                                       .label = str_from(label),
                                       .account_ids = {&account, 1, true},
                                       .actions = {&name, 1, true}};
    return kit_run(kit, SQS_ADD_PERMISSION, &in);
}

static int forbid(struct kit *kit, const char *queue, const char *label)
{
    struct sqs_remove_permission_in in = {.queue_url = kit_url(kit, queue),
                                          .label = str_from(label)};
    return kit_run(kit, SQS_REMOVE_PERMISSION, &in);
}

#define STATEMENT_OF(label, action)                                                                \
    "{\"Sid\":\"" label "\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::"           \
    "111111111111:root\"},\"Action\":\"SQS:" action "\",\"Resource\":\"" ARN_OF("jobs") "\"}"
#define POLICY_OF(statements)                                                                      \
    "{\"Version\":\"2008-10-17\",\"Id\":\"" ARN_OF(                                                \
        "jobs") "/SQSDefaultPolicy\",\"Statement\":[" statements "]}"

static void test_permissions(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(permit(kit, "jobs", "one", "ReceiveMessage"), 0);
    assert_str(kit_get(kit, "jobs", "Policy"), POLICY_OF(STATEMENT_OF("one", "ReceiveMessage")));
    assert_int_equal(permit(kit, "jobs", "two", "*"), 0);
    kit_reopen(kit);
    assert_str(kit_get(kit, "jobs", "Policy"),
               POLICY_OF(STATEMENT_OF("one", "ReceiveMessage") "," STATEMENT_OF("two", "*")));
    expect_error(kit, permit(kit, "jobs", "one", "SendMessage"), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Value one for parameter Label is invalid. Reason: Already exists.");
    assert_int_equal(forbid(kit, "jobs", "one"), 0);
    assert_str(kit_get(kit, "jobs", "Policy"), POLICY_OF(STATEMENT_OF("two", "*")));
    expect_error(kit, forbid(kit, "jobs", "one"), SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Value one for parameter Label is invalid. Reason: can't find label.");
    assert_int_equal(forbid(kit, "jobs", "two"), 0);
    assert_null(kit_get(kit, "jobs", "Policy").ptr);
    assert_int_equal(permit(kit, "nosuch", "one", "*"), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(forbid(kit, "nosuch", "one"), SQS_ERROR_QUEUE_DOES_NOT_EXIST);
}

static void test_a_failed_transaction_takes_the_permission_back(void **state)
{
    struct kit *kit = *state;
    struct str account = STR("111111111111");
    struct str name = STR("*");
    struct sqs_add_permission_in in = {.queue_url = kit_url(kit, "jobs"),
                                       .label = STR("one"),
                                       .account_ids = {&account, 1, true},
                                       .actions = {&name, 1, true}};
    struct store_request request = {
        .action = SQS_ADD_PERMISSION, .input = &in, .arena = &kit->arena, .wall = KIT_WALL};
    kit_begin(kit);
    assert_int_equal(engine_run(&kit->engine, &request), 0);
    assert_int_equal(request.error.code, 0);
    engine_rollback(&kit->engine);
    assert_null(kit_get(kit, "jobs", "Policy").ptr);
    kit_reopen(kit);
    assert_null(kit_get(kit, "jobs", "Policy").ptr);
}

/* ---- dead letters ---- */

static const struct sqs_list_queues_out *sources(struct kit *kit, const char *queue, int64_t max,
                                                 struct str token)
{
    struct sqs_list_dead_letter_sources_in in = {
        .queue_url = kit_url(kit, queue), .max_results = {max != 0, max}, .next_token = token};
    return kit_run(kit, SQS_LIST_DEAD_LETTER_SOURCE_QUEUES, &in) == 0 ? kit->request.output : NULL;
}

static void test_dead_letter_sources(void **state)
{
    struct kit *kit = *state;
    const struct sqs_list_queues_out *out = sources(kit, "jobs", 0, STR_NONE);
    assert_int_equal(out->queue_urls.count, 0);
    assert_false(out->queue_urls.set);
    assert_int_equal(kit_create(kit, "other", NULL), 0);
    assert_int_equal(kit_create(kit, "c", REDRIVE("jobs"), NULL), 0);
    assert_int_equal(kit_create(kit, "a", REDRIVE("jobs"), NULL), 0);
    assert_int_equal(kit_create(kit, "b", REDRIVE("other"), NULL), 0);
    assert_int_equal(kit_create(kit, "d", REDRIVE("jobs"), NULL), 0);
    out = sources(kit, "jobs", 2, STR_NONE);
    assert_int_equal(out->queue_urls.count, 2);
    assert_str(out->queue_urls.items[0], KIT_ENDPOINT "/" KIT_ACCOUNT "/a");
    assert_str(out->queue_urls.items[1], KIT_ENDPOINT "/" KIT_ACCOUNT "/c");
    out = sources(kit, "jobs", 2, out->next_token);
    assert_int_equal(out->queue_urls.count, 1);
    assert_str(out->queue_urls.items[0], KIT_ENDPOINT "/" KIT_ACCOUNT "/d");
    assert_null(out->next_token.ptr);
    assert_int_equal(sources(kit, "jobs", 0, STR_NONE)->queue_urls.count, 3);
    assert_null(sources(kit, "jobs", 1001, STR_NONE));
    assert_null(sources(kit, "jobs", -1, STR_NONE));
    assert_null(sources(kit, "jobs", 1, STR("#")));
    expect_error(kit, (int)kit->request.error.code, SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Invalid or expired next token.");
    assert_null(sources(kit, "nosuch", 0, STR_NONE));
    assert_int_equal(kit_set(kit, "a", "RedrivePolicy", "", NULL), 0);
    assert_int_equal(sources(kit, "jobs", 0, STR_NONE)->queue_urls.count, 2);
}

/* ---- attributes ---- */

#define BOTH_TEXT                                                                                  \
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS " \
    "SSE or SQS SSE."

static void test_encryption(void **state)
{
    struct kit *kit = *state;
    assert_str(kit_get(kit, "jobs", "SqsManagedSseEnabled"), "true");
    assert_int_equal(kit_set(kit, "jobs", "SqsManagedSseEnabled", "TRUE", NULL), 0);
    assert_str(kit_get(kit, "jobs", "SqsManagedSseEnabled"), "true");
    expect_error(kit,
                 kit_set(kit, "jobs", "KmsMasterKeyId", "k", "SqsManagedSseEnabled", "true", NULL),
                 SQS_ERROR_INVALID_ATTRIBUTE_NAME, BOTH_TEXT);
    expect_error(
        kit, kit_create(kit, "new", "KmsMasterKeyId", "k", "SqsManagedSseEnabled", "true", NULL),
        SQS_ERROR_INVALID_ATTRIBUTE_NAME, BOTH_TEXT);
    /* A key flips the other kind off; asking for that one then is a contradiction. */
    assert_int_equal(
        kit_set(kit, "jobs", "KmsMasterKeyId", "k", "KmsDataKeyReusePeriodSeconds", "0600", NULL),
        0);
    assert_str(kit_get(kit, "jobs", "SqsManagedSseEnabled"), "false");
    assert_str(kit_get(kit, "jobs", "KmsMasterKeyId"), "k");
    assert_str(kit_get(kit, "jobs", "KmsDataKeyReusePeriodSeconds"), "600");
    expect_error(kit, kit_set(kit, "jobs", "SqsManagedSseEnabled", "true", NULL),
                 SQS_ERROR_INVALID_ATTRIBUTE_NAME, BOTH_TEXT);
    assert_int_equal(kit_set(kit, "jobs", "SqsManagedSseEnabled", "false", NULL), 0);
    /* The default period and an empty key are the same as none. */
    assert_int_equal(kit_set(kit, "jobs", "KmsMasterKeyId", "", "KmsDataKeyReusePeriodSeconds",
                             "300", "SqsManagedSseEnabled", "true", NULL),
                     0);
    assert_null(kit_get(kit, "jobs", "KmsMasterKeyId").ptr);
    assert_null(kit_get(kit, "jobs", "KmsDataKeyReusePeriodSeconds").ptr);
    assert_str(kit_get(kit, "jobs", "SqsManagedSseEnabled"), "true");
    assert_int_equal(kit_create(kit, "jobs", "KmsMasterKeyId", "", "KmsDataKeyReusePeriodSeconds",
                                "300", "SqsManagedSseEnabled", "True", NULL),
                     0);
    assert_int_equal(kit_create(kit, "jobs", "VisibilityTimeout", "030", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", "KmsMasterKeyId", "k", NULL),
                     SQS_ERROR_QUEUE_NAME_EXISTS);
}

static void test_attributes_of_fifo_queues(void **state)
{
    struct kit *kit = *state;
    expect_error(kit, kit_set(kit, "jobs", "FifoQueue", "true", NULL),
                 SQS_ERROR_INVALID_ATTRIBUTE_NAME, "Unknown Attribute FifoQueue.");
    expect_error(kit, kit_set(kit, "jobs", "DeduplicationScope", "queue", NULL),
                 SQS_ERROR_INVALID_ATTRIBUTE_NAME,
                 "You can specify the DeduplicationScope only when FifoQueue is set to true.");
    assert_null(kit_get(kit, "jobs", "FifoQueue").ptr);
    assert_null(kit_get(kit, "jobs", "DeduplicationScope").ptr);
    assert_int_equal(kit_create(kit, "jobs.fifo", "FifoQueue", "true", NULL), 0);
    assert_str(kit_get(kit, "jobs.fifo", "FifoQueue"), "true");
    assert_str(kit_get(kit, "jobs.fifo", "ContentBasedDeduplication"), "false");
    assert_str(kit_get(kit, "jobs.fifo", "DeduplicationScope"), "queue");
    assert_str(kit_get(kit, "jobs.fifo", "FifoThroughputLimit"), "perQueue");
    expect_error(kit, kit_set(kit, "jobs.fifo", "FifoThroughputLimit", "perMessageGroupId", NULL),
                 SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
                 "Invalid value for the parameter FifoThroughputLimit. Reason: The "
                 "perMessageGroupId value is allowed only when the value for DeduplicationScope is "
                 "messageGroup.");
    assert_int_equal(kit_set(kit, "jobs.fifo", "FifoThroughputLimit", "perMessageGroupId",
                             "DeduplicationScope", "messageGroup", NULL),
                     0);
    assert_int_equal(kit_set(kit, "jobs.fifo", "DeduplicationScope", "queue", NULL),
                     SQS_ERROR_INVALID_ATTRIBUTE_VALUE);
    assert_int_equal(kit_set(kit, "jobs.fifo", "FifoQueue", "true", NULL), 0);
    expect_error(kit, kit_set(kit, "jobs.fifo", "FifoQueue", "false", NULL),
                 SQS_ERROR_INVALID_ATTRIBUTE_VALUE,
                 "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not "
                 "supported.");
    expect_error(kit, kit_set(kit, "jobs.fifo", REDRIVE("jobs"), NULL),
                 SQS_ERROR_INVALID_PARAMETER_VALUE,
                 "Value {\"deadLetterTargetArn\":\"" ARN_OF(
                     "jobs") "\",\"maxReceiveCount\":1} for "
                             "parameter RedrivePolicy is invalid. Reason: Dead-letter queue must "
                             "be same type "
                             "of queue as the source.");
}

/* ---- sixty seconds ---- */

#define DELETED_TEXT                                                                               \
    "You must wait 60 seconds after deleting a queue before you can create another with the same " \
    "name."

static void test_sixty_second_rules(void **state)
{
    struct kit *kit = *state;
    /* They do not hold by themselves. */
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);

    kit->sixty_second_rules = true;
    kit_reopen(kit);
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    kit->now_ms += 59999;
    assert_int_equal(kit_send(kit, "jobs", "x", -1), 0);
    expect_error(kit, kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"),
                 SQS_ERROR_PURGE_QUEUE_IN_PROGRESS,
                 "Only one PurgeQueue operation on jobs is allowed every 60 seconds.");
    assert_int_equal(kit_visible(kit, "jobs"), 1);
    kit->now_ms += 1;
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_visible(kit, "jobs"), 0);

    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "jobs"), 0);
    kit->now_ms += 59999;
    expect_error(kit, kit_create(kit, "jobs", NULL), SQS_ERROR_QUEUE_DELETED_RECENTLY,
                 DELETED_TEXT);
    assert_int_equal(kit_create(kit, "other", NULL), 0);
    kit->now_ms += 1;
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "jobs"),
                     0); /* one name is waited for */
}

static void test_sixty_second_rules_and_transactions(void **state)
{
    struct kit *kit = *state;
    kit->sixty_second_rules = true;
    kit_reopen(kit);
    struct sqs_queue_in named = {.queue_url = kit_url(kit, "jobs")};
    struct sqs_create_queue_in create = {.queue_name = STR("jobs")};
    struct store_request requests[] = {
        {.action = SQS_PURGE_QUEUE, .input = &named, .arena = &kit->arena},
        {.action = SQS_DELETE_QUEUE, .input = &named, .arena = &kit->arena},
        {.action = SQS_CREATE_QUEUE, .input = &create, .arena = &kit->arena},
    };
    kit_begin(kit);
    for (size_t i = 0; i < SL_COUNT(requests); i++) {
        assert_int_equal(engine_run(&kit->engine, &requests[i]), 0);
    }
    assert_int_equal(requests[1].error.code, 0);
    assert_int_equal(requests[2].error.code, SQS_ERROR_QUEUE_DELETED_RECENTLY);
    engine_rollback(&kit->engine);
    /* Neither happened. */
    assert_int_equal(kit_queue_action(kit, SQS_PURGE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_queue_action(kit, SQS_DELETE_QUEUE, "jobs"), 0);
    assert_int_equal(kit_create(kit, "jobs", NULL), SQS_ERROR_QUEUE_DELETED_RECENTLY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tags, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_tags_have_a_limit, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_create_with_tags, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_permissions, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_transaction_takes_the_permission_back, setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(test_dead_letter_sources, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_encryption, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_attributes_of_fifo_queues, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_sixty_second_rules, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_sixty_second_rules_and_transactions, setup,
                                        kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
