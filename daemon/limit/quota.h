/*
 * quota: N requests in a period of the calendar. It knows no calendar: it is told when periods
 * begin and end. Private to the room; the caller has made sure that time does not go back.
 */
#ifndef SLUICE_LIMIT_QUOTA_H
#define SLUICE_LIMIT_QUOTA_H

#include "sluice/limit/limit.h"

/* Calls that ended without certainty, and by when they have arrived if they ever do. */
struct quota_lost {
    uint64_t units;
    mono_ns until;
};

struct quota_period {
    struct limit_period when; /* id LIMIT_PERIOD_NONE: not known yet */
    uint64_t charged;         /* calls that arrived in it, or may have, or still may */
};

struct quota {
    uint32_t requests;
    struct quota_period periods[2]; /* this one and the next */
    bool next_open;                 /* calls count for the next one too */
    uint64_t held;                  /* calls under way */
    struct quota_lost lost[2];      /* an older and a newer lot */
};

void quota_init(struct quota *quota, uint32_t requests);
void quota_set_periods(struct quota *quota, const struct limit_period periods[2], mono_ns now);
/* Calls of an earlier process: in this period and the next; outstanding ones may arrive until
 * quiet_at, and count for both. */
void quota_restore(struct quota *quota, const uint64_t used[2], uint64_t outstanding,
                   mono_ns quiet_at);
struct limit_verdict quota_check(struct quota *quota, uint32_t weight, mono_ns now);
void quota_take(struct quota *quota, uint32_t weight, mono_ns now);
void quota_arrived(struct quota *quota, uint32_t weight, mono_ns arrival, mono_ns now);
void quota_unknown(struct quota *quota, uint32_t weight, mono_ns by, mono_ns now);
void quota_refund(struct quota *quota, uint32_t weight, mono_ns now);
uint32_t quota_free_permits(struct quota *quota, mono_ns now);
/* What a record says of it: calls not known to have arrived, and for each open period the others.
 */
void quota_record(struct quota *quota, struct limit_record *ret, mono_ns now);

#endif
