/*
 * Whose failure it was: what counts against a message, what opens the breaker, who probes, and who
 * waits for the retry budget.
 */
#include "unit/base/unit.h"

#include "flow/flow_internal.h"

#define MS NS_PER_MS
#define S  NS_PER_S

struct bench {
    struct flow *flow;
    struct target *target;
    struct route *route;
    mono_ns now;
    uint32_t asked; /* 0: no receive is outstanding */
    uint32_t started;
    struct message *last; /* that started */
    bool runs;            /* it still does */
    struct message *settling;
    enum settle how;
    uint32_t opened, told;
};

static void on_receive(void *context, struct route *route, uint32_t max)
{
    struct bench *b = context;
    (void)route;
    b->asked = max;
}

static void on_start(void *context, struct message *message)
{
    struct bench *b = context;
    b->last = message;
    b->started++;
    b->runs = true;
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    struct bench *b = context;
    (void)delay_ns;
    b->settling = message;
    b->how = how;
}

static void on_extend(void *context, struct message *message)
{
    (void)context;
    (void)message;
}

static void on_message_done(void *context, struct message *message)
{
    (void)context;
    (void)message;
}

static void on_breaker(void *context, struct target *target)
{
    struct bench *b = context;
    assert_ptr_equal(flow_target_config(target)->user, b);
    b->told++;
    b->opened += flow_target_breaker(target)->state == BREAKER_OPEN ? 1 : 0;
}

static struct bench *bench_new(uint32_t max_attempts, bool breaker)
{
    static const struct flow_ops ops = {.receive = on_receive,
                                        .start = on_start,
                                        .settle = on_settle,
                                        .extend = on_extend,
                                        .message_done = on_message_done,
                                        .breaker = on_breaker};
    struct bench *b = calloc(1, sizeof(*b));
    const struct target_config target = {
        .name = "t",
        .concurrency = 1,
        .timeout_ns = 10 * S,
        .breaker = {.enabled = breaker, .failure_percent = 50, .max_open_ns = BREAKER_MAX_OPEN_NS},
        .user = b};
    struct route_config route = {.name = "r",
                                 .weight = 1,
                                 .has_dead_letter = true,
                                 .retry = {.max_attempts = max_attempts,
                                           .min_backoff_ns = S,
                                           .max_backoff_ns = 8 * S,
                                           .max_doublings = 16}};

    b->now = 100 * S;
    b->flow = flow_new(&ops, b, 1);
    b->target = flow_target_add(b->flow, &target, b->now);
    route.target = b->target;
    b->route = flow_route_add(b->flow, &route, b->now);
    return b;
}

static void bench_done(struct bench *b)
{
    flow_free(b->flow);
    free(b);
}

static mono_ns pump(struct bench *b)
{
    mono_ns next;

    do {
        next = flow_pump(b->flow, 256, b->now);
        flow_check_invariants(b->flow);
    } while (next <= b->now);
    return next;
}

/* Answers the receive that is outstanding. */
static void give(struct bench *b, uint32_t count)
{
    struct message *messages[64];

    assert_true(b->asked > 0);
    for (uint32_t i = 0; i < count; i++) {
        messages[i] = flow_message_new(b->route);
        messages[i]->lease_until = MONO_NEVER;
    }
    b->asked = 0;
    flow_received(b->route, messages, count, 0, b->now);
}

/* The one call that runs, one at a time as the concurrency is 1, ends. */
static void end(struct bench *b, int status, int error, bool written)
{
    const struct attempt_result result = {
        .status = status, .error = error, .written = written, .ended_at = b->now};
    b->runs = false;
    flow_attempt_ended(b->last, &result, b->now);
}

/* The call that runs; time passes until one does. */
static struct message *next_call(struct bench *b)
{
    for (uint32_t i = 0; i < 100000; i++) {
        mono_ns next = pump(b);
        if (b->runs) {
            return b->last;
        }
        assert_true(next != MONO_NEVER);
        b->now = next;
    }
    fail_msg("no call starts");
    return NULL;
}

static void settled(struct bench *b)
{
    (void)pump(b);
    assert_non_null(b->settling);
    flow_settled(b->settling, 0, b->now);
    b->settling = NULL;
}

