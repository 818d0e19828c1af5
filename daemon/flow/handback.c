/*
 * A message waits here for its retry as long as that costs nobody anything. It goes back to the
 * queue, with the rest of its wait as delay, when its lease cannot be made to last until then, or
 * when so many wait that those which could be called no longer find room (I8): messages that fail
 * again and again must not keep the others in the queue. The longest waits go first; while the
 * target fails as a whole nothing is received anyway, and nothing goes back (I5).
 */
#include "flow_internal.h"

int64_t wait_left_ns(const struct message *message, mono_ns now)
{
    int64_t left_ns =
        message->state == MESSAGE_WAITING ? mono_max(message->deadline.key - now, 0) : 0;

    if (message->lease_cap != MONO_NEVER) { /* the queue lets nothing be hidden for longer */
        left_ns = mono_min(left_ns, mono_max(message->lease_cap - now, 0));
    }
    return left_ns;
}

void hand_back(struct message *message, mono_ns now)
{
    message->route->waits_handed_back++;
    settle_begin(message, SETTLE_RELEASE, wait_left_ns(message, now), now);
}

/* Of those that will not be called soon; NULL: there is none. */
static struct message *longest_wait(const struct route *route, mono_ns now)
{
    struct message *longest = NULL;
    mono_ns at = mono_add(now, HORIZON_NS);

    for (size_t i = 0; i < route->deadlines.count; i++) {
        struct heap_node *node = route->deadlines.nodes[i];
        struct message *message = SL_CONTAINER_OF(node, struct message, deadline);
        if (message->state == MESSAGE_WAITING && node->key > at) {
            longest = message;
            at = node->key;
        }
    }
    return longest;
}

static size_t waits(const struct route *route)
{
    return route->lists[MESSAGE_WAITING].count + route->lists[MESSAGE_BUFFERED].count;
}

void waits_run(struct route *route, uint32_t *budget, mono_ns now)
{
    const struct target *target = route->config.target;
    struct message *message;

    if (route->draining || health_is_failing(target)) {
        return;
    }
    size_t most = route->source_full ? waits(route) / 2 : WAITS_MAX;
    while (*budget > 0 && waits(route) > most && (message = longest_wait(route, now)) != NULL) {
        (*budget)--;
        hand_back(message, now);
    }
    route->source_full = false;
}

void flow_source_full(struct route *route)
{
    route->source_full = true;
}
