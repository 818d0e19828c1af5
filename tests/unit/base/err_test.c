#include "unit.h"

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <errno.h>
#include <signal.h>

static void test_codes_have_distinct_names_and_texts(void **state)
{
    (void)state;
    static const int codes[] = {
#define XX(name, number, text, class) ERR_##name,
        SLUICE_ERR_MAP(XX)
#undef XX
    };
    for (size_t i = 0; i < SL_COUNT(codes); i++) {
        assert_true(codes[i] < 0);
        assert_string_not_equal(err_name(codes[i]), "UNKNOWN");
        assert_string_not_equal(err_text(codes[i]), "unknown error");
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
            assert_string_not_equal(err_name(codes[i]), err_name(codes[j]));
        }
    }
    assert_string_equal(err_name(ERR_TOO_BIG), "TOO_BIG");
    assert_int_equal(err_class(ERR_TOO_BIG), ERR_CLASS_PERMANENT);
    assert_int_equal(err_class(ERR_TIMEOUT), ERR_CLASS_TRANSIENT);
    assert_int_equal(err_class(ERR_CANCELED), ERR_CLASS_CANCELED);
    assert_int_equal(err_class(0), ERR_CLASS_NONE);
}

static void test_unknown_codes_are_harmless(void **state)
{
    (void)state;
    assert_string_equal(err_name(-9999), "UNKNOWN");
    assert_string_equal(err_text(17), "unknown error");
    assert_int_equal(err_class(-9999), ERR_CLASS_BUG);
}

static void test_errno(void **state)
{
    (void)state;
    assert_int_equal(err_from_errno(0), 0);
    assert_int_equal(err_from_errno(EACCES), ERR_DENIED);
    assert_int_equal(err_from_errno(ENOSPC), ERR_FULL);
    assert_int_equal(err_from_errno(EROFS), ERR_READ_ONLY);
    assert_int_equal(err_from_errno(ECONNREFUSED), ERR_CONNECT);
    assert_int_equal(err_from_errno(ECONNRESET), ERR_RESET);
    assert_int_equal(err_from_errno(EIO), ERR_IO);
    assert_int_equal(err_from_errno(99999), ERR_IO);
}

static void test_error_set(void **state)
{
    (void)state;
    struct error e;
    assert_int_equal(error_set(&e, ERR_RANGE, "limits.a", "%d is over %d", 7, 5), ERR_RANGE);
    assert_int_equal(e.code, ERR_RANGE);
    assert_string_equal(e.where, "limits.a");
    assert_string_equal(e.text, "7 is over 5");
    assert_int_equal(error_set(NULL, ERR_BUSY, NULL, "nobody listens"), ERR_BUSY);

    /* An outer layer adds to what an inner one said. */
    error_set(&e, e.code, e.where, "file: %s", e.text);
    assert_string_equal(e.where, "limits.a");
    assert_string_equal(e.text, "file: 7 is over 5");

    error_set(&e, ERR_BUSY, NULL, "%01000d", 1);
    assert_string_equal(e.where, "");
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void fail_assertion(void)
{
    SL_ASSERT(1 + 1 == 3);
}

static void test_assert_aborts(void **state)
{
    (void)state;
    SL_ASSERT(1 + 1 == 2);
    assert_int_equal(unit_end_of(fail_assertion), 128 + SIGABRT);
}

static void test_cut_at_a_character(void **state)
{
    struct error e;
    char text[sizeof(e.text) + 8];

    (void)state;
    for (size_t before = sizeof(e.text) - 5; before < sizeof(e.text); before++) {
        memset(text, 'x', before);
        (void)snprintf(text + before, 8, "\xe2\x80\xa6\xc3\xa9");
        (void)error_set(&e, ERR_INVALID, "", "%s", text);
        assert_true(str_is_utf8(str_from(e.text)));
        assert_true(strlen(e.text) >= sizeof(e.text) - 4);
        assert_int_equal(strncmp(e.text, text, strlen(e.text)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_have_distinct_names_and_texts),
        cmocka_unit_test(test_unknown_codes_are_harmless),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_error_set),
        cmocka_unit_test(test_assert_aborts),
        cmocka_unit_test(test_cut_at_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
