/*
 * err: the one list of error codes. A fallible function returns 0 or one of these negative codes
 * and is SL_MUST_CHECK. Detail for a human (configuration, start-up, CLI) travels in a
 * caller-owned struct error. Verdicts (limit says "wait", message says "retry") are not errors.
 */
#ifndef SLUICE_BASE_ERR_H
#define SLUICE_BASE_ERR_H

#include <stddef.h>

#define SL_MUST_CHECK        __attribute__((warn_unused_result))
#define SL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* class: what a caller may do about it. */
enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_TRANSIENT, /* the same call may succeed later */
    ERR_CLASS_PERMANENT, /* the same call will fail again */
    ERR_CLASS_CANCELED,  /* the caller's own wish */
    ERR_CLASS_BUG,       /* should not happen */
};

/* XX(NAME, number, text, class) */
#define SLUICE_ERR_MAP(XX)                                                                         \
    XX(NOMEM, 1, "out of memory", TRANSIENT)                                                       \
    XX(INVALID, 2, "invalid value", PERMANENT)                                                     \
    XX(RANGE, 3, "value out of range", PERMANENT)                                                  \
    XX(SYNTAX, 4, "malformed input", PERMANENT)                                                    \
    XX(TOO_BIG, 5, "larger than its maximum", PERMANENT)                                           \
    XX(TOO_DEEP, 6, "nested too deeply", PERMANENT)                                                \
    XX(DUPLICATE, 7, "already there", PERMANENT)                                                   \
    XX(NOT_FOUND, 8, "not found", PERMANENT)                                                       \
    XX(NUL_CHARACTER, 9, "contains a NUL character", PERMANENT)                                    \
    XX(BUSY, 10, "in use by another", TRANSIENT)                                                   \
    XX(FULL, 11, "no room left", TRANSIENT)                                                        \
    XX(READ_ONLY, 12, "read-only", TRANSIENT)                                                      \
    XX(IO, 13, "input/output error", TRANSIENT)                                                    \
    XX(CORRUPT, 14, "data is corrupt", PERMANENT)                                                  \
    XX(VERSION, 15, "data of another version", PERMANENT)                                          \
    XX(DENIED, 16, "permission denied", PERMANENT)                                                 \
    XX(TIMEOUT, 17, "timed out", TRANSIENT)                                                        \
    XX(CANCELED, 18, "canceled", CANCELED)                                                         \
    XX(CLOSED, 19, "closed", CANCELED)                                                             \
    XX(RESOLVE, 20, "name could not be resolved", TRANSIENT)                                       \
    XX(CONNECT, 21, "could not connect", TRANSIENT)                                                \
    XX(TLS, 22, "TLS failed", TRANSIENT)                                                           \
    XX(RESET, 23, "connection broken", TRANSIENT)                                                  \
    XX(PROTOCOL, 24, "peer broke the protocol", TRANSIENT)                                         \
    XX(UNSUPPORTED, 25, "not supported", PERMANENT)                                                \
    XX(BUG, 26, "internal error", BUG)

enum err {
    ERR_OK = 0,
#define XX(name, number, text, class) ERR_##name = -(number),
    SLUICE_ERR_MAP(XX)
#undef XX
};

/* "NOMEM", "out of memory"; for an unknown code "UNKNOWN" / "unknown error". Never NULL. */
const char *err_name(int code);
const char *err_text(int code);
enum err_class err_class(int code);
/* Maps errno of the C library to a code (EACCES → DENIED, ENOSPC → FULL …, else IO). */
int err_from_errno(int errno_value);

/* What a person reads. Fixed size: usable where memory is short. */
struct error {
    int code;
    char where[128]; /* path of the key, name of the file: empty if there is none */
    char text[384];  /* what was found, what is allowed, what to do */
};

/* Fills *e (which may be NULL) and returns code, so: return error_set(e, ERR_RANGE, "limits.a", …).
 */
int error_set(struct error *e, int code, const char *where, const char *format, ...)
    SL_PRINTF(4, 5);

/* Programming error: prints the place and aborts. Not for input. */
#define SL_ASSERT(x) ((x) ? (void)0 : err_assert_failed(#x, __FILE__, __LINE__))
_Noreturn void err_assert_failed(const char *expression, const char *file, int line);

#define SL_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define SL_COUNT(array)                    (sizeof(array) / sizeof((array)[0]))

#endif
