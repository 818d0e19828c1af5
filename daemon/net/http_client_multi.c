#include "http_client_internal.h"

#include <stdlib.h>

/* ---- the timer ---- */

/* Runs inside libcurl, also inside curl_multi_add_handle(): calling libcurl back would fail. A
   timeout of 0 is this turn's hook, not a timer: libuv's shortest costs every call a millisecond
   and one of zero length starves the loop before 1.48. */
static int on_timer_wish(CURLM *multi, long timeout_ms, void *context)
{
    struct http_client *client = context;

    (void)multi;
    client->drive = timeout_ms == 0;
    if (timeout_ms > 0) {
        loop_timer_set(client->loop, &client->timer, loop_now() + timeout_ms * NS_PER_MS);
        return 0;
    }
    loop_timer_clear(client->loop, &client->timer);
    return 0;
}

static void on_timer(void *context, mono_ns now)
{
    struct http_client *client = context;

    (void)now;
    http_multi_action(client, CURL_SOCKET_TIMEOUT, 0);
    loop_wake(client->loop);
}

/* ---- sockets ---- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct client_socket *s = poll->data;
    int flags = 0;

    if (status < 0) {
        flags = CURL_CSELECT_ERR;
        s->polled = 0; /* libuv stopped it */
    }
    if (s->wanted == 0) {
        /* An idle connection: closed by its peer. libcurl sees that before it uses it again. */
        (void)uv_poll_stop(poll);
        s->polled = 0;
        return;
    }
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    http_multi_action(s->client, s->fd, flags);
}

static bool poll_start(struct client_socket *s)
{
    if (!s->has_poll) {
        if (uv_poll_init(loop_uv(s->client->loop), &s->poll, s->fd) != 0) {
            return false;
        }
        s->poll.data = s;
        s->has_poll = true;
        s->client->handles_open++;
    }
    if (s->polled != s->wanted) {
        if (uv_poll_start(&s->poll, s->wanted, on_poll) != 0) {
            return false;
        }
        s->polled = s->wanted;
    }
    return true;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct client_socket *s = handle->data;
    struct http_client *client = s->client;

    free(s);
    client->handles_open--;
    http_client_free_when_closed(client);
}

void http_multi_forget_socket(struct client_socket *s)
{
    if (s->has_poll) {
        uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    } else {
        free(s);
    }
}

static struct http_call *running_call(CURL *easy)
{
    struct http_call *call = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call) != CURLE_OK || call == NULL ||
        call->place != CALL_RUNNING) {
        return NULL;
    }
    return call;
}

/* Returning -1 would make libcurl abort every transfer, so one that cannot be polled ends alone. */
static void abort_later(struct http_client *client, CURL *easy)
{
    struct http_call *call = running_call(easy);

    if (call != NULL && !list_is_linked(&call->abort_node)) {
        list_push(&client->aborting, &call->abort_node);
        loop_wake(client->loop);
    }
}

/* A connection's polling goes on: its next request then needs no system call. Its socket is closed
   by http_sockets_on_close() alone, which ends the polling first. Others libcurl closes by itself,
   soon or just before this. */
static void poll_end(struct client_socket *s)
{
    s->wanted = 0;
    if (s->carried) {
        return;
    }
    if (s->foreign) {
        http_sockets_remove(s);
        return;
    }
    if (!http_sockets_is_open(s)) {
        http_sockets_remove(s);
    } else if (s->polled != 0) {
        (void)uv_poll_stop(&s->poll);
        s->polled = 0;
    }
}

static int on_socket_wish(CURL *easy, curl_socket_t fd, int what, void *context, void *unused)
{
    struct http_client *client = context;
    struct client_socket *s = http_sockets_find(client, fd);

    (void)unused; /* the table by file descriptor outlives libcurl's own entry */
    if (what == CURL_POLL_REMOVE) {
        struct http_call *call = running_call(easy);

        if (call != NULL && call->many_addresses && call->write_count == 0) {
            client->drive_all = true; /* an attempt failed */
        }
        if (s != NULL) {
            poll_end(s);
        }
        return 0;
    }
    if (s == NULL) {
        s = http_sockets_add(client, fd);
        if (s == NULL) {
            abort_later(client, easy);
            return 0;
        }
        s->foreign = true; /* the resolver's */
    }
    s->action = what;
    s->wanted = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    if (s->wanted != 0 && !poll_start(s)) {
        abort_later(client, easy);
    }
    return 0;
}

/* ---- driving ---- */

/* After every action, whatever its count of running transfers says: the last completion would be
   lost otherwise. */
static void drain(struct http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct http_call *call = running_call(message->easy_handle);
        CURLcode code = message->data.result;

        if (message->msg == CURLMSG_DONE && call != NULL) {
            http_call_finish(call, code, 0);
        }
    }
}

static void end_action(struct http_client *client, CURLMcode code)
{
    drain(client);
    if (code != CURLM_OK) {
        /* The state of all transfers is uncertain now: none may be trusted. */
        struct list_node *node;
        while ((node = list_first(&client->running)) != NULL) {
            http_call_finish(LIST_ENTRY(node, struct http_call, node), CURLE_RECV_ERROR, 0);
        }
    }
}

void http_multi_action(struct http_client *client, curl_socket_t fd, int flags)
{
    int running = 0;

    end_action(client, curl_multi_socket_action(client->multi, fd, flags, &running));
}

/* When a connection attempt hung until its share of the time was over, libcurl (7.88) closes its
   socket, but tries the host's next address only when it happens to be called again. Nothing else
   than this deprecated call reaches a transfer without a socket. */
static void drive_all(struct http_client *client)
{
    int running = 0;

    client->drive_all = false;
    CURL_IGNORE_DEPRECATION(end_action(client, curl_multi_socket_all(client->multi, &running));)
}

void http_multi_drive(struct http_client *client)
{
    if (client->drive_all) {
        drive_all(client);
    }
    if (client->drive) {
        client->drive = false;
        http_multi_action(client, CURL_SOCKET_TIMEOUT, 0);
    }
}

CURLM *http_multi_new(struct http_client *client)
{
    CURLM *multi = curl_multi_init();
    long connections = (long)client->connections_max;

    if (multi == NULL) {
        return NULL;
    }
    client->timer.callback = on_timer;
    client->timer.context = client;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_wish);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)client->host_connections_max);
    return multi;
}
