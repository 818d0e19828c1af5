/*
 * json_scan: the strict check of a JSON text before cJSON sees it. It knows RFC 8259's grammar and
 * nothing of trees; what it lets through, cJSON reads completely and without surprise. Private to
 * this area.
 */
#ifndef SLUICE_DAEMON_BASE_JSON_SCAN_H
#define SLUICE_DAEMON_BASE_JSON_SCAN_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdint.h>

#define JSON_SCAN_ALL SIZE_MAX

/*
 * Checks text. With blank (a copy of the same bytes) comments and trailing commas are allowed and
 * are overwritten by spaces there; with NULL they are errors. On error *e names line and column.
 */
SL_MUST_CHECK int json_scan(struct str text, char *blank, struct error *e);

/* Where the key number key_index (from 0, in the order of the text) begins; text passed json_scan.
 */
size_t json_scan_key_offset(struct str text, size_t key_index);

/* Line and column (from 1; columns count characters) of a byte of text. */
void json_scan_position(struct str text, size_t offset, size_t *ret_line, size_t *ret_column);

#endif
