/*
 * A lease is our time with a message. It is extended when half of the visibility is used, for
 * messages that wait as for messages in flight, so that waiting never costs a receive (I5). When it
 * ran out all the same, the message is another receiver's: it is forgotten here.
 */
#include "flow_internal.h"

/* While it waits here its queue may come to delete it, which no extension puts off. */
static bool expires_here(const struct message *message, mono_ns by)
{
    return message->state != MESSAGE_IN_FLIGHT && message->state != MESSAGE_SETTLING &&
           message_expires(message, by);
}

static int64_t extension_due(const struct message *message)
{
    mono_ns due = message->lease_until - message->visibility_ns / 2;

    return expires_here(message, due) ? message->expires_at : due;
}

void lease_schedule(struct message *message)
{
    struct heap *leases = &message->route->leases;
    bool only_watch = message->extending || message->state == MESSAGE_SETTLING;

    if (message->lease_until == MONO_NEVER || message->settling || message->lease_lost) {
        heap_remove(leases, &message->lease);
        return;
    }
    heap_set(leases, &message->lease, only_watch ? message->lease_until : extension_due(message));
}

static void lease_extend(struct message *message)
{
    struct flow *flow = message->route->flow;

    message->extending = true;
    lease_schedule(message);
    flow->ops->extend(flow->context, message);
}

/* Enough for a whole call. Where the visibility is no longer than a call, half of it has to do: it
 * is extended while the call runs. */
bool lease_suffices(const struct message *message, mono_ns now)
{
    int64_t timeout_ns = message->route->config.target->config.timeout_ns;
    int64_t half_ns = message->visibility_ns / 2;

    if (message->lease_until == MONO_NEVER) {
        return true;
    }
    if (timeout_ns > message->visibility_ns - message->visibility_ns / 4) {
        timeout_ns = half_ns;
    }
    return message->lease_until - now >= timeout_ns;
}

void lease_park(struct message *message)
{
    message_move(message, MESSAGE_BUFFERED);
    message->lease_wait = true;
    if (!message->extending) {
        lease_extend(message);
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

void leases_run(struct route *route, uint32_t *budget, mono_ns now)
{
    struct heap_node *first;

    while (*budget > 0 && (first = heap_first(&route->leases)) != NULL && first->key <= now) {
        struct message *message = SL_CONTAINER_OF(first, struct message, lease);
        (*budget)--;
        if (message->lease_until <= now) {
            lease_end(message, now);
        } else if (expires_here(message, now)) {
            give_up(message, GIVE_UP_EXPIRED, now);
        } else if (message->state == MESSAGE_IN_FLIGHT && extension_due(message) > now) {
            lease_schedule(message); /* its call began before the end came */
        } else {
            lease_extend(message);
        }
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
    if (message->state == MESSAGE_SETTLING) {
        heap_set(&route->deadlines, &message->deadline, now); /* it waited for this answer */
        return;
    }
    lease_schedule(message);
    if (error != 0) {
        if (heap_is_linked(&message->lease)) {
            mono_ns again = mono_add(now, message->visibility_ns / 8 + 1);
            heap_set(&route->leases, &message->lease, mono_min(again, message->lease_until));
        }
    } else if (message->lease_wait && message->state == MESSAGE_BUFFERED) {
        message_make_ready(message, now);
    }
}
