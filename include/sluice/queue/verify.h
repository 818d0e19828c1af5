/*
 * verify: the full check of a queue file that no daemon has open: SQLite's own integrity check,
 * then what the engine relies on. Reads every page, changes nothing. Takes about a second for a
 * GiB.
 */
#ifndef SLUICE_QUEUE_VERIFY_H
#define SLUICE_QUEUE_VERIFY_H

#include "sluice/base/err.h"

#include <stdint.h>

#define QUEUE_VERIFY_PROBLEMS_MAX 20
/* What to do about a file that is damaged: the end of a sentence. */
#define QUEUE_RECOVERY_ADVICE                                                                      \
    "put a backup in its place, save what can be read with \"sqlite3 FILE .recover\", or move it " \
    "away to start empty"

struct queue_verify {
    /* Told for each problem, a line of text; at most QUEUE_VERIFY_PROBLEMS_MAX times. May be NULL.
     */
    void (*problem)(void *context, const char *text);
    void *context;
    /* answer */
    uint32_t problem_count;
    int64_t bytes, queues, messages;
};

/* 0: sound. ERR_CORRUPT: damaged, with problems told, or with *e saying that it is no queue file at
 * all. ERR_NOT_FOUND, ERR_VERSION, ERR_BUSY (another process has it open), ERR_DENIED, ERR_IO: not
 * checked, *e says why. Call from one thread, with no connection to the file open in this process.
 */
SL_MUST_CHECK int queue_file_verify(const char *path, struct queue_verify *verify, struct error *e);

#endif
