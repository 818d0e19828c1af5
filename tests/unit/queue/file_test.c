/*
 * The file: made, refused untouched when it is damaged, foreign or newer, and what a process that
 * was killed left behind.
 */
#include "support/queue_kit.h"

#include "queue/file_check.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int setup(void **state)
{
    struct kit *kit = MEM_NEW(struct kit);
    kit_init(kit);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
    for (int i = 0; i < 400; i++) {
        assert_int_equal(kit_send(kit, "jobs", "some body of a message", -1), 0);
    }
    *state = kit;
    return 0;
}

/* ---- whole files ---- */

static struct str read_file(struct kit *kit, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    char *content = arena_alloc(&kit->arena, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, content, (size_t)st.st_size), st.st_size);
    close(fd);
    return (struct str){content, (size_t)st.st_size};
}

static void write_file(const char *path, struct str content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.ptr, content.len), content.len);
    close(fd);
}

static int count_files(const char *directory)
{
    int count = 0;
    DIR *dir = opendir(directory);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

/* Opening fails with the code and a helpful text, and nothing has changed. */
static void assert_refused(struct kit *kit, int code, const char *text)
{
    struct error e = {.code = 0};
    struct str before = read_file(kit, kit->path);
    int files = count_files(kit->directory);
    int rc = kit_try_open(kit, &e);
    if (rc != code || strstr(e.text, text) == NULL) {
        (void)fprintf(stderr, "%s: %s\n", err_name(rc), e.text);
    }
    assert_int_equal(rc, code);
    assert_non_null(strstr(e.text, text));
    assert_string_equal(e.where, kit->path);
    assert_true(str_equal(before, read_file(kit, kit->path)));
    assert_int_equal(count_files(kit->directory), files);
}

static void patch(struct kit *kit, struct str content, size_t at, const void *bytes, size_t len)
{
    char *copy = arena_dup(&kit->arena, content.ptr, content.len);
    assert_true(at + len <= content.len);
    memcpy(copy + at, bytes, len);
    write_file(kit->path, (struct str){copy, content.len});
}

static void test_made_complete(void **state)
{
    struct kit *kit = *state;
    struct stat st;
    assert_int_equal(stat(kit->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    kit_close(kit);
    assert_int_equal(count_files(kit->directory), 1); /* no log left after a clean close */
    struct str content = read_file(kit, kit->path);
    assert_memory_equal(content.ptr + 68, "SLUC", 4);
    struct error e = {.code = 0};
    assert_int_equal(file_check(kit->path, &e), 0);
    /* A draft left by a start that was killed is no obstacle. */
    char draft[128];
    (void)snprintf(draft, sizeof(draft), "%s.new", kit->path);
    write_file(draft, STR("half"));
    assert_int_equal(unlink(kit->path), 0);
    kit_open(kit);
    assert_int_equal(kit_visible(kit, "jobs"), -1);
    assert_int_equal(access(draft, F_OK), -1);
}

static void test_truncated(void **state)
{
    struct kit *kit = *state;
    kit_close(kit);
    struct str whole = read_file(kit, kit->path);
    assert_true(whole.len > 60000);
    const size_t lengths[] = {0, 1, 50, 100, 4096, 8191, 8192, 16384, whole.len / 2, whole.len - 1};
    for (size_t i = 0; i < SL_COUNT(lengths); i++) {
        write_file(kit->path, (struct str){whole.ptr, lengths[i]});
        assert_refused(kit, ERR_CORRUPT, "truncated");
    }
    write_file(kit->path, whole);
    kit_open(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 400);
}

static void test_damaged(void **state)
{
    struct kit *kit = *state;
    kit_close(kit);
    struct str whole = read_file(kit, kit->path);
    char junk[8192];
    memset(junk, 0xa5, sizeof(junk));
    patch(kit, whole, 0, junk, 16);
    assert_refused(kit, ERR_CORRUPT, "no queue file");
    patch(kit, whole, 16, junk, 2);
    assert_refused(kit, ERR_CORRUPT, "damaged");
    patch(kit, whole, 100, junk, 300); /* the schema */
    assert_refused(kit, ERR_CORRUPT, "damaged");
    for (size_t page = 1; (page + 1) * sizeof(junk) <= whole.len; page++) {
        patch(kit, whole, page * sizeof(junk), junk, sizeof(junk));
        assert_refused(kit, ERR_CORRUPT, "damaged");
    }
    write_file(kit->path, STR("This is just some text, longer than the header of a database file: "
                              "somebody gave the wrong path, for example that of the log."));
    assert_refused(kit, ERR_CORRUPT, "no queue file");
    assert_refused(kit, ERR_CORRUPT, "move it away to start empty");
}

static void test_foreign_and_newer(void **state)
{
    struct kit *kit = *state;
    kit_close(kit);
    struct str whole = read_file(kit, kit->path);
    patch(kit, whole, 60, "\0\0\0\x07", 4);
    assert_refused(kit, ERR_VERSION, "schema version 7");
    assert_int_equal(unlink(kit->path), 0);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(kit->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_refused(kit, ERR_CORRUPT, "another program");
}

static void test_not_readable(void **state)
{
    struct kit *kit = *state;
    struct error e = {.code = 0};
    kit_close(kit);
    assert_int_equal(unlink(kit->path), 0);
    assert_int_equal(mkdir(kit->path, 0700), 0);
    assert_int_equal(kit_try_open(kit, &e), ERR_IO);
    assert_int_equal(rmdir(kit->path), 0);
    (void)snprintf(kit->path, sizeof(kit->path), "%s/none/queue.db", kit->directory);
    assert_int_equal(kit_try_open(kit, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "cannot be created"));
}

static void test_log_without_file(void **state)
{
    struct kit *kit = *state;
    char log[128];
    char hidden[128];
    struct error e = {.code = 0};
    kit_close(kit);
    (void)snprintf(log, sizeof(log), "%s-wal", kit->path);
    (void)snprintf(hidden, sizeof(hidden), "%s.away", kit->path);
    assert_int_equal(rename(kit->path, hidden), 0);
    write_file(log, STR("pages"));
    assert_int_equal(kit_try_open(kit, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "log"));
    assert_int_equal(access(kit->path, F_OK), -1);
    assert_int_equal(access(log, F_OK), 0);
}

/* ---- killed ---- */

/* Runs body in a child that ends by SIGKILL without closing anything. */
static void in_killed_child(struct kit *kit, void (*body)(struct kit *kit))
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        kit_open(kit);
        body(kit);
        (void)kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    kit->is_open = false;
}

static void send_and_hold(struct kit *kit)
{
    SL_ASSERT(kit_send(kit, "jobs", "after", -1) == 0);
    SL_ASSERT(kit_hold(kit, "jobs", 7).count == 7);
    struct str handle = kit_receive(kit, "jobs", 1, 30)->messages.items[0].receipt_handle;
    SL_ASSERT(kit_delete(kit, "jobs", handle) == 0);
    kit_begin(kit); /* and one transaction that was never finished */
    struct sqs_send_message_in in = {.queue_url = STR("jobs"), .entry = {.body = STR("never")}};
    kit->request.input = &in;
    kit->request.action = SQS_SEND_MESSAGE;
    SL_ASSERT(engine_run(&kit->engine, &kit->request) == 0);
}

static void test_killed(void **state)
{
    struct kit *kit = *state;
    struct error e = {.code = 0};
    kit_close(kit);
    in_killed_child(kit, send_and_hold);
    /* The log is there: the check reads through it, and leaves it as it is. */
    char log[128];
    (void)snprintf(log, sizeof(log), "%s-wal", kit->path);
    struct str before = read_file(kit, log);
    struct str file = read_file(kit, kit->path);
    assert_true(before.len > 0);
    assert_int_equal(file_check(kit->path, &e), 0);
    assert_true(str_equal(before, read_file(kit, log)));
    assert_true(str_equal(file, read_file(kit, kit->path)));
    assert_int_equal(count_files(kit->directory), 2);
    kit_open(kit);
    assert_int_equal(kit_visible(kit, "jobs"), 400);
    assert_int_equal(kit_in_flight(kit, "jobs"), 0);
}

static void create_only(struct kit *kit)
{
    (void)kit;
}

static void test_killed_after_creation(void **state)
{
    struct kit *kit = *state;
    kit_close(kit);
    assert_int_equal(unlink(kit->path), 0);
    in_killed_child(kit, create_only);
    kit_open(kit);
    assert_int_equal(kit_create(kit, "jobs", NULL), 0);
}

static void test_another_process(void **state)
{
    struct kit *kit = *state;
    struct kit second = *kit;
    struct error e = {.code = 0};
    assert_int_equal(kit_try_open(&second, &e), ERR_BUSY);
    assert_non_null(strstr(e.text, "another process"));
    assert_int_equal(kit_visible(kit, "jobs"), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_complete, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_truncated, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_and_newer, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_not_readable, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_log_without_file, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_killed_after_creation, setup, kit_teardown),
        cmocka_unit_test_setup_teardown(test_another_process, setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
