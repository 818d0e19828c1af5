#include "sluice/cli/rate.h"

#include "sluice/base/clock.h"

#include <stdio.h>

#define REQUESTS_MAX 1000000
#define PER_MAX_NS   (INT64_C(366) * 24 * 3600 * NS_PER_S)

static int bad(struct error *e, struct str text)
{
    return error_set(e, ERR_SYNTAX, "limit",
                     "\"%.*s\" is no limit: write requests/time, as 5/1s, 10/500ms or 100/m",
                     STR_FMT(text));
}

int rate_parse(struct str text, uint32_t *ret_requests, int64_t *ret_per_ns, struct error *e)
{
    struct str rest = text, number;
    char unit[16];
    int64_t requests, per_ns = NS_PER_S;

    if (!str_next(&rest, '/', &number) || str_to_i64(number, 1, REQUESTS_MAX, &requests) != 0) {
        return bad(e, text);
    }
    if (rest.ptr != NULL) {
        if (rest.len == 1 && rest.ptr[0] >= 'a') {
            snprintf(unit, sizeof(unit), "1%c", rest.ptr[0]);
            rest = str_from(unit);
        }
        if (str_to_duration(rest, &per_ns) != 0 || per_ns <= 0 || per_ns > PER_MAX_NS) {
            return bad(e, text);
        }
    }
    *ret_requests = (uint32_t)requests;
    *ret_per_ns = per_ns;
    return 0;
}
