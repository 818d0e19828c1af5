#include "tls.h"

#include "sluice/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tls {
    SSL_CTX *context;
    BIO_METHOD *socket_method;
};

struct tls_session {
    SSL *ssl;
    bool wants_write;
    bool is_open; /* the handshake is done and nothing has failed since */
};

/* ---- the socket, without SIGPIPE ---- */

static int socket_of(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static int socket_result(BIO *bio, ssize_t n, void (*retry)(BIO *bio))
{
    BIO_clear_retry_flags(bio);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        retry(bio);
    }
    return (int)n;
}

static void retry_read(BIO *bio)
{
    BIO_set_retry_read(bio);
}

static void retry_write(BIO *bio)
{
    BIO_set_retry_write(bio);
}

static int on_socket_read(BIO *bio, char *room, int len)
{
    return socket_result(bio, recv(socket_of(bio), room, (size_t)len, 0), retry_read);
}

static int on_socket_write(BIO *bio, const char *bytes, int len)
{
    return socket_result(bio, send(socket_of(bio), bytes, (size_t)len, MSG_NOSIGNAL), retry_write);
}

static long on_socket_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *socket_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (method != NULL) {
        (void)BIO_meth_set_read(method, on_socket_read);
        (void)BIO_meth_set_write(method, on_socket_write);
        (void)BIO_meth_set_ctrl(method, on_socket_control);
    }
    return method;
}

/* ---- certificate and key ---- */

/* A passphrase could only be asked for on a terminal. */
static int on_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static int refuse(struct error *e, int code, const char *file, const char *text)
{
    ERR_clear_error();
    return error_set(e, code, file, "%s", text);
}

static int check_readable(const char *file, struct error *e)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        int rc = err_from_errno(errno);
        return error_set(e, rc, file, "cannot be read: %s; check the path and its rights",
                         err_text(rc));
    }
    (void)close(fd);
    return 0;
}

static int load(SSL_CTX *context, const char *cert_file, const char *key_file, struct error *e)
{
    int rc = check_readable(cert_file, e);
    rc = rc != 0 ? rc : check_readable(key_file, e);
    if (rc != 0) {
        return rc;
    }
    /* The key first: a certificate that does not fit drops it, which the check then tells. */
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1) {
        return refuse(
            e, ERR_INVALID, key_file,
            "holds no private key that can be used: it must be PEM, without a passphrase");
    }
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1) {
        return refuse(e, ERR_INVALID, cert_file,
                      "holds no certificate that can be used: it must be PEM, the server's own "
                      "first, then its chain");
    }
    if (SSL_CTX_check_private_key(context) != 1) {
        (void)error_set(e, ERR_INVALID, key_file,
                        "is not the key of the certificate in %s; give the two that belong "
                        "together",
                        cert_file);
        ERR_clear_error();
        return ERR_INVALID;
    }
    return 0;
}

static void configure(SSL_CTX *context)
{
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(context, on_passphrase);
}

int tls_new(const char *cert_file, const char *key_file, struct tls **ret, struct error *e)
{
    struct tls *tls = MEM_NEW(struct tls);
    tls->context = SSL_CTX_new(TLS_server_method());
    tls->socket_method = socket_method_new();
    if (tls->context == NULL || tls->socket_method == NULL) {
        tls_free(tls);
        return refuse(e, ERR_NOMEM, cert_file, "TLS cannot be set up: out of memory");
    }
    configure(tls->context);
    int rc = load(tls->context, cert_file, key_file, e);
    if (rc != 0) {
        tls_free(tls);
        return rc;
    }
    *ret = tls;
    return 0;
}

void tls_free(struct tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        BIO_meth_free(tls->socket_method);
        free(tls);
    }
}

/* ---- one connection ---- */

struct tls_session *tls_session_new(struct tls *tls, int fd)
{
    BIO *bio = BIO_new(tls->socket_method);
    SSL *ssl = SSL_new(tls->context);
    if (bio == NULL || ssl == NULL) {
        (void)BIO_free(bio);
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    union {
        intptr_t number;
        void *pointer;
    } data = {.number = fd};
    BIO_set_data(bio, data.pointer);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio); /* takes it */
    SSL_set_accept_state(ssl);
    struct tls_session *session = MEM_NEW(struct tls_session);
    session->ssl = ssl;
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (session != NULL) {
        SSL_free(session->ssl);
        free(session);
    }
}

/* What an operation that did not succeed comes to; sets errno. */
static ssize_t failure(struct tls_session *session, int result)
{
    int reason = SSL_get_error(session->ssl, result);
    session->wants_write = reason == SSL_ERROR_WANT_WRITE;
    if (reason == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    session->is_open = false; /* not even an ending may be sent any more */
    errno = ECONNRESET;
    return -1;
}

enum tls_progress tls_session_handshake(struct tls_session *session)
{
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        session->wants_write = false;
        session->is_open = true;
        return TLS_DONE;
    }
    unsigned long error = ERR_peek_error();
    if (failure(session, result) < 0 && errno == EAGAIN) {
        return TLS_AGAIN;
    }
    bool plain = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_HTTP_REQUEST;
    ERR_clear_error();
    return plain ? TLS_PLAIN_HTTP : TLS_FAILED;
}

bool tls_session_wants_write(const struct tls_session *session)
{
    return session->wants_write;
}

static int bounded(size_t len)
{
    return len > INT_MAX ? INT_MAX : (int)len;
}

ssize_t tls_session_read(struct tls_session *session, void *room, size_t len)
{
    ERR_clear_error();
    int result = SSL_read(session->ssl, room, bounded(len));
    return result > 0 ? result : failure(session, result);
}

ssize_t tls_session_write(struct tls_session *session, const void *bytes, size_t len)
{
    ERR_clear_error();
    int result = SSL_write(session->ssl, bytes, bounded(len));
    return result > 0 ? result : failure(session, result);
}

bool tls_session_has_more(const struct tls_session *session)
{
    return SSL_pending(session->ssl) > 0;
}

void tls_session_end(struct tls_session *session)
{
    if (session->is_open) {
        ERR_clear_error();
        (void)SSL_shutdown(session->ssl);
        ERR_clear_error();
        session->is_open = false;
    }
}
