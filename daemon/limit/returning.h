/*
 * returning: the permits on their way back: a binary min-heap of (due, weight) in one array that
 * only a resize of the limit grows. Private to limit/.
 */
#ifndef SLUICE_LIMIT_RETURNING_H
#define SLUICE_LIMIT_RETURNING_H

#include "sluice/base/clock.h"

#include <stdint.h>

struct returning_entry {
    mono_ns due;
    uint32_t weight;
};

struct returning {
    struct returning_entry *entries;
    uint32_t count, capacity;
    uint32_t units; /* sum of the weights */
};

void returning_init(struct returning *r, uint32_t capacity);
void returning_done(struct returning *r);
/* Never smaller than before. */
void returning_reserve(struct returning *r, uint32_t capacity);
/* The capacity must suffice: a limit never has more entries than permits. */
void returning_add(struct returning *r, mono_ns due, uint32_t weight);
/* MONO_NEVER when empty. */
mono_ns returning_first_due(const struct returning *r);
struct returning_entry returning_pop(struct returning *r);
/* Every due later by that much. */
void returning_delay(struct returning *r, int64_t delay_ns);

#endif
