#include "returning.h"

#include "sluice/base/err.h"
#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

void returning_init(struct returning *r, uint32_t capacity)
{
    r->entries = MEM_NEW_ARRAY(capacity, struct returning_entry);
    r->capacity = capacity;
    r->count = r->units = 0;
}

void returning_done(struct returning *r)
{
    free(r->entries);
    r->entries = NULL;
}

void returning_reserve(struct returning *r, uint32_t capacity)
{
    struct returning_entry *entries;

    if (capacity <= r->capacity) {
        return;
    }
    entries = MEM_NEW_ARRAY(capacity, struct returning_entry);
    memcpy(entries, r->entries, r->count * sizeof(*entries));
    free(r->entries);
    r->entries = entries;
    r->capacity = capacity;
}

void returning_add(struct returning *r, mono_ns due, uint32_t weight)
{
    uint32_t i = r->count++;

    SL_ASSERT(r->count <= r->capacity);
    r->units += weight;
    /* Dues come nearly in order, so this loop usually ends at once. */
    while (i > 0 && r->entries[(i - 1) / 2].due > due) {
        r->entries[i] = r->entries[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    r->entries[i] = (struct returning_entry){due, weight};
}

mono_ns returning_first_due(const struct returning *r)
{
    return r->count > 0 ? r->entries[0].due : MONO_NEVER;
}

struct returning_entry returning_pop(struct returning *r)
{
    struct returning_entry first = r->entries[0];
    struct returning_entry last = r->entries[--r->count];
    uint32_t i = 0;

    for (uint32_t child = 1; child < r->count; child = 2 * i + 1) {
        if (child + 1 < r->count && r->entries[child + 1].due < r->entries[child].due) {
            child++;
        }
        if (last.due <= r->entries[child].due) {
            break;
        }
        r->entries[i] = r->entries[child];
        i = child;
    }
    if (r->count > 0) {
        r->entries[i] = last;
    }
    r->units -= first.weight;
    return first;
}

void returning_delay(struct returning *r, int64_t delay_ns)
{
    for (uint32_t i = 0; i < r->count; i++) {
        r->entries[i].due = mono_add(r->entries[i].due, delay_ns); /* the order of a heap is kept */
    }
}
