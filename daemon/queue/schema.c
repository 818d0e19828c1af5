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
 *   sent_at            wall clock of the sender's request, shown as SentTimestamp
 *   enqueued_at        lease clock: what retention counts from
 *   visible_at         lease clock; in the future: delayed or in flight; SCHEMA_HELD: held
 *   received_at        lease clock of the latest receive (limit of 12 hours)
 *   first_received_at  wall clock, valid when receive_count > 0
 *   source             name of the queue a dead letter came from
 *   attributes         message attributes, see attribute_blob.h
 */
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
    " queue_id INTEGER" /* NULL: given up, its messages are being deleted */
    ") STRICT;"
    "CREATE INDEX spaces_queue ON spaces (queue_id);"
    "CREATE TABLE messages ("
    " id INTEGER PRIMARY KEY,"
    " space INTEGER NOT NULL,"
    " visible_at INTEGER NOT NULL,"
    " receive_count INTEGER NOT NULL,"
    " token INTEGER NOT NULL,"
    " received_at INTEGER NOT NULL,"
    " first_received_at INTEGER NOT NULL,"
    " enqueued_at INTEGER NOT NULL,"
    " sent_at INTEGER NOT NULL,"
    " message_id BLOB NOT NULL,"
    " source TEXT,"
    " group_id TEXT,"
    " trace_header TEXT,"
    " attributes BLOB,"
    " body TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX messages_due ON messages (space, visible_at);";

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
