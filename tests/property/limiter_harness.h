/*
 * limiter_harness: drives a limiter, real or known to be wrong, as a sender on a virtual clock
 * does, through a network with delays to a receiver that counts by brute force. Deterministic in
 * its seed.
 *
 * The sender is saturated or comes in bursts. A call takes some time to arrive, and some more until
 * the sender knows that. On request: calls whose outcome stays unknown (they arrive late, as late
 * as allowed, or never), calls that are never made, a sender that is killed and started again while
 * bytes are on their way, changes of N and W, readings of the clock that go back, timers that fire
 * early and late, calls of different weight.
 */
#ifndef SLUICE_TESTS_PROPERTY_LIMITER_HARNESS_H
#define SLUICE_TESTS_PROPERTY_LIMITER_HARNESS_H

#include "sluice/base/mem.h"
#include "sluice/base/rng.h"
#include "sluice/base/str.h"
#include "sluice/limit/limit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the limiter under test ---- */

struct limiter_ops {
    const char *name;
    void *(*create)(const struct limit_config *config, mono_ns now);
    void (*destroy)(void *limiter);
    struct limit_verdict (*check)(void *limiter, uint32_t weight, mono_ns now);
    void (*take)(void *limiter, uint32_t weight, mono_ns now);
    void (*arrived)(void *limiter, uint32_t weight, mono_ns arrival, mono_ns now);
    void (*unknown)(void *limiter, uint32_t weight, mono_ns reset_at, mono_ns now);
    void (*refund)(void *limiter, uint32_t weight, mono_ns now);
    void (*resize)(void *limiter, const struct limit_config *config, mono_ns now);
};

static inline void *real_create(const struct limit_config *config, mono_ns now)
{
    struct limit *limit = NULL;
    SL_ASSERT(limit_new(config, now, &limit) == 0);
    return limit;
}

static inline void real_destroy(void *limiter)
{
    limit_free(limiter);
}

static inline struct limit_verdict real_check(void *limiter, uint32_t weight, mono_ns now)
{
    return limit_check(limiter, weight, now);
}

static inline void real_take(void *limiter, uint32_t weight, mono_ns now)
{
    limit_take(limiter, weight, now);
}

static inline void real_arrived(void *limiter, uint32_t weight, mono_ns arrival, mono_ns now)
{
    limit_arrived(limiter, weight, arrival, now);
}

static inline void real_unknown(void *limiter, uint32_t weight, mono_ns reset_at, mono_ns now)
{
    limit_unknown(limiter, weight, reset_at, now);
}

static inline void real_refund(void *limiter, uint32_t weight, mono_ns now)
{
    limit_refund(limiter, weight, now);
}

static inline void real_resize(void *limiter, const struct limit_config *config, mono_ns now)
{
    SL_ASSERT(limit_resize(limiter, config, now) == 0);
}

static const struct limiter_ops real_limiter = {"sluice",     real_create, real_destroy,
                                                real_check,   real_take,   real_arrived,
                                                real_unknown, real_refund, real_resize};

/* ---- a scenario and what came of it ---- */

enum delay { DELAY_NONE, DELAY_UNIFORM, DELAY_EXPONENTIAL, DELAY_SPIKES, DELAY__COUNT };
enum demand { DEMAND_SATURATED, DEMAND_ON_OFF, DEMAND__COUNT };
static const char *const delay_names[] = {"none", "U(0,5ms)", "exp(5ms)", "1%x200ms"};
static const char *const demand_names[] = {"saturated", "on/off"};

enum trouble {
    TROUBLE_UNKNOWN = 1, /* 2 % of the calls end without certainty */
    TROUBLE_REFUND = 2,  /* 2 % are never made */
    TROUBLE_RESTART = 4, /* the sender is killed now and then */
    TROUBLE_RESIZE = 8,  /* N and W change now and then */
    TROUBLE_CLOCK = 16,  /* old readings, and steps back */
    TROUBLE_TIMER = 32,  /* wakes up to 1 ms early or late */
    TROUBLE_WEIGHT = 64, /* weights 1 … min(N, 3) */
};

struct scenario {
    const char *name;
    struct limit_config config;
    enum delay delay;
    enum demand demand;
    uint32_t trouble;
    uint32_t sends;
    uint64_t seed;
};

struct outcome {
    uint64_t sends;      /* calls made */
    uint64_t peak;       /* window: most units in any half-open window of W */
    uint64_t violations; /* arrivals that were too many */
    double lowest;       /* bucket: lowest level of the server's bucket, in tokens */
    double utilisation;  /* (units - 1) * W / N / (last - first call) */
    double mean_ack_ns;  /* from a call to the knowledge that it arrived */
};

