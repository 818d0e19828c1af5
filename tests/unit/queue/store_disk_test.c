/*
 * The store on a disk that refuses to be written: every operation that writes says so, nothing
 * changes, and it goes on when the disk does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support/store_kit.h"

#include <signal.h>
#include <sys/resource.h>

/* While nothing can be written every operation that writes says so and changes nothing; then it
 * goes on as if nothing had been. */
static void assert_refused_and_back(struct fixture *f, int code, int error,
                                    void (*allow)(struct fixture *f, bool writes))
{
    const struct sqs_send_message_in send = send_in("x", 0);
    const struct sqs_receive_in receive = receive_in(0);
    const struct sqs_queue_in purge = {.queue_url = url};
    struct store_stats stats;
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    run_until(f, &call->order, 1);
    assert_int_equal(received(call), 1);
    const struct sqs_receive_out *out = call->request.output;
    const struct sqs_handle_in delete = {
        .queue_url = url, .entry = {.receipt_handle = out->messages.items[0].receipt_handle}};
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    allow(f, false);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), code);
    assert_int_equal(run(f, SQS_RECEIVE_MESSAGE, &receive), code);
    assert_int_equal(run(f, SQS_DELETE_MESSAGE, &delete), code);
    assert_int_equal(run(f, SQS_PURGE_QUEUE, &purge), code);
    store_stats(f->store, &stats);
    assert_int_equal(stats.error, error);
    allow(f, true);
    assert_int_equal(run(f, SQS_DELETE_MESSAGE, &delete), 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    store_stats(f->store, &stats);
    assert_int_equal(stats.error, 0);
    call_free(call);
    close_store(f);
    open_store(f);
    struct hold_call *hold = start_hold(f, "jobs", 10);
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.count, 2);
    hold_free(hold);
}

static void allow_by_pragma(struct fixture *f, bool writes)
{
    sqlite3_exec(f->store->engine.db.handle,
                 writes ? "PRAGMA query_only = OFF" : "PRAGMA query_only = ON", NULL, NULL, NULL);
}

static void test_read_only(void **state)
{
    assert_refused_and_back(*state, SQS_ERROR_SERVICE_UNAVAILABLE, ERR_READ_ONLY, allow_by_pragma);
}

/* The kernel refuses each write, as on a disk that it made read-only after errors. */
static void allow_by_limit(struct fixture *f, bool writes)
{
    struct rlimit limit;
    (void)f;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = writes ? limit.rlim_max : 0;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_writes_fail(void **state)
{
    assert_refused_and_back(*state, SQS_ERROR_INTERNAL_FAILURE, ERR_IO, allow_by_limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writes_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
