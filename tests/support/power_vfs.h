/*
 * power_vfs: a VFS for SQLite under which the power can fail. Writes go to the real file at once,
 * so that the process sees them, but what the disk has is kept apart: it changes with xSync only.
 * At a cut the disk gets a random part of what was written and not yet synced: sector by sector, so
 * that a write can be torn, later writes can be there without earlier ones, and a file can have its
 * new length without its new content. The same for names: a file that was made or deleted is that,
 * or not, until its directory was synced (with the first sync of a log or journal by the connection
 * that made it, or asked for with the deletion, as SQLite's own VFS does it; or by fsync(), which
 * this header takes the place of).
 *
 *   power_install() once; power_arm(n): the power fails at the nth write, sync, truncation or
 *   deletion; from then on every call fails. Close what is open, power_restore(): the files are
 *   what the disk has.
 *
 * keeps_all: nothing written is lost at a cut, as when only the process is killed. limited: the
 * disk is full after bytes_left more bytes.
 *
 * One directory, one thread.
 */
#ifndef SLUICE_TESTS_POWER_VFS_H
#define SLUICE_TESTS_POWER_VFS_H

#include "sluice/base/err.h"
#include "sluice/base/mem.h"
#include "sluice/base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POWER_FILES_MAX 16

struct power_image {
    uint8_t *bytes;
    size_t len, size;
};

struct power_write { /* len 0: the file was cut to `offset` bytes */
    int64_t offset;
    size_t len;
    uint8_t *bytes;
};

struct power_file {
    char path[512];
    struct power_image disk; /* as of the last sync */
    struct power_write *writes;
    size_t write_count, write_size;
    bool exists;            /* for the process */
    bool name_synced;       /* and for the disk; if not, there is on the disk: */
    bool was_there;         /* another file of that name, */
    struct power_image was; /* this one */
};

struct power_handle {
    sqlite3_file base;
    struct power_file *file; /* NULL: not watched */
    bool syncs_directory;    /* with its next sync */
    sqlite3_file real[];
};

static struct {
    sqlite3_vfs vfs, *real;
    struct power_file files[POWER_FILES_MAX];
    size_t file_count;
    int64_t calls_left; /* 0: no cut is planned */
    bool dead, keeps_all, limited;
    int64_t bytes_left;
    struct rng rng;
    int64_t calls, cuts, writes_lost, writes_torn; /* to tell what was tested */
} power;

/* ---- what the disk has ---- */

static inline void power_image_resize(struct power_image *image, size_t len)
{
    if (len > image->size) {
        image->size = len + len / 2;
        image->bytes = realloc(image->bytes, image->size);
        SL_ASSERT(image->bytes != NULL);
    }
    if (len > image->len) {
        memset(image->bytes + image->len, 0, len - image->len);
    }
    image->len = len;
}

static inline void power_image_write(struct power_image *image, size_t offset, const uint8_t *bytes,
                                     size_t len)
{
    if (offset + len > image->len) {
        power_image_resize(image, offset + len);
    }
    memcpy(image->bytes + offset, bytes, len);
}

static inline void power_image_free(struct power_image *image)
{
    free(image->bytes);
    image->bytes = NULL;
    image->len = 0;
    image->size = 0;
}

static inline void power_image_read(struct power_image *image, const char *path)
{
    uint8_t bytes[65536];
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    SL_ASSERT(fd >= 0);
    while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
        power_image_write(image, image->len, bytes, (size_t)got);
    }
    (void)close(fd);
}

