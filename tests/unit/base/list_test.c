#include "unit.h"

#include "sluice/base/list.h"
#include "sluice/base/rng.h"

#include <signal.h>

struct thing {
    int number;
    struct list_node node;
};

static void assert_order(const struct list *list, const char *expected)
{
    char order[64] = "";
    size_t len = 0;
    LIST_FOR(list, node)
    {
        order[len++] = (char)('0' + LIST_ENTRY(node, struct thing, node)->number);
    }
    assert_string_equal(order, expected);
    assert_int_equal(list->count, len);
}

static void test_order(void **state)
{
    (void)state;
    struct thing t[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct list list;
    list_init(&list);
    assert_order(&list, "");
    assert_null(list_first(&list));
    assert_null(list_pop(&list));
    list_push(&list, &t[1].node);
    list_push(&list, &t[2].node);
    list_push_front(&list, &t[0].node);
    list_insert_before(&list, &t[2].node, &t[3].node);
    assert_order(&list, "0132");
    assert_true(list_is_linked(&t[3].node));
    assert_false(list_is_linked(&t[4].node));
    list_remove(&list, &t[1].node);
    assert_false(list_is_linked(&t[1].node));
    assert_order(&list, "032");
    assert_ptr_equal(list_first(&list), &t[0].node);
    assert_ptr_equal(list_pop(&list), &t[0].node);
    list_push(&list, &t[0].node);
    assert_order(&list, "320");
}

static void test_removal_while_walking(void **state)
{
    (void)state;
    struct thing t[6];
    struct list list, other;
    list_init(&list);
    list_init(&other);
    for (int i = 0; i < 6; i++) {
        t[i] = (struct thing){.number = i};
        list_push(&list, &t[i].node);
    }
    LIST_FOR(&list, node)
    {
        if (LIST_ENTRY(node, struct thing, node)->number % 2 == 0) {
            list_remove(&list, node);
            list_push(&other, node); /* one node, one place: it moves */
        }
    }
    assert_order(&list, "135");
    assert_order(&other, "024");
}

static void push_twice(void)
{
    struct thing t = {0};
    struct list a, b;
    list_init(&a);
    list_init(&b);
    list_push(&a, &t.node);
    list_push(&b, &t.node);
}

static void remove_twice(void)
{
    struct thing t = {0};
    struct list a;
    list_init(&a);
    list_push(&a, &t.node);
    list_remove(&a, &t.node);
    list_remove(&a, &t.node);
}

static void test_misuse_is_caught(void **state)
{
    (void)state;
    assert_int_equal(unit_end_of(push_twice), 128 + SIGABRT);
    assert_int_equal(unit_end_of(remove_twice), 128 + SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_removal_while_walking),
        cmocka_unit_test(test_misuse_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
