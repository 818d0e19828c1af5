/*
 * endpoint: in which region, and at which host, a service of AWS is called. Pure.
 */
#ifndef SLUICE_AWS_ENDPOINT_H
#define SLUICE_AWS_ENDPOINT_H

#include "sluice/aws/environment.h"

#define AWS_REGION_MAX   64
#define AWS_ENDPOINT_MAX 512

/* The host of an AWS queue URL (STR_NONE: none), as a signature for another region would be
 * refused; then the configuration, AWS_REGION, AWS_DEFAULT_REGION, the profile. ERR_NOT_FOUND:
 * nothing says; the instance metadata service may know. ERR_INVALID: what is said can be no region.
 */
SL_MUST_CHECK int aws_region_find(const struct aws_environment *environment, struct str queue_url,
                                  char ret[AWS_REGION_MAX], struct error *e);

enum aws_service { AWS_SQS, AWS_STS, AWS_SSO, AWS_SSO_OIDC };

/* An endpoint that somebody chose, without a "/" at its end; "" when nobody did: the
 * configuration's (SQS only), AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's services
 * block and its endpoint_url; the last four not with AWS_IGNORE_CONFIGURED_ENDPOINT_URLS.
 * ERR_INVALID with *e: no http(s) URL, or FIPS or dual-stack is asked for as well. */
SL_MUST_CHECK int aws_endpoint_given(const struct aws_environment *environment,
                                     enum aws_service service, char ret[AWS_ENDPOINT_MAX],
                                     struct error *e);
/* Where the service is called: the given endpoint, else by the scheme of the region's partition,
 * with FIPS and dual-stack as they are asked for. ERR_INVALID also for a partition that has no
 * dual-stack endpoints. */
SL_MUST_CHECK int aws_endpoint_find(const struct aws_environment *environment,
                                    enum aws_service service, const char *region,
                                    char ret[AWS_ENDPOINT_MAX], struct error *e);
/* FIPS or dual-stack endpoints are asked for: a queue URL's own host is not the one to call. */
bool aws_endpoint_is_special(const struct aws_environment *environment);
/* The region to sign for at an endpoint: of STS's global one it is us-east-1. */
const char *aws_endpoint_region(const char *endpoint, const char *region);

#endif
