#include "mark.h"

#include "sluice/base/err.h"
#include "sluice/runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define MARK_BYTES 4096 /* a page */
#define PATH_BYTES 2304

void mark_open(struct mark *mark, const char *directory, const char *name)
{
    char path[PATH_BYTES];
    void *page = MAP_FAILED;

    mark->words = NULL;
    (void)snprintf(path, sizeof(path), "%s/limit-%s.mark", directory, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd < 0 ? errno : posix_fallocate(fd, 0, MARK_BYTES);
    if (error == 0) { /* its room is there: writing to it needs none later */
        page = mmap(NULL, MARK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        error = page == MAP_FAILED ? errno : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (error != 0) {
        LOG_WARNING("no mark of the limit's use: a crash will waste what it claimed",
                    LOG_STR("file", path), LOG_ERR("error", err_from_errno(error)));
        return;
    }
    mark->words = page;
}

void mark_close(struct mark *mark)
{
    if (mark->words != NULL) {
        (void)munmap((void *)(uintptr_t)mark->words, MARK_BYTES);
        mark->words = NULL;
    }
}

/* Record and use are one word: a kill never parts them. */
void mark_set(struct mark *mark, uint32_t record, uint64_t used)
{
    if (mark->words != NULL && record != 0) {
        used = used < UINT32_MAX ? used : UINT32_MAX;
        atomic_store(&mark->words[record % 2], (uint64_t)record << 32 | used);
    }
}

void mark_forget(struct mark *mark, uint32_t record)
{
    if (mark->words != NULL) {
        atomic_store(&mark->words[record % 2], 0);
    }
}

bool mark_get(const struct mark *mark, uint32_t record, uint64_t *ret_used)
{
    if (mark->words == NULL || record == 0) {
        return false;
    }
    uint64_t word = atomic_load(&mark->words[record % 2]);
    *ret_used = word & UINT32_MAX;
    return word >> 32 == record;
}
