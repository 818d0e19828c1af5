/*
 * tls: a certificate and its key for an HTTP server. TLS 1.2 and newer with OpenSSL's choice of
 * ciphers, no renegotiation, sessions resumed by ticket only, so that nothing is kept for a client
 * that left. The files are read once: a renewed certificate needs a restart.
 */
#ifndef SLUICE_NET_TLS_H
#define SLUICE_NET_TLS_H

#include "sluice/base/err.h"

struct tls;

/* Both files are PEM; the certificate's may hold its chain, the key has no passphrase. ERR_DENIED,
 * ERR_NOT_FOUND, ERR_INVALID … with *e saying which file, what is wrong and what to do. */
SL_MUST_CHECK int tls_new(const char *cert_file, const char *key_file, struct tls **ret,
                          struct error *e);
/* After the server that uses it has closed. */
void tls_free(struct tls *tls);

#endif
