/*
 * Attempts that end without a call (the work was done before, may have been, or is under way), and
 * routes on which what may have been done is not done again.
 */
#include "unit/flow/flow_mute.h"

#define S NS_PER_S

struct bench {
    struct flow *flow;
    struct limit *limit;
    struct route *route;
    mono_ns now;
    struct message *running;
    uint32_t starts, settles;
    enum settle how;
    bool done_lost;
};

static void on_start(void *context, struct message *message)
{
    struct bench *b = context;
    b->running = message;
    b->starts++;
}

static void on_settle(void *context, struct message *message, enum settle how, int64_t delay_ns)
{
    struct bench *b = context;
    (void)message;
    (void)delay_ns;
    b->settles++;
    b->how = how;
}

static void on_message_done(void *context, struct message *message)
{
    ((struct bench *)context)->done_lost = message->settled && message->settle == SETTLE_LOST;
}

static void pump(struct bench *b)
{
    (void)flow_pump(b->flow, 256, b->now);
    flow_check_invariants(b->flow);
}

/* One message, whose attempt has started. */
static void begin(struct bench *b, bool at_most_once, int64_t visibility_ns)
{
    static const struct flow_ops ops = {.receive = mute_receive,
                                        .start = on_start,
                                        .settle = on_settle,
                                        .extend = mute_message,
                                        .message_done = on_message_done};
    const struct target_config target = {
        .name = "t",
        .concurrency = 1,
        .timeout_ns = 10 * S,
        .breaker = {.enabled = true, .failure_percent = 50, .max_open_ns = S}};
    const struct limit_config limit = {
        .requests = 1, .per_ns = 50 * S, .max_flight_ns = S, .pace = true};
    struct route_config route = {
        .name = "r",
        .weight = 1,
        .has_dead_letter = true,
        .at_most_once = at_most_once,
        .retry = {.max_attempts = 9, .min_backoff_ns = S, .max_backoff_ns = S, .max_doublings = 1}};

    *b = (struct bench){.now = 100 * S};
    b->flow = flow_new(&ops, b, 1);
    assert_int_equal(limit_new(&limit, b->now, &b->limit), 0);
    route.target = flow_target_add(b->flow, &target, b->now);
    route.limits = (struct limit_set){.limits = {b->limit}, .count = 1};
    b->route = flow_route_add(b->flow, &route, b->now);
    b->now += 100 * S; /* no longer cold */
    pump(b);
    struct message *message = flow_message_new(b->route);
    message->visibility_ns = visibility_ns;
    message->lease_until = visibility_ns > 0 ? b->now + visibility_ns : MONO_NEVER;
    flow_received(b->route, &message, 1, 0, b->now);
    pump(b);
    assert_int_equal(b->starts, 1);
    assert_int_equal(limit_free_permits(b->limit, b->now), 0);
}

static void end(struct bench *b, struct attempt_result result)
{
    result.ended_at = b->now;
    flow_attempt_ended(b->running, &result, b->now);
    flow_check_invariants(b->flow);
}

static void done(struct bench *b)
{
    flow_free(b->flow);
    limit_free(b->limit);
}

static void done_before_is_an_ack_without_a_call(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    end(&b, (struct attempt_result){.end = ATTEMPT_DONE_BEFORE});
    pump(&b);
    assert_int_equal(b.settles, 1);
    assert_int_equal(b.how, SETTLE_ACK);
    assert_int_equal(b.running->calls, 0);
    assert_int_equal(b.running->attempts, 0);
    assert_true(limit_check(b.limit, 1, b.now).admit); /* permit and pace came back */
    done(&b);
}

/* A message that is known brings how long it waits, too: more than its attempts say, where failures
 * were the target's. One whose attempts alone are known waits as after them. */
static void a_known_message_goes_on_waiting_as_long(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    for (uint32_t backoffs = 0; backoffs <= 5; backoffs += 5) {
        pump(&b);
        b.route->receiving = true;
        struct message *message = flow_message_new(b.route);
        message->lease_until = MONO_NEVER;
        message->attempts = 2;
        message->backoffs = backoffs;
        flow_received(b.route, &message, 1, 0, b.now);
        assert_int_equal(message->backoffs, backoffs == 0 ? 2 : backoffs);
    }
    done(&b);
}

static void postponed_waits_and_counts_nothing(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, true, 0);
    end(&b, (struct attempt_result){.end = ATTEMPT_POSTPONED, .retry_after = b.now + S});
    pump(&b);
    assert_int_equal(b.running->state, MESSAGE_WAITING);
    b.now += S - 1;
    pump(&b);
    assert_int_equal(b.starts, 1);
    b.now += 1;
    pump(&b); /* I6: the permit is free, it starts at once */
    assert_int_equal(b.starts, 2);
    assert_int_equal(b.running->calls, 1);
    assert_int_equal(b.running->attempts, 0);
    assert_int_equal(b.running->backoffs, 0);
    done(&b);
}

