/* Fair queues: a noisy tenant of a standard queue does not make the others wait. */
#include "queue/fair.h"
#include "support/queue_kit.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

static int setup(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    kit_init(kit);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    *state = kit;
    return 0;
}

static void send_as(struct kit *kit, const char *tenant, const char *body)
{
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, "jobs"),
        .entry = {.body = kit_text(kit, body),
                  .group_id = tenant == NULL ? STR_NONE : kit_text(kit, tenant)},
    };
    assert_int_equal(kit_run(kit, SQS_SEND_MESSAGE, &in), 0);
    assert_null(((const struct sqs_send_result *)kit->request.output)->sequence_number.ptr);
}

static void send_many(struct kit *kit, const char *tenant, int count)
{
    for (int i = 0; i < count; i++) {
        send_as(kit, tenant, tenant);
    }
}

/* Whose message comes next; the message stays in flight. */
static struct str next_tenant(struct kit *kit)
{
    const struct sqs_receive_out *out = kit_receive(kit, "jobs", 1, 600);
    assert_int_equal(out->messages.count, 1);
    return out->messages.items[0].body;
}

static void assert_next(struct kit *kit, const char *tenant)
{
    struct str got = next_tenant(kit);
    assert_int_equal(got.len, strlen(tenant));
    assert_memory_equal(got.ptr, tenant, got.len);
}

static void test_without_noise_it_is_first_come_first_served(void **state)
{
    struct kit *kit = *state;
    static const char *const order[] = {"a", "b", NULL, "a", "c", NULL};
    for (size_t i = 0; i < SL_COUNT(order); i++) {
        send_as(kit, order[i], order[i] == NULL ? "-" : order[i]);
        kit->now_ms++;
    }
    for (size_t i = 0; i < SL_COUNT(order); i++) {
        assert_next(kit, order[i] == NULL ? "-" : order[i]);
    }
}

static void test_quiet_tenants_first(void **state)
{
    struct kit *kit = *state;
    send_many(kit, "noisy", 100);
    kit->now_ms++;
    send_as(kit, "quiet", "quiet");
    send_as(kit, NULL, "nobody");
    for (int i = 0; i < 29; i++) {
        assert_next(kit, "noisy"); /* fewer than 30 in flight: nobody is noisy */
    }
    assert_next(kit, "noisy"); /* the 30th */
    kit->now_ms++;
    send_as(kit, "late", "late");
    assert_next(kit, "nobody");
    assert_next(kit, "quiet");
    assert_next(kit, "late");
    assert_next(kit, "noisy"); /* work conserving: nobody else is there */
}

static void test_among_noisy_ones_the_fewest_in_flight(void **state)
{
    struct kit *kit = *state;
    send_many(kit, "x", 60);
    kit->now_ms++;
    send_many(kit, "y", 60);
    for (int i = 0; i < 30; i++) {
        assert_next(kit, "x");
    }
    for (int i = 0; i < 30; i++) {
        assert_next(kit, "y");
    }
    int counts[2] = {30, 30};
    for (int i = 0; i < 20; i++) {
        struct str got = next_tenant(kit);
        counts[str_equal(got, STR("y"))]++;
        assert_in_range(counts[0] - counts[1] + 1, 0, 2);
    }
}

static void test_noise_is_counted_anew_after_a_restart(void **state)
{
    struct kit *kit = *state;
    send_many(kit, "noisy", 60);
    for (int i = 0; i < 40; i++) {
        assert_next(kit, "noisy");
    }
    kit->now_ms++;
    send_as(kit, "quiet", "quiet");
    kit_reopen(kit);
    assert_next(kit, "quiet");
}

static void test_processing_time_counts(void **state)
{
    struct kit *kit = *state;
    send_many(kit, "slow", 3);
    kit->now_ms++;
    send_many(kit, "fast", 1);
    const struct sqs_receive_out *out = kit_receive(kit, "jobs", 1, 600);
    assert_true(str_equal(out->messages.items[0].body, STR("slow")));
    kit->now_ms += 50000;
    assert_int_equal(kit_delete(kit, "jobs", out->messages.items[0].receipt_handle), 0);
    assert_next(kit, "fast");
    assert_next(kit, "slow");
}

static void test_quiet_again(void **state)
{
    (void)state;
    struct fair *fair = fair_new();
    for (int i = 0; i < 30; i++) {
        fair_in(fair, -1);
    }
    assert_true(fair_is_noisy(fair, -1, 30, 1000));
    assert_false(fair_is_noisy(fair, -2, 30, 1000));
    fair_sent(fair, -1, 2000);
    for (int i = 0; i < 25; i++) {
        fair_out(fair, -1);
    }
    assert_true(fair_is_noisy(fair, -1, 100, 2000)); /* not at once */
    assert_true(fair_is_noisy(fair, -1, 100, 301999));
    assert_false(fair_is_noisy(fair, -1, 100, 302000)); /* five minutes after its last message */
    assert_int_equal(fair_in_flight(fair, -1), 5);
    fair_forget(fair, -1); /* its backlog is gone */
    assert_int_equal(fair_in_flight(fair, -1), 0);
    fair_free(fair);
}

static void test_bounded(void **state)
{
    (void)state;
    struct fair *fair = fair_new();
    for (int64_t key = -1; key >= -100000; key--) {
        for (int i = 0; i < 2; i++) {
            fair_in(fair, key);
        }
        fair_spent(fair, key, 1000, 1000);
        fair_out(fair, key);
        fair_out(fair, key);
    }
    int noisy = 0;
    for (int64_t key = -1; key >= -100000; key--) {
        noisy += fair_is_noisy(fair, key, 1, 1000);
    }
    assert_in_range(noisy, 0, FAIR_NOISY_MAX);
    fair_free(fair);
}

static void test_a_rollback_forgets_nothing_and_adds_nothing(void **state)
{
    struct kit *kit = *state;
    send_many(kit, "noisy", 40);
    for (int i = 0; i < 29; i++) {
        assert_next(kit, "noisy");
    }
    struct sqs_receive_in in = {.queue_url = kit_url(kit, "jobs"), .max_messages = {true, 10}};
    for (int i = 0; i < 3; i++) { /* taken, and not */
        struct store_request request = {.action = SQS_RECEIVE_MESSAGE,
                                        .input = &in,
                                        .endpoint = STR(KIT_ENDPOINT),
                                        .arena = &kit->arena,
                                        .wall = KIT_WALL};
        kit_begin(kit);
        assert_int_equal(engine_run(&kit->engine, &request), 0);
        assert_int_equal(((const struct sqs_receive_out *)request.output)->messages.count, 10);
        engine_rollback(&kit->engine);
    }
    kit->now_ms++;
    send_as(kit, "quiet", "quiet");
    assert_next(kit, "noisy"); /* still only 29 in flight */
    assert_next(kit, "quiet");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        T(without_noise_it_is_first_come_first_served),
        T(quiet_tenants_first),
        T(among_noisy_ones_the_fewest_in_flight),
        T(noise_is_counted_anew_after_a_restart),
        T(processing_time_counts),
        T(a_rollback_forgets_nothing_and_adds_nothing),
        cmocka_unit_test(test_quiet_again),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
