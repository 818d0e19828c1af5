/*
 * check: `sluice check [--config FILE]` reads a configuration as `sluice run` would and prints all
 * that is wrong with it, each with the path of its key, and warnings. Starts nothing.
 */
#ifndef SLUICE_CLI_CHECK_H
#define SLUICE_CLI_CHECK_H

#include "sluice/settings.h"

#include <stdio.h>

/* argv[0] is the subcommand's name. Returns the exit code: 0 good, 2 usage, 3 refused. */
int cli_check(int argc, char **argv);

/* One line each: "<label><filename>: <path>: <text>". For other commands that load a file. */
void cli_print_errors(FILE *stream, const char *label, const char *filename,
                      const struct error_list *errors);

/* What write makes of the settings, on standard output. Returns the exit code. */
int cli_print_settings(int (*write)(const struct settings *, struct buf *),
                       const struct settings *settings);
/* The settings of a file, or the defaults without one; stage NULL: $SLUICE_STAGE, or none. NULL
 * when they are refused: what is wrong is on standard error, each line with the label. */
struct settings *cli_load_settings(const char *label, const char *file, const char *stage);

#endif
