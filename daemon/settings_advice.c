#include "settings_advice.h"

#include "settings_check.h"

#include "sluice/base/clock.h"
#include "sluice/sqs/arn.h"
#include "sluice/sqs/validate.h"

#include <math.h>
#include <stdio.h>

#define HORIZON_NS         (2 * NS_PER_S) /* a message is received that long before its call, at most */
#define LEASE_MAX_S        INT64_C(43200) /* SQS: from a receive, whatever is extended */
#define RECEIVES_MIN       3u             /* a few restarts may happen to a message */
#define IN_FLIGHT_MAX      INT64_C(120000)
#define IN_FLIGHT_WARN     INT64_C(100000)
#define PLAN_ATTEMPTS_MAX  100000u
#define REDRIVE_POLICY_MAX 4096
#define AGE_TEXT           32

struct advice {
    const struct settings *settings;
    const struct route_settings *route;
    const struct target_settings *target;
    const struct advice_queue *queue;
    struct buf *report;
    struct error_list *warnings;
    uint32_t concurrency;               /* of the route */
    double pace;                        /* calls a second that its limits allow; 0: no limit */
    const char *narrowest;              /* the limit that sets the pace */
    uint32_t sharers;                   /* routes on that limit */
    const struct limit_settings *quota; /* NULL: none; it sets no pace, it ends */
};

#define WARN(advice, key, ...)                                                                     \
    (void)error_list_add((advice)->warnings, ERR_OK,                                               \
                         place("routes", (advice)->route->name, key).text, __VA_ARGS__)

struct text {
    char text[AGE_TEXT];
};

static struct text age(int64_t seconds)
{
    struct text ret = {""};
    (void)str_age(ret.text, sizeof(ret.text), seconds);
    return ret;
}

static struct text duration(int64_t ns)
{
    struct text ret = {""};
    config_duration_text(ns, ret.text, sizeof(ret.text));
    return ret;
}

/* ---- the queue ---- */

void advice_queue_of_settings(const struct settings *settings, uint32_t index,
                              struct advice_queue *ret)
{
    const struct queue_settings *q = &settings->queues.items[index];

    *ret = (struct advice_queue){.fifo = q->fifo,
                                 .visibility_s = q->visibility_timeout_s,
                                 .retention_s = q->retention_s,
                                 .delay_s = q->delay_s,
                                 .oldest_age_s = -1};
    if (q->dead_letter != NULL) {
        ret->max_receives = q->max_receives;
        (void)str_copy(ret->dead_letter, sizeof(ret->dead_letter), str_from(q->dead_letter));
    }
}

static void take_redrive(struct advice_queue *queue, struct str value)
{
    struct arena arena;
    struct sqs_redrive_policy policy;
    struct sqs_arn arn;
    struct sqs_error e;

    queue->max_receives = 0;
    arena_init(&arena, REDRIVE_POLICY_MAX);
    if (sqs_redrive_policy_parse(value, &arena, &policy, &e) == SQS_OK &&
        sqs_arn_parse(policy.dead_letter_arn, &arn) == ERR_OK) {
        queue->max_receives = (uint32_t)policy.max_receives;
        (void)str_copy(queue->dead_letter, sizeof(queue->dead_letter), arn.name);
    }
    arena_done(&arena);
}

void advice_queue_attribute(struct advice_queue *queue, struct str name, struct str value)
{
    const struct {
        struct str name;
        int64_t *ret;
    } numbers[] = {
        {STR("VisibilityTimeout"), &queue->visibility_s},
        {STR("MessageRetentionPeriod"), &queue->retention_s},
        {STR("DelaySeconds"), &queue->delay_s},
        {STR("ApproximateNumberOfMessages"), &queue->visible},
        {STR("ApproximateNumberOfMessagesNotVisible"), &queue->in_flight},
        {STR("ApproximateNumberOfMessagesDelayed"), &queue->delayed},
    };
    int64_t number;

    if (str_equal(name, STR("RedrivePolicy"))) {
        take_redrive(queue, value);
    } else if (str_equal(name, STR("FifoQueue"))) {
        queue->fifo = str_equal(value, STR("true"));
    }
    for (size_t i = 0; i < SL_COUNT(numbers); i++) {
        if (str_equal(name, numbers[i].name) && str_to_i64(value, 0, INT64_MAX / 4, &number) == 0) {
            *numbers[i].ret = number;
        }
    }
}

