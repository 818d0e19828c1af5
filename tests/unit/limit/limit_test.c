#include "limit_kit.h"

#include "sluice/base/mem.h"
#include "sluice/base/rng.h"

#include <stdlib.h>

static const mono_ns t0 = 100 * S; /* when the limits of these tests are warm */

/* ---- configuration ---- */

static void test_reason_names(void **state)
{
    (void)state;
    assert_string_equal(limit_reason_name(LIMIT_REASON_NONE), "none");
    assert_string_equal(limit_reason_name(LIMIT_REASON_UNAVAILABLE), "unavailable");
    assert_string_equal(limit_reason_name(LIMIT_REASON__COUNT), "unknown");
}

static void assert_refused(const struct limit_config *config, const char *where)
{
    struct error e = {0};
    struct limit *limit = NULL;
    assert_int_equal(limit_config_check(config, &e), ERR_RANGE);
    assert_string_equal(e.where, where);
    assert_true(strlen(e.text) > 0);
    assert_int_equal(limit_new(config, 0, &limit), ERR_RANGE);
    assert_null(limit);
}

static void test_bad_configurations(void **state)
{
    (void)state;
    const struct limit_config good = kit_bucket(5, S, 10);
    struct limit_config bad = good;
    assert_int_equal(limit_config_check(&good, NULL), 0);
    bad.requests = 0;
    assert_refused(&bad, "requests");
    bad.requests = LIMIT_REQUESTS_MAX + 1;
    assert_refused(&bad, "requests");
    bad = good;
    bad.per_ns = 0;
    assert_refused(&bad, "per");
    bad.per_ns = -S;
    assert_refused(&bad, "per");
    bad.per_ns = LIMIT_PER_MAX_NS + 1;
    assert_refused(&bad, "per");
    bad = good;
    bad.guard_ns = -1;
    assert_refused(&bad, "guard");
    bad = good;
    bad.max_flight_ns = LIMIT_FLIGHT_MAX_NS + 1;
    assert_refused(&bad, "max_flight");
    bad = good;
    bad.burst = 0;
    assert_refused(&bad, "burst");
    bad.burst = LIMIT_REQUESTS_MAX + 1;
    assert_refused(&bad, "burst");
    bad = kit_bucket(1, LIMIT_PER_MAX_NS, 2); /* two years to fill */
    assert_refused(&bad, "burst");
    bad.kind = LIMIT_WINDOW; /* a window has no burst */
    assert_int_equal(limit_config_check(&bad, NULL), 0);
}

/* ---- window ---- */

static void test_start_is_cold(void **state)
{
    (void)state;
    struct limit_config config = kit_window(5, S);
    config.guard_ns = 10 * MS;
    struct limit *limit = kit_limit(&config, 7);
    const mono_ns warm = 7 + S + S + 10 * MS; /* max_flight + W + guard */
    assert_waits(limit, 1, 7, LIMIT_REASON_COLD, warm);
    assert_waits(limit, 5, warm - 1, LIMIT_REASON_COLD, warm);
    assert_int_equal(limit_free_permits(limit, warm - 1), 0);
    assert_admits(limit, 5, warm);
    assert_int_equal(limit_free_permits(limit, warm), 5);
    limit_free(limit);
    limit_free(NULL);
}

