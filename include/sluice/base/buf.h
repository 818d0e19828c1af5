/*
 * buf: a growable byte buffer that cannot be made without a maximum. Appends are must-check; after
 * a failed append the buffer is marked failed and every later append fails too, so a writer may
 * check once at the end with buf_failed(). Content is always NUL-terminated (not counted in len).
 */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdarg.h>

struct buf {
    char *ptr; /* never NULL to read: "" when empty through buf_str() */
    size_t len, cap, max_bytes;
    int failed; /* 0 or the error of the first failed append */
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_done(struct buf *buf);  /* frees; the buffer may be used again after buf_init */
void buf_reset(struct buf *buf); /* empties, keeps the memory, clears failed */
/* The appends: ERR_TOO_BIG, ERR_NOMEM. Ignoring the result is allowed when buf_failed() is asked.
 */
int buf_append(struct buf *buf, const void *ptr, size_t len);
int buf_add(struct buf *buf, struct str s);
int buf_addc(struct buf *buf, char c);
int buf_adds(struct buf *buf, const char *c_string);
int buf_addf(struct buf *buf, const char *format, ...) SL_PRINTF(2, 3);
int buf_addv(struct buf *buf, const char *format, va_list args) SL_PRINTF(2, 0);
/* Room for len more bytes at the end: pointer to write to, then buf_commit(). NULL when too big. */
char *buf_reserve(struct buf *buf, size_t len);
void buf_commit(struct buf *buf, size_t len);
/* Forgets what lies beyond the first len bytes (len <= buf->len). */
void buf_truncate(struct buf *buf, size_t len);
/* Removes the first len bytes. */
void buf_consume(struct buf *buf, size_t len);
int buf_failed(const struct buf *buf);
struct str buf_str(const struct buf *buf);
/* Moves the memory out (caller frees with free()); the buffer is empty afterwards. */
char *buf_take(struct buf *buf, size_t *ret_len);

#endif
