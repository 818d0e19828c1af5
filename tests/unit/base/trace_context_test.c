#include "unit.h"

#include "sluice/base/trace_context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void assert_parses_to(const char *text, const char *expected)
{
    struct trace_context context;
    char out[TRACE_PARENT_LEN + 1];
    assert_int_equal(trace_context_parse(str_from(text), &context), 0);
    trace_context_format(&context, out);
    assert_string_equal(out, expected);
}

static void test_accepted(void **state)
{
    (void)state;
    assert_parses_to("00-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-01");
    assert_parses_to("00-" TRACE "-" SPAN "-00", "00-" TRACE "-" SPAN "-00");
    /* Flags nobody has defined are not passed on. */
    assert_parses_to("00-" TRACE "-" SPAN "-ff", "00-" TRACE "-" SPAN "-03");
    /* Of a later version the known part is used. */
    assert_parses_to("cc-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-01");
    assert_parses_to("01-" TRACE "-" SPAN "-01-what-the-future-brings", "00-" TRACE "-" SPAN "-01");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-01 ",
        " 00-" TRACE "-" SPAN "-01",
        "cc-" TRACE "-" SPAN "-01.more",
        "ff-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-" TRACE "-" SPAN "-0A",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        "00_" TRACE "_" SPAN "_01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-" SPAN "-01",
    };
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        struct trace_context context = {.flags = 77};
        if (trace_context_parse(str_from(bad[i]), &context) != ERR_SYNTAX || context.flags != 77) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
}

static void test_new_and_child(void **state)
{
    (void)state;
    struct trace_context a, b;
    trace_context_new(&a);
    trace_context_new(&b);
    assert_memory_not_equal(a.trace_id, b.trace_id, sizeof(a.trace_id));
    assert_memory_not_equal(a.span_id, b.span_id, sizeof(a.span_id));
    char text[TRACE_PARENT_LEN + 1];
    trace_context_format(&a, text);
    assert_int_equal(strlen(text), TRACE_PARENT_LEN);
    assert_string_equal(text + 52, "-01");
    assert_int_equal(trace_context_parse(str_from(text), &b), 0);
    assert_memory_equal(&a, &b, sizeof(a));

    a.flags = 0;
    struct trace_context child = trace_context_child(&a);
    assert_memory_equal(child.trace_id, a.trace_id, sizeof(a.trace_id));
    assert_memory_not_equal(child.span_id, a.span_id, sizeof(a.span_id));
    assert_int_equal(child.flags, 0); /* not sampled stays not sampled */
}

#define ROOT "1-4bf92f35-77b34da6a3ce929d0e0e4736"

static void test_xray(void **state)
{
    static const struct {
        const char *header, *parent; /* NULL: a new one */
        int flags;
    } rows[] = {
        {"Root=" ROOT ";Parent=00f067aa0ba902b7;Sampled=1", "00f067aa0ba902b7", 1},
        {"Root=" ROOT ";Parent=00f067aa0ba902b7;Sampled=0", "00f067aa0ba902b7", 0},
        {"Sampled=?; Parent=00f067aa0ba902b7; Root=" ROOT "; Lineage=1:abc:0", "00f067aa0ba902b7",
         1},
        {"Self=1-0-0;Root=" ROOT, NULL, 1},
        {"Root=" ROOT ";Parent=none", NULL, 1},
        {"Root=" ROOT ";Parent=0000000000000000;Sampled=0", NULL, 0},
    };
    static const char *const wrong[] = {"",
                                        "Root=",
                                        "Root=1-4bf92f35-77b34da6a3ce929d0e0e473",
                                        "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736",
                                        "Root=1-4bf92f35+77b34da6a3ce929d0e0e4736",
                                        "Root=1-4BF92F35-77b34da6a3ce929d0e0e4736",
                                        "Root=1-00000000-000000000000000000000000",
                                        "Parent=00f067aa0ba902b7;Sampled=1",
                                        ROOT};
    struct trace_context c;
    char text[TRACE_XRAY_LEN + 1], parent[TRACE_PARENT_LEN + 1];

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_int_equal(trace_context_parse_xray(str_from(rows[i].header), &c), 0);
        trace_context_format(&c, parent);
        assert_memory_equal(parent + 3, "4bf92f3577b34da6a3ce929d0e0e4736", 32);
        if (rows[i].parent != NULL) {
            assert_memory_equal(parent + 36, rows[i].parent, 16);
        }
        assert_int_equal(c.flags, rows[i].flags);
    }
    trace_context_format_xray(&c, text);
    assert_int_equal(strlen(text), TRACE_XRAY_LEN);
    assert_memory_equal(text, "Root=" ROOT ";Parent=", 48);
    assert_string_equal(text + 64, ";Sampled=0");
    for (size_t i = 0; i < SL_COUNT(wrong); i++) {
        assert_int_equal(trace_context_parse_xray(str_from(wrong[i]), &c), ERR_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xray),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_new_and_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
