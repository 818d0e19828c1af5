/*
 * settings_advice: what a route's settings and the state of its queue mean together, for `sluice
 * check --connect`: how fast the backlog can drain, and what will go wrong. Pure.
 */
#ifndef SLUICE_SETTINGS_ADVICE_H
#define SLUICE_SETTINGS_ADVICE_H

#include "sluice/settings.h"

#define ADVICE_NAME_MAX 96

/* A queue as it is, or as it will be made. */
struct advice_queue {
    bool counted; /* the numbers of messages are known */
    bool fifo;
    int64_t visibility_s, retention_s, delay_s;
    int64_t visible, in_flight, delayed;
    int64_t oldest_age_s;              /* -1: not known */
    uint32_t max_receives;             /* 0: no dead-letter queue */
    char dead_letter[ADVICE_NAME_MAX]; /* its name */
};

/* Of an embedded queue that no daemon was asked about. */
void advice_queue_of_settings(const struct settings *settings, uint32_t index,
                              struct advice_queue *ret);
/* One attribute as GetQueueAttributes answers it; unknown ones are ignored. */
void advice_queue_attribute(struct advice_queue *queue, struct str name, struct str value);

/* Appends lines about the route to report, and what will go wrong to warnings, by the path of the
 * key that causes it. */
void advice_route(const struct settings *settings, uint32_t route, const struct advice_queue *queue,
                  struct buf *report, struct error_list *warnings);

#endif
