#include "sluice/queue/verify.h"

#include "db.h"
#include "file_check.h"
#include "schema.h"

#include <stdio.h>
#include <sys/stat.h>

#define TEXT_(number) #number
#define TEXT(number)  TEXT_(number)
#define EACH_MAX      " LIMIT 5"

/* Each row of an answer is a problem, in words. `live` spaces are those of a queue; what lies in
 * the others (purged, deleted) is on its way out, in any order. */
static const char *const rules[] = {
    "SELECT printf('message %d is in space %d, which does not exist', id, id >> 40)"
    " FROM messages WHERE id >> 40 NOT IN (SELECT id FROM spaces)" EACH_MAX,
    "SELECT printf('message %d is in space %d but in lane %d', id, id >> 40, lane)"
    " FROM messages WHERE abs(lane) <> id >> 40 OR (lane < 0) <> (group_key <> 0)" EACH_MAX,
    "SELECT printf('message %d has an id of %d bytes', id, length(message_id))"
    " FROM messages WHERE length(message_id) <> 16" EACH_MAX,
    "SELECT printf('message %d belongs to group %d, which does not exist', m.id, m.group_key)"
    " FROM messages AS m JOIN spaces AS s ON s.id = m.id >> 40"
    " WHERE m.group_key <> 0 AND s.queue_id IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM groups AS g WHERE g.id = abs(m.group_key) AND g.space = s.id)" EACH_MAX,
    "SELECT printf('group %d has no message', g.id)"
    " FROM groups AS g JOIN spaces AS s ON s.id = g.space WHERE s.queue_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM messages WHERE group_key = g.id AND group_key > 0)"
    " AND NOT EXISTS (SELECT 1 FROM messages WHERE group_key = -g.id AND group_key < 0)" EACH_MAX,
    "SELECT printf('group %d is due at %d, its first message at %d', id, due_at, first) FROM"
    " (SELECT g.id, g.due_at, coalesce("
    "(SELECT visible_at FROM messages WHERE group_key = g.id AND group_key > 0 ORDER BY id LIMIT "
    "1),"
    "(SELECT min(visible_at) FROM messages WHERE group_key = -g.id AND group_key < 0)) AS first"
    " FROM groups AS g JOIN spaces AS s ON s.id = g.space WHERE s.queue_id IS NOT NULL)"
    " WHERE due_at <> first" EACH_MAX,
    "SELECT printf('group %d is in space %d, which does not exist', id, space)"
    " FROM groups WHERE space NOT IN (SELECT id FROM spaces)" EACH_MAX,
    "SELECT printf('what is remembered as %d is in space %d, which does not exist', id, space)"
    " FROM recents WHERE space NOT IN (SELECT id FROM spaces)" EACH_MAX,
    "SELECT printf('space %d belongs to queue %d, which does not exist', id, queue_id)"
    " FROM spaces WHERE queue_id NOT IN (SELECT id FROM queues)" EACH_MAX,
    "SELECT printf('queue \"%s\" has %d spaces instead of one', q.name, count(s.id))"
    " FROM queues AS q LEFT JOIN spaces AS s ON s.queue_id = q.id"
    " GROUP BY q.id HAVING count(s.id) <> 1" EACH_MAX,
    "SELECT printf('an attribute (%s) belongs to queue %d, which does not exist', name, queue_id)"
    " FROM queue_attributes WHERE queue_id NOT IN (SELECT id FROM queues)" EACH_MAX,
    "SELECT printf('a tag (%s) belongs to queue %d, which does not exist', name, queue_id)"
    " FROM queue_tags WHERE queue_id NOT IN (SELECT id FROM queues)" EACH_MAX,
    "SELECT printf('a move task belongs to queue %d, which does not exist', queue_id)"
    " FROM move_tasks WHERE queue_id NOT IN (SELECT id FROM queues)" EACH_MAX,
    "SELECT printf('record %d of route \"%s\" has a key of %d bytes', id, route, length(key))"
    " FROM records WHERE length(key) <> 16" EACH_MAX,
    "SELECT printf('record %d of route \"%s\" is of kind %d in state %d, which does not exist', id,"
    " route, kind, state) FROM records WHERE kind NOT IN (0, 1) OR state NOT IN (0, 1, 2)"
    " OR (kind = 1) <> (state <> 0)" EACH_MAX,
    "SELECT printf('counters belong to queue %d, which does not exist', queue_id)"
    " FROM closings WHERE queue_id NOT IN (SELECT id FROM queues)" EACH_MAX,
    "SELECT printf('queue \"%s\": counters say %d visible, %d delayed, %d in flight; there are"
    " %d, %d, %d', name, visible, delayed, leased, v, d, l) FROM"
    " (SELECT q.name, c.visible, c.delayed, c.leased,"
    " count(m.id) FILTER (WHERE m.visible_at <= c.advanced_to) AS v,"
    " count(m.id) FILTER (WHERE m.visible_at > c.advanced_to AND m.receive_count = 0) AS d,"
    " count(m.id) FILTER (WHERE m.visible_at > c.advanced_to AND m.receive_count > 0) AS l"
    " FROM closings AS c JOIN queues AS q ON q.id = c.queue_id JOIN spaces AS s ON s.queue_id = "
    "q.id"
    " LEFT JOIN messages AS m ON m.id >= s.id << 40 AND m.id < (s.id + 1) << 40"
    " AND m.visible_at < 1 << 46 GROUP BY q.id)" /* SCHEMA_HELD: the next start counts those */
    " WHERE visible <> v OR delayed <> d OR leased <> l" EACH_MAX,
    "SELECT printf('queue \"%s\" has no counters, others have', name) FROM queues"
    " WHERE EXISTS (SELECT 1 FROM closings) AND id NOT IN (SELECT queue_id FROM closings)" EACH_MAX,
};

