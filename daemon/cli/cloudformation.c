#include "sluice/cli/cloudformation.h"

#include "template.h"

#include "sluice/app.h"
#include "sluice/cli/check.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINT_MAX_BYTES ((size_t)1 << 20)

static const char usage[] =
    "usage: sluice cloudformation --config FILE [--stage NAME] [--route NAME]\n"
    "\n"
    "Prints a CloudFormation template (JSON) with the Amazon SQS queues that the configuration\n"
    "drains, a dead-letter queue for each, the managed policy that the daemon needs, and alarms:\n"
    "a message waits for more than an hour, the backlog takes more than an hour at the pace of "
    "the\n"
    "limits, messages were given up. A template is for one account and region. Queues of routes\n"
    "that assume a role belong to another account: they are left out, unless --route asks for "
    "one.\n"
    "\n"
    "  -c, --config FILE  the configuration\n"
    "      --stage NAME   merged with the stage's own file\n"
    "      --route NAME   the queue of this route alone; where it assumes a role, the policy is "
    "the\n"
    "                     role's\n"
    "  -h, --help         this text\n"
    "\n"
    "Exit status: 0 printed, 2 usage, 3 the configuration is refused, or has no queue of SQS.\n";

/* ---- what is in it ---- */

/* Whether something of a is called as something of b is: Jobs + Policy, and JobsPolicy + "". */
static bool clash(const char *a, const char *b)
{
    char left[TEMPLATE_ID_MAX + 16], right[TEMPLATE_ID_MAX + 16];

    for (size_t i = 0; template_suffixes[i] != NULL; i++) {
        for (size_t k = 0; template_suffixes[k] != NULL; k++) {
            (void)snprintf(left, sizeof(left), "%s%s", a, template_suffixes[i]);
            (void)snprintf(right, sizeof(right), "%s%s", b, template_suffixes[k]);
            if (strcmp(left, right) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_taken(const struct deployment_template *t, const char *id)
{
    bool taken = clash(TEMPLATE_POLICY_ID, id);

    for (uint32_t i = 0; i < t->count && !taken; i++) {
        taken = clash(t->items[i].id, id);
    }
    return taken;
}

/* "orders-v2.fifo" is OrdersV2Fifo; what would be called as something else is gets a number. */
static void make_id(const struct deployment_template *t, struct template_item *item)
{
    size_t at = 0;
    bool first = true;

    for (const char *c = item->name; *c != '\0' && at < 80; c++) {
        if (isalnum((unsigned char)*c)) {
            item->id[at++] = (char)(first ? toupper((unsigned char)*c) : *c);
        }
        first = !isalnum((unsigned char)*c);
    }
    if (at == 0) { /* a name of dashes */
        item->id[at++] = 'Q';
    }
    item->id[at] = '\0';
    for (uint32_t n = 2; is_taken(t, item->id); n++) {
        (void)snprintf(item->id + at, TEMPLATE_ID_MAX - at, "Q%u", n);
    }
}

static uint32_t find_item(const struct deployment_template *t, const char *arn)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].arn, arn) == 0) {
            return i;
        }
    }
    return TEMPLATE_NONE;
}

static void add_item(struct deployment_template *t, const struct template_item *new)
{
    struct template_item *item = &t->items[t->count];

    *item = *new;
    make_id(t, item);
    t->count++;
}

/* The account and the region, with all before them. */
static size_t place_len(const char *arn)
{
    return (size_t)(strrchr(arn, ':') - arn);
}

static int add_route(struct deployment_template *t, const struct route_settings *route,
                     struct error *e)
{
    struct template_item item = {.route = route, .dead = TEMPLATE_NONE, .source = TEMPLATE_NONE};
    struct deployment_queue queue;
    int error = deployment_queue(t->settings, route->queue, &queue, e);

