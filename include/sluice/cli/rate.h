/*
 * rate: "5/1s", "100/m", "10/500ms" as N and W, for the command line.
 */
#ifndef SLUICE_CLI_RATE_H
#define SLUICE_CLI_RATE_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdint.h>

/* ERR_SYNTAX or ERR_RANGE with *e saying what is allowed. "5" alone means per second; s, m, h mean
 * one of it. */
SL_MUST_CHECK int rate_parse(struct str text, uint32_t *ret_requests, int64_t *ret_per_ns,
                             struct error *e);

#endif
