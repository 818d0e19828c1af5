/*
 * lifecycle: the life of the process, and the signals that move it on.
 *
 *   RUNNING ──► DRAINING ──► CLOSING ──► DONE
 *
 * RUNNING   receives and calls.
 * DRAINING  after the first SIGTERM or SIGINT (or lifecycle_stop): nothing new is received, calls
 *           in flight end, the rest is handed back. Ends with lifecycle_drained(), or at the
 *           deadline (exit code 4, unless what is left may be cut off).
 * CLOSING   every module closes its handles, stores are flushed.
 * DONE      lifecycle_close() was called: only the end of the loop is left.
 *
 * A second SIGTERM or SIGINT more than 100 ms later, in any state, ends at once: the `immediate`
 * callback. SIGHUP is logged and otherwise ignored until the configuration can be reloaded; SIGPIPE
 * is ignored. As process 1, children that others left behind are reaped. Loop thread.
 */
#ifndef SLUICE_RUNTIME_LIFECYCLE_H
#define SLUICE_RUNTIME_LIFECYCLE_H

#include "sluice/runtime/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define LIFECYCLE_STATE_MAP(XX)                                                                    \
    XX(RUNNING, "running")                                                                         \
    XX(DRAINING, "draining")                                                                       \
    XX(CLOSING, "closing")                                                                         \
    XX(DONE, "done")

enum lifecycle_state {
#define XX(name, text) LIFECYCLE_##name,
    LIFECYCLE_STATE_MAP(XX)
#undef XX
};
const char *lifecycle_state_name(enum lifecycle_state state);

struct lifecycle;

struct lifecycle_config {
    struct loop *loop;
    int64_t drain_timeout_ns;
    /* Each at most once, on the loop. drain: begin, then call lifecycle_drained() when done (not
     * before drain returned). close: everything closes, as far as drained or not. */
    void (*drain)(void *context);
    void (*close)(void *context);
    /* At the deadline: is what is left only what may be cut off? Then it was no failure. NULL: no.
     */
    bool (*may_cut_off)(void *context);
    /* The second signal; usually ends the process. NULL: _exit(4). */
    void (*immediate)(void *context);
    void *context;
};

struct lifecycle *lifecycle_new(const struct lifecycle_config *config);
enum lifecycle_state lifecycle_state(const struct lifecycle *lifecycle);
/* As the first signal would; nothing when the drain has begun. exit_code: 0, or 1 when the reason
 * is a failure. */
void lifecycle_stop(struct lifecycle *lifecycle, int exit_code);
/* Nothing is held any more. Nothing happens unless the state is DRAINING. */
void lifecycle_drained(struct lifecycle *lifecycle);
/* 0; 4 when the drain's deadline passed, unless what was left may be cut off; else what
 * lifecycle_stop was told. */
int lifecycle_exit_code(const struct lifecycle *lifecycle);
/* Ends the signals; frees itself when its handles are closed. The last part to be closed. */
void lifecycle_close(struct lifecycle *lifecycle);

#endif
