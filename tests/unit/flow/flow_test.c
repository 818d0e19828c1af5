/*
 * The flow between two recording ops: what each event makes of a message, step by step.
 */
#include "unit/flow/flow_bench.h"

static void acknowledged(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    assert_int_equal(pump(b), MONO_NEVER);
    assert_int_equal(b->asked, 4); /* without a rate: as many as can run */
    give(b, 6, NULL, 0);
    assert_int_equal(b->started, 0); /* events record, the pump decides */
    (void)pump(b);
    assert_int_equal(b->started, 4);
    assert_int_equal(stats(b).held[MESSAGE_READY], 2);
    assert_int_equal(stats(b).blocked_by, LIMIT_REASON_CONCURRENCY);
    b->now += 300 * MS;
    end(b, 0, ANSWER(200));
    assert_int_equal(b->settles, 0);
    (void)pump(b);
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->how, SETTLE_ACK);
    assert_int_equal(b->started, 5);
    assert_int_equal(b->running[4]->throttle_wait_ns, 300 * MS);
    assert_int_equal(b->running[4]->wait_reason, LIMIT_REASON_CONCURRENCY);
    assert_int_equal(stats(b).throttle_wait_ns[LIMIT_REASON_CONCURRENCY], 600 * MS);
    flow_settled(b->settling, 0, b->now);
    assert_int_equal(b->done, 1);
    assert_true(b->done_settled);
    assert_int_equal(b->done_how, SETTLE_ACK);
    assert_int_equal(stats(b).settled[SETTLE_ACK], 1);
    bench_done(b);
}

static void retried_then_dead_lettered(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 0);
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        (void)pump(b);
        assert_int_equal(b->started, attempt + 1);
        end(b, attempt, ANSWER(500));
        assert_int_equal(b->running[attempt]->attempts, attempt + 1);
        if (attempt < 2) {
            mono_ns next = pump(b);
            assert_int_equal(stats(b).held[MESSAGE_WAITING] + b->started, attempt + 2);
            assert_true(next <= b->now + (S << attempt));
            b->now = mono_max(next, b->now);
        }
    }
    (void)pump(b);
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    assert_int_equal(stats(b).retries, 2);
    assert_int_equal(stats(b).outcomes[OUTCOME_RETRY], 3);
    bench_done(b);
}

/* Nothing was written: no permit is used, nothing counted, whatever often. */
static void unreachable(void **state)
{
    struct bench *b = bench_new(ordinary(), true);
    uint32_t calls = 0;

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 0);
    while (calls < 40) {
        mono_ns next = pump(b);
        if (b->started > 0) {
            assert_int_equal(b->started, 1);
            end(b, 0, (struct attempt_result){.error = ERR_CONNECT});
            assert_int_equal(b->running[0]->attempts, 0);
            assert_int_equal(limit_free_permits(b->limit, b->now), 5);
            assert_int_equal(concurrency_used(flow_target_concurrency(b->target), b->now), 0);
            b->started = 0;
            calls++;
            continue;
        }
        assert_true(next != MONO_NEVER);
        b->now = next;
    }
    assert_int_equal(b->settles, 0);
    bench_done(b);
}

static void throttled_gates_everybody(void **state)
{
    struct bench *b = bench_new(ordinary(), true);

    (void)state;
    (void)pump(b);
    give(b, 4, NULL, 0);
    (void)pump(b);
    assert_int_equal(b->started, 4);
    b->now += MS;
    struct attempt_result result = ANSWER(429);
    result.retry_after = b->now + 7 * S;
    end(b, 0, result);
    end(b, 1, ANSWER(503)); /* known already: the same gate, no growth */
    assert_int_equal(b->route->gate_failures, 0);
    end(b, 2, ANSWER(200));
    assert_int_equal(b->running[0]->attempts, 0);
    assert_int_equal(b->route->gate_failures, 0);
    mono_ns from = b->now;
    assert_int_equal(limit_check(b->limit, 1, b->now).reason, LIMIT_REASON_GATE);
    assert_int_equal(limit_check(b->limit, 1, b->now).at, from + 7 * S);
    b->asks = 0;
    (void)pump(b);
    assert_int_equal(b->asks, 0); /* no receive for a gate so far away */
    b->now = from + 7 * S - 1;
    (void)pump(b);
    assert_int_equal(b->started, 4);
    b->now = from + 7 * S;
    (void)pump(b);
    assert_int_equal(b->started, 6);
    bench_done(b);
}

