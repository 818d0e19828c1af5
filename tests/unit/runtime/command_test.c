/* Programs that end, fail, talk too much, hang and cannot be found. */
#include "sluice/runtime/command.h"

#include "sluice/base/clock.h"
#include "sluice/runtime/job.h"
#include "sluice/runtime/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct outcome {
    int error, status;
    struct buf out, err;
};

static void run(struct outcome *o, const char *script, int64_t timeout_ns,
                const atomic_bool *cancel)
{
    char shell[] = "/bin/sh", option[] = "-c", text[256];
    char *argv[] = {shell, option, text, NULL};

    (void)snprintf(text, sizeof(text), "%s", script);
    o->status = -1;
    buf_init(&o->out, 64);
    buf_init(&o->err, 64);
    o->error = command_run(argv, timeout_ns, cancel, &o->out, &o->err, &o->status);
}

static void done(struct outcome *o)
{
    buf_done(&o->out);
    buf_done(&o->err);
}

static void test_outputs_and_status(void **state)
{
    struct outcome o;

    (void)state;
    run(&o, "echo out; echo err >&2; cat; exit 3", 20 * NS_PER_S, NULL);
    assert_int_equal(o.error, 0);
    assert_int_equal(o.status, 3);
    assert_string_equal(buf_str(&o.out).ptr, "out\n");
    assert_string_equal(buf_str(&o.err).ptr, "err\n");
    done(&o);
    run(&o, "kill -9 $$", 20 * NS_PER_S, NULL);
    assert_int_equal(o.error, 0);
    assert_int_equal(o.status, 128 + SIGKILL);
    done(&o);
}

static void test_too_much(void **state)
{
    struct outcome o;

    (void)state;
    run(&o, "head -c 100000 /dev/zero", 20 * NS_PER_S, NULL);
    assert_int_equal(o.error, ERR_TOO_BIG);
    done(&o);
    run(&o, "head -c 100000 /dev/zero >&2; echo good", 20 * NS_PER_S, NULL);
    assert_int_equal(o.error, 0);
    assert_string_equal(buf_str(&o.out).ptr, "good\n");
    done(&o);
}

static void test_hangs(void **state)
{
    struct outcome o;
    atomic_bool cancel = true;
    int64_t child = 0;

    (void)state;
    /* What it started goes with it. */
    run(&o, "sleep 1000 & echo $!; wait", 300 * NS_PER_MS, NULL);
    assert_int_equal(o.error, ERR_TIMEOUT);
    struct str rest = buf_str(&o.out), line;
    (void)str_next(&rest, '\n', &line);
    assert_int_equal(str_to_i64(line, 2, INT32_MAX, &child), 0);
    for (int i = 0; i < 1000 && kill((pid_t)child, 0) == 0; i++) {
        (void)nanosleep(&(struct timespec){0, 10000000}, NULL); /* init reaps it */
    }
    FILE *stat = NULL;
    char path[64], state_line[64] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
    stat = fopen(path, "re"); /* a zombie where nobody reaps */
    if (stat != NULL) {
        assert_non_null(fgets(state_line, sizeof(state_line), stat));
        assert_non_null(strchr(state_line, 'Z'));
        (void)fclose(stat);
    }
    done(&o);
    run(&o, "sleep 1000", 1000 * NS_PER_S, &cancel);
    assert_int_equal(o.error, ERR_CANCELED);
    done(&o);
}

static void test_not_there(void **state)
{
    char name[] = "/nonexistent/program";
    char *argv[] = {name, NULL};
    struct buf out, err;
    int status;

    (void)state;
    buf_init(&out, 64);
    buf_init(&err, 64);
    assert_int_equal(command_run(argv, NS_PER_S, NULL, &out, &err, &status), ERR_NOT_FOUND);
    buf_done(&out);
    buf_done(&err);
}

/* ---- on the pool ---- */

struct counted {
    struct job job;
    struct loop *loop;
    int worked, done;
};

static void work(void *context)
{
    ((struct counted *)context)->worked++;
}

static void on_done(void *context)
{
    struct counted *c = context;

    assert_int_equal(c->worked, 1);
    c->done++;
    loop_stop(c->loop);
}

static void test_job(void **state)
{
    struct counted c = {.loop = loop_new(), .job = {.work = work, .done = on_done}};

    (void)state;
    c.job.context = &c;
    job_start(c.loop, &c.job);
    assert_int_equal(c.done, 0);
    assert_int_equal(loop_run(c.loop), 0);
    assert_int_equal(c.done, 1);
    loop_free(c.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_and_status),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_hangs),
        cmocka_unit_test(test_not_there),
        cmocka_unit_test(test_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
