#include "sluice/runtime/lifecycle.h"

#include "sluice/base/err.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_DEADLINE = 4 };

/* Signals that are heard. SIGCHLD only as process 1. */
static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};

/* timeout(1), and a terminal together with its shell, send the same signal twice: one wish. */
#define SAME_WISH_NS (100 * NS_PER_MS)

struct lifecycle {
    struct lifecycle_config config;
    enum lifecycle_state state;
    int exit_code;
    struct loop_timer deadline;
    uv_signal_t handles[SL_COUNT(signals)];
    uint32_t handles_open;
    mono_ns signaled_at; /* the first signal */
};

const char *lifecycle_state_name(enum lifecycle_state state)
{
    static const char *const names[] = {
#define XX(name, text) text,
        LIFECYCLE_STATE_MAP(XX)
#undef XX
    };
    return names[state];
}

/* The only place where the state changes: always to the next one. */
static void set_state(struct lifecycle *lifecycle, enum lifecycle_state state)
{
    SL_ASSERT(state == lifecycle->state + 1);
    LOG_DEBUG("life", LOG_STR("from", lifecycle_state_name(lifecycle->state)),
              LOG_STR("to", lifecycle_state_name(state)));
    lifecycle->state = state;
}

static void enter_closing(struct lifecycle *lifecycle)
{
    loop_timer_clear(lifecycle->config.loop, &lifecycle->deadline);
    set_state(lifecycle, LIFECYCLE_CLOSING);
    lifecycle->config.close(lifecycle->config.context);
}

static void deadline_passed(void *context, mono_ns now)
{
    struct lifecycle *lifecycle = context;
    const struct lifecycle_config *config = &lifecycle->config;

    (void)now;
    if (config->may_cut_off == NULL || !config->may_cut_off(config->context)) {
        LOG_WARNING("the drain's deadline passed: the rest stays as it is");
        lifecycle->exit_code = EXIT_DEADLINE;
    }
    enter_closing(lifecycle);
}

static void enter_draining(struct lifecycle *lifecycle)
{
    set_state(lifecycle, LIFECYCLE_DRAINING);
    loop_timer_set(lifecycle->config.loop, &lifecycle->deadline,
                   mono_add(loop_now(), lifecycle->config.drain_timeout_ns));
    lifecycle->config.drain(lifecycle->config.context);
}

static void end_at_once(struct lifecycle *lifecycle)
{
    LOG_WARNING("second signal: ending at once");
    if (lifecycle->config.immediate == NULL) {
        _exit(EXIT_DEADLINE);
    }
    lifecycle->config.immediate(lifecycle->config.context);
}

static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct lifecycle *lifecycle = handle->data;
    if (signal_number == SIGCHLD) {
        reap();
    } else if (signal_number == SIGHUP) {
        LOG_WARNING("SIGHUP ignored: the configuration is read at the start; restart to change it");
    } else if (lifecycle->state == LIFECYCLE_RUNNING) {
        LOG_INFO("stopping", LOG_STR("signal", signal_number == SIGTERM ? "SIGTERM" : "SIGINT"));
        lifecycle->signaled_at = loop_now();
        enter_draining(lifecycle);
    } else if (loop_now() - lifecycle->signaled_at >= SAME_WISH_NS) {
        end_at_once(lifecycle);
    }
}

struct lifecycle *lifecycle_new(const struct lifecycle_config *config)
{
    struct lifecycle *lifecycle = MEM_NEW(struct lifecycle);
    lifecycle->config = *config;
    lifecycle->deadline.callback = deadline_passed;
    lifecycle->deadline.context = lifecycle;
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < SL_COUNT(signals); i++) {
        if (signals[i] == SIGCHLD && getpid() != 1) {
            continue;
        }
        uv_signal_t *handle = &lifecycle->handles[lifecycle->handles_open++];
        int rc = uv_signal_init(loop_uv(config->loop), handle);
        SL_ASSERT(rc == 0);
        handle->data = lifecycle;
        rc = uv_signal_start(handle, on_signal, signals[i]);
        SL_ASSERT(rc == 0);
    }
    return lifecycle;
}

enum lifecycle_state lifecycle_state(const struct lifecycle *lifecycle)
{
    return lifecycle->state;
}

void lifecycle_stop(struct lifecycle *lifecycle, int exit_code)
{
    if (lifecycle->state == LIFECYCLE_RUNNING) {
        lifecycle->exit_code = exit_code;
        enter_draining(lifecycle);
    }
}

void lifecycle_drained(struct lifecycle *lifecycle)
{
    if (lifecycle->state == LIFECYCLE_DRAINING) {
        enter_closing(lifecycle);
    }
}

int lifecycle_exit_code(const struct lifecycle *lifecycle)
{
    return lifecycle->exit_code;
}

static void handle_closed(uv_handle_t *handle)
{
    struct lifecycle *lifecycle = handle->data;
    if (--lifecycle->handles_open == 0) {
        free(lifecycle);
    }
}

void lifecycle_close(struct lifecycle *lifecycle)
{
    /* Also for a start that failed half-way: whatever the state was, this is its end. */
    loop_timer_clear(lifecycle->config.loop, &lifecycle->deadline);
    lifecycle->state = LIFECYCLE_DONE;
    for (uint32_t i = 0, count = lifecycle->handles_open; i < count; i++) {
        uv_close((uv_handle_t *)&lifecycle->handles[i], handle_closed);
    }
}
