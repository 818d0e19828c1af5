/*
 * One connection. It is driven by uv_poll with recvmsg and sendmsg instead of uv_read and
 * uv_write: uv_read drops the kernel's receive stamps (SO_TIMESTAMPNS), which the mock API lives
 * on, and one path for every server is one path to test.
 *
 * The poll mask changes rarely, because each change costs two system calls: while the handler has
 * a request the socket stays readable, and what comes (the next request of a pipelining client, or
 * the end) is read into room that the buffer has anyway. Only when there is none does it wait in
 * the kernel.
 */
#include "http_server_internal.h"

#include "sluice/base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MIN_BYTES     ((size_t)4096)
#define READ_MAX_BYTES     ((size_t)256 * 1024)
#define TLS_READ_BYTES     (TLS_RECORD_BYTES + READ_MIN_BYTES) /* a record also behind a request */
#define KEPT_BUFFER_BYTES  ((size_t)16 * 1024) /* of an idle connection; more is given back */
#define READ_AHEAD_BYTES   ((size_t)64 * 1024) /* beyond the largest request */
#define OUT_BATCH_BYTES    ((size_t)64 * 1024) /* answers to pipelined requests sent together */
#define OUT_MAX_BYTES      ((size_t)16 * 1024 * 1024)
#define LINGER_NS          (2 * NS_PER_S)
#define LINGER_MAX_BYTES   ((size_t)4 * 1024 * 1024)
#define OVER_CAPACITY_MORE 64 /* connections beyond the maximum that still get a 503 */

static void connection_advance(struct connection *c);
static void update_poll(struct connection *c);

static int64_t state_timeout_ns(const struct connection *c, enum connection_state state)
{
    switch (state) {
    case CONNECTION_IDLE:
    case CONNECTION_FLUSHING:
        return c->server->config.idle_timeout_ns;
    case CONNECTION_HANDSHAKE:
    case CONNECTION_HEAD:
        return c->server->config.header_timeout_ns;
    case CONNECTION_BODY:
        return c->server->config.body_timeout_ns;
    case CONNECTION_LINGERING:
        return LINGER_NS;
    case CONNECTION_HANDLED: /* the handler's business */
    case CONNECTION_CLOSED:
        break;
    }
    return 0;
}

static void set_state(struct connection *c, enum connection_state state)
{
    int64_t timeout_ns = state_timeout_ns(c, state);

    c->state = state;
    c->deadline = timeout_ns == 0 ? MONO_NEVER : mono_add(loop_now(), timeout_ns);
    /* Armed earlier already: the callback will see that the deadline has moved. */
    if (!heap_is_linked(&c->timer.node) || c->timer.node.key > c->deadline) {
        loop_timer_set(c->server->loop, &c->timer, c->deadline);
    }
}

static bool has_output(const struct connection *c)
{
    return c->out_sent < c->out.len;
}

static bool is_reading(const struct connection *c)
{
    return c->state == CONNECTION_IDLE || c->state == CONNECTION_HEAD ||
           c->state == CONNECTION_BODY;
}

bool connection_is_idle(const struct connection *c)
{
    return c->state == CONNECTION_HANDSHAKE ||
           (c->state == CONNECTION_IDLE && c->pos == c->in.len && !has_output(c));
}

