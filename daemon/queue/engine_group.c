/*
 * Groups: FIFO groups and tenants. A group's row knows when its next message may be received
 * (due_at); whoever changes messages of a group refreshes it. What is in flight by tenant is kept
 * in memory and counted from the file when it is first needed.
 */
#include "engine_internal.h"

#include "fair.h"

/* Exists while any of its messages does. */
int engine_group_join(struct engine *engine, struct queue *queue, struct str name,
                      int64_t visible_at, int64_t *ret_key)
{
    int64_t id;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_GROUP_FIND);
    sqlite3_bind_int64(s, 1, queue->space);
    db_bind_str(s, 2, name);
    int rc = db_step(s);
    if (rc == 1) {
        id = sqlite3_column_int64(s, 0);
        int64_t due_at = sqlite3_column_int64(s, 1);
        db_reset(s);
        rc = 0;
        if (!queue->fifo && visible_at < due_at) {
            s = db_use(&engine->db, STATEMENT_GROUP_SET);
            sqlite3_bind_int64(s, 1, id);
            sqlite3_bind_int64(s, 2, visible_at);
            rc = db_run(s);
        }
    } else if (rc == 0) {
        s = db_use(&engine->db, STATEMENT_GROUP_INSERT);
        sqlite3_bind_int64(s, 1, queue->space);
        sqlite3_bind_int64(s, 2, visible_at);
        db_bind_str(s, 3, name);
        rc = db_run(s);
        id = sqlite3_last_insert_rowid(engine->db.handle);
    }
    if (rc == 0) {
        *ret_key = queue->fifo ? id : -id;
        queue->has_groups = true;
    }
    return rc;
}

int engine_group_refresh(struct engine *engine, struct queue *queue, int64_t key)
{
    if (key == 0) {
        return 0;
    }
    sqlite3_stmt *s = db_use(&engine->db, key > 0 ? STATEMENT_LINE_FIRST : STATEMENT_TENANT_FIRST);
    sqlite3_bind_int64(s, 1, key);
    int rc = db_step(s);
    if (rc < 0) {
        return rc;
    }
    int64_t due_at = rc == 1 ? sqlite3_column_int64(s, 0) : 0;
    db_reset(s);
    if (rc == 0) {
        s = db_use(&engine->db, STATEMENT_GROUP_DELETE);
        if (queue->fair != NULL) {
            fair_forget(queue->fair, key);
        }
    } else {
        s = db_use(&engine->db, STATEMENT_GROUP_SET);
        sqlite3_bind_int64(s, 2, due_at);
    }
    sqlite3_bind_int64(s, 1, key > 0 ? key : -key);
    return db_run(s);
}

/* ---- what is in flight, by tenant ---- */

static bool is_in_flight(const struct engine *engine, int64_t visible_at, int64_t receive_count)
{
    return visible_at > engine->now && receive_count > 0;
}

void engine_count_in(struct engine *engine, struct queue *queue, const struct row_state *row)
{
    queue_count_in(queue, row->visible_at, row->receive_count);
    if (queue->fair != NULL && row->group_key < 0 &&
        is_in_flight(engine, row->visible_at, row->receive_count)) {
        fair_in(queue->fair, row->group_key);
    }
}

void engine_count_out(struct engine *engine, struct queue *queue, const struct row_state *row)
{
    queue_count_out(queue, row->visible_at, row->receive_count);
    if (queue->fair != NULL && row->group_key < 0 &&
        is_in_flight(engine, row->visible_at, row->receive_count)) {
        fair_out(queue->fair, row->group_key);
    }
}

int engine_fair_ready(struct engine *engine, struct queue *queue)
{
    if (queue->fair != NULL) {
        return 0;
    }
    struct fair *fair = fair_new();
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TENANTS_IN_FLIGHT);
    sqlite3_bind_int64(s, 1, -queue->space);
    sqlite3_bind_int64(s, 2, engine->now);
    int rc;
    while ((rc = db_step(s)) == 1) {
        fair_in(fair, sqlite3_column_int64(s, 0));
    }
    if (rc != 0) {
        fair_free(fair);
        return rc;
    }
    queue->fair = fair;
    return 0;
}