/* ---- the world ---- */

struct call {
    mono_ns sent, arrival; /* MONO_NEVER: it never arrives */
    uint32_t weight, incarnation;
    uint32_t limit_requests; /* N and W when it was sent */
    int64_t limit_per_ns;
    bool unknown, refund;
};

enum event_kind { EVENT_ARRIVAL, EVENT_KNOWN, EVENT_START };

struct event {
    mono_ns at;
    uint32_t call;
    enum event_kind kind;
};

struct arrival {
    mono_ns at;
    uint32_t weight;
};

struct world {
    const struct limiter_ops *ops;
    const struct scenario *s;
    void *limiter; /* NULL while the sender is down */
    struct limit_config config;
    struct rng rng;
    mono_ns now, idle_until;
    int64_t clock_behind_ns; /* what the sender's clock has lost by steps back */
    uint32_t incarnation, burst_left;
    bool bad_spell; /* spikes come in spells when N is large */
    struct call *calls;
    struct arrival *arrivals;
    struct event *events;
    uint32_t call_count, call_capacity, arrival_count, event_count, next_restart, next_resize;
    uint64_t known_count;
    double ack_sum_ns;
    /* bucket: level of the server in tokens, as of level_at */
    double level, lowest;
    mono_ns level_at;
    uint64_t level_violations;
};

static inline void event_add(struct world *w, mono_ns at, uint32_t call, enum event_kind kind)
{
    uint32_t i = w->event_count++;
    while (i > 0 && w->events[(i - 1) / 2].at > at) {
        w->events[i] = w->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->events[i] = (struct event){at, call, kind};
}

static inline struct event event_pop(struct world *w)
{
    struct event first = w->events[0];
    struct event last = w->events[--w->event_count];
    uint32_t i = 0;
    for (uint32_t child = 1; child < w->event_count; child = 2 * i + 1) {
        if (child + 1 < w->event_count && w->events[child + 1].at < w->events[child].at) {
            child++;
        }
        if (w->events[child].at >= last.at) {
            break;
        }
        w->events[i] = w->events[child];
        i = child;
    }
    w->events[i] = last;
    return first;
}

static inline bool has(const struct world *w, enum trouble trouble)
{
    return (w->s->trouble & trouble) != 0;
}

static inline bool one_in(struct world *w, int64_t n)
{
    return rng_between(&w->rng, 1, n) == 1;
}

/* One way. Spikes hit 1 % of the calls; with a large N they come in spells (4 % during a quarter of
 * the calls), or hardly any window would ever be without one and N never be needed. */
static inline int64_t delay_draw(struct world *w)
{
    switch (w->s->delay) {
    case DELAY_UNIFORM:
        return rng_between(&w->rng, 0, 5 * NS_PER_MS - 1);
    case DELAY_EXPONENTIAL:
        return (int64_t)rng_exponential(&w->rng, 5.0 * (double)NS_PER_MS);
    case DELAY_SPIKES:
        if (w->s->config.requests <= 100) {
            return one_in(w, 100) ? 200 * NS_PER_MS : 0;
        }
        if (one_in(w, (w->bad_spell ? 1 : 3) * (int64_t)w->s->config.requests)) {
            w->bad_spell = !w->bad_spell;
        }
        return w->bad_spell && one_in(w, 25) ? 200 * NS_PER_MS : 0;
    default:
        return 0;
    }
}

/* What the sender's clock says; now and then a reading that is a little old. */
static inline mono_ns reading(struct world *w, bool may_be_old)
{
    mono_ns now = w->now - w->clock_behind_ns;
    if (may_be_old && has(w, TROUBLE_CLOCK) && one_in(w, 10)) {
        now -= rng_between(&w->rng, 0, 5 * NS_PER_MS);
    }
    return now;
}

/* ---- the receiver ---- */

/* The server's token bucket: full at most, one token more every W/N. */
static inline void server_refill(struct world *w)
{
    if (w->now <= w->level_at) {
        return;
    }
    double tokens = (double)(w->now - w->level_at) * w->config.requests / (double)w->config.per_ns;
    if (w->level < w->config.burst) {
        w->level = w->level + tokens < w->config.burst ? w->level + tokens : w->config.burst;
    }
    w->level_at = w->now;
}

static inline void receive(struct world *w, const struct call *call)
{
    w->arrivals[w->arrival_count++] = (struct arrival){w->now, call->weight};
    if (w->config.kind == LIMIT_BUCKET) {
        server_refill(w);
        w->level -= call->weight;
        w->lowest = w->level < w->lowest ? w->level : w->lowest;
        w->level_violations += w->level < -1e-6 ? 1 : 0;
    }
}

/* Most units in any [t, t + W): it is enough to look at windows that end just after an arrival. */
static inline uint64_t window_peak(const struct world *w, int64_t per_ns)
{
    uint64_t units = 0, peak = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < w->arrival_count; i++) {
        units += w->arrivals[i].weight;
        while (w->arrivals[first].at <= w->arrivals[i].at - per_ns) {
            units -= w->arrivals[first++].weight;
        }
        peak = units > peak ? units : peak;
    }
    return peak;
}

