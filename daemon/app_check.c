/* `sluice queue check`: the queue's own check, under the data directory's lock, in words. */
#include "sluice/app.h"
#include "sluice/queue/verify.h"
#include "sluice/runtime/datadir.h"

#include <libgen.h>
#include <stdio.h>

static void on_problem(void *context, const char *text)
{
    (void)context;
    (void)fprintf(stderr, "  %s\n", text);
}

static int verify(const char *path)
{
    struct queue_verify check = {.problem = on_problem};
    struct error e = {0};
    int error = queue_file_verify(path, &check, &e);

    if (error == 0) {
        (void)printf("%s: sound (%lld queues, %lld messages, %lld bytes)\n", path,
                     (long long)check.queues, (long long)check.messages, (long long)check.bytes);
        return EXIT_CODE_DONE;
    }
    (void)fprintf(stderr, "sluice: %s: %s\n", e.where, e.text);
    return error == ERR_CORRUPT || error == ERR_VERSION ? EXIT_CODE_REFUSED : EXIT_CODE_FAILED;
}

int app_check_queue(const char *path)
{
    char copy[DATADIR_PATH_MAX + 16];
    struct datadir *datadir = NULL;
    struct error e = {0};

    str_copy(copy, sizeof(copy), str_from(path));
    if (datadir_lock(dirname(copy), &datadir, &e) != 0) {
        (void)fprintf(stderr, "sluice: %s: %s\n", e.where, e.text);
        return EXIT_CODE_FAILED;
    }
    int code = verify(path);
    datadir_close(datadir, false);
    return code;
}
