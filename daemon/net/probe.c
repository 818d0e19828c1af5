#include "sluice/net/probe.h"

#include "sluice/base/clock.h"
#include "sluice/base/str.h"

#include <curl/curl.h>
#include <stdio.h>

static int error_from_code(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_RESOLVE_HOST:
        return ERR_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return ERR_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERR_INVALID;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    default:
        return ERR_TLS; /* connected, and then no agreement */
    }
}

static void read_peer(CURL *easy, struct probe *ret)
{
    char *address = NULL;
    long port = 0;
    curl_off_t total_us = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    (void)curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
    (void)curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total_us);
    struct str ip = str_from(address);
    bool is_v6 = ip.len > 0 && !str_matches(ip, STR("*.*"));
    ret->is_loopback = str_starts_with(ip, STR("127.")) || str_equal(ip, STR("::1"));
    ret->connect_ns = total_us * NS_PER_US;
    (void)snprintf(ret->address, sizeof(ret->address), is_v6 ? "[%.*s]:%ld" : "%.*s:%ld",
                   STR_FMT(ip), port);
}

/* What http_client sets for its calls, as far as connecting goes. */
static bool prepare(CURL *easy, const char *url, int64_t timeout_ns, char *error_text)
{
    long ms = (long)(timeout_ns / NS_PER_MS) + 1;

    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK;
}

void probe_connect(const char *url, int64_t timeout_ns, struct probe *ret)
{
    char error_text[CURL_ERROR_SIZE] = "";
    CURLcode code = CURLE_OUT_OF_MEMORY;
    CURL *easy = curl_easy_init();

    *ret = (struct probe){0};
    if (easy != NULL && prepare(easy, url, timeout_ns, error_text)) {
        code = curl_easy_perform(easy);
    }
    ret->error = error_from_code(code);
    if (ret->error == 0) {
        read_peer(easy, ret);
    } else {
        const char *text = error_text[0] != '\0' ? error_text : curl_easy_strerror(code);
        (void)str_copy(ret->detail, sizeof(ret->detail), str_from(text));
    }
    curl_easy_cleanup(easy);
}
