/* settings_check: what no single row can say: names that refer to each other, values that must fit.
 */
#ifndef SLUICE_SETTINGS_CHECK_H
#define SLUICE_SETTINGS_CHECK_H

#include "sluice/settings.h"

/* Resolves defaults that depend on other keys, names to indices, and dead-letter queues nobody
 * declared; adds an error for everything that does not fit. Returns the first one's code, or 0. */
SL_MUST_CHECK int settings_resolve(struct settings *settings, struct error_list *errors);

#endif
