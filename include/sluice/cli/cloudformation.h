/*
 * cloudformation: `sluice cloudformation` prints a template with the SQS queues that a
 * configuration drains, their dead-letter queues, the daemon's policy and alarms.
 */
#ifndef SLUICE_CLI_CLOUDFORMATION_H
#define SLUICE_CLI_CLOUDFORMATION_H

int cli_cloudformation(int argc, char **argv);

#endif
