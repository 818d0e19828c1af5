/*
 * map: string → pointer, open addressing, SipHash-free FNV with a per-map seed, bounded count.
 * Keys are copied. Iteration in insertion order is not promised; use map_each.
 */
#ifndef SLUICE_BASE_MAP_H
#define SLUICE_BASE_MAP_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

struct map_slot {
    char *key; /* NULL: empty */
    size_t key_len;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_slot *slots;
    size_t count, capacity, max_count;
    uint64_t seed;
};

void map_init(struct map *map, size_t max_count, uint64_t seed);
void map_done(struct map *map); /* does not touch the values */
/* ERR_FULL beyond max_count; replaces an existing value. */
SL_MUST_CHECK int map_set(struct map *map, struct str key, void *value);
void *map_get(const struct map *map, struct str key); /* NULL when absent */
void *map_remove(struct map *map, struct str key);    /* the value, or NULL */
/* Walks all entries: start with *cursor = 0; false at the end. No change while walking. */
bool map_each(const struct map *map, size_t *cursor, struct str *ret_key, void **ret_value);

#endif
