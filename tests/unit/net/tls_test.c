/* The HTTP server over TLS, against OpenSSL's client: certificates made here, in a directory of the
 * test's own. */
#include "server_support.h"

#include "sluice/net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static struct {
    char directory[64], cert[128], key[128], other_key[128], garbage[128], locked[128];
    struct tls *tls;
} files;

/* ---- certificates ---- */

static FILE *create(char path[128], const char *name)
{
    (void)snprintf(path, 128, "%s/%s", files.directory, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    return file;
}

static void write_key(char path[128], const char *name, EVP_PKEY *key, const char *passphrase)
{
    FILE *file = create(path, name);
    char copy[16] = "";
    str_copy(copy, sizeof(copy), str_from(passphrase));
    int len = (int)strlen(copy);
    assert_int_equal(PEM_write_PrivateKey(file, key, len > 0 ? EVP_aes_128_cbc() : NULL,
                                          len > 0 ? (unsigned char *)copy : NULL, len, NULL, NULL),
                     1);
    (void)fclose(file);
}

static void write_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    assert_non_null(cert);
    X509_NAME *name = X509_get_subject_name(cert);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 86400));
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"localhost", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(cert, name), 1);
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *file = create(files.cert, "cert.pem");
    assert_int_equal(PEM_write_X509(file, cert), 1);
    (void)fclose(file);
    X509_free(cert);
}

static int setup_files(void **state)
{
    (void)state;
    struct error e;
    (void)snprintf(files.directory, sizeof(files.directory), "/tmp/sluice-tls-XXXXXX");
    assert_non_null(mkdtemp(files.directory));
    EVP_PKEY *key = EVP_EC_gen("P-256");
    EVP_PKEY *other = EVP_EC_gen("P-256");
    write_key(files.key, "key.pem", key, NULL);
    write_key(files.other_key, "other.pem", other, NULL);
    write_key(files.locked, "locked.pem", key, "secret");
    write_cert(key);
    FILE *file = create(files.garbage, "garbage.pem");
    (void)fputs("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", file);
    (void)fclose(file);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return tls_new(files.cert, files.key, &files.tls, &e);
}

static int teardown_files(void **state)
{
    (void)state;
    const char *const paths[] = {files.cert, files.key, files.other_key, files.garbage,
                                 files.locked};
    for (size_t i = 0; i < SL_COUNT(paths); i++) {
        (void)unlink(paths[i]);
    }
    (void)rmdir(files.directory);
    tls_free(files.tls);
    return 0;
}

/* ---- the client ---- */

struct client {
    SSL_CTX *context;
    SSL *ssl;
    int fd;
};

