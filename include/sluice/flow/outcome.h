/*
 * outcome: what an attempt means for its message. The configuration's rules come first
 * (outcome_rules.h). Defaults: 2xx ack · 429, 503 throttle · 408, other 5xx and transport errors
 * retry · other 3xx, 4xx dead_letter. Pure.
 */
#ifndef SLUICE_FLOW_OUTCOME_H
#define SLUICE_FLOW_OUTCOME_H

#include "sluice/base/clock.h"
#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define OUTCOME_MAP(XX)                                                                            \
    XX(ACK, "ack")                                                                                 \
    XX(RETRY, "retry")                                                                             \
    XX(THROTTLE, "throttle")                                                                       \
    XX(DEAD_LETTER, "dead_letter")

enum outcome {
#define XX(name, text) OUTCOME_##name,
    OUTCOME_MAP(XX)
#undef XX
        OUTCOME__COUNT
};
const char *outcome_name(enum outcome outcome);

/* Whether there was a call. Without one the permits come back, and nothing is learnt of the target.
 */
enum attempt_end {
    ATTEMPT_CALLED,
    ATTEMPT_DONE_BEFORE, /* not called: its work is known to be done. ack */
    ATTEMPT_UNKNOWN,     /* not called: its work may be done, and must not be done twice */
    ATTEMPT_POSTPONED,   /* not called: not before retry_after */
    ATTEMPT_S3_POINTER,  /* not called: what it would be called with lies elsewhere */
};

/* How an attempt ends without a complete answer, as rules and the metrics' label code name it. */
#define OUTCOME_ERROR_MAP(XX)                                                                      \
    XX(ERR_TIMEOUT, "timeout")                                                                     \
    XX(ERR_CONNECT, "connect_error")                                                               \
    XX(ERR_RESOLVE, "resolve_error")                                                               \
    XX(ERR_TLS, "tls_error")                                                                       \
    XX(ERR_TOO_BIG, "response_too_big")                                                            \
    XX(ERR_RESET, "connection_broken") /* and all that has no other name */
/* "canceled", which no rule can name, is ERR_CANCELED. */
const char *outcome_error_name(int error);

/* A header of an answer. */
struct outcome_header {
    struct str name, value;
};

/* The facts of an ended attempt. */
struct attempt_result {
    enum attempt_end end;
    int error;           /* 0: a complete response with status; else the transport error */
    int status;          /* HTTP status, 0 when none */
    bool written;        /* a byte of the request was written: it may have reached the API */
    bool early;          /* answered before all of the request had arrived: the rest still may */
    mono_ns retry_after; /* the answer asks for no call before (gate_headers.h); 0: it does not */
    mono_ns ended_at;    /* response complete, or socket reset */
    uint32_t rule;       /* the number of the rule that decided (outcome_rules.h); 0: defaults */
    enum outcome ruled;  /* what it decided; valid with a rule */
};

/* What the rule decided, else the defaults. */
enum outcome outcome_of(const struct attempt_result *result);
/* Does the attempt count against max_attempts? Not when it never reached the API, nor a throttle
 * (I5). */
bool outcome_counts(const struct attempt_result *result, enum outcome outcome);
/* May the API have done the work although no answer says so? */
bool outcome_is_unknown(const struct attempt_result *result);
/*
 * Retry-After (RFC 9110 §10.2.3): seconds or an HTTP-date, the latter read against wall_now.
 * Returns the delay in ns from now, capped at cap_ns; ERR_SYNTAX for anything else.
 */
SL_MUST_CHECK int outcome_retry_after(struct str value, wall_ms wall_now, int64_t cap_ns,
                                      int64_t *ret_delay_ns);

#endif
