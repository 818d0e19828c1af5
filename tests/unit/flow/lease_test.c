/*
 * Leases to their end: the cap, the stale handle, what goes back, and what goes back with it.
 */
#include "unit/flow/flow_bench.h"

#define HOUR (3600 * S)

/* One message with a lease that can be extended up to `cap` from now. */
static struct message *give_capped(struct bench *b, int64_t visibility_ns, int64_t cap_ns)
{
    struct message *message = flow_message_new(b->route);

    message->id = STR("capped");
    message->visibility_ns = visibility_ns;
    message->lease_until = b->now + visibility_ns;
    message->lease_cap = b->now + cap_ns;
    b->asks--;
    flow_received(b->route, &message, 1, 0, b->now);
    return message;
}

/* Grants every extension until nothing is extended any more or that time comes. */
static void extend_until(struct bench *b, mono_ns until)
{
    while (b->now < until && b->settles == 0) {
        mono_ns next = pump(b);
        if (b->extends > 0) {
            b->extends = 0;
            struct message *message = b->extending;
            assert_true(b->now + message->extension_ns <= message->lease_cap);
            flow_extended(message, 0, b->now + message->extension_ns, b->now);
            continue;
        }
        if (b->settles == 0) {
            b->now = mono_min(next, until);
        }
    }
}

/* Twelve hours after its receipt SQS takes a message back: it goes back before, at the last moment
 * at which a call could have started. */
static void ready_until_the_cap(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    mono_ns from = b->now;
    (void)give_capped(b, 60 * S, 12 * HOUR);
    flow_route_pause(b->route, true);
    extend_until(b, from + 13 * HOUR);
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->how, SETTLE_RELEASE);
    assert_int_equal(b->delay_ns, 0);
    assert_int_equal(b->now, from + 12 * HOUR - 10 * S); /* the target's timeout */
    assert_int_equal(stats(b).leases_lost, 0);
    assert_int_equal(stats(b).waits_handed_back, 1);
    bench_done(b);
}

/* A wait that lasts beyond the cap: the rest of it is the delay, as far as the queue can hide it.
 */
static void waiting_beyond_the_cap(void **state)
{
    struct bench *b = bench_new(ordinary(), false);
    struct attempt_result result = ANSWER(429);

    (void)state;
    (void)pump(b);
    mono_ns from = b->now;
    (void)give_capped(b, 60 * S, 12 * HOUR);
    (void)pump(b);
    result.retry_after = from + 12 * HOUR - 4 * S;
    end(b, 0, result);
    extend_until(b, from + 13 * HOUR);
    assert_int_equal(b->how, SETTLE_RELEASE);
    assert_int_equal(b->delay_ns, 6 * S);
    assert_int_equal(b->now, from + 12 * HOUR - 10 * S);
    bench_done(b);

    b = bench_new(ordinary(), false);
    (void)pump(b);
    from = b->now;
    (void)give_capped(b, 60 * S, 12 * HOUR);
    (void)pump(b);
    result.retry_after = from + 20 * HOUR;
    end(b, 0, result);
    extend_until(b, from + 13 * HOUR);
    assert_int_equal(b->delay_ns, 10 * S); /* to the cap */
    bench_done(b);
}

/* The queue says that the handle is stale: another receiver has the message, and this one does not
 * call it again. */
static void stale_while_it_waits(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 60 * S);
    flow_route_pause(b->route, true);
    (void)pump(b);
    b->now += 30 * S;
    (void)pump(b);
    assert_int_equal(b->extends, 1);
    flow_extended(b->extending, ERR_NOT_FOUND, 0, b->now);
    flow_route_pause(b->route, false);
    (void)pump(b);
    assert_int_equal(b->started, 0);
    assert_int_equal(b->settles, 0);
    assert_int_equal(b->done_how, SETTLE_LOST);
    assert_int_equal(stats(b).leases_lost, 1);
    bench_done(b);
}

static void stale_in_flight(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 2, NULL, 60 * S);
    (void)pump(b);
    b->now += 30 * S;
    (void)pump(b);
    assert_int_equal(b->extends, 2);
    flow_extended(b->running[0], ERR_NOT_FOUND, 0, b->now);
    flow_extended(b->running[1], ERR_NOT_FOUND, 0, b->now);
    end(b, 0, ANSWER(500)); /* not ours to retry */
    end(b, 1, ANSWER(200)); /* worth telling */
    (void)pump(b);
    assert_int_equal(b->done, 1);
    assert_int_equal(b->done_how, SETTLE_LOST);
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->how, SETTLE_ACK);
    flow_settled(b->settling, ERR_NOT_FOUND, b->now); /* a FIFO queue does not take it */
    (void)pump(b);
    assert_int_equal(b->done, 2);
    assert_int_equal(b->done_how, SETTLE_LOST);
    assert_int_equal(stats(b).leases_lost, 2); /* each once */
    bench_done(b);
}

