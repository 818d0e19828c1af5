#include "unit.h"

#include "sluice/base/mem.h"

#include <signal.h>
#include <stdalign.h>

static void test_new_is_zeroed(void **state)
{
    (void)state;
    struct thing {
        int a;
        void *b;
    };
    struct thing *one = MEM_NEW(struct thing);
    assert_int_equal(one->a, 0);
    assert_null(one->b);
    free(one);
    uint64_t *many = MEM_NEW_ARRAY(1000, uint64_t);
    for (int i = 0; i < 1000; i++) {
        assert_true(many[i] == 0);
    }
    free(many);
    void *nothing = mem_zalloc(0, 8);
    assert_non_null(nothing);
    free(nothing);
}

static void allocate_overflow(void)
{
    volatile size_t many = SIZE_MAX / 2;
    free(mem_zalloc(many, 16));
}

static void test_no_memory_aborts(void **state)
{
    (void)state;
#ifdef SLUICE_SANITIZED
    /* The sanitizer notices first and ends the process its own way. */
    assert_int_not_equal(unit_end_of(allocate_overflow), 0);
#else
    assert_int_equal(unit_end_of(allocate_overflow), 128 + SIGABRT);
#endif
}

static void test_dup(void **state)
{
    (void)state;
    char *copy = mem_dup("a\0b-and-more", 3);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = mem_dup(NULL, 0);
    assert_string_equal(copy, "");
    free(copy);
}

static void test_arena_alignment_and_zero(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t size = 0; size < 300; size++) {
        unsigned char *p = arena_alloc(&arena, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(p[i], 0);
            p[i] = 0xff; /* must not reach a neighbour: the next ones are checked for zero */
        }
    }
    char *copy = arena_dup(&arena, "request", 7);
    assert_string_equal(copy, "request");
    arena_done(&arena);
    arena_done(&arena);
}

static void test_arena_maximum(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 10000);
    assert_non_null(arena_alloc(&arena, 9000));
    assert_null(arena_alloc(&arena, 2000));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_dup(&arena, "", SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 900));
    assert_true(arena.used_bytes <= arena.max_bytes);
    arena_done(&arena);

    /* A byte costs at least a byte: the arena comes to its end. */
    arena_init(&arena, 64);
    size_t count = 0;
    while (arena_alloc(&arena, 1) != NULL) {
        count++;
    }
    assert_in_range(count, 1, 64);
    arena_done(&arena);
}

static void test_arena_small_pieces_use_the_block_after_a_large_one(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    char *first = arena_alloc(&arena, 16);
    assert_non_null(arena_alloc(&arena, 100000));
    char *second = arena_alloc(&arena, 16);
    assert_ptr_equal(second, first + 16);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_zeroed),
        cmocka_unit_test(test_no_memory_aborts),
        cmocka_unit_test(test_dup),
        cmocka_unit_test(test_arena_alignment_and_zero),
        cmocka_unit_test(test_arena_maximum),
        cmocka_unit_test(test_arena_small_pieces_use_the_block_after_a_large_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
