/*
 * options: the command line of every subcommand, read in one way. Options may stand anywhere among
 * the words, "--" ends them, -h and --help are known to all. A command describes its options in a
 * table; values go where the table says.
 */
#ifndef SLUICE_CLI_OPTIONS_H
#define SLUICE_CLI_OPTIONS_H

#include "sluice/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define CLI_TEXTS_MAX   32
#define CLI_OPTIONS_MAX 24

struct cli_texts { /* of an option that may be given several times */
    const char *items[CLI_TEXTS_MAX];
    uint32_t count;
};

struct cli_number {
    bool set;
    int64_t value;
};

enum cli_option_kind {
    CLI_FLAG,   /* bool */
    CLI_TEXT,   /* const char *, not empty */
    CLI_TEXTS,  /* struct cli_texts */
    CLI_NUMBER, /* struct cli_number: a whole number from min to max */
    CLI_TAKEN,  /* whatever take() makes of it */
};

struct cli_option {
    const char *name; /* "data-dir": --data-dir */
    char letter;      /* 'd': -d too; 0: none */
    enum cli_option_kind kind;
    void *ret;          /* what kind says; borrowed from argv */
    const char *wanted; /* what a good value looks like, for the message; NULL: anything */
    int64_t min, max;   /* NUMBER */
    int id;             /* of take(), to tell its options apart */
    int (*take)(const struct cli_option *option, const char *value); /* 0, or wanted is told */
};

/* The option that all who talk to a daemon or its files have. */
#define CLI_DATA_DIR(member)                                                                       \
    {                                                                                              \
        .name = "data-dir", .letter = 'd', .kind = CLI_TEXT, .ret = &(member),                     \
        .wanted = "a directory"                                                                    \
    }

/* And the one of all who read a configuration: $SLUICE_STAGE, or none, when it is not given. */
#define CLI_STAGE(member)                                                                          \
    {                                                                                              \
        .name = "stage", .kind = CLI_TEXT, .ret = &(member), .wanted = "the name of a stage"       \
    }
const char *cli_stage(void);

struct cli_words { /* what is no option, in order; borrowed from argv */
    char **items;
    int count;
    bool help;
};

/* argv[0] is skipped. ERR_INVALID with a sentence in *e. */
SL_MUST_CHECK int cli_options_parse(int argc, char **argv, const struct cli_option *options,
                                    size_t count, struct cli_words *ret, struct error *e);

struct cli_command {
    const char *name; /* "sluice queue send", for messages */
    const char *usage;
    const struct cli_option *options;
    size_t option_count;
    int words_min, words_max;
};

#define CLI_GO (-1) /* no exit code yet: go on */

/* Parses, and prints the usage where that is all there is to do: CLI_GO, or the exit code. */
SL_MUST_CHECK int cli_command_parse(const struct cli_command *command, int argc, char **argv,
                                    struct cli_words *ret);
/* The end of a command line that makes no sense: says why, prints the usage; EXIT_CODE_USAGE. */
int cli_usage_error(const struct cli_command *command, const char *format, ...) SL_PRINTF(2, 3);

#endif
