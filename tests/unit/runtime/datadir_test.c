#include "unit/base/unit.h"

#include "sluice/runtime/datadir.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>

static char root[] = "/tmp/sluice-datadir-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("XDG_STATE_HOME");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in_root(const char *name)
{
    static char path[DATADIR_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static struct datadir *open_good(const char *path)
{
    struct datadir *datadir = NULL;
    struct error e = {0};
    if (datadir_open(path, &datadir, &e) != 0) {
        fail_msg("%s: %s", e.where, e.text);
    }
    return datadir;
}

static void test_resolve(void **state)
{
    (void)state;
    char path[DATADIR_PATH_MAX];
    char big[2 * DATADIR_PATH_MAX];
    struct error e = {0};
    assert_int_equal(datadir_resolve(NULL, path, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "--data-dir"));
    assert_int_equal(setenv("XDG_STATE_HOME", "/home/a/.local/state", 1), 0);
    assert_int_equal(datadir_resolve(NULL, path, &e), 0);
    assert_string_equal(path, "/home/a/.local/state/sluice");
    assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1), 0);
    assert_int_equal(datadir_resolve(NULL, path, &e), 0);
    assert_string_equal(path, "/var/lib/one");
    assert_int_equal(datadir_resolve("relative/x", path, &e), 0);
    assert_string_equal(path, "relative/x");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(datadir_resolve(big, path, &e), ERR_TOO_BIG);
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("XDG_STATE_HOME");
}

static void test_clean_and_unclean(void **state)
{
    (void)state;
    struct stat st;
    const char *path = in_root("deep/er/data");
    struct datadir *datadir = open_good(path);
    assert_string_equal(datadir_path(datadir), path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_false(datadir_is_unclean(datadir));
    datadir_close(datadir, true);

    datadir = open_good(path);
    assert_false(datadir_is_unclean(datadir));
    datadir_close(datadir, false);

    datadir = open_good(path);
    assert_true(datadir_is_unclean(datadir));
    datadir_close(datadir, true);

    datadir = open_good(path);
    assert_false(datadir_is_unclean(datadir));
    datadir_close(datadir, true);
    datadir_close(NULL, true);
}

/* The lock is of the process: another one is refused and told who has it; kill -9 gives it back,
   and leaves the mark. */
static void test_second_process(void **state)
{
    (void)state;
    const char *path = in_root("locked");
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct datadir *held = NULL;
        char ok = datadir_open(path, &held, NULL) == 0 ? 'y' : 'n';
        (void)!write(ready[1], &ok, 1);
        for (;;) {
            (void)pause();
        }
    }
    char ok = 'n';
    assert_int_equal(read(ready[0], &ok, 1), 1);
    assert_int_equal(ok, 'y');

    struct datadir *datadir = NULL;
    struct error e = {0};
    char holder[64];
    (void)snprintf(holder, sizeof(holder), "is in use by process %ld; stop it", (long)pid);
    assert_int_equal(datadir_open(path, &datadir, &e), ERR_BUSY);
    assert_null(datadir);
    assert_string_equal(e.where, path);
    assert_non_null(strstr(e.text, holder));

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    datadir = open_good(path);
    assert_true(datadir_is_unclean(datadir));
    datadir_close(datadir, true);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static void test_refused(void **state)
{
    (void)state;
    struct datadir *datadir = NULL;
    struct error e = {0};
    const char *file = in_root("file");
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_true(datadir_open(file, &datadir, &e) < 0);
    assert_non_null(strstr(e.text, "cannot be used as data directory"));
    assert_true(datadir_open(in_root("file/below"), &datadir, &e) < 0);
    assert_int_equal(datadir_open("", &datadir, &e), ERR_INVALID);
    /* A lock file that is a link would let others choose what is overwritten. */
    assert_int_equal(mkdir(in_root("link"), 0700), 0);
    assert_int_equal(symlink("../file", in_root("link/lock")), 0);
    assert_true(datadir_open(in_root("link"), &datadir, &e) < 0);
    assert_null(datadir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_clean_and_unclean),
        cmocka_unit_test(test_second_process),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
