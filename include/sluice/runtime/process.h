/*
 * process: the process_* metrics every Prometheus client has: CPU time, open and allowed file
 * descriptors, memory, start time. Read when /metrics is asked for. Loop thread.
 */
#ifndef SLUICE_RUNTIME_PROCESS_H
#define SLUICE_RUNTIME_PROCESS_H

#include "sluice/runtime/metrics.h"

struct process_metrics;

/* Adds the families and a collector to the registry, which must outlive it. */
struct process_metrics *process_metrics_new(struct metrics *metrics);
void process_metrics_free(struct process_metrics *process);

#endif
