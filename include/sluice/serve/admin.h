/*
 * admin: what people and monitors ask a running daemon.
 *
 *   health (TCP, 127.0.0.1:9325)   GET /healthz /readyz /metrics
 *   admin  (Unix socket, 0600)     GET /v1/status
 *                                  POST /v1/routes/<name>/pause | /resume
 *                                  POST /v1/routes/<name>/limit
 *                                       {"requests":N,"per":"1s","limit":"name"?}
 *                                  POST /v1/backup {"file":"/path","force":true?}
 *                                  GET /v1/backup: how it goes
 *                                  all else: the SQS API, without signatures
 *
 * The daemon's parts come in as callbacks: this file knows HTTP, not the app. Loop thread only.
 */
#ifndef SLUICE_SERVE_ADMIN_H
#define SLUICE_SERVE_ADMIN_H

#include "sluice/base/err.h"
#include "sluice/base/json.h"
#include "sluice/net/http_server.h"
#include "sluice/runtime/metrics.h"
#include "sluice/serve/sqs_api.h"

#define ADMIN_SOCKET_NAME "admin.sock" /* in the data directory */

struct admin_callbacks {
    /* Members of the status object. */
    void (*status)(void *context, struct json_writer *w);
    /* Why the daemon is not ready, or NULL. */
    const char *(*trouble)(void *context);
    int (*pause)(void *context, const char *route, bool paused, struct error *e);
    int (*limit)(void *context, const char *route, const char *limit, uint32_t requests,
                 int64_t per_ns, struct error *e);
    /* Members of the usage object. */
    void (*usage)(void *context, struct json_writer *w);
};

struct admin {
    const struct admin_callbacks *callbacks;
    void *context;
    struct metrics *metrics;
    struct sqs_api *sqs_api; /* NULL: none on the admin socket */
    struct store *store;     /* for backups */
};

/* Handlers for http_server_new(); context: struct admin *. */
void admin_handle_health(void *context, struct http_exchange *exchange,
                         const struct http_request_view *request);
void admin_handle_control(void *context, struct http_exchange *exchange,
                          const struct http_request_view *request);

#endif
