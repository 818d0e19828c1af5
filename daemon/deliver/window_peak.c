#include "delivery_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

/* One more than a correct limiter can ever need, so that a violation is seen and counted. */
void window_peak_init(struct window_peak *peak, uint32_t requests, int64_t per_ns)
{
    uint32_t capacity = requests + requests / 2 + 16;
    mono_ns *stamps = MEM_NEW_ARRAY(capacity, mono_ns);
    uint32_t keep = peak->count < capacity ? peak->count : capacity;

    for (uint32_t i = 0; i < keep; i++) {
        stamps[i] = peak->stamps[(peak->first + peak->count - keep + i) % peak->capacity];
    }
    free(peak->stamps);
    peak->stamps = stamps;
    peak->first = 0;
    peak->count = keep;
    peak->capacity = capacity;
    peak->per_ns = per_ns;
    peak->peak = 0; /* of the quota in force */
}

void window_peak_done(struct window_peak *peak)
{
    free(peak->stamps);
}

void window_peak_add(struct window_peak *peak, uint32_t weight, mono_ns now)
{
    while (peak->count > 0 && peak->stamps[peak->first] <= now - peak->per_ns) {
        peak->first = (peak->first + 1) % peak->capacity;
        peak->count--;
    }
    for (uint32_t i = 0; i < weight && peak->count < peak->capacity; i++) {
        peak->stamps[(peak->first + peak->count) % peak->capacity] = now;
        peak->count++;
    }
    if (peak->count > peak->peak) {
        peak->peak = peak->count;
    }
}
