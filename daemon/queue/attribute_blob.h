/*
 * attribute_blob: message attributes as one column. Format 1: the byte 1; then for each attribute
 * the transport byte (1 text, 2 bytes) and name, type and value, each as a big-endian u32 length
 * and its bytes.
 */
#ifndef SLUICE_QUEUE_ATTRIBUTE_BLOB_H
#define SLUICE_QUEUE_ATTRIBUTE_BLOB_H

#include "sluice/base/mem.h"
#include "sluice/sqs/types.h"

/* STR_NONE in *ret when there are none. ERR_NOMEM: the arena is full. */
SL_MUST_CHECK int attribute_blob_write(const struct sqs_attributes *attributes, struct arena *arena,
                                       struct str *ret);
/* Parts are borrowed from blob, the array lies in the arena. ERR_CORRUPT, ERR_NOMEM. */
SL_MUST_CHECK int attribute_blob_read(struct str blob, struct arena *arena,
                                      struct sqs_attributes *ret);

#endif