static void test_permit_is_held_until_arrival(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(2, S);
    struct limit *limit = kit_limit(&config, 0);
    kit_send(limit, 1, t0);
    kit_send(limit, 1, t0);
    assert_waits(limit, 1, t0 + 50 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, t0 + 50 * S, t0 + 50 * S);
    assert_waits(limit, 1, t0 + 50 * S, LIMIT_REASON_PERMIT, t0 + 51 * S);
    assert_waits(limit, 1, t0 + 51 * S - 1, LIMIT_REASON_PERMIT, t0 + 51 * S);
    assert_admits(limit, 1, t0 + 51 * S); /* half-open: W later is outside */
    assert_waits(limit, 2, t0 + 51 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_free(limit);
}

static void test_acknowledgements_out_of_order(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(3, S);
    struct limit *limit = kit_limit(&config, 0);
    for (int i = 0; i < 3; i++) {
        kit_send(limit, 1, t0);
    }
    limit_arrived(limit, 1, t0 + 300 * MS, t0 + 300 * MS);
    limit_arrived(limit, 1, t0 + 100 * MS, t0 + 400 * MS);
    limit_arrived(limit, 1, t0 + 200 * MS, t0 + 500 * MS);
    assert_waits(limit, 1, t0 + S, LIMIT_REASON_PERMIT, t0 + S + 100 * MS);
    assert_waits(limit, 2, t0 + S + 100 * MS, LIMIT_REASON_PERMIT, t0 + S + 200 * MS);
    kit_send(limit, 1, t0 + S + 100 * MS);
    assert_waits(limit, 1, t0 + S + 100 * MS, LIMIT_REASON_PERMIT, t0 + S + 200 * MS);
    kit_send(limit, 1, t0 + S + 200 * MS);
    assert_waits(limit, 1, t0 + S + 200 * MS, LIMIT_REASON_PERMIT, t0 + S + 300 * MS);
    limit_free(limit);
}

static void test_guard_is_added(void **state)
{
    (void)state;
    struct limit_config config = kit_window(1, S);
    config.guard_ns = 10 * MS;
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 1, t0);
    assert_waits(limit, 1, t0 + S, LIMIT_REASON_PERMIT, t0 + S + 10 * MS);
    assert_admits(limit, 1, t0 + S + 10 * MS);
    limit_free(limit);
}

static void test_unknown_outcome_holds(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(2, S);
    struct limit *limit = kit_limit(&config, 0);
    kit_send(limit, 1, t0);
    kit_call(limit, 1, t0);
    limit_unknown(limit, 1, t0 + 100 * MS, t0 + 200 * MS);
    kit_call(limit, 1, t0 + S);
    kit_call(limit, 1, t0 + 2 * S);
    assert_int_equal(limit_free_permits(limit, t0 + 2100 * MS - 1), 0);
    assert_admits(limit, 1, t0 + 2100 * MS); /* reset + max_flight + W */
    limit_free(limit);
}

static void test_refund_is_as_if_never_taken(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(2, S);
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 1, t0);
    kit_send(limit, 1, t0 + 1);
    limit_refund(limit, 1, t0 + 2);
    assert_int_equal(limit_free_permits(limit, t0 + 2), 1);
    kit_send(limit, 1, t0 + 2);
    assert_waits(limit, 1, t0 + 2, LIMIT_REASON_PERMIT, t0 + S);
    limit_free(limit);
}

static void test_weight(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(5, S);
    struct limit *limit = kit_limit(&config, 0);
    assert_waits(limit, 6, t0, LIMIT_REASON_PERMIT, MONO_NEVER);
    kit_call(limit, 3, t0);
    assert_waits(limit, 3, t0, LIMIT_REASON_PERMIT, t0 + S);
    kit_call(limit, 2, t0 + 10);
    assert_waits(limit, 1, t0 + 10, LIMIT_REASON_PERMIT, t0 + S);
    kit_call(limit, 2, t0 + S); /* two of the three */
    assert_int_equal(limit_free_permits(limit, t0 + S), 1);
    assert_waits(limit, 2, t0 + S, LIMIT_REASON_PERMIT, t0 + S + 10);
    assert_admits(limit, 3, t0 + S + 10);
    limit_free(limit);
}

static void test_gate(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(1, S);
    struct limit *limit = kit_limit(&config, 0);
    limit_gate(limit, t0 + 3 * S);
    limit_gate(limit, t0 + 2 * S); /* an earlier one changes nothing */
    assert_waits(limit, 1, t0, LIMIT_REASON_GATE, t0 + 3 * S);
    assert_waits(limit, 1, t0 + 3 * S - 1, LIMIT_REASON_GATE, t0 + 3 * S);
    kit_send(limit, 1, t0 + 3 * S);
    limit_gate(limit, t0 + 10 * S);
    assert_waits(limit, 1, t0 + 4 * S, LIMIT_REASON_PERMIT, MONO_NEVER); /* waits longer */
    limit_free(limit);
}

