/*
 * How long to wait. The terms are those of Google Cloud Tasks (min_backoff doubles max_doublings
 * times, then grows by a constant, up to max_backoff); the jitter is the full one (M. Brooker,
 * "Exponential Backoff and Jitter"): uniform between zero and that bound, so that what failed
 * together does not come back together.
 *
 * What may repeat a failed call is bounded by the target's budget, so that retries never starve new
 * work. Those beyond it are parked, oldest first. They are not given up for it, and not held up
 * without need: when there is no other call to make, and the target is not failing as a whole, one
 * after the other goes without a token.
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

/* ---- the budget ---- */

void retry_unpark(struct message *message)
{
    list_remove(&message->route->config.target->parked, &message->parked);
    message->route->parked--;
}

/* Another call to make; what is paused is none. */
static bool any_ready(const struct target *target)
{
    const struct flow *flow = target->flow;

    for (uint32_t i = 0; i < flow->route_count; i++) {
        const struct route *route = flow->routes[i];
        if (route->config.target == target && !route->paused && route_ready_count(route) > 0) {
            return true;
        }
    }
    return false;
}

/* It fails as a whole, and no breaker has said so yet (or there is none): tokens only. */
static bool fails_unbroken(const struct target *target)
{
    return target->breaker.state == BREAKER_CLOSED && health_is_failing(target);
}

/*
 * Without a token goes, when there is no other call to make, the first that could be called now:
 * others, paused or with a key that has no permit, would not be the next call, and all of them
 * would go. While the breaker is not closed it is the tighter bound, and each route needs one
 * message to probe with: what another one has may wait for something of its own.
 */
static struct message *first_for_free(const struct target *target)
{
    bool closed = target->breaker.state == BREAKER_CLOSED;

    if (fails_unbroken(target) || (closed && any_ready(target))) {
        return NULL;
    }
    LIST_FOR(&target->parked, node)
    {
        struct message *message = LIST_ENTRY(node, struct message, parked);
        const struct route *route = message->route;
        if (!lane_is_parked(message) && !route->paused &&
            (closed || route_ready_count(route) == 0)) {
            return message;
        }
    }
    return NULL;
}

static struct message *next_to_repeat(struct target *target, mono_ns now)
{
    struct list_node *first = list_first(&target->parked);

    if (first == NULL) {
        return NULL;
    }
    if (target->breaker.state == BREAKER_CLOSED && budget_take(&target->budget, now)) {
        return LIST_ENTRY(first, struct message, parked);
    }
    return first_for_free(target);
}

void retry_due(struct message *message, mono_ns now)
{
    if (!message->repeats) {
        message_make_ready(message, now);
        return;
    }
    route_account(message->route, now);
    message->parked_at = now;
    message->route->parked++;
    list_push(&message->route->config.target->parked, &message->parked);
}

void retries_run(struct target *target, uint32_t *budget, mono_ns now)
{
    struct message *message;

    while (*budget > 0 && (message = next_to_repeat(target, now)) != NULL) {
        (*budget)--;
        if (now > message->parked_at) {
            message->throttle_wait_ns += now - message->parked_at;
            message->wait_reason = LIMIT_REASON_RETRY_BUDGET;
        }
        message_make_ready(message, now);
    }
}

mono_ns retries_deadline(const struct target *target, mono_ns now)
{
    if (target->parked.count == 0) {
        return MONO_NEVER;
    }
    if (first_for_free(target) != NULL) {
        return now; /* what was there to call has started */
    }
    return target->breaker.state == BREAKER_CLOSED ? budget_at(&target->budget) : MONO_NEVER;
}
