/*
 * schema: the SQL that makes a new queue file, and the settings of a connection to one.
 *
 * Rows of messages are named by space << 40 | sequence. A space is the room of one queue's backlog;
 * purging or deleting a queue gives its space up in O(1), and the rows are deleted in the
 * background. Within a space rows lie in the order they came, so that what outlived its retention
 * is a prefix. One index (lane, visible_at) drives ready, delayed and in flight.
 *
 * A message with a group (all of a FIFO queue; on a standard queue, those of a tenant) lies in the
 * lane -space and names its group, any other in the lane space. A group's row says when its next
 * message may be received, so that a receive goes from group to group and never through messages
 * that wait for their turn.
 */
#ifndef SLUICE_QUEUE_SCHEMA_H
#define SLUICE_QUEUE_SCHEMA_H

#define SCHEMA_APPLICATION_ID 0x534c5543 /* "SLUC" */
#define SCHEMA_VERSION        3
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
extern const char schema_from_1_to_2[]; /* a file of version 1, inside a transaction */
extern const char schema_from_2_to_3[];
/* At every open. */
extern const char schema_open_pragmas[];

#endif
