/*
 * probe: does something answer at a URL's address? Resolves, connects and, for https, shakes hands
 * with TLS and verifies the certificate, as a call would. No request is sent. Blocks: for commands,
 * not for the daemon.
 */
#ifndef SLUICE_NET_PROBE_H
#define SLUICE_NET_PROBE_H

#include "sluice/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct probe {
    int error;          /* 0; ERR_RESOLVE, ERR_CONNECT, ERR_TLS, ERR_TIMEOUT, ERR_INVALID … */
    char detail[160];   /* with an error: libcurl's text */
    char address[64];   /* that answered: "10.0.0.7:443", "[::1]:8080" */
    bool is_loopback;   /* it is of this machine */
    int64_t connect_ns; /* all of it */
};

/* timeout_ns: of all of it. */
void probe_connect(const char *url, int64_t timeout_ns, struct probe *ret);

#endif
