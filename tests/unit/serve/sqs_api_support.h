/*
 * sqs_api_support: the SQS API against a scripted store and a scripted HTTP side: this file defines
 * the functions of the store that the API calls, so nothing of the real one is linked.
 */
#ifndef SLUICE_TESTS_SQS_API_SUPPORT_H
#define SLUICE_TESTS_SQS_API_SUPPORT_H

#include "sluice/serve/sqs_api.h"

#include "sluice/sqs/sigv4.h"
#include "sluice/sqs/types.h"
#include "support/http_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1795435200000) /* 20261123T120000Z */

struct store {
    struct store_request *pending;
    struct store_peek *peeking;
    uint32_t submitted, canceled;
};

static wall_ms now_ms = NOW_MS;
static inline wall_ms test_clock(void)
{
    return now_ms;
}

/* ---- the scripted store ---- */

void store_submit(struct store *store, struct store_request *request)
{
    assert_null(store->pending);
    store->pending = request;
    store->submitted++;
}

void store_peek(struct store *store, struct store_peek *peek)
{
    assert_null(store->peeking);
    store->peeking = peek;
    store->submitted++;
}

void store_cancel(struct store *store, struct store_request *request)
{
    assert_ptr_equal(store->pending, request);
    store->canceled++;
}

/* ---- a request ---- */

struct fixture {
    struct store store;
    struct metrics *metrics;
    struct sqs_api *api;
    struct http_exchange exchange;
};

static inline void setup_with(struct fixture *f, struct sqs_api_config config)
{
    *f = (struct fixture){.metrics = metrics_new()};
    config.clock = test_clock;
    if (config.region.ptr == NULL) {
        config.region = STR("us-east-1");
    }
    config.account = STR("000000000000");
    f->api = sqs_api_new(&f->store, f->metrics, &config);
    now_ms = NOW_MS;
}

static inline void setup(struct fixture *f)
{
    setup_with(f, (struct sqs_api_config){0});
}

static inline void teardown(struct fixture *f)
{
    buf_done(&f->exchange.body);
    assert_int_equal(sqs_api_running(f->api), 0);
    sqs_api_free(f->api);
    metrics_free(f->metrics);
}

static inline void begin(struct fixture *f, const char *method, const char *target,
                         const char *body)
{
    exchange_begin(&f->exchange, method, target, body);
}

static inline void header(struct fixture *f, const char *name, const char *value)
{
    exchange_header(&f->exchange, name, value);
}

static inline void submit(struct fixture *f)
{
    sqs_api_handle(f->api, &f->exchange, &f->exchange.view);
}

static inline void json(struct fixture *f, const char *action, const char *body)
{
    char target[64];
    (void)snprintf(target, sizeof(target), "AmazonSQS.%s", action);
    begin(f, "POST", "/", body);
    header(f, "X-Amz-Target", target);
    header(f, "Content-Type", "application/x-amz-json-1.0");
    submit(f);
}

static inline void form(struct fixture *f, const char *path, const char *body)
{
    begin(f, "POST", path, body);
    header(f, "content-type", "application/x-www-form-urlencoded; charset=utf-8");
    submit(f);
}

/* The store's answer to the request it was given. */
static inline void answer(struct fixture *f, void *output)
{
    struct store_request *request = f->store.pending;
    assert_non_null(request);
    f->store.pending = NULL;
    request->output = output;
    request->done(request->context, request);
}

static inline void answer_error(struct fixture *f, enum sqs_error_code code, const char *message)
{
    (void)sqs_error_set(&f->store.pending->error, code, "%s", message);
    answer(f, NULL);
}

static inline void expect(const struct fixture *f, int status, const char *body_part)
{
    const struct http_exchange *x = &f->exchange;
    assert_int_equal(x->responses, 1);
    if (x->status != status || strstr(buf_str(&x->body).ptr, body_part) == NULL) {
        fail_msg("status %d, body %s; wanted %d with %s", x->status, buf_str(&x->body).ptr, status,
                 body_part);
    }
    assert_int_equal(strlen(x->request_id), 36);
}

static inline void expect_error(const struct fixture *f, int status, const char *type,
                                const char *query_error)
{
    expect(f, status, type);
    assert_string_equal(f->exchange.query_error, query_error);
    assert_string_equal(f->exchange.content_type, "application/x-amz-json-1.0");
}

/* ---- signatures ---- */

struct signing {
    struct str id, secret, region, service;
    wall_ms at;
    const char *token;
};

/* Adds X-Amz-Date and Authorization to the request that was begun. */
static inline void sign(struct fixture *f, const struct signing *s, struct buf *out, char date[17])
{
    struct sigv4_header headers[HTTP_KIT_HEADERS_MAX];
    sigv4_date(s->at, date);
    header(f, "X-Amz-Date", date);
    if (s->token != NULL) {
        header(f, "X-Amz-Security-Token", s->token);
    }
    struct http_exchange *x = &f->exchange;
    for (uint32_t i = 0; i < x->view.header_count; i++) {
        headers[i] = (struct sigv4_header){x->headers[i].name, x->headers[i].value};
    }
    struct sigv4_request request = {x->view.method, x->view.path,         x->view.query,
                                    headers,        x->view.header_count, x->view.body};
    struct sigv4_credentials credentials = {s->id, s->secret, STR_NONE};
    buf_init(out, 4096);
    assert_int_equal(sigv4_sign(&request, &credentials, s->region, s->service, out), 0);
    header(f, "Authorization", out->ptr);
}

static inline void submit_signed_action(struct fixture *f, const struct signing *s,
                                        const char *action, const char *body)
{
    struct buf authorization;
    char target[64];
    char date[17];
    (void)snprintf(target, sizeof(target), "AmazonSQS.%s", action);
    begin(f, "POST", "/", body);
    header(f, "Content-Type", "application/x-amz-json-1.0");
    header(f, "X-Amz-Target", target);
    sign(f, s, &authorization, date);
    submit(f);
    buf_done(&authorization);
}

#endif
