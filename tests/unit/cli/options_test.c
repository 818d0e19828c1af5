/* The one parser of options: kinds, places, and what is said about a mistake. */
#include "cli/options.h"

#include "sluice/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

struct values {
    const char *text;
    struct cli_texts texts;
    struct cli_number number;
    bool flag;
    int taken;
};

static int take(const struct cli_option *option, const char *value)
{
    *(int *)option->ret = option->id;
    return strcmp(value, "good") == 0 ? 0 : -1;
}

static int parse(struct values *v, struct cli_words *words, struct error *e, const char *line)
{
    static char buffer[512]; /* words point into it */
    static char *argv[80];
    const struct cli_option options[] = {
        {.name = "text", .letter = 't', .kind = CLI_TEXT, .ret = &v->text, .wanted = "a word"},
        {.name = "texts", .kind = CLI_TEXTS, .ret = &v->texts},
        {.name = "number",
         .letter = 'n',
         .kind = CLI_NUMBER,
         .ret = &v->number,
         .min = 1,
         .max = 9},
        {.name = "flag", .letter = 'f', .kind = CLI_FLAG, .ret = &v->flag},
        {.name = "taken",
         .kind = CLI_TAKEN,
         .ret = &v->taken,
         .id = 7,
         .take = take,
         .wanted = "good"},
    };
    int argc = 0;
    char *at = buffer;
    *v = (struct values){.text = NULL};
    *e = (struct error){.code = 0};
    str_copy(buffer, sizeof(buffer), str_from(line));
    for (char *end = at; end != NULL; at = end + 1) {
        end = strchr(at, ' ');
        argv[argc++] = at;
        if (end == NULL) {
            break;
        }
        *end = '\0';
    }
    argv[argc] = NULL;
    return cli_options_parse(argc, argv, options, SL_COUNT(options), words, e);
}

static void test_kinds(void **state)
{
    struct values v;
    struct cli_words words;
    struct error e;
    (void)state;
    assert_int_equal(
        parse(&v, &words, &e, "x one --text=a -n 9 two -f --texts b --texts c --taken good"), 0);
    assert_string_equal(v.text, "a");
    assert_true(v.number.set && v.number.value == 9 && v.flag && !words.help);
    assert_int_equal(v.texts.count, 2);
    assert_string_equal(v.texts.items[1], "c");
    assert_int_equal(v.taken, 7);
    assert_int_equal(words.count, 2);
    assert_string_equal(words.items[0], "one");
    assert_string_equal(words.items[1], "two");
    assert_int_equal(parse(&v, &words, &e, "x -- --text -"), 0);
    assert_int_equal(words.count, 2);
    assert_string_equal(words.items[0], "--text");
    assert_int_equal(parse(&v, &words, &e, "x"), 0);
    assert_true(words.count == 0 && v.text == NULL && !v.number.set);
    assert_int_equal(parse(&v, &words, &e, "x -h"), 0);
    assert_true(words.help);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"x --nonsense", "unknown option --nonsense"},
        {"x --text", "--text needs a value"},
        {"x -t", "-t needs a value"},
        {"x --text=", "--text \"\": give a word"},
        {"x --number 0", "--number \"0\": give a whole number from 1 to 9"},
        {"x -n 10", "--number \"10\": give a whole number from 1 to 9"},
        {"x -n nine", "--number \"nine\": give a whole number from 1 to 9"},
        {"x --taken bad", "--taken \"bad\": give good"},
    };
    struct values v;
    struct cli_words words;
    struct error e;
    char line[512] = "x";
    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        assert_int_equal(parse(&v, &words, &e, cases[i].line), ERR_INVALID);
        assert_string_equal(e.text, cases[i].text);
    }
    for (int i = 0; i <= CLI_TEXTS_MAX; i++) {
        size_t len = strlen(line);
        str_copy(line + len, sizeof(line) - len, STR(" --texts a"));
    }
    assert_int_equal(parse(&v, &words, &e, line), ERR_INVALID);
    assert_string_equal(e.text, "--texts is given more than 32 times");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
