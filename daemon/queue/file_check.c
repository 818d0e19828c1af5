#include "file_check.h"

#include "db.h"
#include "schema.h"

#include "sluice/queue/verify.h"
#include "sluice/runtime/log.h"
#include "sluice/runtime/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES    100
#define URI_BYTES       4200
#define RECOVERY_ADVICE "; the file was not touched: " QUEUE_RECOVERY_ADVICE

struct glance {
    uint8_t header[HEADER_BYTES];
    int64_t file_bytes;
    bool has_wal; /* not closed cleanly: the file alone is not the whole truth */
};

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_nonempty_file(const char *path, const char *suffix)
{
    char name[URI_BYTES];
    struct stat st;
    int len = snprintf(name, sizeof(name), "%s%s", path, suffix);
    return len > 0 && (size_t)len < sizeof(name) && stat(name, &st) == 0 && st.st_size > 0;
}

/* A new file beside an old log would be mixed with its pages. */
static int missing_check(const char *path, struct error *e)
{
    if (is_nonempty_file(path, "-wal")) {
        return error_set(e, ERR_CORRUPT, path,
                         "the queue file is missing, but its log (-wal) is there and may hold "
                         "messages: put the file back, or move the log away to start empty");
    }
    return ERR_NOT_FOUND;
}

static int glance_read(const char *path, struct glance *ret, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int rc = err_from_errno(errno);
        if (errno == ENOENT) {
            return missing_check(path, e);
        }
        return error_set(e, rc, path, "the queue file cannot be read: %s", strerror(errno));
    }
    struct stat st;
    ssize_t got = -1;
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (regular) {
        got = pread(fd, ret->header, sizeof(ret->header), 0);
    }
    (void)close(fd);
    if (!regular || got < 0) {
        return error_set(e, ERR_IO, path, "the queue file is no readable regular file");
    }
    if (got < HEADER_BYTES) {
        return error_set(e, ERR_CORRUPT, path,
                         "the queue file is truncated: %lld bytes" RECOVERY_ADVICE,
                         (long long)st.st_size);
    }
    ret->file_bytes = st.st_size;
    ret->has_wal = is_nonempty_file(path, "-wal");
    return 0;
}

static int version_check(const char *path, uint32_t version, struct error *e)
{
    if (version == 0 || version > SCHEMA_VERSION) {
        return error_set(e, ERR_VERSION, path,
                         "the queue file has schema version %u, this sluice knows up to %d: use "
                         "the newer sluice; the file was not touched",
                         version, SCHEMA_VERSION);
    }
    return 0;
}

/* File format: https://www.sqlite.org/fileformat.html section 1.3. */
static int header_check(const char *path, const struct glance *glance, struct error *e)
{
    const uint8_t *h = glance->header;
    if (memcmp(h, "SQLite format 3", 16) != 0) {
        return error_set(
            e, ERR_CORRUPT, path,
            "this is no queue file, or its first bytes are overwritten" RECOVERY_ADVICE);
    }
    uint32_t page_bytes = (uint32_t)h[16] << 8 | h[17];
    page_bytes = page_bytes == 1 ? 65536 : page_bytes;
    if (page_bytes < 512 || (page_bytes & (page_bytes - 1)) != 0) {
        return error_set(e, ERR_CORRUPT, path,
                         "the header is damaged (page size %u)" RECOVERY_ADVICE, page_bytes);
    }
    if (read_u32(h + 68) != SCHEMA_APPLICATION_ID) {
        return error_set(
            e, ERR_CORRUPT, path,
            "this is a SQLite file of another program (application id 0x%08x)" RECOVERY_ADVICE,
            read_u32(h + 68));
    }
    int rc = version_check(path, read_u32(h + 60), e);
    if (rc != 0) {
        return rc;
    }
    /* With a WAL the rest of the file may lie there still. */
    int64_t expected = (int64_t)read_u32(h + 28) * page_bytes;
    if (!glance->has_wal &&
        (glance->file_bytes < expected || glance->file_bytes % page_bytes != 0)) {
        return error_set(e, ERR_CORRUPT, path,
                         "the queue file is truncated: %lld of %lld bytes" RECOVERY_ADVICE,
                         (long long)glance->file_bytes, (long long)expected);
    }
    return 0;
}

