/*
 * The store with its thread on a real loop: completions, long polls, cancel, close, group commit, a
 * full disk. Every test drives the loop until what it waits for has happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support/store_kit.h"

#include <sched.h>
#include <sys/mount.h>

static void test_send_and_receive(void **state)
{
    struct fixture *f = *state;
    struct sqs_send_message_in send = send_in("hello", 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    struct sqs_receive_in receive = receive_in(0);
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    run_until(f, &call->order, 1);
    assert_int_equal(received(call), 1);
    call_free(call);
    call = start(f, SQS_RECEIVE_MESSAGE, &receive); /* a short poll answers at once */
    run_until(f, &call->order, 1);
    assert_int_equal(received(call), 0);
    call_free(call);
}

static void test_long_poll_woken_by_send(void **state)
{
    struct fixture *f = *state;
    struct sqs_receive_in receive = receive_in(20);
    receive.max_messages.value = 1;
    struct call *first = start(f, SQS_RECEIVE_MESSAGE, &receive);
    struct call *second = start(f, SQS_RECEIVE_MESSAGE, &receive);
    struct sqs_send_message_in one = send_in("1", 0);
    struct sqs_send_message_in two = send_in("2", 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &one), 0);
    run_until(f, &first->order, 1);
    assert_int_equal(received(first), 1);
    assert_int_equal(second->order, 0); /* first come, first served */
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &two), 0);
    run_until(f, &second->order, 1);
    assert_int_equal(received(second), 1);
    call_free(first);
    call_free(second);
}

static void test_long_poll_woken_by_delay_and_lease(void **state)
{
    struct fixture *f = *state;
    struct sqs_send_message_in send = send_in("later", 1);
    mono_ns start_ns = loop_now();
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    struct sqs_receive_in receive = receive_in(20);
    receive.visibility_timeout = (struct sqs_int){true, 1};
    for (int i = 1; i <= 2; i++) { /* the delay, then the first receive's lease */
        struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
        run_until(f, &call->order, 1);
        assert_int_equal(received(call), 1);
        assert_true(loop_now() - start_ns >= i * 990 * NS_PER_MS);
        call_free(call);
    }
}

static void test_long_poll_ends_empty(void **state)
{
    struct fixture *f = *state;
    struct sqs_receive_in receive = receive_in(1);
    mono_ns start_ns = loop_now();
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    run_until(f, &call->order, 1);
    assert_int_equal(received(call), 0);
    assert_true(loop_now() - start_ns >= 990 * NS_PER_MS);
    call_free(call);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct sqs_receive_in receive = receive_in(20);
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    struct call *early = start(f, SQS_RECEIVE_MESSAGE, &receive);
    store_cancel(f->store, &early->request); /* perhaps before the thread saw it */
    run_until(f, &early->order, 1);
    assert_int_equal(received(early), 0);
    assert_int_equal(call->order, 0);
    store_cancel(f->store, &call->request);
    store_cancel(f->store, &call->request);
    run_until(f, &call->order, 1);
    assert_int_equal(received(call), 0);
    store_cancel(f->store, &call->request); /* too late: harmless */
    struct hold_call *hold = start_hold(f, "jobs", 1);
    store_hold_cancel(f->store, &hold->hold);
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.error, ERR_CANCELED);
    hold_free(hold);
    call_free(call);
    call_free(early);
    /* The canceled ones took nothing. */
    struct sqs_send_message_in send = send_in("x", 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    run_until(f, &call->order, 1);
    assert_int_equal(received(call), 1);
    call_free(call);
}

