/*
 * argv → subcommand; nothing else.
 */
#include "sluice/app.h"
#include "sluice/cli/check.h"
#include "sluice/cli/cloudformation.h"
#include "sluice/cli/config.h"
#include "sluice/cli/iam_policy.h"
#include "sluice/cli/control.h"
#include "sluice/cli/mock_api.h"
#include "sluice/cli/plan.h"
#include "sluice/cli/queue.h"
#include "sluice/cli/run.h"
#include "sluice/cli/usage.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit code */
    const char *help;
};

static int version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("sluice " SLUICE_VERSION);
    return EXIT_CODE_DONE;
}

static const struct command commands[] = {
    {"run", cli_run, "run the daemon: queue, limits, delivery"},
    {"check", cli_check, "check a configuration file, print all that is wrong with it"},
    {"config", cli_config, "show the configuration that holds, with its stage, without secrets"},
    {"iam-policy", cli_iam_policy, "the least IAM policy that a configuration needs"},
    {"cloudformation", cli_cloudformation, "a template of the queues, the policy and alarms"},
    {"status", cli_status, "what a running daemon does now"},
    {"usage", cli_usage, "what was called this hour and today, and how much of quotas is used"},
    {"route", cli_route, "pause, resume or change the limit of a route while it runs"},
    {"queue", cli_queue, "look at, fill, empty, back up and check the embedded queues"},
    {"plan", cli_plan, "what a limit, a latency and a concurrency give, simulated"},
    {"mock-api", cli_mock_api, "a stand-in for the protected API, for load tests"},
    {"version", version, "print the version"},
};

static void usage(FILE *out)
{
    fputs("sluice: calls an HTTP API from a queue, never faster than it can take\n\n"
          "usage: sluice <command> [options]\n\n",
          out);
    for (size_t i = 0; i < SL_COUNT(commands); i++) {
        fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
    }
    fputs("\n`sluice <command> --help` tells more. Exit codes: 0 done, 1 failed at run time, 2 "
          "usage,\n"
          "3 configuration or data refused, 4 drain deadline passed.\n",
          out);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    if (name == NULL) {
        usage(stderr);
        return EXIT_CODE_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return EXIT_CODE_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    for (size_t i = 0; i < SL_COUNT(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "sluice: \"%s\" is no command\n\n", name);
    usage(stderr);
    return EXIT_CODE_USAGE;
}
