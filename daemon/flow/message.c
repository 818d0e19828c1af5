#include "flow_internal.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

const char *message_state_name(enum message_state state)
{
    static const char *const names[] = {
#define XX(name, text) [MESSAGE_##name] = (text),
        MESSAGE_STATE_MAP(XX)
#undef XX
    };
    return (unsigned)state < SL_COUNT(names) ? names[state] : "unknown";
}

const char *settle_name(enum settle settle)
{
    static const char *const names[] = {
#define XX(name, text) [SETTLE_##name] = (text),
        SETTLE_MAP(XX)
#undef XX
    };
    return (unsigned)settle < SL_COUNT(names) ? names[settle] : "unknown";
}

const char *give_up_name(enum give_up why)
{
    static const char *const names[] = {
#define XX(name, text) [GIVE_UP_##name] = (text),
        GIVE_UP_MAP(XX)
#undef XX
    };
    return (unsigned)why < SL_COUNT(names) ? names[why] : "unknown";
}

#define TO(state) (1u << MESSAGE_##state)

/* Where a message may go from each state; NEW at the end means: off all lists, freed next. */
static const unsigned legal[MESSAGE_STATE__COUNT] = {
    [MESSAGE_NEW] = TO(BUFFERED) | TO(READY) | TO(SETTLING),
    [MESSAGE_BUFFERED] = TO(READY) | TO(SETTLING),
    [MESSAGE_READY] = TO(BUFFERED) | TO(IN_FLIGHT) | TO(SETTLING),
    [MESSAGE_IN_FLIGHT] = TO(WAITING) | TO(SETTLING),
    [MESSAGE_WAITING] = TO(READY) | TO(SETTLING),
    [MESSAGE_SETTLING] = TO(NEW),
};

void message_move(struct message *message, enum message_state to)
{
    struct route *route = message->route;

    SL_ASSERT((legal[message->state] & (1u << to)) != 0);
    if (list_is_linked(&message->parked)) {
        retry_unpark(message);
    }
    if (message->state == MESSAGE_NEW) {
        route->held++;
    } else {
        list_remove(&route->lists[message->state], &message->node);
    }
    enum message_state from = message->state;
    if (from == MESSAGE_READY) {
        lane_remove(message);
    }
    message->state = to;
    if (to == MESSAGE_NEW) {
        route->held--;
        return;
    }
    list_push(&route->lists[to], &message->node);
    if (from == MESSAGE_IN_FLIGHT || to == MESSAGE_IN_FLIGHT) {
        lease_schedule(message); /* before a call it needs to be longer */
    }
    if (to == MESSAGE_READY) {
        lane_push(message);
    }
}

void message_make_ready(struct message *message, mono_ns now)
{
    route_account(message->route, now);
    message->ready_at = now;
    message->lease_wait = false;
    message_move(message, MESSAGE_READY);
}

struct message *flow_message_new(struct route *route)
{
    struct message *message = MEM_NEW(struct message);

    message->route = route;
    message->first_attempt_at = message->expires_at = message->lease_cap = MONO_NEVER;
    return message;
}

void message_free(struct message *message)
{
    struct flow *flow = message->route->flow;

    flow->ops->message_done(flow->context, message);
    free(message);
}

bool message_expires(const struct message *message, mono_ns by)
{
    return by >= message->expires_at && message->route->config.has_dead_letter;
}

/* ---- groups ---- */

static struct group *group_find(struct route *route, struct str id)
{
    struct group *group = map_get(&route->groups, id);

    if (group == NULL) {
        group = MEM_NEW(struct group);
        list_init(&group->waiting);
        if (map_set(&route->groups, id, group) != 0) {
            free(group);
            return NULL;
        }
    }
    return group;
}

int group_join(struct message *message, mono_ns now)
{
    struct group *group;

    if (message->group.ptr == NULL || message->group.len == 0) {
        message_make_ready(message, now);
        return 0;
    }
    group = group_find(message->route, message->group);
    if (group == NULL) {
        return ERR_FULL;
    }
    message->group_state = group;
    if (group->active == NULL) {
        group->active = message;
        message_make_ready(message, now);
    } else {
        list_push(&group->waiting, &message->group_node);
        message_move(message, MESSAGE_BUFFERED);
    }
    return 0;
}

void group_leave(struct message *message, mono_ns now)
{
    struct group *group = message->group_state;

    if (group == NULL) {
        return;
    }
    message->group_state = NULL;
    if (group->active != message) {
        list_remove(&group->waiting, &message->group_node);
        return;
    }
    struct list_node *next = list_pop(&group->waiting);
    if (next == NULL) {
        (void)map_remove(&message->route->groups, message->group);
        free(group);
        return;
    }
    group->active = LIST_ENTRY(next, struct message, group_node);
    message_make_ready(group->active, now);
}