/* Without Retry-After the gate grows with each answer that is news. */
static void throttle_backs_off(void **state)
{
    struct bench *b = bench_new(ordinary(), true);
    int64_t bound = S;

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 0);
    for (int i = 0; i < 8; i++) {
        (void)pump(b);
        assert_int_equal(b->started, 1);
        b->now += MS;
        struct attempt_result result = ANSWER(503);
        result.retry_after = i % 2 == 0 ? 0 : b->now; /* Retry-After: 0 says as little as none */
        end(b, 0, result);
        b->started = 0;
        int64_t gate = limit_check(b->limit, 1, b->now).at - b->now;
        assert_in_range(gate, bound / 2, bound);
        bound = bound * 2 > 8 * S ? 8 * S : bound * 2;
        b->now += gate + S; /* a free permit too */
    }
    (void)pump(b);
    b->now += MS;
    end(b, 0, ANSWER(204));
    assert_int_equal(b->route->gate_failures, 0);
    bench_done(b);
}

/* A call whose end is uncertain keeps its permit for max_flight and W. */
static void permits_of_uncertain_ends(void **state)
{
    struct bench *b = bench_new(ordinary(), true);

    (void)state;
    (void)pump(b);
    give(b, 3, NULL, 0);
    (void)pump(b);
    b->now += 100 * MS;
    mono_ns acknowledged_at = b->now - 50 * MS;
    flow_attempt_arrived(b->running[0], acknowledged_at, b->now);
    end(b, 0, (struct attempt_result){.error = ERR_TIMEOUT, .written = true});
    end(b, 1, (struct attempt_result){.error = ERR_TIMEOUT, .written = true});
    end(b, 2, ANSWER(200));
    assert_int_equal(limit_free_permits(b->limit, b->now), 2);
    assert_int_equal(limit_free_permits(b->limit, acknowledged_at + S + 10 * MS - 1), 2);
    assert_int_equal(limit_free_permits(b->limit, acknowledged_at + S + 10 * MS), 3);
    assert_int_equal(limit_free_permits(b->limit, b->now + S + 10 * MS), 4);
    assert_int_equal(limit_free_permits(b->limit, b->now + 2 * S + 10 * MS), 5);
    bench_done(b);
}

/* There is none by the configuration, or somebody deleted it meanwhile. */
static void dead_letter_without_a_queue_for_it(void **state)
{
    struct route_config route = ordinary();

    (void)state;
    for (int deleted = 0; deleted < 2; deleted++) {
        route.has_dead_letter = deleted;
        struct bench *b = bench_new(route, false);
        (void)pump(b);
        give(b, 1, NULL, 0);
        (void)pump(b);
        end(b, 0, ANSWER(400));
        (void)pump(b);
        if (deleted) {
            flow_settled(b->settling, ERR_UNSUPPORTED, b->now);
            (void)pump(b);
        }
        assert_int_equal(b->how, SETTLE_RELEASE);
        assert_int_equal(b->delay_ns, 8 * S);
        bench_done(b);
    }
}