static void connection_free(struct connection *c)
{
    struct http_server *server = c->server;

    if (list_is_linked(&c->resume_node)) {
        list_remove(&server->resume, &c->resume_node);
    }
    buf_done(&c->in);
    buf_done(&c->out);
    tls_session_free(c->tls);
    free(c);
    server_release(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;

    c->handle_closed = true;
    if (!c->exchange.open) {
        connection_free(c);
    }
}

static void tell_closed(struct connection *c)
{
    void (*callback)(void *) = c->exchange.on_close;

    if (c->exchange.open && callback != NULL) {
        c->exchange.on_close = NULL;
        callback(c->exchange.on_close_context);
    }
}

void connection_close(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    set_state(c, CONNECTION_CLOSED);
    loop_timer_clear(c->server->loop, &c->timer);
    list_remove(&c->server->connections, &c->node);
    uv_close((uv_handle_t *)&c->poll, on_handle_closed);
    if (c->tls != NULL) {
        tls_session_end(c->tls);
    }
    (void)close(c->fd);
    server_accept_more(c->server);
    tell_closed(c);
}

/* The answers are written. With bytes unread, close() would send a reset that may overtake them. */
static void close_gently(struct connection *c)
{
    bool unread = c->linger || c->pos < c->in.len;

    if (c->tls != NULL) {
        tls_session_end(c->tls); /* before its side of the socket is shut */
    }
    if (!unread || c->peer_done || shutdown(c->fd, SHUT_WR) != 0) {
        connection_close(c);
        return;
    }
    set_state(c, CONNECTION_LINGERING);
    update_poll(c);
}

/* ---- writing ---- */

static void output_done(struct connection *c)
{
    buf_reset(&c->out);
    c->out_sent = 0;
    if (c->out.cap > KEPT_BUFFER_BYTES) {
        buf_done(&c->out);
    }
    if (c->state != CONNECTION_FLUSHING) {
        return;
    }
    if (c->close_after || c->server->draining) {
        close_gently(c);
    } else {
        set_state(c, CONNECTION_IDLE);
    }
}

static ssize_t send_some(struct connection *c)
{
    struct iovec iov = {c->out.ptr + c->out_sent, c->out.len - c->out_sent};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    return c->tls != NULL ? tls_session_write(c->tls, iov.iov_base, iov.iov_len)
                          : sendmsg(c->fd, &message, MSG_NOSIGNAL);
}

static void flush_output(struct connection *c)
{
    while (has_output(c)) {
        ssize_t sent = send_some(c);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (c->state == CONNECTION_IDLE) {
                set_state(c, CONNECTION_FLUSHING);
            }
            return;
        }
        if (sent < 0 || (sent == 0 && c->tls != NULL)) {
            connection_close(c);
            return;
        }
        c->out_sent += (size_t)sent;
        if (c->state == CONNECTION_FLUSHING && has_output(c)) {
            set_state(c, CONNECTION_FLUSHING); /* it moves: a new deadline */
        }
    }
    output_done(c);
}

/* ---- reading ---- */

static int64_t stamp_of(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
            return (int64_t)stamp.tv_sec * NS_PER_S + stamp.tv_nsec;
        }
    }
    return 0;
}

/* One recvmsg; what it says of the time goes to the connection. */
static ssize_t receive_plain(struct connection *c, size_t room)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {c->in.ptr + c->in.len, room};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t got;

    if (c->server->config.kernel_stamps) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
    }
    do {
        got = recvmsg(c->fd, &message, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        c->kernel_stamp_ns = c->server->config.kernel_stamps ? stamp_of(&message) : 0;
    }
    return got;
}

/* One read into the room at the end of `in`. False: nothing came, or the connection is gone. */
static bool read_once(struct connection *c, size_t room)
{
    ssize_t got = c->tls != NULL ? tls_session_read(c->tls, c->in.ptr + c->in.len, room)
                                 : receive_plain(c, room);

    if (got > 0) {
        buf_commit(&c->in, (size_t)got);
        c->read_at = loop_now();
        return true;
    }
    if (got == 0) {
        c->peer_done = c->peer_ending = true;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
        connection_close(c);
    }
    return false;
}

static size_t bytes_still_to_come(const struct connection *c)
{
    const struct request *r = &c->request;
    bool is_known = c->state == CONNECTION_BODY && (r->parser.flags & F_CONTENT_LENGTH) != 0;
    return is_known ? (size_t)r->parser.content_length : 0; /* llhttp counts it down */
}

/* Makes room and returns how much there is; grows with the request, not with what it promises. */
static size_t make_room(struct connection *c)
{
    if (c->start > 0) {
        buf_consume(&c->in, c->start);
        c->pos -= c->start;
        c->start = 0;
    }
    size_t want = bytes_still_to_come(c);
    size_t limit = c->in.len < READ_MAX_BYTES ? c->in.len : READ_MAX_BYTES;
    want = want > limit ? limit : want;
    size_t least = c->tls != NULL ? TLS_READ_BYTES : READ_MIN_BYTES;
    want = want < least ? least : want;
    if (want > c->in.max_bytes - c->in.len) {
        want = c->in.max_bytes - c->in.len;
    }
    return want > 0 && buf_reserve(&c->in, want) != NULL ? c->in.cap - c->in.len - 1 : 0;
}

/*
 * While the handler has the request its strings point into the buffer, which must not move. With
 * kernel stamps one read is kept apart from the next, so that each request has its own stamp.
 */
static size_t room_ahead(const struct connection *c)
{
    if (c->server->config.kernel_stamps && c->pos < c->in.len) {
        return 0;
    }
    size_t room = c->in.cap > c->in.len + 1 ? c->in.cap - c->in.len - 1 : 0;
    return c->tls != NULL && room < TLS_RECORD_BYTES ? 0 : room;
}

static void read_request(struct connection *c)
{
    size_t room = make_room(c);

    if (room == 0) {
        connection_close(c); /* no memory */
    } else if (read_once(c, room)) {
        connection_advance(c);
    } else if (c->state != CONNECTION_CLOSED && c->peer_done) {
        connection_advance(c); /* what came before the end is still a request */
    }
}

