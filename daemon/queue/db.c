#include "db.h"

#include "file_check.h"
#include "migrate.h"
#include "schema.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const char *const statement_sql[STATEMENT__COUNT] = {
#define XX(name, sql) sql,
    STATEMENT_MAP(XX)
#undef XX
};

int db_error(int sqlite_result)
{
    switch (sqlite_result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_READONLY:
        return ERR_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_DENIED;
    case SQLITE_TOOBIG:
        return ERR_TOO_BIG;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return ERR_IO;
    default:
        return ERR_BUG;
    }
}

int db_exec(struct db *db, const char *sql)
{
    return db_error(sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static int prepare_all(struct db *db)
{
    for (size_t i = 0; i < STATEMENT__COUNT; i++) {
        int rc = sqlite3_prepare_v3(db->handle, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &db->statements[i], NULL);
        if (rc != SQLITE_OK) {
            return db_error(rc);
        }
    }
    return 0;
}

int db_sync_directory(const char *path)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_from_errno(errno);
    }
    int rc = fsync(fd) == 0 ? 0 : err_from_errno(errno);
    (void)close(fd);
    return rc;
}

int db_open(struct db *db, const char *path, struct error *e)
{
    *db = (struct db){.handle = NULL};
    /* Nobody asks for SQLite's account of its memory, which costs a lock at every allocation; and a
     * library built without lookaside makes nine of them for a message. Only the first open can say
     * so: later ones are told that it is too late. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int rc = file_check(path, e);
    if (rc == ERR_NOT_FOUND) {
        rc = migrate_create(path, e);
    }
    if (rc != 0) {
        return rc;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    rc = db_error(sqlite3_open_v2(path, &db->handle, flags, NULL));
    if (rc == 0) {
        rc = db_exec(db, schema_open_pragmas);
    }
    if (rc == 0) {
        rc = migrate_run(db->handle);
    }
    if (rc == 0) {
        /* SQLite syncs the name of a log that it makes, but not that of an empty one it finds. */
        rc = db_sync_directory(path);
    }
    if (rc == 0) {
        rc = prepare_all(db);
    }
    if (rc != 0) {
        const char *detail = db->handle == NULL ? "" : sqlite3_errmsg(db->handle);
        (void)error_set(e, rc, path, "the queue file cannot be opened: %s%s", detail,
                        rc == ERR_BUSY ? " (another process has it open)" : "");
        db_close(db);
    }
    return rc;
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < STATEMENT__COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }
    (void)sqlite3_close(db->handle);
    db->handle = NULL;
}

int db_begin(struct db *db)
{
    return db_run(db_use(db, STATEMENT_BEGIN));
}

int db_commit(struct db *db)
{
    int rc = db_run(db_use(db, STATEMENT_COMMIT));
    if (rc != 0) {
        db_rollback(db);
    }
    return rc;
}

void db_rollback(struct db *db)
{
    /* A full disk may have rolled the transaction back already. */
    if (sqlite3_get_autocommit(db->handle) == 0) {
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
}

int64_t db_changes(struct db *db)
{
    return sqlite3_total_changes64(db->handle);
}

sqlite3_stmt *db_use(struct db *db, enum statement statement)
{
    return db->statements[statement];
}

void db_bind_str(sqlite3_stmt *s, int index, struct str text)
{
    if (text.ptr == NULL) {
        (void)sqlite3_bind_null(s, index);
    } else {
        (void)sqlite3_bind_text(s, index, text.ptr, (int)text.len, SQLITE_STATIC);
    }
}

void db_bind_blob(sqlite3_stmt *s, int index, struct str bytes)
{
    if (bytes.ptr == NULL) {
        (void)sqlite3_bind_null(s, index);
    } else {
        (void)sqlite3_bind_blob(s, index, bytes.ptr, (int)bytes.len, SQLITE_STATIC);
    }
}

int db_step(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        return 1;
    }
    (void)sqlite3_reset(s);
    return db_error(rc);
}

void db_reset(sqlite3_stmt *s)
{
    (void)sqlite3_reset(s);
}

int db_run(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    (void)sqlite3_reset(s);
    return db_error(rc);
}

struct str db_column(sqlite3_stmt *s, int index)
{
    const char *ptr = sqlite3_column_blob(s, index);
    size_t len = (size_t)sqlite3_column_bytes(s, index);
    if (ptr == NULL) {
        return sqlite3_column_type(s, index) == SQLITE_NULL ? STR_NONE : STR("");
    }
    return (struct str){ptr, len};
}
