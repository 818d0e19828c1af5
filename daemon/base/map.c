#include "sluice/base/map.h"

#include <stdlib.h>
#include <string.h>

#define MAP_FIRST_CAPACITY ((size_t)16) /* capacities are powers of two */

void map_init(struct map *map, size_t max_count, uint64_t seed)
{
    *map = (struct map){.max_count = max_count, .seed = seed};
}

void map_done(struct map *map)
{
    for (size_t i = 0; i < map->capacity; i++) {
        free(map->slots[i].key);
    }
    free(map->slots);
    map->slots = NULL;
    map->count = 0;
    map->capacity = 0;
}

/* FNV-1a from a seeded start. The last mix brings the high bits into the low ones that pick the
   slot; without it keys could be made that share a slot under every seed. */
static uint64_t map_hash(const struct map *map, struct str key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ map->seed;
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (unsigned char)key.ptr[i]) * UINT64_C(0x100000001b3);
    }
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ (hash >> 33);
}

/* The slot of key, or the empty one where it would go. There is always an empty one. */
static struct map_slot *map_find(const struct map *map, struct str key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_slot *slot = &map->slots[i];
        if (slot->key == NULL ||
            (slot->hash == hash && str_equal((struct str){slot->key, slot->key_len}, key))) {
            return slot;
        }
    }
}

static int map_grow(struct map *map)
{
    size_t capacity = map->capacity == 0 ? MAP_FIRST_CAPACITY : map->capacity * 2;
    struct map_slot *slots = calloc(capacity, sizeof(slots[0]));
    if (slots == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].key == NULL) {
            continue;
        }
        size_t to = map->slots[i].hash & (capacity - 1);
        while (slots[to].key != NULL) {
            to = (to + 1) & (capacity - 1);
        }
        slots[to] = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->capacity = capacity;
    return 0;
}

static int map_insert(struct map *map, struct str key, uint64_t hash, void *value)
{
    if (map->count >= map->max_count) {
        return ERR_FULL;
    }
    /* At most three quarters full, so that runs stay short and searches end. */
    if (map->count + 1 > map->capacity - map->capacity / 4) {
        int rc = map_grow(map);
        if (rc != 0) {
            return rc;
        }
    }
    char *copy = key.len == SIZE_MAX ? NULL : malloc(key.len + 1);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    str_copy(copy, key.len + 1, key);
    *map_find(map, key, hash) =
        (struct map_slot){.key = copy, .key_len = key.len, .hash = hash, .value = value};
    map->count++;
    return 0;
}

int map_set(struct map *map, struct str key, void *value)
{
    uint64_t hash = map_hash(map, key);
    if (map->capacity > 0) {
        struct map_slot *slot = map_find(map, key, hash);
        if (slot->key != NULL) {
            slot->value = value;
            return 0;
        }
    }
    return map_insert(map, key, hash, value);
}

void *map_get(const struct map *map, struct str key)
{
    if (map->count == 0) {
        return NULL;
    }
    const struct map_slot *slot = map_find(map, key, map_hash(map, key));
    return slot->key == NULL ? NULL : slot->value;
}

void *map_remove(struct map *map, struct str key)
{
    if (map->count == 0) {
        return NULL;
    }
    struct map_slot *slot = map_find(map, key, map_hash(map, key));
    if (slot->key == NULL) {
        return NULL;
    }
    void *value = slot->value;
    free(slot->key);
    map->count--;
    /* Move later entries of the run back into the hole: no tombstones that pile up. */
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(slot - map->slots);
    for (size_t i = (hole + 1) & mask; map->slots[i].key != NULL; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct map_slot){0};
    return value;
}

bool map_each(const struct map *map, size_t *cursor, struct str *ret_key, void **ret_value)
{
    while (*cursor < map->capacity) {
        const struct map_slot *slot = &map->slots[(*cursor)++];
        if (slot->key != NULL) {
            *ret_key = (struct str){slot->key, slot->key_len};
            *ret_value = slot->value;
            return true;
        }
    }
    return false;
}
