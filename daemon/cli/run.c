#include "sluice/cli/run.h"

#include "options.h"

#include "sluice/app.h"
#include "sluice/cli/check.h"
#include "sluice/runtime/datadir.h"
#include "sluice/runtime/log.h"

#include <stdio.h>
#include <unistd.h>

static const char usage[] =
    "usage: sluice run [--config FILE [--stage NAME]] [--data-dir DIR]\n\n"
    "Runs the daemon in the foreground until SIGTERM or SIGINT, which drain; a second one ends at "
    "once.\n"
    "Without --config it is an SQS server: embedded queue, SQS API on 127.0.0.1:9324, health and\n"
    "metrics on 127.0.0.1:9325, no routes. The queue lies in the data directory: --data-dir, else\n"
    "$STATE_DIRECTORY, else $XDG_STATE_HOME/sluice.\n";

static int run_in(const struct settings *settings, const char *directory)
{
    struct datadir *datadir = NULL;
    struct error e = {0};
    bool unclean;
    int code;

    if (datadir_open(directory, &datadir, &e) != 0) {
        fprintf(stderr, "sluice: %s: %s\n", e.where, e.text);
        return EXIT_CODE_REFUSED;
    }
    log_init(&(struct log_config){.fd = STDERR_FILENO,
                                  .level = settings->log.level,
                                  .format = settings->log.format,
                                  .service = settings->log.service,
                                  .stage = settings->stage});
    unclean = datadir_is_unclean(datadir);
    code = app_run(settings, directory, &unclean);
    datadir_close(datadir, !unclean);
    return code;
}

int cli_run(int argc, char **argv)
{
    const char *config = NULL, *data_dir = NULL, *stage = NULL;
    const struct cli_option options[] = {
        {.name = "config", .letter = 'c', .kind = CLI_TEXT, .ret = &config, .wanted = "a file"},
        CLI_STAGE(stage),
        CLI_DATA_DIR(data_dir),
    };
    const struct cli_command command = {"sluice run", usage, options, SL_COUNT(options), 0, 0};
    struct cli_words words;
    char directory[DATADIR_PATH_MAX];
    struct error e = {0};
    struct settings *settings;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    if (stage != NULL && config == NULL) {
        return cli_usage_error(&command, "--stage is for --config");
    }
    settings = cli_load_settings("sluice: ", config, stage);
    if (settings == NULL) {
        return EXIT_CODE_REFUSED;
    }
    if (datadir_resolve(data_dir != NULL ? data_dir : settings->data_dir, directory, &e) != 0) {
        fprintf(stderr, "sluice: %s\n", e.text);
        settings_free(settings);
        return EXIT_CODE_USAGE;
    }
    code = run_in(settings, directory);
    settings_free(settings);
    return code;
}