/* When the first attempt was is known of an earlier receipt: that stays so. */
static void postponed_after_a_restart(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    end(&b, (struct attempt_result){.end = ATTEMPT_POSTPONED, .retry_after = b.now + S});
    assert_true(b.running->first_attempt_at == MONO_NEVER);
    b.running->received_at = b.now;
    b.running->first_attempt_at = b.now - 60 * S;
    b.now += S;
    pump(&b);
    assert_int_equal(b.starts, 2);
    end(&b, (struct attempt_result){.end = ATTEMPT_POSTPONED, .retry_after = b.now + S});
    assert_true(b.running->first_attempt_at == b.now - 61 * S);
    done(&b);
}

static void unknown_is_given_up(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, true, 0);
    end(&b, (struct attempt_result){.end = ATTEMPT_UNKNOWN});
    pump(&b);
    assert_int_equal(b.how, SETTLE_DEAD_LETTER);
    assert_int_equal(b.running->give_up, GIVE_UP_UNKNOWN);
    assert_int_equal(b.running->calls, 0);
    assert_true(limit_check(b.limit, 1, b.now).admit);
    done(&b);
}

/* No answer, but bytes on the way: called again, except at most once. What never reached the API,
 * or what it answered, is known. */
static void broken_calls_at_most_once(void **state)
{
    static const struct {
        struct attempt_result result;
        bool unknown;
    } cases[] = {
        {{.error = ERR_RESET, .written = true}, true},
        {{.error = ERR_TIMEOUT, .written = true}, true},
        {{.error = ERR_TIMEOUT, .status = 200, .written = true}, true}, /* the body broke off */
        {{.error = ERR_CONNECT}, false},
        {{.status = 500, .written = true}, false},
        {{.status = 429, .written = true}, false},
        {{.error = ERR_TOO_BIG, .status = 500, .written = true}, false},
    };

    (void)state;
    for (size_t i = 0; i < 2 * SL_COUNT(cases); i++) {
        bool at_most_once = i % 2 == 1;
        bool given_up = at_most_once && cases[i / 2].unknown;
        struct bench b;
        begin(&b, at_most_once, 0);
        end(&b, cases[i / 2].result);
        pump(&b);
        assert_int_equal(b.running->state, given_up ? MESSAGE_SETTLING : MESSAGE_WAITING);
        assert_int_equal(b.running->give_up, given_up ? GIVE_UP_UNKNOWN : GIVE_UP_NONE);
        done(&b);
    }
}

/* The breaker waits for the end of a probe: one that was no call is none. */
static void a_probe_that_was_no_call(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    for (uint32_t i = 1; i <= BREAKER_UNREACHED; i++) {
        assert_int_equal(b.starts, i);
        end(&b, (struct attempt_result){.error = ERR_CONNECT});
        b.now += 100 * S;
        pump(&b);
        pump(&b); /* open, then half open */
    }
    assert_int_equal(b.starts, BREAKER_UNREACHED + 1);
    end(&b, (struct attempt_result){.end = ATTEMPT_POSTPONED, .retry_after = b.now + S});
    b.now += 100 * S;
    pump(&b);
    assert_int_equal(b.starts, BREAKER_UNREACHED + 2);
    done(&b);
}

/* Its lease ran out while the call was prepared: another receiver has it. */
/* What comes before the call took so long that the lease may end during it, or did. */
static void lease_too_short_for_the_call(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 30 * S);
    assert_true(flow_attempt_called(b.running, b.now + 20 * S));
    assert_false(flow_attempt_called(b.running, b.now + 20 * S + 1));
    assert_false(flow_attempt_called(b.running, b.now + 31 * S)); /* no pump has noticed yet */
    done(&b);
}

static void lease_lost_before_the_call(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 40 * S);
    assert_true(flow_attempt_called(b.running, b.now + S));
    assert_int_equal(b.running->attempt_started_at, b.now + S);
    b.now += 40 * S;
    pump(&b);
    assert_false(flow_attempt_called(b.running, b.now));
    end(&b, (struct attempt_result){.end = ATTEMPT_POSTPONED, .retry_after = b.now + S});
    pump(&b);
    assert_int_equal(b.settles, 0);
    assert_true(b.done_lost);
    done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(done_before_is_an_ack_without_a_call),
        cmocka_unit_test(a_known_message_goes_on_waiting_as_long),
        cmocka_unit_test(postponed_waits_and_counts_nothing),
        cmocka_unit_test(postponed_after_a_restart),
        cmocka_unit_test(unknown_is_given_up),
        cmocka_unit_test(broken_calls_at_most_once),
        cmocka_unit_test(a_probe_that_was_no_call),
        cmocka_unit_test(lease_too_short_for_the_call),
        cmocka_unit_test(lease_lost_before_the_call),
    };
    return cmocka_run_group_tests_name("uncalled", tests, NULL, NULL);
}
