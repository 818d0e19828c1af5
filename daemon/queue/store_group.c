/*
 * One transaction of the store: the operations of a turn, then the waiters for what became visible.
 * A transaction that fails is rolled back and its operations are tried one by one, so that an
 * operation the file refuses fails alone.
 */
#include "store_internal.h"

#include "sluice/base/fault.h"
#include "sluice/runtime/log.h"

#define RETRY_EVERY_NS NS_PER_S

/* One transaction's worth. */
struct group {
    struct list ops;    /* of this turn */
    struct list served; /* waiters that got something in it */
    bool alone;         /* one operation, nothing else: waiters must not make it fail */
    struct queue *only; /* alone: these waiters and nothing else; NULL: none */
};

static void op_finish(struct store *store, struct store_op *op)
{
    list_push(&store->finished, &op->node);
}

/* ---- errors ---- */

static void request_fail(struct store_request *request, int rc)
{
    request->output = NULL;
    if (rc == ERR_FULL || rc == ERR_READ_ONLY) {
        (void)sqs_error_set(&request->error, SQS_ERROR_SERVICE_UNAVAILABLE,
                            "The queue's disk is %s: nothing was changed. Try again later.",
                            rc == ERR_FULL ? "full" : "read-only");
    } else {
        (void)sqs_error_set(&request->error, SQS_ERROR_INTERNAL_FAILURE,
                            "The queue's file refused the operation (%s): nothing was changed.",
                            err_text(rc));
    }
}

static void op_fail(struct store *store, struct store_op *op, int rc)
{
    if (op->kind == OP_REQUEST) {
        request_fail(SL_CONTAINER_OF(op, struct store_request, op), rc);
    } else if (op->kind == OP_HOLD) {
        struct store_hold *hold = SL_CONTAINER_OF(op, struct store_hold, op);
        hold->count = 0;
        hold->error = rc;
    } else if (op->kind == OP_PEEK) {
        SL_CONTAINER_OF(op, struct store_peek, op)->error = rc;
    } else if (op->kind == OP_QUOTA) {
        SL_CONTAINER_OF(op, struct store_quota, op)->error = rc;
    } else if (op->kind == OP_RECORDS) {
        SL_CONTAINER_OF(op, struct store_records, op)->error = rc;
    } else {
        SL_CONTAINER_OF(op, struct store_settle, op)->error = rc;
    }
    op_finish(store, op);
}

void store_publish_error(struct store *store)
{
    int rc = store->error;
    if (rc == 0 && store->engine.refuses_messages) {
        rc = ERR_FULL;
    }
    pthread_mutex_lock(&store->mutex);
    store->stats.error = rc;
    pthread_mutex_unlock(&store->mutex);
}

/* Logged when it begins and when it ends, not for every operation. Damage does not end by itself,
 * though other queues may never come to it. */
void store_note_result(struct store *store, int rc)
{
    if (rc == store->error || store->error == ERR_CORRUPT) {
        return;
    }
    if (rc == ERR_CORRUPT) {
        LOG_ERROR("queue file is damaged: stop, and put a backup in its place or save what can be "
                  "read with \"sqlite3 FILE .recover\"",
                  LOG_STR("file", store->path), LOG_ERR("error", rc));
    } else if (rc != 0) {
        LOG_ERROR("queue file refused a write", LOG_STR("file", store->path), LOG_ERR("error", rc));
    } else {
        LOG_INFO("queue file takes writes again", LOG_STR("file", store->path));
    }
    store->error = rc;
    store_publish_error(store);
}

/* ---- one operation ---- */

static struct queue *op_queue(struct store *store, struct store_op *op)
{
    if (op->kind == OP_HOLD) {
        return engine_queue(&store->engine, SL_CONTAINER_OF(op, struct store_hold, op)->queue);
    }
    struct queue *queue = NULL;
    (void)engine_wait_seconds(&store->engine, SL_CONTAINER_OF(op, struct store_request, op),
                              &queue);
    return queue;
}