static void test_pacer_spreads(void **state)
{
    (void)state;
    struct limit_config config = kit_window(5, S);
    config.pace = true;
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 1, t0);
    /* One interval of 200 ms, half of which may be caught up with. */
    assert_waits(limit, 1, t0, LIMIT_REASON_PACER, t0 + 100 * MS);
    kit_call(limit, 1, t0 + 100 * MS);
    assert_waits(limit, 1, t0 + 100 * MS, LIMIT_REASON_PACER, t0 + 300 * MS);
    kit_send(limit, 1, t0 + 300 * MS);
    limit_refund(limit, 1, t0 + 300 * MS); /* the pacer keeps its charge */
    assert_waits(limit, 1, t0 + 300 * MS, LIMIT_REASON_PACER, t0 + 500 * MS);
    limit_free(limit);
}

static void test_interval_is_rounded_up(void **state)
{
    (void)state;
    struct limit_config config = kit_bucket(7, S, 1);
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 1, t0);
    assert_waits(limit, 1, t0, LIMIT_REASON_PERMIT, t0 + 142857143);
    assert_true(limit_pace_per_second(limit) > 6.999 && limit_pace_per_second(limit) < 7.001);
    limit_free(limit);
}

/* ---- time ---- */

static void test_time_never_goes_back(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(1, S);
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 1, t0);
    assert_waits(limit, 1, t0 - 50 * S, LIMIT_REASON_PERMIT, t0 + S);
    assert_admits(limit, 1, t0 + S);
    limit_take(limit, 1, t0 - 50 * S); /* an older reading counts as the newest one seen … */
    limit_arrived(limit, 1, t0 - 50 * S, t0 - 50 * S);
    assert_waits(limit, 1, t0 + S, LIMIT_REASON_PERMIT, t0 + 2 * S); /* … for what arrived, too */
    limit_free(limit);
}

static void test_old_reading_keeps_how_long_ago(void **state)
{
    (void)state;
    const struct limit_config config = kit_window(1, S);
    struct limit *limit = kit_limit(&config, 0);
    kit_send(limit, 1, t0);
    assert_waits(limit, 1, t0 + 500 * MS, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, t0 + 100 * MS, t0 + 300 * MS); /* 200 ms ago */
    assert_waits(limit, 1, t0 + 500 * MS, LIMIT_REASON_PERMIT, t0 + 1300 * MS);
    limit_free(limit);
}

static void test_far_times_do_not_overflow(void **state)
{
    (void)state;
    struct limit_config config = kit_window(1, LIMIT_PER_MAX_NS);
    config.guard_ns = LIMIT_FLIGHT_MAX_NS;
    config.max_flight_ns = LIMIT_FLIGHT_MAX_NS;
    config.pace = true;
    mono_ns late = INT64_MAX - 2 * LIMIT_FLIGHT_MAX_NS - LIMIT_PER_MAX_NS;
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 1, late);
    assert_waits(limit, 1, late, LIMIT_REASON_PERMIT,
                 late + LIMIT_PER_MAX_NS + LIMIT_FLIGHT_MAX_NS);
    mono_ns next = late + LIMIT_PER_MAX_NS + LIMIT_FLIGHT_MAX_NS;
    kit_send(limit, 1, next);
    limit_unknown(limit, 1, next, next); /* its time would lie beyond the end of time */
    assert_waits(limit, 1, next, LIMIT_REASON_PERMIT, MONO_NEVER);
    assert_int_equal(limit_free_permits(limit, INT64_MAX - 1), 0);
    limit_free(limit);
}

/* ---- resize of a window ---- */

static void test_resize_keeps_history(void **state)
{
    (void)state;
    struct limit_config config = kit_window(5, S);
    struct limit *limit = kit_limit(&config, 0);
    for (int i = 0; i < 5; i++) {
        kit_call(limit, 1, t0 + i * 100 * MS);
    }
    config.requests = 2;
    assert_int_equal(limit_resize(limit, &config, t0 + 500 * MS), 0);
    /* Of [t, t + W) at most 2 from now on: the newest two of before count. */
    assert_waits(limit, 1, t0 + 500 * MS, LIMIT_REASON_PERMIT, t0 + 1300 * MS);
    config.requests = 5;
    assert_int_equal(limit_resize(limit, &config, t0 + 600 * MS), 0);
    /* There and back gives nothing: what was forgotten counts as the newest of it. */
    assert_waits(limit, 1, t0 + 600 * MS, LIMIT_REASON_PERMIT, t0 + 1200 * MS);
    assert_int_equal(limit_free_permits(limit, t0 + 1200 * MS), 3);
    limit_free(limit);
}

