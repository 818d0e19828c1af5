#include "sluice/cli/iam_policy.h"

#include "deployment.h"
#include "options.h"

#include "sluice/app.h"
#include "sluice/cli/check.h"

#include <stdio.h>
#include <string.h>

#define PRINT_MAX_BYTES ((size_t)1 << 20)

static const char usage[] =
    "usage: sluice iam-policy --config FILE [--stage NAME] [--route NAME] [--dead-letter QUEUE]\n"
    "                         [--kms-key ARN]\n"
    "       sluice iam-policy --config FILE --route NAME --trust ARN\n"
    "\n"
    "Prints the least IAM policy that the configuration needs. A route that assumes a role needs\n"
    "only that; with --route it is the role's own policy, for the account of the queue.\n"
    "\n"
    "  -c, --config FILE        the configuration\n"
    "      --stage NAME         merged with the stage's own file\n"
    "      --route NAME         this route alone\n"
    "      --dead-letter QUEUE  name or ARN of the dead-letter queue that the queue's redrive\n"
    "                           policy names: messages that are given up are sent there\n"
    "      --kms-key ARN        the key that encrypts the queues, where it is not SQS's own\n"
    "      --trust ARN          instead: the trust policy of the route's role, for the daemon\n"
    "                           with this role or user\n"
    "  -h, --help               this text\n"
    "\n"
    "Exit status: 0 printed, 2 usage, 3 the configuration is refused, or does not use SQS.\n";

static int print(struct buf *out)
{
    int error = buf_failed(out);

    if (error == 0) {
        (void)printf("%s\n", buf_str(out).ptr);
    }
    return error == 0 ? EXIT_CODE_DONE : EXIT_CODE_FAILED;
}

static int print_policy(const struct deployment_policy *policy)
{
    struct json_writer w;
    struct error e = {0};
    struct buf out;
    int code;

    buf_init(&out, PRINT_MAX_BYTES);
    json_writer_init(&w, &out);
    if (deployment_policy_write(policy, &w, &e) != 0) {
        (void)fprintf(stderr, "sluice iam-policy: %s\n", e.text);
        code = EXIT_CODE_REFUSED;
    } else {
        code = print(&out);
        if (policy->dead_letter == NULL) {
            (void)fprintf(stderr, "sluice iam-policy: if a queue has a dead-letter queue, name it "
                                  "with --dead-letter: what is given up is sent there\n");
        }
    }
    buf_done(&out);
    return code;
}

/* Who may assume the role of the route; the external id is what keeps others' daemons out. */
static int print_trust(const struct settings *settings, const char *name, const char *principal)
{
    const struct route_settings *route = NULL;
    struct json_writer w;
    struct buf out;

    for (uint32_t i = 0; i < settings->routes.count; i++) {
        if (strcmp(settings->routes.items[i].name, name) == 0) {
            route = &settings->routes.items[i];
        }
    }
    if (route == NULL || route->assume_role.arn == NULL) {
        (void)fprintf(stderr, "sluice iam-policy: there is no route %s that assumes a role\n",
                      name);
        return EXIT_CODE_REFUSED;
    }
    buf_init(&out, PRINT_MAX_BYTES);
    json_writer_init(&w, &out);
    json_object_begin(&w);
    json_member_str(&w, "Version", STR("2012-10-17"));
    json_key_write(&w, STR("Statement"));
    json_array_begin(&w);
    json_object_begin(&w);
    json_member_str(&w, "Effect", STR("Allow"));
    json_key_write(&w, STR("Principal"));
    json_object_begin(&w);
    json_member_str(&w, "AWS", str_from(principal));
    json_object_end(&w);
    json_member_str(&w, "Action", STR("sts:AssumeRole"));
    if (route->assume_role.external_id != NULL) {
        json_key_write(&w, STR("Condition"));
        json_object_begin(&w);
        json_key_write(&w, STR("StringEquals"));
        json_object_begin(&w);
        json_member_str(&w, "sts:ExternalId", str_from(route->assume_role.external_id));
        json_object_end(&w);
        json_object_end(&w);
    }
    json_object_end(&w);
    json_array_end(&w);
    json_object_end(&w);
    int code = print(&out);
    buf_done(&out);
    return code;
}

int cli_iam_policy(int argc, char **argv)
{
    const char *file = NULL, *stage = NULL, *trust = NULL;
    struct deployment_policy policy = {0};
    const struct cli_option options[] = {
        {.name = "config", .letter = 'c', .kind = CLI_TEXT, .ret = &file, .wanted = "a file"},
        CLI_STAGE(stage),
        {.name = "route", .kind = CLI_TEXT, .ret = &policy.route, .wanted = "a route"},
        {.name = "dead-letter", .kind = CLI_TEXT, .ret = &policy.dead_letter, .wanted = "a queue"},
        {.name = "kms-key", .kind = CLI_TEXT, .ret = &policy.kms_key, .wanted = "an ARN"},
        {.name = "trust", .kind = CLI_TEXT, .ret = &trust, .wanted = "an ARN"},
    };
    const struct cli_command command = {"sluice iam-policy", usage, options,
                                        SL_COUNT(options),   0,     0};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    if (file == NULL || (trust != NULL && policy.route == NULL)) {
        return cli_usage_error(&command,
                               file == NULL ? "--config is needed" : "--trust is for one --route");
    }
    struct settings *settings = cli_load_settings("", file, stage);
    if (settings == NULL) {
        return EXIT_CODE_REFUSED;
    }
    policy.settings = settings;
    code = trust != NULL ? print_trust(settings, policy.route, trust) : print_policy(&policy);
    settings_free(settings);
    return code;
}
