/*
 * The store's thread. One turn: wait for work, take what is pending, run it as one transaction,
 * sync once, hand all answers to the loop in one post, keep house, copy some pages for a backup.
 * Nothing is polled: it sleeps until an operation comes or the next delay, lease, long poll or
 * retention ends.
 */
#include "store_internal.h"

#include "sluice/base/fault.h"

#include <time.h>

#define GROUP_OPS_MAX   256
#define GROUP_BYTES_MAX ((size_t)4 << 20)

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
            store_waiter_finish_empty(store, op, ERR_CANCELED);
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
    if (store->moves_served != engine->moves && store->waiting_queues.count > 0) {
        wake = mono_min(wake, retry);
    }
    if (store->shrinking) {
        wake = mono_min(wake, mono_max(retry, store->next_shrink));
    }
    if (store->backup.handle != NULL) {
        wake = mono_min(wake, store->backup.next_step);
    }
    if (engine->next_expiry != QUEUE_NEVER) {
        mono_ns at = lease_clock_mono(&engine->clock, engine->next_expiry);
        wake = mono_min(wake, mono_max(at, store->next_sweep));
    }
    if (engine->next_task != QUEUE_NEVER) {
        wake = mono_min(wake, mono_max(lease_clock_mono(&engine->clock, engine->next_task), retry));
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
           !store->backup.requested && loop_now() < wake) {
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
    store_check_disk(store);
    store_waiters_expire(store, loop_now());
    if (store->draining) {
        store_waiters_finish_all(store);
    }
    store_execute(store, &ops);
    hand_over(store);
    if (!last) {
        store_housekeep(store);
        store_backup_work(store);
        store_publish(store, loop_now());
        hand_over(store); /* what a deleted queue's waiters were told */
    }
    return !last;
}

void *store_thread(void *context)
{
    struct store *store = context;
    (void)pthread_setname_np(pthread_self(), "sluice-queue");
    store->engine.queue_gone = store_on_queue_gone;
    store->engine.context = store;
    store_publish(store, loop_now());
    while (turn(store)) {
    }
    store_backup_end(store);
    engine_close(&store->engine); /* the last checkpoint: not on the loop */
    loop_post(store->loop, &store->ended_work);
    return NULL;
}