static void test_hold_and_settle(void **state)
{
    struct fixture *f = *state;
    struct hold_call *hold = start_hold(f, "jobs", 5);
    struct sqs_send_message_in send = send_in("x", 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.error, 0);
    assert_int_equal(hold->hold.count, 1);
    struct store_settle s = {
        .queue = STR("jobs"), .row_id = hold->hold.messages[0].row_id, .how = STORE_SETTLE_RELEASE};
    assert_int_equal(settle(f, s), 0);
    hold_free(hold);
    hold = start_hold(f, "jobs", 5);
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.messages[0].receive_count, 2);
    s.how = STORE_SETTLE_DELETE;
    assert_int_equal(settle(f, s), 0);
    assert_int_equal(settle(f, s), ERR_NOT_FOUND);
    hold_free(hold);
    hold = start_hold(f, "nosuch", 5);
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.error, ERR_NOT_FOUND);
    hold_free(hold);
}

static void test_delete_queue_wakes_waiters(void **state)
{
    struct fixture *f = *state;
    struct sqs_receive_in receive = receive_in(20);
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    struct hold_call *hold = start_hold(f, "jobs", 1);
    struct sqs_queue_in named = {.queue_url = url};
    assert_int_equal(run(f, SQS_DELETE_QUEUE, &named), 0);
    run_until(f, &call->order, 1);
    run_until(f, &hold->order, 1);
    assert_int_equal(call->request.error.code, SQS_ERROR_QUEUE_DOES_NOT_EXIST);
    assert_int_equal(hold->hold.error, ERR_NOT_FOUND);
    call_free(call);
    hold_free(hold);
}

static void test_long_poll_woken_by_dead_letter(void **state)
{
    struct fixture *f = *state;
    struct sqs_create_queue_in dead = {.queue_name = STR("dead")};
    struct sqs_pair pairs[] = {
        {STR("VisibilityTimeout"), STR("0")},
        {STR("RedrivePolicy"), STR("{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:"
                                   "dead\",\"maxReceiveCount\":1}")},
    };
    struct sqs_set_queue_attributes_in set = {
        .queue_url = url, .attributes = {.items = pairs, .count = 2, .set = true}};
    assert_int_equal(run(f, SQS_CREATE_QUEUE, &dead), 0);
    assert_int_equal(run(f, SQS_SET_QUEUE_ATTRIBUTES, &set), 0);
    struct hold_call *hold = start_hold(f, "dead", 1);
    struct sqs_receive_in receive = receive_in(0);
    struct sqs_receive_in patient = receive_in(20);
    patient.queue_url = STR("dead");
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &patient);
    for (int i = 0; i < 2; i++) {
        struct sqs_send_message_in send = send_in("poison", 0);
        assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
        assert_int_equal(run(f, SQS_RECEIVE_MESSAGE, &receive), 0);
        assert_int_equal(run(f, SQS_RECEIVE_MESSAGE, &receive), 0);
    }
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.count, 1);
    assert_int_equal(hold->hold.messages[0].receive_count, 2);
    run_until(f, &call->order, 1);
    assert_int_equal(received(call), 1);
    hold_free(hold);
    call_free(call);
}

static void on_peek(void *context, struct store_peek *peek)
{
    struct fixture *f = context;
    (void)peek;
    f->done++;
}

static void test_peek(void **state)
{
    struct fixture *f = *state;
    struct sqs_message messages[4];
    struct arena arena;
    arena_init(&arena, 100000);
    assert_int_equal(run(f, SQS_CREATE_QUEUE, &create_jobs), 0);
    struct sqs_send_message_in in = send_in("looked at", -1);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &in), 0);
    struct store_peek peek = {.queue = url,
                              .arena = &arena,
                              .messages = messages,
                              .max = 4,
                              .done = on_peek,
                              .context = f};
    for (int i = 0; i < 2; i++) {
        uint32_t before = f->done;
        peek.count = 0;
        store_peek(f->store, &peek);
        assert_int_equal(f->done, before);
        run_until(f, &f->done, before + 1);
        assert_int_equal(peek.error, 0);
        assert_int_equal(peek.count, 1);
        assert_true(str_equal(messages[0].body, STR("looked at")));
    }
    arena_done(&arena);
}

