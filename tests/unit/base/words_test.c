#include "unit.h"

#include "sluice/base/words.h"

static void expect(const char *line, const char *const *wanted)
{
    struct arena arena;
    struct str words[WORDS_MAX];
    uint32_t count = 0, i = 0;

    arena_init(&arena, 65536);
    assert_int_equal(words_split(str_from(line), &arena, words, &count), 0);
    for (; wanted[i] != NULL; i++) {
        assert_true(i < count);
        assert_str(words[i], wanted[i]);
        assert_int_equal(words[i].ptr[words[i].len], '\0');
    }
    assert_int_equal(count, i);
    arena_done(&arena);
}

/* As Python's shlex.split has them. */
static void test_words(void **state)
{
    (void)state;
    expect("", (const char *const[]){NULL});
    expect("  a  b\tc\n", (const char *const[]){"a", "b", "c", NULL});
    expect("a 'b c' \"d e\"", (const char *const[]){"a", "b c", "d e", NULL});
    expect("a'b'\"c\"d", (const char *const[]){"abcd", NULL});
    expect("''", (const char *const[]){"", NULL});
    expect("a\\ b \\\\ \\'", (const char *const[]){"a b", "\\", "'", NULL});
    expect("'a\\b' \"a\\b\" \"a\\\"b\\\\\"", (const char *const[]){"a\\b", "a\\b", "a\"b\\", NULL});
    expect("# a", (const char *const[]){"#", "a", NULL});
}

static void test_bad_words(void **state)
{
    struct arena arena;
    struct str words[WORDS_MAX];
    uint32_t count = 7;
    char many[2 * WORDS_MAX + 4] = "";

    (void)state;
    arena_init(&arena, 65536);
    assert_int_equal(words_split(STR("'a"), &arena, words, &count), ERR_SYNTAX);
    assert_int_equal(words_split(STR("a \"b\\\""), &arena, words, &count), ERR_SYNTAX);
    assert_int_equal(words_split(STR("a\\"), &arena, words, &count), ERR_SYNTAX);
    for (size_t i = 0; i < WORDS_MAX + 1; i++) {
        many[2 * i] = 'x';
        many[2 * i + 1] = ' ';
    }
    assert_int_equal(words_split(str_from(many), &arena, words, &count), ERR_TOO_BIG);
    assert_int_equal(count, 7);
    arena_done(&arena);
    arena_init(&arena, 16);
    assert_int_equal(words_split(str_from(many), &arena, words, &count), ERR_NOMEM);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_bad_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
