/* What the engine writes on a message that it moves to a dead-letter queue. */
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#define DLQ_ARN "arn:aws:sqs:" KIT_REGION ":" KIT_ACCOUNT ":dead"
#define POLICY  "{\"deadLetterTargetArn\":\"" DLQ_ARN "\",\"maxReceiveCount\":5}"

static const struct sqs_marks refused = {.values = {
                                             [SQS_MARK_REASON] = {"refused", 7},
                                             [SQS_MARK_STATUS] = {"422", 3},
                                             [SQS_MARK_ATTEMPTS] = {"2", 1},
                                         }};

static int setup(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    kit_init(kit);
    assert_int_equal(kit_create(kit, "dead", NULL), 0);
    assert_int_equal(kit_create(kit, "jobs", "RedrivePolicy", POLICY, NULL), 0);
    *state = kit;
    return 0;
}

/* A message with so many attributes a0, a1 … */
static void send_one(struct kit *kit, const char *body, uint32_t count)
{
    struct sqs_attribute items[10];
    char names[10][16];
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "a%u", i);
        items[i] = (struct sqs_attribute){.name = str_from(names[i]),
                                          .data_type = STR("Binary"),
                                          .binary_value = STR("\x01\x02")};
    }
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, "jobs"),
        .entry = {.body = kit_text(kit, body), .attributes = {items, count, count > 0}}};
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
}

static void dead_letter_one(struct kit *kit, const struct sqs_marks *marks)
{
    struct store_hold hold = kit_hold(kit, "jobs", 1);
    assert_int_equal(hold.count, 1);
    struct store_settle settle = {.queue = STR("jobs"),
                                  .row_id = hold.messages[0].row_id,
                                  .how = STORE_SETTLE_DEAD_LETTER,
                                  .marks = marks};
    assert_int_equal(kit_settle(kit, settle), 0);
}

static struct str attribute(const struct sqs_message *m, const char *name)
{
    for (uint32_t i = 0; i < m->attributes.count; i++) {
        if (str_equal(m->attributes.items[i].name, str_from(name))) {
            return m->attributes.items[i].string_value;
        }
    }
    return STR_NONE;
}

static void test_marked(void **state)
{
    struct kit *kit = *state;
    send_one(kit, "hello", 3);
    dead_letter_one(kit, &refused);
    kit_reopen(kit);
    const struct sqs_receive_out *got = kit_receive(kit, "dead", 1, 0);
    assert_int_equal(got->messages.count, 1);
    const struct sqs_message *m = &got->messages.items[0];
    assert_str(m->body, "hello");
    assert_int_equal(m->attributes.count, 6);
    assert_str(m->attributes.items[2].binary_value, "\x01\x02");
    assert_str(attribute(m, "Sluice-Reason"), "refused");
    assert_str(attribute(m, "Sluice-Status"), "422");
    assert_str(attribute(m, "Sluice-Attempts"), "2");
    assert_non_null(m->md5_of_attributes.ptr); /* a client checks it */
}

static void test_without_attributes_and_without_marks(void **state)
{
    struct kit *kit = *state;
    send_one(kit, "plain", 0);
    dead_letter_one(kit, &refused);
    send_one(kit, "unmarked", 2);
    dead_letter_one(kit, NULL);
    const struct sqs_receive_out *got = kit_receive(kit, "dead", 10, 0);
    assert_int_equal(got->messages.count, 2);
    assert_int_equal(got->messages.items[0].attributes.count, 3);
    assert_int_equal(got->messages.items[1].attributes.count, 2);
}

static void test_ten_attributes(void **state)
{
    struct kit *kit = *state;
    send_one(kit, "crowded", 9);
    dead_letter_one(kit, &refused);
    const struct sqs_message *m = &kit_receive(kit, "dead", 1, 0)->messages.items[0];
    assert_int_equal(m->attributes.count, 10);
    assert_str(attribute(m, "Sluice-Reason"), "refused");
    assert_null(attribute(m, "Sluice-Status").ptr);
}

/* The dead-letter queue's own maximum counts: the message is moved all the same. */
static void test_a_full_message(void **state)
{
    struct kit *kit = *state;
    char body[1025];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    assert_int_equal(kit_set(kit, "dead", "MaximumMessageSize", "1024", NULL), 0);
    send_one(kit, body, 0);
    dead_letter_one(kit, &refused);
    const struct sqs_message *m = &kit_receive(kit, "dead", 1, 0)->messages.items[0];
    assert_int_equal(m->body.len, 1024);
    assert_int_equal(m->attributes.count, 0);
}

static void check_expired(struct kit *kit)
{
    const struct sqs_receive_out *got = kit_receive(kit, "dead", 10, 0);
    assert_int_equal(got->messages.count, 1);
    const struct sqs_message *m = &got->messages.items[0];
    assert_int_equal(m->attributes.count, 4);
    assert_str(attribute(m, "Sluice-Reason"), "expired");
    assert_str(attribute(m, "Sluice-Queue"), "jobs");
}

static void test_expired_by_the_sweep(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, "jobs", "MessageRetentionPeriod", "60", NULL), 0);
    send_one(kit, "old", 2);
    kit->now_ms += 61000;
    kit_sweep(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 0);
    check_expired(kit);
}

static void test_expired_at_a_receive(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_set(kit, "jobs", "MessageRetentionPeriod", "60", NULL), 0);
    send_one(kit, "old", 2);
    kit->now_ms += 61000;
    assert_int_equal(kit_receive(kit, "jobs", 1, -1)->messages.count, 0);
    check_expired(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_marked, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_without_attributes_and_without_marks, setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(test_ten_attributes, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_a_full_message, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_expired_by_the_sweep, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_expired_at_a_receive, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
