/*
 * destinations: where a route sends the record of a message that is over, besides settling it: an
 * embedded queue, a queue of SQS, or a URL that is posted to. A send completes when the other side
 * has it for certain (synced, or answered 2xx).
 *
 * At most DESTINATION_SENDS_MAX sends to one destination run at a time, each for
 * DESTINATION_TIMEOUT_NS; more wait their turn, in order, and as long: whoever holds a message
 * hears in time that it is still his. Trying again is the caller's. Loop thread only.
 */
#ifndef SLUICE_DELIVER_DESTINATIONS_H
#define SLUICE_DELIVER_DESTINATIONS_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"
#include "sluice/runtime/loop.h"

#define DESTINATION_SENDS_MAX  16u
#define DESTINATION_TIMEOUT_NS (10 * NS_PER_S)

struct destination;
struct http_client;
struct sqs_client;
struct store;

/* queue: its name, copied. */
struct destination *destination_queue_new(struct loop *loop, struct store *store, struct str queue);
/* The client is taken; queue_url copied. */
struct destination *destination_sqs_new(struct loop *loop, struct sqs_client *client,
                                        struct str queue_url);
/* The client is borrowed; url copied. */
struct destination *destination_url_new(struct loop *loop, struct http_client *client,
                                        struct str url);
/* Before its store or client is closed: nothing more is sent. What is under way still completes;
 * what waits for its turn never does. */
void destination_stop(struct destination *destination);
/* No send is outstanding any more, or its completion may never come. */
void destination_free(struct destination *destination);

#endif
