/*
 * A lease is our time with a message. It is extended in time, for messages that wait as for
 * messages in flight, so that waiting never costs a receive (I5). No call starts on less than its
 * timeout. A message that can be extended no further (SQS: twelve hours after its receipt) goes
 * back while it is still ours. When the lease ran out all the same, or the queue says so, the
 * message is another receiver's: it is forgotten here, and not called.
 */
#include "flow_internal.h"

static bool is_to_be_called(const struct message *message)
{
    return message->state != MESSAGE_IN_FLIGHT && message->state != MESSAGE_SETTLING;
}

/* While it waits here its queue may come to delete it, which no extension puts off. */
static bool expires_here(const struct message *message, mono_ns by)
{
    return is_to_be_called(message) && message_expires(message, by);
}

static int64_t timeout_of(const struct message *message)
{
    return message->route->config.target->config.timeout_ns;
}

/* Its end is as late as it can be; the queue counts in seconds. */
static bool is_at_cap(const struct message *message)
{
    return message->lease_cap != MONO_NEVER && message->lease_until > message->lease_cap - NS_PER_S;
}

/* How much is left when it is time to ask for more: half, and before a call never less than the
 * call and an extension that is slow to come. */
static int64_t reserve_of(const struct message *message)
{
    int64_t half_ns = message->visibility_ns / 2, timeout_ns = timeout_of(message);

    if (!is_to_be_called(message)) {
        return half_ns;
    }
    return mono_max(half_ns, mono_add(timeout_ns, timeout_ns / 8));
}

static mono_ns watch_from(const struct message *message)
{
    /* A settlement is a matter of moments, unless it fails: a destination may be down for long. */
    bool is_leaving = message->state == MESSAGE_SETTLING && message->settle_failures == 0;

    if (message->extending || is_leaving) {
        return message->lease_until;
    }
    mono_ns due = message->lease_until - reserve_of(message);
    if (is_at_cap(message)) { /* the last moment at which a call may start */
        due = message->lease_until - (is_to_be_called(message) ? timeout_of(message) : 0);
    }
    return expires_here(message, due) ? message->expires_at : due;
}

void lease_schedule(struct message *message)
{
    struct heap *leases = &message->route->leases;

    if (message->lease_until == MONO_NEVER || message->settling || message->lease_lost) {
        heap_remove(leases, &message->lease);
        return;
    }
    heap_set(leases, &message->lease, watch_from(message));
}

/* A visibility hardly longer than a call would have to be extended before each: half a call more
 * is asked for then. */
static void lease_extend(struct message *message, mono_ns now)
{
    struct flow *flow = message->route->flow;
    int64_t timeout_ns = timeout_of(message);

    message->extension_ns = mono_max(message->visibility_ns, mono_add(timeout_ns, timeout_ns / 2));
    if (message->lease_cap != MONO_NEVER) {
        message->extension_ns = mono_min(message->extension_ns, message->lease_cap - now);
    }
    message->extending = true;
    lease_schedule(message);
    flow->ops->extend(flow->context, message);
}

bool lease_suffices(const struct message *message, mono_ns now)
{
    return message->lease_until == MONO_NEVER || message->lease_until - now >= timeout_of(message);
}

void lease_park(struct message *message, mono_ns now)
{
    if (is_at_cap(message)) {
        hand_back(message, now);
        return;
    }
    message_move(message, MESSAGE_BUFFERED);
    message->lease_wait = true;
    if (!message->extending) {
        lease_extend(message, now);
    }
}

static void lease_end(struct message *message, mono_ns now)
{
    heap_remove(&message->route->leases, &message->lease);
    message->lease_lost = true;
    message->route->leases_lost++;
    if (message->state == MESSAGE_IN_FLIGHT) {
        return; /* what comes of the call is settled all the same */
    }
    settle_begin(message, SETTLE_LOST, 0, now);
}

static void lease_due(struct message *message, mono_ns now)
{
    if (message->lease_until <= now) {
        lease_end(message, now);
    } else if (expires_here(message, now)) {
        give_up(message, GIVE_UP_EXPIRED, now);
    } else if (is_at_cap(message)) {
        hand_back(message, now);
    } else {
        lease_extend(message, now);
    }
}

void leases_run(struct route *route, uint32_t *budget, mono_ns now)
{
    struct heap_node *first;

    while (*budget > 0 && (first = heap_first(&route->leases)) != NULL && first->key <= now) {
        (*budget)--;
        lease_due(SL_CONTAINER_OF(first, struct message, lease), now);
    }
}

/* The last extension came too late, or failed: not at once again. */
void lease_put_off(struct message *message, mono_ns now)
{
    if (message->extension_failed && heap_is_linked(&message->lease)) {
        mono_ns again = mono_add(now, message->visibility_ns / 8 + 1);
        heap_set(&message->route->leases, &message->lease, mono_min(again, message->lease_until));
    }
}

void flow_extended(struct message *message, int error, mono_ns lease_until, mono_ns now)
{
    struct route *route = message->route;

    now = flow_time(route->flow, now);
    SL_ASSERT(message->extending);
    message->extending = false;
    if (error == 0 && !message->lease_lost) {
        message->lease_until = lease_until;
    }
    message->extension_failed = error != 0;
    if (message->state == MESSAGE_SETTLING) {
        heap_set(&route->deadlines, &message->deadline, now); /* it waited for this answer */
        lease_schedule(message);
        lease_put_off(message, now);
        return;
    }
    if (error == ERR_NOT_FOUND && !message->lease_lost) {
        lease_end(message, now);
        return;
    }
    lease_schedule(message);
    lease_put_off(message, now);
    if (error == 0 && message->lease_wait && message->state == MESSAGE_BUFFERED) {
        message_make_ready(message, now);
    }
}