static void read_ahead(struct connection *c)
{
    size_t room = room_ahead(c);

    if (room > 0) {
        (void)read_once(c, room);
    } else {
        c->peer_ending = true; /* that alone was polled for */
    }
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    /* It may have closed one direction only and still read; who asked takes it as gone. */
    if (c->peer_ending && c->exchange.on_close != NULL) {
        connection_close(c);
        return;
    }
    update_poll(c);
}

static void read_and_drop(struct connection *c)
{
    char dropped[16 * 1024];
    ssize_t got = recv(c->fd, dropped, sizeof(dropped), 0);

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return;
    }
    c->lingered_bytes += got > 0 ? (size_t)got : 0;
    if (got <= 0 || c->lingered_bytes > LINGER_MAX_BYTES) {
        connection_close(c);
    }
}

/* ---- the way of a request ---- */

static void refuse_request(struct connection *c, int status, const char *text)
{
    answer_append_text(c, status, text, true);
    c->linger = true;
    set_state(c, CONNECTION_FLUSHING);
}

static void request_goes_on(struct connection *c)
{
    enum connection_state state = c->request.head_done ? CONNECTION_BODY : CONNECTION_HEAD;

    if (c->state != state) {
        set_state(c, state);
    }
    if (c->request.head_done && c->request.expect_continue) {
        c->request.expect_continue = false;
        (void)buf_add(&c->out, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
}

static void give_to_handler(struct connection *c)
{
    if (request_view(c) != 0) {
        refuse_request(c, c->request.refusal_status, c->request.refusal_text);
        return;
    }
    set_state(c, CONNECTION_HANDLED);
    c->exchange.open = true;
    c->exchange.on_close = NULL;
    c->server->handler(c->server->context, &c->exchange, &c->exchange.view);
}

static bool may_parse(const struct connection *c)
{
    return is_reading(c) && c->pos < c->in.len;
}

static void parse_and_handle(struct connection *c)
{
    while (may_parse(c) && c->out.len < OUT_BATCH_BYTES) {
        switch (request_parse(c)) {
        case REQUEST_MORE:
            request_goes_on(c);
            break;
        case REQUEST_REFUSED:
            refuse_request(c, c->request.refusal_status, c->request.refusal_text);
            break;
        case REQUEST_DONE:
            give_to_handler(c);
            break;
        }
    }
}

static void give_memory_back(struct connection *c)
{
    size_t kept = c->tls != NULL ? KEPT_BUFFER_BYTES + TLS_READ_BYTES : KEPT_BUFFER_BYTES;

    if (c->state == CONNECTION_IDLE && c->pos == c->in.len && c->in.cap > kept) {
        buf_done(&c->in);
        c->start = c->pos = 0;
    }
}

/* Parses and handles what is in the buffer, as far as the handler answers at once. */
static void connection_advance(struct connection *c)
{
    c->advancing = true;
    do {
        parse_and_handle(c);
        if (c->state != CONNECTION_CLOSED) {
            flush_output(c);
        }
    } while (may_parse(c) && !has_output(c));
    c->advancing = false;
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    if (c->peer_done && is_reading(c) && !has_output(c)) {
        connection_close(c);
        return;
    }
    give_memory_back(c);
    update_poll(c);
}

void connection_answered(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED) {
        if (c->handle_closed) {
            connection_free(c);
        }
        return;
    }
    c->start = c->pos;
    set_state(c, c->close_after ? CONNECTION_FLUSHING : CONNECTION_IDLE);
    if (!c->close_after) {
        request_begin(c);
    }
    if (c->advancing) {
        return; /* connection_advance() goes on below us */
    }
    flush_output(c);
    if (c->state == CONNECTION_CLOSED) {
        return;
    }
    if (may_parse(c) || c->peer_done) {
        /* The next request must not be handled inside the answer to this one. */
        server_resume(c->server, c);
    }
    give_memory_back(c);
    update_poll(c);
}

void connection_resume(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED) {
        tell_closed(c);
        return;
    }
    if (c->state == CONNECTION_HANDLED) {
        if (c->peer_ending && c->exchange.on_close != NULL) {
            connection_close(c);
        }
        return;
    }
    connection_advance(c);
}

/* ---- TLS ---- */

static void handshake(struct connection *c)
{
    switch (tls_session_handshake(c->tls)) {
    case TLS_DONE:
        set_state(c, CONNECTION_IDLE);
        break;
    case TLS_AGAIN:
        break;
    case TLS_PLAIN_HTTP: /* told so in its own language */
        tls_session_free(c->tls);
        c->tls = NULL;
        refuse_request(c, 400, "this address speaks TLS: use https://\n");
        connection_advance(c);
        return;
    case TLS_FAILED:
        connection_close(c);
        return;
    }
    update_poll(c);
}

