/*
 * plan: `sluice plan --limit 5/1s --latency 600ms[:cv] [--concurrency 1-8] [--json]`: what
 * concurrency alone gives, and what it gives behind the limit, simulated with the real limit and
 * flow code.
 */
#ifndef SLUICE_CLI_PLAN_H
#define SLUICE_CLI_PLAN_H

/* Returns the exit code. */
int cli_plan(int argc, char **argv);

#endif
