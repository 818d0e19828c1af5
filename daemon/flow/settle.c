/*
 * The way out: the queue is told, again if that failed and the message is still ours, and then the
 * message is freed. The next of its group is called only then.
 */
#include "flow_internal.h"

static void message_finish(struct message *message, mono_ns now)
{
    struct route *route = message->route;

    SL_ASSERT(message->state == MESSAGE_SETTLING && !message->settling && !message->extending);
    heap_remove(&route->deadlines, &message->deadline);
    heap_remove(&route->leases, &message->lease);
    group_leave(message, now);
    message_move(message, MESSAGE_NEW);
    lane_leave(message);
    message->settled = true;
    route->settled[message->settle]++;
    message_free(message);
}

/* The rest of a group must not overtake the one that was lost: it goes back too. */
static void release_followers(struct message *message, mono_ns now)
{
    struct group *group = message->group_state;

    if (group == NULL || group->active != message) {
        return;
    }
    LIST_FOR(&group->waiting, node)
    {
        settle_begin(LIST_ENTRY(node, struct message, group_node), SETTLE_RELEASE, 0, now);
    }
}

void settle_begin(struct message *message, enum settle how, int64_t delay_ns, mono_ns now)
{
    struct route *route = message->route;

    route_account(route, now);
    if (how == SETTLE_LOST) {
        release_followers(message, now);
    }
    if (message->state != MESSAGE_SETTLING) {
        if (message->group_state != NULL && message->group_state->active != message) {
            group_leave(message, now);
        }
        message_move(message, MESSAGE_SETTLING);
    }
    message->settle = how;
    message->settle_delay_ns = delay_ns;
    lease_schedule(message);
    heap_set(&route->deadlines, &message->deadline, now);
}

void settle_run(struct message *message, mono_ns now)
{
    struct route *route = message->route;
    struct flow *flow = route->flow;

    heap_remove(&route->deadlines, &message->deadline);
    if (message->extending) {
        return; /* flow_extended brings it back */
    }
    if (message->settle == SETTLE_LOST) {
        message_finish(message, now);
        return;
    }
    message->settling = true;
    lease_schedule(message);
    flow->ops->settle(flow->context, message, message->settle, message->settle_delay_ns);
}

void flow_settled(struct message *message, int error, mono_ns now)
{
    struct route *route = message->route;

    now = flow_time(route->flow, now);
    SL_ASSERT(message->state == MESSAGE_SETTLING && message->settling);
    message->settling = false;
    if (error == 0) {
        message_finish(message, now);
        return;
    }
    if (error == ERR_UNSUPPORTED && message->settle == SETTLE_DEAD_LETTER) {
        /* Its dead-letter queue was deleted: asking again would hold it, and its place, for good.
         */
        settle_begin(message, SETTLE_RELEASE, route->config.retry.max_backoff_ns, now);
        return;
    }
    uint32_t failures = message->settle_failures++;
    heap_set(&route->deadlines, &message->deadline,
             mono_add(now, backoff_ns(SETTLE_BACKOFF_NS, failures, &route->flow->rng)));
    lease_schedule(message);
    if (message
            ->lease_lost) { /* its lease ended during the call, and now it could not be settled */
        settle_begin(message, SETTLE_LOST, 0, now);
    }
}
