/*
 * control: talking to a running daemon: `sluice status [--json]` and
 * `sluice route pause|resume NAME`, `sluice route limit NAME N/W [--limit LIMIT]`.
 */
#ifndef SLUICE_CLI_CONTROL_H
#define SLUICE_CLI_CONTROL_H

/* Return the exit code. */
int cli_status(int argc, char **argv);
int cli_route(int argc, char **argv);

#endif
