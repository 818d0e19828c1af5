#include "sluice/runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES 4096

int file_read(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int error = fd < 0 ? err_from_errno(errno) : 0;
    ssize_t n = 1;

    while (error == 0 && n != 0) {
        char *room = buf_reserve(out, CHUNK_BYTES);
        n = room == NULL ? -1 : read(fd, room, CHUNK_BYTES);
        if (room == NULL) {
            error = buf_failed(out);
        } else if (n > 0) {
            buf_commit(out, (size_t)n);
        } else if (n < 0 && errno != EINTR) {
            error = err_from_errno(errno);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return error;
}

void file_wipe(struct buf *buf)
{
    if (buf->ptr != NULL) {
        explicit_bzero(buf->ptr, buf->cap);
    }
    buf_done(buf);
}
