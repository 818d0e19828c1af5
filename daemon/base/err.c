#include "sluice/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

const char *err_name(int code)
{
    switch (code) {
    case ERR_OK:
        return "OK";
#define XX(name, number, text, class)                                                              \
    case ERR_##name:                                                                               \
        return #name;
        SLUICE_ERR_MAP(XX)
#undef XX
    default:
        return "UNKNOWN";
    }
}

const char *err_text(int code)
{
    switch (code) {
    case ERR_OK:
        return "ok";
#define XX(name, number, text, class)                                                              \
    case ERR_##name:                                                                               \
        return text;
        SLUICE_ERR_MAP(XX)
#undef XX
    default:
        return "unknown error";
    }
}

enum err_class err_class(int code)
{
    switch (code) {
    case ERR_OK:
        return ERR_CLASS_NONE;
#define XX(name, number, text, class)                                                              \
    case ERR_##name:                                                                               \
        return ERR_CLASS_##class;
        SLUICE_ERR_MAP(XX)
#undef XX
    default:
        return ERR_CLASS_BUG;
    }
}

int err_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:
        return ERR_OK;
    case ENOMEM:
        return ERR_NOMEM;
    case EINVAL:
    case ENAMETOOLONG:
        return ERR_INVALID;
    case ERANGE:
    case EOVERFLOW:
        return ERR_RANGE;
    case EFBIG:
    case E2BIG:
    case EMSGSIZE:
        return ERR_TOO_BIG;
    case EEXIST:
        return ERR_DUPLICATE;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EAGAIN:
    case EBUSY:
    case EADDRINUSE:
    case ETXTBSY:
        return ERR_BUSY;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return ERR_FULL;
    case EROFS:
        return ERR_READ_ONLY;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_CONNECT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return ERR_RESET;
    case EPROTO:
        return ERR_PROTOCOL;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return ERR_UNSUPPORTED;
    default:
        return ERR_IO;
    }
}

/* What did not fit may have ended inside a character: half of one is no text. */
static void cut_at_character(char *text)
{
    size_t len = strlen(text), start = len;

    while (start > 0 && len - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0) {
        unsigned char lead = (unsigned char)text[start - 1];
        size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        if (len - start + 1 < wanted) {
            text[start - 1] = '\0';
        }
    }
}

int error_set(struct error *e, int code, const char *where, const char *format, ...)
{
    if (e == NULL) {
        return code;
    }
    e->code = code;
    /* where may lie in *e itself: a caller that extends a deeper error passes its place on. */
    if (where != e->where) {
        (void)snprintf(e->where, sizeof(e->where), "%s", where == NULL ? "" : where);
    }
    va_list args;
    va_start(args, format);
    char text[sizeof(e->text)];
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cut_at_character(text);
    (void)snprintf(e->text, sizeof(e->text), "%s", text);
    return code;
}

void err_assert_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "sluice: assertion failed at %s:%d: %s\n", file, line, expression);
    abort();
}
