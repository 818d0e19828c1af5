#include "http_client_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX_DEFAULT 1024
#define RESPONSE_MAX_DEFAULT    ((size_t)1024 * 1024)

/* ---- the end of a call ---- */

/* Closes nothing by itself: libcurl keeps the connection or has our callback close its socket. */
void http_call_finish(struct http_call *call, CURLcode code, int error)
{
    struct http_client *client = call->client;

    call->place = CALL_DONE;
    list_remove(&client->running, &call->node);
    list_push(&client->done, &call->node);
    if (list_is_linked(&call->abort_node)) {
        list_remove(&client->aborting, &call->abort_node);
    }
    http_call_read_result(call, code, error);
    (void)curl_multi_remove_handle(client->multi, call->easy);
    http_sockets_end_flight(call);
    call->result.ended_at = loop_now();
    http_sockets_release(call, call->result.error == 0);
    if (call->phase != PHASE_ARRIVED) {
        http_call_set_phase(call, PHASE_UNOBSERVED);
    }
    if (call->phase == PHASE_ARRIVED) {
        call->result.arrived = true;
        call->result.arrived_at = call->arrived_at;
    } else if (call->result.error == 0) {
        call->result.early = call->unacknowledged;
        call->result.arrived = !call->unacknowledged;
        call->result.arrived_at = call->result.ended_at;
    }
}

static void tell_arrival(struct http_call *call)
{
    if (call->phase == PHASE_ARRIVED && !call->told_arrived) {
        call->told_arrived = true;
        if (list_is_linked(&call->watch_node)) {
            list_remove(&call->client->arrived, &call->watch_node);
        }
        if (call->events.on_arrived != NULL) {
            call->events.on_arrived(call->context, call->arrived_at, loop_now());
        }
    }
}

static void call_recycle(struct http_call *call)
{
    struct http_client *client = call->client;

    call->place = CALL_IDLE;
    if (client->idle.count < client->connections_max) {
        list_push_front(&client->idle, &call->node);
    } else {
        http_call_free(call);
    }
}

/* ---- the hook: the only place that calls the caller ---- */

static void deliver_arrivals(struct http_client *client)
{
    struct list_node *node;

    while ((node = list_first(&client->arrived)) != NULL) {
        tell_arrival(LIST_ENTRY(node, struct http_call, watch_node));
    }
}

/* What the callers' code ends now waits for the next turn. */
static void deliver_done(struct http_client *client)
{
    for (size_t count = client->done.count; count > 0; count--) {
        struct http_call *call = LIST_ENTRY(list_first(&client->done), struct http_call, node);

        tell_arrival(call);
        list_remove(&client->done, &call->node);
        call->events.on_done(call->context, &call->result, loop_now());
        call_recycle(call);
    }
}

static void end_aborting(struct http_client *client)
{
    struct list_node *node;

    while ((node = list_first(&client->aborting)) != NULL) {
        http_call_finish(LIST_ENTRY(node, struct http_call, abort_node), CURLE_OUT_OF_MEMORY, 0);
    }
}

static void tear_down(struct http_client *client);

static void on_turn(void *context, mono_ns now)
{
    struct http_client *client = context;

    (void)now;
    client->in_hook = true;
    deliver_done(client);
    end_aborting(client);
    http_multi_drive(client);
    http_sockets_look(client);
    deliver_arrivals(client);
    client->in_hook = false;
    if (client->closing && client->running.count + client->done.count == 0) {
        tear_down(client);
    } else if (client->drive || client->drive_all || client->done.count > 0) {
        loop_wake(client->loop);
    }
}

/* ---- calls ---- */

/* There is something for the hook; when it runs already, it sees that itself. */
static void wake_hook(struct http_client *client)
{
    if (!client->in_hook) {
        loop_wake(client->loop);
    }
}

static bool is_valid(const struct http_call_request *request)
{
    return request->method != NULL && request->method[0] != '\0' &&
           strpbrk(request->method, " \r\n") == NULL && request->url != NULL &&
           request->connect_timeout_ns > 0 && request->timeout_ns > 0 &&
           (request->header_count == 0 || request->headers != NULL);
}

static struct http_call *call_take(struct http_client *client)
{
    struct list_node *node = list_pop(&client->idle);

    return node != NULL ? LIST_ENTRY(node, struct http_call, node) : http_call_new(client);
}

int http_client_submit(struct http_client *client, const struct http_call_request *request,
                       const struct http_call_events *events, void *context,
                       struct http_call **ret_call)
{
    struct http_call *call;
    int error;

