#include "http_client_internal.h"

#include "sluice/base/mem.h"
#include "sluice/net/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only new connections resolve: a service that moved is found soon after the old address fails. */
#define DNS_CACHE_S          10L
#define REQUEST_TEXT_MAX     ((size_t)128 * 1024)
#define RESPONSE_HEADERS_MAX ((size_t)64 * 1024)
#define POOLED_BODY_MAX      ((size_t)64 * 1024) /* what an idle call keeps of its buffer */
#define POLL_TEXT            "select/poll returned error" /* what libcurl says of a reset */
/* … and of every sixth kept connection that dies: it counts them over all transfers of a handle. */
#define DIED_TEXT            "Connection died, tried"
#define KEEPALIVE_IDLE_S     60L
#define KEEPALIVE_INTERVAL_S 20L

/* curl_easy_setopt() that remembers a failure in `bad`. */
#define SET(option, value) (bad |= curl_easy_setopt(easy, (option), (value)) != CURLE_OK)

/* ---- the response ---- */

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct http_call *call = context;

    if (buf_append(&call->body, data, size * count) != 0) {
        call->too_big = buf_failed(&call->body) == ERR_TOO_BIG;
        return 0;
    }
    return size * count;
}

static void on_status_line(struct http_call *call, struct str line)
{
    size_t code = 0;

    while (code < line.len && line.ptr[code] != ' ') {
        code++;
    }
    /* Answers of the 100s come before the one that counts. */
    call->answered = code + 1 < line.len && line.ptr[code + 1] != '1';
    call->response_header_count = 0;
    buf_reset(&call->header_text);
}

/* What goes beyond the bounds is left out: a header never fails a response. */
static void keep_header(struct http_call *call, struct str line, const char *colon)
{
    struct str name = str_trim((struct str){line.ptr, (size_t)(colon - line.ptr)});
    struct str value = str_trim((struct str){colon + 1, line.len - (size_t)(colon - line.ptr) - 1});
    struct header_span *span = &call->spans[call->response_header_count];
    size_t start = call->header_text.len;

    if (buf_add(&call->header_text, name) != 0 || buf_add(&call->header_text, value) != 0) {
        buf_truncate(&call->header_text, start);
        return;
    }
    *span = (struct header_span){start, name.len, start + name.len, value.len};
    call->response_header_count++;
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    struct str line = {data, size * count};
    const char *colon;

    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
        line.len--;
    }
    if (str_starts_with(line, STR("HTTP/"))) {
        on_status_line(call, line);
        return size * count;
    }
    colon = line.len > 0 ? memchr(line.ptr, ':', line.len) : NULL;
    if (colon != NULL && call->response_header_count < HTTP_HEADERS_MAX) {
        keep_header(call, line, colon);
    }
    return size * count;
}

/* ---- options that never change ---- */

static bool set_callbacks(struct http_call *call)
{
    CURL *easy = call->easy;
    bool bad = false;

    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_ERRORBUFFER, call->error_text);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_OPENSOCKETFUNCTION, http_sockets_on_open);
    SET(CURLOPT_OPENSOCKETDATA, call);
    /* A connection outlives the call that opened it: closing belongs to the client. */
    SET(CURLOPT_CLOSESOCKETFUNCTION, http_sockets_on_close);
    SET(CURLOPT_CLOSESOCKETDATA, call->client);
    SET(CURLOPT_PREREQFUNCTION, http_sockets_on_prerequest);
    SET(CURLOPT_PREREQDATA, call);
    return !bad;
}

static bool set_manners(struct http_call *call)
{
    CURL *easy = call->easy;
    bool bad = false;

    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* or a time-out while resolving waits for the resolver's thread */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    if (call->client->proxy != NULL) {
        SET(CURLOPT_PROXY, call->client->proxy);
        SET(CURLOPT_NOPROXY, "");
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    } else if (call->client->proxy_from_environment) {
        SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    } else {
        SET(CURLOPT_PROXY, "");
        SET(CURLOPT_NOPROXY, "*");
    }
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_FASTOPEN, 0L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    SET(CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
    if (call->client->user_agent != NULL) {
        SET(CURLOPT_USERAGENT, call->client->user_agent);
    }
    if (call->client->ca_file != NULL) {
        SET(CURLOPT_CAINFO, call->client->ca_file);
    }
    return !bad;
}

