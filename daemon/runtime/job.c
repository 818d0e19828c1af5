#include "sluice/runtime/job.h"

#include "sluice/base/err.h"

static void on_work(uv_work_t *request)
{
    struct job *job = request->data;

    job->work(job->context);
}

static void on_done(uv_work_t *request, int status)
{
    struct job *job = request->data;

    (void)status;
    job->done(job->context);
}

void job_start(struct loop *loop, struct job *job)
{
    job->request.data = job;
    int rc = uv_queue_work(loop_uv(loop), &job->request, on_work, on_done);
    SL_ASSERT(rc == 0);
}