static void client_init(struct client *client, const struct fixture *f, int version)
{
    client->fd = client_open(f);
    client->context = SSL_CTX_new(TLS_client_method());
    assert_non_null(client->context);
    assert_int_equal(SSL_CTX_load_verify_locations(client->context, files.cert, NULL), 1);
    SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
    /* Old versions need the old security level on the client's side as well. */
    SSL_CTX_set_security_level(client->context, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(client->context, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(client->context, version), 1);
    client->ssl = SSL_new(client->context);
    assert_non_null(client->ssl);
    assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
}

static void client_connect(struct client *client, const struct fixture *f)
{
    client_init(client, f, TLS1_3_VERSION);
    assert_int_equal(SSL_connect(client->ssl), 1);
}

/* Without a word to the server. */
static void client_drop(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    (void)close(client->fd);
    ERR_clear_error();
}

static void tls_send(struct client *client, const char *bytes, size_t len)
{
    while (len > 0) {
        int sent = SSL_write(client->ssl, bytes, len > 1000000 ? 1000000 : (int)len);
        assert_true(sent > 0);
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* Until the answers hold the text that many times; what came is returned. */
static size_t tls_read_until(struct client *client, const char *text, unsigned times, char *out,
                             size_t max)
{
    size_t len = 0;
    const char *from = out;
    out[0] = '\0';
    while (times > 0) {
        assert_true(len < max - 1);
        int got = SSL_read(client->ssl, out + len, (int)(max - 1 - len));
        assert_true(got > 0);
        len += (size_t)got;
        out[len] = '\0';
        for (const char *found; times > 0 && (found = strstr(from, text)) != NULL; times--) {
            from = found + strlen(text);
        }
    }
    return len;
}

static void tls_exchange(struct client *client, const char *request, const char *part)
{
    char *out = mem_zalloc(1, ANSWER_MAX);
    tls_send(client, request, strlen(request));
    (void)tls_read_until(client, part, 1, out, ANSWER_MAX);
    free(out);
}

/* The server ends its side properly: nothing was cut off. */
static void tls_expect_end(struct client *client)
{
    char byte;
    int got = SSL_read(client->ssl, &byte, 1);
    assert_int_equal(got, 0);
    assert_int_equal(SSL_get_error(client->ssl, got), SSL_ERROR_ZERO_RETURN);
}

static struct fixture *start_tls(struct http_server_config config)
{
    config.tls = files.tls;
    return start(&config);
}

/* ---- tests ---- */

static void requests_and_answers(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *f = start_tls(defaults);
    for (size_t i = 0; i < SL_COUNT(versions); i++) {
        struct client client;
        client_init(&client, f, versions[i]);
        assert_int_equal(SSL_connect(client.ssl), 1);
        assert_int_equal(SSL_version(client.ssl), versions[i]);
        for (int n = 0; n < 5; n++) {
            tls_exchange(&client, post, post_answer);
            tls_exchange(&client, chunked, chunked_answer);
        }
        client_drop(&client);
    }
    struct client old;
    client_init(&old, f, TLS1_1_VERSION);
    assert_true(SSL_connect(old.ssl) <= 0);
    client_drop(&old);
    finish(f);
}

/* One record with many requests, and one request in many records and many segments. */
static void records_and_requests_do_not_match(void **state)
{
    (void)state;
    struct fixture *f = start_tls(defaults);
    struct client client;
    struct buf many;
    char *out = mem_zalloc(1, 1000000);
    client_connect(&client, f);
    buf_init(&many, 1000000);
    for (int i = 0; i < 1000; i++) {
        (void)buf_adds(&many, post);
    }
    tls_send(&client, many.ptr, many.len);
    (void)tls_read_until(&client, post_answer, 1000, out, 1000000);
    for (size_t i = 0; i < sizeof(post) - 1; i++) {
        tls_send(&client, post + i, 1);
    }
    (void)tls_read_until(&client, post_answer, 1, out, 1000000);
    assert_int_equal(SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    tls_exchange(&client, post, post_answer);
    client_drop(&client);

    /* A byte a segment, the handshake too. */
    client_init(&client, f, TLS1_3_VERSION);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *back = BIO_new(BIO_s_mem());
    SSL_set_bio(client.ssl, in, back);
    SSL_set_connect_state(client.ssl);
    bool asked = false;
    while (strstr(out, "body=hello;") == NULL || !asked) {
        char byte;
        char bytes[4096];
        out[0] = asked ? out[0] : '\0';
        int done = SSL_do_handshake(client.ssl);
        if (done == 1 && !asked) {
            assert_int_equal(SSL_write(client.ssl, post, (int)sizeof(post) - 1),
                             (int)sizeof(post) - 1);
            asked = true;
        }
        while (BIO_read(back, &byte, 1) == 1) {
            client_send(client.fd, &byte, 1);
        }
        ssize_t got = recv(client.fd, bytes, sizeof(bytes), 0);
        assert_true(got > 0);
        assert_int_equal(BIO_write(in, bytes, (int)got), got);
        int len = asked ? SSL_read(client.ssl, out, 4096) : 0;
        out[len > 0 ? len : 0] = '\0';
    }
    client_drop(&client);
    buf_done(&many);
    free(out);
    finish(f);
}

static void large_bodies_both_ways(void **state)
{
    (void)state;
    struct fixture *f = start_tls((struct http_server_config){.body_max_bytes = 4 << 20});
    struct client client;
    struct client slow;
    char *out = mem_zalloc(1, BIG_BODY + 4096);
    size_t len = (size_t)3 << 20;
    char *body = mem_zalloc(1, len);
    struct rng rng;
    uint64_t sum = 0;
    char head[128];
    char facts[64];
    rng_init(&rng, 7);
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)rng_next(&rng);
        sum = sum * 31 + (unsigned char)body[i];
    }
    (void)snprintf(head, sizeof(head),
                   "POST /facts HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", len);
    (void)snprintf(facts, sizeof(facts), "len=%zu sum=%llu;", len, (unsigned long long)sum);
    /* Its answer fills the socket; the server serves others meanwhile. */
    client_connect(&slow, f);
    tls_send(&slow, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n", 30);
    wait_count(&f->handled, 1);
    client_connect(&client, f);
    for (int i = 0; i < 2; i++) {
        tls_send(&client, head, strlen(head));
        tls_send(&client, body, len);
        (void)tls_read_until(&client, facts, 1, out, ANSWER_MAX);
    }
    size_t got = 0;
    while (got < BIG_BODY) {
        int n = SSL_read(slow.ssl, out, 1000000);
        assert_true(n > 0);
        got += (size_t)n;
    }
    tls_exchange(&slow, post, post_answer);
    client_drop(&slow);
    client_drop(&client);
    free(body);
    free(out);
    finish(f);
}

static void handshakes_that_never_end(void **state)
{
    (void)state;
    struct fixture *f = start_tls((struct http_server_config){.header_timeout_ns = SHORT_TIMEOUT});
    /* Nothing at all, half a ClientHello, and one whose flow does not stop but leads nowhere. */
    int silent = client_open(f);
    int half = client_open(f);
    client_send(half, "\x16\x03\x01\x02\x00\x01\x00", 7);
    expect_closed(silent);
    expect_closed(half);
    int slow = client_open(f);
    ssize_t sent = 1;
    client_send(slow, "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03", 11);
    while (sent == 1) {
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
        sent = send(slow, "x", 1, MSG_NOSIGNAL);
    }
    /* A good client is served all the same. */
    struct client client;
    client_connect(&client, f);
    tls_exchange(&client, post, post_answer);
    client_drop(&client);
    (void)close(silent);
    (void)close(half);
    (void)close(slow);
    /* One in the middle of it when the server ends. */
    int last = client_open(f);
    client_send(last, "\x16\x03\x01", 3);
    finish(f);
    (void)close(last);
}

static void what_is_no_tls(void **state)
{
    (void)state;
    struct fixture *f = start_tls(defaults);
    int garbage = client_open(f);
    client_send(garbage, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    char answer[256];
    (void)client_read_all(garbage, answer, sizeof(answer)); /* an alert, or nothing; and the end */
    (void)close(garbage);
    int plain = client_open(f);
    client_text(plain, post);
    expect_answer(plain, 400, "this address speaks TLS: use https://");
    expect_closed(plain);
    (void)close(plain);
    assert_int_equal(atomic_load(&f->handled), 0);
    finish(f);
}

static void slow_requests_are_told(void **state)
{
    (void)state;
    struct fixture *f = start_tls((struct http_server_config){.header_timeout_ns = SHORT_TIMEOUT,
                                                              .body_timeout_ns = SHORT_TIMEOUT});
    struct client client;
    char *out = mem_zalloc(1, ANSWER_MAX);
    client_connect(&client, f);
    tls_send(&client, "GET / HT", 8);
    (void)tls_read_until(&client, "the request did not come in time", 1, out, ANSWER_MAX);
    assert_non_null(strstr(out, "HTTP/1.1 408 "));
    while (SSL_read(client.ssl, out, 100) > 0) {
    }
    client_drop(&client);
    free(out);
    finish(f);
}

static void endings(void **state)
{
    (void)state;
    struct fixture *f = start_tls(defaults);
    struct client client;
    /* The server's: with close_notify, so that the client knows that nothing is missing. */
    client_connect(&client, f);
    tls_exchange(&client, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n", "204 No Content");
    tls_expect_end(&client);
    client_drop(&client);
    /* The client's, answered in kind. */
    client_connect(&client, f);
    tls_exchange(&client, post, post_answer);
    assert_int_equal(SSL_shutdown(client.ssl), 0);
    assert_int_equal(SSL_shutdown(client.ssl), 1);
    client_drop(&client);
    /* Its side only, while its answer is not ready: it comes. */
    client_connect(&client, f);
    tls_send(&client, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n", 31);
    wait_count(&f->deferred_count, 1);
    assert_int_equal(SSL_shutdown(client.ssl), 0);
    on_loop(f, answer_deferred);
    char *out = mem_zalloc(1, ANSWER_MAX);
    (void)tls_read_until(&client, "deferred 0;", 1, out, ANSWER_MAX);
    free(out);
    client_drop(&client);
    /* A long poll whose client leaves is told, with a word and without. */
    for (unsigned i = 1; i < 3; i++) {
        client_connect(&client, f);
        tls_send(&client, "GET /defer HTTP/1.1\r\nHost: h\r\n\r\n", 32);
        wait_count(&f->deferred_count, i + 1);
        if (i == 1) {
            (void)SSL_shutdown(client.ssl);
        }
        client_drop(&client);
        wait_true(&f->deferred[i].closed);
    }
    finish(f);
}

static void drain(struct fixture *f)
{
    http_server_drain(f->server);
}

static void draining(void **state)
{
    (void)state;
    struct fixture *f = start_tls(defaults);
    struct client idle;
    struct client busy;
    char *out = mem_zalloc(1, ANSWER_MAX);
    client_connect(&idle, f);
    tls_exchange(&idle, post, post_answer);
    client_connect(&busy, f);
    tls_send(&busy, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n", 31);
    int half = client_open(f);
    wait_count(&f->deferred_count, 1);
    on_loop(f, drain);
    tls_expect_end(&idle);
    (void)half; /* accepted or not: it is closed, which finish() proves */
    on_loop(f, answer_deferred);
    (void)tls_read_until(&busy, "deferred 0;", 1, out, ANSWER_MAX);
    tls_expect_end(&busy);
    client_drop(&idle);
    client_drop(&busy);
    (void)close(half);
    free(out);
    finish(f);
}

static void a_unix_socket_stays_plain(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(&(struct http_server_config){.tls = files.tls, .connections_max = 2});
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char listen[128];
    struct error e = {0};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", files.directory);
    (void)snprintf(listen, sizeof(listen), "unix:%s/s", files.directory);
    assert_int_equal(http_server_listen(f->server, str_from(listen), 0600, &e), 0);
    fixture_run(f);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_patience(fd);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    client_text(fd, post);
    expect_answer(fd, 200, post_answer);
    /* Over capacity a TLS client is not even shaken hands with. */
    struct client client;
    client_connect(&client, f);
    tls_exchange(&client, post, post_answer);
    int third = client_open(f);
    expect_closed(third);
    (void)close(third);
    client_drop(&client);
    (void)close(fd);
    finish(f);
}

static void files_that_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *cert, *key, *where, *text;
        int code;
    } cases[] = {
        {"/nonexistent", files.key, "/nonexistent", "cannot be read: not found", ERR_NOT_FOUND},
        {files.cert, "/nonexistent", "/nonexistent", "cannot be read: not found", ERR_NOT_FOUND},
        {files.garbage, files.key, files.garbage, "holds no certificate", ERR_INVALID},
        {files.key, files.key, files.key, "holds no certificate", ERR_INVALID},
        {files.cert, files.cert, files.cert, "holds no private key", ERR_INVALID},
        {files.cert, files.locked, files.locked, "without a passphrase", ERR_INVALID},
        {files.cert, files.other_key, files.other_key, "is not the key of the certificate in ",
         ERR_INVALID},
        {files.directory, files.key, files.directory, "holds no certificate", ERR_INVALID},
    };
    for (size_t i = 0; i < SL_COUNT(cases); i++) {
        struct tls *tls = NULL;
        struct error e = {0};
        assert_int_equal(tls_new(cases[i].cert, cases[i].key, &tls, &e), cases[i].code);
        assert_null(tls);
        assert_string_equal(e.where, cases[i].where);
        if (strstr(e.text, cases[i].text) == NULL) {
            fail_msg("%zu: %s", i, e.text);
        }
    }
    tls_free(NULL);
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_answers),
        cmocka_unit_test(records_and_requests_do_not_match),
        cmocka_unit_test(large_bodies_both_ways),
        cmocka_unit_test(handshakes_that_never_end),
        cmocka_unit_test(what_is_no_tls),
        cmocka_unit_test(slow_requests_are_told),
        cmocka_unit_test(endings),
        cmocka_unit_test(draining),
        cmocka_unit_test(a_unix_socket_stays_plain),
        cmocka_unit_test(files_that_are_refused),
    };
    return cmocka_run_group_tests(tests, setup_files, teardown_files);
}
