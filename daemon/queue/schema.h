/*
 * schema: the SQL that makes a new queue file, and the settings of a connection to one.
 *
 * Rows of messages are named by space << 40 | sequence. A space is the room of one queue's backlog;
 * purging or deleting a queue gives its space up in O(1), and the rows are deleted in the
 * background. Within a space rows lie in the order they came, so that what outlived its retention
 * is a prefix. One index (space, visible_at) drives ready, delayed and in flight.
 */
#ifndef SLUICE_QUEUE_SCHEMA_H
#define SLUICE_QUEUE_SCHEMA_H

#define SCHEMA_APPLICATION_ID 0x534c5543 /* "SLUC" */
#define SCHEMA_VERSION        1
#define SCHEMA_PAGE_BYTES     8192

/* visible_at of a message that belongs to the running process, without expiry: beyond every time
 * (the year 4199 in ms) and still six bytes wide in a row, so that taking a message overwrites its
 * row in place. */
#define SCHEMA_HELD (INT64_C(1) << 46)

#define SCHEMA_SPACE_SHIFT  40
#define SCHEMA_SPACE_MAX    (INT64_C(1) << 22)
#define SCHEMA_SEQUENCE_MAX (INT64_C(1) << SCHEMA_SPACE_SHIFT)
#define SCHEMA_ROW_ID(s, q) ((int64_t)(((uint64_t)(s) << SCHEMA_SPACE_SHIFT) | (uint64_t)(q)))
#define SCHEMA_SPACE_OF(id) ((id) >> SCHEMA_SPACE_SHIFT)

/* Before the first table: page size and vacuum mode cannot be changed later. */
extern const char schema_create_pragmas[];
extern const char schema_tables[];
/* At every open. */
extern const char schema_open_pragmas[];

#endif