/* Failures of one message alone are its own: they count, and do not open the breaker. */
static void one_message_fails(void **state)
{
    struct bench *b = bench_new(60, true);

    (void)state;
    (void)pump(b);
    give(b, 1);
    for (uint32_t i = 1; i <= 60; i++) {
        struct message *message = next_call(b);
        end(b, 500, 0, true);
        assert_int_equal(message->attempts, i);
    }
    (void)pump(b);
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    assert_int_equal(b->settling->give_up, GIVE_UP_MAX_ATTEMPTS);
    assert_int_equal(b->opened, 0);
    bench_done(b);
}

/* An API that fails whatever it is called with is down: four attempts are counted, all in all. */
static void all_messages_fail(void **state)
{
    struct bench *b = bench_new(5, true);
    uint32_t counted = 0;

    (void)state;
    (void)pump(b);
    give(b, 3);
    for (uint32_t i = 0; i < 100; i++) { /* within two hours */
        uint32_t before = next_call(b)->attempts;
        end(b, i % 2 == 0 ? 500 : 0, i % 2 == 0 ? 0 : ERR_RESET, true);
        counted += b->last->attempts - before;
        assert_null(b->settling);
    }
    assert_int_equal(counted, FAILING_MIN - 1);
    assert_true(b->opened > 1);
    /* Served again, the next failure is its message's again. */
    while (flow_target_breaker(b->target)->state != BREAKER_CLOSED) {
        (void)next_call(b);
        end(b, 200, 0, true);
        settled(b);
        if (b->asked > 0) {
            give(b, 3);
        }
    }
    struct message *message = next_call(b);
    uint32_t before = message->attempts;
    end(b, 500, 0, true);
    assert_int_equal(message->attempts, before + 1);
    bench_done(b);
}

/* Each of its messages fails once and is over: they are not one, though the next one may lie where
 * the last one lay. */
static void messages_that_are_over(void **state)
{
    struct bench *b = bench_new(1, true);

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        (void)pump(b);
        give(b, 1);
        (void)next_call(b);
        end(b, 500, 0, true);
        assert_ptr_equal(b->target->failed, b->last);
        settled(b);
        assert_null(b->target->failed);
    }
    assert_int_equal(b->target->breaker.failed, 3);
    assert_true(b->target->failed_several);
    bench_done(b);
}

static void never_reached(void **state)
{
    struct bench *b = bench_new(2, true);

    (void)state;
    (void)pump(b);
    give(b, 1);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(b->opened, 0);
        (void)next_call(b);
        end(b, 0, ERR_CONNECT, false);
    }
    assert_int_equal(b->opened, 1); /* by one message: a connection knows no message */
    assert_int_equal(b->last->attempts, 0);
    b->asked = 0;
    mono_ns next = pump(b);
    assert_int_equal(b->asked, 0); /* I5: no receiving while open, nor for probes with one held */
    assert_true(next <= b->target->breaker.until);
    for (uint32_t i = 0; i < 20; i++) {
        (void)next_call(b);
        assert_int_equal(b->target->breaker.state, BREAKER_HALF_OPEN);
        assert_int_equal(b->asked, 0);
        end(b, 0, ERR_TIMEOUT, false);
    }
    assert_int_equal(b->opened, 21);
    bench_done(b);
}

/* What is paused is no call to make: a retry of another route does not wait for it. */
static void paused_is_no_other_call(void **state)
{
    struct bench *b = bench_new(9, true);
    struct route_config config = *flow_route_config(b->route);

    (void)state;
    config.name = "other";
    struct route *other = flow_route_add(b->flow, &config, b->now);
    (void)pump(b);
    give(b, 1);
    flow_route_pause(b->route, true);
    struct message *message = flow_message_new(other);
    message->lease_until = MONO_NEVER;
    flow_received(other, &message, 1, 0, b->now);
    assert_ptr_equal(next_call(b), message);
    b->target->budget.balance_ns = 0;
    mono_ns failed_at = b->now;
    end(b, 500, 0, true);
    assert_ptr_equal(next_call(b), message);
    assert_true(b->now <= failed_at + S);
    bench_done(b);
}

/* Nor do retries of a paused route go without a token, all of them, while they cannot be called. */
static void paused_retries_stay(void **state)
{
    struct bench *b = bench_new(9, true);

    (void)state;
    (void)pump(b);
    give(b, 2);
    b->target->budget.balance_ns = 0;
    (void)next_call(b);
    end(b, 500, 0, true);
    (void)next_call(b);
    end(b, 500, 0, true);
    flow_route_pause(b->route, true);
    for (mono_ns until = b->now + 3 * S; b->now < until; b->now += S) {
        (void)pump(b);
    }
    assert_int_equal(b->route->parked, 2);
    flow_route_pause(b->route, false);
    (void)next_call(b);
    bench_done(b);
}

