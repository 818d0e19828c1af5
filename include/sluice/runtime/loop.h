/*
 * loop: the one event loop of the process: the clock, deadlines, hooks once per turn, work posted
 * from other threads, and an orderly end.
 *
 * "Events record facts; one pump per turn decides": modules register hooks that run in uv_check
 * after each poll, in the order added. All timing is one deadline heap and one uv_timer.
 * Everything here runs on the loop's thread except loop_post(). The longest turn is measured (I9).
 */
#ifndef SLUICE_RUNTIME_LOOP_H
#define SLUICE_RUNTIME_LOOP_H

#include "sluice/base/clock.h"
#include "sluice/base/heap.h"
#include "sluice/base/list.h"

#include <stdbool.h>
#include <uv.h>

struct loop;

/* Aborts when the kernel gives no loop. */
struct loop *loop_new(void);
/* Runs until loop_stop() and every handle is closed. Returns uv_loop_close(): 0 when nothing
 * leaked. */
int loop_run(struct loop *loop);
/* Asks for the end: run returns when the handles of all modules are closed (each module closes its
 * own). */
void loop_stop(struct loop *loop);
/* After loop_run(). */
void loop_free(struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop);

/* CLOCK_MONOTONIC, read now (29 ns), never cached, never smaller than before. */
mono_ns loop_now(void);
/* CLOCK_REALTIME for people. */
wall_ms loop_wall(void);

/* A deadline: callback once, on the loop, not before `at`. Embedded in its owner; zero-initialised.
 */
struct loop_timer {
    struct heap_node node;
    void (*callback)(void *context, mono_ns now);
    void *context;
};
void loop_timer_set(struct loop *loop, struct loop_timer *timer,
                    mono_ns at); /* arms or moves; MONO_NEVER: as clear */
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

/* Runs once per turn after polling. A hook that has more to do now calls loop_wake(). */
struct loop_hook {
    struct list_node node;
    void (*callback)(void *context, mono_ns now);
    void *context;
    bool last; /* private: on which list it is */
};
void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop *loop, struct loop_hook *hook);
/* Like a hook, but once per turn before polling, when all hooks and events of the turn are through:
 * for handing on together what they gathered one by one. */
void loop_hook_add_last(struct loop *loop, struct loop_hook *hook);
/* Another turn without waiting in poll. */
void loop_wake(struct loop *loop);

/* From any thread: callback(context) soon on the loop's thread, in order of posting. The item is
 * the caller's and must live until its callback. Posting after the loop ended is an error of the
 * caller. */
struct loop_work {
    struct list_node node;
    void (*callback)(void *context);
    void *context;
};
void loop_post(struct loop *loop, struct loop_work *work);

struct loop_stats {
    uint64_t turns;
    int64_t longest_turn_ns; /* work of one turn, polling excluded, since start */
};
void loop_stats(const struct loop *loop, struct loop_stats *ret);

#endif
