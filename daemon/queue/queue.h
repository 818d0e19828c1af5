/*
 * queue: one queue as the engine keeps it in memory: its definition, and how many of its messages
 * are where. Messages themselves stay in the file. Counters follow every write, so that nothing has
 * to be counted later; a transaction that fails puts them back.
 */
#ifndef SLUICE_QUEUE_QUEUE_H
#define SLUICE_QUEUE_QUEUE_H

#include "schema.h"

#include "sluice/base/clock.h"
#include "sluice/base/list.h"
#include "sluice/sqs/move_task.h"
#include "sluice/sqs/validate.h"

#include <stdbool.h>
#include <stdint.h>

#define QUEUE_NEVER INT64_MAX /* in ms */

/* Where a message is: follows from its row and the time alone, see queue_place_of(). */
enum queue_place { QUEUE_VISIBLE, QUEUE_DELAYED, QUEUE_LEASED, QUEUE_HELD, QUEUE_PLACE__COUNT };

/* What was set with CreateQueue and SetQueueAttributes. Immutable: a change makes a new one. */
struct queue_definition {
    char *values[SQS_QUEUE_ATTRIBUTE__COUNT]; /* owned; NULL: not set */
    wall_ms modified_at;
    /* parsed from values and defaults */
    int64_t visibility_ms, delay_ms, retention_ms, max_message_bytes, wait_seconds;
    char dead_letter[SQS_QUEUE_NAME_MAX + 1]; /* "": none */
    int64_t max_receives;
    bool deduplicates_content;  /* ContentBasedDeduplication */
    bool deduplicates_by_group; /* DeduplicationScope */
};

/* The move task that takes messages out of this queue; its row in the file knows the rest. */
struct queue_task {
    int64_t row;  /* 0: none runs */
    int64_t due;  /* lease time of its next step */
    int64_t from; /* row to go on from; 0: from the first */
};
struct queue_task_end { /* of the latest one that ended, for the log */
    uint64_t count;     /* how many have, since start */
    int64_t moved;
    enum sqs_move_status status;
    const char *failure; /* static; NULL: none */
};

/* What a transaction changes and a rollback puts back. */
struct queue_state {
    uint64_t counts[QUEUE_PLACE__COUNT];
    int64_t advanced_to; /* lease time up to which delays and leases are counted as over */
    int64_t next_due;    /* no delay or lease ends before this (lower bound) */
    int64_t next_expiry; /* no message outlives its retention before this (lower bound) */
    int64_t reserved;    /* sequences below may be given out: the file says they are used */
    int64_t sweep_from;  /* row to go on from; 0: from the first */
    int64_t purge_free;  /* lease time from which it may be purged, where AWS's rules hold */
    struct queue_task task;
    struct queue_task_end task_end;
    uint64_t sent, received, deleted, dead_lettered, expired; /* since start */
};

struct queue {
    struct list_node node; /* of all queues */
    int64_t id, space, next_sequence;
    char name[SQS_QUEUE_NAME_MAX + 1];
    wall_ms created_at;
    struct queue_definition *definition;
    struct queue_state state, saved;
    bool fifo;
    bool has_groups;          /* there may be messages in the lane of groups */
    struct fair *fair;        /* in flight by tenant; NULL: to be counted when it matters */
    bool has_more;            /* the last take stopped at its bound before it found a message */
    struct list_node touched; /* linked: saved is what a rollback restores */
    struct list_node moving;  /* of the queues whose messages a task moves, and maybe some others */
    /* of the store */
    struct list waiters;      /* receives that wait for a message, in order of arrival */
    struct list_node waiting; /* of the queues that have waiters */
    uint64_t expired_logged, tasks_logged;
    uint32_t slot; /* in the published statistics */
    bool changed;  /* since they were published */
};

static inline struct str queue_name(const struct queue *queue)
{
    return str_from(queue->name);
}

static inline enum queue_place queue_place_of(int64_t visible_at, int64_t receive_count,
                                              int64_t now)
{
    if (visible_at >= SCHEMA_HELD) {
        return QUEUE_HELD;
    }
    if (visible_at <= now) {
        return QUEUE_VISIBLE;
    }
    return receive_count > 0 ? QUEUE_LEASED : QUEUE_DELAYED;
}

/* The lane of a message with that group_key; the two lanes of a queue are these. */
static inline int64_t queue_lane(const struct queue *queue, int64_t group_key)
{
    return group_key == 0 ? queue->space : -queue->space;
}

static inline uint64_t queue_total(const struct queue *queue)
{
    const uint64_t *c = queue->state.counts;
    return c[QUEUE_VISIBLE] + c[QUEUE_DELAYED] + c[QUEUE_LEASED] + c[QUEUE_HELD];
}

/* A message came to a place (and will be visible at visible_at), or left one. */
void queue_count_in(struct queue *queue, int64_t visible_at, int64_t receive_count);
void queue_count_out(struct queue *queue, int64_t visible_at, int64_t receive_count);
/* A message enqueued at that time is there: its retention will have to be watched. */
void queue_watch_expiry(struct queue *queue, int64_t enqueued_at);

/* ---- definitions ---- */
/* Copy of the values of `base` (NULL: none) with the changes on top; an empty text unsets. */
struct queue_definition *queue_definition_new(const struct queue_definition *base,
                                              const struct sqs_map *changes);
void queue_definition_free(struct queue_definition *definition);
/* Sets one value (STR_NONE unsets) of a definition that is being made. */
void queue_definition_set(struct queue_definition *definition, enum sqs_queue_attribute attribute,
                          struct str value);
/* Fills the parsed members. After the last queue_definition_set(). */
void queue_definition_parse(struct queue_definition *definition);
/* The value in force: set or default; NULL when it has none (is not shown). */
const char *queue_definition_value(const struct queue_definition *definition,
                                   enum sqs_queue_attribute attribute);

#endif
