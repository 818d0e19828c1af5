#include "http_client_internal.h"

#include "sluice/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACK_STEP_FIRST_NS (1 * NS_PER_MS)
#define ACK_STEP_MAX_NS   (50 * NS_PER_MS)
#define FD_TABLE_MIN      64

/* ---- the table ---- */

static struct list *bucket_of(struct http_client *client, uint16_t port)
{
    return &client->ports[port & (CLIENT_PORT_BUCKETS - 1)];
}

struct client_socket *http_sockets_find(const struct http_client *client, int fd)
{
    return fd >= 0 && (size_t)fd < client->socket_capacity ? client->sockets[fd] : NULL;
}

static bool table_reserve(struct http_client *client, int fd)
{
    size_t capacity = client->socket_capacity == 0 ? FD_TABLE_MIN : client->socket_capacity;
    void **grown;

    if ((size_t)fd < client->socket_capacity) {
        return true;
    }
    while (capacity <= (size_t)fd) {
        capacity *= 2;
    }
    grown = realloc(client->sockets, capacity * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    memset(grown + client->socket_capacity, 0,
           (capacity - client->socket_capacity) * sizeof(*grown));
    client->sockets = grown;
    client->socket_capacity = capacity;
    return true;
}

static uint64_t inode_of(int fd)
{
    struct stat file;

    return fstat(fd, &file) == 0 ? (uint64_t)file.st_ino : 0;
}

bool http_sockets_is_open(const struct client_socket *s)
{
    return inode_of(s->fd) == s->inode;
}

struct client_socket *http_sockets_add(struct http_client *client, int fd)
{
    struct client_socket *s;

    if (!table_reserve(client, fd)) {
        return NULL;
    }
    if (client->sockets[fd] != NULL) {
        http_sockets_remove(client->sockets[fd]); /* closed without a word */
    }
    s = MEM_NEW(struct client_socket);
    s->inode = inode_of(fd);
    s->client = client;
    s->fd = fd;
    s->clean = true;
    client->sockets[fd] = s;
    return s;
}

void http_sockets_remove(struct client_socket *s)
{
    s->client->sockets[s->fd] = NULL;
    if (s->list != NULL) {
        list_remove(s->list, &s->node);
        s->list = NULL;
    }
    http_multi_forget_socket(s);
}

void http_sockets_remove_all(struct http_client *client)
{
    for (size_t fd = 0; fd < client->socket_capacity; fd++) {
        if (client->sockets[fd] != NULL) {
            http_sockets_remove(client->sockets[fd]);
        }
    }
}

/* ---- phases ---- */

void http_call_set_phase(struct http_call *call, enum call_phase phase)
{
    struct http_client *client = call->client;

    if (list_is_linked(&call->watch_node)) {
        list_remove(call->phase == PHASE_WRITING ? &client->writing : &client->arrived,
                    &call->watch_node);
    }
    if (call->phase == PHASE_WRITTEN) {
        loop_timer_clear(client->loop, &call->ack_timer);
    }
    call->phase = phase;
    if (phase == PHASE_WRITING) {
        list_push(&client->writing, &call->watch_node);
    } else if (phase == PHASE_ARRIVED) {
        list_push(&client->arrived, &call->watch_node);
    }
}

/* Bytes the kernel has not seen acknowledged, and a clock read after that. -1 when it cannot say.
 */
static int unacknowledged_bytes(int fd, mono_ns *ret_now)
{
    int bytes = -1;

    if (ioctl(fd, SIOCOUTQ, &bytes) != 0) {
        bytes = -1;
    }
    *ret_now = loop_now();
    return bytes;
}

static void arrival_seen(struct http_call *call, mono_ns now)
{
    call->arrived_at = now;
    http_call_set_phase(call, PHASE_ARRIVED);
}

/* Acknowledgements may be delayed by 40 ms, so the steps grow. */
static void look_for_ack(struct http_call *call)
{
    mono_ns now;
    int bytes = unacknowledged_bytes(call->socket->fd, &now);

    if (bytes == 0) {
        arrival_seen(call, now);
    } else if (bytes < 0) {
        http_call_set_phase(call, PHASE_UNOBSERVED);
    } else {
        loop_timer_set(call->client->loop, &call->ack_timer, now + call->ack_step_ns);
        call->ack_step_ns =
            call->ack_step_ns * 2 > ACK_STEP_MAX_NS ? ACK_STEP_MAX_NS : call->ack_step_ns * 2;
    }
}

static void on_ack_timer(void *context, mono_ns now)
{
    struct http_call *call = context;

    (void)now;
    if (call->phase == PHASE_WRITTEN) {
        look_for_ack(call);
        if (call->phase == PHASE_ARRIVED) {
            loop_wake(call->client->loop); /* the hook tells the caller */
        }
    }
}

/* The order of libcurl's socket callbacks does not prove it: a new TLS connection stays at "in"
   over the write. So: all of the body counted as sent, a request line as well, and no wish to
   write. */
static bool is_written(const struct http_call *call)
{
    curl_off_t uploaded = 0;
    long request_bytes = 0;

    if ((call->socket->action & CURL_POLL_OUT) != 0) {
        return false;
    }
    return curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded) == CURLE_OK &&
           curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &request_bytes) == CURLE_OK &&
           request_bytes > 0 && (uint64_t)uploaded >= call->body_bytes;
}

