#include "unit.h"

#include "sluice/base/err.h"
#include "sluice/base/fault.h"

#include <signal.h>

static void test_unarmed(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(FAULT("store.commit"), 0);
    }
}

#ifdef SLUICE_FAULTS

static int strikes(const char *name, int passes)
{
    int at = 0;
    for (int i = 1; i <= passes; i++) {
        if (FAULT(name)) {
            assert_int_equal(at, 0); /* once */
            at = i;
        }
    }
    return at;
}

static void test_strikes_once_at_the_nth_pass(void **state)
{
    (void)state;
    assert_int_equal(fault_arm("a,b:3,c:2=fail"), 0);
    assert_int_equal(strikes("b", 10), 3);
    assert_int_equal(strikes("a", 10), 1);
    assert_int_equal(strikes("c", 10), 2);
    assert_int_equal(strikes("d", 10), 0);
    assert_int_equal(strikes("ab", 10), 0);
    /* The same point twice: the second counts on after the first. */
    assert_int_equal(fault_arm("a:2,a:1"), 0);
    assert_int_equal(FAULT("a"), 1);
    assert_int_equal(FAULT("a"), 1);
    assert_int_equal(FAULT("a"), 0);
    assert_int_equal(fault_arm("a"), 0);
    assert_int_equal(fault_arm(NULL), 0);
    assert_int_equal(strikes("a", 10), 0);
}

static void pass_twice(void)
{
    (void)FAULT("death");
    (void)FAULT("death");
}

static void test_kill(void **state)
{
    (void)state;
    assert_int_equal(fault_arm("death:3=kill"), 0);
    assert_int_equal(unit_end_of(pass_twice), 0);
    assert_int_equal(fault_arm("death:2=kill"), 0);
    assert_int_equal(unit_end_of(pass_twice), 128 + SIGKILL);
    assert_int_equal(fault_arm(NULL), 0);
}

static void test_malformed(void **state)
{
    (void)state;
    assert_int_equal(fault_arm("a:5"), 0);
    static const char *const bad[] = {",", "a,", ":1", "a:", "a:x", "a=", "a=explode", "=kill"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        if (fault_arm(bad[i]) != ERR_SYNTAX) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
    }
    assert_int_equal(fault_arm("a:0"), ERR_RANGE);
    assert_int_equal(fault_arm("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"), ERR_FULL);
    assert_int_equal(strikes("a", 10), 5); /* what was armed stayed so */
    assert_int_equal(fault_arm(NULL), 0);
}

static char **program;

static void test_environment(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status; /* what the child's exit code or signal must be */
    } cases[] = {
        {"env.point:2", 2}, {"env.point=kill", 128 + SIGKILL}, {"env.point:", 128 + SIGABRT}};
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
            (void)dup2(null_fd, STDERR_FILENO);
            (void)setenv("SLUICE_FAULT", cases[i].text, 1);
            char child_flag[] = "--child";
            char *argv[] = {program[0], child_flag, NULL};
            (void)execv("/proc/self/exe", argv);
            _exit(127);
        }
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
                         cases[i].status);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return strikes("env.point", 10);
    }
    program = argv;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unarmed),     cmocka_unit_test(test_strikes_once_at_the_nth_pass),
        cmocka_unit_test(test_kill),        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unarmed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