static void answer_empty(struct store_request *request)
{
    request->output = arena_alloc(request->arena, sizeof(struct sqs_receive_out));
    if (request->output == NULL) {
        request_fail(request, ERR_NOMEM);
    }
}

static int run_request(struct store *store, struct store_request *request)
{
    struct store_op *op = &request->op;
    if (op->canceled && request->action == SQS_RECEIVE_MESSAGE) {
        answer_empty(request); /* nobody is there to take a message */
        return 0;
    }
    int rc = engine_run(&store->engine, request);
    if (rc != 0 || request->action != SQS_RECEIVE_MESSAGE || request->error.code != SQS_OK) {
        return rc;
    }
    const struct sqs_receive_out *out = request->output;
    struct queue *queue = NULL;
    int64_t seconds = engine_wait_seconds(&store->engine, request, &queue);
    op->parked = out->messages.count == 0 && seconds > 0 && !store->draining;
    if (op->parked && op->deadline_at == 0) {
        op->deadline_at = loop_now() + seconds * NS_PER_S;
    }
    return 0;
}

static int run_hold(struct store *store, struct store_hold *hold)
{
    struct store_op *op = &hold->op;
    if (op->canceled || store->draining) {
        hold->error = op->canceled ? ERR_CANCELED : ERR_CLOSED;
        return 0;
    }
    int rc = engine_hold(&store->engine, hold);
    op->parked = rc == 0 && hold->error == 0 && hold->count == 0;
    op->deadline_at = MONO_NEVER;
    return rc;
}

static int run_op(struct store *store, struct store_op *op)
{
    op->parked = false;
    if (op->kind == OP_REQUEST) {
        return run_request(store, SL_CONTAINER_OF(op, struct store_request, op));
    }
    if (op->kind == OP_HOLD) {
        return run_hold(store, SL_CONTAINER_OF(op, struct store_hold, op));
    }
    if (op->kind == OP_PEEK) {
        return engine_peek(&store->engine, SL_CONTAINER_OF(op, struct store_peek, op));
    }
    if (op->kind == OP_QUOTA) {
        return engine_quota(&store->engine, SL_CONTAINER_OF(op, struct store_quota, op));
    }
    if (op->kind == OP_RECORDS) {
        return engine_records(&store->engine, SL_CONTAINER_OF(op, struct store_records, op));
    }
    return engine_settle(&store->engine, SL_CONTAINER_OF(op, struct store_settle, op));
}

static bool is_receive(struct store_op *op)
{
    return op->kind == OP_HOLD ||
           (op->kind == OP_REQUEST &&
            SL_CONTAINER_OF(op, struct store_request, op)->action == SQS_RECEIVE_MESSAGE);
}

/* ---- waiters ---- */

static void waiter_add(struct store *store, struct store_op *op, struct queue *queue)
{
    op->waits_for = queue;
    list_push(&queue->waiters, &op->node);
    if (!list_is_linked(&queue->waiting)) {
        list_push(&store->waiting_queues, &queue->waiting);
    }
    if (op->deadline_at != MONO_NEVER) {
        heap_set(&store->deadlines, &op->deadline, op->deadline_at);
    }
}

static void waiter_remove(struct store *store, struct store_op *op)
{
    struct queue *queue = op->waits_for;
    list_remove(&queue->waiters, &op->node);
    if (queue->waiters.count == 0) {
        list_remove(&store->waiting_queues, &queue->waiting);
    }
    heap_remove(&store->deadlines, &op->deadline);
    op->waits_for = NULL;
}

/* An answer with nothing in it. */
void store_waiter_finish_empty(struct store *store, struct store_op *op, int hold_error)
{
    waiter_remove(store, op);
    if (op->kind == OP_HOLD) {
        SL_CONTAINER_OF(op, struct store_hold, op)->error = hold_error;
    } else {
        answer_empty(SL_CONTAINER_OF(op, struct store_request, op));
    }
    op_finish(store, op);
}

void store_waiters_finish_all(struct store *store)
{
    struct list_node *node;
    while ((node = list_first(&store->waiting_queues)) != NULL) {
        struct queue *queue = LIST_ENTRY(node, struct queue, waiting);
        store_waiter_finish_empty(store, op_of(list_first(&queue->waiters)), ERR_CLOSED);
    }
}

