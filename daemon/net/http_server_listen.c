/*
 * Addresses and listening sockets.
 */
#include "http_server_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
    char text[160];
};

static int refuse_address(struct error *e, const char *text)
{
    return error_set(e, ERR_INVALID, text,
                     "\"%s\" is no address to listen on: use 127.0.0.1:9324, [::1]:9324, 0.0.0.0:0 "
                     "(any free port) or unix:/path/of.sock",
                     text);
}

/* "host:port" with a literal address or localhost. */
static int parse_tcp(struct str text, struct address *ret, struct error *e)
{
    char host[INET6_ADDRSTRLEN];
    int64_t port = 0;
    size_t colon = text.len;

    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0 ||
        str_to_i64((struct str){text.ptr + colon, text.len - colon}, 0, UINT16_MAX, &port) != 0) {
        return refuse_address(e, ret->text);
    }
    struct str name = {text.ptr, colon - 1};
    bool is_v6 = name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
    if (is_v6) {
        name = (struct str){name.ptr + 1, name.len - 2};
    } else if (str_equal(name, STR("localhost"))) {
        name = STR("127.0.0.1");
    }
    if (name.len >= sizeof(host)) {
        return refuse_address(e, ret->text);
    }
    str_copy(host, sizeof(host), name);
    struct sockaddr_in *in = (struct sockaddr_in *)&ret->storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->storage;
    if (is_v6) {
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        ret->len = sizeof(*in6);
    } else {
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        ret->len = sizeof(*in);
    }
    void *bytes = is_v6 ? (void *)&in6->sin6_addr : (void *)&in->sin_addr;
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, host, bytes) == 1 ? 0
                                                                   : refuse_address(e, ret->text);
}

static int parse_unix(struct str path, struct address *ret, struct error *e)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->storage;

    if (path.len == 0) {
        return refuse_address(e, ret->text);
    }
    if (path.len >= sizeof(un->sun_path)) {
        return error_set(e, ERR_TOO_BIG, ret->text,
                         "the path of a Unix socket has at most %zu bytes, this one has %zu: use a "
                         "shorter one",
                         sizeof(un->sun_path) - 1, path.len);
    }
    un->sun_family = AF_UNIX;
    str_copy(un->sun_path, sizeof(un->sun_path), path);
    ret->len = sizeof(*un);
    return 0;
}

static int refuse_errno(struct error *e, const char *text, const char *what, int errno_value)
{
    if (errno_value == EADDRINUSE) {
        return error_set(e, ERR_BUSY, text,
                         "%s is in use by another process: stop that one, or listen elsewhere",
                         text);
    }
    return error_set(e, err_from_errno(errno_value), text, "cannot %s %s: %s", what, text,
                     strerror(errno_value));
}

/* Somebody's live socket, or anything that is no socket, is left alone. */
static int remove_stale_socket(const struct address *address, struct error *e)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    struct stat file;

    if (lstat(un->sun_path, &file) != 0) {
        return errno == ENOENT ? 0 : refuse_errno(e, address->text, "look at", errno);
    }
    if (!S_ISSOCK(file.st_mode)) {
        return error_set(e, ERR_DUPLICATE, address->text,
                         "%s exists and is no socket: remove it, or use another path",
                         un->sun_path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return refuse_errno(e, address->text, "look at", errno);
    }
    int error = connect(fd, (const struct sockaddr *)un, address->len) == 0 ? 0 : errno;
    (void)close(fd);
    if (error == 0 || error == EAGAIN) {
        return refuse_errno(e, address->text, "listen on", EADDRINUSE);
    }
    if (error != ECONNREFUSED) {
        return refuse_errno(e, address->text, "look at", error);
    }
    return unlink(un->sun_path) == 0 || errno == ENOENT
               ? 0
               : refuse_errno(e, address->text, "remove the old socket", errno);
}

static void set_options(const struct http_server *server, int fd)
{
    int one = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (server->config.kernel_stamps) {
        /* On the listener: accepted sockets inherit it before their first segment comes. */
        (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
    }
}

/* The file has its mode from its first moment on: fchmod() before bind() decides it. */
static int bind_and_listen(int fd, const struct address *address, uint32_t mode, struct error *e)
{
    bool is_unix = address->storage.ss_family == AF_UNIX;
    const struct sockaddr *name = (const struct sockaddr *)&address->storage;

    if (is_unix && fchmod(fd, mode) != 0) {
        return refuse_errno(e, address->text, "set the mode of", errno);
    }
    if (bind(fd, name, address->len) != 0) {
        return refuse_errno(e, address->text, "listen on", errno);
    }
    if (is_unix && chmod(((const struct sockaddr_un *)name)->sun_path, mode) != 0) {
        return refuse_errno(e, address->text, "set the mode of", errno);
    }
    return listen(fd, BACKLOG) == 0 ? 0 : refuse_errno(e, address->text, "listen on", errno);
}

static void remember_port(struct http_server *server, int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof(name);

    if (server->port != 0 || getsockname(fd, (struct sockaddr *)&name, &len) != 0) {
        return;
    }
    if (name.ss_family == AF_INET) {
        server->port = ntohs(((const struct sockaddr_in *)&name)->sin_port);
    } else if (name.ss_family == AF_INET6) {
        server->port = ntohs(((const struct sockaddr_in6 *)&name)->sin6_port);
    }
}

static int listen_on(struct http_server *server, const struct address *address, uint32_t mode,
                     struct error *e)
{
    bool is_unix = address->storage.ss_family == AF_UNIX;
    const char *path = is_unix ? ((const struct sockaddr_un *)&address->storage)->sun_path : NULL;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return refuse_errno(e, address->text, "open a socket for", errno);
    }
    set_options(server, fd);
    int error = bind_and_listen(fd, address, mode, e);
    if (error == 0) {
        error = server_listener_add(server, fd, is_unix, path);
        if (error != 0) {
            error_set(e, error, address->text, "cannot poll %s", address->text);
        }
    }
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    remember_port(server, fd);
    return 0;
}

int http_server_listen(struct http_server *server, struct str address, uint32_t mode,
                       struct error *e)
{
    struct address parsed = {.len = 0};
    struct str prefix = STR("unix:");
    int error;

    str_copy(parsed.text, sizeof(parsed.text), address);
    if (str_starts_with(address, prefix)) {
        struct str path = {address.ptr + prefix.len, address.len - prefix.len};
        error = parse_unix(path, &parsed, e);
        if (error == 0) {
            error = remove_stale_socket(&parsed, e);
        }
    } else {
        error = parse_tcp(address, &parsed, e);
    }
    return error != 0 ? error : listen_on(server, &parsed, mode, e);
}

int http_server_listen_fd(struct http_server *server, int fd, struct error *e)
{
    struct sockaddr_storage name = {0};
    socklen_t name_len = sizeof(name), listens_len = sizeof(int);
    int listens = 0;
    int flags = fcntl(fd, F_GETFL);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) != 0 || listens == 0 ||
        getsockname(fd, (struct sockaddr *)&name, &name_len) != 0 || flags < 0 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        (void)close(fd);
        return error_set(e, ERR_INVALID, "",
                         "inherited file %d is no listening stream socket: use Accept=no and "
                         "ListenStream= in the socket unit",
                         fd);
    }
    set_options(server, fd);
    int error = server_listener_add(server, fd, name.ss_family == AF_UNIX, NULL);
    if (error != 0) {
        (void)close(fd);
        return error_set(e, error, "", "cannot poll inherited file %d", fd);
    }
    remember_port(server, fd);
    return 0;
}
