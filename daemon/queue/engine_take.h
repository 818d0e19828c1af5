/*
 * engine_take: what the parts of a receive share. engine_take.c takes messages for SQS clients (a
 * lease with a handle) and for routes (held, no expiry); engine_pick.c says which one is next;
 * engine_answer.c copies a message for its receiver.
 */
#ifndef SLUICE_QUEUE_ENGINE_TAKE_H
#define SLUICE_QUEUE_ENGINE_TAKE_H

#include "engine_internal.h"

#define TAKE_STEP_ROWS 16 /* rows read before their updates are written */

/* Columns of STATEMENT_MESSAGE_COLUMNS. */
enum message_column {
    COLUMN_ID,
    COLUMN_VISIBLE_AT,
    COLUMN_RECEIVE_COUNT,
    COLUMN_ENQUEUED_AT,
    COLUMN_FIRST_RECEIVED_AT,
    COLUMN_SENT_AT,
    COLUMN_GROUP_KEY,
    COLUMN_MESSAGE_ID,
    COLUMN_SOURCE,
    COLUMN_GROUP_ID,
    COLUMN_DEDUPLICATION_ID,
    COLUMN_TRACE_HEADER,
    COLUMN_ATTRIBUTES,
    COLUMN_BODY,
};

enum fate { FATE_TAKEN, FATE_EXPIRED, FATE_DEAD_LETTER };

struct taken {
    enum fate fate;
    struct row_state was; /* before it was taken */
    int64_t row_id, receive_count, token;
    wall_ms first_received_at;
};

struct take {
    struct engine *engine;
    struct queue *queue;
    uint32_t max, count;
    int64_t visible_at;
    struct arena *arena;
    struct store_request *request;         /* of a receive */
    struct store_hold *hold;               /* of a hold */
    bool full;                             /* the arena holds no more */
    bool is_attempt;                       /* with a ReceiveRequestAttemptId: */
    uint8_t attempt[RECENT_PAYLOAD_BYTES]; /* what to remember of it */
};

/* ---- engine_pick.c ---- */
/* The next messages to take, all of one group or of none. */
struct pick {
    sqlite3_stmt *rows; /* bound */
    int64_t group_key;  /* 0: none */
    int64_t until;      /* rows that became visible later are not meant */
};
/* 1: there is one, 0: nothing is ready, negative: error. limit: rows at most. */
SL_MUST_CHECK int engine_pick(struct engine *engine, struct queue *queue, uint32_t limit,
                              struct pick *ret);

/* ---- engine_answer.c ---- */
/* The current row becomes answer number take->count. ERR_NOMEM: no room for it. */
SL_MUST_CHECK int engine_answer_add(struct take *take, sqlite3_stmt *row,
                                    const struct taken *taken);

#endif
