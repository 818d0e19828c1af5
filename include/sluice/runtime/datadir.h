/*
 * datadir: the directory that holds what outlives the process. While a process uses it, it holds
 * a lock (flock on "lock", which names its pid), so that two never share one; the kernel gives
 * the lock back however the process ends. A file "running" is there from open to a clean close:
 * found at open, it tells that the process before did not end in order.
 */
#ifndef SLUICE_RUNTIME_DATADIR_H
#define SLUICE_RUNTIME_DATADIR_H

#include "sluice/base/err.h"

#include <stdbool.h>

#define DATADIR_PATH_MAX 1024

struct datadir;

/* The directory to use: option when not NULL, else $STATE_DIRECTORY (the first of several), else
 * $XDG_STATE_HOME/sluice. ERR_NOT_FOUND with a text that asks for one; ERR_TOO_BIG. Touches no
 * file. */
SL_MUST_CHECK int datadir_resolve(const char *option, char ret_path[DATADIR_PATH_MAX],
                                  struct error *e);

/* Makes the directory (0700, its parents too) where it is missing and locks it. ERR_BUSY: another
 * process has it, *e names it. */
SL_MUST_CHECK int datadir_open(const char *path, struct datadir **ret, struct error *e);
/* Only keeps others out while its files are looked at: makes nothing and marks nothing. *ret is
 * NULL where no process ever used the directory; datadir_close(…, false) ends it. */
SL_MUST_CHECK int datadir_lock(const char *path, struct datadir **ret, struct error *e);
bool datadir_is_unclean(const struct datadir *datadir);
const char *datadir_path(const struct datadir *datadir);
/* Gives the lock back and frees. clean: everything ended in order, nothing is left in flight. */
void datadir_close(struct datadir *datadir, bool clean);

#endif
