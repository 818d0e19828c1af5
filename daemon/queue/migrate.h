/*
 * migrate: makes a new queue file, and brings an older one to this version's schema.
 */
#ifndef SLUICE_QUEUE_MIGRATE_H
#define SLUICE_QUEUE_MIGRATE_H

#include "sluice/base/err.h"

#include <sqlite3.h>

/* Makes the file beside its place and moves it there when it is complete and synced, so that a file
 * at `path` always has its schema. Mode 0600. */
SL_MUST_CHECK int migrate_create(const char *path, struct error *e);
/* From the version found to SCHEMA_VERSION, each step in a transaction of its own. */
SL_MUST_CHECK int migrate_run(sqlite3 *handle);

#endif
