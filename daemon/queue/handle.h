/*
 * handle: receipt handles. Opaque to clients: row, receive token and a checksum over both and the
 * queue's name, so that garbage, a cut handle and another queue's handle are told from an outdated
 * one.
 */
#ifndef SLUICE_QUEUE_HANDLE_H
#define SLUICE_QUEUE_HANDLE_H

#include "sluice/base/mem.h"
#include "sluice/base/str.h"

struct handle {
    int64_t row_id, token;
};

/* STR_NONE when the arena is full. */
struct str handle_write(const struct handle *handle, struct str queue, struct arena *arena);
/* ERR_SYNTAX when it is none of this queue. */
SL_MUST_CHECK int handle_read(struct str text, struct str queue, struct handle *ret);

#endif
