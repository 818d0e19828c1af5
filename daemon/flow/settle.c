/*
 * The way out: the queue is told, again if that failed and the message is still ours, and then the
 * message is freed. The next of its group is called only then.
 */
#include "flow_internal.h"

static struct message *behind(struct list_node *node)
{
    return LIST_ENTRY(node, struct message, group_node);
}

/*
 * Those behind a message of a group that goes back, or is lost, go back as well and are not called:
 * in the queue they are behind it again (I7). They go first, at once: the queue hands out no
 * message of a group while an earlier one is hidden, so they are not received before it, however
 * long it stays away. A newer receipt of the message itself takes its place; what follows that one
 * was received after it.
 */
static void release_behind(struct message *message, mono_ns now)
{
    struct group *group = message->group_state;
    bool is_behind = group != NULL && group->active == message;

    if (group == NULL) {
        return;
    }
    LIST_FOR(&group->waiting, node)
    {
        struct message *other = behind(node);
        if (other == message) {
            is_behind = true;
        } else if (is_behind && str_equal(other->id, message->id)) {
            return;
        } else if (is_behind) {
            group_leave(other, now);
            settle_begin(other, SETTLE_RELEASE, 0, now);
        }
    }
}

/* Its lease was lost during the call that did it, and the queue gave it to us again meanwhile: that
 * receipt is acknowledged, instead of calling twice. */
static void settle_newer_receipt(struct message *message, mono_ns now)
{
    struct group *group = message->group_state;

    if (group == NULL || group->active != message) {
        return;
    }
    LIST_FOR(&group->waiting, node)
    {
        if (str_equal(behind(node)->id, message->id)) {
            settle_begin(behind(node), SETTLE_ACK, 0, now);
            return;
        }
    }
}

bool flow_settle_is_urgent(const struct message *message)
{
    const struct group *group = message->group_state;

    return group != NULL && group->active == message &&
           (group->waiting.count > 0 || route_ready_count(message->route) == 0);
}

static void message_finish(struct message *message, mono_ns now)
{
    struct route *route = message->route;

    SL_ASSERT(message->state == MESSAGE_SETTLING && !message->settling && !message->extending);
    heap_remove(&route->deadlines, &message->deadline);
    heap_remove(&route->leases, &message->lease);
    group_leave(message, now);
    message_move(message, MESSAGE_NEW);
    lane_leave(message);
    health_forget(message);
    message->settled = true;
    route->settled[message->settle]++;
    message_free(message);
}

void settle_begin(struct message *message, enum settle how, int64_t delay_ns, mono_ns now)
{
    struct route *route = message->route;

    route_account(route, now);
    if (how == SETTLE_ACK && message->lease_lost) {
        settle_newer_receipt(message, now);
    } else if (how == SETTLE_RELEASE || how == SETTLE_LOST) {
        release_behind(message, now);
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

/* Once more while it is ours, however long the backoff. */
static mono_ns settle_again_at(const struct message *message, int64_t wait_ns, mono_ns now)
{
    mono_ns at = mono_add(now, wait_ns), last = message->lease_until - SETTLE_LAST_NS;

    return message->lease_until != MONO_NEVER && last > now ? mono_min(at, last) : at;
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
    if (error == ERR_NOT_FOUND) { /* another receiver's by now, whatever was to be told */
        route->leases_lost += message->lease_lost ? 0 : 1;
        message->lease_lost = true;
        if (message->settle == SETTLE_ACK) {
            settle_newer_receipt(message, now);
        }
    }
    if (message->lease_lost) { /* it could not be settled, and is no longer ours */
        settle_begin(message, SETTLE_LOST, 0, now);
        return;
    }
    int64_t wait_ns = backoff_ns(SETTLE_BACKOFF_NS, message->settle_failures++, &route->flow->rng);
    heap_set(&route->deadlines, &message->deadline, settle_again_at(message, wait_ns, now));
    lease_schedule(message);
    lease_put_off(message, now);
}
