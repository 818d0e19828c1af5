/*
 * gate_headers: what the headers of an answer say about when to call again. Pure; the headers are
 * input from outside: whatever they hold, the delay is between 0 and the cap.
 *
 *   Retry-After: 30 · an HTTP-date        RFC 9110 §10.2.3
 *   x-amz-retry-after: 1500               milliseconds
 *   RateLimit: limit=5, remaining=0, reset=30      draft-ietf-httpapi-ratelimit-headers to -07
 *   RateLimit: "default";r=0;t=30                  from -08 on; several policies in a list
 *   RateLimit-, X-RateLimit-, X-Rate-Limit-Remaining and -Reset
 *
 * A reset is in seconds (also "0.5") from now, or a time: a number that would be 31 years is one of
 * the Unix epoch, in seconds or milliseconds; or an HTTP-date. Retry-After takes precedence over
 * the quota headers. What is no such value (negative, garbage) says nothing, nor do two different
 * values for what is left. Of several times to wait the longest holds.
 */
#ifndef SLUICE_FLOW_GATE_HEADERS_H
#define SLUICE_FLOW_GATE_HEADERS_H

#include "sluice/flow/outcome.h"

struct gate_advice {
    const char *header; /* that says so, static; NULL: none does */
    int64_t delay_ns;   /* no call before; > 0 with a header */
    bool capped;        /* it asked for more than the cap */
};

/* retry_after: whether Retry-After is about calling again (on a 2xx it is about the progress of
 * what was accepted). wall_now: for times. */
struct gate_advice gate_headers_read(const struct outcome_header *headers, uint32_t count,
                                     bool retry_after, wall_ms wall_now, int64_t cap_ns);

#endif