/* Percent-encodes what has a meaning in a URI. */
static int uri_from_path(const char *path, const char *query, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "file:");
    for (const char *p = path; *p != '\0'; p++) {
        bool plain = strchr("%?#", *p) == NULL;
        if (len + 4 > size) {
            return ERR_TOO_BIG;
        }
        len += (size_t)snprintf(out + len, size - len, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
    int more = snprintf(out + len, size - len, "%s", query);
    return more < 0 || (size_t)more >= size - len ? ERR_TOO_BIG : 0;
}

/* First column of the first row as text; NULL on error or when there is none. */
static const char *query_text(sqlite3 *handle, const char *sql, char *out, size_t size)
{
    sqlite3_stmt *s = NULL;
    const char *ret = NULL;
    if (sqlite3_prepare_v2(handle, sql, -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0) != NULL) {
        (void)snprintf(out, size, "%s", (const char *)sqlite3_column_text(s, 0));
        ret = out;
    }
    return sqlite3_finalize(s) == SQLITE_OK ? ret : NULL;
}

/* Reads the pages that every operation will need: schema, roots, both ends of tables and index. */
static bool edges_are_readable(sqlite3 *handle, uint32_t version)
{
    const char *const probes[] = {
        "SELECT count(*) FROM (SELECT id FROM messages ORDER BY id LIMIT 1)",
        "SELECT count(*) FROM (SELECT body FROM messages ORDER BY id DESC LIMIT 1)",
        "SELECT count(*) FROM (SELECT 1 FROM messages INDEXED BY messages_due LIMIT 1)",
        version == 1 ? "SELECT count(*) FROM (SELECT max(space) FROM messages)"
                     : "SELECT count(*) FROM (SELECT max(lane) FROM messages)",
        "SELECT count(*) FROM queues",
        "SELECT count(*) FROM queue_attributes",
        "SELECT count(*) FROM spaces",
        "SELECT count(*) FROM meta",
    };
    char text[32];
    for (size_t i = 0; i < SL_COUNT(probes); i++) {
        if (query_text(handle, probes[i], text, sizeof(text)) == NULL) {
            return false;
        }
    }
    return true;
}

/* The last transaction of a clean end left a row for each queue; version 1 left none. */
static bool was_closed(sqlite3 *handle, const struct glance *glance, uint32_t version)
{
    char text[32];
    if (glance->has_wal || version == 1) {
        return false;
    }
    const char *found = query_text(handle,
                                   "SELECT count(*) FROM (SELECT 1 FROM queues WHERE NOT EXISTS"
                                   " (SELECT 1 FROM closings WHERE queue_id = queues.id) LIMIT 1)",
                                   text, sizeof(text));
    return found != NULL && strcmp(found, "0") == 0;
}

/* Every page, but not whether index and table agree entry by entry. */
static int whole_check(sqlite3 *handle, const char *path, struct error *e)
{
    char text[128];
    const char *found = query_text(handle, "PRAGMA quick_check(1)", text, sizeof(text));
    if (found == NULL || strcmp(found, "ok") != 0) {
        return error_set(e, ERR_CORRUPT, path, "the queue file is damaged (%s)" RECOVERY_ADVICE,
                         found == NULL ? sqlite3_errmsg(handle) : found);
    }
    return 0;
}

static int unclean_check(sqlite3 *handle, const char *path, int64_t bytes, struct error *e)
{
    if (bytes > FILE_CHECK_UNCLEAN_BYTES) {
        LOG_WARNING("queue file was not closed cleanly and is too large to be checked at a start: "
                    "run \"sluice queue check\" when there is time",
                    LOG_STR("file", path), LOG_I64("bytes", bytes));
        return 0;
    }
    LOG_INFO("queue file was not closed cleanly: checking it", LOG_STR("file", path),
             LOG_I64("bytes", bytes));
    mono_ns start = loop_now();
    int rc = whole_check(handle, path, e);
    if (rc == 0) {
        LOG_INFO("queue file is sound", LOG_STR("file", path),
                 LOG_DOUBLE("check_seconds", (double)(loop_now() - start) / NS_PER_S));
    }
    return rc;
}

static int edges_error(sqlite3 *handle, const char *path, struct error *e)
{
    int rc = db_error(sqlite3_errcode(handle));
    if (rc == ERR_BUSY || rc == ERR_NOMEM || rc == ERR_IO) {
        return error_set(e, rc, path, "the queue file cannot be read: %s",
                         rc == ERR_BUSY ? "another process has it open" : sqlite3_errmsg(handle));
    }
    return error_set(e, ERR_CORRUPT, path, "the queue file is damaged (%s)" RECOVERY_ADVICE,
                     sqlite3_errmsg(handle));
}

/* The version as the log has it: a migration may be there, and not yet in the file's header. */
static int read_version(sqlite3 *handle, const char *path, uint32_t *ret, struct error *e)
{
    char text[32];
    int64_t version = 0;
    if (query_text(handle, "PRAGMA user_version", text, sizeof(text)) == NULL) {
        return edges_error(handle, path, e);
    }
    if (str_to_i64(str_from(text), 0, UINT32_MAX, &version) != 0) {
        version = 0;
    }
    *ret = (uint32_t)version;
    return version_check(path, *ret, e);
}

static int content_check(sqlite3 *handle, const char *path, const struct glance *glance,
                         struct error *e)
{
    uint32_t version = 0;
    int rc = read_version(handle, path, &version, e);
    if (rc != 0) {
        return rc;
    }
    if (!edges_are_readable(handle, version)) {
        return edges_error(handle, path, e);
    }
    if (!was_closed(handle, glance, version)) {
        return unclean_check(handle, path, glance->file_bytes, e);
    }
    return glance->file_bytes <= FILE_CHECK_WHOLE_BYTES ? whole_check(handle, path, e) : 0;
}

/* No lock, no log, nothing written. */
static int open_immutable(const char *path, sqlite3 **ret)
{
    char uri[URI_BYTES];
    int rc = uri_from_path(path, "?mode=ro&immutable=1", uri, sizeof(uri));
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX;
    return rc != 0 ? rc : db_error(sqlite3_open_v2(uri, ret, flags, NULL));
}

/* Reads through the log. Exclusive: its index is kept in memory, not in a file; without the
 * checkpoint at the end, file and log stay as they are. */
static int open_with_log(const char *path, sqlite3 **ret)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int rc = db_error(sqlite3_open_v2(path, ret, flags, NULL));
    if (rc == 0) {
        rc = db_error(sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL));
    }
    if (rc == 0) {
        rc = db_error(sqlite3_exec(*ret, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON",
                                   NULL, NULL, NULL));
    }
    return rc;
}

int file_open_unchanged(const char *path, sqlite3 **ret, struct error *e)
{
    int rc = is_nonempty_file(path, "-wal") ? open_with_log(path, ret) : open_immutable(path, ret);
    if (rc != 0) {
        (void)error_set(e, rc, path, "the queue file cannot be read: %s",
                        *ret == NULL ? err_text(rc) : sqlite3_errmsg(*ret));
    }
    return rc;
}

static int header_read(const char *path, struct glance *ret, struct error *e)
{
    int rc = glance_read(path, ret, e);
    return rc == 0 ? header_check(path, ret, e) : rc;
}

int file_check_header(const char *path, struct error *e)
{
    struct glance glance = {.file_bytes = 0};
    return header_read(path, &glance, e);
}

int file_check(const char *path, struct error *e)
{
    struct glance glance = {.file_bytes = 0};
    int rc = header_read(path, &glance, e);
    if (rc != 0) {
        return rc;
    }
    sqlite3 *handle = NULL;
    rc = file_open_unchanged(path, &handle, e);
    if (rc == 0) {
        rc = content_check(handle, path, &glance, e);
    }
    (void)sqlite3_close(handle);
    return rc;
}
