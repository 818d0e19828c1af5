/*
 * What the two sides of the store share: store.c runs on the loop's thread, store_thread.c is the
 * store's own. Members are marked with who may touch them.
 */
#ifndef SLUICE_QUEUE_STORE_INTERNAL_H
#define SLUICE_QUEUE_STORE_INTERNAL_H

#include "engine.h"

#include <pthread.h>

/* One backup at a time; see store_backup.c. */
struct backup {
    /* under the mutex */
    struct store_backup_status status;
    bool requested, replace;
    /* of the thread */
    sqlite3_backup *handle; /* NULL: none is being made */
    sqlite3 *file;
    int fd;              /* of the file too: to sync it */
    off_t begun, waited; /* up to where writing it to the disk was begun, and waited for */
    bool has_part;
    char part[STORE_BACKUP_PATH_MAX + 8];
    mono_ns next_step;
};

enum op_kind { OP_REQUEST, OP_HOLD, OP_SETTLE, OP_PEEK, OP_RECORDS, OP_QUOTA };

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
    uint64_t moves_served; /* engine.moves when waiters were last served */
    mono_ns next_publish, next_sweep, next_retry, next_shrink;
    bool shrinking; /* the file has pages to give back */
    int error;      /* of the last transaction that wrote */
    bool degraded;  /* the last group failed: one operation per transaction */
    bool draining;  /* waiting has ended */
    struct backup backup;

    /* of the loop's thread */
    struct list gathered; /* submitted in this turn of the loop: handed over together at its end */
    struct loop_hook hand_over;
    struct loop_work completions, ended_work;
    void (*closed)(void *context);
    void *closed_context;
};

void *store_thread(void *context);

/* ---- store_group.c ---- */
/* Runs the operations as one transaction, gives waiters what became visible; what is answered is
 * finished. */
void store_execute(struct store *store, struct list *ops);
SL_MUST_CHECK int store_transaction_begin(struct store *store);
/* What the file said to the last transaction: logged and published when it changes. */
void store_note_result(struct store *store, int rc);
void store_publish_error(struct store *store);
/* A waiter's answer with nothing in it; hold_error is what a hold gets. */
void store_waiter_finish_empty(struct store *store, struct store_op *op, int hold_error);
void store_waiters_finish_all(struct store *store);
void store_waiters_expire(struct store *store, mono_ns now);
void store_on_queue_gone(void *context, struct queue *queue);

/* ---- store_keep.c ---- */
void store_check_disk(struct store *store);
void store_housekeep(struct store *store); /* what is due, for some milliseconds */
void store_publish(struct store *store, mono_ns now);

/* ---- store_backup.c ---- */
void store_backup_work(struct store *store); /* what is due: some pages */
void store_backup_end(struct store *store);  /* the store closes */

static inline struct store_op *op_of(struct list_node *node)
{
    return LIST_ENTRY(node, struct store_op, node);
}

#endif
