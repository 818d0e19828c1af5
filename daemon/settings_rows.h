/*
 * settings_rows: the rows of the configuration table, a file for each part of it. What is found in
 * them is checked and resolved in settings_check.
 */
#ifndef SLUICE_SETTINGS_ROWS_H
#define SLUICE_SETTINGS_ROWS_H

#include "sluice/base/clock.h"
#include "sluice/settings.h"

#define SETTINGS(member) CONFIG_MEMBER(struct settings, member)

#define MINUTE_NS INT64_C(60000000000)
#define HOUR_NS   (60 * MINUTE_NS)
#define DAY_NS    (24 * HOUR_NS)
#define MINUTE_S  INT64_C(60)
#define HOUR_S    (60 * MINUTE_S)
#define DAY_S     (24 * HOUR_S)

extern const struct config_rows settings_rows_limits, settings_rows_targets, settings_rows_queues,
    settings_rows_routes, settings_rows_process;

#endif
