#include "unit/base/unit.h"

#include "sluice/flow/gate_headers.h"

#define MS  NS_PER_MS
#define S   NS_PER_S
#define NOW INT64_C(1767225600000) /* Thu, 01 Jan 2026 00:00:00 GMT */
#define CAP (900 * S)

/* "Name: value\nName: value" */
static struct gate_advice advice_of(const char *lines, bool retry_after)
{
    struct outcome_header headers[16];
    uint32_t count = 0;
    struct str rest = str_from(lines), line, name;

    while (str_next(&rest, '\n', &line)) {
        assert_true(str_next(&line, ':', &name) && count < SL_COUNT(headers));
        headers[count++] = (struct outcome_header){name, str_trim(line)};
    }
    return gate_headers_read(headers, count, retry_after, NOW, CAP);
}

struct gate_case {
    const char *lines;
    int64_t delay_ns; /* 0: no advice */
    const char *header;
};

static void check(const struct gate_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct gate_advice advice = advice_of(cases[i].lines, true);
        if (advice.delay_ns != cases[i].delay_ns ||
            (cases[i].header == NULL) != (advice.header == NULL)) {
            fail_msg("%s: %lld ns by %s", cases[i].lines, (long long)advice.delay_ns,
                     advice.header == NULL ? "none" : advice.header);
        }
        if (advice.header != NULL) {
            assert_string_equal(advice.header, cases[i].header);
        }
        assert_false(advice.capped);
    }
}

static void retry_after(void **state)
{
    static const struct gate_case cases[] = {
        {"Retry-After: 7", 7 * S, "Retry-After"},
        {"RETRY-AFTER: Thu, 01 Jan 2026 00:00:09 GMT", 9 * S, "Retry-After"},
        {"Retry-After: Wed, 31 Dec 2025 23:59:59 GMT", 0, NULL},
        {"Retry-After: 0", 0, NULL},
        {"Retry-After: soon", 0, NULL},
        {"Retry-After: 3\nRetry-After: 5\nRetry-After: 4", 5 * S, "Retry-After"},
        {"Retry-After: -3\nRetry-After: 2", 2 * S, "Retry-After"},
        {"X-Amz-Retry-After: 1500", 1500 * MS, "x-amz-retry-after"},
        {"x-amz-retry-after: -1", 0, NULL},
        {"x-amz-retry-after: 1.5", 0, NULL},
        {"Retry-After: 2\nx-amz-retry-after: 1500", 2 * S, "Retry-After"},
        {"Retry-After: 1\nx-amz-retry-after: 1500", 1500 * MS, "x-amz-retry-after"},
    };

    (void)state;
    check(cases, SL_COUNT(cases));
}

/* On a 202 it tells when to ask for the result; that is nobody's pause. */
static void retry_after_of_a_success(void **state)
{
    (void)state;
    struct gate_advice advice = advice_of("Retry-After: 7\nx-amz-retry-after: 9", false);
    assert_null(advice.header);
    assert_int_equal(advice.delay_ns, 0);
    advice = advice_of("Retry-After: 7\nRateLimit: \"a\";r=0;t=3", false);
    assert_string_equal(advice.header, "RateLimit");
    assert_int_equal(advice.delay_ns, 3 * S);
}

static void three_headers(void **state)
{
    static const struct gate_case cases[] = {
        {"RateLimit-Remaining: 0\nRateLimit-Reset: 30", 30 * S, "RateLimit-Reset"},
        {"RateLimit-Limit: 5\nRateLimit-Remaining: 1\nRateLimit-Reset: 30", 0, NULL},
        {"RateLimit-Remaining: 0", 0, NULL},
        {"RateLimit-Reset: 30", 0, NULL},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 12.25", 12250 * MS, "X-RateLimit-Reset"},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 0.0001", 1 * MS, "X-RateLimit-Reset"},
        {"x-ratelimit-reset: 1767225645\nx-ratelimit-remaining: 00", 45 * S, "X-RateLimit-Reset"},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1767225600.5", 500 * MS,
         "X-RateLimit-Reset"},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1767225601500", 1500 * MS,
         "X-RateLimit-Reset"},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1767225599", 0, NULL}, /* past */
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: Thu, 01 Jan 2026 00:00:09 GMT", 9 * S,
         "X-RateLimit-Reset"},
        {"X-Rate-Limit-Remaining: 0\nX-Rate-Limit-Reset: 4", 4 * S, "X-Rate-Limit-Reset"},
        /* families do not mix */
        {"X-RateLimit-Remaining: 0\nX-Rate-Limit-Reset: 4", 0, NULL},
        {"X-RateLimit-Remaining: 3\nX-RateLimit-Reset: 9\nRateLimit-Remaining: 0\nRateLimit-Reset: "
         "2",
         2 * S, "RateLimit-Reset"},
        /* what says nothing */
        {"X-RateLimit-Remaining: -1\nX-RateLimit-Reset: 30", 0, NULL},
        {"X-RateLimit-Remaining: none\nX-RateLimit-Reset: 30", 0, NULL},
        {"X-RateLimit-Remaining: 0, 4\nX-RateLimit-Reset: 30", 0, NULL},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Remaining: 4\nX-RateLimit-Reset: 30", 0, NULL},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", 30 * S,
         "X-RateLimit-Reset"},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: -30", 0, NULL},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1.", 0, NULL},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: .5", 0, NULL},
        {"X-RateLimit-Remaining:\nX-RateLimit-Reset:", 0, NULL},
        {"X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 3\nX-RateLimit-Reset: 8", 8 * S,
         "X-RateLimit-Reset"},
        /* Retry-After knows better */
        {"Retry-After: 2\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", 2 * S, "Retry-After"},
        {"Retry-After: 0\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 30", 30 * S,
         "X-RateLimit-Reset"},
    };

    (void)state;
    check(cases, SL_COUNT(cases));
}

