/*
 * mark: how much of what a record on disk permits was really used, in a page of memory that
 * outlives the process though not the machine: a file that is mapped and never synced. After a kill
 * it says what the record alone cannot, so that a kill wastes nothing; after a power loss it is not
 * asked. Not for other areas.
 */
#ifndef SLUICE_DELIVER_MARK_H
#define SLUICE_DELIVER_MARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mark {
    _Atomic uint64_t *words; /* one a record, of the two that may be in force; NULL: no mark */
};

/* The file <directory>/limit-<name>.mark. Without it (the log says why) there is no mark: then a
 * kill wastes what was permitted and not used. */
void mark_open(struct mark *mark, const char *directory, const char *name);
void mark_close(struct mark *mark);
/* Record numbers go up by one; 0 is none. */
void mark_set(struct mark *mark, uint32_t record, uint64_t used);
/* The record may or may not be in force: from now on it permits all that it says. */
void mark_forget(struct mark *mark, uint32_t record);
bool mark_get(const struct mark *mark, uint32_t record, uint64_t *ret_used);

#endif
