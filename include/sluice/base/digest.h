/*
 * digest: MD5, SHA-256, HMAC-SHA-256 (OpenSSL), hex, base64, random bytes. Thread-safe.
 */
#ifndef SLUICE_BASE_DIGEST_H
#define SLUICE_BASE_DIGEST_H

#include "sluice/base/buf.h"
#include "sluice/base/str.h"

#include <stdint.h>

#define DIGEST_MD5_BYTES    16
#define DIGEST_SHA1_BYTES   20
#define DIGEST_SHA256_BYTES 32

/* Incremental MD5, for the attribute digest of SQS. md5_final frees the context. */
struct digest_md5 {
    void *context;
};
void digest_md5_init(struct digest_md5 *md5);
void digest_md5_update(struct digest_md5 *md5, const void *ptr, size_t len);
void digest_md5_final(struct digest_md5 *md5, uint8_t out[DIGEST_MD5_BYTES]);

void digest_md5(struct str data, uint8_t out[DIGEST_MD5_BYTES]);
/* For names that others derive so (the AWS CLI's cache of logins); not for security. */
void digest_sha1(struct str data, uint8_t out[DIGEST_SHA1_BYTES]);
void digest_sha256(struct str data, uint8_t out[DIGEST_SHA256_BYTES]);
void digest_hmac_sha256(struct str key, struct str data, uint8_t out[DIGEST_SHA256_BYTES]);
/* out: 2 * len + 1 bytes, lower case, NUL-terminated. */
void digest_hex(const uint8_t *bytes, size_t len, char *out);
SL_MUST_CHECK int digest_from_hex(struct str hex, uint8_t *out, size_t out_len);
/* Appends; standard alphabet with padding. */
int digest_base64(struct buf *out, const void *ptr, size_t len);
/* Strict decode (padding required, no white space). ERR_SYNTAX, or the error of buf. */
SL_MUST_CHECK int digest_from_base64(struct buf *out, struct str text);
/* Cryptographic random bytes; aborts when the system has none. */
void digest_random(void *out, size_t len);
/* Random (version 4) UUID, 36 characters and NUL. */
void digest_uuid(char out[37]);

#endif
