/*
 * What routes remember: written, found, begun once, forgotten when it is over; on a restart and on
 * a file that refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support/store_kit.h"

#include "sluice/base/fault.h"

#define HOUR_MS INT64_C(3600000)

static struct store_record record_of(enum store_record_kind kind, uint8_t number)
{
    struct store_record record = {.kind = kind, .expires_in_ms = HOUR_MS};

    memset(record.key, number, sizeof(record.key));
    return record;
}

static struct store_records op_of_one(enum store_records_how how, const char *route,
                                      struct store_record *record)
{
    return (struct store_records){
        .how = how, .route = str_from(route), .items = record, .count = 1};
}

/* As one transaction. */
static void run_on(struct kit *kit, struct store_records *op)
{
    kit_begin(kit);
    assert_int_equal(engine_records(&kit->engine, op), 0);
    kit_commit(kit);
}

static struct store_record put_retry(struct kit *kit, const char *route, uint8_t number,
                                     uint32_t attempts, int64_t age_ms)
{
    struct store_record record = record_of(STORE_RECORD_RETRY, number);
    record.attempts = attempts;
    record.backoffs = attempts + 1;
    record.age_ms = age_ms;
    struct store_records op = op_of_one(STORE_RECORDS_PUT, route, &record);
    run_on(kit, &op);
    return record;
}

static struct store_record get(struct kit *kit, const char *route, enum store_record_kind kind,
                               uint8_t number, bool *ret_any)
{
    struct store_record record = record_of(kind, number);
    struct store_records op = op_of_one(STORE_RECORDS_GET, route, &record);
    op.arena = &kit->arena;
    run_on(kit, &op);
    if (ret_any != NULL) {
        *ret_any = op.any;
    }
    return record;
}

static struct store_record begin(struct kit *kit, uint8_t number, bool take_over)
{
    struct store_record record = record_of(STORE_RECORD_WORK, number);
    struct store_records op = op_of_one(STORE_RECORDS_BEGIN, "r", &record);
    op.take_over = take_over;
    op.arena = &kit->arena;
    run_on(kit, &op);
    return record;
}

static void finish(struct kit *kit, uint8_t number, const char *answer)
{
    struct store_record record = record_of(STORE_RECORD_WORK, number);
    record.state = STORE_WORK_DONE;
    record.status = 201;
    record.answer = str_from(answer);
    struct store_records op = op_of_one(STORE_RECORDS_PUT, "r", &record);
    run_on(kit, &op);
}

static int setup_kit(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    kit_init(kit);
    *state = kit;
    return 0;
}

static void test_retries_are_remembered(void **state)
{
    struct kit *kit = *state;
    bool any = true;

    assert_false(get(kit, "r", STORE_RECORD_RETRY, 1, &any).found);
    assert_false(any);
    put_retry(kit, "r", 1, 3, 5000);
    put_retry(kit, "r", 1, 4, 6000); /* in place of the other */
    kit->now_ms += 1000;
    kit_reopen(kit);
    struct store_record found = get(kit, "r", STORE_RECORD_RETRY, 1, &any);
    assert_true(found.found && any);
    assert_int_equal(found.attempts, 4);
    assert_int_equal(found.backoffs, 5);
    assert_int_equal(found.age_ms, 7000);
    /* Of another message, another route, another kind: none. */
    assert_false(get(kit, "r", STORE_RECORD_RETRY, 2, &any).found);
    assert_true(any);
    assert_false(get(kit, "s", STORE_RECORD_RETRY, 1, &any).found);
    assert_false(any);
    assert_false(get(kit, "r", STORE_RECORD_WORK, 1, &any).found);
    assert_false(any);
    struct store_record record = record_of(STORE_RECORD_RETRY, 1);
    struct store_records op = op_of_one(STORE_RECORDS_DELETE, "r", &record);
    run_on(kit, &op);
    run_on(kit, &op); /* none is there: no error */
    assert_false(get(kit, "r", STORE_RECORD_RETRY, 1, &any).found);
    assert_false(any);
}

static void test_work_is_begun_once(void **state)
{
    struct kit *kit = *state;

    assert_false(begin(kit, 1, false).found);
    struct store_record again = begin(kit, 1, false);
    assert_true(again.found);
    assert_int_equal(again.state, STORE_WORK_IN_PROGRESS);
    assert_false(begin(kit, 1, true).found);
    assert_false(begin(kit, 2, false).found);
    kit_reopen(kit);
    assert_true(begin(kit, 1, false).found);
    finish(kit, 1, "{\"id\":7}");
    again = begin(kit, 1, true); /* what is done is never taken over */
    assert_true(again.found);
    assert_int_equal(again.state, STORE_WORK_DONE);
    assert_int_equal(again.status, 201);
    assert_true(str_equal(again.answer, STR("{\"id\":7}")));
    finish(kit, 2, NULL);
    again = begin(kit, 2, false);
    assert_int_equal(again.state, STORE_WORK_DONE);
    assert_null(again.answer.ptr);
    /* Over: as if it had never been. */
    kit->now_ms += HOUR_MS;
    assert_false(begin(kit, 1, false).found);
    again = begin(kit, 1, false);
    assert_int_equal(again.state, STORE_WORK_IN_PROGRESS);
    assert_int_equal(again.status, 0);
}

