/*
 * What is known of the calls of limits that outlive a process. Rows of a limit lie in the order of
 * their periods; those nobody asks for any more are a prefix, and go with the next record.
 */
#include "engine_internal.h"

static int read_rows(struct engine *engine, struct store_quota *quota)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_QUOTA_LIST);
    db_bind_str(s, 1, quota->name);
    sqlite3_bind_int64(s, 2, STORE_QUOTA_ROWS_MAX);
    int rc;
    quota->count = 0;
    while ((rc = db_step(s)) == 1) {
        int64_t used = sqlite3_column_int64(s, 2);
        quota->rows[quota->count++] =
            (struct store_quota_row){.period = sqlite3_column_int64(s, 0),
                                     .until = sqlite3_column_int64(s, 1),
                                     .used = used > 0 ? (uint64_t)used : 0};
    }
    return rc;
}

static int read_state(struct engine *engine, struct store_quota *quota)
{
    struct calendar_stamp *stamp = &quota->stamp;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_QUOTA_STATE_GET);
    db_bind_str(s, 1, quota->name);
    int rc = db_step(s);
    quota->found = rc == 1;
    if (rc != 1) {
        return rc;
    }
    int64_t outstanding = sqlite3_column_int64(s, 0);
    quota->outstanding = outstanding > 0 ? (uint64_t)outstanding : 0;
    quota->clock_ms = sqlite3_column_int64(s, 1);
    str_copy(stamp->boot_id, sizeof(stamp->boot_id), db_column(s, 2));
    stamp->boottime_ms = sqlite3_column_int64(s, 3);
    stamp->realtime = sqlite3_column_int64(s, 4);
    quota->mark = (uint32_t)sqlite3_column_int64(s, 5);
    db_reset(s);
    return 0;
}

static int write_row(struct engine *engine, const struct store_quota *quota,
                     const struct store_quota_row *row)
{
    sqlite3_stmt *s = db_use(&engine->db, quota->add ? STATEMENT_QUOTA_ADD : STATEMENT_QUOTA_PUT);
    db_bind_str(s, 1, quota->name);
    sqlite3_bind_int64(s, 2, row->period);
    sqlite3_bind_int64(s, 3, row->until);
    sqlite3_bind_int64(s, 4, (int64_t)row->used);
    return db_run(s);
}

static int write_state(struct engine *engine, const struct store_quota *quota)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_QUOTA_STATE_PUT);
    db_bind_str(s, 1, quota->name);
    sqlite3_bind_int64(s, 2, (int64_t)quota->outstanding);
    sqlite3_bind_int64(s, 3, quota->clock_ms);
    db_bind_str(s, 4, str_from(quota->stamp.boot_id));
    sqlite3_bind_int64(s, 5, quota->stamp.boottime_ms);
    sqlite3_bind_int64(s, 6, quota->stamp.realtime);
    sqlite3_bind_int64(s, 7, quota->mark);
    return db_run(s);
}

static int forget(struct engine *engine, const struct store_quota *quota)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_QUOTA_FORGET);
    db_bind_str(s, 1, quota->name);
    sqlite3_bind_int64(s, 2, quota->forget_before);
    return db_run(s);
}

int engine_quota(struct engine *engine, struct store_quota *quota)
{
    int rc = 0;
    if (quota->how == STORE_QUOTA_LOAD) {
        rc = read_rows(engine, quota);
        return rc != 0 ? rc : read_state(engine, quota);
    }
    for (uint32_t i = 0; i < quota->count && rc == 0; i++) {
        rc = write_row(engine, quota, &quota->rows[i]);
    }
    rc = rc != 0 ? rc : forget(engine, quota);
    return rc != 0 ? rc : write_state(engine, quota);
}
