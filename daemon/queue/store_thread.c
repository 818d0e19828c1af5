/*
 * The store's thread. One turn: take what is pending, run it as one transaction, give waiters what
 * became visible, sync once, hand all answers to the loop in one post. A transaction that fails is
 * rolled back and its operations are tried one by one, so that an operation the file refuses fails
 * alone.
 */
#include "store_internal.h"

#include "sluice/base/fault.h"
#include "sluice/runtime/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#define GROUP_OPS_MAX     256
#define GROUP_BYTES_MAX   ((size_t)4 << 20)
#define PUBLISH_EVERY_NS  NS_PER_S
#define SWEEP_EVERY_NS    NS_PER_S
#define RETRY_EVERY_NS    NS_PER_S
#define REAP_BUDGET_NS    (5 * NS_PER_MS)
#define REAP_ROWS         64
#define RESERVE_MAX_BYTES ((uint64_t)16 << 20)
#define RESERVE_DIVISOR   4 /* a quarter of a small disk */

/* One transaction's worth. */
struct group {
    struct list ops;    /* of this turn */
    struct list served; /* waiters that got something in it */
    bool alone;         /* one operation, nothing else: waiters must not make it fail */
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
    } else {
        SL_CONTAINER_OF(op, struct store_settle, op)->error = rc;
    }
    op_finish(store, op);
}

