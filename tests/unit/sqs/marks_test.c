/* What a dead letter says of itself: added as far as there is room, replaced the second time. */
#include "sluice/sqs/marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define ROOM ((size_t)1 << 20)

static const struct sqs_marks full = {
    .values = {
        [SQS_MARK_REASON] = {"refused", 7},
        [SQS_MARK_STATUS] = {"422", 3},
        [SQS_MARK_ERROR] = {"422", 3},
        [SQS_MARK_ATTEMPTS] = {"1", 1},
        [SQS_MARK_LAST_ATTEMPT] = {"2026-01-02T03:04:05.678Z", 24},
        [SQS_MARK_FIRST_ATTEMPT] = {"2026-01-02T03:04:05.678Z", 24},
        [SQS_MARK_ROUTE] = {"createjob", 9},
        [SQS_MARK_QUEUE] = {"jobs", 4},
    }};

static int setup(void **state)
{
    struct arena *arena = MEM_NEW(struct arena);
    arena_init(arena, ROOM);
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    arena_done(*state);
    free(*state);
    return 0;
}

static struct sqs_attributes theirs(struct arena *arena, uint32_t count)
{
    struct sqs_attributes ret = {arena_alloc(arena, (count + 1) * sizeof(*ret.items)), count, true};
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "theirs%u", i);
        ret.items[i] =
            (struct sqs_attribute){.name = {arena_dup(arena, name, (size_t)len), (size_t)len},
                                   .data_type = STR("String"),
                                   .string_value = STR("x")};
    }
    return ret;
}

static struct str value_of(const struct sqs_attributes *attributes, const char *name)
{
    struct str found = STR_NONE;
    for (uint32_t i = 0; i < attributes->count; i++) {
        if (str_equal(attributes->items[i].name, str_from(name))) {
            assert_null(found.ptr); /* once */
            found = attributes->items[i].string_value;
        }
    }
    return found;
}

static void test_all_of_them(void **state)
{
    struct sqs_attributes none = {NULL, 0, false};
    struct sqs_attributes got;
    assert_int_equal(sqs_marks_add(&none, &full, ROOM, *state, &got), 0);
    assert_int_equal(got.count, SQS_MARK__COUNT);
    assert_true(str_equal(value_of(&got, "Sluice-Reason"), STR("refused")));
    assert_true(str_equal(value_of(&got, "Sluice-Queue"), STR("jobs")));
    for (uint32_t i = 0; i < got.count; i++) {
        bool number = str_equal(got.items[i].name, STR("Sluice-Status")) ||
                      str_equal(got.items[i].name, STR("Sluice-Attempts"));
        assert_true(str_equal(got.items[i].data_type, number ? STR("Number") : STR("String")));
    }
}

/* SQS takes ten attributes: the sender's stay, the most telling marks come in beside them. */
static void test_ten_at_most(void **state)
{
    for (uint32_t count = 0; count <= 10; count++) {
        struct sqs_attributes sent = theirs(*state, count);
        struct sqs_attributes got;
        uint32_t room = 10 - count < SQS_MARK__COUNT ? 10 - count : SQS_MARK__COUNT;
        assert_int_equal(sqs_marks_add(&sent, &full, ROOM, *state, &got), 0);
        assert_int_equal(got.count, count + room);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(str_equal(got.items[i].name, sent.items[i].name));
        }
        for (uint32_t i = 0; i < SQS_MARK__COUNT; i++) {
            struct str value = value_of(&got, sqs_mark_name((enum sqs_mark)i));
            assert_true((value.ptr != NULL) == (i < room));
        }
    }
}

static void test_replaced_the_second_time(void **state)
{
    struct sqs_attributes sent = theirs(*state, 4);
    struct sqs_attributes once;
    struct sqs_attributes twice;
    const struct sqs_marks expired = {
        .values = {[SQS_MARK_REASON] = STR("expired"), [SQS_MARK_QUEUE] = STR("others")}};
    assert_int_equal(sqs_marks_add(&sent, &full, ROOM, *state, &once), 0);
    assert_int_equal(once.count, 10);
    assert_int_equal(sqs_marks_add(&once, &expired, ROOM, *state, &twice), 0);
    assert_int_equal(twice.count, 6); /* what is not true any more is gone too */
    assert_true(str_equal(value_of(&twice, "Sluice-Reason"), STR("expired")));
    assert_true(str_equal(value_of(&twice, "Sluice-Queue"), STR("others")));
    assert_null(value_of(&twice, "Sluice-Status").ptr);
}

static void test_no_room(void **state)
{
    struct sqs_attributes sent = theirs(*state, 1); /* 7 + 6 + 1 bytes */
    struct sqs_attributes got;
    size_t reason = sizeof("Sluice-Reason") - 1 + sizeof("String") - 1 + sizeof("refused") - 1;
    assert_int_equal(sqs_marks_add(&sent, &full, 0, *state, &got), 0);
    assert_int_equal(got.count, 1); /* theirs stays whatever the room */
    assert_int_equal(sqs_marks_add(&sent, &full, 14 + reason, *state, &got), 0);
    assert_int_equal(got.count, 2);
    assert_true(str_equal(got.items[1].name, STR("Sluice-Reason")));
    assert_int_equal(sqs_marks_add(&sent, &full, 14 + reason - 1, *state, &got), 0);
    assert_null(value_of(&got, "Sluice-Reason").ptr); /* a smaller one may take its room */
}

static void test_no_text(void **state)
{
    struct sqs_attributes none = {NULL, 0, false};
    struct sqs_attributes got;
    const struct sqs_marks odd = {
        .values = {[SQS_MARK_ERROR] = STR("a\x01z"), [SQS_MARK_ROUTE] = STR("")}};
    assert_int_equal(sqs_marks_add(&none, &odd, ROOM, *state, &got), 0);
    assert_int_equal(got.count, 0);
    assert_false(got.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_of_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten_at_most, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced_the_second_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_text, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