/* The delete of a message whose handle expired fails on a FIFO queue: it will come again, and what
 * is behind it must not be called before. */
static void delete_too_late(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 3, "a", 60 * S);
    (void)pump(b);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    flow_settled(b->settling, ERR_NOT_FOUND, b->now);
    (void)pump(b);
    assert_int_equal(stats(b).leases_lost, 1);
    assert_int_equal(b->started, 1);
    assert_int_equal(b->settles, 3);
    assert_int_equal(b->how, SETTLE_RELEASE);
    assert_int_equal(stats(b).settled[SETTLE_LOST], 1);
    assert_int_equal(stats(b).settled[SETTLE_ACK], 0);
    bench_done(b);
}

/* A follower that is lost takes those behind it along, not those before it. */
static void lost_follower(void **state)
{
    struct bench *b = bench_new(ordinary(), false);
    struct message *messages[4] = {NULL};

    (void)state;
    (void)pump(b);
    give(b, 4, "a", 60 * S);
    (void)pump(b);
    messages[0] = b->running[0];
    uint32_t i = 1;
    LIST_FOR(&messages[0]->group_state->waiting, node)
    {
        messages[i++] = LIST_ENTRY(node, struct message, group_node);
    }
    b->now += 30 * S;
    (void)pump(b);
    assert_int_equal(b->extends, 4);
    for (i = 0; i < 4; i++) {
        flow_extended(messages[i], i == 2 ? ERR_NOT_FOUND : 0, b->now + 60 * S, b->now);
    }
    (void)pump(b);
    assert_int_equal(stats(b).settled[SETTLE_LOST], 1);
    assert_int_equal(b->settles, 1); /* the last of them */
    assert_ptr_equal(b->settling, messages[3]);
    assert_int_equal(b->how, SETTLE_RELEASE);
    flow_settled(messages[3], 0, b->now);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    flow_settled(b->settling, 0, b->now);
    (void)pump(b);
    assert_int_equal(b->started, 2);
    assert_ptr_equal(b->running[1], messages[1]);
    assert_int_equal(stats(b).held[MESSAGE_BUFFERED], 0);
    bench_done(b);
}

/* Lost during its call, received again meanwhile, and then the call succeeds: the new receipt is
 * acknowledged too, and nothing is called twice. */
static void received_again_during_its_call(void **state)
{
    struct bench *b = bench_new(ordinary(), false);
    struct message *again;

    (void)state;
    (void)pump(b);
    give(b, 1, "a", 60 * S);
    (void)pump(b);
    b->now += 61 * S;
    (void)pump(b);
    assert_int_equal(stats(b).leases_lost, 1);
    again = flow_message_new(b->route);
    again->id = b->running[0]->id;
    again->group = STR("a");
    again->visibility_ns = 60 * S;
    again->lease_until = b->now + 60 * S;
    flow_received(b->route, &again, 1, 0, b->now);
    (void)pump(b);
    assert_int_equal(b->started, 1);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    assert_int_equal(b->settles, 2);
    flow_settled(again, 0, b->now);
    flow_settled(b->running[0], ERR_NOT_FOUND, b->now);
    (void)pump(b);
    assert_int_equal(b->started, 1);
    assert_int_equal(b->done, 2);
    assert_int_equal(stats(b).settled[SETTLE_ACK], 1);
    bench_done(b);
}

/* A visibility hardly longer than the timeout: no call starts on less than the timeout, and an
 * extension is long enough for one. */
static void visibility_just_above_the_timeout(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 11 * S);
    b->now += 2 * S; /* 9 s are left for a call of 10 */
    (void)pump(b);
    assert_int_equal(b->started, 0);
    assert_int_equal(b->extends, 1);
    assert_int_equal(b->extending->extension_ns, 15 * S);
    flow_extended(b->extending, 0, b->now + 15 * S, b->now);
    b->now += 3 * S;
    (void)pump(b);
    assert_int_equal(b->started, 1);
    bench_done(b);
}

