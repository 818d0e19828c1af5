/*
 * queue_model: a reference model of SQS small enough to be believed: messages in one array,
 * searched from one end to the other. Standard and FIFO queues, dead letters, retention,
 * deduplication and ReceiveRequestAttemptId. It knows no index, no counter and no group table; only
 * the order between groups that are due at the same time needs the number a group was given (see
 * model_group_number).
 */
#ifndef SLUICE_TESTS_PROPERTY_QUEUE_MODEL_H
#define SLUICE_TESTS_PROPERTY_QUEUE_MODEL_H

#include "sluice/base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MODEL_MESSAGES_MAX  160
#define MODEL_HANDLES_MAX   700
#define MODEL_RECENTS_MAX   160
#define MODEL_GROUPS        4 /* per queue, "a" … */
#define MODEL_HELD          (INT64_MAX / 2)
#define MODEL_REMEMBERED_MS INT64_C(300000)
#define MODEL_LEASE_TOTAL_S INT64_C(43200)
#define MODEL_STEP_ROWS     16 /* a lease of 0 s ends a receive with the round that found something */

enum { MODEL_JOBS, MODEL_DEAD, MODEL_LINE, MODEL_DEAD_LINE, MODEL_QUEUES };

struct model_message {
    bool exists;
    int queue, group; /* group: -1 none */
    int64_t place;    /* in its queue */
    int64_t visible_at, enqueued_at, received_at, receives;
    int number; /* its body */
    int handle; /* latest one, index + 1 */
    int64_t row_id;
    char id[40];
};

struct model_handle {
    struct str text;
    int message, queue;
    int64_t place;
};

/* Remembered for five minutes. */
struct model_recent {
    int queue, epoch, kind, scope, id; /* kind 'd' or 'a' */
    int64_t at;
    int message; /* 'd' */
    int messages[10], handles[10], count;
    int64_t visible_at[10]; /* 'a' */
};

struct model {
    struct model_message messages[MODEL_MESSAGES_MAX];
    struct model_handle handles[MODEL_HANDLES_MAX];
    struct model_recent recents[MODEL_RECENTS_MAX];
    int message_count, handle_count, recent_count;
    int64_t next_place[MODEL_QUEUES], retention_ms[MODEL_QUEUES];
    int epoch[MODEL_QUEUES];
    int group_number[MODEL_QUEUES][MODEL_GROUPS]; /* 0: no messages */
    int ghosts;                                   /* highest number of a purged group */
    int64_t max_receives[MODEL_QUEUES];           /* 0: no dead letters */
    bool scope_is_group;
    int64_t now;
};

static inline bool model_is_fifo(int queue)
{
    return queue >= MODEL_LINE;
}

static inline int model_dead_letter_queue(const struct model *m, int queue)
{
    return m->max_receives[queue] > 0 ? queue + 1 : -1;
}

static inline bool model_is_expired(const struct model *m, const struct model_message *message)
{
    return message->enqueued_at + m->retention_ms[message->queue] <= m->now;
}

/* ---- groups ---- */

/* First message of a group, NULL when it has none. */
static inline struct model_message *model_head(struct model *m, int queue, int group)
{
    struct model_message *head = NULL;
    for (int i = 0; i < m->message_count; i++) {
        struct model_message *c = &m->messages[i];
        if (c->exists && c->queue == queue && c->group == group &&
            (head == NULL || c->place < head->place)) {
            head = c;
        }
    }
    return head;
}

/* A group is numbered when it gets its first message: one more than any that there is. */
static inline void model_group_number(struct model *m)
{
    for (int q = 0; q < MODEL_QUEUES; q++) {
        for (int g = 0; g < MODEL_GROUPS; g++) {
            if (m->group_number[q][g] != 0 && model_head(m, q, g) == NULL) {
                m->group_number[q][g] = 0;
            }
        }
    }
}

static inline void model_group_join(struct model *m, int queue, int group)
{
    int highest = m->ghosts;
    if (group < 0 || m->group_number[queue][group] != 0) {
        return;
    }
    for (int q = 0; q < MODEL_QUEUES; q++) {
        for (int g = 0; g < MODEL_GROUPS; g++) {
            int number = m->group_number[q][g];
            highest = number > highest ? number : highest;
        }
    }
    m->group_number[queue][group] = highest + 1;
}

/* ---- what leaves ---- */

static inline void model_remove(struct model *m, struct model_message *message)
{
    message->exists = false;
    model_group_number(m);
}

static inline void model_to_dead(struct model *m, struct model_message *message, bool restart)
{
    int to = model_dead_letter_queue(m, message->queue);
    model_group_join(m, to, message->group);
    message->queue = to;
    message->place = m->next_place[to]++;
    message->visible_at = m->now;
    message->handle = 0;
    if (restart || model_is_fifo(to)) {
        message->enqueued_at = m->now;
    }
    model_group_number(m);
}

static inline void model_expire(struct model *m, struct model_message *message)
{
    if (model_dead_letter_queue(m, message->queue) >= 0) {
        model_to_dead(m, message, true);
    } else {
        model_remove(m, message);
    }
}

/* Everything too old that is in nobody's hands, in the order it came; first what came as a dead
 * letter does not matter here: dead-letter queues of the model have none of their own. */
