/*
 * arn: queue URLs and ARNs, taken apart and put together. Pure; parsed parts are borrowed from the
 * text, built texts lie in the arena.
 */
#ifndef SLUICE_SQS_ARN_H
#define SLUICE_SQS_ARN_H

#include "sluice/base/mem.h"
#include "sluice/base/str.h"

/* Which queue a QueueUrl names. The host is not looked at. */
struct sqs_queue_ref {
    struct str account; /* STR_NONE when a bare name was given */
    struct str name;
};

/* "http://host:port/000000000000/jobs", "/000000000000/jobs" or the bare name "jobs": the last two
 * segments count. ERR_INVALID when there is no name. */
SL_MUST_CHECK int sqs_queue_url_parse(struct str url, struct sqs_queue_ref *ret);
/* endpoint + "/" + account + "/" + name; STR_NONE when the arena is full. */
struct str sqs_queue_url_build(struct arena *arena, struct str endpoint, struct str account,
                               struct str name);

/* A queue URL as a client needs it. */
struct sqs_endpoint {
    struct str origin; /* "https://sqs.eu-west-1.amazonaws.com" */
    struct str host;   /* with the port, as the Host header has it; default ports are left out */
    struct str region; /* of an AWS host name, else STR_NONE */
};
/* ERR_INVALID unless http(s)://host[:port]/account/name. */
SL_MUST_CHECK int sqs_endpoint_parse(struct str queue_url, struct sqs_endpoint *ret);

/* "aws", "aws-cn", "aws-us-gov" …: the partition of a region. */
const char *sqs_partition(struct str region);

struct sqs_arn { /* arn:aws:sqs:<region>:<account>:<name> */
    struct str partition, region, account, name;
};
/* ERR_INVALID unless it is the ARN of a queue. */
SL_MUST_CHECK int sqs_arn_parse(struct str arn, struct sqs_arn *ret);
/* STR_NONE when the arena is full. */
struct str sqs_arn_build(struct arena *arena, struct str region, struct str account,
                         struct str name);

#endif
