#include "sluice/cli/iam_policy.h"

#include "deployment.h"
#include "options.h"

#include "sluice/app.h"
#include "sluice/cli/check.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/validate.h"

#include <stdio.h>
#include <string.h>

#define PRINT_MAX_BYTES ((size_t)1 << 20)

static const char usage[] =
    "usage: sluice iam-policy --config FILE [--stage NAME] [--route NAME]\n"
    "                         [--dead-letter [ROUTE=]QUEUE]... [--kms-key ARN]\n"
    "       sluice iam-policy --config FILE --route NAME --trust ARN\n"
    "\n"
    "Prints the least IAM policy that the configuration needs. A route that assumes a role needs\n"
    "only that; with --route it is the role's own policy, for the account of the queue.\n"
    "\n"
    "  -c, --config FILE        the configuration\n"
    "      --stage NAME         merged with the stage's own file\n"
    "      --route NAME         this route alone\n"
    "      --dead-letter [ROUTE=]QUEUE\n"
    "                           name or ARN of the dead-letter queue that the queue's redrive\n"
    "                           policy names: messages that are given up are sent there; of one\n"
    "                           route, or of all that have none of their own\n"
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

/* ---- dead-letter queues: only SQS knows their names, from the queues' redrive policies ---- */

struct dead_letters {
    const struct cli_texts *given;
    char unnamed[256]; /* routes for which none is given, for people */
};

/* "orders=orders-dlq": what is given for the route; *ret_own: for it alone. NULL: for another one.
 */
static const char *given_for(const char *text, const char *route, bool *ret_own)
{
    const char *equals = strchr(text, '=');

    *ret_own = equals != NULL;
    if (equals == NULL) {
        return text;
    }
    return str_equal((struct str){text, (size_t)(equals - text)}, str_from(route)) ? equals + 1
                                                                                   : NULL;
}

static const char *find_dead_letter(const struct cli_texts *given, const char *route)
{
    const char *of_all = NULL;

    for (uint32_t i = 0; i < given->count; i++) {
        bool own;
        const char *text = given_for(given->items[i], route, &own);
        if (text != NULL && own) {
            return text;
        }
        of_all = text != NULL ? text : of_all;
    }
    return of_all;
}

static void note_unnamed(struct dead_letters *dead_letters, const char *route)
{
    size_t len = strlen(dead_letters->unnamed);

    (void)snprintf(dead_letters->unnamed + len, sizeof(dead_letters->unnamed) - len, "%s%s",
                   len == 0 ? "" : ", ", route);
}

/* A name is of the account and region of the queue itself. */
static int dead_letter_arn(void *context, const struct route_settings *route,
                           const struct deployment_queue *queue, char *out, struct error *e)
{
    struct dead_letters *dead_letters = context;
    const char *text = find_dead_letter(dead_letters->given, route->name);
    const char *last = strrchr(queue->arn, ':');
    struct sqs_error problem;
    struct sqs_arn arn;
    int len;

    if (text == NULL) {
        note_unnamed(dead_letters, route->name);
        return ERR_NOT_FOUND;
    }
    if (sqs_arn_parse(str_from(text), &arn) == 0) {
        len = snprintf(out, DEPLOYMENT_ARN_MAX, "%s", text);
    } else if (sqs_validate_queue_name(str_from(text), &problem) == SQS_OK) {
        len = snprintf(out, DEPLOYMENT_ARN_MAX, "%.*s:%s", (int)(last - queue->arn), queue->arn,
                       text);
    } else {
        return error_set(e, ERR_INVALID, "", "--dead-letter \"%s\" is no name or ARN of a queue",
                         text);
    }
    if (len >= DEPLOYMENT_ARN_MAX) {
        return error_set(e, ERR_TOO_BIG, "", "--dead-letter \"%.80s...\" is too long", text);
    }
    if (str_ends_with(str_from(text), STR(".fifo")) != queue->fifo) {
        return error_set(e, ERR_INVALID, "",
                         "--dead-letter \"%s\": the queue of route %s is %s FIFO queue, and so is "
                         "its dead-letter queue; --dead-letter %s=QUEUE names its own",
                         text, route->name, queue->fifo ? "a" : "no", route->name);
    }
    return 0;
}

/* NULL, or the first --dead-letter of a route that is not there. */
static const char *find_stray(const struct settings *settings, const struct cli_texts *given)
{
    for (uint32_t i = 0; i < given->count; i++) {
        bool own = false, known = false;
        for (uint32_t k = 0; k < settings->routes.count && !known; k++) {
            known = given_for(given->items[i], settings->routes.items[k].name, &own) != NULL;
        }
        if (!known && strchr(given->items[i], '=') != NULL) {
            return given->items[i];
        }
    }
    return NULL;
}

/* ---- the two policies ---- */

static int print_policy(const struct deployment_wanted *wanted, const char *kms_key)
{
    const struct deployment_policy policy = {.kms_key = kms_key};
    const struct dead_letters *dead_letters = wanted->context;
    struct deployment_needs needs;
    struct json_writer w;
    struct error e = {0};
    struct buf out;
    int code = EXIT_CODE_REFUSED;

    buf_init(&out, PRINT_MAX_BYTES);
    json_writer_init(&w, &out);
    if (deployment_needs_find(wanted, &needs, &e) != 0) {
        (void)fprintf(stderr, "sluice iam-policy: %s\n", e.text);
    } else {
        deployment_policy_write(&needs, &policy, &w);
        code = print(&out);
        if (dead_letters->unnamed[0] != '\0') {
            (void)fprintf(
                stderr,
                "sluice iam-policy: no dead-letter queue is given for: %s; if the queue "
                "has one, name it with --dead-letter, as what is given up is sent there\n",
                dead_letters->unnamed);
        }
    }
    deployment_needs_done(&needs);
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
    const char *file = NULL, *stage = NULL, *trust = NULL, *kms_key = NULL;
    struct cli_texts given = {.count = 0};
    struct dead_letters dead_letters = {.given = &given};
    struct deployment_wanted wanted = {.dead_letter = dead_letter_arn, .context = &dead_letters};
    const struct cli_option options[] = {
        {.name = "config", .letter = 'c', .kind = CLI_TEXT, .ret = &file, .wanted = "a file"},
        CLI_STAGE(stage),
        {.name = "route", .kind = CLI_TEXT, .ret = &wanted.route, .wanted = "a route"},
        {.name = "dead-letter", .kind = CLI_TEXTS, .ret = &given},
        {.name = "kms-key", .kind = CLI_TEXT, .ret = &kms_key, .wanted = "an ARN"},
        {.name = "trust", .kind = CLI_TEXT, .ret = &trust, .wanted = "an ARN"},
    };
    const struct cli_command command = {"sluice iam-policy", usage, options,
                                        SL_COUNT(options),   0,     0};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    if (file == NULL || (trust != NULL && wanted.route == NULL)) {
        return cli_usage_error(&command,
                               file == NULL ? "--config is needed" : "--trust is for one --route");
    }
    struct settings *settings = cli_load_settings("", file, stage);
    if (settings == NULL) {
        return EXIT_CODE_REFUSED;
    }
    const char *stray = find_stray(settings, &given);
    wanted.settings = settings;
    if (stray != NULL) {
        code = cli_usage_error(&command, "--dead-letter %s: there is no such route", stray);
    } else {
        code = trust != NULL ? print_trust(settings, wanted.route, trust)
                             : print_policy(&wanted, kms_key);
    }
    settings_free(settings);
    return code;
}
