#include "stamps.h"

#include "sluice/base/err.h"
#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

void stamps_init(struct stamps *stamps, uint32_t capacity)
{
    *stamps = (struct stamps){.items = MEM_NEW_ARRAY(capacity, struct stamp), .capacity = capacity};
}

void stamps_done(struct stamps *stamps)
{
    free(stamps->items);
    *stamps = (struct stamps){0};
}

void stamps_reserve(struct stamps *stamps, uint32_t capacity)
{
    if (capacity <= stamps->capacity) {
        return;
    }
    struct stamp *items = MEM_NEW_ARRAY(capacity, struct stamp);
    if (stamps->count > 0) {
        memcpy(items, stamps->items, stamps->count * sizeof(*items));
    }
    free(stamps->items);
    stamps->items = items;
    stamps->capacity = capacity;
}

void stamps_push(struct stamps *stamps, mono_ns at, uint32_t units)
{
    SL_ASSERT(stamps->count < stamps->capacity && units > 0);
    struct stamp *items = stamps->items;
    uint32_t index = stamps->count++;

    while (index > 0 && items[(index - 1) / 2].at > at) {
        items[index] = items[(index - 1) / 2];
        index = (index - 1) / 2;
    }
    items[index] = (struct stamp){at, units};
    stamps->units += units;
}

static void remove_first(struct stamps *stamps)
{
    struct stamp *items = stamps->items;
    const struct stamp last = items[--stamps->count];
    uint32_t index = 0;

    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= stamps->count) {
            break;
        }
        if (child + 1 < stamps->count && items[child + 1].at < items[child].at) {
            child++;
        }
        if (items[child].at >= last.at) {
            break;
        }
        items[index] = items[child];
        index = child;
    }
    items[index] = last;
}

uint32_t stamps_pop(struct stamps *stamps, uint32_t max, mono_ns *ret_at)
{
    SL_ASSERT(stamps->count > 0 && max > 0);
    struct stamp *first = &stamps->items[0];
    uint32_t units = first->units;

    *ret_at = first->at;
    if (units > max) {
        units = max;
        first->units -= max;
    } else {
        remove_first(stamps);
    }
    stamps->units -= units;
    return units;
}

mono_ns stamps_first(const struct stamps *stamps)
{
    return stamps->count == 0 ? MONO_NEVER : stamps->items[0].at;
}

/* Preorder over the part of the heap that lies before `until`: children of even index are right
 * ones, so the way back needs no stack. */
uint64_t stamps_until(const struct stamps *stamps, mono_ns until, uint64_t enough,
                      mono_ns *ret_next)
{
    const struct stamp *items = stamps->items;
    uint64_t units = 0;
    uint64_t index = 0;
    mono_ns next = MONO_NEVER;

    for (;;) {
        if (index < stamps->count && items[index].at <= until) {
            units += items[index].units;
            if (units >= enough) {
                return units;
            }
            index = 2 * index + 1;
            continue;
        }
        if (index < stamps->count) {
            next = mono_min(next, items[index].at);
        }
        while (index > 0 && index % 2 == 0) {
            index = (index - 1) / 2;
        }
        if (index == 0) {
            *ret_next = next;
            return units;
        }
        index++;
    }
}