void http_sockets_look(struct http_client *client)
{
    LIST_FOR(&client->writing, node)
    {
        struct http_call *call = LIST_ENTRY(node, struct http_call, watch_node);

        if (is_written(call)) {
            http_call_set_phase(call, PHASE_WRITTEN);
            call->ack_step_ns = ACK_STEP_FIRST_NS;
            call->ack_timer.callback = on_ack_timer;
            call->ack_timer.context = call;
            look_for_ack(call);
        }
    }
}

/* ---- libcurl's callbacks ---- */

static void reset_on_close(int fd, bool reset)
{
    struct linger linger = {.l_onoff = reset ? 1 : 0, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)); /* no way to fail */
}

curl_socket_t http_sockets_on_open(void *context, curlsocktype purpose,
                                   struct curl_sockaddr *address)
{
    struct http_call *call = context;
    struct client_socket *s;
    int fd;

    (void)purpose;
    if (call->write_count > 0) {
        return CURL_SOCKET_BAD; /* for the hidden re-send: no need to connect to refuse it */
    }
    fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                address->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    s = http_sockets_add(call->client, fd);
    if (s == NULL) {
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    if (address->family != AF_UNIX) {
        /* From the start, so that it holds when the process is killed: an orphaned socket would
           keep on retransmitting its request. */
        reset_on_close(fd, true);
        s->list = &call->client->unnamed;
        list_push(s->list, &s->node);
    }
    return fd;
}

/* Learns the two ends of a socket. False while it is not connecting. */
static bool name_socket(struct client_socket *s)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } local = {.in6 = {0}}, peer = {.in6 = {0}};
    socklen_t local_len = sizeof(local);
    socklen_t peer_len = sizeof(peer);
    const void *ip = &peer.in.sin_addr;

    if (getsockname(s->fd, &local.any, &local_len) != 0 || local.in.sin_port == 0 ||
        getpeername(s->fd, &peer.any, &peer_len) != 0) {
        return false;
    }
    if (peer.any.sa_family == AF_INET6) {
        ip = &peer.in6.sin6_addr;
    }
    /* The ports are at the same place in both families. */
    s->local_port = ntohs(local.in.sin_port);
    s->peer_port = ntohs(peer.in.sin_port);
    if (inet_ntop(peer.any.sa_family, ip, s->peer_ip, sizeof(s->peer_ip)) == NULL) {
        s->peer_ip[0] = '\0';
    }
    list_remove(s->list, &s->node);
    s->list = bucket_of(s->client, s->local_port);
    list_push_front(s->list, &s->node);
    return true;
}

static struct client_socket *find_by_ends(struct http_client *client, int local_port, int peer_port,
                                          const char *peer_ip)
{
    LIST_FOR(bucket_of(client, (uint16_t)local_port), node)
    {
        struct client_socket *s = LIST_ENTRY(node, struct client_socket, node);

        if (s->local_port == local_port && s->peer_port == peer_port &&
            strcmp(s->peer_ip, peer_ip) == 0) {
            return s;
        }
    }
    return NULL;
}

