/*
 * flow_bench: the flow between recording ops, for tests that look at it step by step.
 */
#ifndef SLUICE_TESTS_FLOW_BENCH_H
#define SLUICE_TESTS_FLOW_BENCH_H

#include "unit/base/unit.h"

#include "flow/flow_internal.h"

#define MS NS_PER_MS
#define S  NS_PER_S

struct bench {
    struct flow *flow;
    struct target *target;
    struct route *route;
    struct limit *limit;
    mono_ns now;
    /* what the flow asked for */
    uint32_t asked, asks, started, settles, extends, done;
    struct message *running[64]; /* in order of start */
    struct message *settling;    /* the last one */
    enum settle how;
    int64_t delay_ns, released_delay_ns; /* of the last one; of the last release */
    struct message *extending;
    bool done_settled;
    enum settle done_how;
    bool done_uncalled;
    char ids[1024][8]; /* of the messages, in order of receipt */
    uint32_t given;
};

static inline void on_receive(void *context, struct route *route, uint32_t max)
{
    struct bench *b = context;
    assert_ptr_equal(route, b->route);
    b->asked = max;
    b->asks++;
}

static inline void on_start(void *context, struct message *message)
{
    struct bench *b = context;
    b->running[b->started++] = message;
}

static inline void on_settle(void *context, struct message *message, enum settle how,
                             int64_t delay_ns)
{
    struct bench *b = context;
    b->settles++;
    b->settling = message;
    b->how = how;
    b->delay_ns = delay_ns;
    if (how == SETTLE_RELEASE) {
        b->released_delay_ns = delay_ns;
    }
}

static inline void on_extend(void *context, struct message *message)
{
    struct bench *b = context;
    b->extends++;
    b->extending = message;
}

static inline void on_message_done(void *context, struct message *message)
{
    struct bench *b = context;
    b->done++;
    b->done_settled = message->settled;
    b->done_how = message->settle;
    b->done_uncalled = message->calls == 0;
}

static inline struct bench *bench_new(struct route_config route, bool limited)
{
    static const struct flow_ops ops = {
        .receive = on_receive,
        .start = on_start,
        .settle = on_settle,
        .extend = on_extend,
        .message_done = on_message_done,
    };
    struct bench *b = calloc(1, sizeof(*b));
    const struct target_config target = {.name = "t", .concurrency = 4, .timeout_ns = 10 * S};
    const struct limit_config limit = {
        .requests = 5, .per_ns = S, .guard_ns = 10 * MS, .max_flight_ns = S, .pace = false};

    b->now = 100 * S;
    b->flow = flow_new(&ops, b, 1);
    b->target = flow_target_add(b->flow, &target, b->now);
    route.name = "r";
    route.target = b->target;
    if (limited) {
        assert_int_equal(limit_new(&limit, b->now, &b->limit), 0);
        route.limits = (struct limit_set){.limits = {b->limit}, .count = 1};
        b->now += 3 * S; /* no longer cold */
    }
    b->route = flow_route_add(b->flow, &route, b->now);
    return b;
}

static inline struct route_config ordinary(void)
{
    return (struct route_config){
        .weight = 1,
        .has_dead_letter = true,
        .retry = {
            .max_attempts = 3, .min_backoff_ns = S, .max_backoff_ns = 8 * S, .max_doublings = 16}};
}

static inline mono_ns pump(struct bench *b)
{
    mono_ns next = flow_pump(b->flow, 256, b->now);
    flow_check_invariants(b->flow);
    return next;
}

static inline void bench_done(struct bench *b)
{
    flow_free(b->flow);
    limit_free(b->limit);
    free(b);
}

/* Answers the receive with messages; group "" is none. */
static inline void give(struct bench *b, uint32_t count, const char *group, int64_t visibility_ns)
{
    struct message *messages[64];

    assert_int_equal(b->asks > 0, 1);
    for (uint32_t i = 0; i < count; i++) {
        messages[i] = flow_message_new(b->route);
        snprintf(b->ids[b->given], sizeof(b->ids[0]), "m%u", b->given);
        messages[i]->id = str_from(b->ids[b->given++]);
        messages[i]->group = str_from(group);
        messages[i]->visibility_ns = visibility_ns;
        messages[i]->lease_until = visibility_ns > 0 ? b->now + visibility_ns : MONO_NEVER;
    }
    b->asks--;
    flow_received(b->route, messages, count, 0, b->now);
}

static inline void end(struct bench *b, uint32_t index, struct attempt_result result)
{
    result.ended_at = b->now;
    flow_attempt_ended(b->running[index], &result, b->now);
}

static inline struct route_stats stats(const struct bench *b)
{
    struct route_stats ret;
    flow_route_stats(b->route, &ret);
    return ret;
}

#define ANSWER(code) ((struct attempt_result){.status = (code), .written = true})

#endif
