/*
 * engine: the embedded queue without threads: synchronous operations inside transactions. It calls
 * no clock: time comes in at open and with each transaction. Used by one thread at a time (the
 * store's).
 *
 *   engine_begin(now, wall) → any number of operations → engine_commit() or engine_rollback()
 *
 * An operation returns 0 when it has an answer, which may be an SQS error, or a negative code when
 * the file refused: then the whole transaction must be rolled back. Rollback restores everything in
 * memory.
 */
#ifndef SLUICE_QUEUE_ENGINE_H
#define SLUICE_QUEUE_ENGINE_H

#include "db.h"
#include "lease_clock.h"
#include "queue.h"

#include "sluice/base/map.h"
#include "sluice/queue/store.h"

#define ENGINE_QUEUES_MAX    100000
#define ENGINE_RANDOM_BYTES  4096
#define ENGINE_IN_FLIGHT_MAX 120000 /* of a standard queue, as AWS has it */

struct engine_config {
    const char *path;
    struct str region, account; /* copied */
    bool sixty_second_rules;
    wall_ms wall;
    mono_ns now;
};

struct engine {
    struct db db;
    struct lease_clock clock;
    int64_t now; /* lease time of the transaction */
    wall_ms wall;
    char region[64], account[32];
    struct map by_name; /* struct queue */
    struct list queues;
    struct list touched; /* queues with a saved state */
    struct list tasks;   /* queues whose messages are being moved; some may be done */
    struct list undo;    /* changes of definitions in this transaction, latest first */
    int64_t next_space;
    int64_t next_expiry;    /* lower bound over all queues */
    int64_t next_forget;    /* what is remembered for five minutes: the first of it is over then */
    int64_t next_record;    /* the first of what routes remember is over then (lower bound) */
    int64_t next_task;      /* lease time of the next step of a move task (lower bound) */
    int64_t clock_stored;   /* lease time in the file */
    int64_t changes_before; /* rows changed when the transaction began */
    bool sixty_second_rules;
    struct list deleted;   /* names of queues deleted in the last minute, when the rules hold */
    uint64_t moves;        /* messages that went to another queue */
    uint64_t generation;   /* changes when a queue comes or goes */
    bool started;          /* open to the end: closing it may write */
    bool has_given_up;     /* there are spaces to empty */
    bool refuses_messages; /* disk nearly full: room is left for receives and deletes */
    uint8_t random[ENGINE_RANDOM_BYTES];
    size_t random_used;
    void (*queue_gone)(void *context, struct queue *queue); /* before a deleted queue is freed */
    void *context;
};

SL_MUST_CHECK int engine_open(struct engine *engine, const struct engine_config *config,
                              struct error *e);
/* Writes down what the next open would have to count otherwise, if it can. */
void engine_close(struct engine *engine);

SL_MUST_CHECK int engine_begin(struct engine *engine, int64_t now_ms, wall_ms wall);
SL_MUST_CHECK int engine_commit(struct engine *engine); /* on error everything is rolled back */
void engine_rollback(struct engine *engine);

/* One SQS action: fills request->output or request->error. A receive never waits here. */
SL_MUST_CHECK int engine_run(struct engine *engine, struct store_request *request);
SL_MUST_CHECK int engine_hold(struct engine *engine, struct store_hold *hold);
SL_MUST_CHECK int engine_settle(struct engine *engine, struct store_settle *settle);
SL_MUST_CHECK int engine_peek(struct engine *engine, struct store_peek *peek);
SL_MUST_CHECK int engine_quota(struct engine *engine, struct store_quota *quota);
SL_MUST_CHECK int engine_records(struct engine *engine, struct store_records *records);

/* How long a receive that found nothing may wait, and where. 0: answer now. */
int64_t engine_wait_seconds(struct engine *engine, const struct store_request *request,
                            struct queue **ret_queue);
struct queue *engine_queue(struct engine *engine, struct str name); /* NULL: none */
/* Counts delays and leases that are over by now. */
SL_MUST_CHECK int engine_advance(struct engine *engine, struct queue *queue);

/* ---- housekeeping, inside a transaction ---- */
/* Messages that outlived their retention: some of them. Due when now >= engine->next_expiry. */
SL_MUST_CHECK int engine_sweep(struct engine *engine);
/* One step of each move task that is due: some messages each. Due when now >= engine->next_task. */
SL_MUST_CHECK int engine_step_tasks(struct engine *engine);
/* Deletes at most `rows` messages of purged and deleted queues; engine->has_given_up says if more
 * is left. */
SL_MUST_CHECK int engine_reap(struct engine *engine, int64_t rows);
/* Gives at most `pages` free pages back to the file system. *ret_more: there are enough of them to
 * go on: a file keeps what it will need again soon. */
SL_MUST_CHECK int engine_shrink(struct engine *engine, int pages, bool *ret_more);
/* Pages free inside the file. */
SL_MUST_CHECK int engine_free_bytes(struct engine *engine, int64_t *ret);
/* Sending time of the first visible message, 0 when none is. */
SL_MUST_CHECK int engine_oldest_sent(struct engine *engine, struct queue *queue, wall_ms *ret);

#endif
