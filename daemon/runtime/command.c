#include "sluice/runtime/command.h"

#include "sluice/base/clock.h"
#include "sluice/runtime/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define LOOK_MS 100 /* how often it is looked whether it is to end */

struct running {
    pid_t pid;
    struct pollfd fds[2]; /* its output, its errors; -1 when they ended */
    struct buf *bufs[2];
    bool too_big;
};

/* Its own process group, so that what it started goes with it; no signal stays blocked. */
static int spawn(struct running *r, char *const *argv, int out, int err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int rc;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    rc = posix_spawnp(&r->pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc == 0 ? 0 : err_from_errno(rc);
}

static int start(struct running *r, char *const *argv)
{
    int out[2], err[2];

    if (pipe2(out, O_CLOEXEC) != 0) {
        return err_from_errno(errno);
    }
    if (pipe2(err, O_CLOEXEC) != 0) {
        int code = err_from_errno(errno);
        (void)close(out[0]);
        (void)close(out[1]);
        return code;
    }
    int error = spawn(r, argv, out[1], err[1]);
    (void)close(out[1]);
    (void)close(err[1]);
    if (error != 0) {
        (void)close(out[0]);
        (void)close(err[0]);
        return error;
    }
    r->fds[0] = (struct pollfd){.fd = out[0], .events = POLLIN};
    r->fds[1] = (struct pollfd){.fd = err[0], .events = POLLIN};
    return 0;
}

static void read_some(struct running *r, int i)
{
    char chunk[4096];
    ssize_t n = read(r->fds[i].fd, chunk, sizeof(chunk));

    if (n < 0 && errno == EINTR) {
        return;
    }
    if (n <= 0) {
        (void)close(r->fds[i].fd);
        r->fds[i].fd = -1;
    } else if (buf_append(r->bufs[i], chunk, (size_t)n) != 0) {
        r->too_big = r->too_big || i == 0;
    }
    explicit_bzero(chunk, sizeof(chunk));
}

/* Its outputs may stay open in a child of its own: its end is what counts. */
static int attend(struct running *r, mono_ns until, const atomic_bool *cancel, int *ret_status)
{
    for (;;) {
        int status;
        (void)poll(r->fds, 2, LOOK_MS);
        for (int i = 0; i < 2; i++) {
            if (r->fds[i].fd >= 0 && r->fds[i].revents != 0) {
                read_some(r, i);
            }
        }
        bool silent = r->fds[0].revents == 0 && r->fds[1].revents == 0;
        if (silent && waitpid(r->pid, &status, WNOHANG) == r->pid) {
            *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            return 0;
        }
        if (loop_now() >= until || (cancel != NULL && atomic_load(cancel))) {
            (void)kill(-r->pid, SIGKILL);
            (void)waitpid(r->pid, &status, 0);
            return loop_now() >= until ? ERR_TIMEOUT : ERR_CANCELED;
        }
    }
}

int command_run(char *const *argv, int64_t timeout_ns, const atomic_bool *cancel, struct buf *out,
                struct buf *err, int *ret_status)
{
    struct running r = {.bufs = {out, err}};
    int error = start(&r, argv);

    if (error != 0) {
        return error;
    }
    error = attend(&r, mono_add(loop_now(), timeout_ns), cancel, ret_status);
    for (int i = 0; i < 2; i++) {
        if (r.fds[i].fd >= 0) {
            (void)close(r.fds[i].fd);
        }
    }
    return error != 0 ? error : r.too_big ? ERR_TOO_BIG : 0;
}
