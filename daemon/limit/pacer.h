/*
 * pacer: GCRA (ITU-T I.371, virtual scheduling) of one interval T = W/N rounded up. It decides how
 * evenly calls are spread, never how many. Private to the room.
 */
#ifndef SLUICE_LIMIT_PACER_H
#define SLUICE_LIMIT_PACER_H

#include "sluice/base/clock.h"

struct pacer {
    int64_t interval_ns;  /* T */
    int64_t tolerance_ns; /* how far a late call may be caught up with */
    mono_ns next;         /* when the next call is due; it may start tolerance_ns earlier */
};

void pacer_init(struct pacer *pacer, int64_t interval_ns);
/* Earliest start of the next call. */
mono_ns pacer_at(const struct pacer *pacer);
void pacer_take(struct pacer *pacer, uint32_t weight, mono_ns now);
/* What was taken was for nothing, and costs no time. */
void pacer_return(struct pacer *pacer, uint32_t weight);
void pacer_resize(struct pacer *pacer, int64_t interval_ns, mono_ns now);

#endif