static void settling_again(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 60 * S);
    (void)pump(b);
    end(b, 0, ANSWER(200));
    for (uint32_t i = 1; i < 5; i++) {
        (void)pump(b);
        assert_int_equal(b->settles, i);
        flow_settled(b->settling, ERR_TIMEOUT, b->now);
        b->now = pump(b);
    }
    assert_int_equal(b->done, 0);
    /* The lease runs out meanwhile: the message is another's. */
    (void)pump(b);
    b->now += 60 * S;
    flow_settled(b->settling, ERR_TIMEOUT, b->now);
    (void)pump(b);
    assert_int_equal(b->done, 1);
    assert_int_equal(b->done_how, SETTLE_LOST);
    assert_int_equal(stats(b).leases_lost, 1);
    bench_done(b);
}

static void lease_is_extended_at_half(void **state)
{
    struct route_config route = ordinary();
    struct bench *b;

    (void)state;
    b = bench_new(route, false);
    (void)pump(b);
    give(b, 1, NULL, 60 * S);
    flow_route_pause(b->route, true);
    mono_ns from = b->now;
    assert_int_equal(pump(b), from + 30 * S);
    b->now = from + 30 * S;
    (void)pump(b);
    assert_int_equal(b->extends, 1);
    flow_extended(b->extending, 0, b->now + 60 * S, b->now);
    assert_int_equal(pump(b), b->now + 30 * S);
    /* An extension that fails is tried again before the lease ends; then it is lost. */
    b->now += 30 * S;
    uint32_t tries = 0;
    for (;;) {
        mono_ns next = pump(b);
        if (b->done > 0) {
            break;
        }
        if (b->extends > 1) {
            b->extends = 1;
            tries++;
            flow_extended(b->extending, ERR_TIMEOUT, 0, b->now);
            continue;
        }
        b->now = next;
    }
    assert_in_range(tries, 2, 10);
    assert_int_equal(b->now, from + 90 * S);
    assert_int_equal(b->done_how, SETTLE_LOST);
    assert_int_equal(b->settles, 0); /* nobody is told */
    bench_done(b);
}

/* No call starts with less lease left than its timeout: it is extended first. */
static void lease_too_short_for_a_call(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 60 * S);
    flow_route_pause(b->route, true);
    (void)pump(b);
    b->now += 30 * S;
    (void)pump(b); /* asks for an extension, which takes its time */
    b->now += 21 * S;
    flow_route_pause(b->route, false);
    (void)pump(b);
    assert_int_equal(b->started, 0);
    assert_int_equal(stats(b).held[MESSAGE_BUFFERED], 1);
    flow_extended(b->extending, 0, b->now + 60 * S, b->now);
    (void)pump(b);
    assert_int_equal(b->started, 1);
    bench_done(b);
}

/* A message is not settled while its extension is under way. */
static void extension_and_settlement(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 60 * S);
    (void)pump(b);
    b->now += 30 * S;
    (void)pump(b);
    assert_int_equal(b->extends, 1);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    assert_int_equal(b->settles, 0);
    flow_extended(b->extending, 0, b->now + 60 * S, b->now);
    (void)pump(b);
    assert_int_equal(b->settles, 1);
    flow_settled(b->settling, 0, b->now);
    assert_int_equal(b->done, 1);
    bench_done(b);
}

/* The lease ran out during the call: success is told all the same, a retry is not ours to make. */
static void lease_lost_in_flight(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 2, NULL, 60 * S);
    (void)pump(b);
    b->now += 61 * S;
    (void)pump(b);
    assert_int_equal(stats(b).leases_lost, 2);
    assert_int_equal(stats(b).held[MESSAGE_IN_FLIGHT], 2);
    end(b, 0, ANSWER(200));
    end(b, 1, ANSWER(500));
    (void)pump(b);
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->how, SETTLE_ACK);
    assert_int_equal(b->done, 1);
    assert_int_equal(b->done_how, SETTLE_LOST);
    bench_done(b);
}

