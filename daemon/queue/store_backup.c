/*
 * The online backup: a page copy of the queue file, made by the store's thread itself, a few pages
 * between the operations of two turns. What is written meanwhile goes into the copied pages too
 * (SQLite keeps a backup of the same connection up to date), so the copy is the queue as it is when
 * the last page is done: nothing that was answered before the backup began can be missing.
 *
 * The copy grows as FILE.part without a journal, is written to the disk as it grows (so that the
 * last sync is a short one), and gets its name when it is complete and synced.
 */
#include "store_internal.h"

#include "sluice/runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_PAGES       64 /* half a MiB: what an operation may have to wait for */
#define WRITE_BACK_BYTES ((off_t)8 << 20)
#define HEADER_BYTES     72

/* ---- the loop's side ---- */

int store_backup_start(struct store *store, const char *path, bool replace)
{
    struct backup *backup = &store->backup;
    size_t len = strlen(path);
    int rc = 0;

    if (len == 0 || path[0] != '/' || len >= sizeof(backup->status.path)) {
        return ERR_INVALID;
    }
    pthread_mutex_lock(&store->mutex);
    if (store->closing) {
        rc = ERR_CLOSED;
    } else if (backup->status.state == STORE_BACKUP_RUNNING) {
        rc = ERR_BUSY;
    } else {
        backup->status = (struct store_backup_status){.state = STORE_BACKUP_RUNNING};
        str_copy(backup->status.path, sizeof(backup->status.path), str_from(path));
        backup->replace = replace;
        backup->requested = true;
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    return rc;
}

void store_backup_status(struct store *store, struct store_backup_status *ret)
{
    pthread_mutex_lock(&store->mutex);
    *ret = store->backup.status;
    pthread_mutex_unlock(&store->mutex);
}

/* ---- the thread's side ---- */

static void close_files(struct backup *backup)
{
    (void)sqlite3_backup_finish(backup->handle);
    (void)sqlite3_close(backup->file);
    if (backup->fd >= 0) {
        (void)close(backup->fd);
    }
    backup->handle = NULL;
    backup->file = NULL;
    backup->fd = -1;
}

static void fail(struct store *store, const struct error *e)
{
    struct backup *backup = &store->backup;

    close_files(backup);
    if (backup->has_part) {
        (void)unlink(backup->part);
        backup->has_part = false;
    }
    LOG_ERROR("backup failed", LOG_STR("file", backup->status.path), LOG_STR("reason", e->text));
    pthread_mutex_lock(&store->mutex);
    backup->status.error = *e;
    backup->status.state = STORE_BACKUP_FAILED;
    pthread_mutex_unlock(&store->mutex);
}

/* Only an earlier backup (or another queue file) may be replaced: nothing else, and never the file
 * that is being copied. */
static int check_replaced(struct store *store, const char *path, struct error *e)
{
    uint8_t header[HEADER_BYTES] = {0};
    struct stat st, live;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                pread(fd, header, sizeof(header), 0) == HEADER_BYTES &&
                memcmp(header, "SQLite format 3", 16) == 0 && memcmp(header + 68, "SLUC", 4) == 0;
    bool is_live = good && stat(store->path, &live) == 0 && live.st_dev == st.st_dev &&
                   live.st_ino == st.st_ino;

    if (fd >= 0) {
        (void)close(fd);
    }
    if (is_live) {
        return error_set(e, ERR_INVALID, path, "this is the queue file itself");
    }
    return good ? 0
                : error_set(e, ERR_INVALID, path,
                            "is there and is no queue file: it will not be replaced");
}

/* queue.db-wal and -journal beside the queue belong to SQLite, whatever there is now. */
static bool is_beside_queue(const struct store *store, const char *path)
{
    char copy[PATH_MAX], directory[PATH_MAX], live[PATH_MAX], full[2 * PATH_MAX];
    const char *base = strrchr(path, '/') + 1;

    str_copy(copy, sizeof(copy), str_from(path));
    if (realpath(dirname(copy), directory) == NULL || realpath(store->path, live) == NULL) {
        return false;
    }
    (void)snprintf(full, sizeof(full), "%s/%s", directory, base);
    return str_starts_with(str_from(full), str_from(live));
}

static int check_target(struct store *store, const char *path, struct error *e)
{
    struct stat st;

    if (is_beside_queue(store, path)) {
        return error_set(e, ERR_INVALID, path,
                         "names beside the queue file that begin like it are the queue's own; use "
                         "another name");
    }
    if (lstat(path, &st) != 0) {
        return 0; /* what else is wrong shows when it is made */
    }
    if (!store->backup.replace) {
        return error_set(e, ERR_DUPLICATE, path, "is there already; --force replaces it");
    }
    return check_replaced(store, path, e);
}

static int open_part(struct store *store, struct error *e)
{
    struct backup *backup = &store->backup;
    const char *path = backup->status.path;

    (void)snprintf(backup->part, sizeof(backup->part), "%s.part", path);
    (void)unlink(backup->part); /* of a backup that did not end */
    backup->fd = open(backup->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (backup->fd < 0) {
        int error = errno;
        return error_set(e, err_from_errno(error), path,
                         "the daemon cannot make a file there: %s; as a service it may write below "
                         "its own directories only",
                         strerror(error));
    }
    backup->has_part = true;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2(backup->part, &backup->file, flags, NULL);
    if (rc == SQLITE_OK) {
        /* Nothing of it counts before it is complete. A small cache: memory is bounded by it. */
        rc = sqlite3_exec(backup->file,
                          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF;"
                          "PRAGMA synchronous = OFF; PRAGMA cache_size = 128",
                          NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        backup->handle = sqlite3_backup_init(backup->file, "main", store->engine.db.handle, "main");
        rc = backup->handle == NULL ? sqlite3_errcode(backup->file) : SQLITE_OK;
    }
    if (rc != SQLITE_OK) {
        return error_set(e, db_error(rc), path, "the copy cannot be begun: %s",
                         sqlite3_errmsg(backup->file));
    }
    return 0;
}

static void begin(struct store *store)
{
    struct error e = {0};

    if (check_target(store, store->backup.status.path, &e) != 0 || open_part(store, &e) != 0) {
        fail(store, &e);
        return;
    }
    store->backup.next_step = 0;
    store->backup.begun = store->backup.waited = 0;
}

static int sync_directory_of(const char *path)
{
    char copy[PATH_MAX];
    str_copy(copy, sizeof(copy), str_from(path));
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : err_from_errno(errno);
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

/* Gives the complete copy its name. A file that appeared there meanwhile is not replaced. */
static int name_it(struct backup *backup, struct error *e)
{
    const char *path = backup->status.path;
    int rc = backup->replace ? rename(backup->part, path)
                             : renameat2(AT_FDCWD, backup->part, AT_FDCWD, path, RENAME_NOREPLACE);

    if (rc != 0 && errno == EINVAL) { /* a file system that cannot promise it; it was looked at */
        rc = rename(backup->part, path);
    }
    if (rc != 0) {
        return error_set(e, err_from_errno(errno), path, "cannot get its name: %s",
                         strerror(errno));
    }
    backup->has_part = false;
    rc = sync_directory_of(path);
    return rc == 0 ? 0 : error_set(e, rc, path, "its name cannot be synced: %s", err_text(rc));
}

static uint64_t message_count(const struct engine *engine)
{
    uint64_t count = 0;

    LIST_FOR(&engine->queues, node)
    {
        count += queue_total(LIST_ENTRY(node, struct queue, node));
    }
    return count;
}

static void finish(struct store *store)
{
    struct backup *backup = &store->backup;
    uint64_t messages = message_count(&store->engine);
    struct error e = {0};
    struct stat st = {0};
    int rc = sqlite3_backup_finish(backup->handle);

    backup->handle = NULL;
    if (rc == SQLITE_OK) {
        rc = sqlite3_close(backup->file);
        backup->file = rc == SQLITE_OK ? NULL : backup->file;
    }
    if (rc != SQLITE_OK) {
        rc = error_set(&e, db_error(rc), "", "the copy cannot be completed: %s",
                       err_text(db_error(rc)));
    } else if (fsync(backup->fd) != 0 || fstat(backup->fd, &st) != 0) {
        rc = error_set(&e, err_from_errno(errno), "", "the copy cannot be synced: %s",
                       strerror(errno));
    } else {
        rc = name_it(backup, &e);
    }
    if (rc != 0) {
        fail(store, &e);
        return;
    }
    close_files(backup);
    LOG_INFO("backup written", LOG_STR("file", backup->status.path),
             LOG_I64("bytes", (int64_t)st.st_size), LOG_I64("messages", (int64_t)messages));
    pthread_mutex_lock(&store->mutex);
    backup->status.bytes = (uint64_t)st.st_size;
    backup->status.messages = messages;
    backup->status.pages_done = backup->status.pages_total;
    backup->status.state = STORE_BACKUP_DONE;
    pthread_mutex_unlock(&store->mutex);
}

/* Begins to write what is new to the disk, and waits for what was begun some steps ago: the last
 * sync finds little left to do, and no step waits for more than one step's worth. Where the file
 * system knows no such thing, all is left for the last sync. */
static int write_back(struct backup *backup)
{
    const unsigned wait =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    off_t end = (off_t)(backup->status.pages_done * SCHEMA_PAGE_BYTES);
    off_t wait_end = backup->begun - WRITE_BACK_BYTES;
    int rc = 0;

    if (end > backup->begun) {
        rc = sync_file_range(backup->fd, backup->begun, end - backup->begun, SYNC_FILE_RANGE_WRITE);
        backup->begun = end;
    }
    if (rc == 0 && wait_end > backup->waited) {
        rc = sync_file_range(backup->fd, backup->waited, wait_end - backup->waited, wait);
        backup->waited = wait_end;
    }
    if (rc == 0 || errno == EINVAL || errno == ESPIPE || errno == ENOSYS) {
        return SQLITE_OK;
    }
    return errno == ENOSPC || errno == EDQUOT ? SQLITE_FULL : SQLITE_IOERR;
}

static void step(struct store *store)
{
    struct backup *backup = &store->backup;
    struct error e = {0};
    int rc = sqlite3_backup_step(backup->handle, STEP_PAGES);

    if (rc == SQLITE_DONE) {
        finish(store);
        return;
    }
    pthread_mutex_lock(&store->mutex);
    backup->status.pages_total = (uint64_t)sqlite3_backup_pagecount(backup->handle);
    backup->status.pages_done =
        backup->status.pages_total - (uint64_t)sqlite3_backup_remaining(backup->handle);
    pthread_mutex_unlock(&store->mutex);
    if (rc == SQLITE_OK) {
        rc = write_back(backup);
    }
    if (rc != SQLITE_OK && rc != SQLITE_BUSY && rc != SQLITE_LOCKED) {
        (void)error_set(&e, db_error(rc), backup->status.path, "the copy cannot go on: %s",
                        err_text(db_error(rc)));
        fail(store, &e);
    }
}

void store_backup_work(struct store *store)
{
    struct backup *backup = &store->backup;

    pthread_mutex_lock(&store->mutex);
    bool requested = backup->requested;
    backup->requested = false;
    pthread_mutex_unlock(&store->mutex);
    if (requested) {
        begin(store);
    }
    mono_ns start = loop_now();
    if (backup->handle != NULL && start >= backup->next_step) {
        step(store);
        /* Half of the time is for the operations, however slow the disk is. */
        mono_ns end = loop_now();
        backup->next_step = end + (end - start);
    }
}

void store_backup_end(struct store *store)
{
    struct error e = {0};

    if (store->backup.status.state == STORE_BACKUP_RUNNING) {
        (void)error_set(&e, ERR_CLOSED, store->backup.status.path,
                        "the daemon was stopped before the copy was complete");
        fail(store, &e);
    }
}
