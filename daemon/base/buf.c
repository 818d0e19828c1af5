#include "sluice/base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_BYTES ((size_t)64)

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_done(struct buf *buf)
{
    free(buf->ptr);
    buf->ptr = NULL;
    buf->len = 0;
    buf->cap = 0;
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = 0;
    if (buf->ptr != NULL) {
        buf->ptr[0] = '\0';
    }
}

/* Makes room for extra bytes and the NUL. */
static int buf_grow(struct buf *buf, size_t extra)
{
    if (buf->failed != 0) {
        return buf->failed;
    }
    if (extra > buf->max_bytes - buf->len || buf->max_bytes == SIZE_MAX) {
        buf->failed = ERR_TOO_BIG;
        return buf->failed;
    }
    size_t needed = buf->len + extra + 1;
    if (needed <= buf->cap) {
        return 0;
    }
    size_t cap = buf->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : buf->cap;
    while (cap < needed) {
        cap = cap > SIZE_MAX / 2 ? needed : cap * 2;
    }
    /* The last step stops at the maximum: memory is bounded by what was asked, not by twice it. */
    if (cap > buf->max_bytes + 1) {
        cap = buf->max_bytes + 1;
    }
    char *ptr = realloc(buf->ptr, cap);
    if (ptr == NULL) {
        buf->failed = ERR_NOMEM;
        return buf->failed;
    }
    buf->ptr = ptr;
    buf->cap = cap;
    return 0;
}

int buf_append(struct buf *buf, const void *ptr, size_t len)
{
    int rc = buf_grow(buf, len);
    if (rc != 0) {
        return rc;
    }
    if (len > 0) {
        memcpy(buf->ptr + buf->len, ptr, len);
    }
    buf->len += len;
    buf->ptr[buf->len] = '\0';
    return 0;
}

int buf_add(struct buf *buf, struct str s)
{
    return buf_append(buf, s.ptr, s.len);
}

int buf_addc(struct buf *buf, char c)
{
    return buf_append(buf, &c, 1);
}

int buf_adds(struct buf *buf, const char *c_string)
{
    return buf_append(buf, c_string, strlen(c_string));
}

int buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = buf_addv(buf, format, args);
    va_end(args);
    return rc;
}

int buf_addv(struct buf *buf, const char *format, va_list args)
{
    if (buf->failed != 0) {
        return buf->failed;
    }
    va_list again;
    va_copy(again, args);
    size_t room = buf->cap - buf->len;
    int len = vsnprintf(room > 0 ? buf->ptr + buf->len : NULL, room, format, args);
    int rc = len < 0 ? ERR_INVALID : 0;
    if (rc == 0 && (size_t)len >= room) {
        rc = buf_grow(buf, (size_t)len);
        if (rc == 0) {
            (void)vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, again);
        }
    }
    va_end(again);
    if (rc != 0) {
        buf->failed = rc;
        if (buf->ptr != NULL) {
            buf->ptr[buf->len] = '\0';
        }
        return rc;
    }
    buf->len += (size_t)len;
    return 0;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    return buf_grow(buf, len) == 0 ? buf->ptr + buf->len : NULL;
}

void buf_commit(struct buf *buf, size_t len)
{
    SL_ASSERT(len == 0 || (buf->cap > buf->len && len <= buf->cap - buf->len - 1));
    buf->len += len;
    if (buf->ptr != NULL) {
        buf->ptr[buf->len] = '\0';
    }
}

void buf_truncate(struct buf *buf, size_t len)
{
    SL_ASSERT(len <= buf->len);
    buf->len = len;
    if (buf->ptr != NULL) {
        buf->ptr[len] = '\0';
    }
}

void buf_consume(struct buf *buf, size_t len)
{
    SL_ASSERT(len <= buf->len);
    if (len == 0) {
        return;
    }
    memmove(buf->ptr, buf->ptr + len, buf->len - len);
    buf->len -= len;
    buf->ptr[buf->len] = '\0';
}

int buf_failed(const struct buf *buf)
{
    return buf->failed;
}

struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->ptr == NULL ? "" : buf->ptr, buf->len};
}

char *buf_take(struct buf *buf, size_t *ret_len)
{
    char *ptr = buf->ptr;
    if (ret_len != NULL) {
        *ret_len = buf->len;
    }
    buf->ptr = NULL;
    buf->len = 0;
    buf->cap = 0;
    return ptr;
}