static void one_of_a_group_at_a_time(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 3, "a", 0);
    (void)pump(b);
    assert_int_equal(b->started, 1);
    assert_int_equal(stats(b).held[MESSAGE_BUFFERED], 2);
    assert_int_equal(b->asks, 1); /* those behind it keep nobody else in the queue */
    give(b, 1, "b", 0);
    (void)pump(b);
    assert_int_equal(b->started, 2);
    end(b, 0, ANSWER(500));
    (void)pump(b);
    assert_int_equal(b->started, 2); /* its group waits for its retry */
    b->now += 10 * S;
    (void)pump(b);
    assert_int_equal(b->started, 3);
    assert_ptr_equal(b->running[2], b->running[0]);
    end(b, 2, ANSWER(200));
    (void)pump(b);
    assert_int_equal(b->started, 3); /* until the queue knows */
    flow_settled(b->settling, 0, b->now);
    (void)pump(b);
    assert_int_equal(b->started, 4);
    bench_done(b);
}

/* What waits for a settlement: the next of the group, here or perhaps in the queue. Others do not.
 */
static void calls_wait_for_a_settlement(void **state)
{
    static const struct {
        const char *group;
        uint32_t count, others; /* of the group; of none, ready meanwhile */
        bool urgent;
    } rows[] = {{"a", 2, 0, true},  {"a", 1, 0, true}, {"a", 2, 9, true},
                {"a", 1, 9, false}, {"", 1, 0, false}, {"", 1, 9, false}};

    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct bench *b = bench_new(ordinary(), false);
        (void)pump(b);
        give(b, rows[i].count, rows[i].group, 0);
        (void)pump(b);
        if (rows[i].others > 0) { /* more than may be in flight */
            give(b, rows[i].others, "", 0);
            (void)pump(b);
        }
        struct message *first = b->running[0];
        end(b, 0, ANSWER(200));
        (void)pump(b);
        assert_ptr_equal(b->settling, first);
        assert_int_equal(flow_settle_is_urgent(first), rows[i].urgent);
        bench_done(b);
    }
}

/* The one that is called is lost: the rest of its group goes back, or it would be overtaken. */
static void group_of_a_lost_one(void **state)
{
    (void)state;
    for (int in_flight = 0; in_flight < 2; in_flight++) {
        struct bench *b = bench_new(ordinary(), false);
        (void)pump(b);
        give(b, 1, "a", 60 * S);
        flow_route_pause(b->route, in_flight == 0);
        (void)pump(b);
        b->now += 50 * S;
        b->asks = 1;
        b->route->receiving = true;
        give(b, 3, "a", 60 * S);
        b->now += 10 * S;
        (void)pump(b);
        assert_int_equal(stats(b).leases_lost, 1);
        if (in_flight == 1) {
            end(b, 0, ANSWER(500));
            (void)pump(b);
        }
        assert_int_equal(b->done_how, SETTLE_LOST);
        assert_int_equal(b->settles, 3);
        assert_int_equal(b->how, SETTLE_RELEASE);
        assert_int_equal(b->started, in_flight);
        bench_done(b);
    }
}

/* Without a limit there is none to gate: the route keeps the gate itself. */
static void throttled_without_a_limit(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 4, NULL, 0);
    (void)pump(b);
    struct attempt_result result = ANSWER(429);
    result.retry_after = b->now + 7 * S;
    end(b, 0, result);
    end(b, 1, ANSWER(200));
    b->asks = 1;
    b->route->receiving = true;
    give(b, 2, NULL, 0);
    mono_ns gate = b->now + 7 * S;
    while (b->now < gate) {
        mono_ns next = pump(b);
        assert_int_equal(b->started, 4);
        assert_int_equal(stats(b).blocked_by, LIMIT_REASON_GATE);
        b->now = mono_min(next, gate);
    }
    (void)pump(b);
    assert_int_equal(b->started, 6);
    bench_done(b);
}

