/*
 * How long to wait. The terms are those of Google Cloud Tasks (min_backoff doubles max_doublings
 * times, then grows by a constant, up to max_backoff); the jitter is the full one (M. Brooker,
 * "Exponential Backoff and Jitter"): uniform between zero and that bound, so that what failed
 * together does not come back together.
 */
#include "flow_internal.h"

#define DOUBLINGS_MAX 62u

int64_t retry_backoff_bound_ns(const struct retry_config *retry, uint32_t k)
{
    uint32_t doublings = k < retry->max_doublings ? k : retry->max_doublings;
    int64_t bound = retry->min_backoff_ns > 0 ? retry->min_backoff_ns : 0;

    for (uint32_t i = 0; i < doublings && i < DOUBLINGS_MAX; i++) {
        bound = mono_add(bound, bound);
    }
    int64_t linear;
    if (__builtin_mul_overflow(bound, (int64_t)(k - doublings) + 1, &linear)) {
        linear = INT64_MAX;
    }
    return linear < retry->max_backoff_ns ? linear : retry->max_backoff_ns;
}

int64_t retry_backoff_ns(const struct retry_config *retry, uint32_t k, struct rng *rng)
{
    int64_t bound = retry_backoff_bound_ns(retry, k);

    return bound > 0 ? rng_between(rng, 0, bound) : 0;
}

int64_t backoff_ns(int64_t first_ns, uint32_t k, struct rng *rng)
{
    const struct retry_config doubling = {
        .min_backoff_ns = first_ns,
        .max_backoff_ns = BACKOFF_MAX_NS,
        .max_doublings = DOUBLINGS_MAX,
    };

    return retry_backoff_ns(&doubling, k, rng);
}
