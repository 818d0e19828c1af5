/*
 * resolver: keeps the addresses of a host fresh, off the loop (uv_getaddrinfo), so that a call
 * never waits for DNS. One entry per target host; a numeric host (an IPv6 one with or without its
 * brackets) is known when resolver_entry_new() returned, and is never told. A failed refresh keeps
 * the addresses known before; while none are known it is tried again after 1 s, 2 s … refresh. Whom
 * the known addresses fail says so (resolver_entry_doubt), and need not wait for the refresh.
 * Loop thread only.
 */
#ifndef SLUICE_NET_RESOLVER_H
#define SLUICE_NET_RESOLVER_H

#include "sluice/base/err.h"
#include "sluice/base/str.h"
#include "sluice/runtime/loop.h"

#include <stdbool.h>

struct resolver_entry;

struct resolver_config {
    struct str host;    /* copied */
    int64_t refresh_ns; /* 0: 30 s */
    /* On the loop, when addresses became known or changed (not their order), and when look-ups
       begin to fail or succeed again. May close the entry. */
    void (*on_change)(void *context, struct resolver_entry *entry);
    void *context;
};
struct resolver_entry *resolver_entry_new(struct loop *loop, const struct resolver_config *config);
/* "1.2.3.4,::1", at most 8, or NULL while nothing is known. Valid until the next on_change. */
const char *resolver_entry_addresses(const struct resolver_entry *entry);
/* 0, or ERR_RESOLVE with the text of the last failure. */
int resolver_entry_error(const struct resolver_entry *entry, const char **ret_text);
/* Nobody answers at the addresses known: looks up again, a second after the last time at the
 * earliest. */
void resolver_entry_doubt(struct resolver_entry *entry);
/* Frees itself when a running look-up ended. */
void resolver_entry_close(struct resolver_entry *entry);

#endif
