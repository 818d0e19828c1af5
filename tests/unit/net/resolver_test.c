/* The resolver: names off the loop, kept fresh, addresses kept over failures. */
#include "sluice/base/mem.h"
#include "sluice/net/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_NS (20 * NS_PER_S)

/* ---- the C library's resolver, scripted ---- */

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t names_changed = PTHREAD_COND_INITIALIZER;
static const char *names_answer = ""; /* addresses separated by commas; "": no such name */
static bool names_stuck;
static unsigned names_asked, names_waiting;

static struct addrinfo *answer_of(const char *text)
{
    struct addrinfo *first = NULL, **last = &first;
    struct str rest = str_from(text), part;
    while (str_next(&rest, ',', &part)) {
        char ip[64];
        struct addrinfo *ai = MEM_NEW(struct addrinfo);
        struct sockaddr_storage *address = MEM_NEW(struct sockaddr_storage);
        str_copy(ip, sizeof(ip), part);
        if (inet_pton(AF_INET, ip, &((struct sockaddr_in *)address)->sin_addr) == 1) {
            address->ss_family = AF_INET;
        } else {
            assert_int_equal(inet_pton(AF_INET6, ip, &((struct sockaddr_in6 *)address)->sin6_addr),
                             1);
            address->ss_family = AF_INET6;
        }
        ai->ai_family = address->ss_family;
        ai->ai_addr = (struct sockaddr *)address;
        ai->ai_addrlen = sizeof(*address);
        *last = ai;
        last = &ai->ai_next;
    }
    return first;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **ret)
{
    (void)service;
    (void)hints;
    assert_string_equal(host, "api.test");
    pthread_mutex_lock(&names_lock);
    names_asked++;
    names_waiting++;
    while (names_stuck) {
        pthread_cond_wait(&names_changed, &names_lock);
    }
    names_waiting--;
    const char *answer = names_answer;
    pthread_mutex_unlock(&names_lock);
    if (answer[0] == '\0') {
        return EAI_NONAME;
    }
    *ret = answer_of(answer);
    return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *answer)
{
    while (answer != NULL) {
        struct addrinfo *next = answer->ai_next;
        free(answer->ai_addr);
        free(answer);
        answer = next;
    }
}

static void names_set(const char *answer, bool stuck)
{
    pthread_mutex_lock(&names_lock);
    names_answer = answer;
    names_stuck = stuck;
    pthread_cond_broadcast(&names_changed);
    pthread_mutex_unlock(&names_lock);
}

static unsigned names_count(const unsigned *what)
{
    pthread_mutex_lock(&names_lock);
    unsigned count = *what;
    pthread_mutex_unlock(&names_lock);
    return count;
}

/* ---- one entry and what it told ---- */

struct watcher {
    struct loop *loop;
    struct resolver_entry *entry;
    int told;
    char addresses[512]; /* as of the last time; "-": none */
    int error;
    bool close_in_callback;
};

static void on_change(void *context, struct resolver_entry *entry)
{
    struct watcher *w = context;
    const char *addresses = resolver_entry_addresses(entry);
    const char *why = NULL;
    assert_ptr_equal(entry, w->entry); /* so never before resolver_entry_new() returned */
    w->told++;
    w->error = resolver_entry_error(entry, &why);
    assert_int_equal(w->error == 0, why[0] == '\0');
    (void)snprintf(w->addresses, sizeof(w->addresses), "%s", addresses != NULL ? addresses : "-");
    if (w->close_in_callback) {
        resolver_entry_close(entry);
        w->entry = NULL;
    }
}

static void watch(struct watcher *w, const char *host, int64_t refresh_ns)
{
    *w = (struct watcher){.loop = loop_new()};
    w->entry = resolver_entry_new(w->loop, &(struct resolver_config){.host = str_from(host),
                                                                     .refresh_ns = refresh_ns,
                                                                     .on_change = on_change,
                                                                     .context = w});
}

static void watch_end(struct watcher *w)
{
    if (w->entry != NULL) {
        resolver_entry_close(w->entry);
    }
    loop_stop(w->loop);
    assert_int_equal(loop_run(w->loop), 0);
    loop_free(w->loop);
}

static void on_tick(void *context, mono_ns now)
{
    (void)context;
    (void)now;
}

static void turn(struct watcher *w, mono_ns deadline)
{
    struct loop_timer tick = {.callback = on_tick};
    assert_true(loop_now() < deadline);
    loop_timer_set(w->loop, &tick, loop_now() + NS_PER_MS);
    (void)uv_run(loop_uv(w->loop), UV_RUN_ONCE);
    loop_timer_clear(w->loop, &tick);
}

static void until_told(struct watcher *w, int told)
{
    mono_ns deadline = loop_now() + DEADLINE_NS;
    while (w->told < told) {
        turn(w, deadline);
    }
    assert_int_equal(w->told, told);
}

static void until_asked(struct watcher *w, unsigned more)
{
    mono_ns deadline = loop_now() + DEADLINE_NS;
    unsigned wanted = names_count(&names_asked) + more;
    while (names_count(&names_asked) < wanted) {
        turn(w, deadline);
    }
}

/* ---- tests ---- */

static void test_numeric_hosts_are_known_at_once(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"[2001:db8::1]", "2001:db8::1"}};
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct watcher w;
        watch(&w, rows[i][0], 0);
        assert_string_equal(resolver_entry_addresses(w.entry), rows[i][1]);
        assert_int_equal(resolver_entry_error(w.entry, NULL), 0);
        watch_end(&w);
        assert_int_equal(w.told, 0);
    }
    assert_int_equal(names_count(&names_asked), 0);
}

