/*
 * What a person on call does to a running delivery, and what they see of it.
 */
#include "cost.h"
#include "delivery_internal.h"

#include "sluice/runtime/log.h"

int delivery_route_pause(struct delivery *d, const char *name, bool paused, struct error *e)
{
    struct delivery_route *route = delivery_route_find(d, name);

    if (route == NULL) {
        return error_set(e, ERR_NOT_FOUND, name, "no such route; `sluice status` lists the routes");
    }
    flow_route_pause(route->route, paused);
    if (paused) {
        route->source->ops->cancel_receive(route->source);
    }
    LOG_INFO(paused ? "route paused" : "route resumed", LOG_STR("route", name));
    loop_wake(d->loop);
    return 0;
}

static struct delivery_limit *limit_of_route(struct delivery_route *route, const char *name,
                                             struct error *e)
{
    if (name == NULL && route->limit_count == 1) {
        return route->limits[0];
    }
    if (name == NULL) {
        (void)error_set(e, ERR_INVALID, route->name,
                        route->limit_count == 0
                            ? "the route has no limit; name one in the configuration and restart"
                            : "the route has %u limits: say which one with --limit NAME",
                        route->limit_count);
        return NULL;
    }
    for (uint32_t i = 0; i < route->limit_count; i++) {
        if (str_equal(str_from(route->limits[i]->name), str_from(name))) {
            return route->limits[i];
        }
    }
    (void)error_set(e, ERR_NOT_FOUND, name, "the route %s has no such limit", route->name);
    return NULL;
}

/* Of the routes on this limit: a call that takes more permits than there are would never start. */
static uint32_t heaviest_call(struct delivery *d, const struct delivery_limit *limit)
{
    uint32_t heaviest = 1;

    LIST_FOR(&d->routes, node)
    {
        struct delivery_route *route = LIST_ENTRY(node, struct delivery_route, node);
        for (uint32_t i = 0; i < route->limit_count; i++) {
            uint32_t weight = flow_route_config(route->route)->weight;
            if (route->limits[i] == limit && weight > heaviest) {
                heaviest = weight;
            }
        }
    }
    return heaviest;
}

static int change_check(struct delivery *d, const struct delivery_limit *limit,
                        const struct limit_config *config, struct error *e)
{
    uint32_t heaviest = heaviest_call(d, limit);

    if (config->kind != LIMIT_BUCKET && config->requests < heaviest) {
        return error_set(e, ERR_RANGE, limit->name,
                         "a call takes %u permits: at least %u requests are needed", heaviest,
                         heaviest);
    }
    if (config->kind == LIMIT_QUOTA && config->per_ns != limit_config(limit->limit)->per_ns) {
        return error_set(e, ERR_RANGE, limit->name,
                         "a quota keeps its period while the daemon runs: give it as %s",
                         limit_config(limit->limit)->per_ns == LIMIT_HOUR_NS ? "N/1h" : "N/24h");
    }
    if (limit_outlives_process(config) != config->saved) {
        return error_set(e, ERR_RANGE, limit->name,
                         "a limit of more than 60s keeps its state on disk and a shorter one does "
                         "not; to go from one to the other, change the configuration and restart");
    }
    return limit_config_check(config, e);
}

int delivery_limit_change(struct delivery *d, const char *route_name, const char *limit_name,
                          uint32_t requests, int64_t per_ns, struct error *e)
{
    struct delivery_route *route = delivery_route_find(d, route_name);
    struct delivery_limit *limit;
    struct limit_config config;
    int error;

    if (route == NULL) {
        return error_set(e, ERR_NOT_FOUND, route_name,
                         "no such route; `sluice status` lists the routes");
    }
    limit = limit_of_route(route, limit_name, e);
    if (limit == NULL) {
        return e != NULL ? e->code : ERR_INVALID;
    }
    config = *delivery_limit_config(limit);
    config.requests = requests;
    config.per_ns = per_ns;
    error = change_check(d, limit, &config, e);
    if (error != 0) {
        return error;
    }
    error = limit->limit != NULL ? limit_resize(limit->limit, &config, loop_now())
                                 : limit_keyed_resize(limit->keyed, &config, loop_now());
    if (error != 0) { /* all else was checked */
        return error_set(e, error, limit->name,
                         "its keys hold at most %u permits in all, so up to %u for each of %u keys",
                         LIMIT_KEYED_PERMITS_MAX, LIMIT_KEYED_PERMITS_MAX / limit->keys_max,
                         limit->keys_max);
    }
    if (limit->limit != NULL) {
        window_peak_init(&limit->peak, requests, per_ns);
    }
    flow_limits_changed(d->flow);
    if (limit->saved != NULL) {
        quotas_resize(limit->saved, &config);
    }
    LOG_INFO("limit changed", LOG_STR("limit", limit->name), LOG_I64("requests", requests),
             LOG_I64("per_ms", per_ns / NS_PER_MS));
    loop_wake(d->loop);
    return 0;
}

