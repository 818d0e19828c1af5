/*
 * What routes remember: how often a message was tried, what work was begun and what is done. Rows
 * are found by route, kind and key; they end at a time of the lease clock, which no step of the
 * wall clock moves.
 */
#include "engine_internal.h"

#include "sluice/base/fault.h"

#define FORGET_ROWS 256

static void bind_key(sqlite3_stmt *s, const struct store_records *records,
                     const struct store_record *record)
{
    db_bind_str(s, 1, records->route);
    sqlite3_bind_int64(s, 2, record->kind);
    db_bind_blob(s, 3, (struct str){(const char *)record->key, STORE_RECORD_KEY_BYTES});
}

static int read_row(const struct engine *engine, sqlite3_stmt *s, struct arena *arena,
                    struct store_record *record)
{
    struct str answer = db_column(s, 6);

    record->found = true;
    record->state = (enum store_work)sqlite3_column_int64(s, 1);
    record->attempts = (uint32_t)sqlite3_column_int64(s, 2);
    record->backoffs = (uint32_t)sqlite3_column_int64(s, 3);
    record->age_ms = engine->now - sqlite3_column_int64(s, 4);
    record->status = sqlite3_column_int(s, 5);
    record->answer = STR_NONE;
    if (answer.ptr != NULL && arena != NULL) {
        const char *copy = arena_dup(arena, answer.ptr, answer.len);
        if (copy == NULL) {
            return ERR_NOMEM;
        }
        record->answer = (struct str){copy, answer.len};
    }
    return 0;
}

static int get(struct engine *engine, const struct store_records *records,
               struct store_record *record)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECORD_GET);

    record->found = false;
    bind_key(s, records, record);
    int rc = db_step(s);
    if (rc != 1) {
        return rc;
    }
    rc = sqlite3_column_int64(s, 0) > engine->now ? read_row(engine, s, records->arena, record) : 0;
    db_reset(s);
    return rc;
}

static int put(struct engine *engine, const struct store_records *records,
               const struct store_record *record)
{
    int64_t expires_at = engine->now + record->expires_in_ms;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECORD_PUT);

    bind_key(s, records, record);
    sqlite3_bind_int64(s, 4, expires_at);
    sqlite3_bind_int64(s, 5, record->state);
    sqlite3_bind_int64(s, 6, record->attempts);
    sqlite3_bind_int64(s, 7, record->backoffs);
    sqlite3_bind_int64(s, 8, engine->now - record->age_ms);
    sqlite3_bind_int(s, 9, record->status);
    /* What room is left is for deletes: they end work, and a record of it is small. */
    db_bind_blob(s, 10, engine->refuses_messages ? STR_NONE : record->answer);
    if (expires_at < engine->next_record) {
        engine->next_record = expires_at;
    }
    if (expires_at < engine->next_expiry) {
        engine->next_expiry = expires_at;
    }
    return db_run(s);
}

static int begin(struct engine *engine, const struct store_records *records,
                 struct store_record *record)
{
    int rc = FAULT("queue.begin_work") ? ERR_FULL : get(engine, records, record);

    if (rc != 0 ||
        (record->found && !(records->take_over && record->state == STORE_WORK_IN_PROGRESS))) {
        return rc;
    }
    record->found = false;
    record->state = STORE_WORK_IN_PROGRESS;
    record->attempts = record->backoffs = 0;
    record->age_ms = 0;
    record->status = 0;
    record->answer = STR_NONE;
    return put(engine, records, record);
}

static int remove_one(struct engine *engine, const struct store_records *records,
                      const struct store_record *record)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECORD_DELETE);

    bind_key(s, records, record);
    return db_run(s);
}

static int find_any(struct engine *engine, struct store_records *records)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECORD_ANY);

    db_bind_str(s, 1, records->route);
    sqlite3_bind_int64(s, 2, records->count > 0 ? records->items[0].kind : STORE_RECORD_RETRY);
    int rc = db_step(s);
    records->any = rc == 1;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

static int run_one(struct engine *engine, const struct store_records *records,
                   struct store_record *record)
{
    switch (records->how) {
    case STORE_RECORDS_GET:
        return get(engine, records, record);
    case STORE_RECORDS_PUT:
        return put(engine, records, record);
    case STORE_RECORDS_BEGIN:
        return begin(engine, records, record);
    case STORE_RECORDS_DELETE:
        return remove_one(engine, records, record);
    }
    return ERR_BUG;
}

int engine_records(struct engine *engine, struct store_records *records)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < records->count; i++) {
        rc = run_one(engine, records, &records->items[i]);
    }
    return rc == 0 && records->how == STORE_RECORDS_GET ? find_any(engine, records) : rc;
}

/* The end of the first that is not over; QUEUE_NEVER: there is none. */
static int next_end(struct engine *engine, int64_t after, int64_t *ret)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECORD_FIRST);

    sqlite3_bind_int64(s, 1, after);
    int rc = db_step(s);
    *ret = rc == 1 ? sqlite3_column_int64(s, 0) : QUEUE_NEVER;
    db_reset(s);
    return rc < 0 ? rc : 0;
}

int engine_records_forget(struct engine *engine)
{
    if (engine->now < engine->next_record) {
        return 0;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECORD_SWEEP);
    sqlite3_bind_int64(s, 1, engine->now);
    sqlite3_bind_int64(s, 2, FORGET_ROWS);
    int rc = db_run(s);
    /* From the first on, over or not: what is left over keeps the sweep going. */
    return rc != 0 ? rc : next_end(engine, -1, &engine->next_record);
}
