#include "sluice/base/heap.h"

#include "sluice/base/err.h"
#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define HEAP_FIRST_CAPACITY ((size_t)16)

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_done(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

void heap_reserve(struct heap *heap, size_t capacity)
{
    if (capacity <= heap->capacity) {
        return;
    }
    struct heap_node **nodes = MEM_NEW_ARRAY(capacity, struct heap_node *);
    if (heap->count > 0) {
        memcpy(nodes, heap->nodes, heap->count * sizeof(struct heap_node *));
    }
    free(heap->nodes);
    heap->nodes = nodes;
    heap->capacity = capacity;
}

static bool node_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void heap_put(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void heap_sift_up(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!node_before(node, heap->nodes[parent])) {
            break;
        }
        heap_put(heap, index, heap->nodes[parent]);
        index = parent;
    }
    heap_put(heap, index, node);
}

static void heap_sift_down(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && node_before(heap->nodes[child + 1], heap->nodes[child])) {
            child++;
        }
        if (!node_before(heap->nodes[child], node)) {
            break;
        }
        heap_put(heap, index, heap->nodes[child]);
        index = child;
    }
    heap_put(heap, index, node);
}

void heap_add(struct heap *heap, struct heap_node *node, int64_t key)
{
    SL_ASSERT(node->place == 0);
    if (heap->count == heap->capacity) {
        heap_reserve(heap, heap->capacity == 0 ? HEAP_FIRST_CAPACITY : heap->capacity * 2);
    }
    node->key = key;
    node->sequence = heap->next_sequence++;
    heap->nodes[heap->count] = node;
    heap_sift_up(heap, heap->count++);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    size_t index = node->place - 1;
    SL_ASSERT(index < heap->count && heap->nodes[index] == node);
    node->place = 0;
    struct heap_node *last = heap->nodes[--heap->count];
    if (last == node) {
        return;
    }
    heap_put(heap, index, last);
    heap_sift_up(heap, index);
    heap_sift_down(heap, last->place - 1);
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    if (node->place == 0) {
        heap_add(heap, node, key);
        return;
    }
    size_t index = node->place - 1;
    SL_ASSERT(index < heap->count && heap->nodes[index] == node);
    node->key = key;
    /* Moved counts as added now: otherwise a timer set again to the same instant would overtake. */
    node->sequence = heap->next_sequence++;
    heap_sift_up(heap, index);
    heap_sift_down(heap, node->place - 1);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

bool heap_is_linked(const struct heap_node *node)
{
    return node->place != 0;
}