struct http_call *http_call_new(struct http_client *client)
{
    struct http_call *call = MEM_NEW(struct http_call);

    call->client = client;
    buf_init(&call->text, REQUEST_TEXT_MAX);
    buf_init(&call->body, client->response_max_bytes);
    buf_init(&call->header_text, RESPONSE_HEADERS_MAX);
    call->easy = curl_easy_init();
    if (call->easy == NULL || !set_callbacks(call) || !set_manners(call)) {
        http_call_free(call);
        return NULL;
    }
    return call;
}

void http_call_free(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    buf_done(&call->text);
    buf_done(&call->body);
    buf_done(&call->header_text);
    free(call->url);
    free(call);
}

/* ---- options of one call ---- */

/* The pooled handle mostly has the URL already. */
static int set_url(struct http_call *call, const char *text)
{
    struct url url;
    struct in6_addr address;
    int error;

    if (call->url != NULL && strcmp(call->url, text) == 0) {
        return 0;
    }
    error = url_parse(text, &url, NULL);
    if (error != 0) {
        return error;
    }
    free(call->url);
    call->url = NULL;
    if (curl_easy_setopt(call->easy, CURLOPT_URL, text) != CURLE_OK) {
        return ERR_NOMEM;
    }
    call->url = mem_dup(text, strlen(text));
    call->port = url.port;
    str_copy(call->host, sizeof(call->host), str_from(url.host));
    if (url.host[0] == '[' || inet_pton(AF_INET, url.host, &address) == 1) {
        call->host[0] = '\0';
    }
    return 0;
}

static bool has_body(const struct http_call_request *request)
{
    return request->body.len > 0 || strcmp(request->method, "POST") == 0 ||
           strcmp(request->method, "PUT") == 0 || strcmp(request->method, "PATCH") == 0;
}

static bool set_method(struct http_call *call, const struct http_call_request *request)
{
    CURL *easy = call->easy;
    const char *usual = "GET";
    bool is_head = strcmp(request->method, "HEAD") == 0;
    bool bad = false;

    SET(CURLOPT_NOBODY, is_head && request->body.len == 0 ? 1L : 0L);
    if (has_body(request)) {
        usual = "POST";
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        SET(CURLOPT_POSTFIELDS, request->body.len > 0 ? request->body.ptr : "");
    } else if (!is_head) {
        SET(CURLOPT_HTTPGET, 1L);
    }
    SET(CURLOPT_CUSTOMREQUEST,
        is_head || strcmp(request->method, usual) == 0 ? NULL : request->method);
    call->body_bytes = request->body.len;
    return !bad;
}

