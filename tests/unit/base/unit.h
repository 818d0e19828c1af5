/*
 * unit: what the tests of this area share: cmocka with its includes, a printed seed, and the end of
 * a process as a value that can be compared.
 */
#ifndef SLUICE_TESTS_UNIT_BASE_UNIT_H
#define SLUICE_TESTS_UNIT_BASE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sluice/base/digest.h"
#include "sluice/base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* SLUICE_SEED of the environment, else a new one; printed so that a failure can be repeated. */
static inline uint64_t unit_seed(void)
{
    int64_t seed = 0;
    const char *wanted = getenv("SLUICE_SEED");
    if (wanted == NULL || str_to_i64(str_from(wanted), 0, INT64_MAX, &seed) != 0) {
        digest_random(&seed, sizeof(seed));
        seed &= INT64_MAX;
    }
    print_message("SLUICE_SEED=%lld\n", (long long)seed);
    return (uint64_t)seed;
}

/* Runs f in a child without stderr: its exit code (0: f returned), or 128 + the signal. */
static inline int unit_end_of(void (*f)(void))
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null_fd, STDERR_FILENO);
        f();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline void assert_str(struct str actual, const char *expected)
{
    if (actual.len != strlen(expected) || memcmp(actual.ptr, expected, actual.len) != 0) {
        fail_msg("\"%.*s\" is not \"%s\"", STR_FMT(actual), expected);
    }
}

#endif
