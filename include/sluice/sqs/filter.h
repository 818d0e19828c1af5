/*
 * filter: which attributes of a message a ReceiveMessage asked for. Pure.
 */
#ifndef SLUICE_SQS_FILTER_H
#define SLUICE_SQS_FILTER_H

#include "sluice/sqs/types.h"

/* Message attributes: "All", ".*", "*", the exact name, "prefix.*" (a prefix of the text: "col.*"
 * takes "color"). Nothing asked: false. */
bool sqs_filter_message_attribute(const struct sqs_strings *wanted, struct str name);
/* System and queue attributes: "All" or the exact name. */
bool sqs_filter_name(const struct sqs_strings *wanted, struct str name);
/* System attributes of a receive: AttributeNames (deprecated) and MessageSystemAttributeNames
 * together. */
bool sqs_filter_system_attribute(const struct sqs_receive_in *receive, struct str name);

#endif
