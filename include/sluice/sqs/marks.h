/*
 * marks: what a dead letter says of itself, as message attributes: why it was given up, what the
 * target answered last, how often it was called and when, and where it comes from.
 *
 * The sender's attributes all stay; marks are added in the order of the list as far as there is
 * room (SQS allows ten attributes a message, and its size bounds them). Marks of an earlier time
 * are replaced. Pure.
 */
#ifndef SLUICE_SQS_MARKS_H
#define SLUICE_SQS_MARKS_H

#include "sluice/base/err.h"
#include "sluice/base/mem.h"
#include "sluice/sqs/types.h"

/* The most telling first. */
#define SQS_MARK_MAP(XX)                                                                           \
    XX(REASON, "Sluice-Reason", "String")                                                          \
    XX(STATUS, "Sluice-Status", "Number") /* HTTP, of the last attempt that was answered */        \
    XX(ERROR, "Sluice-Error", "String")   /* of the last attempt: code, and text where there is */ \
    XX(ATTEMPTS, "Sluice-Attempts", "Number")         /* that counted */                           \
    XX(LAST_ATTEMPT, "Sluice-Last-Attempt", "String") /* ISO 8601, UTC */                          \
    XX(FIRST_ATTEMPT, "Sluice-First-Attempt", "String")                                            \
    XX(ROUTE, "Sluice-Route", "String")                                                            \
    XX(QUEUE, "Sluice-Queue", "String") /* it came from: name, or URL */

enum sqs_mark {
#define XX(name, wire, type) SQS_MARK_##name,
    SQS_MARK_MAP(XX)
#undef XX
        SQS_MARK__COUNT
};
const char *sqs_mark_name(enum sqs_mark mark);

struct sqs_marks {
    struct str values[SQS_MARK__COUNT]; /* borrowed; STR_NONE: not said */
};

/* The attributes with the marks. room_bytes: what attributes may take in all (the queue's maximum
 * less the body). A value that SQS would not take as text is left out. *ret: strings borrowed from
 * both, the array lies in the arena. ERR_NOMEM. */
SL_MUST_CHECK int sqs_marks_add(const struct sqs_attributes *theirs, const struct sqs_marks *marks,
                                size_t room_bytes, struct arena *arena, struct sqs_attributes *ret);

#endif
