#include "sluice/cli/config.h"

#include "options.h"

#include "sluice/app.h"
#include "sluice/cli/check.h"

#include <string.h>

static const char usage[] =
    "usage: sluice config show [--config FILE [--stage NAME]]\n"
    "\n"
    "Prints the configuration that holds, defaults included, secrets left out.\n"
    "\n"
    "  -c, --config FILE  the configuration; without it the defaults\n"
    "      --stage NAME   merged with the stage's own file, sluice.NAME.json beside sluice.json\n"
    "  -h, --help         this text\n"
    "\n"
    "Exit status: 0 printed, 2 usage, 3 the configuration is refused.\n";

int cli_config(int argc, char **argv)
{
    const char *file = NULL, *stage = NULL;
    const struct cli_option options[] = {
        {.name = "config", .letter = 'c', .kind = CLI_TEXT, .ret = &file, .wanted = "a file"},
        CLI_STAGE(stage),
    };
    const struct cli_command command = {"sluice config", usage, options, SL_COUNT(options), 1, 1};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    if (strcmp(words.items[0], "show") != 0) {
        return cli_usage_error(&command, "no such thing to do: %s", words.items[0]);
    }
    if (stage != NULL && file == NULL) {
        return cli_usage_error(&command, "--stage is for --config");
    }
    struct settings *settings = cli_load_settings("", file, stage);
    if (settings == NULL) {
        return EXIT_CODE_REFUSED;
    }
    code = cli_print_settings(settings_dump, settings);
    settings_free(settings);
    return code;
}
