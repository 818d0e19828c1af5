/*
 * config: `sluice config show` prints the configuration that holds: a file with its stage merged
 * into it, defaults included, secrets left out.
 */
#ifndef SLUICE_CLI_CONFIG_H
#define SLUICE_CLI_CONFIG_H

int cli_config(int argc, char **argv);

#endif
