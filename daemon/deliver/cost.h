/*
 * cost: what a route's queue costs, where each request to it is paid for: requests by action,
 * requests as they are billed, an estimate in dollars. Not for other areas. Loop thread only.
 */
#ifndef SLUICE_DELIVER_COST_H
#define SLUICE_DELIVER_COST_H

#include "delivery_internal.h"

/* Families of the delivery; series of a route whose source has totals; their values at a scrape. */
void cost_init(struct delivery *d);
void cost_done(struct delivery *d);
void cost_route(struct delivery *d, struct delivery_route *route);
void cost_collect(struct delivery_route *route);
/* The member "sqs" of the route's status. */
void cost_status(const struct delivery_route *route, struct json_writer *w);

#endif