static int64_t rows(struct kit *kit)
{
    sqlite3_stmt *s = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(kit->engine.db.handle, "SELECT count(*) FROM records", -1, &s, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return count;
}

static void test_sweep_is_bounded_and_goes_on(void **state)
{
    struct kit *kit = *state;

    kit_begin(kit);
    for (int i = 0; i < 600; i++) {
        struct store_record record = record_of(STORE_RECORD_WORK, 0);
        memcpy(record.key, &i, sizeof(i));
        record.state = STORE_WORK_DONE;
        record.expires_in_ms = i < 500 ? HOUR_MS : 2 * HOUR_MS;
        struct store_records op = op_of_one(STORE_RECORDS_PUT, "r", &record);
        assert_int_equal(engine_records(&kit->engine, &op), 0);
    }
    kit_commit(kit);
    kit_sweep(kit);
    assert_int_equal(rows(kit), 600);
    kit->now_ms += HOUR_MS;
    kit_reopen(kit); /* whoever opens the file looks */
    kit_sweep(kit);
    assert_int_equal(rows(kit), 600 - 256);
    assert_true(kit->engine.next_expiry <= kit->engine.now); /* it is due again at once */
    kit_sweep(kit);
    assert_int_equal(rows(kit), 100);
    assert_true(kit->engine.next_expiry > kit->engine.now);
    assert_true(kit->engine.next_expiry <= kit->engine.now + HOUR_MS);
    kit->now_ms += HOUR_MS;
    kit_sweep(kit);
    assert_int_equal(rows(kit), 0);
    assert_int_equal(kit->engine.next_record, QUEUE_NEVER);
}

static void test_rollback_takes_a_beginning_back(void **state)
{
    struct kit *kit = *state;
    struct store_record record = record_of(STORE_RECORD_WORK, 1);
    struct store_records op = op_of_one(STORE_RECORDS_BEGIN, "r", &record);

    kit_begin(kit);
    assert_int_equal(engine_records(&kit->engine, &op), 0);
    engine_rollback(&kit->engine);
    kit->in_transaction = false;
    run_on(kit, &op); /* as the store does: the same operation again */
    assert_false(record.found);
    assert_true(begin(kit, 1, false).found);
}

/* ---- through the store ---- */

struct records_call {
    struct store_records op;
    struct store_record record;
    struct arena arena;
    uint32_t done;
};

static void on_records(void *context, struct store_records *records)
{
    (void)records;
    ((struct records_call *)context)->done++;
}

static int submit_and_wait(struct fixture *f, enum store_records_how how, uint8_t number,
                           struct records_call *call)
{
    *call = (struct records_call){.record = record_of(STORE_RECORD_WORK, number)};
    arena_init(&call->arena, STORE_ANSWER_MAX_BYTES);
    call->op = op_of_one(how, "r", &call->record);
    call->op.arena = &call->arena;
    call->op.done = on_records;
    call->op.context = call;
    store_records(f->store, &call->op);
    assert_int_equal(call->done, 0);
    run_until(f, &call->done, 1);
    arena_done(&call->arena);
    return call->op.error;
}

static void test_store_completes_and_refuses(void **state)
{
    struct fixture *f = *state;
    struct records_call call;

    assert_int_equal(submit_and_wait(f, STORE_RECORDS_BEGIN, 1, &call), 0);
    assert_false(call.record.found);
#ifdef SLUICE_FAULTS
    /* Once together with others, and once alone: refused, and nothing happened. */
    assert_int_equal(fault_arm("store.before_commit,store.before_commit"), 0);
    assert_int_equal(submit_and_wait(f, STORE_RECORDS_BEGIN, 2, &call), ERR_IO);
    assert_int_equal(fault_arm(NULL), 0);
    assert_int_equal(submit_and_wait(f, STORE_RECORDS_BEGIN, 2, &call), 0);
    assert_false(call.record.found);
#endif
    assert_int_equal(submit_and_wait(f, STORE_RECORDS_BEGIN, 1, &call), 0);
    assert_true(call.record.found);
    close_store(f);
    open_store(f);
    assert_int_equal(submit_and_wait(f, STORE_RECORDS_GET, 1, &call), 0);
    assert_true(call.record.found && call.op.any);
    assert_int_equal(call.record.state, STORE_WORK_IN_PROGRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_retries_are_remembered, setup_kit, kit_teardown),
        cmocka_unit_test_setup_teardown(test_work_is_begun_once, setup_kit, kit_teardown),
        cmocka_unit_test_setup_teardown(test_sweep_is_bounded_and_goes_on, setup_kit, kit_teardown),
        cmocka_unit_test_setup_teardown(test_rollback_takes_a_beginning_back, setup_kit,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(test_store_completes_and_refuses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