/* Settling fails, and so do extensions: the last try comes before the lease ends, however long the
 * backoff, and nothing is asked for in a hot loop. */
static void settled_before_the_lease_ends(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 60 * S);
    (void)pump(b);
    mono_ns lease_until = b->running[0]->lease_until, last = 0;
    end(b, 0, ANSWER(200));
    (void)pump(b);
    while (b->done == 0) {
        if (b->extending != NULL) {
            flow_extended(b->extending, ERR_TIMEOUT, 0, b->now);
            b->extending = NULL;
        } else if (b->settles > 0) {
            b->settles = 0;
            last = b->now;
            flow_settled(b->settling, ERR_TIMEOUT, b->now);
        }
        mono_ns next = pump(b);
        b->now = b->settles > 0 || b->extending != NULL ? b->now : next;
    }
    assert_true(last >= lease_until - 2 * S);
    assert_in_range(b->extends, 1, 5); /* from half of it on, an eighth apart */
    assert_int_equal(b->done_how, SETTLE_LOST);
    bench_done(b);
}

/* Settling fails for long, as it does while a destination is down: it stays ours. */
static void extended_while_settling_fails(void **state)
{
    struct bench *b = bench_new(ordinary(), false);
    uint32_t tries = 0;

    (void)state;
    (void)pump(b);
    give(b, 1, NULL, 60 * S);
    (void)pump(b);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    for (mono_ns until = b->now + 600 * S; b->now < until;) {
        if (b->extending != NULL) {
            flow_extended(b->extending, 0, b->now + b->extending->extension_ns, b->now);
            b->extending = NULL;
        } else if (b->settles > 0) {
            b->settles = 0;
            tries++;
            flow_settled(b->settling, ERR_IO, b->now);
        }
        mono_ns next = pump(b);
        b->now = b->settles > 0 || b->extending != NULL ? b->now : next;
    }
    assert_int_equal(b->done, 0);
    assert_in_range(b->extends, 15, 25); /* each half of sixty seconds */
    assert_true(tries > b->extends);
    while (b->settles == 0) {
        b->now = pump(b);
        if (b->extending != NULL) {
            flow_extended(b->extending, 0, b->now + b->extending->extension_ns, b->now);
            b->extending = NULL;
        }
    }
    flow_settled(b->settling, 0, b->now);
    assert_int_equal(b->done_how, SETTLE_ACK);
    bench_done(b);
}

/* The answer to an extension comes late, but it comes: what was done meanwhile stays done. */
static void extended_late_while_settling(void **state)
{
    struct bench *b = bench_new(ordinary(), false);

    (void)state;
    (void)pump(b);
    mono_ns received_at = b->now;
    give(b, 1, NULL, 60 * S);
    (void)pump(b);
    b->running[0]->lease_cap = received_at + 90 * S;
    b->now = received_at + 30 * S;
    (void)pump(b);
    assert_int_equal(b->extends, 1);
    end(b, 0, ANSWER(200));
    (void)pump(b);
    assert_int_equal(b->settles, 0); /* it waits for the answer */
    b->now = received_at + 61 * S;   /* the process stood still */
    flow_extended(b->extending, 0, received_at + 90 * S, b->now);
    (void)pump(b);
    assert_int_equal(b->settles, 1);
    assert_int_equal(b->how, SETTLE_ACK);
    flow_settled(b->settling, 0, b->now);
    bench_done(b);
}

/* Fails each of count messages for good, in calls of their own, with a success in between: the
 * target as a whole does not fail. */
static void fail_many(struct bench *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        b->started = 0;
        give(b, 2, NULL, 0);
        (void)pump(b);
        assert_int_equal(b->started, 2);
        end(b, 0, ANSWER(200));
        end(b, 1, ANSWER(500));
        (void)pump(b);
        flow_settled(b->running[0], 0, b->now);
        b->asks = 1;
        b->route->receiving = true;
    }
}

/* Messages that fail again and again fill half of the room and no more: the longest waits go back
 * with their rest, and receiving goes on. */
static void waits_are_bounded(void **state)
{
    struct route_config route = ordinary();

    (void)state;
    route.retry = (struct retry_config){
        .max_attempts = 0, .min_backoff_ns = 600 * S, .max_backoff_ns = 600 * S};
    struct bench *b = bench_new(route, false);
    (void)pump(b);
    fail_many(b, WAITS_MAX);
    assert_int_equal(stats(b).waits_handed_back, 0);
    fail_many(b, 5);
    assert_in_range(stats(b).waits_handed_back, 1, 5);
    assert_true(stats(b).held[MESSAGE_WAITING] <= WAITS_MAX);
    assert_in_range(b->released_delay_ns, 400 * S,
                    600 * S); /* one of the longest of five hundred */
    bench_done(b);
}

