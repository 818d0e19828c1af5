/*
 * sdnotify: what systemd wants to hear, without its library: datagrams to $NOTIFY_SOCKET. Without
 * systemd every function does nothing. The watchdog is fed from the loop itself, at half of
 * $WATCHDOG_USEC, and only when the loop (and who is asked) made progress since the last time.
 * Loop thread.
 */
#ifndef SLUICE_RUNTIME_SDNOTIFY_H
#define SLUICE_RUNTIME_SDNOTIFY_H

#include "sluice/base/err.h"
#include "sluice/runtime/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct sdnotify;

/* Reads the environment; starts the watchdog when systemd wants one. Never NULL. */
struct sdnotify *sdnotify_new(struct loop *loop);
void sdnotify_free(struct sdnotify *sd);
/* systemd listens. */
bool sdnotify_is_active(const struct sdnotify *sd);
/* Asked before the watchdog is fed; false starves it. NULL: only the loop's own turns count. */
void sdnotify_set_alive(struct sdnotify *sd, bool (*alive)(void *context), void *context);

/* status may be NULL; one line. */
void sdnotify_ready(struct sdnotify *sd, const char *status);
void sdnotify_status(struct sdnotify *sd, const char *format, ...) SL_PRINTF(2, 3);
void sdnotify_reloading(struct sdnotify *sd); /* then sdnotify_ready() */
/* The stop may take this long from now. */
void sdnotify_stopping(struct sdnotify *sd, int64_t extend_ns);

/* ---- socket activation ---- */
#define SDNOTIFY_FDS_MAX  16
#define SDNOTIFY_NAME_MAX 256
struct sdnotify_fd {
    int fd;
    char name[SDNOTIFY_NAME_MAX]; /* FileDescriptorName=, "unknown" when there is none */
};
/* The sockets systemd passed to this process (close-on-exec is set), at most SDNOTIFY_FDS_MAX.
 * Returns how many; the caller owns them. */
uint32_t sdnotify_listen_fds(struct sdnotify_fd ret[SDNOTIFY_FDS_MAX]);

#endif
