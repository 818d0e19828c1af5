/*
 * How routes share: what they name in common (a limit, a target) goes to the highest priority that
 * can use it, and among equals by share.
 *
 * Each route counts its service, the permits it took divided by its share, and the one with the
 * least is next: deficit round robin with rounds as small as one call, so that shares of 75 and 25
 * alternate as 3 to 1 and not in runs of 75. It is work conserving, since a route that may not
 * start is passed over, and it forgives: who comes back, with messages or after something of its
 * own had stopped it, starts level with those that wait, and nobody is ever more than one call of
 * the slowest of them behind. (Start-time fair queueing, Goyal, Vin, Cheng 1996, with that bound.)
 */
#include "flow_internal.h"

#include "sluice/base/mem.h"

#include <math.h>
#include <stdlib.h>

/* One that is back sooner only had to receive its next message: it keeps its place. */
#define AWAY_NS      NS_PER_S
#define SERVICE_UNIT 1000000u /* of one permit at share 1 */
/* Of the pace: what a route may hold messages for while those above it take everything. */
#define OUTRANKED_SHARE 0.05

static bool has_limit(const struct route *route, const struct limit *limit)
{
    for (uint32_t i = 0; i < route->config.limits.count; i++) {
        if (route->config.limits.limits[i] == limit) {
            return true;
        }
    }
    return false;
}

static bool uses(const struct route *route, const void *limit_or_target)
{
    return limit_or_target == route->config.target || has_limit(route, limit_or_target);
}

static bool have_something_in_common(const struct route *a, const struct route *b)
{
    for (uint32_t i = 0; i < a->config.limits.count; i++) {
        if (has_limit(b, a->config.limits.limits[i])) {
            return true;
        }
    }
    return a->config.target == b->config.target;
}

static void sharer_add(struct route *route, struct route *other)
{
    size_t count = (size_t)route->sharer_count + 1;
    struct route **sharers = MEM_NEW_ARRAY(count, struct route *);

    for (uint32_t i = 0; i < route->sharer_count; i++) {
        sharers[i] = route->sharers[i];
    }
    free(route->sharers);
    route->sharers = sharers;
    route->sharers[route->sharer_count++] = other;
    route->stride_max = other->stride > route->stride_max ? other->stride : route->stride_max;
}

void share_init(struct route *route)
{
    struct flow *flow = route->flow;

    route->stride = (int64_t)route->config.weight * SERVICE_UNIT / route->config.share;
    route->stride_max = route->stride;
    for (uint32_t i = 0; i < flow->route_count; i++) {
        if (have_something_in_common(route, flow->routes[i])) {
            sharer_add(route, flow->routes[i]);
            sharer_add(flow->routes[i], route);
        }
    }
}

void share_done(struct route *route)
{
    free(route->sharers);
}

/* The least service of the others that wait for the same as it may; INT64_MAX: nobody does. One
 * that is held up elsewhere falls behind for good, and is no measure. */
static int64_t least_service(const struct route *route)
{
    int64_t least = INT64_MAX;

    for (uint32_t i = 0; i < route->sharer_count; i++) {
        const struct route *other = route->sharers[i];
        bool beside = other->contends && other->config.priority == route->config.priority &&
                      (other->waits_for == NULL || uses(route, other->waits_for));
        if (beside && other->service < least) {
            least = other->service;
        }
    }
    return least;
}

void share_contend(struct route *route, bool contends, mono_ns now)
{
    if (contends && !route->contends && now - route->contended_at > AWAY_NS) {
        int64_t least = least_service(route);
        if (least != INT64_MAX) {
            int64_t most = least + route->stride; /* a debt of one call at most */
            route->service = route->service < least  ? least
                             : route->service > most ? most
                                                     : route->service;
        }
    }
    route->contends = contends;
    route->contended_at = contends ? now : route->contended_at;
}

void share_charge(struct route *route)
{
    int64_t least = least_service(route);

    if (least != INT64_MAX && route->service < least - route->stride_max) {
        route->service = least - route->stride_max;
    }
    route->service += route->stride;
}

/*
 * Its part by share, or all that the others now leave, whichever is more: a route beside idle ones
 * gets everything, and one with a small share must hold enough for that.
 */
double share_expect(const struct route *route, struct limit *limit, int64_t horizon_ns, mono_ns now)
{
    const struct limit_config *config = limit_config(limit);
    double horizon_s = (double)horizon_ns / (double)NS_PER_S;
    double all = config->kind == LIMIT_QUOTA /* all at once, if need be */
                     ? (double)limit_free_permits(limit, now)
                     : limit_pace_per_second(limit) * horizon_s;
    double shares = route->config.share;
    double left = all;
    double part = all;

    if (config->dry_run) {
        return HUGE_VAL;
    }
    for (uint32_t i = 0; i < route->sharer_count; i++) {
        const struct route *other = route->sharers[i];
        bool idle = other->paused || (other->held == 0 && other->answered);
        if (idle || !has_limit(other, limit) || other->config.priority < route->config.priority) {
            continue;
        }
        double rate = end_rate_per_second(&other->rate, now);
        /* One that waits, or is new, may want everything. */
        left -= other->contends || rate <= 0 ? all : rate * other->config.weight * horizon_s;
        if (other->config.priority > route->config.priority) {
            part = all * OUTRANKED_SHARE;
        } else {
            shares += other->config.share;
        }
    }
    part *= route->config.share / shares;
    return part > left ? part : left;
}
