#include "unit/base/unit.h"

#include "sluice/base/clock.h"
#include "sluice/runtime/lifecycle.h"
#include "sluice/runtime/log.h"

#include <signal.h>

/* A program around a lifecycle: what its callbacks saw, and a timer that sends the signals. */
struct program {
    struct loop *loop;
    struct lifecycle *lifecycle;
    struct loop_timer step, drained;
    int signals[4];
    uint32_t next;
    int64_t drain_takes_ns; /* MONO_NEVER: it never ends */
    uint32_t drains, closes, immediates;
    enum lifecycle_state state_at_drain, state_at_close;
    int exit_code;
    int64_t step_ns; /* between signals; 0: 5 ms */
    bool asks, may_cut_off;
    uint32_t asked;
};

static void end(struct program *program)
{
    program->exit_code = lifecycle_exit_code(program->lifecycle);
    loop_timer_clear(program->loop, &program->step);
    loop_timer_clear(program->loop, &program->drained);
    lifecycle_close(program->lifecycle);
    loop_stop(program->loop);
}

static void on_drained(void *context, mono_ns now)
{
    struct program *program = context;
    (void)now;
    lifecycle_drained(program->lifecycle);
    lifecycle_drained(program->lifecycle); /* nothing happens any more: it may be freed soon */
}

static void on_drain(void *context)
{
    struct program *program = context;
    program->drains++;
    program->state_at_drain = lifecycle_state(program->lifecycle);
    loop_timer_set(program->loop, &program->drained, mono_add(loop_now(), program->drain_takes_ns));
}

static void on_close(void *context)
{
    struct program *program = context;
    program->closes++;
    program->state_at_close = lifecycle_state(program->lifecycle);
    end(program);
}

static bool on_deadline(void *context)
{
    struct program *program = context;
    program->asked++;
    assert_int_equal(lifecycle_state(program->lifecycle), LIFECYCLE_DRAINING);
    return program->may_cut_off;
}

static void on_immediate(void *context)
{
    struct program *program = context;
    program->immediates++;
    end(program);
}

/* One signal every few milliseconds; then again and again none. */
static void on_step(void *context, mono_ns now)
{
    struct program *program = context;
    int number = program->next < SL_COUNT(program->signals) ? program->signals[program->next] : 0;
    program->next++;
    if (number > 0) {
        assert_int_equal(kill(getpid(), number), 0);
    } else if (number < 0) {
        lifecycle_stop(program->lifecycle, 1);
        lifecycle_stop(program->lifecycle, 0); /* the first reason stays */
    }
    loop_timer_set(program->loop, &program->step,
                   mono_add(now, program->step_ns > 0 ? program->step_ns : 5 * NS_PER_MS));
}

static void run(struct program *program, int64_t drain_timeout_ns)
{
    program->loop = loop_new();
    program->step = (struct loop_timer){.callback = on_step, .context = program};
    program->drained = (struct loop_timer){.callback = on_drained, .context = program};
    program->lifecycle = lifecycle_new(&(struct lifecycle_config){
        .loop = program->loop,
        .drain_timeout_ns = drain_timeout_ns,
        .drain = on_drain,
        .close = on_close,
        .may_cut_off = program->asks ? on_deadline : NULL,
        .immediate = on_immediate,
        .context = program,
    });
    assert_int_equal(lifecycle_state(program->lifecycle), LIFECYCLE_RUNNING);
    loop_timer_set(program->loop, &program->step, loop_now());
    assert_int_equal(loop_run(program->loop), 0);
    loop_free(program->loop);
}

static void test_drain(void **state)
{
    (void)state;
    static const int first[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < SL_COUNT(first); i++) {
        struct program program = {.signals = {first[i]}, .drain_takes_ns = 20 * NS_PER_MS};
        run(&program, 60 * NS_PER_S);
        assert_int_equal(program.drains, 1);
        assert_int_equal(program.closes, 1);
        assert_int_equal(program.immediates, 0);
        assert_int_equal(program.state_at_drain, LIFECYCLE_DRAINING);
        assert_int_equal(program.state_at_close, LIFECYCLE_CLOSING);
        assert_int_equal(program.exit_code, 0);
    }
}

static void test_deadline(void **state)
{
    (void)state;
    struct program program = {.signals = {SIGTERM}, .drain_takes_ns = 3600 * NS_PER_S};
    run(&program, 20 * NS_PER_MS);
    assert_int_equal(program.drains, 1);
    assert_int_equal(program.closes, 1);
    assert_int_equal(program.exit_code, 4);
}