/* The task works between operations, by itself, and wakes those who wait where its messages go. */
static void test_long_poll_woken_by_move_task(void **state)
{
    struct fixture *f = *state;
    struct sqs_create_queue_in dead = {.queue_name = STR("dead")};
    struct sqs_pair pair = {
        STR("RedrivePolicy"),
        STR("{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:dead\","
            "\"maxReceiveCount\":1}"),
    };
    struct sqs_set_queue_attributes_in set = {
        .queue_url = url, .attributes = {.items = &pair, .count = 1, .set = true}};
    struct sqs_start_move_task_in task = {
        .source_arn = STR("arn:aws:sqs:us-east-1:000000000000:dead"),
        .destination_arn = STR("arn:aws:sqs:us-east-1:000000000000:jobs"),
    };
    struct sqs_receive_in patient = receive_in(20);
    assert_int_equal(run(f, SQS_CREATE_QUEUE, &dead), 0);
    assert_int_equal(run(f, SQS_SET_QUEUE_ATTRIBUTES, &set), 0);
    for (int i = 0; i < 40; i++) {
        struct sqs_send_message_in send = send_in("dead letter", 0);
        send.queue_url = STR("dead");
        assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    }
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &patient);
    assert_int_equal(run(f, SQS_START_MESSAGE_MOVE_TASK, &task), 0);
    uint32_t count = 0;
    while (count < 40) { /* nothing but long polls: what moves, moves by itself */
        run_until(f, &call->order, 1);
        assert_true(received(call) > 0);
        count += received(call);
        call_free(call);
        call = start(f, SQS_RECEIVE_MESSAGE, &patient);
    }
    store_cancel(f->store, &call->request);
    run_until(f, &call->order, 1);
    call_free(call);
    struct sqs_list_move_tasks_in list = {.source_arn = task.source_arn};
    call = start(f, SQS_LIST_MESSAGE_MOVE_TASKS, &list);
    run_until(f, &call->order, 1);
    const struct sqs_list_move_tasks_out *out = call->request.output;
    assert_int_equal(out->results.count, 1);
    assert_true(str_equal(out->results.items[0].status, STR("COMPLETED")));
    assert_int_equal(out->results.items[0].moved.value, 40);
    call_free(call);
}

static void test_close_answers_waiters(void **state)
{
    struct fixture *f = *state;
    struct sqs_receive_in receive = receive_in(20);
    struct sqs_send_message_in send = send_in("kept", 0);
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    struct hold_call *hold = start_hold(f, "jobs", 1);
    struct sqs_create_queue_in other = {.queue_name = STR("other")};
    struct call *last = start(f, SQS_CREATE_QUEUE, &other); /* pending when close is called */
    close_store(f);
    assert_true(call->order > 0 && hold->order > 0 && last->order > 0);
    assert_int_equal(received(call), 0);
    assert_int_equal(hold->hold.error, ERR_CLOSED);
    assert_int_equal(last->request.error.code, 0);
    call_free(call);
    call_free(last);
    hold_free(hold);
    open_store(f);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
}

static void test_group_commit(void **state)
{
    enum { COUNT = 600 };
    struct fixture *f = *state;
    struct store_stats before;
    struct store_stats after;
    struct sqs_send_message_in send = send_in("x", 0);
    struct call *calls[COUNT];
    store_stats(f->store, &before);
    for (int i = 0; i < COUNT; i++) {
        calls[i] = start(f, SQS_SEND_MESSAGE, &send);
    }
    uint32_t base = f->done;
    run_until(f, &f->done, base + COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(calls[i]->request.error.code, 0);
        assert_true(i == 0 || calls[i]->order == calls[i - 1]->order + 1);
    }
    for (int i = 0; i < COUNT; i++) {
        call_free(calls[i]);
    }
    store_stats(f->store, &after);
    uint64_t commits = after.commits - before.commits;
    assert_int_equal(after.operations - before.operations, COUNT);
    assert_true(commits >= 3 && commits < COUNT / 2);
}

