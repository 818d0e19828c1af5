/*
 * One call of a message: what it takes before it starts, what it gives back at its end, and what
 * the end means for the message.
 */
#include "flow_internal.h"

void attempt_start(struct message *message, mono_ns now)
{
    struct route *route = message->route;
    struct target *target = route->config.target;
    struct flow *flow = route->flow;

    SL_ASSERT(target->concurrency.in_flight < target->concurrency.bound); /* I2 */
    struct limit_set limits;
    lane_limits(message, &limits);
    limit_grant_take(&message->grant, &limits, route->config.weight, now);
    concurrency_take(&target->concurrency);
    if (route->has_share) {
        concurrency_take(&route->share);
    }
    health_started(message, now);
    target->in_flight++;
    target->bound_at_start = target->concurrency.bound;
    if (now > message->ready_at) {
        message->throttle_wait_ns += now - message->ready_at;
        message->wait_reason = route->said_no;
    }
    route->started++;
    if (message->calls++ > 0) {
        route->retries++;
    }
    message->attempt_started_at = now;
    if (message->first_attempt_at == MONO_NEVER) {
        message->first_attempt_at = now;
    }
    message_move(message, MESSAGE_IN_FLIGHT);
    flow->ops->start(flow->context, message);
}

void flow_attempt_arrived(struct message *message, mono_ns arrived_at, mono_ns now)
{
    now = flow_time(message->route->flow, now);
    SL_ASSERT(message->state == MESSAGE_IN_FLIGHT);
    limit_grant_arrived(&message->grant, arrived_at, now);
    lane_event(message);
}

bool flow_attempt_called(struct message *message, mono_ns now)
{
    SL_ASSERT(message->state == MESSAGE_IN_FLIGHT);
    now = flow_time(message->route->flow, now);
    message->attempt_started_at = now;
    return !message->lease_lost && lease_suffices(message, now);
}

static void permits_give_back(struct message *message, const struct attempt_result *result,
                              mono_ns now)
{
    if (result->end != ATTEMPT_CALLED) {
        limit_grant_withdraw(&message->grant, now);
    } else if (result->error == 0 && !result->early) {
        limit_grant_response(&message->grant, result->ended_at, now);
    } else if (result->error != 0 && !result->written) {
        limit_grant_refund(&message->grant, now);
    } else {
        limit_grant_unknown(&message->grant, result->ended_at, now);
    }
}

static void slots_give_back(struct message *message, const struct attempt_result *result,
                            mono_ns now)
{
    struct route *route = message->route;
    struct target *target = route->config.target;
    /* Without an answer the API may still work at it: the slot lingers. */
    bool over = result->end != ATTEMPT_CALLED || result->error == 0 || !result->written;

    SL_ASSERT(target->in_flight > 0);
    target->in_flight--;
    concurrency_end(&target->concurrency, over, now);
    if (route->has_share) {
        concurrency_end(&route->share, over, now);
    }
}

/* Nobody on the limits of this route calls before. */
static void gate(struct message *message, mono_ns until, mono_ns now)
{
    struct route *route = message->route;

    route->gate_set_at = now;
    route->gate_until = mono_max(route->gate_until, until);
    for (uint32_t i = 0; i < message->grant.set.count; i++) {
        limit_gate(message->grant.set.limits[i], until);
    }
}

/*
 * A throttled answer holds up everybody on the limit. Without a time of its own the gate grows from
 * min_backoff with a jitter in its upper half; answers to calls that were under way when the gate
 * was set are the same news and do not make it grow. With adaptive concurrency, fewer calls at once
 * are the answer to it as long as they can get fewer: only the message itself waits.
 */
static mono_ns throttle_gate(struct message *message, const struct attempt_result *result,
                             mono_ns now)
{
    struct route *route = message->route;
    mono_ns until = result->retry_after;

    if (until <= now) { /* "0" too is no plan: it would be called again at the full pace */
        if (route->gate_set_at > message->attempt_started_at) {
            return mono_max(route->gate_until, now);
        }
        if (route->config.target->config.adaptive && route->config.target->concurrency.bound > 1) {
            return mono_add(now, retry_backoff_ns(&route->config.retry, message->backoffs++,
                                                  &route->flow->rng));
        }
        int64_t bound = retry_backoff_bound_ns(&route->config.retry, route->gate_failures++);
        until = mono_add(now, rng_between(&route->flow->rng, bound / 2, bound));
        gate(message, until, now);
    }
    return mono_max(until, now);
}

static void wait_until(struct message *message, mono_ns until, mono_ns now)
{
    if (message_expires(message, until)) {
        give_up(message, GIVE_UP_EXPIRED, now);
        return;
    }
    message_move(message, MESSAGE_WAITING);
    heap_set(&message->route->deadlines, &message->deadline, until);
}

void give_up(struct message *message, enum give_up why, mono_ns now)
{
    struct route *route = message->route;
    int64_t max_backoff_ns = route->config.retry.max_backoff_ns;

    SL_ASSERT(why != GIVE_UP_NONE);
    message->give_up = why;
    if (route->config.has_dead_letter) {
        settle_begin(message, SETTLE_DEAD_LETTER, 0, now);
    } else if (message->group_state != NULL) {
        /* Handed back it would be overtaken by its group: it keeps its place and tries on. */
        message->give_up = GIVE_UP_NONE;
        wait_until(message, mono_add(now, max_backoff_ns), now);
    } else {
        settle_begin(message, SETTLE_RELEASE, max_backoff_ns, now);
    }
}

