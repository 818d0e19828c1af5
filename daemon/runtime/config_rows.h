/*
 * config_rows: walking the rows of a configuration table, for the reader and the printer.
 * A pattern is the path of a structure as rows write it: "" (root), "sqs_api", "limits.*",
 * "sqs_api.access_keys[]".
 */
#ifndef SLUICE_CONFIG_ROWS_H
#define SLUICE_CONFIG_ROWS_H

#include "sluice/runtime/config.h"

#define CONFIG_PATTERN_MAX 128

/* The next row after i whose parent is pattern; config_table_count() at the end. Start with i = 0.
 */
uint32_t config_row_child(const struct config_table *table, const char *pattern, uint32_t i);
/* The last part of the row's path. */
const char *config_row_key(const struct config_row *row);
/* The pattern of what lies inside the row's object, or inside one entry of its table or list. */
void config_row_inside(const struct config_row *row, char pattern[CONFIG_PATTERN_MAX]);

/* Pointer to the row's member of the structure at base. */
void *config_row_member(const struct config_row *row, void *base);
const void *config_row_value(const struct config_row *row, const void *base);
int64_t config_row_integer(const struct config_row *row, const void *base);

/* "a whole number from 1 to 100 (requests)": what the row allows, for messages and comments. */
int config_row_describe(const struct config_row *row, struct buf *out);

#define CONFIG_ROW_FOR(table, pattern, i)                                                          \
    for (uint32_t i = config_row_child((table), (pattern), 0);                                     \
         config_table_row((table), i) != NULL; i = config_row_child((table), (pattern), i + 1))

#define CONFIG_FIFO_TEXT ", and .fifo at the end of a FIFO queue's name"
/* A name as the row allows it. */
bool config_row_takes_name(const struct config_row *row, struct str name);

#endif
