/* Where keys come from, and what is said when there are none. */
#include "sluice/aws/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char directory[64], file[128];

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int clean_environment(void **state)
{
    (void)state;
    static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN", "AWS_PROFILE",
                                        "AWS_SHARED_CREDENTIALS_FILE"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        unsetenv(names[i]);
    }
    return setenv("HOME", directory, 1);
}

static void expect_error(int code, const char *part)
{
    struct credentials *c = NULL;
    struct error e = {0};
    int rc = credentials_load(&c, &e);
    char all[sizeof(e.where) + sizeof(e.text) + 2];
    (void)snprintf(all, sizeof(all), "%s: %s", e.where, e.text);
    if (rc != code || strstr(all, part) == NULL) {
        fail_msg("got %d \"%s\", wanted %d with \"%s\"", rc, all, code, part);
    }
    assert_null(c);
}

static void expect_keys(const char *id, const char *secret, const char *token, const char *source)
{
    struct credentials *c = NULL;
    struct error e = {0};
    int rc = credentials_load(&c, &e);
    if (rc != 0) {
        fail_msg("%s: %s", e.where, e.text);
        return;
    }
    assert_true(str_equal(c->access_key_id, str_from(id)));
    assert_true(str_equal(c->secret_access_key, str_from(secret)));
    assert_int_equal(c->session_token.ptr == NULL, token == NULL);
    assert_true(token == NULL || str_equal(c->session_token, str_from(token)));
    assert_non_null(strstr(c->source, source));
    credentials_free(c);
}

static void environment_first(void **state)
{
    (void)state;
    write_file("[default]\naws_access_key_id=F\naws_secret_access_key=S\n");
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    expect_error(ERR_NOT_FOUND, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    expect_keys("AKID", "secret", NULL, "environment");
    setenv("AWS_SESSION_TOKEN", "token", 1);
    expect_keys("AKID", "secret", "token", "environment");
    setenv("AWS_SESSION_TOKEN", "", 1);
    expect_keys("AKID", "secret", NULL, "environment");
    setenv("AWS_ACCESS_KEY_ID", "", 1);
    expect_error(ERR_NOT_FOUND, "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not");
    setenv("AWS_SECRET_ACCESS_KEY", "", 1);
    expect_keys("F", "S", NULL, "/.aws/credentials, profile default");
}

static void profiles(void **state)
{
    (void)state;
    write_file("# comment\r\n; comment\r\n"
               "[default]\r\naws_access_key_id = D1\r\naws_secret_access_key=D/2+=\r\n\r\n"
               "[ other ]\naws_access_key_id=O1\naws_secret_access_key = O2\n"
               "aws_session_token=O3==\nregion = eu-west-1\ns3 =\n  nested = 1\n"
               "[role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"
               "[half]\naws_access_key_id=H1\n");
    expect_keys("D1", "D/2+=", NULL, "profile default");
    setenv("AWS_PROFILE", "other", 1);
    expect_keys("O1", "O2", "O3==", "profile other");
    struct credentials *c = NULL;
    assert_int_equal(credentials_load(&c, NULL), 0);
    assert_true(str_equal(c->region, STR("eu-west-1")));
    credentials_free(c);
    setenv("AWS_PROFILE", "role", 1);
    expect_error(ERR_UNSUPPORTED, "profile \"role\" uses role_arn");
    setenv("AWS_PROFILE", "half", 1);
    expect_error(ERR_NOT_FOUND, "profile \"half\" lacks aws_secret_access_key");
    setenv("AWS_PROFILE", "missing", 1);
    expect_error(ERR_NOT_FOUND, "has no profile \"missing\"");
}

static void files(void **state)
{
    (void)state;
    (void)unlink(file);
    expect_error(ERR_NOT_FOUND, "tried AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (not set) and "
                                "the shared credentials file");
    expect_error(ERR_NOT_FOUND, "/.aws/credentials (not there)");
    unsetenv("HOME");
    expect_error(ERR_NOT_FOUND, "neither AWS_SHARED_CREDENTIALS_FILE nor HOME is set");
    write_file("[default]\naws_access_key_id=A\naws_secret_access_key=B\n");
    setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
    expect_keys("A", "B", NULL, file);
    setenv("HOME", directory, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", 1);
    expect_keys("A", "B", NULL, file);
    write_file("[default\naws_access_key_id=A\n");
    expect_error(ERR_SYNTAX, "line 1: a section needs its ']'");
    write_file("[default]\nnonsense\n");
    expect_error(ERR_SYNTAX, "line 2: expected key = value");
    write_file("");
    expect_error(ERR_NOT_FOUND, "has no profile \"default\"");
    setenv("AWS_SHARED_CREDENTIALS_FILE", directory, 1);
    struct credentials *c = NULL;
    assert_int_not_equal(credentials_load(&c, NULL), 0);
}

static int make_directory(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "%s", "/tmp/sluice-credentials-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    char sub[96];
    (void)snprintf(sub, sizeof(sub), "%s/.aws", directory);
    (void)snprintf(file, sizeof(file), "%s/credentials", sub);
    return mkdir(sub, 0700);
}

static int remove_directory(void **state)
{
    (void)state;
    char sub[96];
    (void)snprintf(sub, sizeof(sub), "%s/.aws", directory);
    (void)unlink(file);
    (void)rmdir(sub);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(environment_first, clean_environment),
        cmocka_unit_test_setup(profiles, clean_environment),
        cmocka_unit_test_setup(files, clean_environment),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
