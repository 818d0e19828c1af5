/*
 * destination_send: one record on its way to a destination. The structure is the caller's, zeroed
 * before its first use, and in use from destination_send() to its done.
 */
#ifndef SLUICE_DELIVER_DESTINATION_SEND_H
#define SLUICE_DELIVER_DESTINATION_SEND_H

#include "sluice/base/trace_context.h"
#include "sluice/deliver/destinations.h"
#include "sluice/queue/store.h"

#define DESTINATION_KEY_SIZE 160

struct destination_send {
    /* The record, when its turn has come: those that wait take no memory. Borrowed until done. */
    struct str (*record)(void *context);
    struct str message_id, group;
    const struct trace_context *trace;
    struct str trace_header; /* AWSTraceHeader, or STR_NONE */
    const char *condition;   /* "success", "failure": with the id it names the record for ever */
    /* Exactly once, never before destination_send() returned. refused: it will never be taken as it
     * is (too big, not what the queue allows). reason: a person's, valid inside; no secrets. */
    void (*done)(void *context, int error, bool refused, const char *reason, mono_ns now);
    void *context; /* of both */
    /* private */
    mono_ns since; /* it waits */
    struct list_node node;
    struct destination *destination;
    struct loop_timer not_started;
    int error;
    struct store_request request;
    struct arena arena;
    struct sqs_send_message_in input;
    struct sqs_attribute attribute, system_attribute;
    char key[DESTINATION_KEY_SIZE], traceparent[TRACE_PARENT_LEN + 1];
};

void destination_send(struct destination *destination, struct destination_send *send);
/* For people: its queue's name or URL; of a URL to post to only the host. */
const char *destination_name(const struct destination *destination);

#endif
