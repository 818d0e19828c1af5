/*
 * fair: the tenants of one standard queue (messages with a MessageGroupId), for the rule that AWS
 * publishes for fair queues: a tenant is noisy when it has more than a tenth of what is in flight
 * and at least 30 messages, or took more than a tenth of the processing time lately. Messages of
 * quiet tenants are received first; among noisy ones those of the tenant with the fewest in flight.
 * A noisy tenant is quiet again when its backlog is gone or it has sent nothing for five minutes.
 *
 * Kept in memory only: what is in flight is counted from the file when it is first needed, the rest
 * begins anew with the process. Memory: tenants that have something in flight, and a bounded number
 * of others. The key is the group_key of their messages. Times are of the lease clock, in ms.
 */
#ifndef SLUICE_QUEUE_FAIR_H
#define SLUICE_QUEUE_FAIR_H

#include <stdbool.h>
#include <stdint.h>

#define FAIR_NOISY_MAX                                                                             \
    32 /* a receive steps over them one by one; beyond, the first is quiet again */

struct fair;

struct fair *fair_new(void);
void fair_free(struct fair *fair);
/* A message of the tenant went in flight, or is no more. */
void fair_in(struct fair *fair, int64_t key);
void fair_out(struct fair *fair, int64_t key);
/* The tenant sent a message. */
void fair_sent(struct fair *fair, int64_t key, int64_t now);
/* One of its messages was done, that long after it was received. */
void fair_spent(struct fair *fair, int64_t key, int64_t spent_ms, int64_t now);
/* Its last message is gone. The key may come to mean another tenant. */
void fair_forget(struct fair *fair, int64_t key);
/* in_flight: of the whole queue, messages without a tenant too. */
bool fair_is_noisy(struct fair *fair, int64_t key, uint64_t in_flight, int64_t now);
uint32_t fair_in_flight(const struct fair *fair, int64_t key);

#endif