static int64_t backlog_of(const struct advice_queue *queue)
{
    return queue->visible + queue->in_flight + queue->delayed;
}

static void report_queue(const struct advice *a)
{
    const struct advice_queue *q = a->queue;

    buf_addf(a->report, "  queue    %s; ", q->fifo ? "FIFO" : "standard");
    if (q->counted) {
        buf_addf(a->report, "%lld visible, %lld in flight, %lld delayed; ", (long long)q->visible,
                 (long long)q->in_flight, (long long)q->delayed);
    }
    buf_addf(a->report, "visibility %s, retention %s, ", age(q->visibility_s).text,
             age(q->retention_s).text);
    if (q->max_receives > 0) {
        buf_addf(a->report, "dead-letter queue %s after %u receives\n", q->dead_letter,
                 q->max_receives);
    } else {
        buf_adds(a->report, "no dead-letter queue\n");
    }
}

/* ---- the pace ---- */

/* Calls a second. */
static double limit_pace(const struct limit_settings *limit, const struct route_settings *route)
{
    return (double)limit->requests * (double)NS_PER_S / (double)limit->per_ns / route->weight;
}

static uint32_t routes_on(const struct settings *settings, uint32_t limit)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < settings->routes.count; i++) {
        const struct route_settings *r = &settings->routes.items[i];
        for (uint32_t j = 0; j < r->limits.count; j++) {
            count += r->limit_index[j] == limit ? 1 : 0;
        }
    }
    return count;
}

const struct limit_settings *settings_narrowest_limit(const struct settings *settings,
                                                      const struct route_settings *route,
                                                      double *ret_pace)
{
    const struct limit_settings *narrowest = NULL;

    for (uint32_t i = 0; i < route->limits.count; i++) {
        const struct limit_settings *l = &settings->limits.items[route->limit_index[i]];
        /* A quota ends; one that only counts holds nothing up; one by key, as much as there are
           keys. */
        bool bounds = l->kind != LIMIT_QUOTA && !l->dry_run && l->key == NULL;
        double pace = limit_pace(l, route);
        if (bounds && (narrowest == NULL || pace < *ret_pace)) {
            narrowest = l;
            *ret_pace = pace;
        }
    }
    return narrowest;
}

static void find_pace(struct advice *a)
{
    const struct route_settings *r = a->route;
    const struct limit_settings *narrowest = settings_narrowest_limit(a->settings, r, &a->pace);

    if (narrowest != NULL) {
        a->narrowest = narrowest->name;
        a->sharers = routes_on(a->settings, (uint32_t)(narrowest - a->settings->limits.items));
    }
    for (uint32_t i = 0; i < r->limits.count; i++) {
        const struct limit_settings *l = &a->settings->limits.items[r->limit_index[i]];
        if (l->kind == LIMIT_QUOTA &&
            (a->quota == NULL || limit_pace(l, r) < limit_pace(a->quota, r))) {
            a->quota = l;
        }
    }
}

/* Little's law: concurrency = pace × latency. */
static void report_pace(const struct advice *a)
{
    double timeout_s = (double)a->target->timeout_ns / (double)NS_PER_S;
    double slowest = a->concurrency / timeout_s;

    if (a->narrowest == NULL) {
        buf_addf(a->report,
                 "  pace     no limit: the %u calls at once and the target's own speed decide\n",
                 a->concurrency);
        return;
    }
    buf_addf(a->report, "  pace     at most %.4g calls a second (limit %s", a->pace, a->narrowest);
    if (a->sharers > 1) {
        buf_addf(a->report, ", all of it, which %u routes share", a->sharers);
    }
    buf_adds(a->report, "); ");
    if (slowest >= a->pace) {
        buf_addf(a->report, "%u at once suffice even if every call takes its timeout, %s\n",
                 a->concurrency, duration(a->target->timeout_ns).text);
    } else {
        buf_addf(a->report,
                 "when calls take longer than %.3g s on average, the concurrency (%u) decides: at "
                 "the timeout (%s) it is %.3g a second\n",
                 a->concurrency / a->pace, a->concurrency, duration(a->target->timeout_ns).text,
                 slowest);
    }
}

