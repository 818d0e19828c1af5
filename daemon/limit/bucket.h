/*
 * bucket: GCRA that starts empty, in which a call whose arrival is not certain counts as arriving
 * now. Private to the room; the caller has made sure that time does not go back.
 */
#ifndef SLUICE_LIMIT_BUCKET_H
#define SLUICE_LIMIT_BUCKET_H

#include "stamps.h"

#include "sluice/limit/limit.h"

struct bucket {
    uint32_t burst;
    int64_t interval_ns; /* T: one token */
    int64_t guard_ns;    /* an arrival is charged at most this much later */
    mono_ns empty_until; /* after a start: no token comes in before */
    mono_ns tat;         /* theoretical arrival time: when the bucket is full */
    uint64_t held;       /* tokens of calls that are not known to have arrived */
    struct stamps lost;  /* of these: calls that arrive by that time, or never */
};

/* Empty at quiet_at, and no token comes in before. */
void bucket_init(struct bucket *bucket, const struct limit_config *config, int64_t interval_ns,
                 mono_ns quiet_at);
/* That many calls have arrived at `at`, later than all before. */
void bucket_restore(struct bucket *bucket, uint64_t units, mono_ns at);
void bucket_done(struct bucket *bucket);
struct limit_verdict bucket_check(struct bucket *bucket, uint32_t weight, mono_ns now);
void bucket_take(struct bucket *bucket, uint32_t weight);
void bucket_arrived(struct bucket *bucket, uint32_t weight, mono_ns arrival);
/* Not certain, but it has arrived by the time `by` if it ever does. */
void bucket_unknown(struct bucket *bucket, uint32_t weight, mono_ns by);
void bucket_refund(struct bucket *bucket, uint32_t weight);
/* Tokens in the bucket stay; a deeper one is not filled up by that. */
void bucket_resize(struct bucket *bucket, const struct limit_config *config, int64_t interval_ns,
                   mono_ns now);
/* When it is full again at the latest; MONO_NEVER while calls may arrive at any time. */
mono_ns bucket_full_at(const struct bucket *bucket);
/* At that time it holds one token, at most. */
void bucket_drain(struct bucket *bucket, mono_ns at);
uint32_t bucket_free_permits(struct bucket *bucket, mono_ns now);

#endif
