/*
 * What the ends of calls say about the target, not about their messages.
 *
 * A message that fails is its own fault only while the target serves others. Of failures in a row
 * the first few may be either; from the fifth on, if several messages failed, and as long as the
 * breaker is not closed, they are the target's: they count against no message (I5). So an outage
 * uses up at most four attempts. But only for two hours: where all that is left to call fails
 * for good, nothing would ever count, and nothing end. The failures of one message alone are
 * its own: they count, and the breaker takes those in a row for one piece of evidence. Without a
 * breaker the retry plan of the route is all there is: every failure counts.
 */
#include "flow_internal.h"

bool health_is_failing(const struct target *target)
{
    return target->breaker.state != BREAKER_CLOSED ||
           (target->failures >= FAILING_MIN && target->failed_several);
}

bool health_excuses(const struct target *target, mono_ns now)
{
    return target->config.breaker.enabled && health_is_failing(target) &&
           now - target->failing_since < EXCUSE_NS;
}

/* ---- calls ---- */

/* The longest of its limits' intervals, for one call of the route. */
static int64_t call_interval_ns(const struct route *route)
{
    const struct limit_set *set = &route->config.limits;
    double longest = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        double seconds = route->config.weight / limit_pace_per_second(set->limits[i]);
        bool holds = !limit_config(set->limits[i])->dry_run;
        longest = holds && seconds > longest ? seconds : longest;
    }
    return longest < 3600 ? (int64_t)(longest * (double)NS_PER_S) : 3600 * NS_PER_S;
}

struct limit_verdict health_admit(struct route *route, mono_ns now)
{
    struct target *target = route->config.target;

    return breaker_check(&target->breaker, concurrency_used(&target->concurrency, now),
                         target->concurrency.bound, now);
}

void health_started(struct message *message, mono_ns now)
{
    struct target *target = message->route->config.target;

    message->repeats = false;
    message->breaker_generation =
        breaker_started(&target->breaker, call_interval_ns(message->route), now);
}

static bool is_unreached(const struct attempt_result *result)
{
    return !result->written && (result->error == ERR_CONNECT || result->error == ERR_RESOLVE ||
                                result->error == ERR_TLS || result->error == ERR_TIMEOUT);
}

/* No memory, no socket, shutting down. */
static bool is_our_trouble(const struct attempt_result *result)
{
    return result->error != 0 && !result->written && !is_unreached(result);
}

static enum breaker_result breaker_result_of(const struct message *message,
                                             const struct attempt_result *result,
                                             enum outcome outcome)
{
    const struct target *target = message->route->config.target;

    /* What is no answer stays none, whatever a rule makes of it for the message. */
    bool answered = result->error == 0 || (result->error == ERR_TOO_BIG && result->status != 0);

    if (is_unreached(result)) {
        return BREAKER_NOT_REACHED;
    }
    if (is_our_trouble(result)) {
        return BREAKER_IGNORED;
    }
    if (outcome == OUTCOME_THROTTLE && answered) {
        return BREAKER_THROTTLED;
    }
    if (outcome != OUTCOME_RETRY && answered) {
        return BREAKER_SUCCEEDED;
    }
    bool again = target->failures > 0 && target->failed == message;
    return again && target->breaker.state == BREAKER_CLOSED ? BREAKER_IGNORED : BREAKER_FAILED;
}

static void streak_note(struct target *target, const struct message *message,
                        enum breaker_result result, mono_ns now)
{
    if (result == BREAKER_SUCCEEDED) {
        target->failures = 0;
        target->failed_several = false;
        return;
    }
    if (result == BREAKER_THROTTLED) {
        return;
    }
    if (target->failures == 0) {
        target->failing_since = now;
    } else if (target->failed != message) {
        target->failed_several = true;
    }
    target->failed = message;
    target->failures += target->failures < UINT32_MAX ? 1 : 0;
}

static void tell(struct target *target)
{
    struct flow *flow = target->flow;

    if (flow->ops->breaker != NULL) {
        flow->ops->breaker(flow->context, target);
    }
}

static double route_pace(const struct route *route)
{
    int64_t interval_ns = call_interval_ns(route);

    return interval_ns > 0 ? (double)NS_PER_S / (double)interval_ns : 0;
}

