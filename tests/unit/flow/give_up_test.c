/* Why a message was given up, and what happens to one whose queue is about to delete it. */
#include "unit/base/unit.h"

#include "flow/flow_internal.h"

#define S NS_PER_S

struct bench {
    struct flow *flow;
    struct route *route;
    mono_ns now;
    struct message *running, *settling, *extending;
    enum settle how;
    enum give_up why;
    uint32_t settles, extends;
};

static void on_receive(void *context, struct route *route, uint32_t max)
{
    (void)context;
    (void)route;
    (void)max;
}

static void on_start(void *context, struct message *message)
{
    struct bench *b = context;
    b->running = message;
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    struct bench *b = context;
    (void)delay_ns;
    b->settling = message;
    b->how = how;
    b->why = message->give_up;
    b->settles++;
}

static void on_extend(void *context, struct message *message)
{
    struct bench *b = context;
    b->extending = message;
    b->extends++;
}

static void on_message_done(void *context, struct message *message)
{
    (void)context;
    (void)message;
}

static struct bench *bench_new(bool has_dead_letter)
{
    static const struct flow_ops ops = {
        .receive = on_receive,
        .start = on_start,
        .settle = on_settle,
        .extend = on_extend,
        .message_done = on_message_done,
    };
    const struct target_config target = {.name = "t", .concurrency = 1, .timeout_ns = 2 * S};
    struct route_config route = {
        .name = "r",
        .weight = 1,
        .has_dead_letter = has_dead_letter,
        .retry = {
            .max_attempts = 2, .min_backoff_ns = S, .max_backoff_ns = 60 * S, .max_doublings = 16}};
    struct bench *b = calloc(1, sizeof(*b));
    b->now = 100 * S;
    b->flow = flow_new(&ops, b, 1);
    route.target = flow_target_add(b->flow, &target, b->now);
    b->route = flow_route_add(b->flow, &route, b->now);
    return b;
}

static mono_ns pump(struct bench *b)
{
    mono_ns next = flow_pump(b->flow, 256, b->now);
    flow_check_invariants(b->flow);
    return next;
}

/* Answers the receive with one message that expires so long after now. */
static void give(struct bench *b, int64_t visibility_ns, int64_t expires_in_ns)
{
    struct message *message = flow_message_new(b->route);
    message->visibility_ns = visibility_ns;
    message->lease_until = b->now + visibility_ns;
    message->expires_at = expires_in_ns == MONO_NEVER ? MONO_NEVER : b->now + expires_in_ns;
    (void)pump(b); /* which asks */
    flow_received(b->route, &message, 1, 0, b->now);
    (void)pump(b);
}

static void end(struct bench *b, int status, mono_ns retry_after)
{
    const struct attempt_result result = {
        .status = status, .written = true, .ended_at = b->now, .retry_after = retry_after};
    flow_attempt_ended(b->running, &result, b->now);
    b->running = NULL;
    (void)pump(b);
}

static void settled(struct bench *b)
{
    assert_non_null(b->settling);
    flow_settled(b->settling, 0, b->now);
    b->settling = NULL;
}

static void bench_free(struct bench *b)
{
    flow_free(b->flow);
    free(b);
}

static void test_reasons(void **state)
{
    (void)state;
    struct bench *b = bench_new(true);
    give(b, 100 * S, MONO_NEVER);
    end(b, 422, 0);
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    assert_int_equal(b->why, GIVE_UP_REFUSED);
    settled(b);

    give(b, 1000 * S, MONO_NEVER);
    mono_ns first = b->now;
    end(b, 500, 0);
    assert_null(b->settling);
    b->now += 10 * S;
    (void)pump(b);
    assert_int_equal(b->running->first_attempt_at, first);
    assert_int_equal(b->running->attempt_started_at, b->now);
    end(b, 500, 0);
    assert_int_equal(b->why, GIVE_UP_MAX_ATTEMPTS);
    settled(b);

    give(b, 100 * S, MONO_NEVER);
    end(b, 200, 0);
    assert_int_equal(b->how, SETTLE_ACK);
    assert_int_equal(b->why, GIVE_UP_NONE);
    settled(b);
    bench_free(b);
}

static void test_expired_already(void **state)
{
    (void)state;
    struct bench *b = bench_new(true);
    give(b, 100 * S, 0);
    assert_null(b->running);
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    assert_int_equal(b->why, GIVE_UP_EXPIRED);
    settled(b);
    bench_free(b);
}

/* It would wait longer than its queue keeps it. */
static void test_wait_beyond_the_end(void **state)
{
    (void)state;
    struct bench *b = bench_new(true);
    give(b, 100 * S, 50 * S);
    end(b, 429, b->now + 49 * S);
    assert_null(b->settling); /* still in time */
    b->now += 49 * S;
    (void)pump(b);
    assert_non_null(b->running);
    end(b, 429, b->now + 2 * S);
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    assert_int_equal(b->why, GIVE_UP_EXPIRED);
    settled(b);
    bench_free(b);
}

/* It waits for its turn (another has the only slot) until its time is over, not a moment longer. */
static void test_end_while_ready(void **state)
{
    (void)state;
    struct bench *b = bench_new(true);
    give(b, 1000 * S, MONO_NEVER);
    assert_non_null(b->running);
    struct message *other = flow_message_new(b->route);
    other->visibility_ns = 1000 * S;
    other->lease_until = b->now + 1000 * S;
    other->expires_at = b->now + 7 * S;
    b->route->receiving = true;
    flow_received(b->route, &other, 1, 0, b->now);
    mono_ns next = pump(b);
    assert_int_equal(next, b->now + 7 * S);
    b->now = next - 1;
    (void)pump(b);
    assert_null(b->settling);
    b->now = next;
    (void)pump(b);
    assert_ptr_equal(b->settling, other);
    assert_int_equal(b->why, GIVE_UP_EXPIRED);
    assert_int_equal(b->extends, 0);
    settled(b);
    bench_free(b);
}

/* A call that runs is not given up; what comes of it counts. */
static void test_end_during_the_call(void **state)
{
    (void)state;
    struct bench *b = bench_new(true);
    give(b, 100 * S, 5 * S);
    assert_non_null(b->running);
    b->now += 6 * S;
    assert_true(pump(b) > b->now); /* no hot loop */
    assert_null(b->settling);
    end(b, 201, 0);
    assert_int_equal(b->how, SETTLE_ACK);
    settled(b);
    bench_free(b);
}

/* Nowhere to keep it: it is worked at while that is possible. */
static void test_no_dead_letter_queue(void **state)
{
    (void)state;
    struct bench *b = bench_new(false);
    give(b, 100 * S, 5 * S);
    end(b, 429, b->now + 20 * S);
    assert_null(b->settling);
    b->now += 20 * S;
    assert_true(pump(b) > b->now);
    assert_non_null(b->running);
    end(b, 201, 0);
    assert_int_equal(b->how, SETTLE_ACK);
    settled(b);
    give(b, 100 * S, MONO_NEVER);
    end(b, 422, 0);
    assert_int_equal(b->how, SETTLE_RELEASE);
    assert_int_equal(b->why, GIVE_UP_REFUSED);
    settled(b);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_expired_already),
        cmocka_unit_test(test_wait_beyond_the_end),
        cmocka_unit_test(test_end_while_ready),
        cmocka_unit_test(test_end_during_the_call),
        cmocka_unit_test(test_no_dead_letter_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