static void one_header(void **state)
{
    static const struct gate_case cases[] = {
        {"RateLimit: limit=5, remaining=0, reset=30", 30 * S, "RateLimit-Reset"},
        {"ratelimit: reset=30,remaining=0", 30 * S, "RateLimit-Reset"},
        {"RateLimit: limit=5;w=60, remaining=0;x=1, reset=30", 30 * S, "RateLimit-Reset"},
        {"RateLimit: limit=5, remaining=1, reset=30", 0, NULL},
        {"RateLimit: \"default\";r=0;t=30", 30 * S, "RateLimit"},
        {"RateLimit: \"default\" ; r=0 ; t=30", 30 * S, "RateLimit"},
        {"RateLimit: default;r=0;t=30", 30 * S, "RateLimit"},
        {"RateLimit: \"default\";r=50;t=30", 0, NULL},
        {"RateLimit: \"default\";r=0", 0, NULL},
        {"RateLimit: \"default\";t=30", 0, NULL},
        {"RateLimit: \"burst\";r=0;t=1, \"daily\";r=90;t=3600", 1 * S, "RateLimit"},
        {"RateLimit: \"burst\";r=0;t=1, \"daily\";r=0;t=600", 600 * S, "RateLimit"},
        {"RateLimit: \"burst\";r=9;t=1\nRateLimit: \"daily\";r=0;t=600", 600 * S, "RateLimit"},
        {"RateLimit: \"a, \\\";r=0;t=9\";r=3;t=4", 0, NULL}, /* all of it a name */
        {"RateLimit: \"a;r=0;t=9", 0, NULL},
        {"RateLimit: \"p\";r=0;t=5;pk=:cGsxOw==:", 5 * S, "RateLimit"},
        {"RateLimit: \"p\";r=0;r=5;t=5", 0, NULL},
        {"RateLimit: r=0;t=30", 0, NULL},
        {"RateLimit: \"p\";r=-1;t=5", 0, NULL},
        {"RateLimit: \"p\";r;t", 0, NULL},
        {"RateLimit: ,;,=,;=;", 0, NULL},
        {"RateLimit:", 0, NULL},
        {"RateLimit-Policy: \"p\";q=0;w=30", 0, NULL},
    };

    (void)state;
    check(cases, SL_COUNT(cases));
}

static void far_future_is_capped(void **state)
{
    static const char *const cases[] = {
        "Retry-After: 901",
        "Retry-After: 99999999999999999999999999",
        "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
        "x-amz-retry-after: 900001",
        "x-amz-retry-after: 99999999999999999999",
        "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 86400",
        "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 1767299999",
        "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 99999999999",
        "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 9223372036854775807",
        "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 99999999999999999999999.5",
        "RateLimit: \"p\";r=0;t=9223372036854775807",
        "RateLimit: remaining=0, reset=901",
    };

    (void)state;
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct gate_advice advice = advice_of(cases[i], true);
        if (advice.delay_ns != CAP || !advice.capped) {
            fail_msg("%s: %lld ns", cases[i], (long long)advice.delay_ns);
        }
    }
    struct gate_advice exact = advice_of("Retry-After: 900", true);
    assert_int_equal(exact.delay_ns, CAP);
    assert_false(exact.capped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after),          cmocka_unit_test(retry_after_of_a_success),
        cmocka_unit_test(three_headers),        cmocka_unit_test(one_header),
        cmocka_unit_test(far_future_is_capped),
    };

    return cmocka_run_group_tests_name("gate_headers", tests, NULL, NULL);
}
