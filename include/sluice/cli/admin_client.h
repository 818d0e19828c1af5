/*
 * admin_client: one question to a running daemon over the Unix socket in its data directory.
 */
#ifndef SLUICE_CLI_ADMIN_CLIENT_H
#define SLUICE_CLI_ADMIN_CLIENT_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"

/* Blocks (its own loop) for at most 10 s. *ret_status is the HTTP status, out the body. ERR_CONNECT
 * with *e saying how to start the daemon when none listens. */
SL_MUST_CHECK int admin_client_call(const char *data_dir, const char *method, const char *path,
                                    struct str body, int *ret_status, struct buf *out,
                                    struct error *e);

#endif
