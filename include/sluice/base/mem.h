/*
 * mem: allocation. Policy, stated once: a small structure that cannot be allocated ends the process
 * (mem_new: never NULL, zeroed); whatever is sized by input goes through buf or arena and returns
 * ERR_NOMEM or ERR_TOO_BIG.
 */
#ifndef SLUICE_BASE_MEM_H
#define SLUICE_BASE_MEM_H

#include <stddef.h>

#define MEM_NEW(type)              ((type *)mem_zalloc(1, sizeof(type)))
#define MEM_NEW_ARRAY(count, type) ((type *)mem_zalloc((count), sizeof(type)))

/* Zeroed memory for count objects of size bytes; aborts when there is none or on overflow. */
void *mem_zalloc(size_t count, size_t size);
/* Copy of len bytes plus a NUL; aborts when there is no memory. Free with free(). */
char *mem_dup(const char *ptr, size_t len);

/*
 * arena: everything of one request, freed together. Owned by the request, one thread.
 * Never hands out more than max bytes in all; then, and when memory is short, returns NULL.
 */
struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used_bytes, max_bytes;
};
void arena_init(struct arena *arena, size_t max_bytes);
void arena_done(struct arena *arena);
void arena_wipe(struct arena *arena); /* overwrites what it holds: secrets, before arena_done */
void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for any type */
char *arena_dup(struct arena *arena, const char *ptr, size_t len); /* NUL-terminated copy */

#endif
