/*
 * prometheus: the registry as text, exposition format 0.0.4
 * (content type "text/plain; version=0.0.4; charset=utf-8"). Runs the collectors. Loop thread.
 */
#ifndef SLUICE_OBSERVE_PROMETHEUS_H
#define SLUICE_OBSERVE_PROMETHEUS_H

#include "sluice/base/buf.h"
#include "sluice/runtime/metrics.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends to out. Families without a series are left out. Returns the error of out, or 0. */
SL_MUST_CHECK int prometheus_render(struct metrics *metrics, struct buf *out);

#endif
