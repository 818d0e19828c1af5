/*
 * words: a line in words as a POSIX shell would read it (Python's shlex.split): white space parts
 * them, '…' is literal, "…" knows \" and \\, a backslash elsewhere takes the next byte. No
 * expansion of anything. Pure.
 */
#ifndef SLUICE_BASE_WORDS_H
#define SLUICE_BASE_WORDS_H

#include "sluice/base/err.h"
#include "sluice/base/mem.h"
#include "sluice/base/str.h"

#include <stdint.h>

#define WORDS_MAX 64

/* Words in the arena, each NUL-terminated. ERR_SYNTAX: a quotation mark without its end, a
 * backslash at the end. ERR_TOO_BIG: more than WORDS_MAX. ERR_NOMEM. */
SL_MUST_CHECK int words_split(struct str line, struct arena *arena, struct str ret[WORDS_MAX],
                              uint32_t *ret_count);

#endif
