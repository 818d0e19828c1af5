/*
 * Limits by key beside what else may say no to a call: what comes back before its time, a breaker
 * that wants to probe, the budget of retries.
 */
#include "unit/flow/flow_bench.h"

#include "sluice/limit/keyed.h"

static struct limit_keyed *keyed_new(uint32_t requests)
{
    const struct limit_config config = {
        .requests = requests, .per_ns = 50 * S, .max_flight_ns = S, .pace = false};
    struct limit_keyed *keyed = NULL;

    assert_int_equal(limit_keyed_new(&config, 10, 0, &keyed), 0);
    return keyed;
}

/* All messages have the same key, and so the same limit. */
static struct bench *keyed_bench(struct limit_keyed *keyed)
{
    struct route_config route = ordinary();

    route.keyed[0] = keyed;
    route.keyed_count = 1;
    return bench_new(route, false);
}

static void keyed_bench_done(struct bench *b, struct limit_keyed *keyed)
{
    bench_done(b);
    limit_keyed_free(keyed);
}

/* One message of each of so many tenants. */
static void give_tenants(struct bench *b, uint32_t count)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct message *messages[SL_COUNT(names)];

    assert_true(b->asks > 0);
    for (uint32_t i = 0; i < count; i++) {
        messages[i] = flow_message_new(b->route);
        messages[i]->lease_until = MONO_NEVER;
        messages[i]->tenant = str_from(names[i]);
    }
    b->asks = 0;
    flow_received(b->route, messages, count, 0, b->now);
}

/* I6: a permit that comes back unused is there for the next message, which waited for another. */
static void refund_wakes(void **state)
{
    struct limit_keyed *keyed = keyed_new(2);
    struct bench *b = keyed_bench(keyed);

    (void)state;
    (void)pump(b);
    give(b, 2, NULL, 0);
    (void)pump(b);
    assert_int_equal(b->started, 2);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    give(b, 1, NULL, 0);
    (void)pump(b);
    assert_int_equal(b->started, 2);
    assert_int_equal(stats(b).blocked_by, LIMIT_REASON_KEY);
    end(b, 1, (struct attempt_result){.error = ERR_CONNECT});
    (void)pump(b);
    assert_int_equal(b->started, 3);
    keyed_bench_done(b, keyed);
}

/* A probe needs a message that can be called: those that wait for their key are none. */
static void probes_of_other_keys(void **state)
{
    struct limit_keyed *keyed = keyed_new(1);
    struct bench *b = keyed_bench(keyed);

    (void)state;
    (void)pump(b);
    give_tenants(b, 4);
    (void)pump(b);
    assert_int_equal(b->started, 1);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    assert_int_equal(b->route->lanes.parked_messages, 3);
    flow_settled(b->settling, 0, b->now);
    b->target->breaker.state = BREAKER_HALF_OPEN;
    b->asks = b->asked = 0;
    b->route->receiving = false;
    (void)pump(b);
    assert_int_equal(b->asked, BREAKER_PROBES);
    b->target->breaker.unreached = true;
    b->asks = b->asked = 0;
    b->route->receiving = false;
    (void)pump(b);
    assert_int_equal(b->asked, 1);
    keyed_bench_done(b, keyed);
}

/* Repeats without a token, as nothing else is to be called, are one after the other: those that
 * wait for a key are not all let through meanwhile. */
static void repeats_of_a_key(void **state)
{
    struct limit_keyed *keyed = keyed_new(2);
    struct bench *b = keyed_bench(keyed);

    (void)state;
    (void)pump(b);
    give(b, 2, NULL, 0);
    (void)pump(b);
    assert_int_equal(b->started, 2);
    end(b, 0, ANSWER(500));
    end(b, 1, ANSWER(500));
    b->target->budget.balance_ns = 0;
    b->target->budget.at = b->now;
    mono_ns from = b->now;
    while (b->now < from + 5 * S) {
        mono_ns next = pump(b);
        b->now = next > b->now ? next : b->now + 1;
    }
    assert_int_equal(b->route->lanes.parked_messages, 1);
    assert_int_equal(b->route->parked, 1);
    while (b->now < from + 49 * S) { /* a token is there after ten seconds */
        b->now = pump(b);
    }
    assert_int_equal(b->route->parked, 0);
    b->now = from + 50 * S;
    (void)pump(b);
    assert_int_equal(b->started, 4);
    keyed_bench_done(b, keyed);
}

/* Without a place in one table, a place in another is not held for nothing. */
static void all_keys_or_none(void **state)
{
    const struct limit_config config = {
        .requests = 1, .per_ns = S, .max_flight_ns = S, .pace = false};
    struct limit_keyed *keyed[2] = {NULL, NULL};
    struct route_config route = ordinary();
    mono_ns at;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(limit_keyed_new(&config, 1, 0, &keyed[i]), 0);
        route.keyed[route.keyed_count++] = keyed[i];
    }
    struct bench *b = bench_new(route, false);
    struct limit_key *full = limit_keyed_get(keyed[1], STR("another"), b->now, &at);
    assert_non_null(full);
    (void)pump(b);
    give(b, 1, NULL, 0);
    (void)pump(b);
    assert_int_equal(stats(b).blocked_by, LIMIT_REASON_KEYS_FULL);
    struct limit_key *other = limit_keyed_get(keyed[0], STR("another"), b->now, &at);
    assert_non_null(other);
    limit_key_unref(other);
    limit_key_unref(full);
    b->now = pump(b);
    (void)pump(b);
    assert_int_equal(b->started, 1);
    bench_done(b);
    limit_keyed_free(keyed[0]);
    limit_keyed_free(keyed[1]);
}

/* I5: what goes back for its key stays away until its turn, or it would be received for nothing
 * again and again, until its queue takes it for poison. */
static void away_until_its_turn(void **state)
{
    struct limit_keyed *keyed = keyed_new(1);
    struct bench *b = keyed_bench(keyed);

    (void)state;
    (void)pump(b);
    give(b, 60, NULL, 60 * S);
    LIST_FOR(&b->route->lists[MESSAGE_READY], node)
    {
        LIST_ENTRY(node, struct message, node)->lease_cap = b->now + 1800 * S;
    }
    while (b->released_delay_ns == 0 || pump(b) <= b->now) {
        (void)pump(b);
    }
    assert_int_equal(b->started, 1);
    assert_int_equal(b->settles, 58);
    assert_int_equal(b->released_delay_ns,
                     1800 * S); /* not 58 · 50 s: the queue keeps it no longer */
    keyed_bench_done(b, keyed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refund_wakes),        cmocka_unit_test(probes_of_other_keys),
        cmocka_unit_test(repeats_of_a_key),    cmocka_unit_test(all_keys_or_none),
        cmocka_unit_test(away_until_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
