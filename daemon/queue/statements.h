/*
 * statements: every SQL statement of the engine in one table, prepared once. A test asks SQLite for
 * the plan of each and fails on a SCAN or a temporary B-tree, so that no operation can come to
 * depend on the size of the backlog.
 */
#ifndef SLUICE_QUEUE_STATEMENTS_H
#define SLUICE_QUEUE_STATEMENTS_H

/* What a receive reads of a message, in the order of enum message_column (engine_take.h). */
#define STATEMENT_MESSAGE_COLUMNS                                                                  \
    "id, visible_at, receive_count, enqueued_at, first_received_at, sent_at, group_key,"           \
    " message_id, source, group_id, deduplication_id, trace_header, attributes, body"

/* XX(NAME, "SQL") */
#define STATEMENT_MAP(XX)                                                                          \
    XX(BEGIN, "BEGIN IMMEDIATE")                                                                   \
    XX(COMMIT, "COMMIT")                                                                           \
    XX(PAGE_COUNT, "PRAGMA page_count")                                                            \
    XX(FREE_PAGE_COUNT, "PRAGMA freelist_count")                                                   \
    XX(META_GET, "SELECT value FROM meta WHERE name = ?1")                                         \
    XX(META_SET, "INSERT INTO meta (name, value) VALUES (?1, ?2)"                                  \
                 " ON CONFLICT (name) DO UPDATE SET value = excluded.value")                       \
    XX(CLOSING_INSERT,                                                                             \
       "INSERT INTO closings (queue_id, advanced_to, next_expiry, visible, delayed, leased)"       \
       " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                         \
    XX(CLOSING_TAKE, "DELETE FROM closings WHERE queue_id = ?1"                                    \
                     " RETURNING advanced_to, next_expiry, visible, delayed, leased")              \
    XX(QUEUE_LIST,                                                                                 \
       "SELECT id, name, created_at, modified_at FROM queues WHERE id > ?1 ORDER BY id")           \
    XX(QUEUE_INSERT, "INSERT INTO queues (name, created_at, modified_at) VALUES (?1, ?2, ?2)")     \
    XX(QUEUE_MODIFY, "UPDATE queues SET modified_at = ?2 WHERE id = ?1")                           \
    XX(QUEUE_DELETE, "DELETE FROM queues WHERE id = ?1")                                           \
    XX(ATTRIBUTE_LIST, "SELECT name, value FROM queue_attributes WHERE queue_id = ?1")             \
    XX(ATTRIBUTE_INSERT,                                                                           \
       "INSERT INTO queue_attributes (queue_id, name, value) VALUES (?1, ?2, ?3)")                 \
    XX(ATTRIBUTE_CLEAR, "DELETE FROM queue_attributes WHERE queue_id = ?1")                        \
    XX(TAG_LIST, "SELECT name, value FROM queue_tags WHERE queue_id = ?1")                         \
    XX(TAG_SET, "INSERT INTO queue_tags (queue_id, name, value) VALUES (?1, ?2, ?3)"               \
                " ON CONFLICT (queue_id, name) DO UPDATE SET value = excluded.value")              \
    XX(TAG_DELETE, "DELETE FROM queue_tags WHERE queue_id = ?1 AND name = ?2")                     \
    XX(TAG_CLEAR, "DELETE FROM queue_tags WHERE queue_id = ?1")                                    \
    XX(TASK_INSERT, "INSERT INTO move_tasks (queue_id, task_id, destination, rate, status, moved," \
                    " to_move, last_row, started_at) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)")  \
    XX(TASK_LIST, "SELECT id, task_id, destination, rate, status, moved, to_move, started_at,"     \
                  " failure FROM move_tasks WHERE queue_id = ?1 ORDER BY id DESC LIMIT ?2")        \
    XX(TASK_FIND, "SELECT id, status, moved FROM move_tasks WHERE queue_id = ?1 AND task_id = ?2") \
    XX(TASK_READ, "SELECT destination, rate, moved, last_row FROM move_tasks WHERE id = ?1")       \
    XX(TASK_UPDATE, "UPDATE move_tasks SET moved = ?2, status = ?3, failure = ?4 WHERE id = ?1")   \
    /* all but the latest ?2 of a queue */                                                         \
    XX(TASK_TRIM, "DELETE FROM move_tasks WHERE queue_id = ?1 AND id <= (SELECT id"                \
                  " FROM move_tasks WHERE queue_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)")      \
    XX(TASK_CLEAR, "DELETE FROM move_tasks WHERE queue_id = ?1")                                   \
    XX(SPACE_OF_QUEUE, "SELECT id, reserved FROM spaces WHERE queue_id = ?1")                      \
    XX(SPACE_RESERVE, "UPDATE spaces SET reserved = ?2 WHERE id = ?1")                             \
    XX(SPACE_LAST, "SELECT id FROM spaces WHERE id > ?1 ORDER BY id DESC LIMIT 1")                 \
    XX(SPACE_INSERT, "INSERT INTO spaces (id, queue_id) VALUES (?1, ?2)")                          \
    XX(SPACE_GIVE_UP, "UPDATE spaces SET queue_id = NULL WHERE id = ?1")                           \
    XX(SPACE_GIVEN_UP, "SELECT id FROM spaces WHERE queue_id IS NULL LIMIT 1")                     \
    XX(SPACE_DELETE, "DELETE FROM spaces WHERE id = ?1")                                           \
    XX(SPACE_FIRST_MESSAGE,                                                                        \
       "SELECT id, enqueued_at FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1")      \
    XX(SPACE_LAST_MESSAGE, "SELECT id, enqueued_at FROM messages WHERE id >= ?1 AND id < ?2"       \
                           " ORDER BY id DESC LIMIT 1")                                            \
    XX(SPACE_COUNT, "SELECT count(*) FROM messages WHERE lane = ?1")                               \
    XX(SPACE_HELD, "SELECT id, receive_count, enqueued_at, group_key FROM messages"                \
                   " WHERE lane = ?1 AND visible_at >= ?2 LIMIT 1")                                \
    XX(SPACE_DUE_BETWEEN, "SELECT receive_count, group_key FROM messages"                          \
                          " WHERE lane = ?1 AND visible_at > ?2 AND visible_at <= ?3")             \
    XX(SPACE_NEXT_DUE, "SELECT visible_at FROM messages WHERE lane = ?1 AND visible_at > ?2"       \
                       " ORDER BY visible_at LIMIT 1")                                             \
    XX(SPACE_OLDEST_READY, "SELECT sent_at FROM messages WHERE lane = ?1 AND visible_at <= ?2"     \
                           " ORDER BY visible_at LIMIT 1")                                         \
    XX(SPACE_AGED, "SELECT id, enqueued_at, visible_at, receive_count, group_key FROM messages"    \
                   " WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3")                             \
    XX(SPACE_MOVABLE, "SELECT id, enqueued_at, visible_at, receive_count, group_key, source"       \
                      " FROM messages WHERE id >= ?1 AND id <= ?2 ORDER BY id LIMIT ?3")           \
    /* dead letters of a lane that outlived their retention, but for those in hand */              \
    XX(SPACE_AGED_DEAD,                                                                            \
       "SELECT id, enqueued_at, visible_at, receive_count, group_key FROM messages"                \
       " WHERE lane = ?1 AND source IS NOT NULL AND enqueued_at <= ?2"                             \
       " AND (visible_at <= ?3 OR receive_count = 0) ORDER BY enqueued_at LIMIT ?4")               \
    XX(SPACE_NEXT_DEAD, "SELECT enqueued_at FROM messages WHERE lane = ?1 AND source IS NOT NULL"  \
                        " AND enqueued_at > ?2 ORDER BY enqueued_at LIMIT 1")                      \
    XX(SPACE_READY, "SELECT " STATEMENT_MESSAGE_COLUMNS " FROM messages"                           \
                    " WHERE lane = ?1 AND visible_at <= ?2 ORDER BY visible_at, id LIMIT ?3")      \
    XX(LINE_READY, "SELECT " STATEMENT_MESSAGE_COLUMNS " FROM messages"                            \
                   " WHERE group_key = ?1 AND group_key > 0 ORDER BY id LIMIT ?2")                 \
    XX(TENANT_READY, "SELECT " STATEMENT_MESSAGE_COLUMNS " FROM messages"                          \
                     " WHERE group_key = ?1 AND group_key < 0 ORDER BY visible_at, id LIMIT ?2")   \
    XX(MESSAGE_READ, "SELECT " STATEMENT_MESSAGE_COLUMNS " FROM messages WHERE id = ?1")           \
    XX(LINE_FIRST, "SELECT visible_at FROM messages WHERE group_key = ?1 AND group_key > 0"        \
                   " ORDER BY id LIMIT 1")                                                         \
    XX(TENANT_FIRST, "SELECT visible_at FROM messages WHERE group_key = ?1 AND group_key < 0"      \
                     " ORDER BY visible_at LIMIT 1")                                               \
    XX(TENANTS_IN_FLIGHT, "SELECT group_key FROM messages"                                         \
                          " WHERE lane = ?1 AND visible_at > ?2 AND receive_count > 0")            \
    XX(GROUP_FIND, "SELECT id, due_at FROM groups WHERE space = ?1 AND name = ?2")                 \
    XX(GROUP_DUE_AT, "SELECT due_at FROM groups WHERE id = ?1")                                    \
    XX(GROUP_ANY, "SELECT id FROM groups WHERE space = ?1 LIMIT 1")                                \
    XX(GROUP_INSERT, "INSERT INTO groups (space, due_at, name) VALUES (?1, ?2, ?3)")               \
    XX(GROUP_DUE, "SELECT id, due_at FROM groups WHERE space = ?1 AND due_at <= ?2"                \
                  " ORDER BY due_at")                                                              \
    XX(GROUP_SET, "UPDATE groups SET due_at = ?2 WHERE id = ?1 AND due_at <> ?2")                  \
    XX(GROUP_DELETE, "DELETE FROM groups WHERE id = ?1")                                           \
    XX(GROUP_REAP, "DELETE FROM groups WHERE id IN"                                                \
                   " (SELECT id FROM groups WHERE space = ?1 LIMIT ?2)")                           \
    XX(RECENT_FIND, "SELECT id, at, payload FROM recents WHERE space = ?1 AND key = ?2")           \
    XX(RECENT_INSERT, "INSERT INTO recents (space, at, key, payload) VALUES (?1, ?2, ?3, ?4)")     \
    XX(RECENT_DELETE, "DELETE FROM recents WHERE id = ?1")                                         \
    XX(RECENT_FIRST, "SELECT id, at FROM recents WHERE id > ?1 ORDER BY id LIMIT 1")               \
    XX(RECENT_FORGET, "DELETE FROM recents WHERE id <= ?1")                                        \
    XX(QUOTA_PUT, "INSERT INTO quotas (name, period, until, used) VALUES (?1, ?2, ?3, ?4)"         \
                  " ON CONFLICT (name, period) DO UPDATE SET until = excluded.until,"              \
                  " used = excluded.used")                                                         \
    XX(QUOTA_ADD, "INSERT INTO quotas (name, period, until, used) VALUES (?1, ?2, ?3, ?4)"         \
                  " ON CONFLICT (name, period) DO UPDATE SET used = used + excluded.used")         \
    XX(QUOTA_FORGET, "DELETE FROM quotas WHERE name = ?1 AND period < ?2")                         \
    XX(QUOTA_LIST, "SELECT period, until, used FROM quotas WHERE name = ?1"                        \
                   " ORDER BY period DESC LIMIT ?2")                                               \
    XX(QUOTA_STATE_PUT,                                                                            \
       "INSERT INTO quota_states (name, outstanding, clock, boot_id, boottime, realtime, mark)"    \
       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO UPDATE SET"                     \
       " outstanding = excluded.outstanding, clock = excluded.clock, boot_id = excluded.boot_id,"  \
       " boottime = excluded.boottime, realtime = excluded.realtime, mark = excluded.mark")        \
    XX(QUOTA_STATE_GET, "SELECT outstanding, clock, boot_id, boottime, realtime, mark"             \
                        " FROM quota_states WHERE name = ?1")                                      \
    XX(SPACE_REAP, "DELETE FROM messages WHERE id >= ?1 AND id < ?2")                              \
    XX(MESSAGE_INSERT,                                                                             \
       "INSERT INTO messages (id, lane, visible_at, receive_count, token, received_at,"            \
       " first_received_at, enqueued_at, sent_at, group_key, message_id, group_id,"                \
       " deduplication_id, trace_header, attributes, body)"                                        \
       " VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")              \
    XX(MESSAGE_STATE,                                                                              \
       "SELECT visible_at, receive_count, token, received_at, enqueued_at, group_key"              \
       " FROM messages WHERE id = ?1")                                                             \
    XX(MESSAGE_NAMES, "SELECT message_id, group_id, deduplication_id FROM messages WHERE id = ?1") \
    XX(MESSAGE_TAKE,                                                                               \
       "UPDATE messages SET visible_at = ?2, receive_count = ?3, token = ?4, received_at = ?5,"    \
       " first_received_at = ?6 WHERE id = ?1")                                                    \
    XX(MESSAGE_SHOW, "UPDATE messages SET visible_at = ?2, receive_count = ?3 WHERE id = ?1")      \
    XX(MESSAGE_MOVE,                                                                               \
       "UPDATE messages SET id = ?2, lane = ?3, visible_at = ?4, enqueued_at = ?5, source = ?6,"   \
       " token = ?7, group_key = ?8, deduplication_id = ?9 WHERE id = ?1")                         \
    XX(MESSAGE_SAID, "SELECT attributes, body FROM messages WHERE id = ?1")                        \
    XX(MESSAGE_SAY, "UPDATE messages SET attributes = ?2 WHERE id = ?1")                           \
    /* to another queue as a new message */                                                        \
    XX(MESSAGE_RENEW,                                                                              \
       "UPDATE messages SET id = ?2, lane = ?3, visible_at = ?4, enqueued_at = ?5, source = ?6,"   \
       " token = ?7, group_key = ?8, deduplication_id = ?9, message_id = ?10, sent_at = ?11,"      \
       " receive_count = 0 WHERE id = ?1")                                                         \
    XX(MESSAGE_DELETE, "DELETE FROM messages WHERE id = ?1")                                       \
    XX(RECORD_GET, "SELECT expires_at, state, attempts, backoffs, first_at, status, answer"        \
                   " FROM records WHERE route = ?1 AND kind = ?2 AND key = ?3")                    \
    XX(RECORD_ANY, "SELECT 1 FROM records WHERE route = ?1 AND kind = ?2 LIMIT 1")                 \
    XX(RECORD_PUT,                                                                                 \
       "INSERT INTO records (route, kind, key, expires_at, state, attempts, backoffs, first_at,"   \
       " status, answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"                         \
       " ON CONFLICT (route, kind, key) DO UPDATE SET expires_at = excluded.expires_at,"           \
       " state = excluded.state, attempts = excluded.attempts, backoffs = excluded.backoffs,"      \
       " first_at = excluded.first_at, status = excluded.status, answer = excluded.answer")        \
    XX(RECORD_DELETE, "DELETE FROM records WHERE route = ?1 AND kind = ?2 AND key = ?3")           \
    XX(RECORD_FIRST, "SELECT expires_at FROM records WHERE expires_at > ?1"                        \
                     " ORDER BY expires_at LIMIT 1")                                               \
    XX(RECORD_SWEEP, "DELETE FROM records WHERE id IN (SELECT id FROM records"                     \
                     " WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)")

enum statement {
#define XX(name, sql) STATEMENT_##name,
    STATEMENT_MAP(XX)
#undef XX
        STATEMENT__COUNT
};

#endif
