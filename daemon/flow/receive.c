/*
 * How many messages to ask for (I5): those whose calls are expected to start within the horizon,
 * less those held for that. A message more would only wait here instead of in the queue, and be
 * handed back at shutdown without a call; one less would leave a permit unused.
 *
 * Where a receive costs next to nothing the horizon is short: what waits in the queue is received
 * in the order that is fair at that time, quiet tenants first; what waits here was fair when it
 * came.
 */
#include "flow_internal.h"

#include <math.h>

#define RATE_SAMPLE_ENDS   64u
#define RATE_SAMPLE_MIN_NS (10 * NS_PER_MS)
#define CHEAP_HORIZON_NS   (20 * NS_PER_MS)  /* at least; four receives, if they take longer */
#define CHEAP_TOOK_MAX_NS  (100 * NS_PER_MS) /* what took longer waited for messages */
#define TOOK_MAX_NS        NS_PER_S          /* the same, of a queue far away */
#define CHEAP_FEW          16u               /* up to that many are asked for one by one */

void end_rate_note(struct end_rate *rate, mono_ns now)
{
    int64_t passed = now - rate->since;

    rate->ends++;
    if (passed < RATE_SAMPLE_MIN_NS || (passed < NS_PER_S && rate->ends < RATE_SAMPLE_ENDS)) {
        return;
    }
    double sample = (double)rate->ends * (double)NS_PER_S / (double)passed;
    rate->per_second = rate->per_second > 0 ? (rate->per_second + sample) / 2 : sample;
    rate->since = now;
    rate->ends = 0;
}

double end_rate_per_second(const struct end_rate *rate, mono_ns now)
{
    int64_t passed = now - rate->since;

    if (passed > 2 * NS_PER_S) { /* it slowed down: the old figure is no longer true */
        double bound = (double)(rate->ends + 1) * (double)NS_PER_S / (double)passed;
        return rate->per_second < bound ? rate->per_second : bound;
    }
    return rate->per_second;
}

static int64_t horizon_of(const struct route *route)
{
    return route->config.cheap_receives ? mono_max(4 * route->receive_took_ns, CHEAP_HORIZON_NS)
                                        : HORIZON_NS;
}

/* Of a receive that found what it asked for. */
static void note_took(struct route *route, mono_ns now)
{
    int64_t most_ns = route->config.cheap_receives ? CHEAP_TOOK_MAX_NS : TOOK_MAX_NS;
    int64_t took_ns = mono_min(now - route->receive_asked_at, most_ns);

    route->receive_took_ns += (took_ns - route->receive_took_ns) / 4;
}

/* Calls that can be expected to start within the horizon: 1 … HELD_MAX. */
static uint32_t receive_goal(const struct route *route, mono_ns now)
{
    int64_t horizon_ns = horizon_of(route);
    const struct limit_set *set = &route->config.limits;
    uint32_t slots = route->config.target->concurrency.bound;
    double goal = end_rate_per_second(&route->rate, now) * (double)horizon_ns / (double)NS_PER_S;

    if (route->has_share && route->share.bound < slots) {
        slots = route->share.bound;
    }
    goal = goal > slots ? goal : slots;
    for (uint32_t i = 0; i < set->count; i++) {
        double calls = share_expect(route, set->limits[i], horizon_ns, now) / route->config.weight;
        goal = calls < goal ? calls : goal;
    }
    if (!(goal > 1)) { /* one that fails: another shows whether it is the target */
        return route->config.target->failures > 0 ? 2 : 1;
    }
    return goal < HELD_MAX ? (uint32_t)ceil(goal) : HELD_MAX;
}

/* Deadlines of WAITING messages until `until`, counted up to enough: only the part of the heap
 * that lies before it is visited. */
static uint32_t waits_from(const struct heap *heap, size_t index, mono_ns until, uint32_t enough)
{
    if (index >= heap->count || heap->nodes[index]->key > until || enough == 0) {
        return 0;
    }
    const struct message *message = SL_CONTAINER_OF(heap->nodes[index], struct message, deadline);
    uint32_t count = message->state == MESSAGE_WAITING ? 1 : 0;
    count += waits_from(heap, 2 * index + 1, until, enough - count);
    if (count < enough) {
        count += waits_from(heap, 2 * index + 2, until, enough - count);
    }
    return count;
}

uint32_t waits_until(const struct route *route, mono_ns until, uint32_t enough)
{
    return waits_from(&route->deadlines, 0, until, enough);
}

/*
 * What is held towards the goal. While the target fails, everything that waits counts: more
 * messages would only fail as well. Otherwise a message that retries in a minute must not keep the
 * others in the queue. Those behind one of their group do not count: another group must never wait
 * for them (I7); the queue itself hands out few of them.
 */
static uint32_t held_for(const struct route *route, uint32_t goal, mono_ns now)
{
    uint32_t ready = route_ready_count(route);
    uint32_t waiting = (uint32_t)route->lists[MESSAGE_WAITING].count;

    if (ready >= goal || waiting == 0) {
        return ready;
    }
    if (!health_is_failing(route->config.target)) {
        waiting = waits_until(route, mono_add(now, horizon_of(route)), goal - ready);
    }
    return ready + waiting;
}

/*
 * So many that a receive is worth it. Where each one is a request that costs money, a full one: it
 * is asked for while there are still as many to be called as it takes to come. Elsewhere half.
 */
static uint32_t worth_asking(const struct route *route, uint32_t goal)
{
    uint32_t batch = route->config.receive_batch;

    if (batch == 0) {
        return (goal + 1) / 2;
    }
    uint32_t full = goal < batch ? goal : batch;
    double meanwhile = (double)goal * (double)route->receive_took_ns / (double)HORIZON_NS;
    uint32_t half = full / 2;
    uint32_t lead = meanwhile < (double)half ? (uint32_t)meanwhile : half;
    return full - lead;
}

