/*
 * usage: `sluice usage [--json]`: what was called this hour and today, and what is left of quotas.
 */
#ifndef SLUICE_CLI_USAGE_H
#define SLUICE_CLI_USAGE_H

/* Returns the exit code. */
int cli_usage(int argc, char **argv);

#endif
