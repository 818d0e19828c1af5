/*
 * trace_context: W3C Trace Context, version 00 (https://www.w3.org/TR/trace-context/).
 */
#ifndef SLUICE_BASE_TRACE_CONTEXT_H
#define SLUICE_BASE_TRACE_CONTEXT_H

#include "sluice/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define TRACE_PARENT_LEN 55

struct trace_context {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
};

/* Lower case only, all-zero ids and version ff refused, higher versions read as 00. ERR_SYNTAX. */
SL_MUST_CHECK int trace_context_parse(struct str traceparent, struct trace_context *ret);
/* "00-<trace>-<span>-<flags>" and NUL. */
void trace_context_format(const struct trace_context *context, char out[TRACE_PARENT_LEN + 1]);
/*
 * The same in the words of AWS X-Ray, "Root=1-<8 hex>-<24 hex>;Parent=<16 hex>;Sampled=1", as
 * X-Amzn-Trace-Id and AWSTraceHeader have it: the parts of Root are the trace id. Fields in any
 * order, others ignored; without Parent a new span id, without a decision (or "?") sampled.
 * ERR_SYNTAX.
 */
#define TRACE_XRAY_LEN 74
SL_MUST_CHECK int trace_context_parse_xray(struct str header, struct trace_context *ret);
void trace_context_format_xray(const struct trace_context *context, char out[TRACE_XRAY_LEN + 1]);
/* New random ids, sampled. */
void trace_context_new(struct trace_context *ret);
/* Same trace, new span id. */
struct trace_context trace_context_child(const struct trace_context *parent);

#endif
