/* rooms: flow base */
/* Headers of an answer, a line each: whatever they hold, the pause is one within bounds, is named,
 * and Retry-After of a success says nothing. */
#include "fuzz.h"

#include "sluice/flow/gate_headers.h"

#define HEADERS_MAX 64u
#define NOW         INT64_C(1767225600000)
#define CAP         (900 * NS_PER_S)

static void check(const struct gate_advice *advice)
{
    SL_ASSERT(advice->delay_ns >= 0 && advice->delay_ns <= CAP);
    SL_ASSERT((advice->header != NULL) == (advice->delay_ns > 0));
    SL_ASSERT(!advice->capped || advice->delay_ns == CAP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome_header headers[HEADERS_MAX];
    uint32_t count = 0;
    struct str rest = {(const char *)data, size}, line, name;

    while (count < HEADERS_MAX && str_next(&rest, '\n', &line)) {
        if (str_next(&line, ':', &name)) {
            headers[count++] = (struct outcome_header){name, str_trim(line)};
        }
    }
    struct gate_advice all = gate_headers_read(headers, count, true, NOW, CAP);
    struct gate_advice quotas = gate_headers_read(headers, count, false, NOW, CAP);
    check(&all);
    check(&quotas);
    SL_ASSERT(all.header != NULL || quotas.header == NULL);
    SL_ASSERT(quotas.header == NULL || !str_ends_with(str_from(quotas.header), STR("fter")));
    return 0;
}
