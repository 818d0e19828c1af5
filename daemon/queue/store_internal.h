/*
 * What the two sides of the store share: store.c runs on the loop's thread, store_thread.c is the
 * store's own. Members are marked with who may touch them.
 */
#ifndef SLUICE_QUEUE_STORE_INTERNAL_H
#define SLUICE_QUEUE_STORE_INTERNAL_H

#include "engine.h"

#include <pthread.h>

enum op_kind { OP_REQUEST, OP_HOLD, OP_SETTLE };

struct store {
    struct loop *loop;
    char *path;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;

    /* under the mutex */
    struct list pending;   /* submitted, not yet taken by the thread */
    struct list canceled;  /* operations whose caller lost interest (canceled_node) */
    struct list completed; /* done, their callbacks are due on the loop */
    bool completions_posted, closing, ended;
    struct store_stats stats;
    struct store_queue_stats *published;
    uint32_t published_count;

    /* of the thread (and of the loop's before it starts and after it ended) */
    struct engine engine;
    struct list finished;       /* answered in this turn, not yet handed over */
    struct list waiting_queues; /* queues with waiters */
    struct heap deadlines;      /* of waiters */
    uint64_t published_generation;
    mono_ns next_publish, next_sweep, next_retry;
    int error;     /* of the last transaction that wrote */
    bool degraded; /* the last group failed: one operation per transaction */
    bool draining; /* waiting has ended */

    /* of the loop's thread */
    struct loop_work completions, ended_work;
    void (*closed)(void *context);
    void *closed_context;
};

void *store_thread(void *store);

static inline struct store_op *op_of(struct list_node *node)
{
    return LIST_ENTRY(node, struct store_op, node);
}

#endif
