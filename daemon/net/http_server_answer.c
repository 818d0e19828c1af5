/*
 * Answer → bytes. Appends to the connection's output; the head is built by hand, because one
 * formatted print a line costs more than parsing the request.
 */
#include "http_server_internal.h"

#include "sluice/runtime/log.h"

#include <string.h>
#include <time.h>

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

static const char *reason_text(int status)
{
    for (size_t i = 0; i < SL_COUNT(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Status"; /* the phrase means nothing to a client (RFC 9112 §4) */
}

static void add_number(struct buf *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    (void)buf_append(out, digits + at, sizeof(digits) - at);
}

/* The Date line, made once a second: SDKs measure the skew of their clock by it. */
static struct str date_line(struct http_server *server)
{
    int64_t second = loop_wall() / 1000;
    if (second != server->date_second) {
        time_t when = (time_t)second;
        struct tm tm;
        (void)gmtime_r(&when, &tm);
        (void)strftime(server->date, sizeof(server->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
                       &tm);
        server->date_second = second;
    }
    return str_from(server->date);
}

/* A line break in a value would let it write headers of its own: it becomes a space. */
static void add_header(struct buf *out, const struct http_header *header)
{
    (void)buf_add(out, header->name);
    (void)buf_add(out, STR(": "));
    size_t begin = out->len;
    (void)buf_add(out, header->value);
    for (size_t i = begin; i < out->len; i++) {
        if (out->ptr[i] == '\r' || out->ptr[i] == '\n' || out->ptr[i] == '\0') {
            out->ptr[i] = ' ';
        }
    }
    (void)buf_add(out, STR("\r\n"));
}

static void add_connection_line(struct connection *c)
{
    if (c->close_after) {
        (void)buf_add(&c->out, STR("Connection: close\r\n"));
    } else if (c->request.parser.http_minor == 0) {
        (void)buf_add(&c->out, STR("Connection: keep-alive\r\n"));
    }
}

static void add_all(struct connection *c, const struct http_response *response)
{
    struct buf *out = &c->out;
    bool has_no_body = response->status == 204 || response->status == 304;

    (void)buf_add(out, STR("HTTP/1.1 "));
    add_number(out, (uint64_t)response->status);
    (void)buf_addc(out, ' ');
    (void)buf_adds(out, reason_text(response->status));
    (void)buf_add(out, STR("\r\n"));
    (void)buf_add(out, date_line(c->server));
    if (!has_no_body) {
        (void)buf_add(out, STR("Content-Length: "));
        add_number(out, response->body.len);
        (void)buf_add(out, STR("\r\n"));
    }
    if (response->content_type != NULL) {
        add_header(out,
                   &(struct http_header){STR("Content-Type"), str_from(response->content_type)});
    }
    for (uint32_t i = 0; i < response->header_count; i++) {
        add_header(out, &response->headers[i]);
    }
    add_connection_line(c);
    (void)buf_add(out, STR("\r\n"));
    if (!has_no_body && !(c->request.head_done && c->request.parser.method == HTTP_HEAD)) {
        (void)buf_add(out, response->body);
    }
}

void answer_append(struct connection *c, const struct http_response *response)
{
    size_t before = c->out.len;

    SL_ASSERT(response->status >= 200 && response->status <= 999);
    c->close_after =
        c->close_after || response->close || !c->request.keep_alive || c->server->draining;
    add_all(c, response);
    if (buf_failed(&c->out) != 0) {
        LOG_ERROR("an answer is larger than its maximum",
                  LOG_I64("bytes", (int64_t)response->body.len));
        c->out.failed = 0;
        buf_truncate(&c->out, before);
        c->close_after = true;
        add_all(c, &(struct http_response){.status = 500});
    }
}

void answer_append_text(struct connection *c, int status, const char *text, bool close)
{
    answer_append(c, &(struct http_response){.status = status,
                                             .content_type = "text/plain; charset=utf-8",
                                             .body = str_from(text),
                                             .close = close});
}
