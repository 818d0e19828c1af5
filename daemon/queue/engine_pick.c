/*
 * Which message is next. A FIFO queue: the group that has waited longest, its messages in their
 * order up to the first that is not visible. A standard queue: what became visible first; with
 * tenants, what became visible first among quiet ones and messages without a tenant, then that of
 * the noisy tenant with the fewest in flight.
 */
#include "engine_take.h"

#include "fair.h"

static int64_t key_of_group(const struct queue *queue, int64_t id)
{
    return queue->fifo ? id : -id;
}

static void pick_ungrouped(struct engine *engine, const struct queue *queue, uint32_t limit,
                           int64_t until, struct pick *ret)
{
    ret->rows = db_use(&engine->db, STATEMENT_SPACE_READY);
    sqlite3_bind_int64(ret->rows, 1, queue->space);
    sqlite3_bind_int64(ret->rows, 2, until);
    sqlite3_bind_int64(ret->rows, 3, limit);
    ret->group_key = 0;
    ret->until = until;
}

static void pick_group(struct engine *engine, int64_t key, uint32_t limit, struct pick *ret)
{
    ret->rows = db_use(&engine->db, key > 0 ? STATEMENT_LINE_READY : STATEMENT_TENANT_READY);
    sqlite3_bind_int64(ret->rows, 1, key);
    sqlite3_bind_int64(ret->rows, 2, limit);
    ret->group_key = key;
    ret->until = engine->now;
}

static int pick_fifo(struct engine *engine, const struct queue *queue, uint32_t limit,
                     struct pick *ret)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_GROUP_DUE);
    sqlite3_bind_int64(s, 1, queue->space);
    sqlite3_bind_int64(s, 2, engine->now);
    int rc = db_step(s);
    if (rc == 1) {
        int64_t key = key_of_group(queue, sqlite3_column_int64(s, 0));
        db_reset(s);
        pick_group(engine, key, limit, ret);
    }
    return rc;
}

/* When the first message without a tenant became visible; QUEUE_NEVER: there is none. */
static int first_ungrouped(struct engine *engine, const struct queue *queue, int64_t *ret_due)
{
    struct pick pick;
    pick_ungrouped(engine, queue, 1, engine->now, &pick);
    int rc = db_step(pick.rows);
    *ret_due = rc == 1 ? sqlite3_column_int64(pick.rows, COLUMN_VISIBLE_AT) : QUEUE_NEVER;
    db_reset(pick.rows);
    return rc < 0 ? rc : 0;
}

struct candidates {
    int64_t quiet, quiet_due; /* 0: none */
    int64_t noisy;
};

/* Tenants in the order of their first message, up to the first quiet one: at most FAIR_NOISY_MAX
 * are stepped over. */
static int find_tenants(struct engine *engine, struct queue *queue, struct candidates *ret)
{
    const uint64_t *counts = queue->state.counts;
    uint64_t in_flight = counts[QUEUE_LEASED] + counts[QUEUE_HELD];
    uint32_t fewest = UINT32_MAX;
    *ret = (struct candidates){.quiet_due = QUEUE_NEVER};
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_GROUP_DUE);
    sqlite3_bind_int64(s, 1, queue->space);
    sqlite3_bind_int64(s, 2, engine->now);
    int rc;
    while ((rc = db_step(s)) == 1) {
        int64_t key = key_of_group(queue, sqlite3_column_int64(s, 0));
        uint32_t has = fair_in_flight(queue->fair, key);
        if (!fair_is_noisy(queue->fair, key, in_flight, engine->now)) {
            ret->quiet = key;
            ret->quiet_due = sqlite3_column_int64(s, 1);
            db_reset(s);
            return 0;
        }
        if (has < fewest) {
            fewest = has;
            ret->noisy = key;
        }
    }
    return rc;
}

static int pick_fair(struct engine *engine, struct queue *queue, uint32_t limit, struct pick *ret)
{
    struct candidates tenants;
    int64_t ungrouped_due = QUEUE_NEVER;
    int rc = engine_fair_ready(engine, queue);
    rc = rc != 0 ? rc : first_ungrouped(engine, queue, &ungrouped_due);
    rc = rc != 0 ? rc : find_tenants(engine, queue, &tenants);
    if (rc != 0) {
        return rc;
    }
    if (ungrouped_due <= tenants.quiet_due && ungrouped_due != QUEUE_NEVER) {
        pick_ungrouped(engine, queue, limit, tenants.quiet != 0 ? tenants.quiet_due : engine->now,
                       ret);
        return 1;
    }
    int64_t key = tenants.quiet != 0 ? tenants.quiet : tenants.noisy;
    if (key != 0) {
        pick_group(engine, key, 1, ret); /* after each message the tenants are looked at anew */
    }
    return key != 0;
}

int engine_pick(struct engine *engine, struct queue *queue, uint32_t limit, struct pick *ret)
{
    if (queue->fifo) {
        return pick_fifo(engine, queue, limit, ret);
    }
    if (queue->has_groups) {
        return pick_fair(engine, queue, limit, ret);
    }
    pick_ungrouped(engine, queue, limit, engine->now, ret);
    return 1;
}
