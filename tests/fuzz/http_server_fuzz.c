/* rooms: net runtime base */
/*
 * The HTTP server's reading of requests, through its real connections over a socket pair. The first
 * eight bytes of the input seed how the rest is cut; the rest is what a client sends before it
 * closes its side. Whatever it is: what the handler is given is within the bounds, the same however
 * the bytes are cut, every answer begins like one, and the connection ends.
 */
#include "fuzz.h"

#include "net/http_server_internal.h"
#include "sluice/base/rng.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_MAX 1024
#define BODY_MAX   4096
#define STREAM_MAX ((size_t)60000) /* fits the socket: the client never blocks */
#define TURNS_MAX  5000
#define PIECES_MAX 64

struct run {
    struct loop *loop;
    struct http_server *server;
    int client;
    uint64_t digest;
    uint32_t requests;
    struct http_exchange *deferred;
    char answer_begin[8];
    size_t answer_bytes;
};

static void mix(struct run *run, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        run->digest = (run->digest ^ (unsigned char)text.ptr[i]) * UINT64_C(0x100000001b3);
    }
    run->digest = (run->digest ^ text.len) * UINT64_C(0x100000001b3);
}

static void on_request(void *context, struct http_exchange *exchange,
                       const struct http_request_view *request)
{
    struct run *run = context;
    SL_ASSERT(run->deferred == NULL); /* one at a time */
    SL_ASSERT(request->method.len > 0 && request->target.len > 0);
    SL_ASSERT(request->path.ptr != NULL && request->query.ptr != NULL);
    SL_ASSERT(request->path.len + request->query.len <= request->target.len);
    SL_ASSERT(request->header_count <= HTTP_HEADERS_MAX && request->body.len <= BODY_MAX);
    SL_ASSERT(memchr(request->target.ptr, '\n', request->target.len) == NULL);
    run->requests++;
    mix(run, request->method);
    mix(run, request->target);
    mix(run, request->host);
    for (uint32_t i = 0; i < request->header_count; i++) {
        SL_ASSERT(request->headers[i].name.len > 0);
        mix(run, request->headers[i].name);
        mix(run, request->headers[i].value);
    }
    mix(run, request->body);
    if (str_starts_with(request->target, STR("/later"))) {
        run->deferred = exchange;
    } else {
        http_respond_text(exchange, 200, "answer\n");
    }
}

static void read_answers(struct run *run)
{
    char bytes[16384];
    ssize_t got;
    while ((got = recv(run->client, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < got && run->answer_bytes < sizeof(run->answer_begin); i++) {
            run->answer_begin[run->answer_bytes++] = bytes[i];
        }
    }
}

static void turn(struct run *run)
{
    (void)uv_run(loop_uv(run->loop), UV_RUN_NOWAIT);
    read_answers(run);
    if (run->deferred != NULL) {
        struct http_exchange *exchange = run->deferred;
        run->deferred = NULL;
        http_respond_text(exchange, 200, "later\n");
    }
}

static void send_all(struct run *run, struct str stream, struct rng *rng)
{
    size_t pieces = 0;
    while (stream.len > 0) {
        size_t len = stream.len;
        if (rng != NULL && ++pieces < PIECES_MAX) {
            size_t most = rng_next(rng) % 2 == 0 ? 4 : 2000;
            len = 1 + (size_t)(rng_next(rng) % most);
            len = len > stream.len ? stream.len : len;
        }
        ssize_t sent = send(run->client, stream.ptr, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return; /* it was closed on us */
        }
        stream.ptr += sent;
        stream.len -= (size_t)sent;
        if (rng != NULL) {
            turn(run);
        }
    }
}

/* rng NULL: in one piece. */
static void run_stream(struct run *run, struct str stream, struct rng *rng)
{
    const struct http_server_config config = {.header_max_bytes = HEADER_MAX,
                                              .body_max_bytes = BODY_MAX};
    int fds[2];
    *run = (struct run){.loop = loop_new(), .digest = 1};
    run->server = http_server_new(run->loop, &config, on_request, run);
    SL_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    run->client = fds[1];
    connection_open(run->server, fds[0], true, true);
    SL_ASSERT(http_server_connections(run->server) == 1);
    send_all(run, stream, rng);
    (void)shutdown(run->client, SHUT_WR);
    for (int i = 0; i < TURNS_MAX && http_server_connections(run->server) > 0; i++) {
        turn(run);
    }
    SL_ASSERT(http_server_connections(run->server) == 0);
    read_answers(run);
    SL_ASSERT(run->answer_bytes == 0 ||
              (run->answer_bytes == sizeof(run->answer_begin) &&
               memcmp(run->answer_begin, "HTTP/1.1", sizeof(run->answer_begin)) == 0));
    http_server_close(run->server);
    loop_stop(run->loop);
    SL_ASSERT(loop_run(run->loop) == 0);
    loop_free(run->loop);
    (void)close(run->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole;
    struct run cut;
    struct rng rng;
    uint64_t seed;
    if (size < sizeof(seed) || size > STREAM_MAX) {
        return 0;
    }
    memcpy(&seed, data, sizeof(seed));
    struct str stream = {(const char *)data + sizeof(seed), size - sizeof(seed)};
    rng_init(&rng, seed);
    run_stream(&whole, stream, NULL);
    run_stream(&cut, stream, &rng);
    SL_ASSERT(whole.requests == cut.requests && whole.digest == cut.digest);
    return 0;
}