void store_waiters_expire(struct store *store, mono_ns now)
{
    struct heap_node *node;
    while ((node = heap_first(&store->deadlines)) != NULL && node->key <= now) {
        store_waiter_finish_empty(store, SL_CONTAINER_OF(node, struct store_op, deadline), 0);
    }
}

/* A queue was deleted: those who waited for it learn that there is none. */
void store_on_queue_gone(void *context, struct queue *queue)
{
    struct store *store = context;
    struct list_node *node;
    while ((node = list_first(&queue->waiters)) != NULL) {
        struct store_op *op = op_of(node);
        store_waiter_finish_empty(store, op, ERR_NOT_FOUND);
        if (op->kind == OP_REQUEST) {
            struct store_request *request = SL_CONTAINER_OF(op, struct store_request, op);
            request->output = NULL;
            (void)sqs_error_set(&request->error, SQS_ERROR_QUEUE_DOES_NOT_EXIST,
                                "The specified queue does not exist.");
        }
    }
}

/* Gives a queue's waiters what is visible, first come first served. */
static int serve_queue(struct store *store, struct group *group, struct queue *queue)
{
    int rc = engine_advance(&store->engine, queue);
    while (rc == 0 && queue->waiters.count > 0 && queue->state.counts[QUEUE_VISIBLE] > 0) {
        struct store_op *op = op_of(list_first(&queue->waiters));
        rc = run_op(store, op);
        if (rc == 0 && op->parked) {
            break; /* all that was visible left for the dead-letter queue */
        }
        if (rc == 0) {
            waiter_remove(store, op);
            op->waits_for = queue; /* where a rollback puts it back */
            list_push(&group->served, &op->node);
        }
    }
    return rc;
}

/* ---- one transaction ---- */

/* A receive behind others that wait for the same queue lets them go first. */
static int run_in_order(struct store *store, struct group *group, struct store_op *op)
{
    if (is_receive(op) && !group->alone) {
        struct queue *queue = op_queue(store, op);
        int rc = queue == NULL ? 0 : serve_queue(store, group, queue);
        if (rc != 0) {
            return rc;
        }
    }
    return run_op(store, op);
}

static int group_run(struct store *store, struct group *group)
{
    int rc = 0;
    LIST_FOR(&group->ops, node)
    {
        rc = rc != 0 ? rc : run_in_order(store, group, op_of(node));
    }
    LIST_FOR(&store->waiting_queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, waiting);
        if (rc == 0 && (!group->alone || queue == group->only)) {
            rc = serve_queue(store, group, queue);
        }
    }
    /* A later operation of this turn may have brought what an earlier one wanted to wait for. */
    LIST_FOR(&group->ops, node)
    {
        struct store_op *op = op_of(node);
        if (rc != 0 || !op->parked) {
            continue;
        }
        struct queue *queue = op_queue(store, op);
        if (queue == NULL || queue->state.counts[QUEUE_VISIBLE] > 0) {
            rc = run_op(store, op);
        }
    }
    return rc;
}

static void group_take_back(struct store *store, struct group *group)
{
    while (group->served.count > 0) { /* the last one served is the first to go back in front */
        struct list_node *node = group->served.head.prev;
        struct store_op *op = op_of(node);
        struct queue *queue = op->waits_for;
        list_remove(&group->served, node);
        waiter_add(store, op, queue);
        list_remove(&queue->waiters, node);
        list_push_front(&queue->waiters, node);
    }
}

static void group_finish(struct store *store, struct group *group)
{
    struct list_node *node;
    while ((node = list_pop(&group->served)) != NULL) {
        op_of(node)->waits_for = NULL;
        op_finish(store, op_of(node));
    }
    while ((node = list_pop(&group->ops)) != NULL) {
        struct store_op *op = op_of(node);
        if (op->parked) {
            waiter_add(store, op, op_queue(store, op));
        } else {
            op_finish(store, op);
        }
    }
}

