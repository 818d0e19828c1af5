#include "schema.h"

const char schema_create_pragmas[] = "PRAGMA page_size = 8192;"
                                     "PRAGMA auto_vacuum = INCREMENTAL;"
                                     "PRAGMA encoding = 'UTF-8';"
                                     "PRAGMA journal_mode = DELETE;"
                                     "PRAGMA synchronous = FULL;";

/*
 * messages: the columns that a receive changes come before the body and keep their width (times six
 * bytes, token eight, receive_count 0 and 1 none), so that the first receive of a large message
 * writes one page and not the body again.
 *   lane               space, or -space when it has a group
 *   sent_at            wall clock of the sender's request, shown as SentTimestamp
 *   enqueued_at        lease clock: what retention counts from
 *   visible_at         lease clock; in the future: delayed or in flight; SCHEMA_HELD: held
 *   received_at        lease clock of the latest receive (limit of 12 hours)
 *   first_received_at  wall clock, valid when receive_count > 0
 *   group_key          id of its group on a FIFO queue, -id on a standard one, 0: no group
 *   source             name of the queue a dead letter came from
 *   attributes         message attributes, see attribute_blob.h
 */
#define MESSAGES_COLUMNS                                                                           \
    " (id INTEGER PRIMARY KEY,"                                                                    \
    " lane INTEGER NOT NULL,"                                                                      \
    " visible_at INTEGER NOT NULL,"                                                                \
    " receive_count INTEGER NOT NULL,"                                                             \
    " token INTEGER NOT NULL,"                                                                     \
    " received_at INTEGER NOT NULL,"                                                               \
    " first_received_at INTEGER NOT NULL,"                                                         \
    " enqueued_at INTEGER NOT NULL,"                                                               \
    " sent_at INTEGER NOT NULL,"                                                                   \
    " group_key INTEGER NOT NULL,"                                                                 \
    " message_id BLOB NOT NULL,"                                                                   \
    " source TEXT,"                                                                                \
    " group_id TEXT,"                                                                              \
    " deduplication_id TEXT,"                                                                      \
    " trace_header TEXT,"                                                                          \
    " attributes BLOB,"                                                                            \
    " body TEXT NOT NULL"                                                                          \
    ") STRICT;"

/*
 * messages_line: a FIFO group in its order; messages_tenant: a tenant's messages by when they are
 * visible; messages_dead: dead letters by age, for they keep the time they were enqueued first and
 * so do not lie in that order.
 */
#define MESSAGES_INDEXES                                                                           \
    "CREATE INDEX messages_due ON messages (lane, visible_at);"                                    \
    "CREATE INDEX messages_line ON messages (group_key, id) WHERE group_key > 0;"                  \
    "CREATE INDEX messages_tenant ON messages (group_key, visible_at) WHERE group_key < 0;"        \
    "CREATE INDEX messages_dead ON messages (lane, enqueued_at) WHERE source IS NOT NULL;"

/*
 * groups: due_at is the visible_at of the group's next message: the first of a FIFO group, the
 * earliest of a tenant. A group without messages has no row.
 *
 * recents: what is remembered for five minutes. key: 16 bytes of SHA-256 over what it is and its
 * name: a deduplication id (payload: message id and row id) or a ReceiveRequestAttemptId (payload:
 * rows and tokens). Rows lie in the order of their time.
 *
 * closings: the counters of a queue, written when the file is closed and removed when it is opened:
 * only after an end without closing must messages be counted.
 */
#define TABLES_OF_2                                                                                \
    "CREATE TABLE groups ("                                                                        \
    " id INTEGER PRIMARY KEY,"                                                                     \
    " space INTEGER NOT NULL,"                                                                     \
    " due_at INTEGER NOT NULL,"                                                                    \
    " name TEXT NOT NULL"                                                                          \
    ") STRICT;"                                                                                    \
    "CREATE UNIQUE INDEX groups_name ON groups (space, name);"                                     \
    "CREATE INDEX groups_due ON groups (space, due_at);"                                           \
    "CREATE TABLE recents ("                                                                       \
    " id INTEGER PRIMARY KEY,"                                                                     \
    " space INTEGER NOT NULL,"                                                                     \
    " at INTEGER NOT NULL,"                                                                        \
    " key BLOB NOT NULL,"                                                                          \
    " payload BLOB NOT NULL"                                                                       \
    ") STRICT;"                                                                                    \
    "CREATE UNIQUE INDEX recents_key ON recents (space, key);"                                     \
    "CREATE TABLE queue_tags ("                                                                    \
    " queue_id INTEGER NOT NULL,"                                                                  \
    " name TEXT NOT NULL,"                                                                         \
    " value TEXT NOT NULL,"                                                                        \
    " PRIMARY KEY (queue_id, name)"                                                                \
    ") STRICT, WITHOUT ROWID;"                                                                     \
    "CREATE TABLE move_tasks ("                                                                    \
    " id INTEGER PRIMARY KEY,"                                                                     \
    " queue_id INTEGER NOT NULL," /* the source */                                                 \
    " task_id TEXT NOT NULL,"                                                                      \
    " destination TEXT," /* name; NULL: where each message came from */                            \
    " rate INTEGER,"     /* messages per second; NULL: as fast as it goes */                       \
    " status INTEGER NOT NULL,"                                                                    \
    " moved INTEGER NOT NULL,"                                                                     \
    " to_move INTEGER NOT NULL,"                                                                   \
    " last_row INTEGER NOT NULL,"   /* rows after it came after the start, and stay */             \
    " started_at INTEGER NOT NULL," /* wall clock */                                               \
    " failure TEXT"                                                                                \
    ") STRICT;"                                                                                    \
    "CREATE INDEX move_tasks_queue ON move_tasks (queue_id, id);"                                  \
    "CREATE TABLE closings ("                                                                      \
    " queue_id INTEGER PRIMARY KEY,"                                                               \
    " advanced_to INTEGER NOT NULL,"                                                               \
    " next_expiry INTEGER NOT NULL,"                                                               \
    " visible INTEGER NOT NULL,"                                                                   \
    " delayed INTEGER NOT NULL,"                                                                   \
    " leased INTEGER NOT NULL"                                                                     \
    ") STRICT;"

