#include "sluice/base/mem.h"

#include "sluice/base/err.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_BYTES ((size_t)4096)

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

static _Noreturn void mem_exhausted(size_t count, size_t size)
{
    (void)fprintf(stderr, "sluice: out of memory (%zu x %zu bytes)\n", count, size);
    abort();
}

void *mem_zalloc(size_t count, size_t size)
{
    /* calloc(0) may return NULL, which is no failure: ask for one byte instead. */
    void *ptr = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (ptr == NULL) {
        mem_exhausted(count, size);
    }
    return ptr;
}

char *mem_dup(const char *ptr, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : malloc(len + 1);
    if (copy == NULL) {
        mem_exhausted(1, len);
    }
    if (len > 0) {
        memcpy(copy, ptr, len);
    }
    copy[len] = '\0';
    return copy;
}

void arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){.max_bytes = max_bytes};
}

void arena_done(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena->blocks = NULL;
    arena->used_bytes = 0;
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks; block != NULL; block = block->next) {
        explicit_bzero(block->bytes, block->used);
    }
}

static struct arena_block *arena_block_new(struct arena *arena, size_t size)
{
    size_t block_size = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
    struct arena_block *block = malloc(sizeof(*block) + block_size);
    if (block == NULL) {
        return NULL;
    }
    block->used = 0;
    block->size = block_size;
    /* A large piece fills its own block: put it second, so the room left in the first is used. */
    if (size > ARENA_BLOCK_BYTES && arena->blocks != NULL) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX - sizeof(struct arena_block) - align) {
        return NULL;
    }
    size_t rounded = (size + align - 1) & ~(align - 1);
    if (rounded > arena->max_bytes - arena->used_bytes) {
        return NULL;
    }
    struct arena_block *block = arena->blocks;
    if (block == NULL || rounded > block->size - block->used) {
        block = arena_block_new(arena, rounded);
        if (block == NULL) {
            return NULL;
        }
    }
    void *ptr = block->bytes + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    memset(ptr, 0, rounded);
    return ptr;
}

char *arena_dup(struct arena *arena, const char *ptr, size_t len)
{
    if (len == SIZE_MAX) {
        return NULL;
    }
    char *copy = arena_alloc(arena, len + 1);
    if (copy != NULL && len > 0) {
        memcpy(copy, ptr, len);
    }
    return copy;
}
