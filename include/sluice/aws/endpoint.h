/*
 * endpoint: in which region, and at which host, a service of AWS is called. Pure.
 */
#ifndef SLUICE_AWS_ENDPOINT_H
#define SLUICE_AWS_ENDPOINT_H

#include "sluice/aws/environment.h"

#define AWS_REGION_MAX   64
#define AWS_ENDPOINT_MAX 512

/* The configuration, then AWS_REGION, AWS_DEFAULT_REGION, the profile. The host of an AWS queue URL
 * (queue_url; STR_NONE: none) comes before all of them, as a signature for another region would be
 * refused. ERR_NOT_FOUND: nothing says; then the instance metadata service may be asked. */
SL_MUST_CHECK int aws_region_find(const struct aws_environment *environment, struct str queue_url,
                                  char ret[AWS_REGION_MAX], struct error *e);

/* service: "sqs", "sts", "portal.sso", "oidc". ret: scheme, host and port, without a path of its
 * own but that of a given endpoint: "https://sqs-fips.us-east-1.amazonaws.com".
 *   1. the configuration's endpoint (SQS only), AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the
 *      profile's services and endpoint_url, unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS
 *   2. the partition's scheme: FIPS, dual-stack, China, GovCloud, …
 * ERR_INVALID with *e: FIPS or dual-stack together with a given endpoint, a region that is no host
 * label. */
SL_MUST_CHECK int aws_endpoint_find(const struct aws_environment *environment, const char *service,
                                    const char *region, char ret[AWS_ENDPOINT_MAX],
                                    struct error *e);

/* "aws", "aws-cn", "aws-us-gov" … of a region, for ARNs. */
const char *aws_partition(const char *region);

#endif