static uint32_t receive_want(const struct route *route, mono_ns now)
{
    const struct target *target = route->config.target;
    uint32_t goal = receive_goal(route, now);
    uint32_t asked = route->receiving * route->receive_asked;
    uint32_t have = held_for(route, goal, now) + asked;
    uint32_t outside = route->held - (uint32_t)route->lists[MESSAGE_IN_FLIGHT].count + asked;
    uint32_t batch = route->config.receive_batch;

    if (outside >= HELD_MAX) {
        return 0;
    }
    if (target->breaker.state == BREAKER_HALF_OPEN) {
        return route->receiving > 0 ? 0 : health_probes_wanted(route, now);
    }
    if (have >= goal || target->parked.count >= PARKED_MAX) {
        return 0;
    }
    uint32_t want = goal - have;
    bool one_by_one = route->config.cheap_receives && goal <= CHEAP_FEW;
    if (!one_by_one && want < worth_asking(route, goal) &&
        heap_first(&route->lanes.active) != NULL) {
        return 0; /* few, larger receives: each one costs a request */
    }
    want = batch > 0 && batch < want ? batch : want;
    if (route->receiving > 0 && want < batch) {
        return 0; /* several at once are all full ones */
    }
    return want < HELD_MAX - outside ? want : HELD_MAX - outside;
}

/* One at a time; more while all of them are full ones and came back full. */
static bool may_ask(const struct route *route)
{
    return route->receiving == 0 ||
           (route->receiving < route->receives_now && route->config.receive_batch > 0 &&
            route->receive_asked == route->config.receive_batch);
}

static void note_answer(struct route *route, uint32_t count, int error, mono_ns now)
{
    uint32_t most = route->config.receives_max > 1 ? route->config.receives_max : 1;

    route->receiving--;
    route->answered = true;
    if (error != 0 || count < route->receive_asked) {
        route->receives_now = 1;
        return;
    }
    uint32_t grown = route->receives_now > 0 ? 2 * route->receives_now : 2;
    route->receives_now = grown < most ? grown : most;
    if (route->receiving == 0) {
        note_took(route, now);
    }
}

/* All its permits are with calls whose arrival is not certain: W after it at the earliest. Or it
 * is not known yet what an earlier process did. */
static bool far_away(struct limit *limit, uint32_t weight, mono_ns now)
{
    const struct limit_config *config = limit_config(limit);
    struct limit_verdict verdict = limit_check(limit, weight, now);

    if (verdict.at != MONO_NEVER || verdict.reason == LIMIT_REASON_CLAIM) {
        return false;
    }
    return verdict.reason == LIMIT_REASON_COLD || verdict.reason == LIMIT_REASON_QUOTA ||
           (config->kind == LIMIT_WINDOW && config->per_ns > HORIZON_NS);
}

/* When the admissions let calls start at all, as far as time alone decides; MONO_NEVER: not before
 * a call under way has arrived. */
static mono_ns calls_from(struct route *route, mono_ns now)
{
    const struct limit_set *set = &route->config.limits;
    struct limit_verdict verdict = limit_set_check(set, route->config.weight, now);
    mono_ns at = route->gate_until;

    if (verdict.admit || verdict.reason == LIMIT_REASON_CLAIM) {
        return at;
    }
    if (verdict.at != MONO_NEVER) {
        return mono_max(at, verdict.at);
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (far_away(set->limits[i], route->config.weight, now)) {
            return MONO_NEVER;
        }
    }
    return at;
}

mono_ns receive_run(struct route *route, mono_ns now)
{
    struct flow *flow = route->flow;

    if (!may_ask(route) || route->paused || route->draining || !route->config.target->available ||
        route->config.target->breaker.state == BREAKER_OPEN) {
        return MONO_NEVER;
    }
    if (route->receive_at > now) {
        return route->receive_at;
    }
    mono_ns from = calls_from(route, now);
    if (from > mono_add(now, horizon_of(route))) {
        return from == MONO_NEVER ? MONO_NEVER : from - horizon_of(route);
    }
    uint32_t want;
    while (may_ask(route) && (want = receive_want(route, now)) > 0) {
        route->receiving++;
        route->receive_asked = want;
        route->receive_asked_at = now;
        flow->ops->receive(flow->context, route, want);
    }
    return MONO_NEVER;
}

void flow_received(struct route *route, struct message **messages, uint32_t count, int error,
                   mono_ns now)
{
    now = flow_time(route->flow, now);
    SL_ASSERT(route->receiving > 0);
    note_answer(route, count, error, now);
    for (uint32_t i = 0; i < count; i++) {
        struct message *message = messages[i];
        SL_ASSERT(message->route == route && message->state == MESSAGE_NEW);
        route->received++;
        if (message->backoffs < message->attempts) { /* of an earlier receipt, where known */
            message->backoffs = message->attempts;
        }
        if (lane_join(message) != 0 || group_join(message, now) != 0) {
            settle_begin(message, SETTLE_RELEASE, 0, now);
        } else if (message_expires(message, now)) {
            give_up(message, GIVE_UP_EXPIRED, now);
        } else {
            lease_schedule(message);
            lane_shed(message->lane, now);
        }
    }
    if (error == 0 || error == ERR_CANCELED) {
        route->receive_failures = 0;
        route->receive_at = 0;
        return;
    }
    if (route->receive_at > now) {
        return; /* one of several that failed together */
    }
    route->receive_at =
        mono_add(now, backoff_ns(RECEIVE_BACKOFF_NS, route->receive_failures++, &route->flow->rng));
}
