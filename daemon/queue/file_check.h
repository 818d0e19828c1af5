/*
 * file_check: a look at the queue file before anything may write to it. Nothing is created or
 * changed, not even a -wal or -shm file beside it.
 */
#ifndef SLUICE_QUEUE_FILE_CHECK_H
#define SLUICE_QUEUE_FILE_CHECK_H

#include "sluice/base/err.h"

#include <sqlite3.h>

/* Files up to this size are checked whole at every open (some milliseconds); larger ones by their
 * header, schema and the ends of each table and index. */
#define FILE_CHECK_WHOLE_BYTES (INT64_C(8) << 20)

/* After an end that was not clean (a log is there, or counters of queues are missing), files up to
 * this size are checked whole before they are used, and how long it took is logged. A larger one is
 * not kept waiting for minutes: a log line advises the check. */
#define FILE_CHECK_UNCLEAN_BYTES (INT64_C(1) << 30)

/* 0: a sluice queue file that this version can open. ERR_NOT_FOUND: there is none (*e untouched).
 * ERR_CORRUPT, ERR_VERSION, ERR_DENIED, ERR_IO …: *e says what and how to recover. */
SL_MUST_CHECK int file_check(const char *path, struct error *e);
/* The first part of it only: that it is a queue file of a version this one knows. */
SL_MUST_CHECK int file_check_header(const char *path, struct error *e);
/* A connection for reading that leaves the file as it is, its log taken into account. After
 * file_check(). Close it with sqlite3_close(), also after an error. */
SL_MUST_CHECK int file_open_unchanged(const char *path, sqlite3 **ret, struct error *e);

#endif