/* When max_retry_duration is over: a wait that would pass it ends there, with a last call. */
static mono_ns retry_end(const struct message *message)
{
    int64_t most_ns = message->route->config.retry.max_retry_duration_ns;

    return most_ns > 0 ? mono_add(message->first_attempt_at, most_ns) : MONO_NEVER;
}

static void try_again(struct message *message, mono_ns not_before, mono_ns now)
{
    struct route *route = message->route;
    const struct retry_config *retry = &route->config.retry;

    if (retry->max_attempts > 0 && message->attempts >= retry->max_attempts) {
        give_up(message, GIVE_UP_MAX_ATTEMPTS, now);
        return;
    }
    if (now >= retry_end(message)) {
        give_up(message, GIVE_UP_MAX_DURATION, now);
        return;
    }
    message->repeats = true;
    int64_t wait_ns = retry_backoff_ns(retry, message->backoffs, &route->flow->rng);
    if (route->config.target->breaker.state == BREAKER_CLOSED) {
        message->backoffs++; /* else the breaker spaces the calls, and wants messages for it */
    }
    mono_ns at = mono_min(mono_add(now, wait_ns), retry_end(message));
    wait_until(message, mono_max(at, not_before), now);
}

static void throttled(struct message *message, const struct attempt_result *result, mono_ns now)
{
    mono_ns until = throttle_gate(message, result, now);

    if (now >= retry_end(message)) {
        give_up(message, GIVE_UP_MAX_DURATION, now);
        return;
    }
    wait_until(message, until, now);
}

static void act_on(struct message *message, enum outcome outcome,
                   const struct attempt_result *result, mono_ns now)
{
    bool again = outcome == OUTCOME_RETRY || outcome == OUTCOME_THROTTLE;

    if (again && message->route->config.at_most_once && outcome_is_unknown(result)) {
        give_up(message, GIVE_UP_UNKNOWN, now);
        return;
    }
    switch (outcome) {
    case OUTCOME_ACK:
        settle_begin(message, SETTLE_ACK, 0, now);
        return;
    case OUTCOME_DEAD_LETTER:
        give_up(message, GIVE_UP_REFUSED, now);
        return;
    case OUTCOME_THROTTLE:
        throttled(message, result, now);
        return;
    default:
        try_again(message, result->retry_after, now);
        return;
    }
}

static void note_end(struct route *route, enum outcome outcome, mono_ns now)
{
    route->outcomes[outcome]++;
    end_rate_note(&route->rate, now);
    if (outcome == OUTCOME_ACK) {
        route->gate_failures = 0;
    }
}

/* Its lease ran out during the call. What is finished is still worth telling; what would wait here
 * is another receiver's by now. */
static bool leaves_all_the_same(const struct message *message, enum outcome outcome)
{
    return outcome == OUTCOME_ACK ||
           (outcome == OUTCOME_DEAD_LETTER && message->route->config.has_dead_letter);
}

/* The attempt ends without its call. The route's totals keep the start: they never go back. */
static void end_without_call(struct message *message, const struct attempt_result *result,
                             mono_ns now)
{
    health_uncalled(message, now);
    message->calls--;
    if (message->calls == 0 && message->first_attempt_at >= message->received_at) {
        message->first_attempt_at = MONO_NEVER; /* no earlier receipt's: this one's */
    }
    if (result->end == ATTEMPT_DONE_BEFORE) {
        settle_begin(message, SETTLE_ACK, 0, now);
    } else if (message->lease_lost) {
        settle_begin(message, SETTLE_LOST, 0, now);
    } else if (result->end == ATTEMPT_UNKNOWN) {
        give_up(message, GIVE_UP_UNKNOWN, now);
    } else if (result->end == ATTEMPT_S3_POINTER) {
        give_up(message, GIVE_UP_S3_POINTER, now);
    } else {
        wait_until(message, mono_max(result->retry_after, now), now);
    }
}

void flow_attempt_ended(struct message *message, const struct attempt_result *result, mono_ns now)
{
    enum outcome outcome = outcome_of(result);

    now = flow_time(message->route->flow, now);
    SL_ASSERT(message->state == MESSAGE_IN_FLIGHT);
    permits_give_back(message, result, now);
    lane_event(message);
    slots_give_back(message, result, now);
    if (result->end != ATTEMPT_CALLED) {
        end_without_call(message, result, now);
        return;
    }
    note_end(message->route, outcome, now);
    health_ended(message, result, outcome, now);
    message->last_status = result->status;
    message->last_error = result->error;
    message->last_rule = result->rule;
    message->last_duration_ns = result->ended_at - message->attempt_started_at;
    if (outcome_counts(result, outcome) &&
        !(outcome == OUTCOME_RETRY && health_excuses(message->route->config.target, now))) {
        message->attempts++;
    }
    if (result->retry_after > now) { /* whatever it means for this message */
        gate(message, result->retry_after, now);
    }
    if (message->lease_lost && !leaves_all_the_same(message, outcome)) {
        if (outcome == OUTCOME_THROTTLE) {
            (void)throttle_gate(message, result, now);
        }
        settle_begin(message, SETTLE_LOST, 0, now);
        return;
    }
    act_on(message, outcome, result, now);
}
