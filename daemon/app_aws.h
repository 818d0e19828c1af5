/*
 * app_aws: the AWS side of the daemon: what the environment says, connections through the proxy and
 * with the certificates that are wanted, one provider of credentials for the process and one for
 * each role. Of `sluice run` and `sluice check --connect` alike.
 */
#ifndef SLUICE_APP_AWS_H
#define SLUICE_APP_AWS_H

#include "sluice/aws/sqs_client.h"
#include "sluice/runtime/metrics.h"
#include "sluice/settings.h"

struct app_aws;

/* Nothing is read or made before the first client. settings are borrowed. */
struct app_aws *app_aws_new(struct loop *loop, const struct settings *settings);
/* A client of the queue, with the role (NULL or without an arn: the process's own credentials). No
 * call of it may start after app_aws_close(). Errors with *e are of the configuration and the
 * environment: what is there cannot work. A source of credentials that fails is none: it is asked
 * when the first call is made, and again. */
SL_MUST_CHECK int app_aws_client(struct app_aws *aws, const char *queue_url,
                                 const struct role_settings *role, struct sqs_client **ret,
                                 struct error *e);
/* Why there are no credentials; NULL while there are, or nobody asked. */
const char *app_aws_trouble(const struct app_aws *aws);
/* Where those of the process are from, for people: "environment"; "none" before they were needed.
 */
const char *app_aws_source(const struct app_aws *aws);
/* Families sluice_aws_credentials_…; at most once. */
void app_aws_metrics(struct app_aws *aws, struct metrics *metrics);
/* Runs to its end with the loop; then app_aws_free(). NULL is fine. */
void app_aws_close(struct app_aws *aws);
void app_aws_free(struct app_aws *aws);

#endif
