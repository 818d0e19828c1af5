#include "sluice/cli/check.h"

#include "options.h"
#include "sluice/app.h"
#include "sluice/net/tls.h"

#include <string.h>

enum { EXIT_GOOD = 0, EXIT_REFUSED = 3 };

#define PRINT_MAX (4u * 1024 * 1024)

static const char usage[] =
    "usage: sluice check [--config FILE [--stage NAME]] [--example | --connect [--data-dir DIR]]\n"
    "\n"
    "Reads the configuration and prints everything that is wrong with it.\n"
    "\n"
    "  -c, --config FILE  the configuration (- for standard input)\n"
    "      --stage NAME   merged with the stage's own file, sluice.NAME.json beside sluice.json\n"
    "      --example      print an example with every key\n"
    "      --connect      also ask the queues for their attributes and connect to the targets\n"
    "                     (nothing is sent to them), and say how fast the backlog can drain and\n"
    "                     what will go wrong\n"
    "  -d, --data-dir DIR with --connect: where the daemon runs that knows the embedded queues\n"
    "  -h, --help         this text\n"
    "\n"
    "Exit status: 0 good, 2 usage, 3 the configuration is refused, or does not connect.\n";

struct wanted {
    bool connect;
    const char *data_dir, *stage;
};

void cli_print_errors(FILE *stream, const char *label, const char *filename,
                      const struct error_list *errors)
{
    for (uint32_t i = 0; i < errors->count; i++) {
        const struct error *e = &errors->items[i];
        if (e->where[0] == '\0' || strcmp(e->where, filename) == 0) {
            (void)fprintf(stream, "%s%s: %s\n", label, filename, e->text);
        } else {
            (void)fprintf(stream, "%s%s: %s: %s\n", label, filename, e->where, e->text);
        }
    }
    if (errors->dropped > 0) {
        (void)fprintf(stream, "%s%s: and %u more\n", label, filename, errors->dropped);
    }
}

struct settings *cli_load_settings(const char *label, const char *file, const char *stage)
{
    struct settings *settings = NULL;
    struct error_list errors = {0};

    if (file == NULL) {
        return settings_default();
    }
    stage = stage != NULL ? stage : cli_stage();
    if (settings_load_file(file, stage, &settings, &errors) != 0) {
        cli_print_errors(stderr, label, file, &errors);
    }
    error_list_free(&errors);
    return settings;
}

int cli_print_settings(int (*write)(const struct settings *, struct buf *),
                       const struct settings *settings)
{
    struct buf text;
    buf_init(&text, PRINT_MAX);
    int rc = write(settings, &text);
    if (rc == 0) {
        (void)fputs(buf_str(&text).ptr, stdout);
    } else {
        (void)fprintf(stderr, "sluice: cannot print: %s\n", err_text(rc));
    }
    buf_done(&text);
    return rc == 0 ? EXIT_GOOD : EXIT_REFUSED;
}

static int write_example(const struct settings *settings, struct buf *out)
{
    (void)settings;
    return settings_example(out);
}

static int check_good(const char *filename, const struct settings *settings,
                      const struct wanted *wanted)
{
    struct error_list warnings = {0};
    settings_warn(settings, &warnings);
    cli_print_errors(stderr, "warning: ", filename, &warnings);
    error_list_free(&warnings);
    if (wanted->connect) {
        int code = app_check_connect(settings, filename, wanted->data_dir);
        if (code != EXIT_GOOD) {
            return code;
        }
    }
    (void)printf("%s: good (routes: %u, queues: %u, targets: %u, limits: %u)\n", filename,
                 settings->routes.count, settings->queues.count, settings->targets.count,
                 settings->limits.count);
    return EXIT_GOOD;
}

/* What only the files themselves can tell. */
static int check_tls(const struct settings *settings, struct error_list *errors)
{
    struct tls *tls = NULL;
    struct error e = {0};
    if (settings->sqs_api.tls.cert_file == NULL) {
        return 0;
    }
    int rc = tls_new(settings->sqs_api.tls.cert_file, settings->sqs_api.tls.key_file, &tls, &e);
    if (rc != 0) {
        rc = error_list_add(errors, rc, "sqs_api.tls", "%s %s", e.where, e.text);
    }
    tls_free(tls);
    return rc;
}

static int check_file(const char *file, const struct wanted *wanted)
{
    struct error_list errors = {0};
    struct settings *settings = NULL;
    const char *stage = wanted->stage != NULL ? wanted->stage : cli_stage();
    bool standard_input = strcmp(file, "-") == 0;
    const char *filename = standard_input ? "standard input" : file;
    int code = EXIT_REFUSED;
    if (settings_load_file(standard_input ? "/dev/stdin" : file, stage, &settings, &errors) == 0 &&
        check_tls(settings, &errors) == 0) {
        code = check_good(filename, settings, wanted);
    } else {
        cli_print_errors(stderr, "", filename, &errors);
        uint32_t count = errors.count + errors.dropped;
        (void)fprintf(stderr, "%s: refused: %u error%s\n", filename, count, count == 1 ? "" : "s");
    }
    error_list_free(&errors);
    settings_free(settings);
    return code;
}

int cli_check(int argc, char **argv)
{
    const char *file = NULL;
    bool example = false;
    struct wanted wanted = {0};
    const struct cli_option options[] = {
        {.name = "config", .letter = 'c', .kind = CLI_TEXT, .ret = &file, .wanted = "a file"},
        CLI_STAGE(wanted.stage),
        {.name = "example", .kind = CLI_FLAG, .ret = &example},
        {.name = "connect", .kind = CLI_FLAG, .ret = &wanted.connect},
        CLI_DATA_DIR(wanted.data_dir),
    };
    const struct cli_command command = {"sluice check", usage, options, SL_COUNT(options), 0, 1};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);
    if (code != CLI_GO) {
        return code;
    }
    if (file != NULL && words.count > 0) {
        return cli_usage_error(&command, "one file at a time: %s", words.items[0]);
    }
    if (example && wanted.connect) {
        return cli_usage_error(&command, "--example and --connect are two things: one at a time");
    }
    if (wanted.data_dir != NULL && !wanted.connect) {
        return cli_usage_error(&command, "--data-dir is for --connect");
    }
    file = words.count > 0 ? words.items[0] : file;
    if (example) {
        return cli_print_settings(write_example, NULL);
    }
    if (wanted.stage != NULL && (file == NULL || strcmp(file, "-") == 0)) {
        return cli_usage_error(&command, "--stage is for a file");
    }
    if (file != NULL) {
        return check_file(file, &wanted);
    }
    struct settings *settings = settings_default();
    code = check_good("no --config, defaults", settings, &wanted);
    settings_free(settings);
    return code;
}