/*
 * records: what a route remembers beyond a message's own row, by kind (enum store_record_kind): how
 * often a message was tried, or that the work a key names was begun or is done.
 *   key         16 bytes of SHA-256
 *   expires_at  lease clock, as is first_at
 *   state       enum store_work; attempts, backoffs, first_at: of the retry plan
 *   status, answer  of the call that did the work, where somebody will want them again
 *
 * quotas: calls that arrived, by limit and (sub-)window [period, until), of limits whose window is
 * longer than a process may live. Times are ms, of the calendar or of the limit's own clock.
 * quota_states: calls besides that may have arrived, among them all that the process was allowed to
 * make since; the limit's own clock and, for how long ago that was, the machine's; mark: number of
 * the record, by which memory that outlives the process knows it (0: it does not).
 */
#define TABLES_OF_3                                                                                \
    "CREATE TABLE records ("                                                                       \
    " id INTEGER PRIMARY KEY,"                                                                     \
    " route TEXT NOT NULL,"                                                                        \
    " kind INTEGER NOT NULL,"                                                                      \
    " key BLOB NOT NULL,"                                                                          \
    " expires_at INTEGER NOT NULL,"                                                                \
    " state INTEGER NOT NULL,"                                                                     \
    " attempts INTEGER NOT NULL,"                                                                  \
    " backoffs INTEGER NOT NULL,"                                                                  \
    " first_at INTEGER NOT NULL,"                                                                  \
    " status INTEGER NOT NULL,"                                                                    \
    " answer BLOB"                                                                                 \
    ") STRICT;"                                                                                    \
    "CREATE UNIQUE INDEX records_key ON records (route, kind, key);"                               \
    "CREATE INDEX records_expiry ON records (expires_at);"                                         \
    "CREATE TABLE quotas ("                                                                        \
    " name TEXT NOT NULL,"                                                                         \
    " period INTEGER NOT NULL,"                                                                    \
    " until INTEGER NOT NULL,"                                                                     \
    " used INTEGER NOT NULL,"                                                                      \
    " PRIMARY KEY (name, period)"                                                                  \
    ") STRICT, WITHOUT ROWID;"                                                                     \
    "CREATE TABLE quota_states ("                                                                  \
    " name TEXT PRIMARY KEY,"                                                                      \
    " outstanding INTEGER NOT NULL,"                                                               \
    " clock INTEGER NOT NULL,"                                                                     \
    " boot_id TEXT NOT NULL,"                                                                      \
    " boottime INTEGER NOT NULL,"                                                                  \
    " realtime INTEGER NOT NULL,"                                                                  \
    " mark INTEGER NOT NULL"                                                                       \
    ") STRICT, WITHOUT ROWID;"

const char schema_tables[] =
    "CREATE TABLE meta ("
    " name TEXT PRIMARY KEY,"
    " value ANY"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE queues ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " created_at INTEGER NOT NULL,"
    " modified_at INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE queue_attributes ("
    " queue_id INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " value TEXT NOT NULL,"
    " PRIMARY KEY (queue_id, name)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE spaces ("
    " id INTEGER PRIMARY KEY,"
    " queue_id INTEGER,"                   /* NULL: given up, its messages are being deleted */
    " reserved INTEGER NOT NULL DEFAULT 0" /* sequences below were used, or may have been */
    ") STRICT;"
    "CREATE INDEX spaces_queue ON spaces (queue_id);"
    "CREATE TABLE messages" MESSAGES_COLUMNS MESSAGES_INDEXES TABLES_OF_2 TABLES_OF_3;

/* Version 1 had no groups: a group id was a text beside the message, and stays one. */
const char schema_from_1_to_2[] =
    "CREATE TABLE messages_2" MESSAGES_COLUMNS
    "INSERT INTO messages_2 SELECT id, space, visible_at, receive_count, token, received_at,"
    " first_received_at, enqueued_at, sent_at, 0, message_id, source, group_id, NULL, trace_header,"
    " attributes, body FROM messages ORDER BY id;"
    "DROP TABLE messages;"
    "ALTER TABLE spaces ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE messages_2 RENAME TO messages;" MESSAGES_INDEXES TABLES_OF_2;

const char schema_from_2_to_3[] = TABLES_OF_3;

/* Exclusive: no other process may read or write the file while it is ours, and the WAL index needs
 * no shared memory file. secure_delete off: a deleted body is not overwritten at once. */
const char schema_open_pragmas[] = "PRAGMA locking_mode = EXCLUSIVE;"
                                   "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA wal_autocheckpoint = 600;"
                                   "PRAGMA journal_size_limit = 16777216;"
                                   "PRAGMA cache_size = -12288;"
                                   "PRAGMA mmap_size = 0;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA secure_delete = OFF;";