static void test_name_becomes_known_and_changes(void **state)
{
    (void)state;
    struct watcher w;
    names_set("192.0.2.1,2001:db8::1,192.0.2.1", false);
    watch(&w, "api.test", 5 * NS_PER_MS);
    assert_null(resolver_entry_addresses(w.entry));
    assert_int_equal(w.told, 0);
    until_told(&w, 1);
    assert_string_equal(w.addresses, "192.0.2.1,2001:db8::1");
    assert_int_equal(w.error, 0);

    names_set("2001:db8::1,192.0.2.1", false); /* round-robin is no change */
    until_asked(&w, 3);
    assert_int_equal(w.told, 1);

    names_set("192.0.2.7", false);
    until_told(&w, 2);
    assert_string_equal(w.addresses, "192.0.2.7");
    watch_end(&w);
}

static void test_failed_refresh_keeps_the_addresses(void **state)
{
    (void)state;
    struct watcher w;
    names_set("192.0.2.1", false);
    watch(&w, "api.test", 5 * NS_PER_MS);
    until_told(&w, 1);
    names_set("", false);
    until_told(&w, 2); /* once, not for every failure */
    assert_int_equal(w.error, ERR_RESOLVE);
    assert_string_equal(w.addresses, "192.0.2.1");
    until_asked(&w, 3);
    assert_int_equal(w.told, 2);
    names_set("192.0.2.1", false);
    until_told(&w, 3);
    assert_int_equal(w.error, 0);
    assert_string_equal(w.addresses, "192.0.2.1");
    watch_end(&w);
}

static void test_first_failure_is_told_and_tried_again(void **state)
{
    (void)state;
    struct watcher w;
    names_set("", false);
    watch(&w, "api.test", 5 * NS_PER_MS);
    until_told(&w, 1);
    assert_int_equal(w.error, ERR_RESOLVE);
    assert_string_equal(w.addresses, "-");
    until_asked(&w, 3);
    names_set("192.0.2.1", false);
    until_told(&w, 2);
    assert_string_equal(w.addresses, "192.0.2.1");
    watch_end(&w);
}

static void test_doubt_asks_again_soon(void **state)
{
    (void)state;
    struct watcher w;
    names_set("192.0.2.1", false);
    mono_ns began = loop_now();
    watch(&w, "api.test", 3600 * NS_PER_S);
    until_told(&w, 1);
    unsigned asked = names_count(&names_asked);
    names_set("192.0.2.7", false);
    for (int i = 0; i < 20; i++) {
        resolver_entry_doubt(w.entry);
        turn(&w, loop_now() + DEADLINE_NS);
    }
    until_told(&w, 2);
    assert_string_equal(w.addresses, "192.0.2.7");
    assert_true(loop_now() - began >= NS_PER_S);
    assert_int_equal(names_count(&names_asked), asked + 1); /* once for all of them */
    watch_end(&w);
    watch(&w, "127.0.0.1", 0);
    resolver_entry_doubt(w.entry); /* there is nobody to ask */
    watch_end(&w);
    assert_int_equal(names_count(&names_asked), asked + 1);
}

static void test_too_many_addresses_are_cut(void **state)
{
    (void)state;
    struct watcher w;
    names_set("192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,192.0.2.7,192.0.2.8,"
              "192.0.2.9",
              false);
    watch(&w, "api.test", 0);
    until_told(&w, 1);
    assert_string_equal(w.addresses, "192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6,"
                                     "192.0.2.7,192.0.2.8");
    watch_end(&w);
}

static void test_slow_look_up_blocks_nothing(void **state)
{
    (void)state;
    struct watcher w;
    struct loop_stats stats;
    mono_ns deadline = loop_now() + DEADLINE_NS;
    names_set("192.0.2.1", true);
    watch(&w, "api.test", 0);
    while (names_count(&names_waiting) == 0) {
        turn(&w, deadline);
    }
    for (int i = 0; i < 10; i++) { /* the loop turns while the look-up hangs */
        turn(&w, deadline);
    }
    loop_stats(w.loop, &stats);
    assert_true(stats.turns >= 10);
    assert_int_equal(w.told, 0);
    names_set("192.0.2.1", false);
    until_told(&w, 1);
    watch_end(&w);
}

static void *release_names(void *unused)
{
    (void)unused;
    names_set("192.0.2.1", false);
    return NULL;
}

static void test_close_while_looking_up(void **state)
{
    (void)state;
    struct watcher w;
    pthread_t thread;
    mono_ns deadline = loop_now() + DEADLINE_NS;
    names_set("192.0.2.1", true);
    watch(&w, "api.test", 0);
    while (names_count(&names_waiting) == 0) {
        turn(&w, deadline);
    }
    resolver_entry_close(w.entry);
    w.entry = NULL;
    assert_int_equal(pthread_create(&thread, NULL, release_names, NULL), 0);
    watch_end(&w); /* waits for the look-up, tells nothing */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.told, 0);
}

static void test_close_in_callback_and_before_the_first_turn(void **state)
{
    (void)state;
    struct watcher w;
    names_set("192.0.2.1", false);
    watch(&w, "api.test", 0);
    w.close_in_callback = true;
    until_told(&w, 1);
    watch_end(&w);
    watch(&w, "api.test", 0);
    watch_end(&w);
    assert_int_equal(w.told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric_hosts_are_known_at_once),
        cmocka_unit_test(test_name_becomes_known_and_changes),
        cmocka_unit_test(test_failed_refresh_keeps_the_addresses),
        cmocka_unit_test(test_first_failure_is_told_and_tried_again),
        cmocka_unit_test(test_doubt_asks_again_soon),
        cmocka_unit_test(test_too_many_addresses_are_cut),
        cmocka_unit_test(test_slow_look_up_blocks_nothing),
        cmocka_unit_test(test_close_while_looking_up),
        cmocka_unit_test(test_close_in_callback_and_before_the_first_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
