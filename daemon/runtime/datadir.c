#include "sluice/runtime/datadir.h"

#include "sluice/base/mem.h"
#include "sluice/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME    "lock"
#define RUNNING_NAME "running"

struct datadir {
    char path[DATADIR_PATH_MAX];
    int directory_fd, lock_fd;
    bool unclean;
};

static int path_set(char ret_path[DATADIR_PATH_MAX], struct str base, const char *suffix,
                    struct error *e)
{
    int len = snprintf(ret_path, DATADIR_PATH_MAX, "%.*s%s", STR_FMT(base), suffix);
    if (len < 0 || len >= DATADIR_PATH_MAX) {
        return error_set(
            e, ERR_TOO_BIG, "",
            "the path of the data directory is longer than %d bytes; use a shorter one",
            DATADIR_PATH_MAX - 1);
    }
    return 0;
}

int datadir_resolve(const char *option, char ret_path[DATADIR_PATH_MAX], struct error *e)
{
    struct str state = str_from(getenv("STATE_DIRECTORY"));
    struct str home = str_from(getenv("XDG_STATE_HOME"));
    if (option != NULL && option[0] != '\0') {
        return path_set(ret_path, str_from(option), "", e);
    }
    if (state.len > 0) {
        struct str first = STR_NONE;
        (void)str_next(&state, ':', &first);
        return path_set(ret_path, first, "", e);
    }
    if (home.len > 0) {
        return path_set(ret_path, home, "/sluice", e);
    }
    return error_set(e, ERR_NOT_FOUND, "",
                     "no data directory: give one with --data-dir DIR (or set data_dir in the "
                     "configuration, $STATE_DIRECTORY or $XDG_STATE_HOME)");
}

/* Makes path and what is missing of its parents. */
static int make_path(const char *path)
{
    char part[DATADIR_PATH_MAX];
    str_copy(part, sizeof(part), str_from(path));
    for (char *slash = part + 1; slash[-1] != '\0'; slash++) {
        if (*slash != '/' && *slash != '\0') {
            continue;
        }
        char saved = *slash;
        *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            return err_from_errno(errno);
        }
        *slash = saved;
        if (saved == '\0') {
            break;
        }
    }
    return 0;
}

/* Who has the lock: "process 123", from what it wrote in the file. */
static void holder_text(int lock_fd, char *out, size_t out_size)
{
    char text[32];
    int64_t pid = 0;
    ssize_t len = pread(lock_fd, text, sizeof(text), 0);
    struct str digits = {text, len > 0 ? (size_t)len : 0};
    while (digits.len > 0 && digits.ptr[digits.len - 1] == '\n') {
        digits.len--;
    }
    if (str_to_i64(digits, 1, INT32_MAX, &pid) == 0) {
        (void)snprintf(out, out_size, "process %lld", (long long)pid);
    } else {
        (void)snprintf(out, out_size, "another process");
    }
}

static int take_lock(struct datadir *datadir, int flags, struct error *e)
{
    char holder[48];
    datadir->lock_fd =
        openat(datadir->directory_fd, LOCK_NAME, O_RDWR | flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (datadir->lock_fd < 0 && errno == ENOENT) {
        return ERR_NOT_FOUND;
    }
    if (datadir->lock_fd < 0) {
        int rc = err_from_errno(errno);
        return error_set(
            e, rc, datadir->path,
            "its lock file cannot be opened: %s; the directory must belong to the user "
            "that runs sluice",
            err_text(rc));
    }
    if (flock(datadir->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return error_set(e, err_from_errno(errno), datadir->path,
                             "cannot be locked: %s; use a file system that knows flock",
                             err_text(err_from_errno(errno)));
        }
        holder_text(datadir->lock_fd, holder, sizeof(holder));
        return error_set(e, ERR_BUSY, datadir->path,
                         "is in use by %s; stop it, or use another --data-dir", holder);
    }
    char pid[24];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(datadir->lock_fd, 0) != 0 ||
        pwrite(datadir->lock_fd, pid, (size_t)len, 0) != len) {
        int rc = err_from_errno(errno);
        return error_set(e, rc, datadir->path,
                         "cannot be written: %s; make room or change its rights", err_text(rc));
    }
    return 0;
}

/* The mark is synced before anything is done that a crash could leave half done. */
static int mark_running(struct datadir *datadir, struct error *e)
{
    int fd =
        openat(datadir->directory_fd, RUNNING_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        datadir->unclean = true;
        return 0;
    }
    if (fd < 0 || fsync(datadir->directory_fd) != 0) {
        int rc = err_from_errno(errno);
        if (fd >= 0) {
            (void)close(fd);
        }
        return error_set(e, rc, datadir->path,
                         "cannot be written: %s; make room or change its rights", err_text(rc));
    }
    (void)close(fd);
    return 0;
}

static void release(struct datadir *datadir)
{
    /* Closing the file gives the lock back. The file stays: removing it would let a process that
       has it open already lock a file nobody else sees. */
    if (datadir->lock_fd >= 0) {
        (void)close(datadir->lock_fd);
    }
    if (datadir->directory_fd >= 0) {
        (void)close(datadir->directory_fd);
    }
    free(datadir);
}

static int open_directory(struct datadir *datadir, struct error *e)
{
    int rc = make_path(datadir->path);
    if (rc == 0) {
        datadir->directory_fd = open(datadir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = datadir->directory_fd < 0 ? err_from_errno(errno) : 0;
    }
    if (rc != 0) {
        return error_set(e, rc, datadir->path,
                         "cannot be used as data directory: %s; make it, or use another --data-dir",
                         err_text(rc));
    }
    return 0;
}

int datadir_open(const char *path, struct datadir **ret, struct error *e)
{
    if (path[0] == '\0' || strlen(path) >= DATADIR_PATH_MAX) {
        return error_set(e, ERR_INVALID, "", "the data directory needs a path of 1 to %d bytes",
                         DATADIR_PATH_MAX - 1);
    }
    struct datadir *datadir = MEM_NEW(struct datadir);
    datadir->directory_fd = -1;
    datadir->lock_fd = -1;
    str_copy(datadir->path, sizeof(datadir->path), str_from(path));
    int rc = open_directory(datadir, e);
    if (rc == 0) {
        rc = take_lock(datadir, O_CREAT, e);
    }
    if (rc == 0) {
        rc = mark_running(datadir, e);
    }
    if (rc != 0) {
        release(datadir);
        return rc;
    }
    *ret = datadir;
    return 0;
}

int datadir_lock(const char *path, struct datadir **ret, struct error *e)
{
    struct datadir *datadir = MEM_NEW(struct datadir);
    datadir->lock_fd = -1;
    *ret = NULL;
    str_copy(datadir->path, sizeof(datadir->path), str_from(path));
    datadir->directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (datadir->directory_fd < 0) {
        int rc = err_from_errno(errno);
        release(datadir);
        return error_set(e, rc, path, "cannot be opened: %s", err_text(rc));
    }
    int rc = take_lock(datadir, 0, e);
    if (rc == 0) {
        *ret = datadir;
    } else {
        release(datadir);
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

bool datadir_is_unclean(const struct datadir *datadir)
{
    return datadir->unclean;
}

const char *datadir_path(const struct datadir *datadir)
{
    return datadir->path;
}

void datadir_close(struct datadir *datadir, bool clean)
{
    if (datadir == NULL) {
        return;
    }
    /* When the removal fails the next start only waits a little longer than it must. */
    if (clean && unlinkat(datadir->directory_fd, RUNNING_NAME, 0) == 0) {
        (void)fsync(datadir->directory_fd);
    }
    release(datadir);
}
