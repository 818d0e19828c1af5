#include "http_server_internal.h"

#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_MAX_BYTES  ((size_t)32 * 1024)
#define BODY_MAX_BYTES    ((size_t)2 * 1024 * 1024)
#define CONNECTIONS_MAX   1024
#define HEADER_TIMEOUT_NS (10 * NS_PER_S)
#define BODY_TIMEOUT_NS   (30 * NS_PER_S)
#define IDLE_TIMEOUT_NS   (75 * NS_PER_S)

#define ACCEPTS_A_TURN  64
#define ACCEPT_RETRY_NS (100 * NS_PER_MS)

static void on_listener_poll(uv_poll_t *poll, int status, int events);

static void apply_defaults(struct http_server_config *config)
{
#define DEFAULT(field, value) config->field = config->field == 0 ? (value) : config->field
    DEFAULT(header_max_bytes, HEADER_MAX_BYTES);
    DEFAULT(body_max_bytes, BODY_MAX_BYTES);
    DEFAULT(connections_max, CONNECTIONS_MAX);
    DEFAULT(header_timeout_ns, HEADER_TIMEOUT_NS);
    DEFAULT(body_timeout_ns, BODY_TIMEOUT_NS);
    DEFAULT(idle_timeout_ns, IDLE_TIMEOUT_NS);
#undef DEFAULT
}

static void on_turn(void *context, mono_ns now)
{
    struct http_server *server = context;
    /* Those that come back while these run wait for the next turn. */
    size_t count = server->resume.count;

    (void)now;
    server->handle_count++; /* holds the server while its connections may close */
    for (; count > 0 && server->resume.count > 0; count--) {
        struct list_node *node = list_pop(&server->resume);
        connection_resume(LIST_ENTRY(node, struct connection, resume_node));
    }
    if (server->resume.count > 0) {
        loop_wake(server->loop);
    }
    server_release(server);
}

void server_resume(struct http_server *server, struct connection *c)
{
    if (!list_is_linked(&c->resume_node)) {
        list_push(&server->resume, &c->resume_node);
    }
    loop_wake(server->loop);
}

static void set_accepting(struct http_server *server, bool accepting)
{
    server->accept_paused = !accepting;
    LIST_FOR(&server->listeners, node)
    {
        struct listener *listener = LIST_ENTRY(node, struct listener, node);
        if (accepting) {
            (void)uv_poll_start(&listener->poll, UV_READABLE, on_listener_poll);
        } else {
            (void)uv_poll_stop(&listener->poll);
        }
    }
}

void server_accept_more(struct http_server *server)
{
    if (server->accept_paused && !server->draining) {
        loop_timer_clear(server->loop, &server->accept_retry);
        set_accepting(server, true);
    }
}

static void on_accept_retry(void *context, mono_ns now)
{
    (void)now;
    server_accept_more(context);
}

struct http_server *http_server_new(struct loop *loop, const struct http_server_config *config,
                                    http_handler handler, void *context)
{
    struct http_server *server = MEM_NEW(struct http_server);

    server->loop = loop;
    server->config = *config;
    apply_defaults(&server->config);
    server->handler = handler;
    server->context = context;
    server->handle_count = 1; /* until http_server_close() */
    server->date_second = -1;
    list_init(&server->listeners);
    list_init(&server->connections);
    list_init(&server->resume);
    server->accept_retry = (struct loop_timer){.callback = on_accept_retry, .context = server};
    server->hook = (struct loop_hook){.callback = on_turn, .context = server};
    loop_hook_add(loop, &server->hook);
    return server;
}

void server_release(struct http_server *server)
{
    if (--server->handle_count > 0) {
        return;
    }
    loop_hook_remove(server->loop, &server->hook);
    free(server);
}

static bool address_is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    if (address->ss_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
    }
    return address->ss_family == AF_UNIX;
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t address_len = sizeof(address);
    struct http_server *server = listener->server;
    int fd = accept4(listener->fd, (struct sockaddr *)&address, &address_len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        address.ss_family = listener->is_unix ? AF_UNIX : address.ss_family;
        connection_open(server, fd, listener->is_unix, address_is_loopback(&address));
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return false;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        /* The connection stays in the backlog and would wake us at once, for ever. */
        LOG_WARNING("cannot accept connections: raise the limit of open files",
                    LOG_STR("error", strerror(errno)));
        set_accepting(server, false);
        loop_timer_set(server->loop, &server->accept_retry, mono_add(loop_now(), ACCEPT_RETRY_NS));
        return false;
    }
    return true; /* that connection died in the backlog; the next may be well */
}