static void tell(struct queue_verify *verify, const char *text)
{
    if (verify->problem_count == QUEUE_VERIFY_PROBLEMS_MAX) {
        return;
    }
    verify->problem_count++;
    if (verify->problem != NULL) {
        verify->problem(verify->context, text);
    }
}

/* Tells each row of the answer, except one that says "ok". An answer that the damage cuts short is
 * a problem as well. */
static void tell_rows(struct queue_verify *verify, sqlite3 *handle, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(handle, sql, -1, &s, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 0);
        if (text != NULL && !str_equal(str_from(text), STR("ok"))) {
            tell(verify, text);
        }
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_DONE) {
        tell(verify, sqlite3_errmsg(handle));
    }
    (void)sqlite3_finalize(s);
}

static int64_t query_number(sqlite3 *handle, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t number = 0;
    if (sqlite3_prepare_v2(handle, sql, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW) {
        number = sqlite3_column_int64(s, 0);
    }
    (void)sqlite3_finalize(s);
    return number;
}

/* What keeps it from being read says nothing about what it holds. */
static int check_reading(sqlite3 *handle, const char *path, struct error *e)
{
    int rc = db_error(sqlite3_exec(handle, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL));
    if (rc == ERR_BUSY) {
        return error_set(e, rc, path, "another process has the queue file open");
    }
    return rc == ERR_IO || rc == ERR_NOMEM || rc == ERR_DENIED
               ? error_set(e, rc, path, "the queue file cannot be read: %s", sqlite3_errmsg(handle))
               : 0;
}

static void verify_content(sqlite3 *handle, struct queue_verify *verify)
{
    tell_rows(verify, handle, "PRAGMA integrity_check(" TEXT(QUEUE_VERIFY_PROBLEMS_MAX) ")");
    /* An older version is brought to this one at the next start, and has no such rules. */
    bool is_current = query_number(handle, "PRAGMA user_version") == SCHEMA_VERSION;
    for (size_t i = 0; i < SL_COUNT(rules) && is_current; i++) {
        tell_rows(verify, handle, rules[i]);
    }
    verify->queues = query_number(handle, "SELECT count(*) FROM queues");
    verify->messages = query_number(
        handle, "SELECT count(*) FROM messages AS m JOIN spaces AS s ON s.id = m.id >> 40"
                " WHERE s.queue_id IS NOT NULL");
}

int queue_file_verify(const char *path, struct queue_verify *verify, struct error *e)
{
    struct stat st = {0};
    sqlite3 *handle = NULL;
    int rc = file_check_header(path, e);

    verify->problem_count = 0;
    if (rc == ERR_NOT_FOUND) {
        return error_set(e, rc, path, "there is no queue file");
    }
    if (rc != 0) {
        return rc;
    }
    rc = file_open_unchanged(path, &handle, e);
    rc = rc != 0 ? rc : check_reading(handle, path, e);
    if (rc == 0) {
        verify_content(handle, verify);
        verify->bytes = stat(path, &st) == 0 ? st.st_size : 0;
    }
    (void)sqlite3_close(handle);
    if (rc == 0 && verify->problem_count > 0) {
        return error_set(e, ERR_CORRUPT, path, "the queue file is damaged: " QUEUE_RECOVERY_ADVICE);
    }
    return rc;
}