static void drain(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 6, NULL, 0);
    (void)pump(b);
    end(b, 0, ANSWER(500));
    flow_drain(b->flow, b->now);
    (void)pump(b);
    assert_int_equal(b->started, 4); /* no more */
    assert_int_equal(b->settles, 3); /* two that were ready, one that waited */
    assert_int_equal(b->how, SETTLE_RELEASE);
    assert_in_range(b->delay_ns, 0, S); /* of the one that waited: the rest of its wait */
    assert_false(flow_is_drained(b->flow));
    for (uint32_t i = 1; i < 4; i++) {
        end(b, i, ANSWER(200));
    }
    (void)pump(b);
    assert_int_equal(b->settles, 6);
    bench_done(b);
}

/* What a receive brings after the drain began goes straight back. */
static void received_while_draining(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    flow_drain(b->flow, b->now);
    (void)pump(b);
    assert_false(flow_is_drained(b->flow)); /* the receive is out */
    give(b, 1, NULL, 0);
    (void)pump(b);
    assert_int_equal(b->how, SETTLE_RELEASE);
    flow_settled(b->settling, 0, b->now);
    assert_true(b->done_uncalled);
    assert_true(flow_is_drained(b->flow));
    bench_done(b);
}

static void receive_fails(void **state)
{
    struct bench *b = bench_new(ordinary(), false);
    int64_t longest = 0;

    (void)state;
    for (int i = 0; i < 60; i++) {
        mono_ns next = pump(b);
        while (b->asks == 0) {
            assert_in_range(next - b->now, 1, 20 * S);
            longest = next - b->now > longest ? next - b->now : longest;
            b->now = next;
            next = pump(b);
        }
        b->asks--;
        flow_received(b->route, NULL, 0, ERR_TIMEOUT, b->now);
    }
    assert_true(longest > 10 * S);
    while (b->asks == 0) {
        b->now = pump(b);
    }
    /* Canceled by the daemon itself: no failure. */
    b->asks--;
    flow_received(b->route, NULL, 0, ERR_CANCELED, b->now);
    (void)pump(b);
    assert_int_equal(b->asks, 1);
    bench_done(b);
}

static void nothing_to_ask_for(void **state)
{
    struct bench *b = bench_new(ordinary(), true);

    (void)state;
    flow_route_pause(b->route, true);
    assert_int_equal(pump(b), MONO_NEVER);
    assert_int_equal(b->asks, 0);
    flow_route_pause(b->route, false);
    flow_target_available(b->target, false);
    (void)pump(b);
    assert_int_equal(b->asks, 0);
    flow_target_available(b->target, true);
    limit_gate(b->limit, b->now + 60 * S);
    assert_int_equal(pump(b), b->now + 58 * S);
    assert_int_equal(b->asks, 0);
    b->now += 58 * S;
    (void)pump(b);
    assert_int_equal(b->asks, 1);
    bench_done(b);
}

static void work_is_bounded(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 4, NULL, 0);
    assert_int_equal(flow_pump(b->flow, 3, b->now), b->now);
    assert_int_equal(b->started, 3);
    (void)pump(b);
    assert_int_equal(b->started, 4);
    bench_done(b);
}

/* Time never goes back inside. */
static void older_times_count_as_the_newest(void **state)
{
    struct bench *b = bench_new(ordinary(), true);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 0);
    (void)pump(b);
    end(b, 0, ANSWER(200));
    b->now -= 3 * S;
    (void)pump(b); /* due at a time that this clock has not reached again */
    assert_int_equal(b->settles, 1);
    bench_done(b);
}

static void freed_with_messages_held(void **state)
{
    struct bench *b = bench_new(ordinary(), false);
    uint32_t done;

    (void)state;
    (void)pump(b);
    give(b, 6, "g", 60 * S);
    (void)pump(b);
    flow_free(b->flow);
    done = b->done;
    assert_false(b->done_settled);
    free(b);
    assert_int_equal(done, 6);
}

