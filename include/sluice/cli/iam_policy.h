/*
 * iam_policy: `sluice iam-policy` prints the least IAM policy that a configuration needs, or the
 * trust policy of a role that another account's daemon assumes.
 */
#ifndef SLUICE_CLI_IAM_POLICY_H
#define SLUICE_CLI_IAM_POLICY_H

int cli_iam_policy(int argc, char **argv);

#endif