/* The image as a file; NULL: no file. */
static inline void power_put(const char *path, const struct power_image *image)
{
    if (image == NULL) {
        (void)unlink(path);
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    SL_ASSERT(fd >= 0);
    SL_ASSERT(write(fd, image->bytes, image->len) == (ssize_t)image->len);
    (void)close(fd);
}

/* ---- what it has not yet ---- */

static inline struct power_write *power_pend(struct power_file *file, int64_t offset)
{
    if (file->write_count == file->write_size) {
        file->write_size = 2 * file->write_size + 64;
        file->writes = realloc(file->writes, file->write_size * sizeof(*file->writes));
        SL_ASSERT(file->writes != NULL);
    }
    struct power_write *write = &file->writes[file->write_count++];
    *write = (struct power_write){.offset = offset};
    return write;
}

static inline void power_forget(struct power_file *file)
{
    for (size_t i = 0; i < file->write_count; i++) {
        free(file->writes[i].bytes);
    }
    file->write_count = 0;
}

static inline void power_apply_all(struct power_file *file)
{
    for (size_t i = 0; i < file->write_count; i++) {
        const struct power_write *write = &file->writes[i];
        if (write->len == 0) {
            power_image_resize(&file->disk, (size_t)write->offset);
        } else {
            power_image_write(&file->disk, (size_t)write->offset, write->bytes, write->len);
        }
    }
    power_forget(file);
}

/* One write, sector by sector, each with that probability. */
static inline void power_apply_torn(struct power_file *file, const struct power_write *write,
                                    size_t sector_bytes, double share)
{
    size_t kept = 0;
    for (size_t at = 0; at < write->len;) {
        size_t place = (size_t)write->offset + at;
        size_t len = sector_bytes - place % sector_bytes;
        len = len < write->len - at ? len : write->len - at;
        if (rng_unit(&power.rng) < share) {
            power_image_write(&file->disk, place, write->bytes + at, len);
            kept += len;
        }
        at += len;
    }
    power.writes_lost += kept == 0;
    power.writes_torn += kept > 0 && kept < write->len;
}

static inline void power_apply_some(struct power_file *file)
{
    static const double shares[] = {0, 0.1, 0.5, 0.9, 1};
    size_t sector_bytes = rng_next(&power.rng) % 2 == 0 ? 512 : 4096;
    double share = shares[rng_next(&power.rng) % SL_COUNT(shares)];
    for (size_t i = 0; i < file->write_count; i++) {
        const struct power_write *write = &file->writes[i];
        if (write->len > 0) {
            power_apply_torn(file, write, sector_bytes, share);
        } else if (rng_unit(&power.rng) < share) {
            power_image_resize(&file->disk, (size_t)write->offset);
        }
    }
    power_forget(file);
}

/* ---- files and their names ---- */

static inline struct power_file *power_file_of(const char *path)
{
    for (size_t i = 0; i < power.file_count; i++) {
        if (strcmp(power.files[i].path, path) == 0) {
            return &power.files[i];
        }
    }
    SL_ASSERT(power.file_count < POWER_FILES_MAX);
    struct power_file *file = &power.files[power.file_count++];
    (void)snprintf(file->path, sizeof(file->path), "%s", path);
    file->name_synced = true;
    file->exists = access(path, F_OK) == 0;
    if (file->exists) {
        power_image_read(&file->disk, path);
    }
    return file;
}

static inline void power_sync_directory(void)
{
    for (size_t i = 0; i < power.file_count; i++) {
        power.files[i].name_synced = true;
        power_image_free(&power.files[i].was);
    }
}

static inline void power_created(struct power_file *file)
{
    if (file->name_synced) {
        file->was_there = false;
        file->name_synced = false;
    }
    file->exists = true;
}

static inline void power_deleted(struct power_file *file)
{
    if (file->name_synced) {
        file->was_there = true;
        file->was = file->disk;
        file->disk = (struct power_image){.bytes = NULL};
        file->name_synced = false;
    }
    power_image_free(&file->disk);
    power_forget(file);
    file->exists = false;
}

/* ---- the cut ---- */

static inline bool power_strikes(void)
{
    power.calls++;
    if (!power.dead && power.calls_left > 0 && --power.calls_left == 0) {
        power.dead = true;
        power.cuts++;
    }
    return power.dead;
}

/* The nth call from now; 0: never. */
static inline void power_arm(int64_t calls)
{
    power.calls_left = calls;
}

/* Power is back (or fails now, if it has not yet): everything must be closed. */
static inline void power_restore(void)
{
    for (size_t i = 0; i < power.file_count; i++) {
        struct power_file *file = &power.files[i];
        if (power.keeps_all) {
            power_apply_all(file);
        } else {
            power_apply_some(file);
        }
        if (!power.keeps_all && !file->name_synced && rng_next(&power.rng) % 2 == 0) {
            struct power_image newer = file->disk;
            file->disk = file->was;
            file->was = newer;
            file->exists = file->was_there;
        }
        power_image_free(&file->was);
        file->name_synced = true;
        if (!file->exists) {
            power_image_free(&file->disk);
        }
        power_put(file->path, file->exists ? &file->disk : NULL);
    }
    power.calls_left = 0;
    power.dead = false;
}

/* No real sync is needed: the process and its machine live. */
int fsync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return -1;
    }
    if (S_ISDIR(st.st_mode) && power_strikes()) {
        errno = EIO;
        return -1;
    }
    if (S_ISDIR(st.st_mode)) {
        power_sync_directory();
    }
    return 0;
}

/* ---- SQLite's interface ---- */

static inline sqlite3_file *power_real(sqlite3_file *file)
{
    return ((struct power_handle *)file)->real;
}

static inline int power_close(sqlite3_file *file)
{
    return power_real(file)->pMethods->xClose(power_real(file));
}

static inline int power_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 offset)
{
    if (power.dead) {
        return SQLITE_IOERR_READ;
    }
    return power_real(file)->pMethods->xRead(power_real(file), bytes, len, offset);
}

static inline int power_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    struct power_file *watched = ((struct power_handle *)file)->file;
    if (power.dead) {
        return SQLITE_IOERR_WRITE;
    }
    if (watched != NULL && power.limited && (power.bytes_left -= len) < 0) {
        return SQLITE_FULL;
    }
    if (watched != NULL) {
        struct power_write *write = power_pend(watched, offset);
        write->len = (size_t)len;
        write->bytes = (uint8_t *)mem_dup(bytes, (size_t)len);
        if (power_strikes()) {
            return SQLITE_IOERR_WRITE;
        }
    }
    return power_real(file)->pMethods->xWrite(power_real(file), bytes, len, offset);
}