static void report_quota(const struct advice *a)
{
    if (a->quota != NULL) {
        buf_addf(a->report, "  quota    %u calls %s (limit %s), then none until the next\n",
                 a->quota->requests / a->route->weight,
                 a->quota->per_ns == LIMIT_HOUR_NS ? "an hour" : "a day", a->quota->name);
    }
}

/* At the pace, and with the pauses when a quota is used up. */
static int64_t drain_seconds(const struct advice *a, int64_t backlog)
{
    double seconds = a->narrowest != NULL ? (double)backlog / a->pace : 0;
    if (a->quota != NULL) {
        double calls = (double)a->quota->requests / a->route->weight;
        double periods = floor((double)(backlog - 1) / calls);
        double by_quota = periods * (double)a->quota->per_ns / (double)NS_PER_S;
        seconds = by_quota > seconds ? by_quota : seconds;
    }
    return seconds < 1e12 ? (int64_t)seconds + 1 : INT64_C(1000000000000);
}

static void advise_backlog(const struct advice *a)
{
    const struct advice_queue *q = a->queue;
    int64_t backlog = backlog_of(q);

    if (!q->counted || (a->narrowest == NULL && a->quota == NULL) || backlog == 0) {
        return;
    }
    int64_t drain_s = drain_seconds(a, backlog);
    buf_addf(a->report, "  backlog  %lld messages, at that pace %s", (long long)backlog,
             age(drain_s).text);
    if (q->oldest_age_s >= 0) {
        buf_addf(a->report, "; the oldest is %s old and is kept for another %s",
                 age(q->oldest_age_s).text, age(q->retention_s - q->oldest_age_s).text);
    }
    buf_adds(a->report, "\n");
    if (drain_s > q->retention_s) {
        WARN(a, "queue",
             "the backlog of %lld messages takes %s, and a message is kept for "
             "%s: those at its end expire before their turn; raise the retention or the limit",
             (long long)backlog, age(drain_s).text, age(q->retention_s).text);
    } else if (q->oldest_age_s >= 0 && drain_s > q->retention_s - q->oldest_age_s) {
        WARN(a, "queue",
             "the backlog of %lld messages takes %s, and the oldest is kept for "
             "another %s only: messages that are as old expire before their turn",
             (long long)backlog, age(drain_s).text, age(q->retention_s - q->oldest_age_s).text);
    }
}

/* ---- what will go wrong ---- */

static bool is_sqs(const struct advice *a)
{
    return a->route->queue_index == SETTINGS_NONE;
}

/* The longest that a message may be tried. */
struct retry_span {
    int64_t seconds; /* -1: without an end */
    const char *key; /* the bound that ends it */
    char found[AGE_TEXT];
};

static struct retry_span attempts_span(const struct advice *a)
{
    const struct retry_config *retry = &a->route->retry;
    struct retry_span span = {.seconds = -1, .key = "retry.max_attempts"};
    int64_t ns = 0;

    if (retry->max_attempts == 0 || retry->max_attempts > PLAN_ATTEMPTS_MAX) {
        return span;
    }
    for (uint32_t k = 0; k < retry->max_attempts; k++) {
        int64_t wait_ns = k + 1 < retry->max_attempts ? retry_backoff_bound_ns(retry, k) : 0;
        ns = mono_add(ns, mono_add(wait_ns, a->target->timeout_ns));
    }
    span.seconds = ns / NS_PER_S;
    (void)snprintf(span.found, sizeof(span.found), "%u attempts", retry->max_attempts);
    return span;
}

