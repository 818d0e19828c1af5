/*
 * What is remembered for five minutes: deduplication ids and ReceiveRequestAttemptIds. In the file,
 * so that it survives a restart; rows lie in the order of their time, so that forgetting is a
 * prefix. A queue that is purged or deleted leaves its rows to time: they name its old space.
 */
#include "engine_internal.h"

#include "sluice/base/digest.h"

#include <string.h>

#define RECENT_MS   INT64_C(300000)
#define FORGET_ROWS 256
#define TEXT_MAX    (2 * 128 + 16) /* two ids and what separates them */

void engine_recent_key(char kind, struct str scope, struct str id, uint8_t ret[RECENT_KEY_BYTES])
{
    char text[TEXT_MAX];
    uint8_t digest[DIGEST_SHA256_BYTES];
    size_t len = 0;
    SL_ASSERT(scope.len + id.len + 2 <= sizeof(text));
    text[len++] = kind;
    if (scope.len > 0) {
        memcpy(text + len, scope.ptr, scope.len);
        len += scope.len;
    }
    text[len++] = '\0';
    memcpy(text + len, id.ptr, id.len);
    len += id.len;
    digest_sha256((struct str){text, len}, digest);
    memcpy(ret, digest, RECENT_KEY_BYTES);
}

static int forget(struct engine *engine, int64_t row_id)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECENT_DELETE);
    sqlite3_bind_int64(s, 1, row_id);
    return db_run(s);
}

int engine_recent_find(struct engine *engine, const struct queue *queue, const uint8_t *key,
                       struct recent *ret)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECENT_FIND);
    sqlite3_bind_int64(s, 1, queue->space);
    db_bind_blob(s, 2, (struct str){(const char *)key, RECENT_KEY_BYTES});
    int rc = db_step(s);
    if (rc != 1) {
        return rc;
    }
    int64_t row_id = sqlite3_column_int64(s, 0);
    bool is_over = sqlite3_column_int64(s, 1) + RECENT_MS <= engine->now;
    struct str payload = db_column(s, 2);
    ret->payload_len = payload.len < sizeof(ret->payload) ? payload.len : sizeof(ret->payload);
    if (ret->payload_len > 0) {
        memcpy(ret->payload, payload.ptr, ret->payload_len);
    }
    db_reset(s);
    if (!is_over) {
        return 1;
    }
    rc = forget(engine, row_id);
    return rc < 0 ? rc : 0;
}

int engine_recent_put(struct engine *engine, const struct queue *queue, const uint8_t *key,
                      struct str payload)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECENT_INSERT);
    sqlite3_bind_int64(s, 1, queue->space);
    sqlite3_bind_int64(s, 2, engine->now);
    db_bind_blob(s, 3, (struct str){(const char *)key, RECENT_KEY_BYTES});
    db_bind_blob(s, 4, payload);
    int64_t over_at = engine->now + RECENT_MS;
    engine->next_forget = over_at < engine->next_forget ? over_at : engine->next_forget;
    engine->next_expiry = over_at < engine->next_expiry ? over_at : engine->next_expiry;
    return db_run(s);
}

int engine_recent_replace(struct engine *engine, const struct queue *queue, const uint8_t *key,
                          struct str payload)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECENT_FIND);
    sqlite3_bind_int64(s, 1, queue->space);
    db_bind_blob(s, 2, (struct str){(const char *)key, RECENT_KEY_BYTES});
    int rc = db_step(s);
    if (rc == 1) {
        int64_t row_id = sqlite3_column_int64(s, 0);
        db_reset(s);
        rc = forget(engine, row_id);
    }
    return rc != 0 ? rc : engine_recent_put(engine, queue, key, payload);
}

/* The first row; 1: there is one, with ret_over_at. */
static int first_after(struct engine *engine, int64_t row_id, int64_t *ret_row, int64_t *ret_over)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECENT_FIRST);
    sqlite3_bind_int64(s, 1, row_id);
    int rc = db_step(s);
    if (rc == 1) {
        *ret_row = sqlite3_column_int64(s, 0);
        *ret_over = sqlite3_column_int64(s, 1) + RECENT_MS;
        db_reset(s);
    }
    return rc;
}

int engine_recent_forget(struct engine *engine)
{
    int64_t last = 0;
    int64_t row_id = 0;
    int64_t over_at = QUEUE_NEVER;
    int rc = 0;
    if (engine->now < engine->next_forget) {
        return 0;
    }
    for (int i = 0; i <= FORGET_ROWS; i++) {
        over_at = QUEUE_NEVER;
        rc = first_after(engine, last, &row_id, &over_at);
        if (rc != 1 || over_at > engine->now || i == FORGET_ROWS) {
            break;
        }
        last = row_id;
    }
    if (rc >= 0 && last > 0) {
        sqlite3_stmt *s = db_use(&engine->db, STATEMENT_RECENT_FORGET);
        sqlite3_bind_int64(s, 1, last);
        rc = db_run(s);
    }
    if (rc >= 0) {
        engine->next_forget = over_at;
    }
    return rc < 0 ? rc : 0;
}
