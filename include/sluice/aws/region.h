/*
 * region: what the instance metadata service says of the region, for a start where nothing else
 * does. Blocks for up to a few seconds: before the daemon's loop runs.
 */
#ifndef SLUICE_AWS_REGION_H
#define SLUICE_AWS_REGION_H

#include "sluice/aws/endpoint.h"

/* ERR_NOT_FOUND: it is disabled, not there, or does not say. */
SL_MUST_CHECK int aws_region_of_instance(const struct aws_environment *environment,
                                         char ret[AWS_REGION_MAX]);

#endif
