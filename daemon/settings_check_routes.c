#include "settings_check.h"

#include "settings_text.h"
#include "sluice/base/clock.h"
#include "sluice/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VISIBILITY_NS     (30 * NS_PER_S)
#define EXPIRES_AFTER_NS  (INT64_C(24) * 3600 * NS_PER_S)
#define VISIBILITY_MAX_NS (INT64_C(12) * 3600 * NS_PER_S)

/* The index of an embedded queue; SETTINGS_NONE for a URL, for nothing and after an error. */
static uint32_t resolve_queue(struct check *check, const char *name, const char *where)
{
    struct str queue = str_from(name);
    if (queue.ptr == NULL) {
        return SETTINGS_NONE;
    }
    if (settings_is_url(queue)) {
        const char *problem = settings_url_problem(queue);
        if (problem != NULL) {
            FAIL(check, where, "the queue URL cannot be used: %s", problem);
        }
        return SETTINGS_NONE;
    }
    if (!config_queue_name_is_valid(queue)) {
        FAIL(check, where,
             "found \"%.80s\"; allowed: the name of a queue (1 to %u of A-Z a-z 0-9 _ -, and .fifo "
             "at the end of a FIFO queue's) or the https:// URL of an SQS queue",
             name, CONFIG_NAME_MAX);
        return SETTINGS_NONE;
    }
    return check_refer(check, NAMES(check->settings->queues), "queues", name, where);
}

static void resolve_destination(struct check *check, const struct route_settings *route,
                                struct destination_settings *to, const char *key)
{
    char queue_key[32];
    char url_key[32];
    (void)snprintf(queue_key, sizeof(queue_key), "%s.queue", key);
    (void)snprintf(url_key, sizeof(url_key), "%s.url", key);
    const struct place queue = place("routes", route->name, queue_key);
    const struct place url = place("routes", route->name, url_key);
    to->queue_index = resolve_queue(check, to->queue, queue.text);
    if (to->queue != NULL && route->queue != NULL && strcmp(to->queue, route->queue) == 0) {
        FAIL(check, queue.text,
             "found \"%.80s\", the route's own queue: every record would be a job again; name "
             "another queue",
             to->queue);
    }
    if (to->queue != NULL && to->url != NULL) {
        FAIL(check, url.text, "given beside queue; give one of both");
    }
    const char *problem = to->url != NULL ? settings_url_problem(str_from(to->url)) : NULL;
    if (problem != NULL) {
        FAIL(check, url.text, "the URL cannot be used: %s", problem);
    }
}

/* A call that takes more permits than there are would wait for ever. */
static void check_weight(struct check *check, const struct route_settings *route,
                         const struct limit_settings *limit)
{
    uint32_t most = limit->kind == LIMIT_BUCKET ? limit->burst : limit->requests;
    if (most > 0 && route->weight > most) {
        FAIL(check, place("routes", route->name, "weight").text,
             "found %u, but the limit \"%s\" never has more than %u permits: no call could start; "
             "allowed: 1 to %u",
             route->weight, limit->name, most, most);
    }
}

static void resolve_route_limits(struct check *check, struct route_settings *route)
{
    char key[32];
    const struct config_strings *names = &route->limits;
    for (uint32_t i = 0; i < names->count && i < LIMIT_SET_MAX; i++) {
        (void)snprintf(key, sizeof(key), "limits[%u]", i);
        const struct place where = place("routes", route->name, key);
        uint32_t index = check_refer(check, NAMES(check->settings->limits), "limits",
                                     names->items[i], where.text);
        route->limit_index[i] = index;
        for (uint32_t j = 0; j < i && index != SETTINGS_NONE; j++) {
            if (route->limit_index[j] == index) {
                FAIL(check, where.text, "found \"%s\" a second time; name each limit once",
                     names->items[i]);
            }
        }
        if (index != SETTINGS_NONE) {
            check_weight(check, route, &check->settings->limits.items[index]);
        }
    }
}

/* No call starts with less of its lease left than it may take: the lease must be longer. */
static void resolve_visibility(struct check *check, struct route_settings *route,
                               const struct target_settings *target)
{
    if (route->visibility_ns == CONFIG_UNSET) {
        int64_t twice = mono_min(2 * target->timeout_ns, VISIBILITY_MAX_NS);
        route->visibility_ns = mono_max(VISIBILITY_NS, twice);
    } else if (route->visibility_ns > 0 && route->visibility_ns <= target->timeout_ns) {
        char found[32];
        char timeout[32];
        config_duration_text(route->visibility_ns, found, sizeof(found));
        config_duration_text(target->timeout_ns, timeout, sizeof(timeout));
        FAIL(check, place("routes", route->name, "visibility").text,
             "found \"%s\"; allowed: more than the target's timeout, \"%s\", or a message would "
             "come back while it is being called",
             found, timeout);
    }
}