static inline uint64_t window_violations(const struct world *w, int64_t per_ns, uint32_t requests)
{
    uint64_t units = 0, violations = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < w->arrival_count; i++) {
        units += w->arrivals[i].weight;
        while (w->arrivals[first].at <= w->arrivals[i].at - per_ns) {
            units -= w->arrivals[first++].weight;
        }
        violations += units > requests ? 1 : 0;
    }
    return violations;
}

/* With changes of N and W: at every send, the calls before it that arrived within the last W, or
 * have yet to arrive, are fewer than N, by the N and W of that moment. */
static inline uint64_t resize_violations(const struct world *w)
{
    uint64_t violations = 0;
    for (uint32_t j = 0; j < w->call_count; j++) {
        const struct call *last = &w->calls[j];
        uint64_t units = last->weight;
        for (uint32_t i = j; i-- > 0 && !last->refund;) {
            const struct call *call = &w->calls[i];
            if (call->sent < last->sent - last->limit_per_ns - 10 * NS_PER_S) {
                break; /* nothing travels that long */
            }
            if (!call->refund && call->arrival != MONO_NEVER &&
                call->arrival > last->sent - last->limit_per_ns) {
                units += call->weight;
            }
        }
        violations += units > last->limit_requests ? 1 : 0;
    }
    return violations;
}

/* ---- the sender ---- */

static inline void call_outcome(struct world *w, struct call *call, uint32_t id)
{
    const int64_t max_flight_ns = w->config.max_flight_ns;
    if (has(w, TROUBLE_REFUND) && one_in(w, 50)) {
        call->refund = true;
        event_add(w, w->now + rng_between(&w->rng, 0, 5 * NS_PER_MS), id, EVENT_KNOWN);
        return;
    }
    if (!has(w, TROUBLE_UNKNOWN) || !one_in(w, 50)) {
        event_add(w, w->now + delay_draw(w), id, EVENT_ARRIVAL);
        return;
    }
    call->unknown = true;
    mono_ns reset_at = w->now + rng_between(&w->rng, 0, 50 * NS_PER_MS);
    event_add(w, reset_at, id, EVENT_KNOWN);
    switch (rng_between(&w->rng, 0, 2)) {
    case 0:
        event_add(w, reset_at + max_flight_ns, id, EVENT_ARRIVAL);
        break;
    case 1:
        event_add(w, rng_between(&w->rng, w->now, reset_at + max_flight_ns), id, EVENT_ARRIVAL);
        break;
    default:
        break;
    }
}

static inline struct call *call_new(struct world *w, uint32_t weight)
{
    struct call *call = &w->calls[w->call_count++];
    *call = (struct call){.sent = w->now,
                          .arrival = MONO_NEVER,
                          .weight = weight,
                          .incarnation = w->incarnation,
                          .limit_requests = w->config.requests,
                          .limit_per_ns = w->config.per_ns};
    return call;
}

static inline uint32_t weight_draw(struct world *w)
{
    uint32_t most = w->config.kind == LIMIT_BUCKET ? w->config.burst : w->config.requests;
    return has(w, TROUBLE_WEIGHT) ? (uint32_t)rng_between(&w->rng, 1, most < 3 ? most : 3) : 1;
}

static inline bool wants(struct world *w)
{
    if (w->call_count >= w->s->sends || w->limiter == NULL) {
        return false;
    }
    if (w->s->demand == DEMAND_SATURATED) {
        return true;
    }
    if (w->burst_left == 0 && w->now >= w->idle_until) {
        const struct limit_config *config = &w->s->config;
        int64_t all = config->kind == LIMIT_BUCKET ? config->burst : config->requests;
        w->burst_left = (uint32_t)rng_between(&w->rng, 1, 2 * all);
    }
    return w->burst_left > 0;
}

