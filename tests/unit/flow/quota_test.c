/*
 * A quota in front of a route: a used-up one leaves messages in the queue until just before its
 * next period (I5), and a saved one asks for a claim when a message is ready, not before.
 */
#include "unit/base/unit.h"

#include "flow/flow_internal.h"

#define S    NS_PER_S
#define HOUR LIMIT_HOUR_NS

struct bench {
    struct flow *flow;
    struct limit *limit;
    struct route *route;
    mono_ns now;
    uint32_t receives, wanted, starts;
    struct message *started[20];
};

static void on_receive(void *context, struct route *route, uint32_t max)
{
    struct bench *b = context;
    (void)route;
    b->receives++;
    b->wanted = max;
}

static void on_start(void *context, struct message *message)
{
    struct bench *b = context;
    b->started[b->starts++] = message;
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    (void)context;
    (void)message;
    (void)how;
    (void)delay_ns;
}

static void on_message(void *context, struct message *message)
{
    (void)context;
    (void)message;
}

static void bench_init(struct bench *b, uint32_t requests, bool saved)
{
    static const struct flow_ops ops = {.receive = on_receive,
                                        .start = on_start,
                                        .settle = on_settle,
                                        .extend = on_message,
                                        .message_done = on_message};
    const struct target_config target = {.name = "t", .concurrency = 20, .timeout_ns = 10 * S};
    const struct limit_config config = {.kind = LIMIT_QUOTA,
                                        .requests = requests,
                                        .per_ns = HOUR,
                                        .max_flight_ns = S,
                                        .saved = saved};
    const struct limit_period periods[2] = {{0, 0, HOUR}, {1, HOUR, 2 * HOUR}};
    struct route_config route = {.name = "r", .weight = 1, .limits = {.count = 1}};

    *b = (struct bench){.now = 100 * S};
    b->flow = flow_new(&ops, b, 1);
    assert_int_equal(limit_new(&config, b->now, &b->limit), 0);
    limit_quota_periods(b->limit, periods, b->now);
    route.limits.limits[0] = b->limit;
    route.target = flow_target_add(b->flow, &target, b->now);
    b->route = flow_route_add(b->flow, &route, b->now);
}

static void bench_done(struct bench *b)
{
    flow_free(b->flow);
    limit_free(b->limit);
}

static void receive(struct bench *b, uint32_t count)
{
    struct message *messages[20];
    assert_true(count <= SL_COUNT(messages));
    for (uint32_t i = 0; i < count; i++) {
        messages[i] = flow_message_new(b->route);
        messages[i]->lease_until = MONO_NEVER;
    }
    flow_received(b->route, messages, count, 0, b->now);
}

static void used_up(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, 5, false);
    (void)flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.receives, 1);
    assert_int_equal(b.wanted, 5); /* what is left: all of it may be called at once */
    receive(&b, 5);
    mono_ns next = flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.starts, 5);
    assert_int_equal(b.receives, 1);
    for (uint32_t i = 0; i < b.starts; i++) { /* else they would count for the next period too */
        flow_attempt_arrived(b.started[i], b.now, b.now);
    }
    assert_true(next == HOUR + S - HORIZON_NS);
    b.now = next - 1;
    assert_true(flow_pump(b.flow, 256, b.now) == next);
    assert_int_equal(b.receives, 1);
    b.now = next;
    (void)flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.receives, 2);
    receive(&b, 1);
    assert_true(flow_pump(b.flow, 256, b.now) == HOUR + S);
    struct route_stats stats;
    flow_route_stats(b.route, &stats);
    assert_int_equal(stats.blocked_by, LIMIT_REASON_QUOTA);
    bench_done(&b);
}

static void claims(void **state)
{
    struct bench b;
    struct limit_record record;
    (void)state;
    bench_init(&b, 5, true);
    (void)flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.receives, 0); /* what an earlier process did is not known yet */
    limit_restored(b.limit, 0, b.now);
    (void)flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.receives, 1);
    assert_false(limit_claim_begin(b.limit, false, &record, b.now)); /* nothing is ready */
    receive(&b, 2);
    (void)flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.starts, 0);
    assert_true(limit_claim_begin(b.limit, false, &record, b.now));
    limit_claim_end(b.limit, true);
    (void)flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.starts, 1);
    assert_true(limit_claim_begin(b.limit, false, &record, b.now)); /* for the other */
    limit_claim_end(b.limit, true);
    (void)flow_pump(b.flow, 256, b.now);
    assert_int_equal(b.starts, 2);
    assert_false(limit_claim_begin(b.limit, false, &record, b.now));
    bench_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(used_up), cmocka_unit_test(claims)};
    return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
