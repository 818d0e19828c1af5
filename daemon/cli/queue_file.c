/* backup, check. */
#include "queue_internal.h"

#include "sluice/base/clock.h"
#include "sluice/base/json.h"
#include "sluice/cli/admin_client.h"
#include "sluice/runtime/datadir.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_EVERY_NS  (100 * NS_PER_MS)
#define BODY_MAX_BYTES ((size_t)64 << 10)

/* ---- backup ---- */

static const char backup_usage[] =
    "usage: sluice queue backup FILE [--force] [--data-dir DIR]\n\n"
    "Copies all queues to FILE while the daemon works on. The copy holds every message that was "
    "accepted\nbefore, is synced, and is a queue file: start a daemon with it as queue.db in a "
    "data "
    "directory of\nits own. It is written as FILE.part first, by the daemon, so the directory must "
    "be "
    "writable for it; Ctrl-C ends the watching, not the copying.\n\n"
    "  --force    replace an earlier backup at FILE\n";

static int make_absolute(const char *file, char *out, size_t size)
{
    char directory[DATADIR_PATH_MAX];
    int len = -1;

    if (file[0] == '/') {
        len = snprintf(out, size, "%s", file);
    } else if (getcwd(directory, sizeof(directory)) != NULL) {
        len = snprintf(out, size, "%s/%s", directory, file);
    }
    if (len < 0 || (size_t)len >= size) {
        (void)fprintf(stderr, "sluice: %s: the path is too long\n", file);
        return EXIT_CODE_USAGE;
    }
    return EXIT_CODE_DONE;
}

static int start(const char *data_dir, const char *path, bool force)
{
    struct admin_question question = {.data_dir = data_dir, .method = "POST", .path = "/v1/backup"};
    struct buf body, out;
    struct json_writer w;

    buf_init(&body, BODY_MAX_BYTES);
    buf_init(&out, BODY_MAX_BYTES);
    json_writer_init(&w, &body);
    json_object_begin(&w);
    json_member_str(&w, "file", str_from(path));
    json_member_bool(&w, "force", force);
    json_object_end(&w);
    question.body = buf_str(&body);
    int code = admin_client_ask(&question, &out);
    buf_done(&body);
    buf_done(&out);
    return code;
}

static void show_progress(const struct json_value *status)
{
    double done = json_number(json_get(status, "pages_done"));
    double total = json_number(json_get(status, "pages_total"));

    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\rbackup: %3.0f %%", total > 0 ? 100 * done / total : 0);
    }
}

/* What the status says about our backup: CLI_GO while it runs, else the exit code. */
static int look(const struct json_value *status, const char *path)
{
    struct str state = json_string(json_get(status, "state"));

    if (!str_equal(json_string(json_get(status, "file")), str_from(path))) {
        (void)fprintf(stderr, "sluice: another backup began meanwhile; look whether %s is there\n",
                      path);
        return EXIT_CODE_FAILED;
    }
    if (str_equal(state, STR("running"))) {
        show_progress(status);
        return CLI_GO;
    }
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r               \r", stderr);
    }
    if (!str_equal(state, STR("done"))) {
        struct str text = json_string(json_get(status, "error"));
        (void)fprintf(stderr, "sluice: %s: %.*s\n", path, STR_FMT(text));
        return EXIT_CODE_FAILED;
    }
    (void)printf("%s: %.0f messages, %.0f bytes\n", path, json_number(json_get(status, "messages")),
                 json_number(json_get(status, "bytes")));
    return EXIT_CODE_DONE;
}

static int follow(const char *data_dir, const char *path)
{
    const struct admin_question question = {
        .data_dir = data_dir, .method = "GET", .path = "/v1/backup"};
    const struct timespec pause = {.tv_nsec = POLL_EVERY_NS};
    struct buf out;
    int code = CLI_GO;

    buf_init(&out, BODY_MAX_BYTES);
    while (code == CLI_GO) {
        struct json json = {NULL};
        buf_reset(&out);
        code = admin_client_ask(&question, &out);
        if (code == EXIT_CODE_DONE && json_parse(&json, buf_str(&out), JSON_STRICT, NULL) == 0) {
            code = look(json.root, path);
        }
        json_done(&json);
        if (code == CLI_GO) {
            (void)nanosleep(&pause, NULL);
        }
    }
    buf_done(&out);
    return code;
}

int queue_backup(int argc, char **argv)
{
    const char *data_dir = NULL;
    bool force = false;
    const struct cli_option options[] = {
        CLI_DATA_DIR(data_dir),
        {.name = "force", .kind = CLI_FLAG, .ret = &force},
    };
    const struct cli_command command = {
        "sluice queue backup", backup_usage, options, SL_COUNT(options), 1, 1};
    char path[DATADIR_PATH_MAX];
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    code = make_absolute(words.items[0], path, sizeof(path));
    code = code == EXIT_CODE_DONE ? start(data_dir, path, force) : code;
    return code == EXIT_CODE_DONE ? follow(data_dir, path) : code;
}

/* ---- check ---- */

static const char check_usage[] =
    "usage: sluice queue check [FILE | --data-dir DIR]\n\n"
    "Reads all of a queue file (queue.db of the data directory, or a backup) and says whether it "
    "is "
    "sound:\nSQLite's integrity check, then what the queue itself relies on. Changes nothing. No "
    "daemon may have\nthe file open.\n\n"
    "Exit codes: 0 sound, 1 could not be checked, 2 usage, 3 damaged or of a newer version.\n";

int queue_check(int argc, char **argv)
{
    const char *data_dir = NULL;
    const struct cli_option options[] = {CLI_DATA_DIR(data_dir)};
    const struct cli_command command = {"sluice queue check", check_usage, options,
                                        SL_COUNT(options),    0,           1};
    char directory[DATADIR_PATH_MAX], path[DATADIR_PATH_MAX + 16];
    struct error e = {0};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    if (words.count > 0 && data_dir != NULL) {
        return cli_usage_error(&command, "give FILE or --data-dir, not both");
    }
    if (words.count > 0) {
        return app_check_queue(words.items[0]);
    }
    if (datadir_resolve(data_dir, directory, &e) != 0) {
        (void)fprintf(stderr, "sluice: %s\n", e.text);
        return EXIT_CODE_USAGE;
    }
    (void)snprintf(path, sizeof(path), "%s/queue.db", directory);
    return app_check_queue(path);
}