static void on_listener_poll(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;

    (void)events;
    for (int i = 0; status == 0 && i < ACCEPTS_A_TURN; i++) {
        if (!accept_one(listener)) {
            break;
        }
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    struct http_server *server = listener->server;

    free(listener->path);
    free(listener);
    server_release(server);
}

/* The file is removed only when it is still the one that was made here. */
static void remove_socket_file(const struct listener *listener)
{
    struct stat now;

    if (listener->path != NULL && lstat(listener->path, &now) == 0 &&
        now.st_dev == listener->device && now.st_ino == listener->inode) {
        (void)unlink(listener->path);
    }
}

static void close_listeners(struct http_server *server)
{
    struct list_node *node;

    loop_timer_clear(server->loop, &server->accept_retry);
    while ((node = list_pop(&server->listeners)) != NULL) {
        struct listener *listener = LIST_ENTRY(node, struct listener, node);
        remove_socket_file(listener);
        uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
        (void)close(listener->fd);
    }
}

int server_listener_add(struct http_server *server, int fd, bool is_unix, const char *path)
{
    struct listener *listener = MEM_NEW(struct listener);
    struct stat file;

    int error = uv_poll_init(loop_uv(server->loop), &listener->poll, fd);
    if (error != 0) {
        free(listener);
        return ERR_IO;
    }
    listener->server = server;
    listener->fd = fd;
    listener->is_unix = is_unix;
    listener->poll.data = listener;
    if (path != NULL && lstat(path, &file) == 0) {
        listener->path = mem_dup(path, strlen(path));
        listener->device = file.st_dev;
        listener->inode = file.st_ino;
    }
    server->handle_count++;
    list_push(&server->listeners, &listener->node);
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_listener_poll);
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

uint32_t http_server_connections(const struct http_server *server)
{
    return (uint32_t)server->connections.count;
}

void http_server_drain(struct http_server *server)
{
    server->draining = true;
    close_listeners(server);
    LIST_FOR(&server->connections, node)
    {
        struct connection *c = LIST_ENTRY(node, struct connection, node);
        if (connection_is_idle(c)) {
            connection_close(c);
        }
    }
}

void http_server_close(struct http_server *server)
{
    struct list_node *node;

    SL_ASSERT(!server->closing);
    server->closing = true;
    server->draining = true;
    close_listeners(server);
    while ((node = list_first(&server->connections)) != NULL) {
        connection_close(LIST_ENTRY(node, struct connection, node));
    }
    server_release(server);
}

static struct connection *connection_of(struct http_exchange *exchange)
{
    return SL_CONTAINER_OF(exchange, struct connection, exchange);
}

const struct http_request_view *http_exchange_request(const struct http_exchange *exchange)
{
    return &exchange->view;
}

void http_exchange_on_close(struct http_exchange *exchange, void (*callback)(void *context),
                            void *context)
{
    struct connection *c = connection_of(exchange);

    exchange->on_close = callback;
    exchange->on_close_context = context;
    if (callback != NULL && (c->peer_ending || c->state == CONNECTION_CLOSED)) {
        server_resume(c->server, c); /* it left already: told in the next turn, not from in here */
    }
}

void http_respond(struct http_exchange *exchange, const struct http_response *response)
{
    struct connection *c = connection_of(exchange);

    SL_ASSERT(exchange->open);
    exchange->open = false;
    exchange->on_close = NULL;
    if (c->state != CONNECTION_CLOSED) {
        answer_append(c, response);
    }
    connection_answered(c);
}

void http_exchange_abort(struct http_exchange *exchange)
{
    struct connection *c = connection_of(exchange);

    SL_ASSERT(exchange->open);
    exchange->open = false;
    exchange->on_close = NULL;
    if (c->state != CONNECTION_CLOSED) {
        connection_close(c);
    } else {
        connection_answered(c);
    }
}

void http_respond_text(struct http_exchange *exchange, int status, const char *text)
{
    http_respond(exchange, &(struct http_response){.status = status,
                                                   .content_type = "text/plain; charset=utf-8",
                                                   .body = str_from(text)});
}
