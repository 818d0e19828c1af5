/* settings_text: is this text a URL, an address to listen on, a header? Pure. Each returns NULL
 * when it is, else what is wrong and what to do, for the end of an error message. */
#ifndef SLUICE_SETTINGS_TEXT_H
#define SLUICE_SETTINGS_TEXT_H

#include "sluice/base/str.h"

#include <stdbool.h>

/* http:// or https://, host, optional port, path and query; no user, no fragment. */
const char *settings_url_problem(struct str url);
bool settings_is_url(struct str text); /* begins as one */
/* "127.0.0.1:9324", "[::1]:9324", "unix:/path". *ret_local (set on success): only this machine can
 * reach it. */
const char *settings_address_problem(struct str address, bool *ret_local);
const char *settings_header_problem(struct str name, struct str value);
/* Of names that somebody else completes: none of them is a header that sluice sets. */
const char *settings_header_prefix_problem(struct str prefix);
const char *settings_region_problem(struct str region);
const char *settings_account_problem(struct str account);
/* The name of a queue, with * for any run of characters. */
const char *settings_queue_pattern_problem(struct str pattern);

#endif
