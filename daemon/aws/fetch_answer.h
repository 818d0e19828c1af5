/*
 * fetch_answer: what the services that hand out credentials answer. Pure.
 */
#ifndef SLUICE_AWS_FETCH_ANSWER_H
#define SLUICE_AWS_FETCH_ANSWER_H

#include "sluice/aws/credentials.h"
#include "sluice/base/err.h"

/* What the members of a JSON answer are called. */
struct fetch_names {
    const char *access_key_id, *secret_access_key, *session_token, *expiration;
    bool must_expire; /* else credentials without an end are good for ever */
};

/* 2026-11-26T10:00:00Z, with a fraction or an offset; also +0000 and no seconds' fraction. */
SL_MUST_CHECK int fetch_time_parse(struct str text, wall_ms *ret);

/* ERR_PROTOCOL with *e, which never quotes a value. *ret is taken. */
SL_MUST_CHECK int fetch_answer_json(struct str body, const struct fetch_names *names,
                                    struct str source, struct credentials **ret, struct error *e);

/* The answer of AssumeRole… with status 200. XML by libexpat; a document type is refused. */
SL_MUST_CHECK int fetch_answer_sts(struct str body, struct str source, struct credentials **ret,
                                   struct error *e);
/* <Code> and <Message> of an error of STS: "AccessDenied: User … is not authorized …"; as much as
 * there is. */
void fetch_answer_sts_error(struct str body, char *out, size_t out_size);

#endif