static inline void model_sweep(struct model *m)
{
    for (int queue = 0; queue < MODEL_QUEUES; queue++) {
        for (int64_t place = 0; place < m->next_place[queue]; place++) {
            for (int i = 0; i < m->message_count; i++) {
                struct model_message *c = &m->messages[i];
                bool in_hand = c->visible_at > m->now && c->receives > 0;
                if (c->exists && c->queue == queue && c->place == place && !in_hand &&
                    model_is_expired(m, c)) {
                    model_expire(m, c);
                }
            }
        }
    }
}

/* ---- receives ---- */

static inline bool model_comes_before(const struct model *m, const struct model_message *a,
                                      const struct model_message *b)
{
    if (b == NULL || a->visible_at != b->visible_at) {
        return b == NULL || a->visible_at < b->visible_at;
    }
    if (!model_is_fifo(a->queue)) {
        return a->place < b->place;
    }
    return m->group_number[a->queue][a->group] < m->group_number[b->queue][b->group];
}

/* The next message for a round: a standard queue's first visible one, or the head of the FIFO
 * queue's first group that is due (then the round goes on in that group). */
static inline struct model_message *model_next(struct model *m, int queue, int64_t after_place,
                                               int group, const bool *seen)
{
    struct model_message *best = NULL;
    if (model_is_fifo(queue) && group >= 0) {
        for (int i = 0; i < m->message_count; i++) {
            struct model_message *c = &m->messages[i];
            if (c->exists && c->queue == queue && c->group == group && c->place > after_place &&
                (best == NULL || c->place < best->place)) {
                best = c;
            }
        }
        return best != NULL && best->visible_at <= m->now ? best : NULL;
    }
    for (int i = 0; i < m->message_count; i++) {
        struct model_message *c = &m->messages[i];
        bool is_next = c->exists && c->queue == queue && !seen[i] && c->visible_at <= m->now &&
                       (!model_is_fifo(queue) || model_head(m, queue, c->group) == c);
        if (is_next && model_comes_before(m, c, best)) {
            best = c;
        }
    }
    return best;
}

/* Takes up to max; their indices in order. Rounds are as the engine has them, which shows only
 * when a lease of 0 s leaves messages ready. */
static inline int model_take(struct model *m, int queue, int max, int64_t visible_at, int *ret)
{
    int count = 0;
    while (count < max) {
        int picked[MODEL_STEP_ROWS];
        bool seen[MODEL_MESSAGES_MAX] = {false};
        int limit = max - count > MODEL_STEP_ROWS ? MODEL_STEP_ROWS : max - count;
        int found = 0;
        int before = count;
        int64_t place = -1;
        int group = -1;
        struct model_message *next;
        while (found < limit && (next = model_next(m, queue, place, group, seen)) != NULL) {
            picked[found] = (int)(next - m->messages);
            seen[picked[found++]] = true;
            place = next->place;
            group = model_is_fifo(queue) ? next->group : -1;
        }
        for (int i = 0; i < found; i++) {
            struct model_message *message = &m->messages[picked[i]];
            if (model_is_expired(m, message)) {
                model_expire(m, message);
            } else if (model_dead_letter_queue(m, queue) >= 0 &&
                       message->receives >= m->max_receives[queue]) {
                model_to_dead(m, message, false);
            } else {
                ret[count++] = picked[i];
                message->visible_at = visible_at;
                message->receives++;
                message->received_at = m->now;
                message->handle = 0;
            }
        }
        if (found == 0 || (count > before && visible_at <= m->now)) {
            break;
        }
    }
    return count;
}

/* ---- handles ---- */

enum model_found { MODEL_FOUND_NOTHING, MODEL_FOUND_OUTDATED, MODEL_FOUND };

static inline enum model_found model_find(struct model *m, int index, struct model_message **ret)
{
    const struct model_handle *handle = &m->handles[index];
    struct model_message *message = &m->messages[handle->message];
    *ret = message;
    if (!message->exists || message->queue != handle->queue || message->place != handle->place) {
        return MODEL_FOUND_NOTHING;
    }
    bool is_over = model_is_fifo(handle->queue) && message->visible_at <= m->now;
    return message->handle == index + 1 && !is_over ? MODEL_FOUND : MODEL_FOUND_OUTDATED;
}

/* ---- remembered for five minutes ---- */

static inline struct model_recent *model_recent_find(struct model *m, int queue, int kind,
                                                     int scope, int id)
{
    for (int i = 0; i < m->recent_count; i++) {
        struct model_recent *r = &m->recents[i];
        if (r->queue == queue && r->epoch == m->epoch[queue] && r->kind == kind &&
            r->scope == scope && r->id == id && r->at + MODEL_REMEMBERED_MS > m->now) {
            return r;
        }
    }
    return NULL;
}

static inline struct model_recent *model_recent_put(struct model *m, int queue, int kind, int scope,
                                                    int id)
{
    struct model_recent *r = model_recent_find(m, queue, kind, scope, id);
    if (r == NULL) {
        r = &m->recents[m->recent_count++];
    }
    *r = (struct model_recent){.queue = queue,
                               .epoch = m->epoch[queue],
                               .kind = kind,
                               .scope = scope,
                               .id = id,
                               .at = m->now};
    return r;
}

/* All its messages are as the receive left them. */
static inline bool model_attempt_is_intact(struct model *m, const struct model_recent *r)
{
    for (int i = 0; i < r->count; i++) {
        struct model_message *message = NULL;
        if (model_find(m, r->handles[i], &message) != MODEL_FOUND ||
            message->visible_at != r->visible_at[i]) {
            return false;
        }
    }
    return r->count > 0;
}

#endif
