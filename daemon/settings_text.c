#include "settings_text.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#define HOST_MAX          253
#define QUEUE_PATTERN_MAX 100

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool only(struct str s, const char *more)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && (s.ptr[i] == '\0' || strchr(more, s.ptr[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

static struct str from(struct str s, size_t start)
{
    return (struct str){s.ptr + start, s.len - start};
}

static size_t find(struct str s, const char *characters)
{
    size_t i = 0;
    while (i < s.len && strchr(characters, s.ptr[i]) == NULL) {
        i++;
    }
    return i;
}

/* Parts a numeric IPv6 address in brackets, or a host, from ":port". False when it has neither
 *form; ret_port is STR_NONE when there is none. */
static bool split_authority(struct str authority, struct str *ret_host, struct str *ret_port,
                            bool *ret_bracketed)
{
    *ret_port = STR_NONE;
    *ret_bracketed = authority.len > 0 && authority.ptr[0] == '[';
    size_t end = find(authority, *ret_bracketed ? "]" : ":");
    *ret_host = (struct str){authority.ptr, end};
    struct str rest = from(authority, end);
    if (*ret_bracketed) {
        if (rest.len == 0) {
            return false;
        }
        *ret_host = (struct str){authority.ptr + 1, end - 1};
        rest = from(rest, 1);
    }
    if (rest.len > 0) {
        *ret_port = from(rest, 1);
    }
    return rest.len == 0 || rest.ptr[0] == ':';
}

static bool parse_v6(struct str host, struct in6_addr *ret)
{
    char text[INET6_ADDRSTRLEN];
    return host.len < sizeof(text) &&
           inet_pton(AF_INET6, str_copy(text, sizeof(text), host), ret) == 1;
}

static bool parse_v4(struct str host, struct in_addr *ret)
{
    char text[INET_ADDRSTRLEN];
    return host.len < sizeof(text) &&
           inet_pton(AF_INET, str_copy(text, sizeof(text), host), ret) == 1;
}

bool settings_is_url(struct str text)
{
    for (size_t i = 0; i + 2 < text.len; i++) {
        if (memcmp(text.ptr + i, "://", 3) == 0) {
            return true;
        }
    }
    return false;
}

static const char *authority_problem(struct str authority)
{
    struct str host;
    struct str port;
    struct in6_addr v6;
    int64_t number = 0;
    bool bracketed = false;
    if (memchr(authority.ptr, '@', authority.len) != NULL) {
        return "it holds a user or password; send them in a header";
    }
    if (!split_authority(authority, &host, &port, &bracketed) || host.len == 0) {
        return "it has no host; write http://host:port/path";
    }
    if (bracketed ? !parse_v6(host, &v6) : !only(host, ".-_") || host.len > HOST_MAX) {
        return "its host is no name and no address; write http://host:port/path";
    }
    if (port.ptr != NULL && str_to_i64(port, 1, 65535, &number) != 0) {
        return "its port is no number from 1 to 65535";
    }
    return NULL;
}

const char *settings_url_problem(struct str url)
{
    struct str rest;
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.ptr[i];
        if (c <= ' ' || c >= 0x7f) {
            return "it holds a space or another character that must be written as %XX";
        }
        if (c == '#') {
            return "it holds a fragment; leave out what begins with #";
        }
    }
    if (str_starts_with(url, STR("http://"))) {
        rest = from(url, 7);
    } else if (str_starts_with(url, STR("https://"))) {
        rest = from(url, 8);
    } else {
        return "it must begin with http:// or https://";
    }
    return authority_problem((struct str){rest.ptr, find(rest, "/?")});
}

const char *settings_address_problem(struct str address, bool *ret_local)
{
    static const char form[] =
        "write \"127.0.0.1:9324\", \"[::1]:9324\", \"0.0.0.0:9324\" or \"unix:/path\"";
    struct str host;
    struct str port;
    struct in_addr v4;
    struct in6_addr v6;
    int64_t number = 0;
    bool bracketed = false;
    if (str_starts_with(address, STR("unix:"))) {
        struct str path = from(address, 5);
        *ret_local = true;
        if (path.len == 0 || path.ptr[0] != '/') {
            return "the path of a Unix socket must begin with /";
        }
        return path.len < sizeof(((struct sockaddr_un *)0)->sun_path)
                   ? NULL
                   : "the path of a Unix socket has at most 107 bytes; use a shorter one";
    }
    if (!split_authority(address, &host, &port, &bracketed)) {
        return form;
    }
    if (port.ptr == NULL) {
        return "the port is missing; write for example \"127.0.0.1:9324\"";
    }
    if (str_to_i64(port, 0, 65535, &number) != 0) {
        return "the port must be a number from 0 (any free one) to 65535";
    }
    if (bracketed && parse_v6(host, &v6)) {
        *ret_local = IN6_IS_ADDR_LOOPBACK(&v6);
        return NULL;
    }
    if (!bracketed && parse_v4(host, &v4)) {
        *ret_local = (ntohl(v4.s_addr) >> 24) == 127;
        return NULL;
    }
    return form;
}

/* Of the connection, or what sluice says of a call itself. */
static const char *const reserved_headers[] = {"content-length",  "transfer-encoding", "connection",
                                               "keep-alive",      "proxy-connection",  "te",
                                               "trailer",         "upgrade",           "expect",
                                               "idempotency-key", "traceparent"};

const char *settings_header_problem(struct str name, struct str value)
{
    if (name.len == 0 || !only(name, "!#$%&'*+-.^_`|~")) {
        return "the name holds a character that no header name may have; use letters, digits and -";
    }
    for (size_t i = 0; i < SL_COUNT(reserved_headers); i++) {
        if (str_equal_nocase(name, str_from(reserved_headers[i]))) {
            return "this header is sluice's own business; remove it";
        }
    }
    if (name.len > 7 && str_equal_nocase((struct str){name.ptr, 7}, STR("sluice-"))) {
        return "headers that begin with Sluice- are sluice's own; use another name";
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return "the value holds a line break or another control character; remove it";
        }
    }
    return NULL;
}

static bool begins(const char *name, struct str prefix)
{
    struct str s = str_from(name);

    return s.len >= prefix.len && str_equal_nocase((struct str){s.ptr, prefix.len}, prefix);
}

const char *settings_header_prefix_problem(struct str prefix)
{
    bool reserved = begins("host", prefix) || begins("sluice-", prefix);

    for (size_t i = 0; i < SL_COUNT(reserved_headers); i++) {
        reserved = reserved || begins(reserved_headers[i], prefix);
    }
    return reserved ? "with this prefix a sender could name a header that is sluice's own "
                      "business; use a longer one, as \"X-Attribute-*\""
                    : NULL;
}

const char *settings_region_problem(struct str region)
{
    return only(region, "-") ? NULL : "a region is made of letters, digits and -, as us-east-1";
}

const char *settings_account_problem(struct str account)
{
    for (size_t i = 0; i < account.len; i++) {
        if (!is_digit(account.ptr[i])) {
            return "an account is 12 digits, as 000000000000";
        }
    }
    return NULL;
}

const char *settings_queue_pattern_problem(struct str pattern)
{
    return pattern.len <= QUEUE_PATTERN_MAX && only(pattern, "-_.*")
               ? NULL
               : "write the name of a queue, or a pattern: at most 100 of A-Z a-z 0-9 _ - . and * "
                 "for any run of them";
}
