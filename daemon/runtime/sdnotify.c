#include "sluice/runtime/sdnotify.h"

#include "sluice/base/buf.h"
#include "sluice/base/mem.h"
#include "sluice/base/str.h"
#include "sluice/runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD    3 /* SD_LISTEN_FDS_START */
#define MESSAGE_MAX 1024

struct sdnotify {
    struct loop *loop;
    int fd; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_len;
    /* watchdog */
    struct loop_timer timer;
    int64_t period_ns; /* 0: none is wanted */
    uint64_t turns;    /* of the loop at the last feeding */
    bool (*alive)(void *context);
    void *context;
    bool starved;
};

/* "/run/x" or "@abstract"; anything else is no socket we know. */
static bool parse_address(struct str name, struct sockaddr_un *ret, socklen_t *ret_len)
{
    bool known = name.len > 1 && (name.ptr[0] == '/' || name.ptr[0] == '@');
    if (!known || name.len >= sizeof(ret->sun_path)) {
        return false;
    }
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, name.ptr, name.len);
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len);
    if (name.ptr[0] == '@') {
        ret->sun_path[0] = '\0';
    } else {
        *ret_len += 1;
    }
    return true;
}

static void send_text(struct sdnotify *sd, struct str text)
{
    if (sd->fd < 0) {
        return;
    }
    ssize_t n = sendto(sd->fd, text.ptr, text.len, MSG_NOSIGNAL, (struct sockaddr *)&sd->address,
                       sd->address_len);
    if (n < 0) {
        LOG_DEBUG("systemd was not told", LOG_ERR("error", err_from_errno(errno)));
    }
}

/* The status is one line: a newline would begin another assignment. */
static void send_with_status(struct sdnotify *sd, const char *head, const char *status)
{
    struct buf text;
    buf_init(&text, MESSAGE_MAX);
    buf_adds(&text, head);
    if (status != NULL) {
        buf_adds(&text, "STATUS=");
        for (; *status != '\0' && text.len < MESSAGE_MAX - 1; status++) {
            buf_addc(&text, *status == '\n' ? ' ' : *status);
        }
        buf_addc(&text, '\n');
    }
    send_text(sd, buf_str(&text));
    buf_done(&text);
}

/* ---- watchdog ---- */

static uint64_t loop_turns(const struct sdnotify *sd)
{
    struct loop_stats stats;
    loop_stats(sd->loop, &stats);
    return stats.turns;
}

static void feed(void *context, mono_ns now)
{
    struct sdnotify *sd = context;
    uint64_t turns = loop_turns(sd);
    bool progress = turns != sd->turns && (sd->alive == NULL || sd->alive(sd->context));
    sd->turns = turns;
    if (progress) {
        send_text(sd, STR("WATCHDOG=1\n"));
    } else if (!sd->starved) {
        LOG_ERROR("no progress: the watchdog is not fed");
    }
    sd->starved = !progress;
    loop_timer_set(sd->loop, &sd->timer, mono_add(now, sd->period_ns));
}

/* Half of $WATCHDOG_USEC; 0 when systemd wants none, or of another process. */
static int64_t watchdog_period(void)
{
    int64_t usec = 0;
    int64_t pid = 0;
    const char *for_pid = getenv("WATCHDOG_PID");
    if (for_pid != NULL &&
        (str_to_i64(str_from(for_pid), 1, INT32_MAX, &pid) != 0 || pid != (int64_t)getpid())) {
        return 0;
    }
    int rc = str_to_i64(str_from(getenv("WATCHDOG_USEC")), 2, INT64_MAX / NS_PER_US, &usec);
    return rc == 0 ? usec / 2 * NS_PER_US : 0;
}

struct sdnotify *sdnotify_new(struct loop *loop)
{
    struct sdnotify *sd = MEM_NEW(struct sdnotify);
    struct str name = str_from(getenv("NOTIFY_SOCKET"));
    sd->loop = loop;
    sd->fd = -1;
    if (name.len > 0 && parse_address(name, &sd->address, &sd->address_len)) {
        sd->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (name.len > 0 && sd->fd < 0) {
        LOG_WARNING("systemd cannot be told: no such notify socket", LOG_SLICE("address", name));
    }
    if (sd->fd >= 0) {
        sd->period_ns = watchdog_period();
    }
    if (sd->period_ns > 0) {
        sd->timer.callback = feed;
        sd->timer.context = sd;
        sd->turns = loop_turns(sd);
        loop_timer_set(loop, &sd->timer, mono_add(loop_now(), sd->period_ns));
    }
    return sd;
}

void sdnotify_free(struct sdnotify *sd)
{
    if (sd == NULL) {
        return;
    }
    loop_timer_clear(sd->loop, &sd->timer);
    if (sd->fd >= 0) {
        (void)close(sd->fd);
    }
    free(sd);
}

bool sdnotify_is_active(const struct sdnotify *sd)
{
    return sd->fd >= 0;
}

void sdnotify_set_alive(struct sdnotify *sd, bool (*alive)(void *context), void *context)
{
    sd->alive = alive;
    sd->context = context;
}

/* ---- states ---- */

void sdnotify_ready(struct sdnotify *sd, const char *status)
{
    send_with_status(sd, "READY=1\n", status);
}

void sdnotify_status(struct sdnotify *sd, const char *format, ...)
{
    char status[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(status, sizeof(status), format, args);
    va_end(args);
    send_with_status(sd, "", status);
}

void sdnotify_reloading(struct sdnotify *sd)
{
    char text[80];
    int len = snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld\n",
                       (long long)(loop_now() / NS_PER_US));
    send_text(sd, (struct str){text, (size_t)len});
}

void sdnotify_stopping(struct sdnotify *sd, int64_t extend_ns)
{
    char text[80];
    int len = snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n",
                       (long long)(extend_ns / NS_PER_US));
    send_text(sd, (struct str){text, (size_t)len});
}

/* ---- socket activation ---- */

uint32_t sdnotify_listen_fds(struct sdnotify_fd ret[SDNOTIFY_FDS_MAX])
{
    int64_t pid = 0;
    int64_t count = 0;
    struct str names = str_from(getenv("LISTEN_FDNAMES"));
    if (str_to_i64(str_from(getenv("LISTEN_PID")), 1, INT32_MAX, &pid) != 0 ||
        pid != (int64_t)getpid() ||
        str_to_i64(str_from(getenv("LISTEN_FDS")), 1, SDNOTIFY_FDS_MAX, &count) != 0) {
        return 0;
    }
    for (int64_t i = 0; i < count; i++) {
        struct str name = STR_NONE;
        ret[i].fd = FIRST_FD + (int)i;
        (void)fcntl(ret[i].fd, F_SETFD, FD_CLOEXEC);
        if (!str_next(&names, ':', &name)) {
            name = STR("unknown");
        }
        str_copy(ret[i].name, sizeof(ret[i].name), name);
    }
    return (uint32_t)count;
}
