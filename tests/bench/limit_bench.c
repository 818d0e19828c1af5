/*
 * What a decision of the limiter costs: one line of JSON a limit.
 *
 *   limit_bench [calls]
 *
 * ns_per_decision: ask, take the permit, give it back at the arrival, for calls that are admitted,
 * on a virtual clock, saturated, 100 calls at most on their way. ns_per_refusal: ask in vain.
 * The lowest of five rounds.
 */
#include "sluice/base/rng.h"
#include "sluice/base/str.h"
#include "sluice/limit/limit.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS        5
#define CALLS_DEFAULT 2000000
#define ON_THEIR_WAY  100

struct subject {
    const char *name;
    struct limit_config config;
};

struct result {
    double decision_ns, refusal_ns;
};

static const struct subject subjects[] = {
    {"window 5", {.kind = LIMIT_WINDOW, .requests = 5, .per_ns = NS_PER_S}},
    {"window 1000", {.kind = LIMIT_WINDOW, .requests = 1000, .per_ns = NS_PER_S}},
    {"window 100000", {.kind = LIMIT_WINDOW, .requests = 100000, .per_ns = NS_PER_S}},
    {"bucket 5/s depth 10", {.kind = LIMIT_BUCKET, .requests = 5, .per_ns = NS_PER_S, .burst = 10}},
};

static int64_t clock_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static double lower(double a, double b)
{
    return a == 0 || b < a ? b : a;
}

/* Calls become known in the order in which they were sent, not in that of their arrivals. */
struct way {
    mono_ns arrivals[ON_THEIR_WAY];
    uint32_t first, count;
};

static void settle_first(struct way *way, struct limit *limit, mono_ns *now)
{
    mono_ns arrival = way->arrivals[way->first];
    way->first = way->first + 1 < ON_THEIR_WAY ? way->first + 1 : 0;
    way->count--;
    *now = mono_max(*now, arrival);
    limit_arrived(limit, 1, arrival, *now);
}

static void send_one(struct way *way, struct limit *limit, mono_ns now, int64_t delay_ns)
{
    limit_take(limit, 1, now);
    uint32_t last = way->first + way->count++;
    way->arrivals[last < ON_THEIR_WAY ? last : last - ON_THEIR_WAY] = now + delay_ns;
}

/* Nanoseconds for each admitted call, with the refusals that saturation brings along. */
static double decisions(struct limit *limit, int64_t calls, mono_ns *now)
{
    struct way way = {.count = 0};
    struct rng rng;
    int64_t delays[256];
    int64_t sent = 0;

    rng_init(&rng, 1);
    for (size_t i = 0; i < SL_COUNT(delays); i++) {
        delays[i] = rng_between(&rng, 0, 5 * NS_PER_MS);
    }
    int64_t start = clock_ns();
    while (sent < calls) {
        struct limit_verdict verdict = limit_check(limit, 1, *now);
        if (verdict.admit && way.count < ON_THEIR_WAY) {
            send_one(&way, limit, *now, delays[(size_t)sent++ % SL_COUNT(delays)]);
        } else if (way.count > 0 && way.arrivals[way.first] <= mono_max(verdict.at, *now)) {
            settle_first(&way, limit, now);
        } else if (way.count == ON_THEIR_WAY) {
            settle_first(&way, limit, now);
        } else {
            *now = mono_max(*now, verdict.at);
        }
    }
    double total = (double)(clock_ns() - start);
    while (way.count > 0) {
        settle_first(&way, limit, now);
    }
    return total / (double)calls;
}

/* Right after as many calls as are admitted at once. */
static double refusals(struct limit *limit, int64_t calls, mono_ns now)
{
    uint64_t admitted = 0;

    while (limit_check(limit, 1, now).admit) {
        limit_take(limit, 1, now);
        limit_arrived(limit, 1, now, now);
    }
    int64_t start = clock_ns();
    for (int64_t i = 0; i < calls; i++) {
        admitted += limit_check(limit, 1, now).admit;
    }
    double total = (double)(clock_ns() - start);
    SL_ASSERT(admitted == 0);
    return total / (double)calls;
}

static struct result measure(const struct subject *subject, int64_t calls)
{
    struct result result = {0};
    struct limit *limit = NULL;
    struct limit_config config = subject->config;
    mono_ns now = 0;

    config.guard_ns = LIMIT_GUARD_NS;
    config.max_flight_ns = LIMIT_MAX_FLIGHT_NS;
    config.pace = true;
    SL_ASSERT(limit_new(&config, now, &limit) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        result.decision_ns = lower(result.decision_ns, decisions(limit, calls, &now));
        now += 10 * config.per_ns;
        result.refusal_ns = lower(result.refusal_ns, refusals(limit, calls, now));
    }
    limit_free(limit);
    return result;
}

int main(int argc, char **argv)
{
    int64_t calls = CALLS_DEFAULT;
    if (argc > 2 || (argc == 2 && str_to_i64(str_from(argv[1]), 1, INT64_MAX, &calls) != 0)) {
        (void)fprintf(stderr, "usage: limit_bench [calls]\n");
        return 2;
    }
    for (size_t i = 0; i < SL_COUNT(subjects); i++) {
        struct result result = measure(&subjects[i], calls);
        printf("{\"name\":\"%s\",\"ns_per_decision\":%.1f,\"ns_per_refusal\":%.1f}\n",
               subjects[i].name, result.decision_ns, result.refusal_ns);
        (void)fflush(stdout);
    }
    return 0;
}