/* No memory, no socket: that says nothing about the target. */
static void our_own_trouble(void **state)
{
    struct bench *b = bench_new(9, true);

    (void)state;
    (void)pump(b);
    give(b, 2);
    for (uint32_t i = 0; i < 2 * FAILING_MIN; i++) {
        (void)next_call(b);
        end(b, 0, ERR_NOMEM, false);
    }
    assert_int_equal(b->target->failures, 0);
    assert_false(health_is_failing(b->target));
    bench_done(b);
}

/* No answer is none, though a rule has its messages wait as after a throttled one. */
static void no_answer_by_a_rule(void **state)
{
    struct bench *b = bench_new(9, true);

    (void)state;
    (void)pump(b);
    give(b, 2);
    for (uint32_t i = 0; i < BREAKER_CALLS_MIN && b->opened == 0; i++) {
        (void)next_call(b);
        b->runs = false;
        flow_attempt_ended(b->last,
                           &(struct attempt_result){.error = ERR_TIMEOUT,
                                                    .written = true,
                                                    .ended_at = b->now,
                                                    .rule = 1,
                                                    .ruled = OUTCOME_THROTTLE},
                           b->now);
    }
    assert_int_equal(b->opened, 1);
    bench_done(b);
}

/* A message that a pause of its own route holds up is nothing to probe with. */
static void gated_is_no_probe(void **state)
{
    struct bench *b = bench_new(9, true);
    struct route_config config = *flow_route_config(b->route);

    (void)state;
    config.name = "other";
    struct route *other = flow_route_add(b->flow, &config, b->now);
    (void)pump(b);
    give(b, 1);
    b->route->gate_until = b->now + 3600 * S;
    struct message *message = flow_message_new(other);
    message->lease_until = MONO_NEVER;
    flow_received(other, &message, 1, 0, b->now);
    while (b->opened < 3) {
        assert_ptr_equal(next_call(b), message);
        end(b, 0, ERR_CONNECT, false);
    }
    assert_true(b->now < b->route->gate_until - 3000 * S);
    bench_done(b);
}

/* What is done and cannot be settled yet is nothing to probe with, either. */
static void done_is_no_probe(void **state)
{
    struct bench *b = bench_new(9, true);

    (void)state;
    (void)pump(b);
    give(b, 1);
    (void)next_call(b);
    end(b, 200, 0, true);
    (void)pump(b);
    assert_non_null(b->settling);
    b->target->breaker.state = BREAKER_HALF_OPEN;
    b->target->breaker.unreached = true;
    b->route->receiving = false;
    b->asked = 0;
    (void)pump(b);
    assert_int_equal(b->asked, 1);
    give(b, 1);
    b->asked = 0;
    (void)next_call(b);
    (void)pump(b);
    assert_int_equal(b->asked, 0); /* it probes */
    bench_done(b);
}

/* Until the breaker opens by answers of 500, with that many messages. */
static void open_by_answers(struct bench *b, uint32_t messages)
{
    (void)pump(b);
    give(b, messages);
    for (uint32_t i = 0; b->opened == 0; i++) {
        assert_true(i < 100);
        if (b->asked > 0) {
            give(b, 0);
        }
        (void)next_call(b);
        end(b, 500, 0, true);
    }
}

/* The messages that fail could be the reason: others are received to probe with, and tried first.
 */
static void fresh_messages_probe(void **state)
{
    struct bench *b = bench_new(0, true);

    (void)state;
    open_by_answers(b, 4);
    if (b->asked > 0) {
        give(b, 0);
    }
    b->now = b->target->breaker.until;
    (void)pump(b);
    assert_int_equal(b->target->breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(b->asked, BREAKER_PROBES);
    give(b, BREAKER_PROBES);
    bool relapsed = b->runs;
    if (relapsed) { /* the probe that was there already */
        end(b, 500, 0, true);
        b->now = b->target->breaker.until;
    }
    for (uint32_t i = 0; i < BREAKER_PROBES; i++) {
        assert_int_equal(b->target->breaker.state == BREAKER_CLOSED, false);
        (void)pump(b);
        assert_int_equal(b->last->calls, 1);
        end(b, 200, 0, true);
        settled(b);
    }
    assert_int_equal(b->target->breaker.state, BREAKER_CLOSED);
    assert_int_equal(b->told, relapsed ? 5 : 3); /* open, half-open, (the same,) closed */
    bench_done(b);
}

/* A probe that failed goes behind the others. */
static void probes_take_turns(void **state)
{
    struct bench *b = bench_new(0, true);
    const struct message *seen[4];

    (void)state;
    open_by_answers(b, 4);
    for (uint32_t i = 0; i < 40; i++) { /* the longer it is open, the fewer of them wait */
        seen[i % 4] = next_call(b);
        end(b, 500, 0, true);
    }
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t j = 0; j < i; j++) {
            assert_ptr_not_equal(seen[i], seen[j]);
        }
    }
    bench_done(b);
}