/* Starts what may start; returns when to ask again. */
static inline mono_ns send_all(struct world *w)
{
    uint32_t weight = weight_draw(w);
    while (wants(w)) {
        mono_ns now = reading(w, true);
        struct limit_verdict verdict = w->ops->check(w->limiter, weight, now);
        if (!verdict.admit) {
            /* Never sooner: a limiter that says so would be asked for ever. */
            return verdict.at == MONO_NEVER ? MONO_NEVER
                                            : mono_max(verdict.at + w->clock_behind_ns, w->now + 1);
        }
        w->ops->take(w->limiter, weight, now);
        struct call *call = call_new(w, weight);
        call_outcome(w, call, w->call_count - 1);
        weight = weight_draw(w);
        if (w->burst_left > 0 && --w->burst_left == 0) {
            w->idle_until = w->now + rng_between(&w->rng, 0, 3 * w->s->config.per_ns);
        }
    }
    return w->limiter != NULL && w->burst_left == 0 && w->call_count < w->s->sends ? w->idle_until
                                                                                   : MONO_NEVER;
}

/* The sender dies with bytes on their way, which its kernel goes on sending for max_flight. */
static inline void kill_sender(struct world *w)
{
    const int64_t max_flight_ns = w->config.max_flight_ns;
    mono_ns now = reading(w, false);
    for (int i = 0; i < 8 && w->call_count < w->s->sends; i++) {
        if (!w->ops->check(w->limiter, 1, now).admit) {
            break;
        }
        w->ops->take(w->limiter, 1, now);
        (void)call_new(w, 1);
        event_add(w, w->now + (i % 2 == 0 ? max_flight_ns : rng_between(&w->rng, 0, max_flight_ns)),
                  w->call_count - 1, EVENT_ARRIVAL);
    }
    w->ops->destroy(w->limiter);
    w->limiter = NULL;
    w->incarnation++;
    uint32_t count = w->event_count;
    w->event_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct event event = w->events[i];
        event_add(w, mono_min(event.at, w->now + max_flight_ns), event.call, event.kind);
    }
    event_add(w, w->now + (one_in(w, 2) ? 0 : rng_between(&w->rng, 0, w->config.per_ns)), 0,
              EVENT_START);
}

static inline uint32_t units_on_their_way(const struct world *w)
{
    uint32_t units = 0;
    for (uint32_t i = 0; i < w->event_count; i++) {
        units += w->events[i].kind == EVENT_ARRIVAL ? w->calls[w->events[i].call].weight : 0;
    }
    return units;
}

static inline void change_limit(struct world *w)
{
    static const uint32_t shares[] = {1, 2, 4}; /* of 2: half, as it was, twice */
    struct limit_config config = w->s->config;
    uint32_t requests = config.requests * shares[rng_between(&w->rng, 0, 2)] / 2;
    config.requests = requests > 0 ? requests : 1;
    config.per_ns = config.per_ns / 2 * shares[rng_between(&w->rng, 0, 2)];
    if (config.kind == LIMIT_BUCKET) {
        uint32_t burst = config.burst * shares[rng_between(&w->rng, 0, 2)] / 2;
        server_refill(w);
        config.burst = burst > 0 ? burst : 1;
        /* What was sent before the bucket became smaller still fits. */
        uint32_t sent = units_on_their_way(w);
        uint32_t most = config.burst > sent ? config.burst : sent;
        w->level = w->level < most ? w->level : most;
    }
    w->ops->resize(w->limiter, &config, reading(w, false));
    w->config = config;
}

static inline void cause_trouble(struct world *w)
{
    if (w->limiter == NULL) {
        return;
    }
    if (has(w, TROUBLE_RESIZE) && w->call_count >= w->next_resize) {
        w->next_resize += w->s->sends / 12;
        change_limit(w);
    }
    if (has(w, TROUBLE_CLOCK) && one_in(w, 500)) {
        /* The sender has looked at the clock before the step. */
        (void)w->ops->check(w->limiter, 1, reading(w, false));
        w->clock_behind_ns += rng_between(&w->rng, 1, w->config.per_ns / 4);
    }
    /* Rather when one more call can go out, to arrive as late as it may, than just after one. */
    if (has(w, TROUBLE_RESTART) && w->call_count >= w->next_restart &&
        (one_in(w, 4) || w->ops->check(w->limiter, 1, reading(w, false)).admit)) {
        w->next_restart += w->s->sends / 6;
        kill_sender(w);
    }
}

