/*
 * What libcurl's multi interface on libuv can do with nothing around it: the yardstick of delivery.
 *
 *   curl_yardstick_bench --url URL [--concurrency 32] [--requests 20000] [--body-bytes 512]
 *
 * POSTs JSON bodies with a message id of their own over kept-alive connections, always so many at
 * once, and prints one line of JSON: requests, failed, seconds, requests_per_s,
 * cpu_us_per_request. Exit 1 when a request failed.
 */
#include "sluice/base/clock.h"
#include "sluice/base/mem.h"
#include "sluice/base/str.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#define CONCURRENCY_MAX_BENCH 1024
#define BODY_MAX_BYTES        65536

struct slot {
    CURL *easy;
    char id[64];
    struct curl_slist id_header; /* in front of the headers that all share */
};

struct watch {
    uv_poll_t poll;
    struct bench *bench;
    curl_socket_t fd;
};

struct bench {
    const char *url;
    int64_t concurrency, requests, body_bytes;
    char *body;
    uv_loop_t loop;
    uv_timer_t timer;
    CURLM *multi;
    struct curl_slist *headers;
    bool drive; /* curl asked for a timeout of 0: drive it in this turn, not a millisecond later */
    int64_t started, finished, failed;
    struct slot slots[CONCURRENCY_MAX_BENCH];
};

static size_t discard(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static void start(struct bench *bench, struct slot *slot)
{
    snprintf(slot->id, sizeof(slot->id), "Sluice-Message-Id: 00000000-0000-4000-8000-%012lld",
             (long long)bench->started++);
    curl_multi_add_handle(bench->multi, slot->easy);
}

static void reap(struct bench *bench)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(bench->multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        struct slot *slot = NULL;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_multi_remove_handle(bench->multi, easy);
        bench->failed += result != CURLE_OK || status < 200 || status > 299;
        bench->finished++;
        if (bench->started < bench->requests) {
            start(bench, slot);
        }
    }
}

/* Reaps and starts until curl has nothing to do at once. */
static void turn(struct bench *bench)
{
    int running;
    reap(bench);
    while (bench->drive) {
        bench->drive = false;
        curl_multi_socket_action(bench->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        reap(bench);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    bench->drive = true;
    turn(bench);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct bench *bench = watch->bench;
    int running;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(bench->multi, watch->fd, flags, &running);
    turn(bench);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct bench *bench = context;
    (void)multi;
    if (timeout_ms > 0) {
        uv_timer_start(&bench->timer, on_timer, (uint64_t)timeout_ms, 0);
    } else {
        uv_timer_stop(&bench->timer);
        bench->drive = timeout_ms == 0;
    }
    return 0;
}

static void free_watch(uv_handle_t *handle)
{
    free(handle->data);
}

static int set_socket(CURL *easy, curl_socket_t fd, int action, void *context, void *socket_context)
{
    struct bench *bench = context;
    struct watch *watch = socket_context;
    (void)easy;
    if (action == CURL_POLL_REMOVE) {
        if (watch) {
            curl_multi_assign(bench->multi, fd, NULL);
            uv_close((uv_handle_t *)&watch->poll, free_watch);
        }
        return 0;
    }
    if (!watch) {
        watch = MEM_NEW(struct watch);
        watch->bench = bench;
        watch->fd = fd;
        watch->poll.data = watch;
        uv_poll_init_socket(&bench->loop, &watch->poll, fd);
        curl_multi_assign(bench->multi, fd, watch);
    }
    int events =
        (action & CURL_POLL_IN ? UV_READABLE : 0) | (action & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&watch->poll, events, on_poll);
    return 0;
}

static void open_slot(struct bench *bench, struct slot *slot)
{
    slot->id_header = (struct curl_slist){slot->id, bench->headers};
    slot->easy = curl_easy_init();
    curl_easy_setopt(slot->easy, CURLOPT_URL, bench->url);
    curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, bench->body);
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long)bench->body_bytes);
    curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, &slot->id_header);
    curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(slot->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(slot->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT, 60L);
}

