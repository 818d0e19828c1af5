/*
 * limit_kit: what the tests of this room share: cmocka with its includes, limits that start warm,
 * and verdicts in one line.
 */
#ifndef SLUICE_TESTS_UNIT_LIMIT_KIT_H
#define SLUICE_TESTS_UNIT_LIMIT_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/limit/limit.h"

#include <string.h>

#define MS NS_PER_MS
#define S  NS_PER_S

/* 5 per second, no guard, no pacer: times in the tests stay readable. */
static inline struct limit_config kit_window(uint32_t requests, int64_t per_ns)
{
    return (struct limit_config){
        .kind = LIMIT_WINDOW, .requests = requests, .per_ns = per_ns, .max_flight_ns = S};
}

static inline struct limit_config kit_bucket(uint32_t requests, int64_t per_ns, uint32_t burst)
{
    struct limit_config config = kit_window(requests, per_ns);
    config.kind = LIMIT_BUCKET;
    config.burst = burst;
    return config;
}

static inline struct limit *kit_limit(const struct limit_config *config, mono_ns now)
{
    struct limit *limit = NULL;
    assert_int_equal(limit_new(config, now, &limit), 0);
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

/* A call that is admitted at now. */
static inline void kit_send(struct limit *limit, uint32_t weight, mono_ns now)
{
    assert_admits(limit, weight, now);
    limit_take(limit, weight, now);
}

/* A call that is admitted at now and arrives at once. */
static inline void kit_call(struct limit *limit, uint32_t weight, mono_ns now)
{
    kit_send(limit, weight, now);
    limit_arrived(limit, weight, now, now);
}

#endif
