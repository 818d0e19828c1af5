/*
 * keyed: a limit that holds for every value of a key on its own (a tenant, a customer): a bounded
 * table of limits, one for each live key, made when it is first asked for.
 *
 * A new key's limit is as cold as the process, not as the key: it starts as one that was made with
 * the table and never used. That is why an entry whose limit is in that state again may be given to
 * another key without loss: nothing of the old one is forgotten. Any other entry stays; when all of
 * them are live a new key is refused until the first one is not.
 *
 * Memory: keys_max entries, each with a key of at most LIMIT_KEY_MAX bytes and 16 bytes a permit.
 * Pure, one thread. Nothing is allocated for a key whose entry is known.
 */
#ifndef SLUICE_LIMIT_KEYED_H
#define SLUICE_LIMIT_KEYED_H

#include "sluice/base/heap.h"
#include "sluice/base/list.h"
#include "sluice/base/str.h"
#include "sluice/limit/limit.h"

#define LIMIT_KEY_MAX  256u /* bytes that are kept of a key; see limit_key_bounded */
#define LIMIT_KEYS_MAX 1000000u
/* All permits of a table: requests (or burst) × keys_max. */
#define LIMIT_KEYED_PERMITS_MAX 10000000u

struct limit_keyed;

struct limit_key {
    struct limit *limit;
    struct list waiting; /* the user's: what waits for an event of this limit */
    /* private */
    struct limit_keyed *of;
    struct list_node node;
    struct heap_node idle; /* while nobody refers to it: since when it is as new */
    char *name;
    size_t name_len;
    uint32_t references;
};

/* Starts cold at now. Errors: as limit_new; ERR_RANGE: keys_max, or the permits of so many. */
SL_MUST_CHECK int limit_keyed_new(const struct limit_config *config, uint32_t keys_max, mono_ns now,
                                  struct limit_keyed **ret);
/* Nobody may refer to an entry any more. */
void limit_keyed_free(struct limit_keyed *keyed);

/* The entry of the key, with a reference for the caller, who keeps it while a call of the key waits
 * or holds a permit. NULL: all entries are live; *ret_at: when to ask again (MONO_NEVER: after
 * a limit_key_unref). */
struct limit_key *limit_keyed_get(struct limit_keyed *keyed, struct str key, mono_ns now,
                                  mono_ns *ret_at);
void limit_key_unref(struct limit_key *entry); /* NULL is fine */

/* New N, W …, for all keys: as limit_resize, and ERR_RANGE as above. */
SL_MUST_CHECK int limit_keyed_resize(struct limit_keyed *keyed, const struct limit_config *config,
                                     mono_ns now);
const struct limit_config *limit_keyed_config(const struct limit_keyed *keyed);
uint32_t limit_keyed_count(const struct limit_keyed *keyed); /* entries in the table */

/* limit_dry_run_delayed() of all keys there ever were. */
uint64_t limit_keyed_delayed(const struct limit_keyed *keyed);

/* The same key, or one of LIMIT_KEY_MAX bytes that stands for it: its beginning and its SHA-256. */
struct str limit_key_bounded(struct str key, char out[LIMIT_KEY_MAX]);

#endif
