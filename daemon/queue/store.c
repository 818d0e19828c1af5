#include "store_internal.h"

#include "sluice/runtime/log.h"

#include <stdlib.h>
#include <string.h>

#define GATHERED_MAX 16 /* operations of a turn that are handed over before its end */

/* ---- completions, on the loop ---- */

static void op_complete(struct store_op *op)
{
    if (op->kind == OP_REQUEST) {
        struct store_request *request = SL_CONTAINER_OF(op, struct store_request, op);
        request->done(request->context, request);
    } else if (op->kind == OP_HOLD) {
        struct store_hold *hold = SL_CONTAINER_OF(op, struct store_hold, op);
        hold->done(hold->context, hold);
    } else if (op->kind == OP_PEEK) {
        struct store_peek *peek = SL_CONTAINER_OF(op, struct store_peek, op);
        peek->done(peek->context, peek);
    } else if (op->kind == OP_QUOTA) {
        struct store_quota *quota = SL_CONTAINER_OF(op, struct store_quota, op);
        quota->done(quota->context, quota);
    } else if (op->kind == OP_RECORDS) {
        struct store_records *records = SL_CONTAINER_OF(op, struct store_records, op);
        records->done(records->context, records);
    } else {
        struct store_settle *settle = SL_CONTAINER_OF(op, struct store_settle, op);
        settle->done(settle->context, settle);
    }
}

static void list_take(struct list *to, struct list *from)
{
    struct list_node *node;
    while ((node = list_pop(from)) != NULL) {
        list_push(to, node);
    }
}

static void on_completions(void *context)
{
    struct store *store = context;
    struct list batch;
    struct list_node *node;
    list_init(&batch);
    pthread_mutex_lock(&store->mutex);
    store->completions_posted = false;
    list_take(&batch, &store->completed);
    pthread_mutex_unlock(&store->mutex);
    while ((node = list_pop(&batch)) != NULL) {
        op_complete(op_of(node));
    }
}

/* ---- submitting ---- */

static void refuse_closed(struct store *store, struct store_op *op)
{
    if (op->kind == OP_REQUEST) {
        struct store_request *request = SL_CONTAINER_OF(op, struct store_request, op);
        request->output = NULL;
        (void)sqs_error_set(&request->error, SQS_ERROR_SERVICE_UNAVAILABLE,
                            "The service is shutting down.");
    } else if (op->kind == OP_HOLD) {
        SL_CONTAINER_OF(op, struct store_hold, op)->error = ERR_CLOSED;
    } else if (op->kind == OP_PEEK) {
        SL_CONTAINER_OF(op, struct store_peek, op)->error = ERR_CLOSED;
    } else if (op->kind == OP_QUOTA) {
        SL_CONTAINER_OF(op, struct store_quota, op)->error = ERR_CLOSED;
    } else if (op->kind == OP_RECORDS) {
        SL_CONTAINER_OF(op, struct store_records, op)->error = ERR_CLOSED;
    } else {
        SL_CONTAINER_OF(op, struct store_settle, op)->error = ERR_CLOSED;
    }
    op->done = true;
    list_push(&store->completed, &op->node);
    if (!store->completions_posted) {
        store->completions_posted = true;
        loop_post(store->loop, &store->completions);
    }
}

/*
 * At the end of a turn, or when enough has gathered for the thread to begin while the loop goes on:
 * one lock and one signal for all of it. Signalled by the first of a turn, the thread would sync
 * that one alone while the others queue up behind.
 */
static void hand_over(void *context, mono_ns now)
{
    struct store *store = context;
    struct list_node *node;
    (void)now;
    if (store->gathered.count == 0) {
        return;
    }
    pthread_mutex_lock(&store->mutex);
    if (store->pending.count == 0 && !store->ended) {
        pthread_cond_signal(&store->wake);
    }
    while ((node = list_pop(&store->gathered)) != NULL) {
        if (store->ended) {
            refuse_closed(store, op_of(node));
        } else {
            list_push(&store->pending, node);
        }
    }
    pthread_mutex_unlock(&store->mutex);
}

static void submit(struct store *store, struct store_op *op, enum op_kind kind)
{
    *op = (struct store_op){.kind = kind};
    list_push(&store->gathered, &op->node);
    if (store->gathered.count >= GATHERED_MAX) {
        hand_over(store, 0);
    }
}

void store_submit(struct store *store, struct store_request *request)
{
    request->output = NULL;
    request->error.code = SQS_OK;
    submit(store, &request->op, OP_REQUEST);
}