static inline void event_handle(struct world *w, const struct event *event)
{
    struct call *call = &w->calls[event->call];
    bool mine = w->limiter != NULL && call->incarnation == w->incarnation;
    mono_ns now = reading(w, false);

    switch (event->kind) {
    case EVENT_START:
        w->limiter = w->ops->create(&w->config, now);
        if (has(w, TROUBLE_RESIZE) && one_in(w, 2)) {
            change_limit(w); /* while the start is waited out */
        }
        break;
    case EVENT_ARRIVAL:
        call->arrival = w->now;
        receive(w, call);
        if (!call->unknown && mine) {
            event_add(w, w->now + delay_draw(w), event->call, EVENT_KNOWN);
        }
        break;
    case EVENT_KNOWN:
        if (!mine) {
            break;
        }
        if (call->refund) {
            w->ops->refund(w->limiter, call->weight, now);
        } else if (call->unknown) {
            w->ops->unknown(w->limiter, call->weight, now, now);
        } else {
            w->ops->arrived(w->limiter, call->weight, now, now);
            w->ack_sum_ns += (double)(w->now - call->sent);
            w->known_count++;
        }
        break;
    }
}

static inline mono_ns timer_of(struct world *w, mono_ns at)
{
    if (at == MONO_NEVER || !has(w, TROUBLE_TIMER)) {
        return at;
    }
    return mono_max(w->now + 1, at + rng_between(&w->rng, -NS_PER_MS + 1, NS_PER_MS));
}

static inline void world_run(struct world *w)
{
    for (;;) {
        while (w->event_count > 0 && w->events[0].at <= w->now) {
            struct event event = event_pop(w);
            event_handle(w, &event);
        }
        cause_trouble(w);
        mono_ns next = timer_of(w, send_all(w));
        if (w->event_count > 0) {
            next = mono_min(next, w->events[0].at);
        }
        if (next == MONO_NEVER) {
            return;
        }
        w->now = mono_max(w->now, next);
    }
}

static inline void outcome_fill(const struct world *w, struct outcome *o)
{
    uint64_t units = 0;
    const struct limit_config *config = &w->s->config;
    *o = (struct outcome){.sends = w->call_count, .lowest = w->lowest};
    o->peak = window_peak(w, config->per_ns);
    o->mean_ack_ns = w->known_count > 0 ? w->ack_sum_ns / (double)w->known_count : 0;
    if (config->kind == LIMIT_BUCKET) {
        o->violations = w->level_violations;
    } else if (has(w, TROUBLE_RESIZE)) {
        o->violations =
            resize_violations(w) + window_violations(w, config->per_ns / 2, config->requests * 2);
    } else {
        o->violations = window_violations(w, config->per_ns, config->requests);
    }
    for (uint32_t i = 0; i < w->call_count; i++) {
        units += w->calls[i].weight;
    }
    if (w->call_count > 1) {
        double span = (double)(w->calls[w->call_count - 1].sent - w->calls[0].sent);
        o->utilisation =
            span > 0 ? (double)(units - 1) * (double)config->per_ns / config->requests / span : 0;
    }
}

static inline void scenario_run(const struct limiter_ops *ops, const struct scenario *s,
                                struct outcome *o)
{
    struct world w = {.ops = ops, .s = s, .config = s->config, .now = 1000 * NS_PER_S};
    rng_init(&w.rng, s->seed);
    w.next_restart = s->sends / 6;
    w.next_resize = s->sends / 12;
    w.call_capacity = s->sends;
    w.calls = MEM_NEW_ARRAY(s->sends, struct call);
    w.arrivals = MEM_NEW_ARRAY(s->sends, struct arrival);
    w.events = MEM_NEW_ARRAY(2 * (size_t)s->sends + 16, struct event);
    /* An earlier sender took the last token as late as it could. */
    w.level_at = w.now + s->config.max_flight_ns;
    w.lowest = s->config.burst;
    w.limiter = ops->create(&s->config, w.now);
    world_run(&w);
    outcome_fill(&w, o);
    if (w.limiter != NULL) {
        ops->destroy(w.limiter);
    }
    free(w.calls);
    free(w.arrivals);
    free(w.events);
}

/* ---- seeds and sizes ---- */

static inline uint64_t harness_number(const char *variable, uint64_t fallback)
{
    int64_t value = 0;
    const char *text = getenv(variable);
    return text != NULL && str_to_i64(str_from(text), 0, INT64_MAX, &value) == 0 ? (uint64_t)value
                                                                                 : fallback;
}

static inline uint64_t harness_seed(void)
{
    uint64_t seed = harness_number("SLUICE_SEED", 20240607);
    printf("SLUICE_SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* One seed a case, of the run's seed. */
static inline uint64_t harness_mix(uint64_t seed, uint64_t cell, uint64_t round)
{
    struct rng rng;
    rng_init(&rng, seed ^ cell << 40 ^ round);
    return rng_next(&rng);
}

#endif