/* What is left at the deadline decides whether it was a failure. */
static void test_deadline_with_little_left(void **state)
{
    (void)state;
    for (int may = 0; may < 2; may++) {
        struct program program = {.signals = {SIGTERM},
                                  .drain_takes_ns = 3600 * NS_PER_S,
                                  .asks = true,
                                  .may_cut_off = may == 1};
        run(&program, 20 * NS_PER_MS);
        assert_int_equal(program.asked, 1);
        assert_int_equal(program.closes, 1);
        assert_int_equal(program.exit_code, may == 1 ? 0 : 4);
    }
}

static void test_second_signal(void **state)
{
    (void)state;
    struct program program = {.signals = {SIGTERM, SIGINT},
                              .step_ns = 150 * NS_PER_MS,
                              .drain_takes_ns = 3600 * NS_PER_S};
    run(&program, 3600 * NS_PER_S);
    assert_int_equal(program.drains, 1);
    assert_int_equal(program.closes, 0);
    assert_int_equal(program.immediates, 1);
}

/* timeout(1) signals the process and then its group: that is one wish. */
static void test_the_same_signal_twice_at_once(void **state)
{
    (void)state;
    struct program program = {.signals = {SIGTERM, SIGTERM}, .drain_takes_ns = 50 * NS_PER_MS};
    run(&program, 60 * NS_PER_S);
    assert_int_equal(program.drains, 1);
    assert_int_equal(program.immediates, 0);
    assert_int_equal(program.exit_code, 0);
}

/* SIGHUP and SIGPIPE change nothing; the SIGTERM after them drains. */
static void test_ignored_signals(void **state)
{
    (void)state;
    struct program program = {.signals = {SIGHUP, SIGPIPE, SIGHUP, SIGTERM}};
    run(&program, 60 * NS_PER_S);
    assert_int_equal(program.drains, 1);
    assert_int_equal(program.exit_code, 0);
    assert_int_equal(program.next >= 4, true);
}

static void test_stop_by_failure(void **state)
{
    (void)state;
    struct program program = {.signals = {-1}};
    run(&program, 60 * NS_PER_S);
    assert_int_equal(program.drains, 1);
    assert_int_equal(program.closes, 1);
    assert_int_equal(program.exit_code, 1);
}

/* A start that fails half-way closes a lifecycle that never drained. */
static void test_close_while_running(void **state)
{
    (void)state;
    struct program program = {.loop = loop_new()};
    program.lifecycle = lifecycle_new(&(struct lifecycle_config){
        .loop = program.loop, .drain = on_drain, .close = on_close, .context = &program});
    lifecycle_close(program.lifecycle);
    loop_stop(program.loop);
    assert_int_equal(loop_run(program.loop), 0);
    loop_free(program.loop);
    assert_int_equal(program.drains + program.closes, 0);
}

static void never(void *context)
{
    (void)context;
}

/* Without a callback the second signal ends the process itself. */
static void run_without_immediate(void)
{
    struct program program = {
        .signals = {SIGTERM, SIGTERM}, .step_ns = 150 * NS_PER_MS, .loop = loop_new()};
    program.step = (struct loop_timer){.callback = on_step, .context = &program};
    program.lifecycle = lifecycle_new(&(struct lifecycle_config){
        .loop = program.loop, .drain_timeout_ns = MONO_NEVER, .drain = never, .close = never});
    loop_timer_set(program.loop, &program.step, loop_now());
    (void)loop_run(program.loop);
}

static void test_second_signal_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(unit_end_of(run_without_immediate), 4);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(lifecycle_state_name(LIFECYCLE_RUNNING), "running");
    assert_string_equal(lifecycle_state_name(LIFECYCLE_DONE), "done");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_with_little_left),
        cmocka_unit_test(test_second_signal),
        cmocka_unit_test(test_the_same_signal_twice_at_once),
        cmocka_unit_test(test_ignored_signals),
        cmocka_unit_test(test_stop_by_failure),
        cmocka_unit_test(test_close_while_running),
        cmocka_unit_test(test_second_signal_ends_the_process),
        cmocka_unit_test(test_names),
    };
    log_init(&(struct log_config){.fd = STDERR_FILENO, .level = LOG_LEVEL_CRITICAL});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
