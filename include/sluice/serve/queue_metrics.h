/*
 * queue_metrics: the embedded queue and the loop as metrics and as a part of the status.
 */
#ifndef SLUICE_SERVE_QUEUE_METRICS_H
#define SLUICE_SERVE_QUEUE_METRICS_H

#include "sluice/base/json.h"
#include "sluice/queue/store.h"
#include "sluice/runtime/loop.h"
#include "sluice/runtime/metrics.h"

struct queue_metrics;

/* store and loop are borrowed until queue_metrics_free(). */
struct queue_metrics *queue_metrics_new(struct metrics *metrics, struct store *store,
                                        struct loop *loop);
void queue_metrics_free(struct queue_metrics *qm);
/* "queues":[…],"store":{…} into an open object. */
void queue_metrics_status(struct store *store, struct json_writer *w);

#endif
