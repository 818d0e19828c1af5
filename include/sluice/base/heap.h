/*
 * heap: intrusive binary min-heap of deadlines. A node knows its place, so it can be moved or
 * removed from the middle in O(log n). Equal keys come out in the order they were added.
 * The array of pointers grows (aborts without memory); heap_reserve makes later adds
 * allocation-free.
 */
#ifndef SLUICE_BASE_HEAP_H
#define SLUICE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;       /* deadline in ns (or whatever the owner orders by) */
    uint64_t sequence; /* private: ties */
    size_t place;      /* private: 0 = not in a heap, else index + 1 */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
    uint64_t next_sequence;
};

void heap_init(struct heap *heap);
void heap_done(struct heap *heap); /* does not touch the nodes */
void heap_reserve(struct heap *heap, size_t capacity);
void heap_add(struct heap *heap, struct heap_node *node, int64_t key);
void heap_remove(struct heap *heap, struct heap_node *node); /* no-op when it is in no heap */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key); /* adds or moves */
struct heap_node *heap_first(const struct heap *heap);                 /* NULL when empty */
bool heap_is_linked(const struct heap_node *node);

#endif
