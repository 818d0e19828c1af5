#include "unit/base/unit.h"

#include "cli/check.c"
#include "cli/options.c"
#include "sluice/base/mem.h"

#define VECTORS TEST_SOURCE_DIR "/vectors/config/"

/* Stands for the app, which is not linked here: what --connect hands on. */
static struct {
    uint32_t calls;
    const char *data_dir;
    int code;
} connecting;

int app_check_connect(const struct settings *settings, const char *filename, const char *data_dir)
{
    assert_non_null(settings);
    assert_non_null(filename);
    connecting.calls++;
    connecting.data_dir = data_dir;
    return connecting.code;
}

struct ending {
    int code;
    char out[8192], err[8192];
};

static void read_back(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    (void)close(fd);
}

static int temporary(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = dup(fileno(file));
    (void)fclose(file);
    return fd;
}

/* Runs `sluice check` with these arguments in this process, its output in files. */
static void check(struct ending *end, const char *a, const char *b, const char *c)
{
    char *argv[5] = {mem_dup("check", 5)};
    const char *const more[] = {a, b, c};
    int argc = 1;
    for (; argc <= 3 && more[argc - 1] != NULL; argc++) {
        argv[argc] = mem_dup(more[argc - 1], strlen(more[argc - 1]));
    }
    (void)fflush(NULL);
    int saved_out = dup(STDOUT_FILENO);
    int saved_err = dup(STDERR_FILENO);
    int out = temporary();
    int err = temporary();
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    end->code = cli_check(argc, argv);
    (void)fflush(NULL);
    (void)dup2(saved_out, STDOUT_FILENO);
    (void)dup2(saved_err, STDERR_FILENO);
    (void)close(saved_out);
    (void)close(saved_err);
    read_back(out, end->out, sizeof(end->out));
    read_back(err, end->err, sizeof(end->err));
    for (int i = 0; i < 5; i++) {
        free(argv[i]);
    }
}

static void test_good(void **state)
{
    (void)state;
    struct ending end;
    check(&end, "--config", VECTORS "good/design.json", NULL);
    assert_int_equal(end.code, 0);
    assert_string_equal(end.out, VECTORS "good/design.json: good "
                                         "(routes: 1, queues: 2, targets: 1, limits: 1)\n");
    assert_string_equal(end.err, "");
    check(&end, VECTORS "good/design.json", NULL, NULL);
    assert_int_equal(end.code, 0);
    check(&end, NULL, NULL, NULL);
    assert_int_equal(end.code, 0);
}

static void test_refused(void **state)
{
    (void)state;
    struct ending end;
    check(&end, "--config", VECTORS "bad/many-errors.json", NULL);
    assert_int_equal(end.code, 3);
    assert_string_equal(end.out, "");
    assert_non_null(strstr(end.err, "bad/many-errors.json: limits.a.requests: found 0; "));
    assert_non_null(strstr(end.err, "bad/many-errors.json: routes.r.target: found \"u\""));
    assert_non_null(strstr(end.err, "bad/many-errors.json: refused: 8 errors\n"));
    check(&end, "-c", VECTORS "bad/syntax-trailing-text.json", NULL);
    assert_int_equal(end.code, 3);
    /* the file's name once, not twice */
    assert_non_null(strstr(end.err, "syntax-trailing-text.json: line 2, column 4"));
    assert_non_null(strstr(end.err, "refused: 1 error\n"));
    check(&end, "-c", "/nonexistent", NULL);
    assert_int_equal(end.code, 3);
    assert_non_null(strstr(end.err, "/nonexistent: cannot be read: not found"));
}

/* The files that the configuration names are looked at, too. */
static void test_tls(void **state)
{
    (void)state;
    struct ending end;
    check(&end, "--config", VECTORS "good/tls.json", NULL);
    assert_int_equal(end.code, 3);
    assert_string_equal(end.out, "");
    assert_non_null(strstr(end.err, "sqs_api.tls: /etc/sluice/tls/cert.pem cannot be read: not "
                                    "found; check the path and its rights\n"));
    assert_non_null(strstr(end.err, "refused: 1 error\n"));
}

static void test_usage(void **state)
{
    (void)state;
    struct ending end;
    check(&end, "--conf", NULL, NULL);
    assert_int_equal(end.code, 2);
    check(&end, "--nonsense", NULL, NULL);
    assert_int_equal(end.code, 2);
    assert_non_null(strstr(end.err, "usage: sluice check"));
    check(&end, "a.json", "b.json", NULL);
    assert_int_equal(end.code, 2);
    check(&end, "--help", NULL, NULL);
    assert_int_equal(end.code, 0);
    assert_non_null(strstr(end.out, "usage: sluice check"));
}

static void test_connect(void **state)
{
    (void)state;
    struct ending end;
    check(&end, "--connect", VECTORS "good/design.json", NULL);
    assert_int_equal(end.code, 0);
    assert_int_equal(connecting.calls, 1);
    assert_null(connecting.data_dir);
    assert_non_null(strstr(end.out, "design.json: good"));
    connecting.code = 3;
    check(&end, "--connect", VECTORS "good/design.json", "--data-dir=/x");
    assert_int_equal(end.code, 3);
    assert_int_equal(connecting.calls, 2);
    assert_string_equal(end.out, "");
    /* What is wrong already is not connected; what makes no sense together is said. */
    check(&end, "--connect", VECTORS "bad/many-errors.json", NULL);
    assert_int_equal(end.code, 3);
    check(&end, VECTORS "good/design.json", "--connect", "--example");
    assert_int_equal(end.code, 2);
    check(&end, VECTORS "good/design.json", "--data-dir=/x", NULL);
    assert_int_equal(end.code, 2);
    assert_int_equal(connecting.calls, 2);
}

static void test_warnings(void **state)
{
    (void)state;
    struct ending end;
    check(&end, "--config", VECTORS "good/everything.json", NULL);
    assert_int_equal(end.code, 0);
    assert_non_null(
        strstr(end.err, "warning: " VECTORS "good/everything.json: routes.again.limits: no limit"));
}

static void test_example(void **state)
{
    (void)state;
    struct ending end;
    check(&end, "--example", NULL, NULL);
    assert_int_equal(end.code, 0);
    assert_non_null(strstr(end.out, "\"requests\": 5,"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_tls),     cmocka_unit_test(test_usage),
        cmocka_unit_test(test_connect), cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
