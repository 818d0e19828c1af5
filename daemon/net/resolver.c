#include "sluice/net/resolver.h"

#include "sluice/base/buf.h"
#include "sluice/base/mem.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define REFRESH_DEFAULT_NS (30 * NS_PER_S)
#define RETRY_FIRST_NS     (1 * NS_PER_S)
#define HOST_MAX           256
#define ADDRESSES_MAX      8

/* At most ADDRESSES_MAX different ones, in the order the system prefers. */
struct address_set {
    char text[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    size_t count;
};

struct resolver_entry {
    struct loop *loop;
    char host[HOST_MAX]; /* without the brackets of an IPv6 URL */
    int64_t refresh_ns;
    int64_t retry_ns; /* the next pause after a failure while nothing is known */
    void (*on_change)(void *context, struct resolver_entry *entry);
    void *context;
    uv_getaddrinfo_t request;
    bool running;
    bool closing;
    bool numeric;
    mono_ns asked_at; /* when the last look-up began */
    mono_ns due;      /* when the next begins */
    struct loop_timer timer;
    struct address_set set;
    char *addresses; /* set as text; NULL while nothing is known */
    int error;
    char error_text[128];
};

static void look_up(struct resolver_entry *entry);

/* ---- address sets ---- */

static bool set_has(const struct address_set *set, const char *text)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->text[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static void set_add(struct address_set *set, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    const void *ip = NULL;

    if (address->sa_family == AF_INET) {
        ip = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (address->sa_family == AF_INET6) {
        ip = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    }
    if (ip != NULL && set->count < ADDRESSES_MAX &&
        inet_ntop(address->sa_family, ip, text, sizeof(text)) != NULL && !set_has(set, text)) {
        str_copy(set->text[set->count++], sizeof(text), str_from(text));
    }
}

/* The order does not count: round-robin answers would change it every time. */
static bool set_equal(const struct address_set *a, const struct address_set *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!set_has(b, a->text[i])) {
            return false;
        }
    }
    return true;
}

static void entry_take(struct resolver_entry *entry, const struct address_set *set)
{
    struct buf text;

    buf_init(&text, ADDRESSES_MAX * (INET6_ADDRSTRLEN + 1));
    for (size_t i = 0; i < set->count; i++) {
        (void)buf_adds(&text, i > 0 ? "," : "");
        (void)buf_adds(&text, set->text[i]);
    }
    free(entry->addresses);
    entry->addresses = mem_dup(text.ptr, text.len);
    entry->set = *set;
    buf_done(&text);
}

/* ---- look-ups ---- */

static void on_timer(void *context, mono_ns now)
{
    (void)now;
    look_up(context);
}

static void look_up_at(struct resolver_entry *entry, mono_ns at)
{
    entry->due = at;
    loop_timer_set(entry->loop, &entry->timer, at);
}

/* A name that never resolved is asked for again soon, less and less often. */
static void schedule(struct resolver_entry *entry)
{
    int64_t pause_ns = entry->refresh_ns;

    if (entry->error != 0 && entry->addresses == NULL) {
        pause_ns = entry->retry_ns < pause_ns ? entry->retry_ns : pause_ns;
        entry->retry_ns *= 2;
        entry->retry_ns = entry->retry_ns > entry->refresh_ns ? entry->refresh_ns : entry->retry_ns;
    } else {
        entry->retry_ns = RETRY_FIRST_NS;
    }
    look_up_at(entry, loop_now() + pause_ns);
}

/* True when the caller is to be told. */
static bool record_failure(struct resolver_entry *entry, const char *text)
{
    bool first = entry->error == 0;

    entry->error = ERR_RESOLVE;
    str_copy(entry->error_text, sizeof(entry->error_text), str_from(text));
    return first;
}

static bool record_answer(struct resolver_entry *entry, const struct addrinfo *answer)
{
    struct address_set set = {.count = 0};
    bool tell = entry->error != 0 || entry->addresses == NULL;

    for (const struct addrinfo *ai = answer; ai != NULL; ai = ai->ai_next) {
        set_add(&set, ai->ai_addr);
    }
    if (set.count == 0) {
        return record_failure(entry, "the name has no address");
    }
    entry->error = 0;
    entry->error_text[0] = '\0';
    if (entry->addresses == NULL || !set_equal(&set, &entry->set)) {
        entry_take(entry, &set);
        tell = true;
    }
    return tell;
}

static void entry_free(struct resolver_entry *entry)
{
    free(entry->addresses);
    free(entry);
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *answer)
{
    struct resolver_entry *entry = request->data;
    bool tell;

    entry->running = false;
    if (entry->closing) {
        uv_freeaddrinfo(answer);
        entry_free(entry);
        return;
    }
    tell = status == 0 ? record_answer(entry, answer) : record_failure(entry, uv_strerror(status));
    uv_freeaddrinfo(answer);
    schedule(entry);
    if (tell && entry->on_change != NULL) {
        entry->on_change(entry->context, entry); /* last: it may close the entry */
    }
}

/* On libuv's threads: the loop never waits. */
static void look_up(struct resolver_entry *entry)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int status;