static bool is_header_part(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* How much text the request needs. */
static int check_headers(const struct http_call_request *request, size_t *ret_bytes)
{
    size_t bytes = sizeof("Expect:") + sizeof("Content-Type:");

    if (request->header_count > HTTP_HEADERS_MAX) {
        return ERR_TOO_BIG;
    }
    for (uint32_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (header->name.len == 0 || !is_header_part(header->name) ||
            !is_header_part(header->value) ||
            memchr(header->name.ptr, ':', header->name.len) != NULL) {
            return ERR_INVALID;
        }
        bytes += header->name.len + header->value.len + 3;
        if (bytes > REQUEST_TEXT_MAX / 2) {
            return ERR_TOO_BIG;
        }
    }
    *ret_bytes = bytes;
    return 0;
}

/* One more line of call->text, whose room is reserved: it does not move any more. */
static void add_line(struct http_call *call, uint32_t *count, struct str name, struct str value)
{
    struct curl_slist *entry = &call->headers[*count];

    entry->data = call->text.ptr + call->text.len;
    entry->next = NULL;
    /* "name;" is how libcurl is asked for an empty header, "name:" takes one of its own away. */
    (void)buf_add(&call->text, name);
    (void)buf_adds(&call->text, value.ptr == NULL ? ":" : value.len == 0 ? ";" : ": ");
    (void)buf_append(&call->text, value.len > 0 ? value.ptr : "", value.len);
    (void)buf_addc(&call->text, '\0');
    if (*count > 0) {
        call->headers[*count - 1].next = entry;
    }
    (*count)++;
}

/* Room for all lines, so that nothing moves once libcurl has pointers. */
static int reserve_text(struct http_call *call, const struct http_call_request *request)
{
    size_t bytes = 0;
    int error = check_headers(request, &bytes);

    if (error != 0) {
        return error;
    }
    if (request->addresses != NULL) {
        bytes += strlen(request->addresses) + sizeof(call->host) + sizeof("+::65535");
    }
    return buf_reserve(&call->text, bytes) == NULL ? ERR_TOO_BIG : 0;
}

static void set_headers(struct http_call *call, const struct http_call_request *request)
{
    uint32_t count = 0;
    bool has_type = !has_body(request);

    add_line(call, &count, STR("Expect"), STR_NONE);
    for (uint32_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        struct str value = header->value.ptr == NULL ? STR("") : header->value;
        has_type = has_type || str_equal_nocase(header->name, STR("content-type"));
        add_line(call, &count, header->name, value);
    }
    if (!has_type) {
        add_line(call, &count, STR("Content-Type"), STR_NONE); /* libcurl would call it a form */
    }
}

/* The addresses of the call's host, as an entry of libcurl's DNS cache that replaces an older one.
   '+': it ages like any other, for calls that let libcurl resolve; this call takes it at any age.
 */
static bool set_addresses(struct http_call *call, const struct http_call_request *request)
{
    CURL *easy = call->easy;
    bool bad = false;
    bool given = request->addresses != NULL && !call->is_unix && call->host[0] != '\0';

    if (given) {
        size_t at = call->text.len;
        (void)buf_addf(&call->text, "+%s:%u:%s", call->host, (unsigned int)call->port,
                       request->addresses);
        call->resolve = (struct curl_slist){call->text.ptr + at, NULL};
    }
    call->many_addresses = call->host[0] != '\0' && !call->is_unix &&
                           (!given || strchr(request->addresses, ',') != NULL);
    SET(CURLOPT_RESOLVE, given ? &call->resolve : NULL);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, given ? -1L : DNS_CACHE_S);
    return !bad;
}

static long ceil_ms(int64_t ns)
{
    int64_t ms = ns / NS_PER_MS + (ns % NS_PER_MS != 0 ? 1 : 0);

    return ms > INT32_MAX ? (long)INT32_MAX : (long)ms;
}

static void forget_last(struct http_call *call)
{
    call->phase = PHASE_CONNECTING;
    call->told_arrived = call->too_big = call->answered = call->unacknowledged = false;
    call->write_count = 0;
    call->socket = NULL;
    call->arrived_at = 0;
    call->response_header_count = 0;
    call->error_text[0] = '\0';
    buf_reset(&call->text);
    buf_reset(&call->header_text);
    buf_reset(&call->body);
    if (call->body.cap > POOLED_BODY_MAX) {
        buf_done(&call->body);
    }
}

