/*
 * app: the daemon as a whole. Builds every part in order and takes them down in reverse: the
 * architecture on one screen.
 */
#ifndef SLUICE_APP_H
#define SLUICE_APP_H

#include "sluice/settings.h"

#define EXIT_CODE_DONE     0
#define EXIT_CODE_FAILED   1 /* at run time */
#define EXIT_CODE_USAGE    2
#define EXIT_CODE_REFUSED  3 /* configuration or data */
#define EXIT_CODE_DEADLINE 4 /* the drain's deadline passed */

/* Runs until a signal ends it. data_dir exists and is locked by the caller. Returns the exit code.
 * *unclean: whether calls of the process before this one may still run; then, of this one. */
int app_run(const struct settings *settings, const char *data_dir, bool *unclean);

/* The full check of a queue file that no daemon has open, for people: problems go to standard
 * error, the result to standard output. Returns the exit code: FAILED when it could not be checked,
 * REFUSED when it is damaged. */
int app_check_queue(const char *path);

/* Asks the queues of good settings for their attributes and connects to the targets (no request is
 * sent), prints what was found and what will go wrong. data_dir: where a daemon may run that knows
 * the embedded queues; NULL: of the settings or the environment. Blocks. Returns the exit code:
 * REFUSED when a queue or target could not be reached; warnings alone are good. */
int app_check_connect(const struct settings *settings, const char *filename, const char *data_dir);

#endif