    entry->request.data = entry;
    entry->asked_at = loop_now();
    status =
        uv_getaddrinfo(loop_uv(entry->loop), &entry->request, on_answer, entry->host, NULL, &hints);
    if (status == 0) {
        entry->running = true;
        return;
    }
    /* No memory, or a name that cannot be one: tried again, for the configuration stays. */
    bool tell = record_failure(entry, uv_strerror(status));
    schedule(entry);
    if (tell && entry->on_change != NULL) {
        entry->on_change(entry->context, entry);
    }
}

/* ---- the entry ---- */

static bool is_numeric(const char *host, struct address_set *ret)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    ret->count = 0;
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        set_add(ret, (const struct sockaddr *)(const void *)&in);
    } else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        set_add(ret, (const struct sockaddr *)(const void *)&in6);
    }
    return ret->count > 0;
}

struct resolver_entry *resolver_entry_new(struct loop *loop, const struct resolver_config *config)
{
    struct resolver_entry *entry = MEM_NEW(struct resolver_entry);
    struct str host = config->host;
    struct address_set set;

    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = (struct str){host.ptr + 1, host.len - 2};
    }
    entry->loop = loop;
    str_copy(entry->host, sizeof(entry->host), host);
    entry->refresh_ns = config->refresh_ns == 0 ? REFRESH_DEFAULT_NS : config->refresh_ns;
    entry->retry_ns = RETRY_FIRST_NS;
    entry->on_change = config->on_change;
    entry->context = config->context;
    entry->timer.callback = on_timer;
    entry->timer.context = entry;
    if (is_numeric(entry->host, &set)) {
        entry_take(entry, &set);
        entry->numeric = true;
    } else {
        /* By the timer, so that on_change never comes before this returned. */
        look_up_at(entry, loop_now());
    }
    return entry;
}

const char *resolver_entry_addresses(const struct resolver_entry *entry)
{
    return entry->addresses;
}

int resolver_entry_error(const struct resolver_entry *entry, const char **ret_text)
{
    if (ret_text != NULL) {
        *ret_text = entry->error_text;
    }
    return entry->error;
}

void resolver_entry_doubt(struct resolver_entry *entry)
{
    mono_ns at = mono_max(mono_add(entry->asked_at, RETRY_FIRST_NS), loop_now());

    if (!entry->numeric && !entry->running && !entry->closing && at < entry->due) {
        look_up_at(entry, at);
    }
}

void resolver_entry_close(struct resolver_entry *entry)
{
    if (entry->closing) {
        return;
    }
    loop_timer_clear(entry->loop, &entry->timer);
    entry->closing = true;
    if (entry->running) {
        (void)uv_cancel((uv_req_t *)&entry->request); /* or it ends by itself */
    } else {
        entry_free(entry);
    }
}