static int group_commit(struct store *store, int64_t changes_before, uint64_t operations)
{
    struct engine *engine = &store->engine;
    if (FAULT("store.before_commit")) {
        engine_rollback(engine);
        return ERR_IO;
    }
    mono_ns start = loop_now();
    int rc = engine_commit(engine);
    int64_t took = loop_now() - start;
    (void)FAULT("store.after_commit");
    pthread_mutex_lock(&store->mutex);
    store->stats.operations += rc == 0 ? operations : 0;
    if (rc == 0 && db_changes(&engine->db) != changes_before) {
        store->stats.commits++;
        store->stats.last_commit_ns = took;
        store->stats.longest_commit_ns =
            took > store->stats.longest_commit_ns ? took : store->stats.longest_commit_ns;
    }
    pthread_mutex_unlock(&store->mutex);
    return rc;
}

int store_transaction_begin(struct store *store)
{
    struct engine *engine = &store->engine;
    return engine_begin(engine, lease_clock_ms(&engine->clock, loop_now()), loop_wall());
}

/* Runs the group's operations and finishes them. On error nothing of it happened: the operations
 * are in group->ops still, and waiters wait on. */
static int group_execute(struct store *store, struct group *group)
{
    int64_t changes_before = db_changes(&store->engine.db);
    uint64_t operations = group->ops.count;
    uint64_t moves = store->engine.moves;
    list_init(&group->served);
    int rc = store_transaction_begin(store);
    if (rc != 0) {
        return rc;
    }
    rc = group_run(store, group);
    if (rc != 0) {
        engine_rollback(&store->engine);
    } else {
        rc = group_commit(store, changes_before, operations);
    }
    if (rc != 0) {
        group_take_back(store, group);
        return rc;
    }
    group_finish(store, group);
    /* What this transaction moved itself may have come too late for those who wait where it went.
     */
    store->moves_served = group->alone ? store->moves_served : moves;
    return 0;
}

/* Notes what a transaction came to; one that wrote nothing proves nothing about the disk. */
static void note_group(struct store *store, int rc, int64_t changes_before)
{
    store->degraded = rc != 0;
    store->next_retry = loop_now() + RETRY_EVERY_NS;
    if (rc != 0 || db_changes(&store->engine.db) != changes_before) {
        store_note_result(store, rc);
    }
}

/* One by one: deletes and receives go on where sends cannot. */
static void execute_singly(struct store *store, struct list *ops)
{
    int64_t changes_before = db_changes(&store->engine.db);
    int first_error = 0;
    struct list_node *node;
    struct group group = {.alone = true};
    list_init(&group.ops);
    while ((node = list_pop(ops)) != NULL) {
        list_push(&group.ops, node);
        int rc = group_execute(store, &group);
        if (rc != 0) {
            op_fail(store, op_of(list_pop(&group.ops)), rc);
            /* An answer too large for its caller's memory says nothing about the file. */
            first_error = first_error != 0 || rc == ERR_NOMEM ? first_error : rc;
        }
    }
    /* Then those who wait, queue by queue. A rollback may put a queue at the end of the list. */
    for (size_t count = store->waiting_queues.count; count > 0; count--) {
        node = list_pop(&store->waiting_queues);
        list_push(&store->waiting_queues, node);
        group.only = LIST_ENTRY(node, struct queue, waiting);
        int rc = group_execute(store, &group);
        first_error = first_error != 0 ? first_error : rc;
    }
    note_group(store, first_error, changes_before);
}

void store_execute(struct store *store, struct list *ops)
{
    int64_t changes_before = db_changes(&store->engine.db);
    if (store->degraded) {
        if (ops->count > 0 || loop_now() >= store->next_retry) {
            execute_singly(store, ops);
        }
        return;
    }
    struct group group = {.alone = false};
    struct list_node *node;
    list_init(&group.ops);
    while ((node = list_pop(ops)) != NULL) {
        list_push(&group.ops, node);
    }
    int rc = group_execute(store, &group);
    if (rc != 0 && group.ops.count > 0) {
        execute_singly(store, &group.ops);
    } else {
        note_group(store, rc, changes_before);
    }
}
