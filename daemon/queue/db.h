/*
 * db: one connection to the queue file with its prepared statements. Everything of SQLite's C
 * interface that the engine needs, with the project's error codes. One thread at a time.
 */
#ifndef SLUICE_QUEUE_DB_H
#define SLUICE_QUEUE_DB_H

#include "statements.h"

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENT__COUNT];
};

/* Checks the file (see file_check.h), opens or creates it, migrates, prepares. */
SL_MUST_CHECK int db_open(struct db *db, const char *path, struct error *e);
/* Checkpoints and closes; accepts a half-opened db. */
void db_close(struct db *db);
/* The names of files in the directory of `path` survive a power loss from now on. */
SL_MUST_CHECK int db_sync_directory(const char *path);
/* The code for a result of SQLite: FULL, READ_ONLY, IO, CORRUPT, NOMEM, BUSY … */
int db_error(int sqlite_result);
SL_MUST_CHECK int db_exec(struct db *db, const char *sql);

SL_MUST_CHECK int db_begin(struct db *db);
SL_MUST_CHECK int db_commit(struct db *db); /* on error the transaction is rolled back */
void db_rollback(struct db *db);
/* Rows changed since the connection was opened. */
int64_t db_changes(struct db *db);

/* One use of a prepared statement: bind, step, reset. Bound text must live until the reset. */
sqlite3_stmt *db_use(struct db *db, enum statement statement);
void db_bind_str(sqlite3_stmt *s, int index, struct str text); /* STR_NONE: NULL */
void db_bind_blob(sqlite3_stmt *s, int index, struct str bytes);
/* 1: a row, 0: done (already reset), negative: an error (already reset). */
SL_MUST_CHECK int db_step(sqlite3_stmt *s);
void db_reset(sqlite3_stmt *s);
/* For statements without rows: steps to the end and resets. */
SL_MUST_CHECK int db_run(sqlite3_stmt *s);
/* Column as bytes, valid until the next step or reset; STR_NONE for NULL. */
struct str db_column(sqlite3_stmt *s, int index);

#endif
