#include "sluice/net/url.h"

#include "sluice/base/str.h"

#include <curl/curl.h>
#include <string.h>

static bool take_part(CURLU *parsed, CURLUPart what, unsigned flags, char *out, size_t out_size)
{
    char *part = NULL;
    bool fits = curl_url_get(parsed, what, &part, flags) == CURLUE_OK && strlen(part) < out_size;

    if (fits) {
        str_copy(out, out_size, str_from(part));
    }
    curl_free(part);
    return fits;
}

static bool is_http(const char *scheme)
{
    return strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
}

int url_parse(const char *text, struct url *ret, struct error *e)
{
    struct url url = {.has_userinfo = false};
    char port[8] = "", user[256];
    int64_t number = 0;
    CURLU *parsed = curl_url();
    bool good = parsed != NULL && curl_url_set(parsed, CURLUPART_URL, text, 0) == CURLUE_OK &&
                take_part(parsed, CURLUPART_SCHEME, 0, url.scheme, sizeof(url.scheme)) &&
                is_http(url.scheme) &&
                take_part(parsed, CURLUPART_HOST, 0, url.host, sizeof(url.host)) &&
                take_part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port)) &&
                take_part(parsed, CURLUPART_PATH, 0, url.path, sizeof(url.path)) &&
                str_to_i64(str_from(port), 1, UINT16_MAX, &number) == 0;

    if (good) {
        url.has_userinfo = take_part(parsed, CURLUPART_USER, 0, user, sizeof(user));
        url.port = (uint16_t)number;
    }
    curl_url_cleanup(parsed);
    if (!good) {
        return error_set(e, ERR_INVALID, "url",
                         "\"%s\" is no URL that sluice can call: use http://host:port/path or "
                         "https://host/path",
                         text);
    }
    *ret = url;
    return 0;
}