static const struct store_queue_stats *stats_of(struct fixture *f, struct store_queue_stats *all,
                                                const char *name)
{
    uint32_t count = store_queue_stats(f->store, all, 8);
    for (uint32_t i = 0; i < count && i < 8; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

static void test_stats(void **state)
{
    struct fixture *f = *state;
    struct store_queue_stats all[8];
    struct sqs_send_message_in send = send_in("x", 0);
    struct sqs_send_message_in delayed = send_in("x", 1);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &delayed), 0);
    struct hold_call *hold = start_hold(f, "jobs", 1);
    run_until(f, &hold->order, 1);
    /* Published after the answers: wait for it; then for the delay to end, without any operation.
     */
    mono_ns end = loop_now() + DEADLINE_NS;
    const struct store_queue_stats *s;
    while ((s = stats_of(f, all, "jobs")) == NULL || s->visible != 2 || s->in_flight != 1) {
        assert_true(loop_now() < end);
    }
    assert_int_equal(s->sent, 3);
    assert_int_equal(s->received, 1);
    assert_int_equal(s->delayed, 0);
    assert_true(s->oldest_sent_at > KIT_WALL);
    hold_free(hold);
}

/* Senders and a receiver in one turn: the senders fail, the receiver gets its messages. */
static struct call *receive_among_senders(struct fixture *f, const struct sqs_send_message_in *send)
{
    static const struct sqs_receive_in receive = {
        .queue_url = {"jobs", 4}, .max_messages = {true, 10}, .wait_seconds = {true, 0}};
    struct call *sends[10];
    for (int i = 0; i < 5; i++) {
        sends[i] = start(f, SQS_SEND_MESSAGE, send);
    }
    struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
    for (int i = 5; i < 10; i++) {
        sends[i] = start(f, SQS_SEND_MESSAGE, send);
    }
    run_until(f, &sends[9]->order, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(sends[i]->request.error.code, SQS_ERROR_SERVICE_UNAVAILABLE);
        call_free(sends[i]);
    }
    return call;
}

static void test_full_database(void **state)
{
    struct fixture *f = *state;
    char body[2000];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    struct sqs_send_message_in send = send_in(body, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    }
    close_store(f);
    open_store(f);
    /* Between open and the first operation the thread touches nothing of the connection's limits.
     */
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d", 1);
    sqlite3_exec(f->store->engine.db.handle, sql, NULL, NULL, NULL); /* as many as it has now */
    int code = 0;
    int accepted = 4;
    for (int i = 0; i < 1000 && code == 0; i++) {
        code = run(f, SQS_SEND_MESSAGE, &send);
        accepted += code == 0;
    }
    assert_int_equal(code, SQS_ERROR_SERVICE_UNAVAILABLE);
    struct store_stats stats;
    store_stats(f->store, &stats);
    assert_int_equal(stats.error, ERR_FULL);
    struct call *call = receive_among_senders(f, &send);
    uint32_t got = received(call);
    assert_true(got >= 1);
    /* Deletes go on and make room; then sending works again by itself. */
    const struct sqs_receive_out *out = call->request.output;
    for (uint32_t i = 0; i < got; i++) {
        struct sqs_handle_in delete = {
            .queue_url = url, .entry = {.receipt_handle = out->messages.items[i].receipt_handle}};
        assert_int_equal(run(f, SQS_DELETE_MESSAGE, &delete), 0);
    }
    call_free(call);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    store_stats(f->store, &stats);
    assert_int_equal(stats.error, 0);
    /* What was accepted and not deleted is there: no more, no less. */
    close_store(f);
    open_store(f);
    struct hold_call *hold = start_hold(f, "jobs", 1000);
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.error, 0);
    assert_int_equal(hold->hold.count, (uint32_t)accepted + 1 - got);
    hold_free(hold);
}