    if (client->closing) {
        return ERR_CLOSED;
    }
    if (!is_valid(request)) {
        return ERR_INVALID;
    }
    call = call_take(client);
    if (call == NULL) {
        return ERR_NOMEM;
    }
    error = http_call_prepare(call, request);
    if (error == 0) {
        call->events = *events;
        call->context = context;
        call->place = CALL_RUNNING;
        if (curl_multi_add_handle(client->multi, call->easy) != CURLM_OK) {
            error = ERR_NOMEM;
        }
    }
    if (error != 0) {
        call_recycle(call);
        return error;
    }
    list_push(&client->running, &call->node);
    wake_hook(client);
    *ret_call = call;
    return 0;
}

void http_client_cancel(struct http_call *call)
{
    if (call->place == CALL_RUNNING) {
        http_call_finish(call, CURLE_OK, ERR_CANCELED);
        wake_hook(call->client);
    }
}

uint32_t http_client_running(const struct http_client *client)
{
    return (uint32_t)(client->running.count + client->done.count);
}

/* ---- the client ---- */

static void on_keeper(uv_async_t *keeper)
{
    (void)keeper; /* never sent: being open is its work */
}

static void on_keeper_closed(uv_handle_t *handle)
{
    struct http_client *client = handle->data;

    client->handles_open--;
    http_client_free_when_closed(client);
}

static void client_free(struct http_client *client)
{
    curl_global_cleanup();
    free(client->sockets);
    free(client->ca_file);
    free(client->proxy);
    free(client->user_agent);
    free(client);
}

void http_client_free_when_closed(struct http_client *client)
{
    if (client->torn_down && client->handles_open == 0) {
        client_free(client);
    }
}

static void tear_down(struct http_client *client)
{
    struct list_node *node;

    loop_hook_remove(client->loop, &client->hook);
    while ((node = list_pop(&client->idle)) != NULL) {
        http_call_free(LIST_ENTRY(node, struct http_call, node));
    }
    (void)curl_multi_cleanup(client->multi); /* closes the idle connections */
    http_sockets_remove_all(client);
    loop_timer_clear(client->loop, &client->timer);
    client->torn_down = true;
    uv_close((uv_handle_t *)&client->keeper, on_keeper_closed);
}

static char *copy_or_null(const char *text)
{
    return text != NULL ? mem_dup(text, strlen(text)) : NULL;
}

static void init_lists(struct http_client *client)
{
    list_init(&client->idle);
    list_init(&client->running);
    list_init(&client->done);
    list_init(&client->writing);
    list_init(&client->arrived);
    list_init(&client->aborting);
    list_init(&client->unnamed);
    for (size_t i = 0; i < CLIENT_PORT_BUCKETS; i++) {
        list_init(&client->ports[i]);
    }
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_config *config)
{
    struct http_client *client = MEM_NEW(struct http_client);

    client->loop = loop;
    client->connections_max =
        config->connections_max == 0 ? CONNECTIONS_MAX_DEFAULT : config->connections_max;
    client->host_connections_max = config->host_connections_max;
    client->response_max_bytes =
        config->response_max_bytes == 0 ? RESPONSE_MAX_DEFAULT : config->response_max_bytes;
    client->max_flight_ns = config->max_flight_ns == 0 ? NS_PER_S : config->max_flight_ns;
    client->ca_file = copy_or_null(config->ca_file);
    client->proxy = copy_or_null(config->proxy);
    client->proxy_from_environment = config->proxy_from_environment;
    client->user_agent = copy_or_null(config->user_agent);
    init_lists(client);
    SL_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    client->multi = http_multi_new(client);
    SL_ASSERT(client->multi != NULL);
    SL_ASSERT(uv_async_init(loop_uv(loop), &client->keeper, on_keeper) == 0);
    client->keeper.data = client;
    client->handles_open = 1;
    client->hook.callback = on_turn;
    client->hook.context = client;
    loop_hook_add(loop, &client->hook);
    return client;
}

void http_client_close(struct http_client *client)
{
    struct list_node *node;

    if (client->closing) {
        return;
    }
    client->closing = true;
    while ((node = list_first(&client->running)) != NULL) {
        http_call_finish(LIST_ENTRY(node, struct http_call, node), CURLE_OK, ERR_CANCELED);
    }
    if (client->done.count == 0 && !client->in_hook) {
        tear_down(client);
    } else {
        wake_hook(client);
    }
}
