#include "migrate.h"

#include "db.h"
#include "schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* steps[n] brings version n + 1 to n + 2. */
static const char *const steps[SCHEMA_VERSION] = {schema_from_1_to_2, schema_from_2_to_3};

static int exec(sqlite3 *handle, const char *sql)
{
    return db_error(sqlite3_exec(handle, sql, NULL, NULL, NULL));
}

static int set_version(sqlite3 *handle, int version)
{
    char sql[64];
    (void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", version);
    return exec(handle, sql);
}

static int read_version(sqlite3 *handle, int *ret)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(handle, "PRAGMA user_version", -1, &s, NULL);
    if (rc == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        *ret = sqlite3_column_int(s, 0);
    }
    return db_error(sqlite3_finalize(s));
}

static int write_schema(sqlite3 *handle)
{
    char sql[64];
    int rc = exec(handle, schema_create_pragmas);
    if (rc == 0) {
        rc = exec(handle, "BEGIN IMMEDIATE");
    }
    if (rc == 0) {
        rc = exec(handle, schema_tables);
    }
    if (rc == 0) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", SCHEMA_APPLICATION_ID);
        rc = exec(handle, sql);
    }
    if (rc == 0) {
        rc = set_version(handle, SCHEMA_VERSION);
    }
    return rc == 0 ? exec(handle, "COMMIT") : rc;
}

static int create_at(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_from_errno(errno);
    }
    (void)close(fd);
    sqlite3 *handle = NULL;
    int rc =
        db_error(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
    if (rc == 0) {
        rc = write_schema(handle);
    }
    int closed = db_error(sqlite3_close(handle));
    return rc == 0 ? closed : rc;
}

static void remove_with_suffix(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    int len = snprintf(name, sizeof(name), "%s%s", path, suffix);
    if (len > 0 && (size_t)len < sizeof(name)) {
        (void)unlink(name);
    }
}

int migrate_create(const char *path, struct error *e)
{
    char draft[PATH_MAX];
    int len = snprintf(draft, sizeof(draft), "%s.new", path);
    if (len < 0 || (size_t)len + sizeof("-journal") >= sizeof(draft)) {
        return error_set(e, ERR_TOO_BIG, path, "the path is too long");
    }
    /* Leftovers of a process that ended while it created the file. */
    remove_with_suffix(draft, "");
    remove_with_suffix(draft, "-journal");
    int rc = create_at(draft);
    if (rc == 0 && rename(draft, path) != 0) {
        rc = err_from_errno(errno);
    }
    if (rc == 0) {
        rc = db_sync_directory(path);
    }
    if (rc != 0) {
        remove_with_suffix(draft, "");
        remove_with_suffix(draft, "-journal");
        return error_set(e, rc, path, "the queue file cannot be created: %s", err_text(rc));
    }
    return 0;
}

int migrate_run(sqlite3 *handle)
{
    int version = 0;
    int rc = read_version(handle, &version);
    if (rc == 0 && version < 1) {
        return ERR_CORRUPT;
    }
    while (rc == 0 && version < SCHEMA_VERSION) {
        rc = exec(handle, "BEGIN IMMEDIATE");
        if (rc == 0) {
            rc = exec(handle, steps[version - 1]);
        }
        if (rc == 0) {
            rc = set_version(handle, ++version);
        }
        if (rc == 0) {
            rc = exec(handle, "COMMIT");
        } else {
            (void)exec(handle, "ROLLBACK");
        }
    }
    return rc;
}