/* The source has no room: half of what waits goes back, however few. */
static void source_without_room(void **state)
{
    struct route_config route = ordinary();

    (void)state;
    route.retry = (struct retry_config){
        .max_attempts = 0, .min_backoff_ns = 600 * S, .max_backoff_ns = 600 * S};
    struct bench *b = bench_new(route, false);
    (void)pump(b);
    fail_many(b, 10);
    b->now += MS;
    flow_source_full(b->route);
    (void)pump(b);
    assert_int_equal(stats(b).waits_handed_back, 5);
    assert_int_equal(stats(b).held[MESSAGE_WAITING], 5);
    (void)pump(b);
    assert_int_equal(stats(b).waits_handed_back, 5);
    bench_done(b);
}

/* While the target fails as a whole its messages stay: a receive more would be for nothing (I5). */
static void outage_hands_nothing_back(void **state)
{
    struct route_config route = ordinary();

    (void)state;
    route.retry = (struct retry_config){
        .max_attempts = 0, .min_backoff_ns = 600 * S, .max_backoff_ns = 600 * S};
    struct bench *b = bench_new(route, false);
    (void)pump(b);
    fail_many(b, 10);
    for (int i = 0; i < 2; i++) {
        b->started = 0;
        give(b, 4, NULL, 0);
        (void)pump(b);
        for (uint32_t j = 0; j < 4; j++) {
            end(b, j, ANSWER(500));
        }
        b->asks = 1;
        b->route->receiving = true;
    }
    flow_source_full(b->route);
    (void)pump(b);
    assert_int_equal(stats(b).waits_handed_back, 0);
    bench_done(b);
}

/* The head of a group goes back with a delay: those behind it go back first, at once, uncalled. */
static void group_goes_back_in_order(void **state)
{
    struct route_config route = ordinary();

    (void)state;
    route.has_dead_letter = true;
    struct bench *b = bench_new(route, false);
    (void)pump(b);
    give(b, 3, "a", 60 * S);
    (void)pump(b);
    end(b, 0, ANSWER(400));
    (void)pump(b);
    assert_int_equal(b->how, SETTLE_DEAD_LETTER);
    flow_settled(b->settling, ERR_UNSUPPORTED, b->now); /* its dead-letter queue was deleted */
    (void)pump(b);
    assert_int_equal(b->settles, 4);
    assert_int_equal(b->running[0]->settle, SETTLE_RELEASE);
    assert_int_equal(b->running[0]->settle_delay_ns, 8 * S);
    assert_int_equal(b->started, 1);
    assert_int_equal(stats(b).held[MESSAGE_SETTLING], 3);
    bench_done(b);
}

/* A restart is no reason to call an API earlier that asked for a pause: what waits goes on waiting
 * in the queue. */
static void a_drain_keeps_waits(void **state)
{
    struct bench *b = bench_new(ordinary(), false);
    struct attempt_result busy = ANSWER(429);

    (void)state;
    (void)pump(b);
    give(b, 1, "", 0);
    (void)pump(b);
    busy.retry_after = b->now + 300 * S;
    end(b, 0, busy);
    b->now += 100 * S;
    flow_drain(b->flow, b->now);
    (void)pump(b);
    assert_int_equal(b->how, SETTLE_RELEASE);
    assert_int_equal(b->delay_ns, 200 * S);
    bench_done(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ready_until_the_cap),
        cmocka_unit_test(a_drain_keeps_waits),
        cmocka_unit_test(waiting_beyond_the_cap),
        cmocka_unit_test(stale_while_it_waits),
        cmocka_unit_test(stale_in_flight),
        cmocka_unit_test(delete_too_late),
        cmocka_unit_test(lost_follower),
        cmocka_unit_test(received_again_during_its_call),
        cmocka_unit_test(visibility_just_above_the_timeout),
        cmocka_unit_test(settled_before_the_lease_ends),
        cmocka_unit_test(extended_while_settling_fails),
        cmocka_unit_test(extended_late_while_settling),
        cmocka_unit_test(waits_are_bounded),
        cmocka_unit_test(source_without_room),
        cmocka_unit_test(outage_hands_nothing_back),
        cmocka_unit_test(group_goes_back_in_order),
    };

    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