/* Not at open: there it would also end a connection attempt that takes longer. */
static void limit_flight(const struct client_socket *s)
{
    int64_t ms = (s->client->max_flight_ns + NS_PER_MS - 1) / NS_PER_MS;
    unsigned int timeout_ms = ms > INT32_MAX ? INT32_MAX : (unsigned int)ms;

    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

static void name_connected_sockets(struct http_client *client)
{
    LIST_FOR(&client->unnamed, node)
    {
        struct client_socket *s = LIST_ENTRY(node, struct client_socket, node);

        if (!http_sockets_is_open(s)) {
            http_sockets_remove(s);
        } else if (name_socket(s)) {
            limit_flight(s);
        }
    }
}

int http_sockets_on_prerequest(void *context, char *peer_ip, char *local_ip, int peer_port,
                               int local_port)
{
    struct http_call *call = context;
    struct http_client *client = call->client;
    struct client_socket *s = NULL;

    (void)local_ip;
    if (++call->write_count > 1) {
        /* libcurl would send the request a second time, on another connection, without telling. */
        return CURL_PREREQFUNC_ABORT;
    }
    if (!call->is_unix && local_port > 0 && peer_ip != NULL) {
        s = find_by_ends(client, local_port, peer_port, peer_ip);
        if (s == NULL) {
            name_connected_sockets(client);
            s = find_by_ends(client, local_port, peer_port, peer_ip);
        }
    }
    if (s == NULL) {
        http_call_set_phase(call, PHASE_UNOBSERVED); /* a Unix socket */
        return CURL_PREREQFUNC_OK;
    }
    if (s->call != NULL) {
        s->call->socket = NULL; /* complete, only not drained yet */
    }
    s->call = call;
    s->carried = true;
    s->clean = false;
    call->socket = s;
    http_call_set_phase(call, call->observe ? PHASE_WRITING : PHASE_UNOBSERVED);
    return CURL_PREREQFUNC_OK;
}

void http_sockets_release(struct http_call *call, bool clean)
{
    if (call->socket != NULL) {
        call->socket->clean = clean;
        call->socket->call = NULL;
        call->socket = NULL;
    }
}

static bool is_on_its_way(const struct http_call *call, int bytes)
{
    if (call->phase == PHASE_WRITING && !is_written(call)) {
        return true;
    }
    return (call->phase == PHASE_WRITING || call->phase == PHASE_WRITTEN) && bytes != 0;
}

/* The answer came first, and libcurl would use the connection again: it is reset without closing
   its descriptor, which libcurl then finds dead. */
void http_sockets_end_flight(struct http_call *call)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    mono_ns now;

    if (call->socket != NULL && is_on_its_way(call, unacknowledged_bytes(call->socket->fd, &now))) {
        call->unacknowledged = true;
        (void)connect(call->socket->fd, &nobody, sizeof(nobody));
    }
}

/* The last look at the queue of a call that loses its socket. Runs inside libcurl. */
static bool last_look(struct client_socket *s)
{
    struct http_call *call = s->call;
    mono_ns now;
    int bytes = unacknowledged_bytes(s->fd, &now);

    call->unacknowledged = is_on_its_way(call, bytes);
    if (call->phase == PHASE_WRITTEN && bytes == 0) {
        arrival_seen(call, now);
    } else if (call->phase == PHASE_WRITING || call->phase == PHASE_WRITTEN) {
        http_call_set_phase(call, PHASE_UNOBSERVED);
    }
    http_sockets_release(call, false);
    return bytes == 0 && call->answered;
}

int http_sockets_on_close(void *context, curl_socket_t fd)
{
    struct client_socket *s = http_sockets_find(context, fd);

    if (s != NULL) {
        bool polite = s->call != NULL ? last_look(s) : s->clean;

        if (polite) {
            reset_on_close(fd, false); /* nothing of a request is on its way: an ordinary FIN */
        }
        http_sockets_remove(s);
    }
    return close(fd);
}
