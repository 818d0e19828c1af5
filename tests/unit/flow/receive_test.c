/* How many receives, of how many messages: where each one is a request that is paid for. */
#include "unit/flow/flow_bench.h"

static struct bench *paid_bench(uint32_t receives_max)
{
    struct route_config config = ordinary();

    config.receive_batch = 10;
    config.receives_max = receives_max;
    struct bench *b = bench_new(config, false);
    b->route->rate.per_second = 100; /* as if calls ended at this pace: a goal of 200 */
    b->route->rate.since = b->now;
    return b;
}

/* A queue that has more to give is asked by more receives at once, up to the bound, and by one
 * again when one of them came back with less. */
static void receives_follow_the_backlog(void **state)
{
    struct bench *b = paid_bench(4);
    uint32_t seen = 0;

    (void)state;
    (void)pump(b);
    assert_int_equal(b->asks, 1);
    assert_int_equal(b->asked, 10);
    give(b, 10, "", 60 * S);
    (void)pump(b);
    assert_int_equal(b->asks, 2);
    give(b, 10, "", 60 * S);
    (void)pump(b);
    assert_int_equal(b->asks, 4);
    for (; seen < 4; seen++) {
        give(b, 10, "", 60 * S);
        (void)pump(b);
        assert_int_equal(b->asks, 4);
    }
    give(b, 3, "", 60 * S);
    (void)pump(b);
    assert_int_equal(b->asks, 3);
    assert_int_equal(b->route->receiving, 3);
    for (; b->asks > 1;) {
        give(b, 0, "", 60 * S);
        (void)pump(b);
    }
    assert_int_equal(b->asks, 1);
    give(b, 10, "", 60 * S);
    (void)pump(b);
    assert_int_equal(b->asks, 2);
    bench_done(b);
}

/* I5: what is under way counts as received, so no more is asked for than will be called. */
static void no_more_than_the_goal(void **state)
{
    struct bench *b = paid_bench(10);

    (void)state;
    b->route->rate.per_second = 20; /* a goal of 40 */
    (void)pump(b);
    give(b, 10, "", 60 * S); /* four are called at once */
    (void)pump(b);
    assert_int_equal(b->asks, 2);
    give(b, 10, "", 60 * S);
    (void)pump(b);
    assert_int_equal(b->route->held, 20);
    assert_int_equal(b->asks, 2); /* 16 ready and 20 under way: a third would pass 40 */
    bench_done(b);
}

static void one_where_one_is_the_most(void **state)
{
    struct bench *b = paid_bench(0);

    (void)state;
    (void)pump(b);
    give(b, 10, "", 60 * S);
    (void)pump(b);
    give(b, 10, "", 60 * S);
    (void)pump(b);
    assert_int_equal(b->asks, 1);
    bench_done(b);
}

/* Several that fail together are one failure. */
static void failures_of_several(void **state)
{
    struct bench *b = paid_bench(4);

    (void)state;
    for (int i = 0; i < 2; i++) {
        (void)pump(b);
        give(b, 10, "", 60 * S);
    }
    (void)pump(b);
    assert_int_equal(b->asks, 4);
    for (; b->asks > 0; b->asks--) {
        flow_received(b->route, NULL, 0, ERR_CONNECT, b->now);
    }
    assert_int_equal(b->route->receive_failures, 1);
    assert_true(b->route->receive_at <= b->now + RECEIVE_BACKOFF_NS);
    (void)pump(b);
    assert_int_equal(b->asks, 0);
    b->now = b->route->receive_at;
    (void)pump(b);
    assert_int_equal(b->asks, 1);
    bench_done(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receives_follow_the_backlog),
        cmocka_unit_test(no_more_than_the_goal),
        cmocka_unit_test(one_where_one_is_the_most),
        cmocka_unit_test(failures_of_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
