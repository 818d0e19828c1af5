/*
 * An answer that came before all of the request was acknowledged: what is left of it may arrive
 * later, so its permit is held as if the call had failed (I1).
 */
#include "unit/flow/flow_mute.h"

#define MS NS_PER_MS
#define S  NS_PER_S

struct bench {
    struct message *running;
    uint32_t settles;
    enum settle how;
};

static void on_start(void *context, struct message *message)
{
    ((struct bench *)context)->running = message;
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    struct bench *b = context;
    (void)message;
    (void)delay_ns;
    b->settles++;
    b->how = how;
}

static void early_answer(void **state)
{
    static const struct flow_ops ops = {
        .receive = mute_receive,
        .start = on_start,
        .settle = on_settle,
        .extend = mute_message,
        .message_done = mute_message,
    };
    const struct target_config target = {.name = "t", .concurrency = 4, .timeout_ns = 10 * S};
    const struct limit_config config = {
        .requests = 5, .per_ns = S, .guard_ns = 10 * MS, .max_flight_ns = S};
    struct route_config route = {.name = "r", .weight = 1, .limits = {.count = 1}};

    (void)state;
    for (int early = 0; early < 2; early++) {
        struct bench b = {0};
        mono_ns now = 100 * S;
        struct flow *flow = flow_new(&ops, &b, 1);
        struct limit *limit;
        assert_int_equal(limit_new(&config, now, &limit), 0);
        route.limits.limits[0] = limit;
        route.target = flow_target_add(flow, &target, now);
        struct route *r = flow_route_add(flow, &route, now);
        now += 3 * S;
        (void)flow_pump(flow, 256, now);
        struct message *message = flow_message_new(r);
        message->lease_until = MONO_NEVER;
        flow_received(r, &message, 1, 0, now);
        (void)flow_pump(flow, 256, now);
        struct attempt_result result = {
            .status = 200, .written = true, .early = early, .ended_at = now};
        flow_attempt_ended(b.running, &result, now);
        (void)flow_pump(flow, 256, now);
        assert_int_equal(b.settles, 1); /* what it means is clear */
        assert_int_equal(b.how, SETTLE_ACK);
        assert_int_equal(limit_free_permits(limit, now + S + 10 * MS), early ? 4 : 5);
        assert_int_equal(limit_free_permits(limit, now + 2 * S + 10 * MS), 5);
        flow_free(flow);
        limit_free(limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(early_answer)};
    return cmocka_run_group_tests_name("early", tests, NULL, NULL);
}