static bool is_held_back(const struct route *route)
{
    return route->blocked_by == LIMIT_REASON_PERMIT || route->blocked_by == LIMIT_REASON_PACER ||
           route->blocked_by == LIMIT_REASON_GATE || route->blocked_by == LIMIT_REASON_COLD;
}

static void adapt(const struct message *message, const struct attempt_result *result,
                  enum breaker_result said, mono_ns now)
{
    struct target *target = message->route->config.target;

    if (!target->config.adaptive) {
        return;
    }
    if (said == BREAKER_SUCCEEDED) {
        adaptive_succeeded(&target->adaptive, target->in_flight + 1, is_held_back(message->route));
    } else if (said == BREAKER_THROTTLED || (result->error == ERR_TIMEOUT && result->written)) {
        adaptive_overloaded(&target->adaptive, message->attempt_started_at, now);
    }
    concurrency_resize(&target->concurrency, adaptive_bound(&target->adaptive));
}

void health_ended(struct message *message, const struct attempt_result *result,
                  enum outcome outcome, mono_ns now)
{
    struct target *target = message->route->config.target;
    enum breaker_result said = breaker_result_of(message, result, outcome);

    adapt(message, result, said, now);
    if (!is_our_trouble(result)) {
        streak_note(target, message, said, now);
    }
    if (said == BREAKER_SUCCEEDED) {
        budget_earn(&target->budget, route_pace(message->route), now);
    }
    if (breaker_ended(&target->breaker, message->breaker_generation, said, &target->flow->rng,
                      now)) {
        tell(target);
    }
}

void health_uncalled(const struct message *message, mono_ns now)
{
    struct target *target = message->route->config.target;

    if (breaker_ended(&target->breaker, message->breaker_generation, BREAKER_IGNORED,
                      &target->flow->rng, now)) {
        tell(target);
    }
}

void health_forget(const struct message *message)
{
    struct target *target = message->route->config.target;

    if (target->failed == message) {
        target->failed = NULL;
    }
}

mono_ns health_run(struct target *target, mono_ns now)
{
    if (breaker_tick(&target->breaker, now)) {
        tell(target);
    }
    return target->breaker.state == BREAKER_OPEN ? target->breaker.until : MONO_NEVER;
}

/* ---- probes ---- */

/* Never called, or not the one that failed last; else the one whose turn it is. */
static struct message *another(const struct route *route, bool fresh)
{
    const struct message *failed = route->config.target->failed;

    LIST_FOR(&route->lists[MESSAGE_READY], node)
    {
        struct message *message = LIST_ENTRY(node, struct message, node);
        if (!lane_is_parked(message) && (fresh ? message->calls == 0 : message != failed)) {
            return message;
        }
    }
    return lanes_first(route);
}

/*
 * The one whose turn it is, but the one that failed last lets another go first: that shows
 * whether it is the message or the target. Messages that fail must not keep the breaker open for
 * the others, either: a probe is one that was never called; without one, they take turns.
 */
struct message *health_candidate(const struct route *route)
{
    const struct target *target = route->config.target;
    struct message *first = lanes_first(route);

    if (first == NULL) {
        return NULL;
    }
    if (target->breaker.state == BREAKER_HALF_OPEN) {
        return another(route, true);
    }
    return target->failures > 0 && first == target->failed ? another(route, false) : first;
}

/*
 * What was never called is received for probing where the failures could be the messages' own. A
 * connection that fails says nothing about a message: any that is to be called will do, but for
 * those whose key has no permit.
 */
uint32_t health_probes_wanted(const struct route *route, mono_ns now)
{
    const struct breaker *breaker = &route->config.target->breaker;
    uint32_t fresh = 0;

    if (breaker->unreached) {
        /* One that is due in hours probes nothing before. */
        bool some = route_ready_count(route) > 0 ||
                    waits_until(route, mono_add(now, breaker->config.max_open_ns), 1) > 0;
        return !some && !breaker->probing ? 1 : 0;
    }
    LIST_FOR(&route->lists[MESSAGE_READY], node)
    {
        const struct message *message = LIST_ENTRY(node, struct message, node);
        fresh += message->calls == 0 && !lane_is_parked(message) ? 1 : 0;
    }
    return fresh < BREAKER_PROBES ? BREAKER_PROBES - fresh : 0;
}
