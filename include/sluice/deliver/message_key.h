/*
 * message_key: a key expression of the configuration: what names a message's tenant, or the work it
 * stands for. Parsed once, evaluated for each message.
 *
 *   "message_id"         the queue's id of the message
 *   "message_group_id"   its MessageGroupId, also on queues that are not FIFO
 *   "attribute:NAME"     a message attribute: its text, or its bytes if it is binary
 *   "body:/orders/0/id"  what a JSON Pointer (RFC 6901) names in a JSON body: a string, a whole
 *                        number that lost no digit (below 2^53), true or false
 *
 * Absent is not empty: a body that is no JSON, a pointer to nothing, to null, to an array or an
 * object, an attribute that was not sent have no key; "" is one. Pure; any thread.
 */
#ifndef SLUICE_DELIVER_MESSAGE_KEY_H
#define SLUICE_DELIVER_MESSAGE_KEY_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"
#include "sluice/base/str.h"

#define MESSAGE_KEY_NAME_MAX 256u /* of the attribute's name, or the pointer */
/* What is allowed, for the errors of the configuration. */
#define MESSAGE_KEY_FORMS                                                                          \
    "\"message_id\", \"message_group_id\", \"attribute:NAME\", \"body:/json/pointer\""

struct message;
struct sqs_attributes;

enum message_key_kind {
    MESSAGE_KEY_NONE, /* no expression: every message's key is absent */
    MESSAGE_KEY_ID,
    MESSAGE_KEY_GROUP,
    MESSAGE_KEY_ATTRIBUTE,
    MESSAGE_KEY_BODY,
};

struct message_key {
    enum message_key_kind kind;
    char name[MESSAGE_KEY_NAME_MAX + 1]; /* of the attribute, or the pointer */
};

/* ERR_SYNTAX, ERR_TOO_BIG; *problem (never NULL then) is what is wrong, as the end of a sentence:
 * "the attribute has no name". *ret is set only on success. */
SL_MUST_CHECK int message_key_parse(struct str text, struct message_key *ret, const char **problem);

/* The key of a message, or STR_NONE where it is absent. Borrowed from the message, or from scratch,
 * whose content it replaces: valid until either changes. A key beyond scratch's maximum is absent.
 * attributes: of the message (source_ops.attributes), NULL: none. */
struct str message_key_value(const struct message_key *key, const struct message *message,
                             const struct sqs_attributes *attributes, struct buf *scratch);

#endif
