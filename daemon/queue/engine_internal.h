/*
 * What the parts of the engine share. engine.c: transactions, dispatch; engine_open.c and
 * engine_closing.c: a start and an end; engine_queues.c: actions on queues; engine_list.c: which
 * there are; engine_attributes.c: their attributes; engine_permissions.c; engine_tags.c;
 * engine_tasks.c: moving dead letters; engine_send.c; engine_take.c: both kinds of receive,
 * engine_pick.c: of which messages, engine_answer.c: what their receivers see; engine_peek.c:
 * looking without receiving; engine_handles.c: delete and visibility; engine_expire.c: retention,
 * dead letters, emptying; engine_group.c: FIFO groups and tenants; engine_recent.c: what is
 * remembered for five minutes; engine_records.c: what routes remember.
 */
#ifndef SLUICE_QUEUE_ENGINE_INTERNAL_H
#define SLUICE_QUEUE_ENGINE_INTERNAL_H

#include "engine.h"

#include "sluice/base/mem.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/marks.h"

/* The queue for a change: its state is saved for a rollback and brought up to now. */
SL_MUST_CHECK int engine_touch(struct engine *engine, struct queue *queue);
/* The queue of a QueueUrl, touched. NULL: *ret_rc is the error of the file, or 0 and request->error
 * set. */
struct queue *engine_request_queue(struct engine *engine, struct store_request *request,
                                   struct str queue_url, int *ret_rc);
void engine_random(struct engine *engine, void *out, size_t len);
/* A message id: version 4, variant 1 of RFC 4122. */
void engine_random_id(struct engine *engine, uint8_t ret[16]);
int64_t engine_token(struct engine *engine); /* eight bytes wide in a row */

/* printf into the arena; STR_NONE when it is full. At most 1 KiB. */
struct str engine_text(struct arena *arena, const char *format, ...) SL_PRINTF(2, 3);
struct str engine_copy(struct arena *arena, const char *text); /* STR_NONE also when it is empty */
/* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" */
struct str engine_message_id(struct arena *arena, const uint8_t raw[16]);
/* Output of size bytes in the request's arena, or NULL with the error set. */
void *engine_output(struct store_request *request, size_t size);
int engine_out_of_memory(struct store_request *request); /* sets the error, returns 0 */
int engine_no_such_queue(struct store_request *request);

/* All regions are one namespace of queues: answers speak of the region that the request names, and
 * ARNs of that region and of the configured one mean the same queue. The file has the configured
 * one. */
struct str engine_region(const struct engine *engine, const struct store_request *request);
bool engine_arn_is_ours(const struct engine *engine, const struct store_request *request,
                        const struct sqs_arn *arn);

/* Changes that a rollback takes back. */
enum undo_kind { UNDO_CREATED, UNDO_DELETED, UNDO_DEFINITION, UNDO_SPACE };
void engine_undo_add(struct engine *engine, enum undo_kind kind, struct queue *queue);
void engine_queue_free(struct queue *queue);
void engine_queue_link(struct engine *engine, struct queue *queue);

/* AWS's rules of sixty seconds, where they hold. A restart forgets what it was that they wait for.
 */
#define ENGINE_RULE_MS 60000
bool engine_is_recently_deleted(const struct engine *engine, struct str name);
void engine_forget_deleted(struct engine *engine, int64_t until); /* deleted up to then */

/* The id of the queue's next row. Never given out again, whatever happens: old receipt handles and
 * sequence numbers name it. */
SL_MUST_CHECK int engine_next_row(struct engine *engine, struct queue *queue, int64_t *ret);

/* One row's state, by id. */
struct row_state {
    int64_t visible_at, receive_count, token, received_at, enqueued_at, group_key;
};
/* 1: found, 0: there is none, negative: error. */
SL_MUST_CHECK int engine_row_state(struct engine *engine, int64_t row_id, struct row_state *ret);
SL_MUST_CHECK int engine_row_delete(struct engine *engine, struct queue *queue, int64_t row_id,
                                    const struct row_state *state);
/* visible_at and receive_count become new. */
SL_MUST_CHECK int engine_row_show(struct engine *engine, struct queue *queue, int64_t row_id,
                                  const struct row_state *state, int64_t visible_at,
                                  int64_t receive_count);
/* The dead-letter queue, or NULL when there is none. */
struct queue *engine_dead_letter_queue(struct engine *engine, const struct queue *queue);
/* To the queue `to`, visible there now. restart: retention begins anew. */
struct engine_move {
    struct queue *from, *to;
    int64_t row_id;
    const struct row_state *state;
    bool restart;
    bool renew;                    /* as a new message: its own id, never received, no source */
    const struct sqs_marks *marks; /* what it says of itself from now on; NULL: as before */
};
SL_MUST_CHECK int engine_row_move(struct engine *engine, const struct engine_move *move);
/* To the dead-letter queue if there is one, else deleted; counted. */
SL_MUST_CHECK int engine_row_expire(struct engine *engine, struct queue *queue, int64_t row_id,
                                    const struct row_state *state);
static inline bool engine_is_expired(const struct engine *engine, const struct queue *queue,
                                     int64_t enqueued_at)
{
    return enqueued_at + queue->definition->retention_ms <= engine->now;
}