/* A tmpfs in a mount namespace of the test's own. */
static void test_small_disk(void **state)
{
    struct fixture *f = *state;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        (void)printf("SKIP: no right to mount a file system\n");
        skip();
    }
    close_store(f);
    assert_int_equal(mount("tmpfs", f->directory, "tmpfs", 0, "size=16m"), 0);
    open_store(f);
    assert_int_equal(run(f, SQS_CREATE_QUEUE, &create_jobs), 0);
    char body[20001];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    struct sqs_send_message_in send = send_in(body, 0);
    uint32_t accepted = 0;
    for (int round = 0; round < 3; round++) {
        int code = 0;
        for (int i = 0; i < 2000 && code == 0; i++) {
            code = run(f, SQS_SEND_MESSAGE, &send);
            accepted += code == 0;
        }
        assert_int_equal(code, SQS_ERROR_SERVICE_UNAVAILABLE);
        assert_true(accepted > 20);
        /* Everything can be received and deleted, and then there is room again. */
        while (accepted > 0) {
            struct hold_call *hold = start_hold(f, "jobs", 10);
            run_until(f, &hold->order, 1);
            assert_int_equal(hold->hold.error, 0);
            assert_true(hold->hold.count > 0);
            for (uint32_t i = 0; i < hold->hold.count; i++) {
                struct store_settle s = {.queue = STR("jobs"),
                                         .row_id = hold->hold.messages[i].row_id};
                assert_int_equal(settle(f, s), 0);
                accepted--;
            }
            hold_free(hold);
        }
        struct sqs_receive_in receive = receive_in(0);
        struct call *call = start(f, SQS_RECEIVE_MESSAGE, &receive);
        run_until(f, &call->order, 1);
        assert_int_equal(received(call), 0);
        call_free(call);
    }
    close_store(f);
    assert_int_equal(umount(f->directory), 0);
}

/* A waiter's message that cannot be read must not take other operations with it. */
static void test_waiter_that_fails_fails_alone(void **state)
{
    struct fixture *f = *state;
    static const struct sqs_create_queue_in create_other = {.queue_name = {"other", 5}};
    struct sqs_send_message_in late = send_in("damaged", 1);
    struct sqs_send_message_in send = {.queue_url = {"other", 5}, .entry = {.body = STR("x")}};
    struct store_stats stats = {.error = 0};
    sqlite3 *file;
    assert_int_equal(run(f, SQS_CREATE_QUEUE, &create_other), 0);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &late), 0);
    close_store(f);
    assert_int_equal(sqlite3_open(f->path, &file), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(file, "UPDATE messages SET attributes = x'0101ff'", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(file), SQLITE_OK);
    open_store(f);
    struct hold_call *hold = start_hold(f, "jobs", 5);
    mono_ns end = loop_now() + DEADLINE_NS;
    while (stats.error == 0) {
        assert_true(loop_now() < end);
        loop_timer_set(f->loop, &f->timer, loop_now() + 10 * NS_PER_MS);
        uv_run(loop_uv(f->loop), UV_RUN_ONCE);
        store_stats(f->store, &stats);
    }
    loop_timer_clear(f->loop, &f->timer);
    struct hold_call *other = start_hold(f, "other", 5);
    assert_int_equal(run(f, SQS_SEND_MESSAGE, &send), 0);
    run_until(f, &other->order, 1); /* nor those who wait for another queue */
    assert_int_equal(other->hold.count, 1);
    hold_free(other);
    assert_int_equal(hold->order, 0);
    store_hold_cancel(f->store, &hold->hold);
    run_until(f, &hold->order, 1);
    assert_int_equal(hold->hold.error, ERR_CANCELED);
    hold_free(hold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_send_and_receive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_poll_woken_by_send, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_poll_woken_by_delay_and_lease, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_poll_ends_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold_and_settle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delete_queue_wakes_waiters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_poll_woken_by_dead_letter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peek, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_poll_woken_by_move_task, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_answers_waiters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stats, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiter_that_fails_fails_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_database, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_disk, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
