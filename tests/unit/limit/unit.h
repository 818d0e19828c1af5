/*
 * unit: what the tests of this area share: cmocka with its includes, limits of a line, and the
 * questions that tests ask of a verdict.
 */
#ifndef SLUICE_TESTS_UNIT_LIMIT_UNIT_H
#define SLUICE_TESTS_UNIT_LIMIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/rng.h"
#include "sluice/limit/concurrency.h"
#include "sluice/limit/limit.h"

#include <string.h>

#define MS NS_PER_MS
#define S  NS_PER_S

/* Not paced, no guard; starts at 0 and is cold until W + 1 s. */
static inline struct limit_config window_of(uint32_t requests, int64_t per_ns)
{
    return (struct limit_config){
        .kind = LIMIT_WINDOW, .requests = requests, .per_ns = per_ns, .max_flight_ns = S};
}

/* Cold until 1 s + one token. */
static inline struct limit_config bucket_of(uint32_t requests, int64_t per_ns, uint32_t burst)
{
    return (struct limit_config){.kind = LIMIT_BUCKET,
                                 .requests = requests,
                                 .per_ns = per_ns,
                                 .burst = burst,
                                 .max_flight_ns = S};
}

static inline struct limit *limit_at_zero(struct limit_config config)
{
    struct limit *limit = NULL;
    assert_int_equal(limit_new(&config, 0, &limit), 0);
    return limit;
}

static inline void assert_admits(struct limit *limit, uint32_t weight, mono_ns now)
{
    struct limit_verdict verdict = limit_check(limit, weight, now);
    assert_true(verdict.admit);
    assert_int_equal(verdict.reason, LIMIT_REASON_NONE);
}

static inline void assert_waits(struct limit *limit, uint32_t weight, mono_ns now,
                                enum limit_reason reason, mono_ns at)
{
    struct limit_verdict verdict = limit_check(limit, weight, now);
    assert_false(verdict.admit);
    assert_string_equal(limit_reason_name(verdict.reason), limit_reason_name(reason));
    assert_int_equal(verdict.at, at);
}

/* Admitted and taken, not arrived. */
static inline void start(struct limit *limit, uint32_t weight, mono_ns now)
{
    assert_admits(limit, weight, now);
    limit_take(limit, weight, now);
}

/* Started and arrived in the same moment. */
static inline void call(struct limit *limit, uint32_t weight, mono_ns now)
{
    start(limit, weight, now);
    limit_arrived(limit, weight, now, now);
}

#endif