static inline int power_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct power_file *watched = ((struct power_handle *)file)->file;
    if (power.dead) {
        return SQLITE_IOERR_TRUNCATE;
    }
    if (watched != NULL) {
        (void)power_pend(watched, size);
        if (power_strikes()) {
            return SQLITE_IOERR_TRUNCATE;
        }
    }
    return power_real(file)->pMethods->xTruncate(power_real(file), size);
}

static inline int power_sync(sqlite3_file *file, int flags)
{
    struct power_handle *handle = (struct power_handle *)file;
    (void)flags;
    if (power_strikes()) {
        return SQLITE_IOERR_FSYNC;
    }
    if (handle->file != NULL) {
        power_apply_all(handle->file);
    }
    if (handle->syncs_directory) {
        power_sync_directory();
        handle->syncs_directory = false;
    }
    return SQLITE_OK;
}

static inline int power_file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return power_real(file)->pMethods->xFileSize(power_real(file), ret);
}

static inline int power_lock(sqlite3_file *file, int lock)
{
    return power_real(file)->pMethods->xLock(power_real(file), lock);
}

static inline int power_unlock(sqlite3_file *file, int lock)
{
    return power_real(file)->pMethods->xUnlock(power_real(file), lock);
}

static inline int power_check_lock(sqlite3_file *file, int *ret)
{
    return power_real(file)->pMethods->xCheckReservedLock(power_real(file), ret);
}

static inline int power_control(sqlite3_file *file, int op, void *arg)
{
    return power_real(file)->pMethods->xFileControl(power_real(file), op, arg);
}

static inline int power_sector_size(sqlite3_file *file)
{
    return power_real(file)->pMethods->xSectorSize(power_real(file));
}

static inline int power_characteristics(sqlite3_file *file)
{
    return power_real(file)->pMethods->xDeviceCharacteristics(power_real(file));
}

static inline int power_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                             int *ret_flags)
{
    /* No shared memory: the log's index is in the heap, as the engine has it. */
    static const sqlite3_io_methods methods = {
        .iVersion = 1,
        .xClose = power_close,
        .xRead = power_read,
        .xWrite = power_write,
        .xTruncate = power_truncate,
        .xSync = power_sync,
        .xFileSize = power_file_size,
        .xLock = power_lock,
        .xUnlock = power_unlock,
        .xCheckReservedLock = power_check_lock,
        .xFileControl = power_control,
        .xSectorSize = power_sector_size,
        .xDeviceCharacteristics = power_characteristics,
    };
    const int logs = SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
    struct power_handle *handle = (struct power_handle *)file;
    struct power_file *watched = NULL;
    (void)vfs;
    *handle = (struct power_handle){.file = NULL};
    if (power.dead) {
        return SQLITE_CANTOPEN;
    }
    if (path != NULL && (flags & (logs | SQLITE_OPEN_MAIN_DB)) != 0) {
        watched = power_file_of(path);
    }
    int rc = power.real->xOpen(power.real, path, handle->real, flags, ret_flags);
    if (rc != SQLITE_OK) {
        return rc;
    }
    handle->base.pMethods = &methods;
    handle->file = watched;
    if (watched != NULL && !watched->exists) {
        power_created(watched);
        handle->syncs_directory = (flags & logs) != 0;
    }
    return SQLITE_OK;
}

static inline int power_delete(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
    (void)vfs;
    if (power.dead || power_strikes()) {
        return SQLITE_IOERR_DELETE;
    }
    int rc = power.real->xDelete(power.real, path, 0);
    if (rc == SQLITE_OK) {
        power_deleted(power_file_of(path));
    }
    if (rc == SQLITE_OK && sync_directory != 0) {
        power_sync_directory();
    }
    return rc;
}

/* Becomes the VFS of every connection opened from now on. */
static inline void power_install(uint64_t seed)
{
    power.real = sqlite3_vfs_find(NULL);
    power.vfs = *power.real;
    power.vfs.zName = "power";
    power.vfs.pNext = NULL;
    power.vfs.szOsFile = (int)sizeof(struct power_handle) + power.real->szOsFile;
    power.vfs.xOpen = power_open;
    power.vfs.xDelete = power_delete;
    rng_init(&power.rng, seed);
    SL_ASSERT(sqlite3_vfs_register(&power.vfs, 1) == SQLITE_OK);
}

/* Forgets all files: another directory follows, or the end. */
static inline void power_reset(void)
{
    for (size_t i = 0; i < power.file_count; i++) {
        struct power_file *file = &power.files[i];
        power_image_free(&file->disk);
        power_image_free(&file->was);
        power_forget(file);
        free(file->writes);
        *file = (struct power_file){.exists = false};
    }
    power.file_count = 0;
    power.calls_left = 0;
    power.dead = false;
    power.keeps_all = false;
    power.limited = false;
}

#endif