/* Logged when it begins and when it ends, not for every operation. */
static void note_result(struct store *store, int rc)
{
    if (rc == store->error) {
        return;
    }
    if (rc != 0) {
        LOG_ERROR("queue file refused a write", LOG_STR("file", store->path), LOG_ERR("error", rc));
    } else {
        LOG_INFO("queue file takes writes again", LOG_STR("file", store->path));
    }
    store->error = rc;
    pthread_mutex_lock(&store->mutex);
    store->stats.error = rc;
    pthread_mutex_unlock(&store->mutex);
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
static void waiter_finish_empty(struct store *store, struct store_op *op, int hold_error)
{
    waiter_remove(store, op);
    if (op->kind == OP_HOLD) {
        SL_CONTAINER_OF(op, struct store_hold, op)->error = hold_error;
    } else {
        answer_empty(SL_CONTAINER_OF(op, struct store_request, op));
    }
    op_finish(store, op);
}

static void waiters_finish_all(struct store *store)
{
    struct list_node *node;
    while ((node = list_first(&store->waiting_queues)) != NULL) {
        struct queue *queue = LIST_ENTRY(node, struct queue, waiting);
        waiter_finish_empty(store, op_of(list_first(&queue->waiters)), ERR_CLOSED);
    }
}

static void waiters_expire(struct store *store, mono_ns now)
{
    struct heap_node *node;
    while ((node = heap_first(&store->deadlines)) != NULL && node->key <= now) {
        waiter_finish_empty(store, SL_CONTAINER_OF(node, struct store_op, deadline), 0);
    }
}

/* A queue was deleted: those who waited for it learn that there is none. */
static void on_queue_gone(void *context, struct queue *queue)
{
    struct store *store = context;
    struct list_node *node;
    while ((node = list_first(&queue->waiters)) != NULL) {
        struct store_op *op = op_of(node);
        waiter_finish_empty(store, op, ERR_NOT_FOUND);
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
        rc = rc != 0 ? rc : serve_queue(store, group, LIST_ENTRY(node, struct queue, waiting));
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

static int transaction_begin(struct store *store)
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
    list_init(&group->served);
    int rc = transaction_begin(store);
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
    return 0;
}

/* Notes what a transaction came to; one that wrote nothing proves nothing about the disk. */
static void note_group(struct store *store, int rc, int64_t changes_before)
{
    store->degraded = rc != 0;
    store->next_retry = loop_now() + RETRY_EVERY_NS;
    if (rc != 0 || db_changes(&store->engine.db) != changes_before) {
        note_result(store, rc);
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
    group.alone = false; /* then those who wait, together */
    int rc = group_execute(store, &group);
    note_group(store, first_error != 0 ? first_error : rc, changes_before);
}

static void execute(struct store *store, struct list *ops)
{
    int64_t changes_before = db_changes(&store->engine.db);
    if (store->degraded && ops->count > 0) {
        execute_singly(store, ops);
        return;
    }
    if (store->degraded && loop_now() < store->next_retry) {
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

/* ---- housekeeping ---- */

/* Room is kept for what a delete or a receive writes: only sending stops when the disk gets full.
 */
static void check_disk(struct store *store)
{
    struct statvfs fs;
    if (statvfs(store->path, &fs) != 0) {
        return;
    }
    uint64_t reserve = (uint64_t)fs.f_blocks * fs.f_frsize / RESERVE_DIVISOR;
    reserve = reserve > RESERVE_MAX_BYTES ? RESERVE_MAX_BYTES : reserve;
    bool full = (uint64_t)fs.f_bavail * fs.f_frsize < reserve;
    if (full != store->engine.refuses_messages) {
        store->engine.refuses_messages = full;
        if (full) {
            LOG_ERROR("disk of the queue is nearly full: messages are refused",
                      LOG_STR("file", store->path), LOG_I64("reserve_bytes", (int64_t)reserve));
        } else {
            LOG_INFO("disk of the queue has room again", LOG_STR("file", store->path));
        }
    }
}

/* A transaction of its own: when it fails, only the housekeeping is late. */
static void housekeep(struct store *store, int (*work)(struct store *store))
{
    int rc = transaction_begin(store);
    if (rc != 0) {
        return;
    }
    rc = work(store);
    if (rc == 0) {
        rc = engine_commit(&store->engine);
    } else {
        engine_rollback(&store->engine);
    }
    if (rc != 0) {
        note_result(store, rc);
        store->degraded = true;
        store->next_retry = loop_now() + RETRY_EVERY_NS;
    }
}

static int sweep(struct store *store)
{
    return engine_sweep(&store->engine);
}

static int reap(struct store *store)
{
    int rc = 0;
    for (mono_ns end = loop_now() + REAP_BUDGET_NS;
         rc == 0 && store->engine.has_given_up && loop_now() < end;) {
        rc = engine_reap(&store->engine, REAP_ROWS);
    }
    return rc;
}

static bool is_sweep_due(const struct store *store, mono_ns now)
{
    const struct engine *engine = &store->engine;
    return engine->next_expiry != QUEUE_NEVER && now >= store->next_sweep &&
           lease_clock_ms(&engine->clock, now) >= engine->next_expiry;
}

static void housekeep_due(struct store *store)
{
    mono_ns now = loop_now();
    if (is_sweep_due(store, now)) {
        store->next_sweep = now + SWEEP_EVERY_NS;
        housekeep(store, sweep);
        /* A long sweep goes on at once, in the turns between other work. */
        if (!store->degraded && store->engine.next_expiry <= store->engine.now) {
            store->next_sweep = 0;
        }
    }
    if (store->engine.has_given_up && (!store->degraded || now >= store->next_retry)) {
        housekeep(store, reap);
    }
}

/* ---- statistics ---- */

static void publish_queue(struct store *store, struct queue *queue, struct store_queue_stats *slot)
{
    const struct queue_state *state = &queue->state;
    wall_ms oldest = 0;
    if (engine_advance(&store->engine, queue) != 0 ||
        engine_oldest_sent(&store->engine, queue, &oldest) != 0) {
        return; /* the old figures stay */
    }
    struct store_queue_stats stats = {
        .visible = state->counts[QUEUE_VISIBLE],
        .in_flight = state->counts[QUEUE_LEASED] + state->counts[QUEUE_HELD],
        .delayed = state->counts[QUEUE_DELAYED],
        .oldest_sent_at = oldest,
        .sent = state->sent,
        .received = state->received,
        .deleted = state->deleted,
        .dead_lettered = state->dead_lettered,
        .expired = state->expired,
    };
    str_copy(stats.name, sizeof(stats.name), queue_name(queue));
    pthread_mutex_lock(&store->mutex);
    *slot = stats;
    pthread_mutex_unlock(&store->mutex);
    queue->changed = false;
}

static void log_expired(struct queue *queue)
{
    uint64_t count = queue->state.expired - queue->expired_logged;
    if (count == 0) {
        return;
    }
    LOG_WARNING("messages outlived their retention", LOG_STR("queue", queue->name),
                LOG_I64("count", (int64_t)count),
                LOG_STR("moved_to", queue->definition->dead_letter[0] == '\0'
                                        ? NULL
                                        : queue->definition->dead_letter));
    queue->expired_logged = queue->state.expired;
}

/* Slots for the queues there are now. */
static void publish_layout(struct store *store)
{
    struct engine *engine = &store->engine;
    uint32_t count = (uint32_t)engine->queues.count;
    struct store_queue_stats *slots = MEM_NEW_ARRAY(count, struct store_queue_stats);
    uint32_t i = 0;
    LIST_FOR(&engine->queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        queue->slot = i++;
        queue->changed = true;
        str_copy(slots[queue->slot].name, sizeof(slots[queue->slot].name), queue_name(queue));
    }
    pthread_mutex_lock(&store->mutex);
    struct store_queue_stats *old = store->published;
    store->published = slots;
    store->published_count = count;
    pthread_mutex_unlock(&store->mutex);
    free(old);
    store->published_generation = engine->generation;
}

static void publish(struct store *store, mono_ns now)
{
    struct engine *engine = &store->engine;
    bool timed = now >= store->next_publish;
    int64_t now_ms = lease_clock_ms(&engine->clock, now);
    engine->now = now_ms > engine->now ? now_ms : engine->now;
    if (store->published_generation != engine->generation) {
        publish_layout(store);
    }
    LIST_FOR(&engine->queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        log_expired(queue);
        if (queue->changed || (timed && queue->state.next_due <= engine->now)) {
            publish_queue(store, queue, &store->published[queue->slot]);
        }
    }
    if (timed) {
        store->next_publish = now + PUBLISH_EVERY_NS;
    }
}

/* ---- the turn ---- */

static size_t op_bytes(struct store_op *op)
{
    size_t bytes = 0;
    if (op->kind != OP_REQUEST) {
        return bytes;
    }
    struct store_request *request = SL_CONTAINER_OF(op, struct store_request, op);
    if (request->action == SQS_SEND_MESSAGE) {
        const struct sqs_send_message_in *in = request->input;
        bytes = in->entry.body.len;
    } else if (request->action == SQS_SEND_MESSAGE_BATCH) {
        const struct sqs_send_batch_in *in = request->input;
        for (uint32_t i = 0; i < in->entries.count; i++) {
            bytes += in->entries.items[i].body.len;
        }
    }
    return bytes;
}

static void take_pending(struct store *store, struct list *ops)
{
    size_t bytes = 0;
    while (ops->count < GROUP_OPS_MAX && bytes < GROUP_BYTES_MAX) {
        struct list_node *node = list_pop(&store->pending);
        if (node == NULL) {
            return;
        }
        bytes += op_bytes(op_of(node));
        list_push(ops, node);
    }
}

/* Under the mutex. Operations that do not wait yet are told when they are run. */
static void take_canceled(struct store *store)
{
    struct list_node *node;
    while ((node = list_pop(&store->canceled)) != NULL) {
        struct store_op *op = LIST_ENTRY(node, struct store_op, canceled_node);
        op->canceled = true;
        if (op->waits_for != NULL) {
            waiter_finish_empty(store, op, ERR_CANCELED);
        }
    }
}

static mono_ns next_wake(struct store *store)
{
    const struct engine *engine = &store->engine;
    mono_ns wake = MONO_NEVER;
    const struct heap_node *deadline = heap_first(&store->deadlines);
    if (deadline != NULL) {
        wake = deadline->key;
    }
    mono_ns retry = store->degraded ? store->next_retry : 0;
    if (engine->has_given_up || store->degraded) {
        wake = mono_min(wake, retry);
    }
    if (engine->next_expiry != QUEUE_NEVER) {
        mono_ns at = lease_clock_mono(&engine->clock, engine->next_expiry);
        wake = mono_min(wake, mono_max(at, store->next_sweep));
    }
    LIST_FOR(&engine->queues, node)
    {
        const struct queue *queue = LIST_ENTRY(node, struct queue, node);
        bool waited_for = queue->waiters.count > 0;
        if (waited_for && queue->has_more) {
            wake = mono_min(wake, retry);
        }
        if (queue->state.next_due == QUEUE_NEVER) {
            continue;
        }
        mono_ns at = lease_clock_mono(&engine->clock, queue->state.next_due);
        mono_ns not_before = waited_for ? retry : store->next_publish;
        wake = mono_min(wake, mono_max(at, not_before));
    }
    return wake;
}

/* Under the mutex. */
static void wait_for_work(struct store *store, mono_ns wake)
{
    while (store->pending.count == 0 && store->canceled.count == 0 && !store->closing &&
           loop_now() < wake) {
        if (wake == MONO_NEVER) {
            pthread_cond_wait(&store->wake, &store->mutex);
        } else {
            struct timespec at = {.tv_sec = wake / NS_PER_S, .tv_nsec = wake % NS_PER_S};
            (void)pthread_cond_timedwait(&store->wake, &store->mutex, &at);
        }
    }
}

/* All answers of the turn with one post. */
static void hand_over(struct store *store)
{
    if (store->finished.count == 0) {
        return;
    }
    (void)FAULT("store.before_answer");
    pthread_mutex_lock(&store->mutex);
    struct list_node *node;
    while ((node = list_pop(&store->finished)) != NULL) {
        struct store_op *op = op_of(node);
        op->done = true;
        if (list_is_linked(&op->canceled_node)) {
            list_remove(&store->canceled, &op->canceled_node);
        }
        list_push(&store->completed, &op->node);
    }
    bool post = !store->completions_posted;
    store->completions_posted = true;
    if (post) {
        loop_post(store->loop, &store->completions);
    }
    pthread_mutex_unlock(&store->mutex);
}

/* One turn; false when the store is closing and nothing is left to do. */
static bool turn(struct store *store)
{
    struct list ops;
    list_init(&ops);
    mono_ns wake = next_wake(store);
    pthread_mutex_lock(&store->mutex);
    wait_for_work(store, wake);
    take_pending(store, &ops);
    take_canceled(store);
    store->draining = store->closing;
    bool last = store->closing && store->pending.count == 0 && ops.count == 0;
    store->ended = last;
    pthread_mutex_unlock(&store->mutex);
    check_disk(store);
    waiters_expire(store, loop_now());
    if (store->draining) {
        waiters_finish_all(store);
    }
    execute(store, &ops);
    hand_over(store);
    if (!last) {
        housekeep_due(store);
        publish(store, loop_now());
        hand_over(store); /* what a deleted queue's waiters were told */
    }
    return !last;
}

void *store_thread(void *context)
{
    struct store *store = context;
    (void)pthread_setname_np(pthread_self(), "sluice-queue");
    store->engine.queue_gone = on_queue_gone;
    store->engine.context = store;
    publish(store, loop_now());
    while (turn(store)) {
    }
    loop_post(store->loop, &store->ended_work);
    return NULL;
}
