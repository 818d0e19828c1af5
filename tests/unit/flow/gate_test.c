/*
 * An answer that asks for a pause holds up everybody on its limits, whatever it means for its
 * message; and a rule's verdict is acted on.
 */
#include "unit/flow/flow_mute.h"

#define MS NS_PER_MS
#define S  NS_PER_S

struct bench {
    struct flow *flow;
    struct limit *limit;
    struct route *routes[2]; /* share the limit */
    struct message *running[8];
    uint32_t started, settles;
    enum settle how;
    mono_ns now;
};

static void on_start(void *context, struct message *message)
{
    struct bench *b = context;
    b->running[b->started++] = message;
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    struct bench *b = context;
    (void)message;
    (void)delay_ns;
    b->settles++;
    b->how = how;
}

static void pump(struct bench *b)
{
    (void)flow_pump(b->flow, 256, b->now);
    flow_check_invariants(b->flow);
}

/* One message of each route called, one more of the second waiting. */
static struct bench *bench_new(bool limited)
{
    static const struct flow_ops ops = {
        .receive = mute_receive,
        .start = on_start,
        .settle = on_settle,
        .extend = mute_message,
        .message_done = mute_message,
    };
    const struct target_config target = {.name = "t", .concurrency = 2, .timeout_ns = 10 * S};
    const struct limit_config config = {.requests = 5, .per_ns = S, .max_flight_ns = S};
    struct route_config route = {
        .name = "r",
        .weight = 1,
        .has_dead_letter = true,
        .retry = {.max_attempts = 3, .min_backoff_ns = S, .max_backoff_ns = S}};
    struct bench *b = calloc(1, sizeof(*b));

    b->flow = flow_new(&ops, b, 1);
    route.target = flow_target_add(b->flow, &target, b->now);
    if (limited) {
        assert_int_equal(limit_new(&config, b->now, &b->limit), 0);
        route.limits = (struct limit_set){.limits = {b->limit}, .count = 1};
    }
    for (int i = 0; i < 2; i++) {
        b->routes[i] = flow_route_add(b->flow, &route, b->now);
    }
    b->now = 10 * S;
    pump(b);
    for (int i = 0; i < 2; i++) {
        struct message *messages[2];
        for (int j = 0; j <= i; j++) {
            messages[j] = flow_message_new(b->routes[i]);
            messages[j]->lease_until = MONO_NEVER;
        }
        flow_received(b->routes[i], messages, (uint32_t)i + 1, 0, b->now);
    }
    pump(b);
    assert_int_equal(b->started, 2);
    return b;
}

static void bench_done(struct bench *b)
{
    flow_free(b->flow);
    limit_free(b->limit);
    free(b);
}

static struct message *running_of(const struct bench *b, int route)
{
    return b->running[b->running[0]->route == b->routes[route] ? 0 : 1];
}

static void end(struct bench *b, struct message *message, struct attempt_result result)
{
    result.written = true;
    result.ended_at = b->now;
    flow_attempt_ended(message, &result, b->now);
}

static void a_success_gates_as_well(void **state)
{
    struct bench *b = bench_new(true);

    (void)state;
    b->now += MS;
    mono_ns until = b->now + 7 * S;
    end(b, running_of(b, 0), (struct attempt_result){.status = 200, .retry_after = until});
    pump(b);
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->how, SETTLE_ACK);
    assert_int_equal(limit_gated_until(b->limit), until);
    assert_int_equal(flow_route_gated_until(b->routes[0]), until);
    /* The other route's second message has a free slot, and waits for the limit all the same. */
    b->now = until - 1;
    pump(b);
    assert_int_equal(b->started, 2);
    struct route_stats stats;
    flow_route_stats(b->routes[1], &stats);
    assert_int_equal(stats.blocked_by, LIMIT_REASON_GATE);
    b->now = until;
    pump(b);
    assert_int_equal(b->started, 3);
    assert_ptr_equal(b->running[2]->route, b->routes[1]);
    bench_done(b);
}

/* Without a limit it is the route that waits. */
static void a_route_without_limit(void **state)
{
    struct bench *b = bench_new(false);

    (void)state;
    b->now += MS;
    mono_ns until = b->now + 7 * S;
    end(b, running_of(b, 1), (struct attempt_result){.status = 404, .retry_after = until});
    pump(b);
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    assert_int_equal(b->started, 2);
    b->now = until;
    pump(b);
    assert_int_equal(b->started, 3);
    bench_done(b);
}

static void a_retry_waits_for_the_longer_of_both(void **state)
{
    struct bench *b = bench_new(true);
    struct message *message = running_of(b, 0);

    (void)state;
    b->now += MS;
    mono_ns until = b->now + 7 * S; /* beyond every backoff */
    end(b, message, (struct attempt_result){.status = 500, .retry_after = until});
    assert_int_equal(message->state, MESSAGE_WAITING);
    assert_int_equal(message->deadline.key, until);
    assert_int_equal(message->attempts, 1);
    assert_int_equal(limit_gated_until(b->limit), until);
    bench_done(b);
}

static void a_time_that_has_passed_is_no_gate(void **state)
{
    struct bench *b = bench_new(true);

    (void)state;
    b->now += MS;
    end(b, running_of(b, 0), (struct attempt_result){.status = 200, .retry_after = b->now});
    pump(b);
    assert_int_equal(b->started, 3);
    bench_done(b);
}

static void the_rule_is_acted_on_and_kept(void **state)
{
    struct bench *b = bench_new(true);
    struct message *first = running_of(b, 0), *second = running_of(b, 1);

    (void)state;
    b->now += MS;
    end(b, first, (struct attempt_result){.status = 200, .rule = 3, .ruled = OUTCOME_THROTTLE});
    assert_int_equal(first->state, MESSAGE_WAITING);
    assert_int_equal(first->attempts, 0);
    assert_int_equal(first->last_rule, 3);
    assert_true(limit_gated_until(b->limit) > b->now);
    end(b, second, (struct attempt_result){.status = 409, .rule = 1, .ruled = OUTCOME_ACK});
    pump(b);
    assert_int_equal(b->how, SETTLE_ACK);
    assert_int_equal(second->last_rule, 1);
    bench_done(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_success_gates_as_well),
        cmocka_unit_test(a_route_without_limit),
        cmocka_unit_test(a_retry_waits_for_the_longer_of_both),
        cmocka_unit_test(a_time_that_has_passed_is_no_gate),
        cmocka_unit_test(the_rule_is_acted_on_and_kept),
    };

    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
