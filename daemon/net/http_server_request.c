/*
 * Bytes → request. Every span that llhttp reports lies in the connection's buffer, so a request is
 * a set of offsets and nothing is copied, except that the chunks of a body are pushed together.
 *
 * Strict where two parsers could disagree about where a request ends (request smuggling): no
 * Content-Length beside Transfer-Encoding, no folded headers, no bare LF, one Host.
 */
#include "http_server_internal.h"

#include <stdio.h>
#include <string.h>

/* Smaller chunks than this on average, or more bytes of trailers, are no honest client. */
#define CHUNK_OVERHEAD_FACTOR 8

static struct connection *connection_of(llhttp_t *parser)
{
    return parser->data;
}

static char *request_base(struct connection *c)
{
    return c->in.ptr + c->start;
}

static int refuse(struct connection *c, int status, const char *text)
{
    if (c->request.refusal_status == 0) {
        c->request.refusal_status = status;
        (void)snprintf(c->request.refusal_text, sizeof(c->request.refusal_text), "%s\n", text);
    }
    return -1;
}

static void refuse_too_big_head(struct connection *c)
{
    (void)refuse(c, 431,
                 "the request line and headers are larger than allowed: send fewer or "
                 "shorter headers");
}

static void refuse_too_big_body(struct connection *c)
{
    (void)refuse(c, 413, "the body is larger than allowed: send a smaller one");
}

/* Pieces of one span follow each other, or there was a line break inside (a folded header). */
static int span_extend(struct connection *c, struct span *span, bool begin, const char *at,
                       size_t len)
{
    size_t offset = (size_t)(at - request_base(c));
    if (begin) {
        *span = (struct span){offset, 0};
    } else if (offset != span->at + span->len) {
        return refuse(c, 400, "folded headers are not allowed: send each header on one line");
    }
    span->len += len;
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *c = connection_of(parser);
    return span_extend(c, &c->request.target, c->request.target.len == 0, at, len);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *c = connection_of(parser);
    struct request *r = &c->request;

    if (r->head_done) {
        return 0; /* trailers are counted and dropped */
    }
    bool begin = !r->in_name;
    if (begin) {
        if (r->header_count == HTTP_HEADERS_MAX) {
            return refuse(c, 431, "too many headers: at most 64 are allowed");
        }
        r->values[r->header_count] = (struct span){0, 0};
        r->header_count++;
        r->in_name = true;
        r->in_value = false;
    }
    return span_extend(c, &r->names[r->header_count - 1], begin, at, len);
}

static int on_header_field_complete(llhttp_t *parser)
{
    connection_of(parser)->request.in_name = false;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *c = connection_of(parser);
    struct request *r = &c->request;

    if (r->head_done) {
        return 0;
    }
    bool begin = !r->in_value;
    r->in_value = true;
    return span_extend(c, &r->values[r->header_count - 1], begin, at, len);
}

static struct str span_str(struct connection *c, struct span span)
{
    return (struct str){request_base(c) + span.at, span.len};
}

static bool header_is(struct connection *c, uint32_t i, struct str name)
{
    return str_equal_nocase(span_str(c, c->request.names[i]), name);
}

static int check_version(struct connection *c)
{
    const llhttp_t *parser = &c->request.parser;
    struct span target = c->request.target;
    const char *after = request_base(c) + target.at + target.len;
    const char *line_feed = memchr(after, '\n', (size_t)(c->in.ptr + c->in.len - after));

    if (parser->http_major != 1) {
        return refuse(c, 505, "this server speaks HTTP/1.1 and HTTP/1.0");
    }
    if (parser->method == HTTP_CONNECT) {
        return refuse(c, 501, "CONNECT is not supported: this is no proxy for tunnels");
    }
    if (parser->method >= HTTP_PRI || parser->method == HTTP_SOURCE) {
        return refuse(c, 400, "that is no HTTP method");
    }
    /* llhttp lets the request line alone end in a bare LF. */
    if (line_feed == NULL || line_feed[-1] != '\r') {
        return refuse(c, 400, "malformed request: lines end in CR LF");
    }
    return 0;
}