static void test_resize_of_the_window_length(void **state)
{
    (void)state;
    struct limit_config config = kit_window(1, S);
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 1, t0);
    config.per_ns = 10 * S;
    assert_int_equal(limit_resize(limit, &config, t0 + 900 * MS), 0);
    assert_waits(limit, 1, t0 + S, LIMIT_REASON_PERMIT, t0 + 10 * S);
    config.per_ns = 2 * S;
    assert_int_equal(limit_resize(limit, &config, t0 + S), 0);
    assert_waits(limit, 1, t0 + S, LIMIT_REASON_PERMIT, t0 + 2 * S);
    assert_int_equal(limit_config(limit)->per_ns, 2 * S);
    limit_free(limit);
}

static void test_resize_while_calls_are_out(void **state)
{
    (void)state;
    struct limit_config config = kit_window(4, S);
    struct limit *limit = kit_limit(&config, 0);
    for (int i = 0; i < 4; i++) {
        kit_send(limit, 1, t0);
    }
    config.requests = 2;
    assert_int_equal(limit_resize(limit, &config, t0), 0);
    for (int i = 4; i > 0; i--) { /* the later they become known, the earlier they arrived */
        mono_ns known = t0 + (10 - i) * 10 * MS;
        limit_arrived(limit, 1, t0 + i * 10 * MS, known);
    }
    assert_int_equal(limit_free_permits(limit, t0 + 40 * MS + S - 1), 0);
    assert_int_equal(limit_free_permits(limit, t0 + 40 * MS + S), 2);
    limit_free(limit);
}

static void test_resize_refuses(void **state)
{
    (void)state;
    struct limit_config config = kit_window(5, S);
    struct limit *limit = kit_limit(&config, 0);
    struct limit_config other = kit_bucket(5, S, 1);
    assert_int_equal(limit_resize(limit, &other, 0), ERR_INVALID);
    other = config;
    other.requests = 0;
    assert_int_equal(limit_resize(limit, &other, 0), ERR_RANGE);
    assert_int_equal(limit_config(limit)->kind, LIMIT_WINDOW);
    assert_int_equal(limit_config(limit)->requests, 5);
    limit_free(limit);
}

static void test_resize_while_cold(void **state)
{
    (void)state;
    struct limit_config config = kit_window(1, S);
    struct limit *limit = kit_limit(&config, 0);
    config.requests = 10;
    assert_int_equal(limit_resize(limit, &config, 1), 0);
    assert_waits(limit, 1, 1, LIMIT_REASON_COLD, 2 * S);
    assert_admits(limit, 10, 2 * S);
    limit_free(limit);
}

/* ---- bucket ---- */

