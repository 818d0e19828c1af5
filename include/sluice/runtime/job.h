/*
 * job: work that blocks (files, a command), on libuv's thread pool instead of the loop (I9).
 * Embedded in its owner, who lives until done came; there is no cancel, so work has its own end.
 */
#ifndef SLUICE_RUNTIME_JOB_H
#define SLUICE_RUNTIME_JOB_H

#include "sluice/runtime/loop.h"

struct job {
    void (*work)(void *context); /* on a thread of the pool */
    void (*done)(void *context); /* then, once, on the loop's thread, never before job_start()
                                    returned */
    void *context;
    uv_work_t request; /* private */
};

void job_start(struct loop *loop, struct job *job);

#endif