/* The counters at a clean end, written and synced. Without them the next start counts. */
void engine_closing_write(struct engine *engine);
/* Takes them out of the file and into the queue, brought up to now: 1. 0: there are none, the file
 * was not closed. Inside a transaction. */
SL_MUST_CHECK int engine_closing_take(struct engine *engine, struct queue *queue);

/* ---- groups: engine_group.c ---- */
/* The group_key of a message of that group, which comes to the queue and will be visible at
 * visible_at. The group's row is made when it is the first. */
SL_MUST_CHECK int engine_group_join(struct engine *engine, struct queue *queue, struct str name,
                                    int64_t visible_at, int64_t *ret_key);
/* After messages of the group were changed or left. Key 0: nothing. */
SL_MUST_CHECK int engine_group_refresh(struct engine *engine, struct queue *queue, int64_t key);
/* queue_count_in() and queue_count_out(), and the same by tenant. */
void engine_count_in(struct engine *engine, struct queue *queue, const struct row_state *row);
void engine_count_out(struct engine *engine, struct queue *queue, const struct row_state *row);
/* queue->fair is there and right. */
SL_MUST_CHECK int engine_fair_ready(struct engine *engine, struct queue *queue);

/* ---- remembered for five minutes: engine_recent.c ---- */
#define RECENT_KEY_BYTES     16
#define RECENT_PAYLOAD_BYTES 256
struct recent {
    uint8_t payload[RECENT_PAYLOAD_BYTES];
    size_t payload_len;
};
/* The key of an id of that kind ('d' or 'a') in a scope; scope and id up to 128 bytes each. */
void engine_recent_key(char kind, struct str scope, struct str id, uint8_t ret[RECENT_KEY_BYTES]);
/* 1: remembered, 0: not (any more), negative: error. */
SL_MUST_CHECK int engine_recent_find(struct engine *engine, const struct queue *queue,
                                     const uint8_t *key, struct recent *ret);
/* One that is not there. */
SL_MUST_CHECK int engine_recent_put(struct engine *engine, const struct queue *queue,
                                    const uint8_t *key, struct str payload);
SL_MUST_CHECK int engine_recent_replace(struct engine *engine, const struct queue *queue,
                                        const uint8_t *key, struct str payload);
/* Some of what is over; sets next_forget. */
SL_MUST_CHECK int engine_recent_forget(struct engine *engine);

/* ---- what routes remember: engine_records.c ---- */
/* Some of what is over; sets next_record. */
SL_MUST_CHECK int engine_records_forget(struct engine *engine);

/* ---- move tasks: engine_tasks.c ---- */
/* The queue's task, if it has one, is stepped when it is due. */
void engine_task_watch(struct engine *engine, struct queue *queue);
/* At start: whether one was running. */
SL_MUST_CHECK int engine_task_open(struct engine *engine, struct queue *queue);

/* ---- FIFO ---- */
/* SequenceNumber: twenty digits, as AWS has them. STR_NONE when the arena is full. */
struct str engine_sequence_number(struct arena *arena, int64_t row_id);

/* The actions. */
#define ENGINE_ACTION(name)                                                                        \
    SL_MUST_CHECK int engine_##name(struct engine *engine, struct store_request *request)
ENGINE_ACTION(create_queue);
ENGINE_ACTION(delete_queue);
ENGINE_ACTION(get_queue_url);
ENGINE_ACTION(list_queues);
ENGINE_ACTION(get_queue_attributes);
ENGINE_ACTION(set_queue_attributes);
ENGINE_ACTION(send_message);
ENGINE_ACTION(send_message_batch);
ENGINE_ACTION(receive_message);
ENGINE_ACTION(delete_message);
ENGINE_ACTION(delete_message_batch);
ENGINE_ACTION(change_visibility);
ENGINE_ACTION(change_visibility_batch);
ENGINE_ACTION(purge_queue);
ENGINE_ACTION(add_permission);
ENGINE_ACTION(remove_permission);
ENGINE_ACTION(tag_queue);
ENGINE_ACTION(untag_queue);
ENGINE_ACTION(list_queue_tags);
ENGINE_ACTION(list_dead_letter_source_queues);
ENGINE_ACTION(start_message_move_task);
ENGINE_ACTION(list_message_move_tasks);
ENGINE_ACTION(cancel_message_move_task);
#undef ENGINE_ACTION

/* Checks what depends on more than the changes themselves: their dead-letter policies, and the
 * values that exclude each other in the definition-to-be of the queue of that name. Canonicalises
 * the policies. SQS_OK or the error code, with request->error set. */
SL_MUST_CHECK int engine_check_definition(struct engine *engine, struct store_request *request,
                                          struct str name, const struct sqs_map *changes,
                                          struct queue_definition *definition);
/* Takes the definition, parsed; it replaces the queue's now. */
SL_MUST_CHECK int engine_replace_definition(struct engine *engine, struct store_request *request,
                                            struct queue *queue,
                                            struct queue_definition *definition);
SL_MUST_CHECK int engine_write_attributes(struct engine *engine, const struct queue *queue,
                                          const struct queue_definition *definition);
SL_MUST_CHECK int engine_write_tags(struct engine *engine, const struct queue *queue,
                                    const struct sqs_map *tags);
int engine_too_many_tags(struct store_request *request, struct str name); /* returns 0 */

#endif
