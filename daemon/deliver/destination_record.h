/*
 * destination_record: the JSON that a destination is sent about a message that is over, in the
 * shape of AWS Lambda's records:
 *
 *   {"version":"1.0","timestamp":"2026-01-02T03:04:05.678Z",
 *    "requestContext":{"requestId":MESSAGE_ID,"route":…,"queue":…,"condition":"Success",
 *                      "approximateInvokeCount":1},
 *    "requestPayload":BODY,
 *    "responseContext":{"statusCode":201},
 *    "responsePayload":ANSWER}
 *
 * Payloads are the JSON they are, else a string (bytes that are no UTF-8 become U+FFFD). Without an
 * answer responseContext has "error" instead of statusCode; for a message that this process did not
 * call it is null. Bounded: see destination_record_write(). Pure.
 */
#ifndef SLUICE_DELIVER_DESTINATION_RECORD_H
#define SLUICE_DELIVER_DESTINATION_RECORD_H

#include "sluice/base/buf.h"
#include "sluice/base/clock.h"
#include "sluice/flow/message.h"

#define DESTINATION_RECORD_MAX ((size_t)1 << 20) /* what SQS takes */
#define DESTINATION_ANSWER_MAX ((size_t)64 << 10)

struct destination_record {
    wall_ms at;
    struct str message_id, route, queue, body;
    enum give_up give_up; /* NONE: delivered */
    uint32_t attempts;
    bool called;       /* in this process */
    int status;        /* of the last call, 0: it had no answer */
    const char *error; /* why it had none: code, and text where there is */
    struct str answer; /* its body */
    bool answer_cut;   /* there was more of it */
    bool lean;         /* without payloads: with them it was refused */
};

/* What Lambda calls it where it has a word for it: "Success", "RetriesExhausted",
 * "EventAgeExceeded"; "Refused", "UnknownResult" are sluice's. */
const char *destination_condition(enum give_up why);
/* Appends the record; out's maximum bounds it. What has no room is left out and said to be: the
 * request's payload ("payloadOmitted":true), then the answer's too. ERR_TOO_BIG, ERR_NOMEM. */
SL_MUST_CHECK int destination_record_write(const struct destination_record *record,
                                           struct buf *out);
/* "2026-01-02T03:04:05.678Z" */
#define DESTINATION_TIME_SIZE 32
void destination_time(wall_ms at, char out[DESTINATION_TIME_SIZE]);
/* The longest prefix of at most max bytes that cuts no UTF-8 sequence in two. */
struct str destination_cut(struct str text, size_t max);

#endif
