/*
 * statements: every SQL statement of the engine in one table, prepared once. A test asks SQLite for
 * the plan of each and fails on a SCAN or a temporary B-tree, so that no operation can come to
 * depend on the size of the backlog.
 */
#ifndef SLUICE_QUEUE_STATEMENTS_H
#define SLUICE_QUEUE_STATEMENTS_H

/* XX(NAME, "SQL") */
#define STATEMENT_MAP(XX)                                                                          \
    XX(BEGIN, "BEGIN IMMEDIATE")                                                                   \
    XX(COMMIT, "COMMIT")                                                                           \
    XX(PAGE_COUNT, "PRAGMA page_count")                                                            \
    XX(FREE_PAGE_COUNT, "PRAGMA freelist_count")                                                   \
    XX(META_GET, "SELECT value FROM meta WHERE name = ?1")                                         \
    XX(META_SET, "INSERT INTO meta (name, value) VALUES (?1, ?2)"                                  \
                 " ON CONFLICT (name) DO UPDATE SET value = excluded.value")                       \
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
    XX(SPACE_OF_QUEUE, "SELECT id FROM spaces WHERE queue_id = ?1")                                \
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
    XX(SPACE_RELEASE_HELD,                                                                         \
       "UPDATE messages SET visible_at = enqueued_at WHERE lane = ?1 AND visible_at >= ?2")        \
    XX(SPACE_DUE_BETWEEN, "SELECT receive_count FROM messages"                                     \
                          " WHERE lane = ?1 AND visible_at > ?2 AND visible_at <= ?3")             \
    XX(SPACE_NEXT_DUE, "SELECT visible_at FROM messages WHERE lane = ?1 AND visible_at > ?2"       \
                       " ORDER BY visible_at LIMIT 1")                                             \
    XX(SPACE_OLDEST_READY, "SELECT sent_at FROM messages WHERE lane = ?1 AND visible_at <= ?2"     \
                           " ORDER BY visible_at LIMIT 1")                                         \
    XX(SPACE_AGED, "SELECT id, enqueued_at, visible_at, receive_count FROM messages"               \
                   " WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3")                             \
    XX(SPACE_READY,                                                                                \
       "SELECT id, receive_count, enqueued_at, first_received_at, sent_at, message_id, source,"    \
       " group_id, trace_header, attributes, body FROM messages"                                   \
       " WHERE lane = ?1 AND visible_at <= ?2 ORDER BY visible_at, id LIMIT ?3")                   \
    XX(SPACE_REAP, "DELETE FROM messages WHERE id >= ?1 AND id < ?2")                              \
    XX(MESSAGE_INSERT,                                                                             \
       "INSERT INTO messages (id, lane, visible_at, receive_count, token, received_at,"            \
       " first_received_at, enqueued_at, sent_at, group_key, message_id, group_id, trace_header,"  \
       " attributes, body) VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5, ?5, ?6, 0, ?7, ?8, ?9, ?10, ?11)")   \
    XX(MESSAGE_STATE,                                                                              \
       "SELECT visible_at, receive_count, token, received_at, enqueued_at FROM messages"           \
       " WHERE id = ?1")                                                                           \
    XX(MESSAGE_TAKE,                                                                               \
       "UPDATE messages SET visible_at = ?2, receive_count = ?3, token = ?4, received_at = ?5,"    \
       " first_received_at = ?6 WHERE id = ?1")                                                    \
    XX(MESSAGE_SHOW, "UPDATE messages SET visible_at = ?2, receive_count = ?3 WHERE id = ?1")      \
    XX(MESSAGE_MOVE,                                                                               \
       "UPDATE messages SET id = ?2, lane = ?3, visible_at = ?4, enqueued_at = ?5, source = ?6,"   \
       " token = ?7 WHERE id = ?1")                                                                \
    XX(MESSAGE_DELETE, "DELETE FROM messages WHERE id = ?1")

enum statement {
#define XX(name, sql) STATEMENT_##name,
    STATEMENT_MAP(XX)
#undef XX
        STATEMENT__COUNT
};

#endif
