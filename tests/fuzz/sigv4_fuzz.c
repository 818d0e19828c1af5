/* rooms: sqs base */
/*
 * The SigV4 parser and verifier. Lines of the input: authorization, method, path, query, headers
 * ("name:value") up to an empty line, body. Nothing verifies against a secret it was not signed
 * with, and what is signed here verifies.
 */
#include "fuzz.h"

#include "sluice/sqs/sigv4.h"

#define HEADERS_MAX 40
#define SECRET      STR("the secret of the fuzzer")

static struct str next_line(struct str *rest)
{
    struct str line = STR("");
    (void)str_next(rest, '\n', &line);
    return line;
}

static void sign_and_verify(struct sigv4_request *request, struct sigv4_header *headers)
{
    const struct sigv4_credentials credentials = {STR("AKID"), SECRET, STR_NONE};
    headers[request->header_count++] = (struct sigv4_header){STR("Host"), STR("localhost:9324")};
    headers[request->header_count++] =
        (struct sigv4_header){STR("X-Amz-Date"), STR("20261123T120000Z")};
    struct buf out;
    struct sigv4_authorization parsed;
    buf_init(&out, (size_t)1 << 20);
    if (sigv4_sign(request, &credentials, STR("us-east-1"), STR("sqs"), &out) == ERR_OK &&
        sigv4_parse(buf_str(&out), &parsed) == ERR_OK) {
        SL_ASSERT(!sigv4_verify(request, &parsed, STR("not the secret")));
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str authorization = next_line(&rest);
    struct sigv4_header headers[HEADERS_MAX + 2];
    struct sigv4_request request = {.headers = headers};
    request.method = next_line(&rest);
    request.path = next_line(&rest);
    request.query = next_line(&rest);
    struct str line = next_line(&rest);
    while (line.len > 0 && request.header_count < HEADERS_MAX) {
        struct str value = line;
        struct str name;
        (void)str_next(&value, ':', &name);
        headers[request.header_count++] = (struct sigv4_header){name, value};
        line = next_line(&rest);
    }
    request.body = rest;
    struct sigv4_authorization parsed;
    if (sigv4_parse(authorization, &parsed) == ERR_OK) {
        SL_ASSERT(parsed.access_key_id.len > 0 && parsed.date.len == 8);
        SL_ASSERT(!sigv4_verify(&request, &parsed, SECRET));
    }
    sign_and_verify(&request, headers);
    return 0;
}