static void resolve_route_target(struct check *check, struct route_settings *route)
{
    route->target_index = SETTINGS_NONE;
    if (route->target == NULL) {
        return;
    }
    route->target_index = check_refer(check, NAMES(check->settings->targets), "targets",
                                      route->target, place("routes", route->name, "target").text);
    if (route->target_index == SETTINGS_NONE) {
        return;
    }
    const struct target_settings *target = &check->settings->targets.items[route->target_index];
    if (target->concurrency > 0 && route->concurrency > target->concurrency) {
        FAIL(check, place("routes", route->name, "concurrency").text,
             "found %u; allowed: 0 to %u, the concurrency of target \"%s\"", route->concurrency,
             target->concurrency, target->name);
    }
    if (target->timeout_ns > 0) {
        resolve_visibility(check, route, target);
    }
}

static void check_on_unknown(struct check *check, const struct route_settings *route)
{
    const struct settings *settings = check->settings;

    if (route->queue_index != SETTINGS_NONE &&
        settings->queues.items[route->queue_index].dead_letter == NULL &&
        route->on_failure.queue == NULL && route->on_failure.url == NULL) {
        FAIL(check, place("routes", route->name, "idempotency.on_unknown").text,
             "found \"dead_letter\", but the queue \"%s\" has no dead_letter to move messages to, "
             "and "
             "the route no on_failure",
             route->queue);
    }
}

static void resolve_idempotency(struct check *check, struct route_settings *route)
{
    struct idempotency_settings *idempotency = &route->idempotency;
    const struct place where = place("routes", route->name, "idempotency.key");
    bool is_once = idempotency->on_unknown == IDEMPOTENCY_DEAD_LETTER;
    const char *problem = NULL;

    if (idempotency->key == NULL) {
        if (idempotency->expires_after_ns != CONFIG_UNSET || is_once) {
            FAIL(check, where.text, "not given, so there is no idempotency; allowed: %s",
                 MESSAGE_KEY_FORMS);
        }
        return;
    }
    if (idempotency->expires_after_ns == CONFIG_UNSET) {
        idempotency->expires_after_ns = EXPIRES_AFTER_NS;
    }
    if (message_key_parse(str_from(idempotency->key), &idempotency->parsed, &problem) != 0) {
        FAIL(check, where.text, "found \"%.80s\": %s; allowed: %s", idempotency->key, problem,
             MESSAGE_KEY_FORMS);
    }
    if (is_once) {
        check_on_unknown(check, route);
    }
}

/* ---- records that come back as jobs ---- */

static bool leads_to(const struct route_settings *from, const struct route_settings *to)
{
    const char *const names[] = {from->on_success.queue, from->on_failure.queue};
    for (uint32_t i = 0; i < SL_COUNT(names); i++) {
        if (names[i] != NULL && strcmp(names[i], to->queue) == 0) {
            return true;
        }
    }
    return false;
}

bool check_route_is_circle(const struct settings *settings, const struct route_settings *route)
{
    uint32_t count = settings->routes.count;
    const struct route_settings *routes = settings->routes.items;
    uint32_t *reached = MEM_NEW_ARRAY(count + 1, uint32_t); /* in the order they were */
    bool *seen = MEM_NEW_ARRAY(count + 1, bool);
    uint32_t found = 0;
    bool circle = leads_to(route, route);
    for (uint32_t next = 0; next <= found && !circle; next++) {
        const struct route_settings *from = next == 0 ? route : &routes[reached[next - 1]];
        for (uint32_t i = 0; i < count; i++) {
            if (!seen[i] && leads_to(from, &routes[i])) {
                seen[i] = true;
                reached[found++] = i;
                circle = circle || &routes[i] == route;
            }
        }
    }
    free(seen);
    free(reached);
    return circle;
}

static void resolve_tenant(struct check *check, struct route_settings *route)
{
    const char *problem = NULL;
    if (route->tenant != NULL &&
        message_key_parse(str_from(route->tenant), &route->parsed_tenant, &problem) != 0) {
        FAIL(check, place("routes", route->name, "tenant").text, "found \"%.80s\": %s; allowed: %s",
             route->tenant, problem, MESSAGE_KEY_FORMS);
    }
}

void check_route(struct check *check, struct route_settings *route)
{
    route->queue_index =
        resolve_queue(check, route->queue, place("routes", route->name, "queue").text);
    resolve_destination(check, route, &route->on_success, "on_success");
    resolve_destination(check, route, &route->on_failure, "on_failure");
    resolve_route_target(check, route);
    resolve_route_limits(check, route);
    resolve_tenant(check, route);
    resolve_idempotency(check, route);
    if (route->retry.max_backoff_ns > 0 &&
        route->retry.min_backoff_ns > route->retry.max_backoff_ns) {
        char found[32];
        char max[32];
        config_duration_text(route->retry.min_backoff_ns, found, sizeof(found));
        config_duration_text(route->retry.max_backoff_ns, max, sizeof(max));
        FAIL(check, place("routes", route->name, "retry.min_backoff").text,
             "found \"%s\"; allowed: at most max_backoff, \"%s\"", found, max);
    }
}
