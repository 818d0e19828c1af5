/*
 * app_queues: the queues of the configuration, made (or brought up to date) in the embedded queue
 * at start.
 */
#ifndef SLUICE_APP_QUEUES_H
#define SLUICE_APP_QUEUES_H

#include "sluice/queue/store.h"
#include "sluice/settings.h"

/* Submits CreateQueue and then SetQueueAttributes for each; done(context, error) once, on the loop:
 * 0, or the first error, which was logged with the name of its queue. Queues that exist keep their
 * messages. */
void app_queues_declare(struct store *store, const struct settings *settings,
                        void (*done)(void *context, int error), void *context);

#endif
