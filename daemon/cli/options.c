#include "options.h"

#include "sluice/app.h"
#include "sluice/base/str.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_CODE 256 /* no character */

static void fill(const struct cli_option *options, size_t count, struct option *ret_long,
                 char *ret_short)
{
    size_t len = 0;

    ret_short[len++] = ':';
    ret_short[len++] = 'h';
    for (size_t i = 0; i < count; i++) {
        bool takes_value = options[i].kind != CLI_FLAG;
        ret_long[i] =
            (struct option){options[i].name, takes_value ? required_argument : no_argument, NULL,
                            FIRST_CODE + (int)i};
        if (options[i].letter != 0) {
            ret_short[len++] = options[i].letter;
        }
        if (options[i].letter != 0 && takes_value) {
            ret_short[len++] = ':';
        }
    }
    ret_long[count] = (struct option){"help", no_argument, NULL, 'h'};
    ret_long[count + 1] = (struct option){NULL, 0, NULL, 0};
    ret_short[len] = '\0';
}

static const struct cli_option *find(const struct cli_option *options, size_t count, int code)
{
    for (size_t i = 0; i < count; i++) {
        if (code == FIRST_CODE + (int)i || code == options[i].letter) {
            return &options[i];
        }
    }
    return NULL;
}

static int take_text(struct cli_texts *texts, const char *value)
{
    if (texts->count == CLI_TEXTS_MAX) {
        return ERR_RANGE;
    }
    texts->items[texts->count++] = value;
    return 0;
}

static int take(const struct cli_option *option, const char *value)
{
    struct cli_number *number = option->ret;

    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->ret = true;
        return 0;
    case CLI_TEXT:
        *(const char **)option->ret = value;
        return value[0] == '\0' ? ERR_SYNTAX : 0;
    case CLI_TEXTS:
        return take_text(option->ret, value);
    case CLI_NUMBER:
        number->set = true;
        return str_to_i64(str_from(value), option->min, option->max, &number->value);
    case CLI_TAKEN:
        break;
    }
    return option->take(option, value);
}

static int bad_value(const struct cli_option *option, const char *value, struct error *e)
{
    if (option->kind == CLI_NUMBER) {
        return error_set(e, ERR_INVALID, "", "--%s \"%s\": give %s from %lld to %lld", option->name,
                         value, option->wanted == NULL ? "a whole number" : option->wanted,
                         (long long)option->min, (long long)option->max);
    }
    if (option->kind == CLI_TEXTS) {
        return error_set(e, ERR_INVALID, "", "--%s is given more than %d times", option->name,
                         CLI_TEXTS_MAX);
    }
    return error_set(e, ERR_INVALID, "", "--%s \"%s\": give %s", option->name, value,
                     option->wanted == NULL ? "a value" : option->wanted);
}

int cli_options_parse(int argc, char **argv, const struct cli_option *options, size_t count,
                      struct cli_words *ret, struct error *e)
{
    struct option long_options[CLI_OPTIONS_MAX + 2];
    char short_options[2 * CLI_OPTIONS_MAX + 3];
    int code;

    SL_ASSERT(count <= CLI_OPTIONS_MAX);
    *ret = (struct cli_words){.count = 0};
    fill(options, count, long_options, short_options);
    optind = 0; /* a new command line: the program's own options may have been parsed before */
    opterr = 0;
    while ((code = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        const struct cli_option *option = find(options, count, code);
        if (code == 'h') {
            ret->help = true;
        } else if (code == ':') {
            return error_set(e, ERR_INVALID, "", "%s needs a value", argv[optind - 1]);
        } else if (option == NULL) {
            return error_set(e, ERR_INVALID, "", "unknown option %s", argv[optind - 1]);
        } else if (take(option, optarg) != 0) {
            return bad_value(option, optarg, e);
        }
    }
    ret->items = argv + optind;
    ret->count = argc - optind;
    return 0;
}

int cli_usage_error(const struct cli_command *command, const char *format, ...)
{
    va_list args;

    (void)fprintf(stderr, "%s: ", command->name);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\n%s", command->usage);
    return EXIT_CODE_USAGE;
}

int cli_command_parse(const struct cli_command *command, int argc, char **argv,
                      struct cli_words *ret)
{
    struct error e = {0};

    if (cli_options_parse(argc, argv, command->options, command->option_count, ret, &e) != 0) {
        return cli_usage_error(command, "%s", e.text);
    }
    if (ret->help) {
        (void)fputs(command->usage, stdout);
        return EXIT_CODE_DONE;
    }
    if (ret->count > command->words_max) {
        return cli_usage_error(command, "unexpected \"%s\"", ret->items[command->words_max]);
    }
    if (ret->count < command->words_min) {
        return cli_usage_error(command, "an argument is missing");
    }
    return CLI_GO;
}

const char *cli_stage(void)
{
    const char *stage = getenv("SLUICE_STAGE");

    return stage == NULL || stage[0] == '\0' ? NULL : stage;
}