void store_hold(struct store *store, struct store_hold *hold)
{
    hold->messages = NULL;
    hold->count = 0;
    hold->error = 0;
    submit(store, &hold->op, OP_HOLD);
}

void store_settle(struct store *store, struct store_settle *settle)
{
    settle->error = 0;
    submit(store, &settle->op, OP_SETTLE);
}

void store_peek(struct store *store, struct store_peek *peek)
{
    peek->before = peek->count;
    peek->error = 0;
    submit(store, &peek->op, OP_PEEK);
}

void store_quota(struct store *store, struct store_quota *quota)
{
    quota->error = 0;
    submit(store, &quota->op, OP_QUOTA);
}

void store_records(struct store *store, struct store_records *records)
{
    records->error = 0;
    submit(store, &records->op, OP_RECORDS);
}

static void cancel(struct store *store, struct store_op *op)
{
    pthread_mutex_lock(&store->mutex);
    if (!op->done && !list_is_linked(&op->canceled_node)) {
        list_push(&store->canceled, &op->canceled_node);
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
}

void store_cancel(struct store *store, struct store_request *request)
{
    cancel(store, &request->op);
}

void store_hold_cancel(struct store *store, struct store_hold *hold)
{
    cancel(store, &hold->op);
}

/* ---- statistics ---- */

uint32_t store_queue_stats(struct store *store, struct store_queue_stats *ret, uint32_t max)
{
    pthread_mutex_lock(&store->mutex);
    uint32_t count = store->published_count;
    uint32_t copied = count < max ? count : max;
    if (copied > 0) {
        memcpy(ret, store->published, copied * sizeof(*ret));
    }
    pthread_mutex_unlock(&store->mutex);
    return count;
}

void store_stats(struct store *store, struct store_stats *ret)
{
    pthread_mutex_lock(&store->mutex);
    *ret = store->stats;
    pthread_mutex_unlock(&store->mutex);
}

/* ---- life ---- */

static void store_free(struct store *store)
{
    engine_close(&store->engine); /* when the thread did not come to it */
    heap_done(&store->deadlines);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    free(store->published);
    free(store->path);
    free(store);
}

/* The thread's last post: after all completions it posted. */
static void on_ended(void *context)
{
    struct store *store = context;
    void (*closed)(void *) = store->closed;
    void *closed_context = store->closed_context;
    hand_over(store, 0);
    if (store->completions_posted) { /* submitted after the end, and refused: those go first */
        loop_post(store->loop, &store->ended_work);
        return;
    }
    (void)pthread_join(store->thread, NULL);
    loop_hook_remove(store->loop, &store->hand_over);
    store_free(store);
    closed(closed_context);
}

static struct store *store_new(struct loop *loop, const char *path)
{
    struct store *store = MEM_NEW(struct store);
    pthread_condattr_t attributes;
    store->loop = loop;
    store->path = mem_dup(path, strlen(path));
    store->backup.fd = -1;
    store->completions = (struct loop_work){.callback = on_completions, .context = store};
    store->ended_work = (struct loop_work){.callback = on_ended, .context = store};
    store->hand_over = (struct loop_hook){.callback = hand_over, .context = store};
    list_init(&store->gathered);
    list_init(&store->pending);
    list_init(&store->canceled);
    list_init(&store->completed);
    list_init(&store->finished);
    list_init(&store->waiting_queues);
    heap_init(&store->deadlines);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return store;
}

int store_open(struct loop *loop, const struct store_config *config, struct store **ret,
               struct error *e)
{
    struct store *store = store_new(loop, config->path);
    const struct engine_config engine_config = {
        .path = config->path,
        .region = config->region,
        .account = config->account,
        .sixty_second_rules = config->sixty_second_rules,
        .wall = loop_wall(),
        .now = loop_now(),
    };
    int rc = engine_open(&store->engine, &engine_config, e);
    if (rc == 0 && pthread_create(&store->thread, NULL, store_thread, store) != 0) {
        rc = error_set(e, ERR_NOMEM, config->path, "the thread of the queue cannot be started");
    }
    if (rc != 0) {
        store_free(store);
        return rc;
    }
    loop_hook_add_last(loop, &store->hand_over);
    *ret = store;
    return 0;
}

void store_close(struct store *store, void (*closed)(void *context), void *context)
{
    store->closed = closed;
    store->closed_context = context;
    hand_over(store, 0);
    pthread_mutex_lock(&store->mutex);
    store->closing = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}
