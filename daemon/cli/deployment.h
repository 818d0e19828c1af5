/*
 * deployment: what a configuration uses of AWS, for the commands that print policies and templates.
 * Not for other areas.
 */
#ifndef SLUICE_CLI_DEPLOYMENT_H
#define SLUICE_CLI_DEPLOYMENT_H

#include "options.h"

#include "sluice/base/json.h"
#include "sluice/base/mem.h"
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
/* Its own account drains this queue: it is one of SQS, and no role is assumed for it, unless it is
 * the one route that is asked for (else NULL): then all is seen from the role's account. */
bool deployment_drains(const struct route_settings *route, const char *asked_route);

/* Each once, in the order of the routes. */
struct deployment_arns {
    const char **items;
    uint32_t count;
};
struct deployment_needs {
    struct deployment_arns drain, send, assume; /* queues, queues, roles */
    struct arena arena;                         /* of all this */
};

struct deployment_wanted {
    const struct settings *settings;
    const char *route; /* NULL: all */
    /* The ARN of the route's dead-letter queue into out[DEPLOYMENT_ARN_MAX]; ERR_NOT_FOUND: not
     * known, and not in the policy. */
    int (*dead_letter)(void *context, const struct route_settings *route,
                       const struct deployment_queue *queue, char *out, struct error *e);
    void *context;
};
/* The least that the daemon needs. A route with a role needs only to assume it, unless that route
 * is the one that is asked for: then it is what the role needs. ERR_NOT_FOUND: no route of that
 * name, or none that uses SQS. deployment_needs_done() in any case. */
SL_MUST_CHECK int deployment_needs_find(const struct deployment_wanted *wanted,
                                        struct deployment_needs *ret, struct error *e);
void deployment_needs_done(struct deployment_needs *needs);

/* The policy's document. kms_key: ARN of the key that encrypts the queues, or NULL. resource writes
 * an ARN; NULL: as it is. */
struct deployment_policy {
    const char *kms_key;
    void (*resource)(void *context, struct json_writer *w, const char *arn);
    void *context;
};
void deployment_policy_write(const struct deployment_needs *needs,
                             const struct deployment_policy *policy, struct json_writer *w);

#endif
