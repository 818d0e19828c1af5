/*
 * queue: `sluice queue ls | create | send | peek | purge | redrive | rm | backup | check`: the
 * embedded queue for the people on call. All but check talk to the running daemon over the socket
 * in its data directory, most of them in the SQS API's own words.
 */
#ifndef SLUICE_CLI_QUEUE_H
#define SLUICE_CLI_QUEUE_H

/* Returns the exit code. */
int cli_queue(int argc, char **argv);

#endif
