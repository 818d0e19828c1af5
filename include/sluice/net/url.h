/*
 * url: taking URLs apart (by libcurl's parser, so that we and the transfer see the same).
 * Thread-safe.
 */
#ifndef SLUICE_NET_URL_H
#define SLUICE_NET_URL_H

#include "sluice/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct url {
    char scheme[16];
    char host[256]; /* lower case; IPv6 with its brackets */
    uint16_t port;  /* the scheme's default when none is given */
    char path[1024];
    bool has_userinfo; /* user:password@: a secret in the wrong place */
};

/* ERR_INVALID with *e for anything that is not an absolute http or https URL. */
SL_MUST_CHECK int url_parse(const char *text, struct url *ret, struct error *e);

#endif
