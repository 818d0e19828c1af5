/*
 * outcome_rules: what a configuration says an attempt means, before the defaults of outcome.h. The
 * first rule all of whose conditions hold decides. Pure.
 *
 * A rule is filled from text by outcome_rule_read() and holds copies: it may be copied and outlive
 * its configuration. What a condition can see is bounded: a header's first
 * OUTCOME_RULE_HEADER_MAX bytes, a body of at most OUTCOME_RULE_BODY_MAX bytes.
 */
#ifndef SLUICE_FLOW_OUTCOME_RULES_H
#define SLUICE_FLOW_OUTCOME_RULES_H

#include "sluice/flow/outcome.h"

#define OUTCOME_RULES_MAX         32u
#define OUTCOME_RULE_STATUSES_MAX 16u
#define OUTCOME_RULE_ERRORS_MAX   8u
#define OUTCOME_RULE_TEXT_MAX     255u
#define OUTCOME_RULE_HEADER_MAX   1024u
#define OUTCOME_RULE_BODY_MAX     (256u * 1024u)

struct outcome_status_range {
    int from, to; /* both included */
};

struct outcome_rule {
    struct outcome_status_range statuses[OUTCOME_RULE_STATUSES_MAX];
    uint32_t status_count; /* 0: any */
    uint32_t errors;       /* bit i: the i-th of OUTCOME_ERROR_MAP; 0: also none */
    /* "": no such condition. header_value is a pattern with *, lower case; "": only present. */
    char header_name[OUTCOME_RULE_TEXT_MAX + 1], header_value[OUTCOME_RULE_TEXT_MAX + 1];
    bool has_body, has_body_value;
    char body_pointer[OUTCOME_RULE_TEXT_MAX + 1], body_value[OUTCOME_RULE_TEXT_MAX + 1];
    enum outcome outcome;
};

/* A rule as a person writes it. NULL, count 0: no such condition. */
struct outcome_rule_text {
    char *const *statuses; /* "409", "500-599", "5xx" */
    uint32_t status_count;
    char *const *errors; /* names of OUTCOME_ERROR_MAP */
    uint32_t error_count;
    const char *header; /* "Name" or "Name: pattern" */
    const char *body;   /* a JSON Pointer */
    const char *value;  /* of what it names, as text */
    enum outcome outcome;
};

/* ERR_INVALID, *e with the key ("status[1]"; "": the whole rule) and what is wrong. *ret is set
 * only on success. */
SL_MUST_CHECK int outcome_rule_read(const struct outcome_rule_text *text, struct outcome_rule *ret,
                                    struct error *e);
/* The same conditions: the second of two such rules is never reached. */
bool outcome_rule_same(const struct outcome_rule *a, const struct outcome_rule *b);

struct outcome_facts {
    int error, status; /* as in struct attempt_result */
    bool written;
    const struct outcome_header *headers;
    uint32_t header_count;
    struct str body;
};
/*
 * The number of the first rule that holds, 1 for rules[0]; 0: none. The body is parsed at most
 * once, and only when every other condition of a rule holds. No "ack" rule holds for an attempt
 * of which nothing was written (I3): its message was never delivered.
 */
uint32_t outcome_rules_match(const struct outcome_rule *rules, uint32_t count,
                             const struct outcome_facts *facts);

#endif