static void names(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    assert_ptr_equal(flow_route_find(b->flow, "r"), b->route);
    assert_null(flow_route_find(b->flow, "s"));
    assert_ptr_equal(flow_route_at(b->flow, 0), b->route);
    assert_null(flow_route_at(b->flow, 1));
    assert_string_equal(message_state_name(MESSAGE_IN_FLIGHT), "in_flight");
    assert_string_equal(settle_name(SETTLE_LOST), "lost");
    assert_string_equal(message_state_name((enum message_state)77), "unknown");
    bench_done(b);
}

/* ---- the one setter ---- */

static struct message *at_state(struct bench *b, enum message_state wanted)
{
    static const enum message_state way[][4] = {
        [MESSAGE_NEW] = {MESSAGE_NEW},
        [MESSAGE_BUFFERED] = {MESSAGE_BUFFERED},
        [MESSAGE_READY] = {MESSAGE_READY},
        [MESSAGE_IN_FLIGHT] = {MESSAGE_READY, MESSAGE_IN_FLIGHT},
        [MESSAGE_WAITING] = {MESSAGE_READY, MESSAGE_IN_FLIGHT, MESSAGE_WAITING},
        [MESSAGE_SETTLING] = {MESSAGE_SETTLING},
    };
    struct message *message = flow_message_new(b->route);

    assert_int_equal(lane_join(message), 0);
    for (size_t i = 0; message->state != wanted; i++) {
        message_move(message, way[wanted][i]);
    }
    return message;
}

static enum message_state move_from, move_to;

static void move_once(void)
{
    struct bench *b = bench_new(ordinary(), false);
    message_move(at_state(b, move_from), move_to);
    _exit(0); /* what is left is the parent's to check */
}

/* Every pair: the table of the header's picture, anything else aborts. */
static void transitions(void **state)
{
    static const char *const legal[] = {
        [MESSAGE_NEW] = ".bR..s",     [MESSAGE_BUFFERED] = "..R..s",
        [MESSAGE_READY] = ".b.I.s",   [MESSAGE_IN_FLIGHT] = "....Ws",
        [MESSAGE_WAITING] = "..R..s", [MESSAGE_SETTLING] = "n.....",
    };

    (void)state;
    for (move_from = 0; move_from < MESSAGE_STATE__COUNT; move_from++) {
        for (move_to = 0; move_to < MESSAGE_STATE__COUNT; move_to++) {
            bool allowed = legal[move_from][move_to] != '.';
            int how = unit_end_of(move_once);
            if ((how == 0) != allowed) {
                fail_msg("%s to %s: %d", message_state_name(move_from), message_state_name(move_to),
                         how);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged),
        cmocka_unit_test(retried_then_dead_lettered),
        cmocka_unit_test(unreachable),
        cmocka_unit_test(throttled_gates_everybody),
        cmocka_unit_test(throttle_backs_off),
        cmocka_unit_test(permits_of_uncertain_ends),
        cmocka_unit_test(dead_letter_without_a_queue_for_it),
        cmocka_unit_test(settling_again),
        cmocka_unit_test(lease_is_extended_at_half),
        cmocka_unit_test(lease_too_short_for_a_call),
        cmocka_unit_test(extension_and_settlement),
        cmocka_unit_test(lease_lost_in_flight),
        cmocka_unit_test(one_of_a_group_at_a_time),
        cmocka_unit_test(calls_wait_for_a_settlement),
        cmocka_unit_test(group_of_a_lost_one),
        cmocka_unit_test(throttled_without_a_limit),
        cmocka_unit_test(drain),
        cmocka_unit_test(received_while_draining),
        cmocka_unit_test(receive_fails),
        cmocka_unit_test(nothing_to_ask_for),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(older_times_count_as_the_newest),
        cmocka_unit_test(freed_with_messages_held),
        cmocka_unit_test(names),
        cmocka_unit_test(transitions),
    };

    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
