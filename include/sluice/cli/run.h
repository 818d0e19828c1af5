/*
 * run: `sluice run [--config FILE] [--data-dir DIR]`, the daemon.
 */
#ifndef SLUICE_CLI_RUN_H
#define SLUICE_CLI_RUN_H

/* Returns the exit code. */
int cli_run(int argc, char **argv);

#endif
