#include "cost.h"

#include "sluice/aws/sqs_client.h"
#include "sluice/base/mem.h"

#include <stdlib.h>

/* Of a million requests in us-east-1, beyond the first million of a month: standard and FIFO. */
#define CENTS_STANDARD 40
#define CENTS_FIFO     50

struct cost_families {
    struct metric_family *requests, *billed, *dollars;
};

/* Those that a source makes. */
static const enum sqs_action actions[] = {SQS_RECEIVE_MESSAGE, SQS_DELETE_MESSAGE_BATCH,
                                          SQS_CHANGE_MESSAGE_VISIBILITY_BATCH, SQS_SEND_MESSAGE,
                                          SQS_GET_QUEUE_ATTRIBUTES};

struct route_cost {
    double cents; /* of a million requests */
    struct metric *requests[SL_COUNT(actions)];
    struct metric *billed, *dollars;
};

static const struct sqs_client_totals *totals_of(const struct delivery_route *route)
{
    return route->source->ops->totals == NULL ? NULL : route->source->ops->totals(route->source);
}

void cost_init(struct delivery *d)
{
    static const char *const by_route[] = {"route", NULL};
    static const char *const by_route_action[] = {"route", "action", NULL};

    d->cost = MEM_NEW(struct cost_families);
    d->cost->requests =
        metrics_family(d->metrics, METRIC_COUNTER, "sluice_source_requests_total",
                       "Requests to Amazon SQS, those that failed included.", by_route_action);
    d->cost->billed = metrics_family(
        d->metrics, METRIC_COUNTER, "sluice_source_billed_requests_total",
        "Requests to Amazon SQS as they are billed: one for each started 64 KiB.", by_route);
    d->cost->dollars = metrics_family(
        d->metrics, METRIC_COUNTER, "sluice_source_estimated_cost_dollars_total",
        "Billed requests at the price of the configuration (aws.cents_per_million_requests).",
        by_route);
}

void cost_done(struct delivery *d)
{
    free(d->cost);
}

void cost_route(struct delivery *d, struct delivery_route *route)
{
    bool fifo = str_ends_with(str_from(route->queue), STR(".fifo"));

    if (totals_of(route) == NULL) {
        return;
    }
    route->cost = MEM_NEW(struct route_cost);
    route->cost->cents = d->cents_per_million > 0 ? d->cents_per_million
                         : fifo                   ? CENTS_FIFO
                                                  : CENTS_STANDARD;
    for (size_t i = 0; i < SL_COUNT(actions); i++) {
        const char *labels[] = {route->name, sqs_action_info(actions[i])->name};
        route->cost->requests[i] = metric_series(d->cost->requests, labels);
    }
    const char *labels[] = {route->name};
    route->cost->billed = metric_series(d->cost->billed, labels);
    route->cost->dollars = metric_series(d->cost->dollars, labels);
}

static double dollars_of(const struct delivery_route *route)
{
    return (double)totals_of(route)->billed * route->cost->cents / 100 / 1e6;
}

void cost_collect(struct delivery_route *route)
{
    const struct sqs_client_totals *totals = totals_of(route);

    if (totals == NULL) {
        return;
    }
    for (size_t i = 0; i < SL_COUNT(actions); i++) {
        metric_set(route->cost->requests[i], (double)totals->requests[actions[i]]);
    }
    metric_set(route->cost->billed, (double)totals->billed);
    metric_set(route->cost->dollars, dollars_of(route));
}

void cost_status(const struct delivery_route *route, struct json_writer *w)
{
    const struct sqs_client_totals *totals = totals_of(route);
    struct route_stats stats;
    uint64_t requests = 0;

    if (totals == NULL) {
        return;
    }
    for (int action = 0; action < SQS_ACTION__COUNT; action++) {
        requests += totals->requests[action];
    }
    flow_route_stats(route->route, &stats);
    uint64_t over = stats.settled[SETTLE_ACK] + stats.settled[SETTLE_DEAD_LETTER];
    json_key_write(w, STR("sqs"));
    json_object_begin(w);
    json_member_i64(w, "requests", (int64_t)requests);
    json_member_i64(w, "billed_requests", (int64_t)totals->billed);
    json_member_i64(w, "empty_receives", (int64_t)metric_value(route->receives_empty));
    if (over > 0) { /* nothing to divide by before */
        json_member_double(w, "requests_per_1000_messages", 1000 * (double)requests / (double)over);
        json_member_double(w, "dollars_per_million_messages",
                           1e6 * dollars_of(route) / (double)over);
    }
    json_object_end(w);
}