static struct retry_span retry_span(const struct advice *a)
{
    struct retry_span span = attempts_span(a);
    int64_t most_ns = a->route->retry.max_retry_duration_ns;
    int64_t most_s = (most_ns + a->target->timeout_ns) / NS_PER_S;

    if (most_ns > 0 && (span.seconds < 0 || most_s < span.seconds)) {
        span = (struct retry_span){.seconds = most_s, .key = "retry.max_retry_duration"};
        (void)snprintf(span.found, sizeof(span.found), "\"%.28s\"", duration(most_ns).text);
    }
    return span;
}

static void advise_plan(const struct advice *a)
{
    const struct advice_queue *q = a->queue;
    struct retry_span span = retry_span(a);
    int64_t receives = span.seconds / LEASE_MAX_S + 1;

    if (span.seconds > q->retention_s) {
        WARN(a, span.key,
             "%s: with its waits and calls a message may be tried for %s, and it is kept for %s: "
             "it would expire before; use fewer attempts, shorter waits, or raise the retention",
             span.found, age(span.seconds).text, age(q->retention_s).text);
    }
    if (is_sqs(a) && q->max_receives > 0 && receives > q->max_receives) {
        WARN(a, span.key,
             "%s: with its waits and calls a message may be tried for %s, and SQS lets nobody hold "
             "one for more than 12h: that is %lld receives, and the queue gives up after %u; raise "
             "its maxReceiveCount",
             span.found, age(span.seconds).text, (long long)receives, q->max_receives);
    }
}

static void advise_receives(const struct advice *a)
{
    const struct advice_queue *q = a->queue;

    if (q->max_receives == 0 && is_sqs(a)) {
        WARN(a, "queue",
             "the queue has no dead-letter queue: messages that the target refuses for good stay "
             "in it and are called again until they expire; give it a redrive policy");
    } else if (q->max_receives > 0 && q->max_receives < RECEIVES_MIN) {
        WARN(a, "queue",
             "the queue gives a message up after %u receive%s, and one that a restart hands back, "
             "or whose lease is lost, has used one without a call: it would be a dead letter for "
             "nothing; sluice counts the attempts itself (retry.max_attempts), so let the queue "
             "allow 5 or more",
             q->max_receives, q->max_receives == 1 ? "" : "s");
    }
    if (q->in_flight >= IN_FLIGHT_WARN) {
        WARN(a, "queue",
             "%lld messages are in flight, and beyond %lld SQS hands out no more: somebody "
             "receives and does not delete",
             (long long)q->in_flight, (long long)IN_FLIGHT_MAX);
    }
}

/* No call starts with less of its lease left than it may take. */
static void advise_visibility(const struct advice *a)
{
    int64_t wanted = a->target->timeout_ns + HORIZON_NS;

    if (is_sqs(a) && a->route->visibility_ns < wanted) {
        WARN(
            a, "visibility",
            "\"%s\" is hardly more than the target's timeout, \"%s\": a message that waits longer "
            "than %s for its turn must be extended before it can be called; use \"%s\" or more",
            duration(a->route->visibility_ns).text, duration(a->target->timeout_ns).text,
            duration(a->route->visibility_ns - a->target->timeout_ns).text,
            duration(2 * a->target->timeout_ns > wanted ? 2 * a->target->timeout_ns : wanted).text);
    }
}

void advice_route(const struct settings *settings, uint32_t route, const struct advice_queue *queue,
                  struct buf *report, struct error_list *warnings)
{
    const struct route_settings *r = &settings->routes.items[route];
    struct advice a = {.settings = settings,
                       .route = r,
                       .target = &settings->targets.items[r->target_index],
                       .queue = queue,
                       .report = report,
                       .warnings = warnings};

    a.concurrency = r->concurrency > 0 ? r->concurrency : a.target->concurrency;
    find_pace(&a);
    buf_addf(report, "route %s: %s -> %s\n", r->name, r->queue, r->target);
    report_queue(&a);
    report_pace(&a);
    report_quota(&a);
    advise_backlog(&a);
    advise_visibility(&a);
    advise_receives(&a);
    advise_plan(&a);
}