const char *delivery_trouble(struct delivery *d)
{
    LIST_FOR(&d->targets, node)
    {
        struct delivery_target *target = LIST_ENTRY(node, struct delivery_target, node);
        if (target->resolver != NULL && resolver_entry_addresses(target->resolver) == NULL) {
            return "a target's name does not resolve";
        }
    }
    return NULL;
}

void delivery_limit_describe(const struct delivery_limit *limit, struct json_writer *w)
{
    const struct limit_config *config = delivery_limit_config(limit);

    json_member_str(w, "name", str_from(limit->name));
    json_member_i64(w, "requests", config->requests);
    json_member_double(w, "per_seconds", (double)config->per_ns / (double)NS_PER_S);
}

static void limits_status(struct delivery *d, struct json_writer *w)
{
    json_key_write(w, STR("limits"));
    json_array_begin(w);
    LIST_FOR(&d->limits, node)
    {
        struct delivery_limit *limit = LIST_ENTRY(node, struct delivery_limit, node);
        const struct limit_config *config = delivery_limit_config(limit);
        json_object_begin(w);
        delivery_limit_describe(limit, w);
        json_member_str(w, "hold",
                        config->hold == LIMIT_HOLD_ARRIVAL ? STR("arrival") : STR("response"));
        json_member_bool(w, "dry_run", config->dry_run);
        if (limit->keyed != NULL) {
            json_member_i64(w, "keys", limit_keyed_count(limit->keyed));
        } else {
            json_member_i64(w, "free_permits", limit_free_permits(limit->limit, loop_now()));
            if (config->kind != LIMIT_QUOTA) { /* its periods are no window */
                json_member_i64(w, "window_peak", limit->peak.peak);
            }
        }
        json_object_end(w);
    }
    json_array_end(w);
}

static void targets_status(struct delivery *d, struct json_writer *w)
{
    json_key_write(w, STR("targets"));
    json_array_begin(w);
    LIST_FOR(&d->targets, node)
    {
        struct delivery_target *target = LIST_ENTRY(node, struct delivery_target, node);
        struct concurrency *concurrency = flow_target_concurrency(target->target);
        char url[2200];

        json_object_begin(w);
        json_member_str(w, "name", str_from(target->name));
        json_member_str(w, "url",
                        str_from(str_redact_url(url, sizeof(url), str_from(target->url))));
        json_member_i64(w, "concurrency", concurrency->bound);
        json_member_i64(w, "in_flight", concurrency_used(concurrency, loop_now()));
        json_member_str(w, "breaker",
                        str_from(breaker_state_name(flow_target_breaker(target->target)->state)));
        json_member_bool(w, "resolved", resolver_entry_addresses(target->resolver) != NULL);
        json_object_end(w);
    }
    json_array_end(w);
}

static void route_status(const struct delivery_route *route, struct json_writer *w)
{
    struct route_stats stats;

    flow_route_stats(route->route, &stats);
    json_object_begin(w);
    json_member_str(w, "name", str_from(route->name));
    json_member_str(w, "queue", str_from(route->queue));
    json_member_str(w, "source", str_from(route->source->ops->kind));
    json_member_str(w, "target", str_from(route->target->name));
    json_member_bool(w, "paused", stats.paused);
    json_member_bool(w, "draining", stats.draining);
    json_member_str(w, "blocked_by", str_from(limit_reason_name(stats.blocked_by)));
    for (int state = MESSAGE_BUFFERED; state < MESSAGE_STATE__COUNT; state++) {
        json_member_i64(w, message_state_name((enum message_state)state), stats.held[state]);
    }
    json_member_i64(w, "received", (int64_t)stats.received);
    json_member_i64(w, "started", (int64_t)stats.started);
    json_member_i64(w, "retries", (int64_t)stats.retries);
    json_key_write(w, STR("settled"));
    json_object_begin(w);
    for (int how = 0; how < SETTLE__COUNT; how++) {
        json_member_i64(w, settle_name((enum settle)how), (int64_t)stats.settled[how]);
    }
    json_object_end(w);
    cost_status(route, w);
    json_object_end(w);
}

void delivery_status(struct delivery *d, struct json_writer *w)
{
    limits_status(d, w);
    targets_status(d, w);
    json_key_write(w, STR("routes"));
    json_array_begin(w);
    LIST_FOR(&d->routes, node)
    {
        route_status(LIST_ENTRY(node, struct delivery_route, node), w);
    }
    json_array_end(w);
}
