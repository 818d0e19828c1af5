/*
 * template: the CloudFormation template of some queues, as `sluice cloudformation` found them. Not
 * for other areas.
 */
#ifndef SLUICE_CLI_TEMPLATE_H
#define SLUICE_CLI_TEMPLATE_H

#include "deployment.h"

#define TEMPLATE_ID_MAX    96
#define TEMPLATE_NAME_MAX  128
#define TEMPLATE_POLICY_ID "SluicePolicy"
#define TEMPLATE_NONE      UINT32_MAX

/* One queue of the template, once however many routes drain it. */
struct template_item {
    const struct route_settings *route; /* the first that drains it; NULL: a dead-letter queue */
    char name[TEMPLATE_NAME_MAX], arn[DEPLOYMENT_ARN_MAX];
    bool fifo;
    uint32_t dead;            /* its dead-letter queue; TEMPLATE_NONE: none */
    uint32_t source;          /* whose dead-letter queue it is; TEMPLATE_NONE: none's */
    char id[TEMPLATE_ID_MAX]; /* logical id: letters and digits */
};

struct deployment_template {
    const struct settings *settings;
    const char *route; /* NULL: all */
    struct template_item *items;
    uint32_t count;
};

/* What the ids of all that is made for a queue end in, after the queue's own; NULL-terminated. */
extern const char *const template_suffixes[];

/* Errors are those of deployment_needs_find(). */
SL_MUST_CHECK int template_write(struct json_writer *w, struct deployment_template *t,
                                 struct error *e);

#endif