    if (error != 0 || find_item(t, queue.arn) != TEMPLATE_NONE) {
        return error;
    }
    if (queue.name.len + sizeof("-dlq") > sizeof(item.name)) {
        return error_set(e, ERR_TOO_BIG, "", "%s: no queue has so long a name", route->queue);
    }
    if (t->count > 0 && (place_len(t->items[0].arn) != place_len(queue.arn) ||
                         strncmp(t->items[0].arn, queue.arn, place_len(queue.arn)) != 0)) {
        return error_set(e, ERR_INVALID, "",
                         "%.150s and %.150s are of two accounts or regions, and a template is for "
                         "one; name the routes one by one with --route",
                         t->items[0].arn, queue.arn);
    }
    (void)str_copy(item.name, sizeof(item.name), queue.name);
    (void)str_copy(item.arn, sizeof(item.arn), str_from(queue.arn));
    item.fifo = queue.fifo;
    add_item(t, &item);
    return 0;
}

/* The queue's name with "-dlq", before the ".fifo" that a FIFO queue's name ends in. It may be one
 * that a route drains, too. */
static void add_dead_letters(struct deployment_template *t, uint32_t i)
{
    const struct template_item *source = &t->items[i];
    struct template_item item = {.dead = TEMPLATE_NONE, .source = i, .fifo = source->fifo};
    int len = (int)strlen(source->name) - (source->fifo ? 5 : 0);

    (void)snprintf(item.name, sizeof(item.name), "%.*s-dlq%s", len, source->name,
                   source->fifo ? ".fifo" : "");
    (void)snprintf(item.arn, sizeof(item.arn), "%.*s:%s", (int)place_len(source->arn), source->arn,
                   item.name);
    uint32_t known = find_item(t, item.arn);
    if (known != TEMPLATE_NONE) {
        t->items[known].source = i;
    } else {
        known = t->count;
        add_item(t, &item);
    }
    t->items[i].dead = known;
}

static int collect(struct deployment_template *t, struct error *e)
{
    int error = 0;

    for (uint32_t i = 0; i < t->settings->routes.count && error == 0; i++) {
        const struct route_settings *route = &t->settings->routes.items[i];
        if (deployment_drains(route, t->route)) {
            error = add_route(t, route, e);
        }
    }
    const uint32_t drained = t->count;
    for (uint32_t i = 0; i < drained && error == 0; i++) {
        add_dead_letters(t, i);
    }
    if (error == 0 && drained == 0) {
        error = error_set(e, ERR_NOT_FOUND, "",
                          t->route == NULL ? "no route drains an SQS queue of this account: there "
                                             "is nothing to deploy"
                                           : "there is no such route that drains an SQS queue");
    }
    return error;
}

static int print_template(const struct settings *settings, const char *route)
{
    struct deployment_template t = {
        .settings = settings,
        .route = route,
        .items = MEM_NEW_ARRAY(2 * settings->routes.count + 1, struct template_item)};
    struct json_writer w;
    struct error e = {0};
    struct buf out;
    int code = EXIT_CODE_REFUSED;

    buf_init(&out, PRINT_MAX_BYTES);
    json_writer_init(&w, &out);
    if (collect(&t, &e) != 0 || template_write(&w, &t, &e) != 0) {
        (void)fprintf(stderr, "sluice cloudformation: %s\n", e.text);
    } else {
        code = buf_failed(&out) == 0 && printf("%s\n", buf_str(&out).ptr) > 0 ? EXIT_CODE_DONE
                                                                              : EXIT_CODE_FAILED;
    }
    buf_done(&out);
    free(t.items);
    return code;
}

int cli_cloudformation(int argc, char **argv)
{
    const char *file = NULL, *stage = NULL, *route = NULL;
    const struct cli_option options[] = {
        {.name = "config", .letter = 'c', .kind = CLI_TEXT, .ret = &file, .wanted = "a file"},
        CLI_STAGE(stage),
        {.name = "route", .kind = CLI_TEXT, .ret = &route, .wanted = "a route"},
    };
    const struct cli_command command = {"sluice cloudformation", usage, options,
                                        SL_COUNT(options),       0,     0};
    struct cli_words words;
    int code = cli_command_parse(&command, argc, argv, &words);

    if (code != CLI_GO) {
        return code;
    }
    if (file == NULL) {
        return cli_usage_error(&command, "--config is needed");
    }
    struct settings *settings = cli_load_settings("", file, stage);
    if (settings == NULL) {
        return EXIT_CODE_REFUSED;
    }
    code = print_template(settings, route);
    settings_free(settings);
    return code;
}
