#include "sluice/limit/keyed.h"

#include "sluice/base/digest.h"
#include "sluice/base/map.h"
#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct limit_keyed {
    struct limit_config config;
    uint32_t keys_max;
    mono_ns started_at;
    struct map map;
    struct list all;
    struct heap idle; /* entries nobody refers to, by when they are as new */
};

struct str limit_key_bounded(struct str key, char out[LIMIT_KEY_MAX])
{
    if (key.len <= LIMIT_KEY_MAX) {
        return key;
    }
    const size_t begin = LIMIT_KEY_MAX - DIGEST_SHA256_BYTES;
    memcpy(out, key.ptr, begin);
    digest_sha256(key, (uint8_t *)out + begin);
    return (struct str){out, LIMIT_KEY_MAX};
}

static int check(const struct limit_config *config, uint32_t keys_max)
{
    int error = limit_config_check(config, NULL);

    if (error != 0) {
        return error;
    }
    uint64_t permits = config->kind == LIMIT_BUCKET ? config->burst : config->requests;
    bool fits = keys_max >= 1 && keys_max <= LIMIT_KEYS_MAX &&
                permits * keys_max <= LIMIT_KEYED_PERMITS_MAX;
    return fits ? 0 : ERR_RANGE;
}

int limit_keyed_new(const struct limit_config *config, uint32_t keys_max, mono_ns now,
                    struct limit_keyed **ret)
{
    int error = check(config, keys_max);

    if (error != 0) {
        return error;
    }
    struct limit_keyed *keyed = MEM_NEW(struct limit_keyed);
    keyed->config = *config;
    keyed->keys_max = keys_max;
    keyed->started_at = now;
    map_init(&keyed->map, keys_max, (uint64_t)now);
    list_init(&keyed->all);
    heap_init(&keyed->idle);
    *ret = keyed;
    return 0;
}

void limit_keyed_free(struct limit_keyed *keyed)
{
    if (keyed == NULL) {
        return;
    }
    LIST_FOR(&keyed->all, node)
    {
        struct limit_key *entry = LIST_ENTRY(node, struct limit_key, node);
        SL_ASSERT(entry->references == 0);
        limit_free(entry->limit);
        free(entry->name);
        free(entry);
    }
    map_done(&keyed->map);
    heap_done(&keyed->idle);
    free(keyed);
}

static struct str name_of(const struct limit_key *entry)
{
    return (struct str){entry->name, entry->name_len};
}

/* One that is as new; else a new one, while there is room. */
static struct limit_key *vacant(struct limit_keyed *keyed, mono_ns now, mono_ns *ret_at)
{
    struct heap_node *first = heap_first(&keyed->idle);

    *ret_at = first == NULL ? MONO_NEVER : first->key;
    if (first != NULL && first->key <= now) {
        struct limit_key *entry = SL_CONTAINER_OF(first, struct limit_key, idle);
        heap_remove(&keyed->idle, &entry->idle);
        (void)map_remove(&keyed->map, name_of(entry));
        free(entry->name);
        return entry;
    }
    if (keyed->all.count >= keyed->keys_max) {
        return NULL;
    }
    struct limit_key *entry = MEM_NEW(struct limit_key);
    int error = limit_new(&keyed->config, keyed->started_at, &entry->limit);
    SL_ASSERT(error == 0);
    entry->of = keyed;
    list_init(&entry->waiting);
    list_push(&keyed->all, &entry->node);
    return entry;
}

struct limit_key *limit_keyed_get(struct limit_keyed *keyed, struct str key, mono_ns now,
                                  mono_ns *ret_at)
{
    char bounded[LIMIT_KEY_MAX];

    key = limit_key_bounded(key, bounded);
    struct limit_key *entry = map_get(&keyed->map, key);
    if (entry == NULL) {
        entry = vacant(keyed, now, ret_at);
        if (entry == NULL) {
            return NULL;
        }
        entry->name = mem_dup(key.ptr, key.len);
        entry->name_len = key.len;
        int error = map_set(&keyed->map, name_of(entry), entry);
        SL_ASSERT(error == 0); /* there are never more keys than entries */
    }
    heap_remove(&keyed->idle, &entry->idle);
    entry->references++;
    return entry;
}

void limit_key_unref(struct limit_key *entry)
{
    if (entry == NULL) {
        return;
    }
    SL_ASSERT(entry->references > 0);
    if (--entry->references == 0) {
        SL_ASSERT(entry->waiting.count == 0);
        heap_add(&entry->of->idle, &entry->idle, limit_new_again_at(entry->limit));
    }
}

int limit_keyed_resize(struct limit_keyed *keyed, const struct limit_config *config, mono_ns now)
{
    int error = config->kind == keyed->config.kind ? check(config, keyed->keys_max) : ERR_INVALID;

    if (error != 0) {
        return error;
    }
    keyed->config = *config;
    LIST_FOR(&keyed->all, node)
    {
        struct limit_key *entry = LIST_ENTRY(node, struct limit_key, node);
        error = limit_resize(entry->limit, config, now);
        SL_ASSERT(error == 0);
        if (entry->references == 0) {
            heap_set(&keyed->idle, &entry->idle, limit_new_again_at(entry->limit));
        }
    }
    return 0;
}

const struct limit_config *limit_keyed_config(const struct limit_keyed *keyed)
{
    return &keyed->config;
}

uint32_t limit_keyed_count(const struct limit_keyed *keyed)
{
    return (uint32_t)keyed->all.count;
}

uint64_t limit_keyed_delayed(const struct limit_keyed *keyed)
{
    uint64_t sum = 0;

    LIST_FOR(&keyed->all, node)
    {
        sum += limit_dry_run_delayed(LIST_ENTRY(node, struct limit_key, node)->limit);
    }
    return sum;
}