/* No curl_easy_reset(): every option that a call may change is set for every call. */
int http_call_prepare(struct http_call *call, const struct http_call_request *request)
{
    CURL *easy = call->easy;
    bool bad = false;
    int error;

    forget_last(call);
    call->observe = request->observe_arrival && request->unix_socket == NULL;
    call->is_unix = request->unix_socket != NULL;
    error = set_url(call, request->url);
    if (error == 0) {
        error = reserve_text(call, request);
    }
    if (error != 0) {
        return error;
    }
    set_headers(call, request);
    bad = !set_addresses(call, request) || !set_method(call, request);
    SET(CURLOPT_HTTPHEADER, call->headers);
    SET(CURLOPT_CONNECTTIMEOUT_MS, ceil_ms(request->connect_timeout_ns));
    SET(CURLOPT_TIMEOUT_MS, ceil_ms(request->timeout_ns));
    SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    SET(CURLOPT_SSL_VERIFYPEER, request->tls_skip_verify ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, request->tls_skip_verify ? 0L : 2L);
    return bad ? ERR_NOMEM : 0;
}

/* ---- the result ---- */

/*
 * libcurl 7.88 calls a failed connect a time-out when the handle has seen ETIMEDOUT before, be it
 * in another call long ago: its os_errno outlives calls. The text is right.
 */
static CURLcode true_code(const struct http_call *call, CURLcode code)
{
    struct str why = str_from(curl_easy_strerror(CURLE_COULDNT_CONNECT));

    return code == CURLE_OPERATION_TIMEDOUT && str_ends_with(str_from(call->error_text), why)
               ? CURLE_COULDNT_CONNECT
               : code;
}

static int error_from_code(const struct http_call *call, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return call->write_count > 0 ? ERR_RESET : ERR_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return call->write_count > 0 ? ERR_RESET : ERR_CONNECT; /* the refused re-send */
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
        return ERR_TLS;
    case CURLE_WRITE_ERROR:
        return call->too_big ? ERR_TOO_BIG : ERR_NOMEM;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    case CURLE_UNSUPPORTED_PROTOCOL: /* also an answer that is not HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return ERR_PROTOCOL;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_ABORTED_BY_CALLBACK:
    default:
        return ERR_RESET;
    }
}

static void read_detail(struct http_call *call, CURLcode code)
{
    struct http_result *result = &call->result;
    const char *text = call->error_text[0] != '\0' ? call->error_text : curl_easy_strerror(code);

    if (result->error == ERR_CANCELED) {
        text = "canceled";
    } else if (result->error == ERR_TOO_BIG) {
        text = "the response body is larger than its maximum";
    } else if (result->error == ERR_RESET && call->write_count > 0 &&
               (code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_COULDNT_CONNECT ||
                str_starts_with(str_from(text), STR(DIED_TEXT)))) {
        text = "the connection was closed without an answer";
    } else if (result->error == ERR_RESET && str_equal(str_from(text), STR(POLL_TEXT))) {
        text = "the connection was reset by the peer";
    }
    str_copy(result->detail, sizeof(result->detail), str_from(text));
}

static void read_headers(struct http_call *call)
{
    const char *text = call->header_text.ptr;

    for (uint32_t i = 0; i < call->response_header_count; i++) {
        const struct header_span *span = &call->spans[i];
        call->response_headers[i] = (struct http_header){
            .name = {text + span->name, span->name_len},
            .value = {text + span->value, span->value_len},
        };
    }
}

void http_call_read_result(struct http_call *call, CURLcode code, int error)
{
    struct http_result *result = &call->result;
    curl_off_t connect_us = 0;
    long status = 0;
    long connects = 0;

    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(call->easy, CURLINFO_NUM_CONNECTS, &connects);
    if (connects > 0) {
        (void)curl_easy_getinfo(call->easy, CURLINFO_APPCONNECT_TIME_T, &connect_us);
        if (connect_us == 0) {
            (void)curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &connect_us);
        }
    }
    code = true_code(call, code);
    read_headers(call);
    *result = (struct http_result){
        .error = error != 0 ? error : error_from_code(call, code),
        .status = (int)status,
        .written = call->write_count > 0,
        .connect_ns = connect_us * NS_PER_US,
        .reused = connects == 0 && call->write_count > 0,
        .body = buf_str(&call->body),
        .headers = call->response_headers,
        .header_count = call->response_header_count,
    };
    if (result->error != 0) {
        read_detail(call, code);
    }
}
