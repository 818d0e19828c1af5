#include "handle.h"

#include "sluice/base/digest.h"

#include <string.h>

/* Hexadecimal: no character needs escaping in JSON, XML or a form. */
#define HANDLE_VERSION 1
#define RAW_BYTES      25 /* version, row 8, token 8, check 8 */
#define CHECK_AT       17
#define TEXT_BYTES     (2 * RAW_BYTES)

static void put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (56 - 8 * i));
    }
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* FNV-1a, 64 bits: against accidents; the token is what cannot be guessed. */
static uint64_t fnv(uint64_t hash, const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t check_of(const uint8_t *raw, struct str queue)
{
    return fnv(fnv(UINT64_C(0xcbf29ce484222325), raw, CHECK_AT), queue.ptr, queue.len);
}

struct str handle_write(const struct handle *handle, struct str queue, struct arena *arena)
{
    uint8_t raw[RAW_BYTES] = {HANDLE_VERSION};
    put_u64(raw + 1, (uint64_t)handle->row_id);
    put_u64(raw + 9, (uint64_t)handle->token);
    put_u64(raw + CHECK_AT, check_of(raw, queue));
    char *text = arena_alloc(arena, TEXT_BYTES + 1);
    if (text == NULL) {
        return STR_NONE;
    }
    digest_hex(raw, sizeof(raw), text);
    return (struct str){text, TEXT_BYTES};
}

int handle_read(struct str text, struct str queue, struct handle *ret)
{
    uint8_t raw[RAW_BYTES];
    if (text.len != TEXT_BYTES || digest_from_hex(text, raw, sizeof(raw)) != 0 ||
        raw[0] != HANDLE_VERSION || get_u64(raw + CHECK_AT) != check_of(raw, queue)) {
        return ERR_SYNTAX;
    }
    ret->row_id = (int64_t)get_u64(raw + 1);
    ret->token = (int64_t)get_u64(raw + 9);
    return 0;
}
