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

#endif
