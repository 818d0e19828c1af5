#include "sluice/base/digest.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

/* Whole groups of three bytes, and small enough for OpenSSL's int. */
#define BASE64_CHUNK_BYTES ((size_t)3 << 20)

/* Failing means that the library has no such digest or no memory for a few hundred bytes: neither
   is something a caller could do anything about. */
static void require(int ok)
{
    SL_ASSERT(ok == 1);
}

/* Looked up once: OpenSSL 3 searches its providers at every use of EVP_md5(). */
static EVP_MD *md5_algorithm, *sha256_algorithm;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void free_algorithms(void)
{
    EVP_MD_free(md5_algorithm);
    EVP_MD_free(sha256_algorithm);
}

static void fetch_algorithms(void)
{
    md5_algorithm = EVP_MD_fetch(NULL, "MD5", NULL);
    sha256_algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    SL_ASSERT(md5_algorithm != NULL && sha256_algorithm != NULL);
    (void)OPENSSL_atexit(free_algorithms); /* else a leak checker's finding, no more */
}

static const EVP_MD *md5_of_library(void)
{
    (void)pthread_once(&fetched, fetch_algorithms);
    return md5_algorithm;
}

static const EVP_MD *sha256_of_library(void)
{
    (void)pthread_once(&fetched, fetch_algorithms);
    return sha256_algorithm;
}

static const void *bytes_of(struct str data)
{
    return data.ptr == NULL ? "" : data.ptr;
}

void digest_md5_init(struct digest_md5 *md5)
{
    md5->context = EVP_MD_CTX_new();
    SL_ASSERT(md5->context != NULL);
    require(EVP_DigestInit_ex2(md5->context, md5_of_library(), NULL));
}

void digest_md5_update(struct digest_md5 *md5, const void *ptr, size_t len)
{
    if (len > 0) {
        require(EVP_DigestUpdate(md5->context, ptr, len));
    }
}

void digest_md5_final(struct digest_md5 *md5, uint8_t out[DIGEST_MD5_BYTES])
{
    require(EVP_DigestFinal_ex(md5->context, out, NULL));
    EVP_MD_CTX_free(md5->context);
    md5->context = NULL;
}

void digest_md5(struct str data, uint8_t out[DIGEST_MD5_BYTES])
{
    require(EVP_Digest(bytes_of(data), data.len, out, NULL, md5_of_library(), NULL));
}

void digest_sha1(struct str data, uint8_t out[DIGEST_SHA1_BYTES])
{
    require(EVP_Digest(bytes_of(data), data.len, out, NULL, EVP_sha1(), NULL));
}

void digest_sha256(struct str data, uint8_t out[DIGEST_SHA256_BYTES])
{
    require(EVP_Digest(bytes_of(data), data.len, out, NULL, sha256_of_library(), NULL));
}

void digest_hmac_sha256(struct str key, struct str data, uint8_t out[DIGEST_SHA256_BYTES])
{
    SL_ASSERT(key.len <= INT_MAX);
    const void *done =
        HMAC(sha256_of_library(), bytes_of(key), (int)key.len, bytes_of(data), data.len, out, NULL);
    SL_ASSERT(done != NULL);
}

void digest_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int digest_from_hex(struct str hex, uint8_t *out, size_t out_len)
{
    if (hex.len % 2 != 0 || hex.len / 2 != out_len) {
        return ERR_SYNTAX;
    }
    for (size_t i = 0; i < hex.len; i++) {
        if (hex_value(hex.ptr[i]) < 0) {
            return ERR_SYNTAX;
        }
    }
    for (size_t i = 0; i < out_len; i++) {
        out[i] = (uint8_t)(hex_value(hex.ptr[2 * i]) * 16 + hex_value(hex.ptr[2 * i + 1]));
    }
    return 0;
}

int digest_base64(struct buf *out, const void *ptr, size_t len)
{
    if (len > SIZE_MAX / 2) {
        return ERR_TOO_BIG;
    }
    /* All at once, so that a result that does not fit leaves nothing behind. */
    char *text = buf_reserve(out, (len + 2) / 3 * 4);
    if (text == NULL) {
        return buf_failed(out);
    }
    const unsigned char *bytes = ptr;
    while (len > 0) {
        size_t chunk = len < BASE64_CHUNK_BYTES ? len : BASE64_CHUNK_BYTES;
        int written = EVP_EncodeBlock((unsigned char *)text, bytes, (int)chunk);
        buf_commit(out, (size_t)written);
        text += written;
        bytes += chunk;
        len -= chunk;
    }
    return 0;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : (c == '/' ? 63 : -1);
}

/* Four characters, the last `padding` of them '=': the bytes they mean, or ERR_SYNTAX. */
static int base64_group(const char *group, size_t padding, unsigned char out[3])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? base64_value(group[i]) : 0;
        if (value < 0) {
            return ERR_SYNTAX;
        }
        bits = bits << 6 | (uint32_t)value;
    }
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
    /* Left-over bits must be zero: one value, one text. */
    return (bits & ((1U << (8 * padding)) - 1)) == 0 ? 0 : ERR_SYNTAX;
}

int digest_from_base64(struct buf *out, struct str text)
{
    if (text.len % 4 != 0) {
        return ERR_SYNTAX;
    }
    unsigned char *bytes = (unsigned char *)buf_reserve(out, text.len / 4 * 3);
    if (bytes == NULL) {
        return buf_failed(out);
    }
    size_t len = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        bool last = i + 4 == text.len;
        size_t padding = !last || text.ptr[i + 3] != '=' ? 0 : (text.ptr[i + 2] == '=' ? 2 : 1);
        unsigned char group[3];
        if (base64_group(text.ptr + i, padding, group) != 0) {
            buf_commit(out, 0); /* nothing is left behind */
            return ERR_SYNTAX;
        }
        memcpy(bytes + len, group, 3 - padding);
        len += 3 - padding;
    }
    buf_commit(out, len);
    return 0;
}

void digest_random(void *out, size_t len)
{
    unsigned char *bytes = out;
    while (len > 0) {
        size_t chunk = len < INT_MAX ? len : INT_MAX;
        require(RAND_bytes(bytes, (int)chunk));
        bytes += chunk;
        len -= chunk;
    }
}

/* A call of the generator costs more than its bytes: a thread takes those of several ids at once.
 */
#define UUID_POOL_COUNT 32

struct uuid_pool {
    uint8_t bytes[UUID_POOL_COUNT][16];
    uint32_t left;
};

void digest_uuid(char out[37])
{
    static _Thread_local struct uuid_pool pool;
    if (pool.left == 0) {
        digest_random(pool.bytes, sizeof(pool.bytes));
        pool.left = UUID_POOL_COUNT;
    }
    uint8_t *bytes = pool.bytes[--pool.left];
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
    static const uint8_t group_ends[] = {4, 6, 8, 10, 16};
    size_t from = 0;
    for (size_t i = 0; i < sizeof(group_ends); i++) {
        digest_hex(bytes + from, group_ends[i] - from, out);
        out += 2 * (group_ends[i] - from);
        *out++ = i + 1 < sizeof(group_ends) ? '-' : '\0';
        from = group_ends[i];
    }
}