static void test_bucket_starts_empty(void **state)
{
    (void)state;
    struct limit_config config = kit_bucket(5, S, 10);
    config.guard_ns = 10 * MS;
    struct limit *limit = kit_limit(&config, 0);
    const mono_ns first = S + 10 * MS + 200 * MS; /* max_flight, guard, one token */
    assert_waits(limit, 1, 0, LIMIT_REASON_COLD, first);
    assert_waits(limit, 1, first - 1, LIMIT_REASON_COLD, first);
    kit_call(limit, 1, first);
    assert_int_equal(limit_free_permits(limit, t0), 10);
    assert_admits(limit, 10, t0);
    assert_waits(limit, 11, t0, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_free(limit);
}

static void test_bucket_burst_then_rate(void **state)
{
    (void)state;
    const struct limit_config config = kit_bucket(5, S, 3);
    struct limit *limit = kit_limit(&config, 0);
    for (int i = 0; i < 3; i++) {
        kit_call(limit, 1, t0);
    }
    for (int i = 1; i < 20; i++) {
        assert_waits(limit, 1, t0 + i * 200 * MS - 1, LIMIT_REASON_PERMIT, t0 + i * 200 * MS);
        kit_call(limit, 1, t0 + i * 200 * MS);
    }
    limit_free(limit);
}

static void test_bucket_counts_a_held_call_as_arriving_now(void **state)
{
    (void)state;
    const struct limit_config config = kit_bucket(5, S, 2);
    struct limit *limit = kit_limit(&config, 0);
    kit_send(limit, 1, t0);
    kit_send(limit, 1, t0);
    assert_waits(limit, 1, t0 + 9 * S, LIMIT_REASON_PERMIT, MONO_NEVER);
    limit_arrived(limit, 1, t0 + 9 * S, t0 + 9 * S);
    /* One token left, which the other call still may take. */
    assert_waits(limit, 1, t0 + 9 * S, LIMIT_REASON_PERMIT, t0 + 9 * S + 200 * MS);
    limit_refund(limit, 1, t0 + 9 * S);
    assert_admits(limit, 1, t0 + 9 * S);
    limit_free(limit);
}

static void test_bucket_unknown_outcome(void **state)
{
    (void)state;
    const struct limit_config config = kit_bucket(5, S, 1);
    struct limit *limit = kit_limit(&config, 0);
    kit_send(limit, 1, t0);
    limit_unknown(limit, 1, t0 + 100 * MS, t0 + 100 * MS);
    assert_waits(limit, 1, t0 + 100 * MS, LIMIT_REASON_PERMIT, t0 + 1100 * MS);
    assert_waits(limit, 1, t0 + 1100 * MS, LIMIT_REASON_PERMIT, t0 + 1300 * MS);
    assert_admits(limit, 1, t0 + 1300 * MS);
    limit_free(limit);
}

static void test_bucket_resize_keeps_tokens(void **state)
{
    (void)state;
    struct limit_config config = kit_bucket(5, S, 10);
    struct limit *limit = kit_limit(&config, 0);
    kit_call(limit, 6, t0);
    config.burst = 20;
    config.requests = 10;
    assert_int_equal(limit_resize(limit, &config, t0), 0);
    assert_int_equal(limit_free_permits(limit, t0), 4); /* a deeper bucket is not filled */
    assert_waits(limit, 5, t0, LIMIT_REASON_PERMIT, t0 + 100 * MS);
    config.burst = 2;
    assert_int_equal(limit_resize(limit, &config, t0), 0);
    assert_int_equal(limit_free_permits(limit, t0), 2);
    config.burst = 10;
    assert_int_equal(limit_resize(limit, &config, t0), 0);
    assert_int_equal(limit_free_permits(limit, t0), 2); /* there and back gives nothing */
    limit_free(limit);
}

static void test_bucket_resize_while_calls_are_out(void **state)
{
    (void)state;
    struct limit_config config = kit_bucket(5, S, 3);
    struct limit *limit = kit_limit(&config, 0);
    for (int i = 0; i < 3; i++) {
        kit_send(limit, 1, t0);
    }
    config.burst = 1;
    assert_int_equal(limit_resize(limit, &config, t0), 0);
    limit_arrived(limit, 1, t0, t0);
    limit_unknown(limit, 1, t0, t0);
    assert_waits(limit, 1, t0 + S / 2, LIMIT_REASON_PERMIT, t0 + S);
    limit_arrived(limit, 1, t0 + S / 2, t0 + S / 2);
    assert_waits(limit, 1, t0 + S, LIMIT_REASON_PERMIT, t0 + S + 200 * MS);
    limit_free(limit);
}

/* The wait after a start is no debt in tokens, which another rate would make shorter or longer. */
static void test_bucket_resize_while_cold(void **state)
{
    (void)state;
    struct limit_config config = kit_bucket(1, S, 1);
    struct limit *limit = kit_limit(&config, 0);
    config.requests = 1000;
    assert_int_equal(limit_resize(limit, &config, 1), 0);
    assert_waits(limit, 1, 1, LIMIT_REASON_COLD, S + 1 * MS);
    config.requests = 1;
    config.per_ns = 60 * S;
    assert_int_equal(limit_resize(limit, &config, 2), 0);
    assert_waits(limit, 1, 2, LIMIT_REASON_COLD, S + 60 * S);
    assert_admits(limit, 1, 61 * S);
    limit_free(limit);
}

/* ---- against a model ---- */

#define MODEL_CALLS 3000

struct model_call {
    mono_ns counts_until; /* MONO_NEVER while it is out */
    uint32_t weight;
};

/* A window is: admit when the calls that still count, and this one, are at most N. */
static uint64_t model_units(const struct model_call *calls, uint32_t count, mono_ns now)
{
    uint64_t units = 0;
    for (uint32_t i = 0; i < count; i++) {
        units += calls[i].counts_until > now ? calls[i].weight : 0;
    }
    return units;
}

static void test_window_against_a_model(void **state)
{
    (void)state;
    struct model_call *calls = MEM_NEW_ARRAY(MODEL_CALLS, struct model_call);
    const struct limit_config config = kit_window(9, 1000);
    struct limit *limit = kit_limit(&config, 0);
    uint32_t count = 0;
    mono_ns now = t0;
    struct rng rng;

    rng_init(&rng, 5);
    while (count < MODEL_CALLS) {
        uint32_t weight = (uint32_t)rng_between(&rng, 1, 4);
        now += rng_between(&rng, 0, 60);
        bool expected = model_units(calls, count, now) + weight <= config.requests;
        assert_int_equal(limit_check(limit, weight, now).admit, expected);
        if (expected) {
            limit_take(limit, weight, now);
            calls[count++] = (struct model_call){MONO_NEVER, weight};
        }
        for (uint32_t i = count > 50 ? count - 50 : 0; i < count; i++) {
            if (calls[i].counts_until != MONO_NEVER || rng_between(&rng, 0, 5) > 0) {
                continue;
            }
            switch (rng_between(&rng, 0, 5)) {
            case 0:
                limit_refund(limit, calls[i].weight, now);
                calls[i].counts_until = now;
                break;
            case 1:
                limit_unknown(limit, calls[i].weight, now, now);
                calls[i].counts_until = now + config.max_flight_ns + config.per_ns;
                break;
            default:
                limit_arrived(limit, calls[i].weight, now, now);
                calls[i].counts_until = now + config.per_ns;
            }
        }
        if (rng_between(&rng, 0, 200) == 0) {
            now += config.max_flight_ns;
        }
    }
    limit_free(limit);
    free(calls);
}

/* No interval of arrivals is ever told too late or too early: asking at verdict.at is enough. */
static void test_verdict_time_is_exact(void **state)
{
    (void)state;
    const struct limit_config configs[] = {kit_window(7, S), kit_bucket(7, S, 3)};
    for (size_t i = 0; i < 2; i++) {
        struct limit *limit = kit_limit(&configs[i], 0);
        struct rng rng;
        mono_ns now = t0;
        rng_init(&rng, 6 + i);
        for (int step = 0; step < 20000; step++) {
            uint32_t weight = (uint32_t)rng_between(&rng, 1, 3);
            struct limit_verdict verdict = limit_check(limit, weight, now);
            if (!verdict.admit) {
                assert_true(verdict.at > now);
                assert_false(limit_check(limit, weight, verdict.at - 1).admit);
                now = verdict.at;
                continue; /* with weights several steps may be needed */
            }
            kit_call(limit, weight, now);
            now += rng_between(&rng, 0, 100 * MS);
        }
        limit_free(limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reason_names),
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_start_is_cold),
        cmocka_unit_test(test_permit_is_held_until_arrival),
        cmocka_unit_test(test_acknowledgements_out_of_order),
        cmocka_unit_test(test_guard_is_added),
        cmocka_unit_test(test_unknown_outcome_holds),
        cmocka_unit_test(test_refund_is_as_if_never_taken),
        cmocka_unit_test(test_weight),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_pacer_spreads),
        cmocka_unit_test(test_interval_is_rounded_up),
        cmocka_unit_test(test_time_never_goes_back),
        cmocka_unit_test(test_old_reading_keeps_how_long_ago),
        cmocka_unit_test(test_far_times_do_not_overflow),
        cmocka_unit_test(test_resize_keeps_history),
        cmocka_unit_test(test_resize_of_the_window_length),
        cmocka_unit_test(test_resize_while_calls_are_out),
        cmocka_unit_test(test_resize_refuses),
        cmocka_unit_test(test_resize_while_cold),
        cmocka_unit_test(test_bucket_starts_empty),
        cmocka_unit_test(test_bucket_burst_then_rate),
        cmocka_unit_test(test_bucket_counts_a_held_call_as_arriving_now),
        cmocka_unit_test(test_bucket_unknown_outcome),
        cmocka_unit_test(test_bucket_resize_keeps_tokens),
        cmocka_unit_test(test_bucket_resize_while_calls_are_out),
        cmocka_unit_test(test_bucket_resize_while_cold),
        cmocka_unit_test(test_window_against_a_model),
        cmocka_unit_test(test_verdict_time_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