/* ---- events ---- */

static void on_writable(struct connection *c)
{
    if (c->state == CONNECTION_HANDSHAKE) {
        handshake(c);
        return;
    }
    flush_output(c);
    if (c->state != CONNECTION_CLOSED && c->state != CONNECTION_LINGERING) {
        connection_advance(c);
    }
}

static void on_readable(struct connection *c)
{
    switch (c->state) {
    case CONNECTION_HANDSHAKE:
        handshake(c);
        break;
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
        do { /* poll does not see what lies in the session */
            read_request(c);
        } while (is_reading(c) && c->tls != NULL && tls_session_has_more(c->tls));
        break;
    case CONNECTION_HANDLED:
        read_ahead(c);
        break;
    case CONNECTION_LINGERING:
        read_and_drop(c);
        break;
    case CONNECTION_FLUSHING:
    case CONNECTION_CLOSED:
        break;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *c = poll->data;

    if (status < 0) {
        connection_close(c); /* reset by the peer */
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        on_writable(c);
    }
    if ((events & (UV_READABLE | UV_DISCONNECT)) != 0) {
        on_readable(c);
    }
}

static int wanted_events(const struct connection *c)
{
    int events = 0;

    switch (c->state) {
    case CONNECTION_HANDSHAKE:
        return tls_session_wants_write(c->tls) ? UV_WRITABLE : UV_READABLE;
    case CONNECTION_IDLE:
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
        events = c->out.len < OUT_BATCH_BYTES && !c->peer_done ? UV_READABLE : 0;
        break;
    case CONNECTION_LINGERING:
        events = UV_READABLE;
        break;
    case CONNECTION_HANDLED:
        if (!c->peer_ending) {
            events = room_ahead(c) > 0 ? UV_READABLE : UV_DISCONNECT;
        }
        break;
    case CONNECTION_FLUSHING:
    case CONNECTION_CLOSED:
        break;
    }
    return has_output(c) ? events | UV_WRITABLE : events;
}

static void update_poll(struct connection *c)
{
    int events = wanted_events(c);

    if (c->state == CONNECTION_CLOSED || events == c->poll_mask) {
        return;
    }
    c->poll_mask = events;
    if (events == 0) {
        (void)uv_poll_stop(&c->poll);
    } else if (uv_poll_start(&c->poll, events, on_poll) != 0) {
        connection_close(c);
    }
}

static void on_deadline(void *context, mono_ns now)
{
    struct connection *c = context;

    if (now < c->deadline) {
        loop_timer_set(c->server->loop, &c->timer, c->deadline);
        return;
    }
    if (c->state != CONNECTION_HEAD && c->state != CONNECTION_BODY) {
        connection_close(c);
        return;
    }
    refuse_request(c, 408,
                   c->state == CONNECTION_HEAD
                       ? "the request did not come in time: send its headers at once\n"
                       : "the body did not come in time: send it at once\n");
    connection_advance(c);
}

static void refuse_over_capacity(struct connection *c)
{
    refuse_request(c, 503, "too many connections: close some, or try again later\n");
    connection_advance(c);
}

void connection_open(struct http_server *server, int fd, bool is_unix, bool is_loopback)
{
    size_t count = server->connections.count;
    size_t in_max_bytes =
        server->config.header_max_bytes + server->config.body_max_bytes + READ_AHEAD_BYTES;
    int one = 1;

    bool is_tls = server->config.tls != NULL && !is_unix;
    /* Over capacity a plain client is told; a handshake would be work for nothing. */
    if (count >= (size_t)server->config.connections_max + (is_tls ? 0 : OVER_CAPACITY_MORE)) {
        (void)close(fd);
        return;
    }
    struct connection *c = MEM_NEW(struct connection);
    c->tls = is_tls ? tls_session_new(server->config.tls, fd) : NULL;
    if ((is_tls && c->tls == NULL) || uv_poll_init(loop_uv(server->loop), &c->poll, fd) != 0) {
        (void)close(fd);
        tls_session_free(c->tls);
        free(c);
        return;
    }
    if (!is_unix) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    c->poll.data = c;
    c->server = server;
    c->fd = fd;
    c->is_unix = is_unix;
    c->is_loopback = is_loopback;
    c->timer = (struct loop_timer){.callback = on_deadline, .context = c};
    buf_init(&c->in, in_max_bytes);
    buf_init(&c->out, OUT_MAX_BYTES);
    request_begin(c);
    server->handle_count++;
    list_push(&server->connections, &c->node);
    set_state(c, is_tls ? CONNECTION_HANDSHAKE : CONNECTION_IDLE);
    if (count >= server->config.connections_max) {
        refuse_over_capacity(c);
    } else {
        update_poll(c);
    }
}