static void open_bench(struct bench *bench)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    uv_loop_init(&bench->loop);
    uv_timer_init(&bench->loop, &bench->timer);
    bench->timer.data = bench;
    bench->multi = curl_multi_init();
    curl_multi_setopt(bench->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(bench->multi, CURLMOPT_SOCKETDATA, bench);
    curl_multi_setopt(bench->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(bench->multi, CURLMOPT_TIMERDATA, bench);
    curl_multi_setopt(bench->multi, CURLMOPT_MAXCONNECTS, (long)bench->concurrency);
    bench->headers = curl_slist_append(NULL, "Content-Type: application/json");
    bench->headers = curl_slist_append(bench->headers, "Expect:");
    bench->body = mem_zalloc((size_t)bench->body_bytes + 1, 1);
    memset(bench->body, 'x', (size_t)bench->body_bytes);
    bench->body[0] = bench->body[bench->body_bytes - 1] = '"';
    for (int64_t i = 0; i < bench->concurrency; i++) {
        open_slot(bench, &bench->slots[i]);
    }
}

static void close_bench(struct bench *bench)
{
    for (int64_t i = 0; i < bench->concurrency; i++) {
        curl_easy_cleanup(bench->slots[i].easy);
    }
    curl_multi_cleanup(bench->multi);
    curl_slist_free_all(bench->headers);
    uv_close((uv_handle_t *)&bench->timer, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench->loop);
    curl_global_cleanup();
    free(bench->body);
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int parse_options(struct bench *bench, int argc, char **argv)
{
    static const struct option names[] = {{"url", required_argument, NULL, 'u'},
                                          {"concurrency", required_argument, NULL, 'c'},
                                          {"requests", required_argument, NULL, 'n'},
                                          {"body-bytes", required_argument, NULL, 'b'},
                                          {NULL, 0, NULL, 0}};
    int option, code = 0;
    bench->concurrency = 32;
    bench->requests = 20000;
    bench->body_bytes = 512;
    while (code == 0 && (option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        struct str value = str_from(optarg);
        if (option == 'u') {
            bench->url = optarg;
        } else if (option == 'c') {
            code = str_to_i64(value, 1, CONCURRENCY_MAX_BENCH, &bench->concurrency);
        } else if (option == 'n') {
            code = str_to_i64(value, 1, INT32_MAX, &bench->requests);
        } else if (option == 'b') {
            code = str_to_i64(value, 2, BODY_MAX_BYTES, &bench->body_bytes);
        } else {
            code = ERR_INVALID;
        }
    }
    return code != 0 || !bench->url || optind != argc ? ERR_INVALID : 0;
}

int main(int argc, char **argv)
{
    struct bench *bench = MEM_NEW(struct bench);
    if (parse_options(bench, argc, argv) != 0) {
        fprintf(stderr, "usage: curl_yardstick_bench --url URL [--concurrency 32] "
                        "[--requests 20000] [--body-bytes 512]\n");
        free(bench);
        return 2;
    }
    open_bench(bench);
    double cpu_began = cpu_s();
    uint64_t began = uv_hrtime();
    for (int64_t i = 0; i < bench->concurrency && bench->started < bench->requests; i++) {
        start(bench, &bench->slots[i]);
    }
    turn(bench);
    while (bench->finished < bench->requests) {
        uv_run(&bench->loop, UV_RUN_ONCE);
    }
    double seconds = (double)(uv_hrtime() - began) / (double)NS_PER_S;
    double cpu = cpu_s() - cpu_began;
    printf("{\"requests\":%lld,\"failed\":%lld,\"seconds\":%.4f,\"requests_per_s\":%.1f,"
           "\"cpu_us_per_request\":%.2f}\n",
           (long long)bench->requests, (long long)bench->failed, seconds,
           (double)bench->requests / seconds, cpu * 1e6 / (double)bench->requests);
    int64_t failed = bench->failed;
    close_bench(bench);
    free(bench);
    return failed != 0;
}
