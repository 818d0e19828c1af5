/*
 * mock_api: `sluice mock-api`: a stand-in for the API that is to be protected, for demos, tests and
 * load tests. Enforces N per W and K at once (429 beyond), answers 201 after a latency, fails and
 * breaks as told, and counts exactly what arrived. `--help` tells more.
 *
 * GET /stats gives the report as JSON, POST /reset begins a new measurement, GET /healthz says ok;
 * any other request is a call. The report is printed once more at the end.
 */
#ifndef SLUICE_CLI_MOCK_API_H
#define SLUICE_CLI_MOCK_API_H

/* Runs until SIGTERM, SIGINT or --duration. Returns the exit code. */
int cli_mock_api(int argc, char **argv);

#endif