/* New work goes first; what the budget holds up can say so, and goes when nothing else is there. */
static void retries_beyond_the_budget(void **state)
{
    struct bench *b = bench_new(0, false);
    struct route_stats stats;
    uint32_t retried = 0;

    (void)state;
    for (uint32_t i = 0; i < 120; i++) { /* every fourth fails, new work never ends */
        (void)pump(b);
        if (b->asked > 0) {
            give(b, 2);
        }
        struct message *message = next_call(b);
        retried += message->calls > 1 ? 1 : 0;
        bool fails = message->calls == 1 && i % 4 == 0;
        end(b, fails ? 500 : 200, 0, true);
        if (!fails) {
            settled(b);
        }
        b->now += 100 * MS;
    }
    assert_in_range(retried, 10, 10 + 9 + 3); /* at the start, 0.1 a success, one in 10 s */
    flow_route_stats(b->route, &stats);
    assert_true(stats.throttle_wait_ns[LIMIT_REASON_RETRY_BUDGET] > 0);
    assert_true(b->route->parked > 0);
    uint32_t parked = b->route->parked;
    uint32_t held = b->route->held, named = 0;
    while (b->route->held > 0) { /* no new work: no waiting for tokens either */
        mono_ns before = b->now;
        b->asked = 0;
        b->route->receiving = true; /* its queue is empty */
        struct message *message = next_call(b);
        assert_true(b->now - before <= 8 * S);
        named += message->wait_reason == LIMIT_REASON_RETRY_BUDGET ? 1 : 0;
        end(b, 200, 0, true);
        settled(b);
        held--;
        assert_int_equal(b->route->held, held);
    }
    assert_true(parked > 1 && named >= parked);
    b->route->receiving = false;
    bench_done(b);
}

/* While the target fails altogether, without a breaker, the budget is what bounds the calls. */
static void the_budget_bounds_an_outage(void **state)
{
    struct bench *b = bench_new(0, false);
    mono_ns from = b->now;

    (void)state;
    (void)pump(b);
    give(b, 8);
    while (b->now < from + 600 * S) {
        if (b->asked > 0) {
            give(b, 0);
        }
        (void)next_call(b);
        end(b, 500, 0, true);
    }
    assert_in_range(b->started, 8 + 10 + 55, 8 + 10 + 61 + 5);
    bench_done(b);
}

static void max_retry_duration(void **state)
{
    struct bench *b = bench_new(0, true);

    (void)state;
    b->route->config.retry.max_retry_duration_ns = 60 * S;
    (void)pump(b);
    give(b, 1);
    struct message *message = next_call(b);
    mono_ns first = b->now;
    assert_int_equal(message->first_attempt_at, first);
    for (;;) {
        end(b, 500, 0, true);
        (void)pump(b);
        if (b->settling != NULL) {
            break;
        }
        (void)next_call(b);
    }
    assert_int_equal(b->now, first + 60 * S); /* a last call at its end */
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    assert_int_equal(message->give_up, GIVE_UP_MAX_DURATION);
    bench_done(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_fails),         cmocka_unit_test(all_messages_fail),
        cmocka_unit_test(messages_that_are_over),    cmocka_unit_test(never_reached),
        cmocka_unit_test(paused_is_no_other_call),   cmocka_unit_test(paused_retries_stay),
        cmocka_unit_test(our_own_trouble),           cmocka_unit_test(no_answer_by_a_rule),
        cmocka_unit_test(gated_is_no_probe),         cmocka_unit_test(done_is_no_probe),
        cmocka_unit_test(fresh_messages_probe),      cmocka_unit_test(probes_take_turns),
        cmocka_unit_test(retries_beyond_the_budget), cmocka_unit_test(the_budget_bounds_an_outage),
        cmocka_unit_test(max_retry_duration),
    };

    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
