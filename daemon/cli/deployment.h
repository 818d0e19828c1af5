/*
 * deployment: what a configuration uses of AWS, for the commands that print policies and templates.
 * Not for other areas.
 */
#ifndef SLUICE_CLI_DEPLOYMENT_H
#define SLUICE_CLI_DEPLOYMENT_H

#include "sluice/base/json.h"
#include "sluice/settings.h"

#define DEPLOYMENT_ARN_MAX 256

struct deployment_queue {
    char arn[DEPLOYMENT_ARN_MAX];
    struct str name; /* borrowed of the URL */
    bool fifo;
};

/* Of the URL of an SQS queue; the region of a host that is not of AWS is aws.region, AWS_REGION or
 * AWS_DEFAULT_REGION. ERR_NOT_FOUND: nothing says it. */
SL_MUST_CHECK int deployment_queue(const struct settings *settings, const char *url,
                                   struct deployment_queue *ret, struct error *e);
bool deployment_is_sqs(const struct route_settings *route);

/* What is done with a queue that is drained, and with one that is sent to; NULL-terminated. */
extern const char *const deployment_drain_actions[];
extern const char *const deployment_send_actions[];

struct deployment_policy {
    const struct settings *settings;
    const char *route;       /* NULL: all */
    const char *dead_letter; /* name or ARN of the routes' dead-letter queue; NULL: none */
    const char *kms_key;     /* ARN of the key that encrypts the queues; NULL: none */
};
/* The document: the least that the daemon needs. A route with a role needs only to assume it,
 * unless that route is the one that is asked for: then it is the role's policy. ERR_NOT_FOUND: no
 * route of that name, or none that uses SQS. */
SL_MUST_CHECK int deployment_policy_write(const struct deployment_policy *policy,
                                          struct json_writer *w, struct error *e);

#endif
