/* All regions are one namespace: answers speak of the region that the request names. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define ABROAD               "eu-west-1"
#define ARN_IN(region, name) "arn:aws:sqs:" region ":" KIT_ACCOUNT ":" name
#define POLICY_IN(region)                                                                          \
    "{\"deadLetterTargetArn\":\"" ARN_IN(region, "dead") "\",\"maxReceiveCount\":1}"

static int setup(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    kit_init(kit);
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    *state = kit;
    return 0;
}

static void the_arn_is_of_the_requests_region(void **state)
{
    struct kit *kit = *state;
    assert_str(kit_get(kit, "jobs", "QueueArn"), ARN_IN(KIT_REGION, "jobs"));
    kit->region = ABROAD;
    assert_str(kit_get(kit, "jobs", "QueueArn"), ARN_IN(ABROAD, "jobs"));
    kit->region = "";
    assert_str(kit_get(kit, "jobs", "QueueArn"), ARN_IN(KIT_REGION, "jobs"));
}

static void policies_name_either_region(void **state)
{
    struct kit *kit = *state;
    /* Without a region only the configured one. */
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY_IN(ABROAD), NULL),
                     SQS_ERROR_INVALID_PARAMETER_VALUE);
    kit->region = "ap-south-1";
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY_IN(ABROAD), NULL),
                     SQS_ERROR_INVALID_PARAMETER_VALUE);
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY_IN(KIT_REGION), NULL), 0);
    assert_str(kit_get(kit, "jobs", "RedrivePolicy"), POLICY_IN("ap-south-1"));
    kit->region = ABROAD;
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY_IN(ABROAD), NULL), 0);
    assert_str(kit_get(kit, "jobs", "RedrivePolicy"), POLICY_IN(ABROAD));
    /* The same value whatever the region: creating it again is no conflict. */
    assert_int_equal(kit_create(kit, "jobs", "RedrivePolicy", POLICY_IN(ABROAD), NULL), 0);
    kit->region = NULL;
    assert_str(kit_get(kit, "jobs", "RedrivePolicy"), POLICY_IN(KIT_REGION));
    assert_int_equal(kit_create(kit, "jobs", "RedrivePolicy", POLICY_IN(KIT_REGION), NULL), 0);
    kit_reopen(kit);
    kit->region = ABROAD;
    assert_str(kit_get(kit, "jobs", "RedrivePolicy"), POLICY_IN(ABROAD));
}

static void an_allow_policy_means_queues_of_any_region(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, "dead", "RedriveAllowPolicy",
                             "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"" ARN_IN(
                                 ABROAD, "jobs") "\"]}",
                             NULL),
                     0);
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY_IN(KIT_REGION), NULL), 0);
    kit->region = ABROAD;
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY_IN(ABROAD), NULL), 0);
    assert_int_equal(kit_create(kit, "other", "RedrivePolicy", POLICY_IN(ABROAD), NULL),
                     SQS_ERROR_INVALID_PARAMETER_VALUE);
}

static void a_dead_letter_tells_its_source_in_the_region(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, "jobs", "RedrivePolicy", POLICY_IN(KIT_REGION), NULL), 0);
    assert_int_equal(kit_send(kit, "jobs", "b", -1), 0);
    assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 1);
    assert_int_equal(kit_receive(kit, "jobs", 1, 0)->messages.count, 0);
    const struct sqs_receive_out *got = kit_receive(kit, "dead", 1, 0);
    assert_int_equal(got->messages.count, 1);
    assert_str(kit_system(&got->messages.items[0], "DeadLetterQueueSourceArn"),
               ARN_IN(KIT_REGION, "jobs"));
    kit->region = ABROAD;
    got = kit_receive(kit, "dead", 1, 0);
    assert_int_equal(got->messages.count, 1);
    assert_str(kit_system(&got->messages.items[0], "DeadLetterQueueSourceArn"),
               ARN_IN(ABROAD, "jobs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_arn_is_of_the_requests_region, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(policies_name_either_region, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(an_allow_policy_means_queues_of_any_region, setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(a_dead_letter_tells_its_source_in_the_region, setup,
                                        kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
