/* The mark of a limit's use: one word a record, in a file that a killed process leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/mark.h"

#include "sluice/base/err.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/sluice-mark-XXXXXX";

static void assert_used(const struct mark *mark, uint32_t record, uint64_t expected)
{
    uint64_t used = 0;
    assert_true(mark_get(mark, record, &used));
    assert_int_equal(used, expected);
}

static void test_outlives_a_kill(void **state)
{
    struct mark mark;
    uint64_t used;
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        mark_open(&mark, directory, "a");
        mark_set(&mark, 7, 3);
        mark_set(&mark, 8, 4);
        mark_set(&mark, 8, 5);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    mark_open(&mark, directory, "a");
    assert_used(&mark, 7, 3);
    assert_used(&mark, 8, 5);
    assert_false(mark_get(&mark, 9, &used)); /* never written */
    assert_false(mark_get(&mark, 0, &used)); /* no record */
    mark_set(&mark, 9, UINT64_MAX);          /* takes the place of 7 */
    assert_false(mark_get(&mark, 7, &used));
    assert_used(&mark, 9, UINT32_MAX);
    mark_forget(&mark, 8);
    assert_false(mark_get(&mark, 8, &used));
    mark_close(&mark);
}

static void test_no_file(void **state)
{
    struct mark mark;
    uint64_t used;
    (void)state;
    mark_open(&mark, "/nonexistent", "a");
    assert_null(mark.words);
    mark_set(&mark, 1, 1);
    mark_forget(&mark, 1);
    assert_false(mark_get(&mark, 1, &used));
    mark_close(&mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outlives_a_kill),
        cmocka_unit_test(test_no_file),
    };
    char path[64];
    if (mkdtemp(directory) == NULL) {
        return 1;
    }
    int failed = cmocka_run_group_tests_name("mark", tests, NULL, NULL);
    (void)snprintf(path, sizeof(path), "%s/limit-a.mark", directory);
    (void)unlink(path);
    (void)rmdir(directory);
    return failed;
}
