/*
 * message_headers: what is in a message beside its body, as headers of its request. The
 * configuration names a header and a key expression (message_key.h), or "system:NAME" for a system
 * attribute of SQS; "Prefix-*" with "attribute:*" is a header for each message attribute.
 *
 * A value that is absent makes no header. Binary is base64; of text, bytes that are no printable
 * ASCII, and '%', are percent-encoded, so that any value is a header's and can be read back.
 *
 * Senders choose the names of attributes, so of "Prefix-*" no header takes the place of another:
 * what the request has already, or what the configuration gives a value of its own, is left to
 * that. Names that SQS has for no attribute, as an envelope may have them, make none. Loop thread
 * only.
 */
#ifndef SLUICE_DELIVER_MESSAGE_HEADERS_H
#define SLUICE_DELIVER_MESSAGE_HEADERS_H

#include "sluice/deliver/message_key.h"
#include "sluice/net/http_server.h" /* struct http_header */

#include <stdbool.h>
#include <stdint.h>

#define MESSAGE_HEADERS_MAX       16u /* of the configuration */
#define MESSAGE_HEADER_NAME_MAX   128u
#define MESSAGE_HEADERS_MAX_BYTES ((size_t)16 << 10) /* of a request's values; more is left out */

struct message;
struct sqs_attributes;

struct message_header {
    char name[MESSAGE_HEADER_NAME_MAX + 1]; /* without the '*' */
    bool all;                               /* a header for each message attribute */
    bool system;                            /* value.name is a system attribute's */
    struct message_key value;
};

/* ERR_SYNTAX, ERR_TOO_BIG; *problem as of message_key_parse. The name is checked by the caller. */
SL_MUST_CHECK int message_header_parse(struct str name, struct str value,
                                       struct message_header *ret, const char **problem);

struct message_headers_source {
    const struct message *message;
    const struct sqs_attributes *attributes;                               /* may be NULL */
    struct str (*system)(const struct message *message, const char *name); /* may be NULL */
};

/* A request's headers in the making. */
struct message_headers_out {
    struct http_header *headers; /* those of the request, and more behind them */
    uint32_t count, max;
    struct buf *text; /* holds names and values; its maximum bounds them */
    bool left_out;    /* something had no room */
};
/* Adds to out as far as there is room. A header that is there already, of the same name, is
 * replaced (only Content-Type is, the configuration allows no other). */
void message_headers_add(const struct message_header *wanted, uint32_t count,
                         const struct message_headers_source *source,
                         struct message_headers_out *out);

#endif
