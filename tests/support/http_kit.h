/*
 * http_kit: a scripted HTTP side for tests of a handler: this file defines the functions of the
 * HTTP server that a handler calls, so nothing of the real one is linked. A request goes in as
 * structures, the answer is what http_respond() was given.
 */
#ifndef SLUICE_TESTS_HTTP_KIT_H
#define SLUICE_TESTS_HTTP_KIT_H

#include "sluice/base/buf.h"
#include "sluice/net/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define HTTP_KIT_HEADERS_MAX 16
#define HTTP_KIT_HOST        "localhost:9324"

struct http_exchange {
    struct http_header headers[HTTP_KIT_HEADERS_MAX];
    struct http_request_view view;
    void (*on_close)(void *context);
    void *on_close_context;
    int responses, status;
    char content_type[64], query_error[128], request_id[64];
    struct buf body;
};

struct str http_request_header(const struct http_request_view *request, const char *name)
{
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (str_equal_nocase(request->headers[i].name, str_from(name))) {
            return request->headers[i].value;
        }
    }
    return STR_NONE;
}

void http_exchange_on_close(struct http_exchange *exchange, void (*callback)(void *context),
                            void *context)
{
    exchange->on_close = callback;
    exchange->on_close_context = context;
}

void http_respond(struct http_exchange *exchange, const struct http_response *response)
{
    exchange->responses++;
    exchange->status = response->status;
    str_copy(exchange->content_type, sizeof(exchange->content_type),
             str_from(response->content_type));
    for (uint32_t i = 0; i < response->header_count; i++) {
        const struct http_header *header = &response->headers[i];
        if (str_equal(header->name, STR("x-amzn-query-error"))) {
            str_copy(exchange->query_error, sizeof(exchange->query_error), header->value);
        } else {
            assert_true(str_equal(header->name, STR("x-amzn-RequestId")));
            str_copy(exchange->request_id, sizeof(exchange->request_id), header->value);
        }
    }
    buf_init(&exchange->body, (size_t)32 << 20);
    assert_int_equal(buf_add(&exchange->body, response->body), 0);
}

static inline void exchange_header(struct http_exchange *x, const char *name, const char *value)
{
    assert_true(x->view.header_count < HTTP_KIT_HEADERS_MAX);
    x->headers[x->view.header_count++] = (struct http_header){str_from(name), str_from(value)};
}

/* Texts are borrowed. The answer before this one is forgotten. */
static inline void exchange_begin(struct http_exchange *x, const char *method, const char *target,
                                  const char *body)
{
    buf_done(&x->body);
    *x = (struct http_exchange){.status = 0};
    struct str rest = str_from(target);
    struct str path;
    (void)str_next(&rest, '?', &path);
    x->view = (struct http_request_view){.method = str_from(method),
                                         .target = str_from(target),
                                         .path = path,
                                         .query = rest,
                                         .host = STR(HTTP_KIT_HOST),
                                         .headers = x->headers,
                                         .body = str_from(body)};
    exchange_header(x, "Host", HTTP_KIT_HOST);
}

#endif
