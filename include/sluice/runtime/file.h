/*
 * file: a whole file in memory. Blocks: at the start, or on a thread of the pool.
 */
#ifndef SLUICE_RUNTIME_FILE_H
#define SLUICE_RUNTIME_FILE_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"

/* Appends what is in the file. ERR_TOO_BIG beyond the buffer's maximum; ERR_NOT_FOUND, ERR_DENIED,
 * ERR_IO (a directory too) … */
SL_MUST_CHECK int file_read(const char *path, struct buf *out);
/* Overwrites what the buffer holds, which may be a secret, and frees it. */
void file_wipe(struct buf *buf);

#endif
