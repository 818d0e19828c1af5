/*
 * command: runs a program, without a shell, and waits for it. Blocks: for threads of the pool
 * (runtime/job). Its input is empty, both outputs are bounded; what it leaves running in its
 * process group when its time is up is killed.
 */
#ifndef SLUICE_RUNTIME_COMMAND_H
#define SLUICE_RUNTIME_COMMAND_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"

#include <stdatomic.h>
#include <stdint.h>

/* argv: NULL-terminated, the program is looked for in PATH. cancel: may become true from any
 * thread, and is seen within 100 ms. out, err: initialised with their maximum; what is beyond it is
 * read and thrown away, and ERR_TOO_BIG for out. 0 when it ended by itself: *ret_status is its
 * exit code, or 128 and the signal that killed it. ERR_NOT_FOUND, ERR_DENIED …: could not be
 * started; ERR_TIMEOUT, ERR_CANCELED: killed. */
SL_MUST_CHECK int command_run(char *const *argv, int64_t timeout_ns, const atomic_bool *cancel,
                              struct buf *out, struct buf *err, int *ret_status);

#endif