static int check_headers(struct connection *c)
{
    struct request *r = &c->request;
    uint32_t host_count = 0;

    for (uint32_t i = 0; i < r->header_count; i++) {
        if (r->names[i].len == 0) {
            return refuse(c, 400, "malformed request: a header without a name");
        }
        if (header_is(c, i, STR("host"))) {
            host_count++;
        } else if (header_is(c, i, STR("expect")) && r->parser.http_minor > 0) {
            if (!str_equal_nocase(str_trim(span_str(c, r->values[i])), STR("100-continue"))) {
                return refuse(c, 417, "the only expectation served is 100-continue");
            }
            r->expect_continue = true;
        }
    }
    if (host_count > 1 || (host_count == 0 && r->parser.http_minor > 0)) {
        return refuse(c, 400, "malformed request: send exactly one Host header");
    }
    return 0;
}

static int check_framing(struct connection *c)
{
    struct request *r = &c->request;

    if ((r->parser.flags & F_TRANSFER_ENCODING) != 0 && r->parser.http_minor == 0) {
        return refuse(c, 400, "malformed request: HTTP/1.0 has no Transfer-Encoding");
    }
    if ((r->parser.flags & F_CONTENT_LENGTH) != 0 &&
        r->parser.content_length > c->server->config.body_max_bytes) {
        refuse_too_big_body(c);
        return -1;
    }
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct connection *c = connection_of(parser);

    if (check_version(c) != 0 || check_headers(c) != 0 || check_framing(c) != 0) {
        return -1;
    }
    c->request.head_done = true;
    c->request.keep_alive = llhttp_should_keep_alive(parser) != 0;
    parser->upgrade = 0; /* an upgrade is an offer, and not taken */
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *c = connection_of(parser);
    struct request *r = &c->request;

    if (len > c->server->config.body_max_bytes - r->body.len) {
        refuse_too_big_body(c);
        return -1;
    }
    if (r->body.len == 0) {
        r->body.at = (size_t)(at - request_base(c));
    }
    char *end = request_base(c) + r->body.at + r->body.len;
    if (end != at) {
        memmove(end, at, len); /* over a chunk's head that is parsed already */
    }
    r->body.len += len;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    connection_of(parser)->request.done = true;
    return HPE_PAUSED; /* the next one waits for the answer */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void request_begin(struct connection *c)
{
    struct request *r = &c->request;

    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = c;
    r->target = r->body = (struct span){0, 0};
    r->header_count = 0;
    r->in_name = r->in_value = r->head_done = r->done = r->expect_continue = false;
    r->keep_alive = false;
    r->body_raw_bytes = 0;
    r->refusal_status = 0;
}

static enum request_progress refuse_malformed(struct connection *c, llhttp_errno_t error)
{
    struct request *r = &c->request;

    if (r->refusal_status != 0) {
        return REQUEST_REFUSED;
    }
    if (error == HPE_INVALID_VERSION || error == HPE_PAUSED_H2_UPGRADE) {
        (void)refuse(c, 505, "this server speaks HTTP/1.1 and HTTP/1.0");
    } else {
        r->refusal_status = 400;
        const char *reason = llhttp_get_error_reason(&r->parser);
        (void)snprintf(r->refusal_text, sizeof(r->refusal_text), "malformed request: %s\n",
                       reason != NULL ? reason : llhttp_errno_name(error));
    }
    return REQUEST_REFUSED;
}

static size_t head_end(const struct request *r)
{
    if (r->header_count == 0) {
        return r->target.at + r->target.len;
    }
    uint32_t last = r->header_count - 1;
    return r->values[last].len > 0 ? r->values[last].at + r->values[last].len
                                   : r->names[last].at + r->names[last].len;
}

/* A chunked body keeps no more than itself: heads of chunks and trailers are dropped. */
static void drop_chunk_heads(struct connection *c)
{
    struct request *r = &c->request;
    if ((r->parser.flags & F_CHUNKED) != 0 && r->body.len > 0) {
        buf_truncate(&c->in, c->start + r->body.at + r->body.len);
        c->pos = c->in.len;
    }
}

static enum request_progress parse_more(struct connection *c, size_t parsed_bytes)
{
    struct request *r = &c->request;
    const struct http_server_config *config = &c->server->config;

    c->pos = c->in.len;
    if (!r->head_done) {
        if (c->in.len - c->start <= config->header_max_bytes) {
            return REQUEST_MORE;
        }
        refuse_too_big_head(c);
        return REQUEST_REFUSED;
    }
    r->body_raw_bytes += parsed_bytes;
    if (r->body_raw_bytes >
        r->body.len * CHUNK_OVERHEAD_FACTOR + config->header_max_bytes + parsed_bytes) {
        (void)refuse(c, 413, "too many bytes around the chunks: send larger chunks");
        return REQUEST_REFUSED;
    }
    drop_chunk_heads(c);
    return REQUEST_MORE;
}

enum request_progress request_parse(struct connection *c)
{
    struct request *r = &c->request;
    char *from = c->in.ptr + c->pos;
    size_t len = c->in.len - c->pos;
    llhttp_errno_t error = llhttp_execute(&r->parser, from, len);

    if (r->refusal_status == 0 && r->head_done &&
        head_end(r) > c->server->config.header_max_bytes) {
        refuse_too_big_head(c);
        return REQUEST_REFUSED;
    }
    if (error == HPE_OK) {
        return parse_more(c, len);
    }
    if (error != HPE_PAUSED || !r->done) {
        return refuse_malformed(c, error);
    }
    c->pos = (size_t)(llhttp_get_error_pos(&r->parser) - c->in.ptr);
    return REQUEST_DONE;
}

static bool ends_authority(char c)
{
    return c == '/' || c == '?' || c == '#';
}

/* "http://host/path": what it names wins over Host (RFC 9112 §3.2.2). */
static int split_absolute_form(struct connection *c, struct http_request_view *view)
{
    struct str rest = view->target;
    size_t colon = 0;

    while (colon < rest.len && rest.ptr[colon] != ':') {
        colon++;
    }
    if (rest.len < colon + 3 || rest.ptr[colon + 1] != '/' || rest.ptr[colon + 2] != '/') {
        (void)refuse(c, 400, "malformed request: the target starts with / or http://");
        return ERR_SYNTAX;
    }
    rest = (struct str){rest.ptr + colon + 3, rest.len - colon - 3};
    size_t host_len = 0;
    while (host_len < rest.len && !ends_authority(rest.ptr[host_len])) {
        host_len++;
    }
    view->host = (struct str){rest.ptr, host_len};
    view->path = (struct str){rest.ptr + host_len, rest.len - host_len};
    return 0;
}

static int split_target(struct connection *c, struct http_request_view *view)
{
    view->path = view->target;
    if (view->target.len == 0) {
        (void)refuse(c, 400, "malformed request: no target");
        return ERR_SYNTAX;
    }
    if (view->target.ptr[0] != '/' && !str_equal(view->target, STR("*"))) {
        int error = split_absolute_form(c, view);
        if (error != 0) {
            return error;
        }
    }
    const char *mark = view->path.len > 0 ? memchr(view->path.ptr, '?', view->path.len) : NULL;
    view->query = (struct str){"", 0};
    if (mark != NULL) {
        size_t path_len = (size_t)(mark - view->path.ptr);
        view->query = (struct str){mark + 1, view->path.len - path_len - 1};
        view->path.len = path_len;
    }
    if (view->path.len == 0) {
        view->path = STR("/");
    }
    return 0;
}

int request_view(struct connection *c)
{
    struct request *r = &c->request;
    struct http_exchange *exchange = &c->exchange;
    struct http_request_view *view = &exchange->view;

    *view = (struct http_request_view){
        .method = str_from(llhttp_method_name((llhttp_method_t)r->parser.method)),
        .target = span_str(c, r->target),
        .headers = exchange->headers,
        .header_count = r->header_count,
        .body = r->body.len > 0 ? span_str(c, r->body) : (struct str){"", 0},
        .from_unix_socket = c->is_unix,
        .is_tls = c->tls != NULL,
        .peer_is_loopback = c->is_loopback,
        .received_at = c->read_at,
        .kernel_stamp_ns = c->kernel_stamp_ns,
    };
    for (uint32_t i = 0; i < r->header_count; i++) {
        exchange->headers[i] =
            (struct http_header){span_str(c, r->names[i]), str_trim(span_str(c, r->values[i]))};
    }
    view->host = http_request_header(view, "host");
    return split_target(c, view);
}

struct str http_request_header(const struct http_request_view *request, const char *lower_case_name)
{
    struct str name = str_from(lower_case_name);
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (str_equal_nocase(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return STR_NONE;
}
