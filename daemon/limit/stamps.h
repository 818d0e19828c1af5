/*
 * stamps: a min-heap of {time, units} in one array of fixed capacity. Nothing is allocated between
 * stamps_init and stamps_reserve. Private to the room.
 */
#ifndef SLUICE_LIMIT_STAMPS_H
#define SLUICE_LIMIT_STAMPS_H

#include "sluice/base/clock.h"

#include <stdint.h>

struct stamp {
    mono_ns at;
    uint32_t units;
};

struct stamps {
    struct stamp *items;
    uint32_t count, capacity;
    uint64_t units; /* sum over all items */
};

void stamps_init(struct stamps *stamps, uint32_t capacity);
void stamps_done(struct stamps *stamps);
/* Room for that many items in all; never shrinks. */
void stamps_reserve(struct stamps *stamps, uint32_t capacity);
void stamps_push(struct stamps *stamps, mono_ns at, uint32_t units);
/* Takes up to max units off the earliest item and says how many and of when. Not when empty. */
uint32_t stamps_pop(struct stamps *stamps, uint32_t max, mono_ns *ret_at);
/* MONO_NEVER when empty. */
mono_ns stamps_first(const struct stamps *stamps);
/* Units of items with at <= until, counted up to `enough`; visits no more than it must. *ret_next:
 * the earliest later item (MONO_NEVER: none), only when fewer than enough were found. */
uint64_t stamps_until(const struct stamps *stamps, mono_ns until, uint64_t enough,
                      mono_ns *ret_next);

#endif
