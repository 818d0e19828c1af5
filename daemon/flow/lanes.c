/*
 * Whose turn it is inside a route. Ready messages stand in lanes, one for each tenant and key of a
 * limit: those of a lane are alike to every admission. Tenants take turns, call by call (deficit
 * round robin, where every call of a route costs the same): the first message of a lane carries the
 * round it is due in, one more than its tenant's last, and never one that is over. So a tenant that
 * was not called in this round goes before all that were, and one with little to send hardly waits
 * for one with much, while none of them is passed over for more than a round. A lane whose key has
 * no permit is parked until it may have one, and holds up nobody; what it could not call within the
 * horizon goes back to the queue, so that it does not take the room of others either.
 *
 * Memory (I8): lanes of messages that are held, their tenants, and those called in this round.
 */
#include "flow_internal.h"

#include "sluice/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARKED_LANES_MAX (HELD_MAX / 2)   /* messages of parked lanes, of a route */
#define KEYS_FULL_NS     (50 * NS_PER_MS) /* until another look for room in the table of keys */
#define HAND_BACK_MAX_NS (900 * NS_PER_S)

struct tenant {
    struct list_node idle; /* without a lane, but not forgotten: lanes.idle, the latest last */
    struct str name;       /* owned */
    int64_t last;          /* round of the last turn it was given */
    uint32_t active;       /* lanes that wait for a turn */
    uint32_t lanes;
};

enum lane_state { LANE_IDLE, LANE_ACTIVE, LANE_PARKED };

struct lane {
    struct heap_node turn; /* lanes.active by round, or lanes.parked by time */
    struct list_node wait; /* PARKED for a permit: in limit_key.waiting */
    struct limit_key *waits_for;
    enum lane_state state;
    struct route *route;
    struct list ready;
    uint32_t messages; /* held, ready ones and others */
    int64_t round;
    struct tenant *tenant; /* NULL: messages without one */
    struct limit_key *keys[LIMIT_SET_MAX];
    mono_ns handed_back_until; /* what was handed back last comes then */
    struct str id;             /* owned; see lane_id */
};

void lanes_init(struct route *route, size_t most)
{
    struct lanes *lanes = &route->lanes;

    heap_init(&lanes->active);
    heap_init(&lanes->parked);
    heap_reserve(&lanes->active, most);
    heap_reserve(&lanes->parked, most);
    map_init(&lanes->by_id, most, rng_next(&route->flow->rng));
    map_init(&lanes->tenants, most + HELD_MAX, rng_next(&route->flow->rng));
    list_init(&lanes->idle);
}

/* ---- making and ending ---- */

#define ID_MAX ((LIMIT_SET_MAX + 1) * (LIMIT_KEY_MAX + 2))

static size_t id_add(char *out, size_t at, struct str part)
{
    char bounded[LIMIT_KEY_MAX];

    part = limit_key_bounded(part, bounded);
    out[at++] = (char)(part.len / 256);
    out[at++] = (char)(part.len % 256);
    if (part.len > 0) {
        memcpy(out + at, part.ptr, part.len);
    }
    return at + part.len;
}

/* The tenant, then each key, with their lengths. An absent one is an empty one. */
static struct str lane_id(const struct route *route, const struct message_keys *keys, char *out)
{
    size_t len = id_add(out, 0, keys->tenant);

    for (uint32_t i = 0; i < route->config.keyed_count; i++) {
        len = id_add(out, len, keys->keys[i]);
    }
    return (struct str){out, len};
}

static struct str id_part(struct str id, uint32_t index)
{
    size_t at = 0;

    for (;;) {
        size_t len = (size_t)(uint8_t)id.ptr[at] * 256 + (uint8_t)id.ptr[at + 1];
        if (index-- == 0) {
            return (struct str){id.ptr + at + 2, len};
        }
        at += 2 + len;
    }
}

static void tenant_free(struct tenant *tenant)
{
    free((char *)(uintptr_t)tenant->name.ptr);
    free(tenant);
}

static struct tenant *tenant_find(struct route *route, struct str name)
{
    struct tenant *tenant = map_get(&route->lanes.tenants, name);

    if (tenant == NULL) {
        tenant = MEM_NEW(struct tenant);
        tenant->last = route->lanes.round - 1;
        tenant->name = (struct str){mem_dup(name.ptr, name.len), name.len};
        if (map_set(&route->lanes.tenants, name, tenant) != 0) {
            tenant_free(tenant);
            return NULL;
        }
    }
    if (list_is_linked(&tenant->idle)) {
        list_remove(&route->lanes.idle, &tenant->idle);
    }
    return tenant;
}

static void tenant_leave(struct route *route, struct tenant *tenant)
{
    struct lanes *lanes = &route->lanes;
    struct list_node *first;

    if (tenant == NULL || --tenant->lanes > 0) {
        return;
    }
    list_push(&lanes->idle, &tenant->idle);
    while ((first = list_first(&lanes->idle)) != NULL) { /* as new, once its round is over */
        tenant = LIST_ENTRY(first, struct tenant, idle);
        if (tenant->last >= lanes->round && lanes->idle.count <= HELD_MAX) {
            return;
        }
        list_remove(&lanes->idle, first);
        (void)map_remove(&lanes->tenants, tenant->name);
        tenant_free(tenant);
    }
}

static void lane_drop_keys(struct lane *lane)
{
    for (uint32_t i = 0; i < LIMIT_SET_MAX; i++) {
        limit_key_unref(lane->keys[i]);
        lane->keys[i] = NULL;
    }
}

static void lane_free(struct lane *lane)
{
    lane_drop_keys(lane);
    free((char *)(uintptr_t)lane->id.ptr);
    free(lane);
}

static struct lane *lane_new(struct route *route, struct str id)
{
    struct lane *lane = MEM_NEW(struct lane);
    struct str tenant = id_part(id, 0);

    lane->route = route;
    lane->id = (struct str){mem_dup(id.ptr, id.len), id.len};
    list_init(&lane->ready);
    if (tenant.len > 0) {
        lane->tenant = tenant_find(route, tenant);
        if (lane->tenant == NULL) {
            lane_free(lane);
            return NULL;
        }
        lane->tenant->lanes++;
    }
    if (map_set(&route->lanes.by_id, lane->id, lane) != 0) {
        tenant_leave(route, lane->tenant);
        lane_free(lane);
        return NULL;
    }
    return lane;
}

int lane_join(struct message *message)
{
    struct route *route = message->route;
    struct flow *flow = route->flow;
    struct message_keys keys = {.tenant = message->tenant};
    char buffer[ID_MAX];

    if (flow->ops->keys != NULL) {
        flow->ops->keys(flow->context, message, &keys);
    }
    struct str id = lane_id(route, &keys, buffer);
    struct lane *lane = map_get(&route->lanes.by_id, id);
    if (lane == NULL) {
        lane = lane_new(route, id);
    }
    if (lane == NULL) {
        return ERR_FULL;
    }
    lane->messages++;
    message->lane = lane;
    return 0;
}

void lane_leave(struct message *message)
{
    struct lane *lane = message->lane;
    struct route *route = message->route;

    message->lane = NULL;
    if (lane == NULL || --lane->messages > 0) {
        return;
    }
    SL_ASSERT(lane->state == LANE_IDLE);
    (void)map_remove(&route->lanes.by_id, lane->id);
    tenant_leave(route, lane->tenant);
    lane_free(lane);
}

void lanes_done(struct route *route)
{
    struct lanes *lanes = &route->lanes;
    struct str name;
    size_t cursor = 0;
    void *value;

    while (map_each(&lanes->by_id, &cursor, &name, &value)) {
        struct lane *lane = value;
        if (lane->waits_for != NULL) {
            list_remove(&lane->waits_for->waiting, &lane->wait);
        }
        lane_free(lane);
    }
    cursor = 0;
    while (map_each(&lanes->tenants, &cursor, &name, &value)) {
        tenant_free(value);
    }
    map_done(&lanes->by_id);
    map_done(&lanes->tenants);
    heap_done(&lanes->active);
    heap_done(&lanes->parked);
}

/* ---- states ---- */

/* Its first message gets the next turn of its tenant: not one that is over, and not further ahead
 * than the tenant has lanes that wait. */
static void lane_activate(struct lane *lane)
{
    struct lanes *lanes = &lane->route->lanes;
    struct tenant *tenant = lane->tenant;

    lane->state = LANE_ACTIVE;
    lane->round = lanes->round + 1;
    if (tenant != NULL) {
        int64_t most = lanes->round + 1 + tenant->active++;
        int64_t next = tenant->last + 1;
        lane->round = next < lanes->round ? lanes->round : next > most ? most : next;
        tenant->last = lane->round;
    }
    heap_set(&lanes->active, &lane->turn, lane->round);
}

/* Off all that it waits in. */
static void lane_deactivate(struct lane *lane)
{
    struct lanes *lanes = &lane->route->lanes;

    if (lane->state == LANE_ACTIVE) {
        heap_remove(&lanes->active, &lane->turn);
        if (lane->tenant != NULL) {
            lane->tenant->active--;
        }
    } else if (lane->state == LANE_PARKED) {
        SL_ASSERT(lanes->parked_messages >= lane->ready.count);
        lanes->parked_messages -= (uint32_t)lane->ready.count;
        heap_remove(&lanes->parked, &lane->turn);
        if (lane->waits_for != NULL) {
            list_remove(&lane->waits_for->waiting, &lane->wait);
            lane->waits_for = NULL;
        }
    }
    lane->state = LANE_IDLE;
}

void lane_push(struct message *message)
{
    struct lane *lane = message->lane;

    list_push(&lane->ready, &message->lane_node);
    if (lane->state == LANE_IDLE) {
        lane_activate(lane);
    } else if (lane->state == LANE_PARKED) {
        lane->route->lanes.parked_messages++;
    }
}

void lane_remove(struct message *message)
{
    struct lane *lane = message->lane;

    if (lane->state == LANE_PARKED) {
        lane->route->lanes.parked_messages--;
    }
    list_remove(&lane->ready, &message->lane_node);
    if (lane->ready.count == 0) {
        lane_deactivate(lane);
    }
}

static void lane_wake(struct lane *lane)
{
    lane_deactivate(lane);
    if (lane->ready.count > 0) {
        lane_activate(lane);
    }
}

void lanes_wake(struct route *route, mono_ns now)
{
    struct heap_node *first;

    while ((first = heap_first(&route->lanes.parked)) != NULL && first->key <= now) {
        lane_wake(SL_CONTAINER_OF(first, struct lane, turn));
    }
}

static void key_event(struct limit_key *key)
{
    struct list_node *node;

    while (key != NULL && (node = list_first(&key->waiting)) != NULL) {
        lane_wake(LIST_ENTRY(node, struct lane, wait));
    }
}

void lane_event(const struct message *message)
{
    for (uint32_t i = 0; i < message->route->config.keyed_count; i++) {
        key_event(message->lane->keys[i]);
    }
}

void flow_limits_changed(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->route_count; i++) {
        struct lanes *lanes = &flow->routes[i]->lanes;
        size_t cursor = 0;
        struct str id;
        void *lane;
        while (map_each(&lanes->by_id, &cursor, &id, &lane)) {
            if (((struct lane *)lane)->state == LANE_PARKED) {
                lane_wake(lane);
            }
        }
    }
}

/* ---- turns ---- */

bool lane_is_parked(const struct message *message)
{
    return message->lane->state == LANE_PARKED;
}

struct message *lanes_first(const struct route *route)
{
    struct heap_node *first = heap_first(&route->lanes.active);

    if (first == NULL) {
        return NULL;
    }
    const struct lane *lane = SL_CONTAINER_OF(first, struct lane, turn);
    return LIST_ENTRY(list_first(&lane->ready), struct message, lane_node);
}

void lane_served(struct lane *lane)
{
    struct lanes *lanes = &lane->route->lanes;

    lanes->round = lane->round > lanes->round ? lane->round : lanes->round;
    if (lane->state == LANE_ACTIVE) {
        lane_wake(lane); /* its next message, a round later */
    }
}

void lane_limits(const struct message *message, struct limit_set *ret)
{
    const struct route_config *config = &message->route->config;

    *ret = config->limits;
    for (uint32_t i = 0; i < config->keyed_count; i++) {
        SL_ASSERT(ret->count < LIMIT_SET_MAX && message->lane->keys[i] != NULL);
        ret->limits[ret->count++] = message->lane->keys[i]->limit;
    }
}

static void lane_park(struct lane *lane, enum limit_reason reason, struct limit_key *waits_for,
                      mono_ns at)
{
    struct lanes *lanes = &lane->route->lanes;
    struct tenant *tenant = lane->tenant;

    if (tenant != NULL && tenant->last == lane->round) {
        tenant->last--; /* a turn that it does not take */
    }
    lane_deactivate(lane);
    lane->state = LANE_PARKED;
    lanes->parked_messages += (uint32_t)lane->ready.count;
    lanes->parked_by = reason;
    if (waits_for != NULL) { /* what comes back unused is there before the time */
        lane->waits_for = waits_for;
        list_push(&waits_for->waiting, &lane->wait);
    }
    if (at != MONO_NEVER) {
        heap_set(&lanes->parked, &lane->turn, at);
    }
}

bool lane_admit(struct lane *lane, mono_ns now)
{
    const struct route_config *config = &lane->route->config;
    struct limit_verdict longest = {.admit = true, .at = now};
    struct limit_key *by = NULL;
    mono_ns at;

    for (uint32_t i = 0; i < config->keyed_count; i++) {
        if (lane->keys[i] == NULL) {
            lane->keys[i] = limit_keyed_get(config->keyed[i], id_part(lane->id, i + 1), now, &at);
        }
        if (lane->keys[i] == NULL) {
            /* All or none: lanes that wait for each other's would do so for ever. */
            lane_drop_keys(lane);
            at = mono_max(mono_min(at, mono_add(now, KEYS_FULL_NS)), now + 1);
            lane_park(lane, LIMIT_REASON_KEYS_FULL, NULL, at);
            return false;
        }
        struct limit_verdict verdict = limit_check(lane->keys[i]->limit, config->weight, now);
        if (!verdict.admit && (longest.admit || verdict.at > longest.at)) {
            longest = verdict;
            by = lane->keys[i];
        }
    }
    if (!longest.admit) {
        lane_park(lane, LIMIT_REASON_KEY, by, mono_max(longest.at, now + 1));
    }
    return longest.admit;
}

/* ---- handing back ---- */

/* Calls a second that the keys let the lane make. */
static double lane_pace(const struct lane *lane)
{
    const struct route_config *config = &lane->route->config;
    double pace = HUGE_VAL;

    for (uint32_t i = 0; i < config->keyed_count; i++) {
        const struct limit_config *limit = limit_keyed_config(config->keyed[i]);
        double one = limit_config_pace(limit) / config->weight;
        pace = !limit->dry_run && one < pace ? one : pace;
    }
    return pace;
}

/* At most; where receives count, as long as the queue allows: each one more is for nothing (I5). */
static mono_ns hidden_until(const struct message *message, mono_ns now)
{
    return message->lease_cap != MONO_NEVER ? mono_max(message->lease_cap, now)
                                            : mono_add(now, HAND_BACK_MAX_NS);
}

void lane_shed(struct lane *lane, mono_ns now)
{
    struct lanes *lanes = &lane->route->lanes;
    double pace = lane_pace(lane);
    double most = ceil(pace * (double)HORIZON_NS / (double)NS_PER_S);

    while (lane->state == LANE_PARKED) {
        /* The last one that came; one of a group keeps its place in it. */
        struct message *message = LIST_ENTRY(lane->ready.head.prev, struct message, lane_node);
        bool too_many =
            (double)lane->ready.count > most || lanes->parked_messages > PARKED_LANES_MAX;
        if (!too_many || message->group_state != NULL) {
            return;
        }
        int64_t step_ns = (int64_t)fmin((double)NS_PER_S / pace, (double)HAND_BACK_MAX_NS);
        mono_ns from = mono_max(lane->handed_back_until, mono_add(now, HORIZON_NS));
        mono_ns until = mono_min(mono_add(from, step_ns), hidden_until(message, now));
        lane->handed_back_until = mono_max(lane->handed_back_until, until);
        settle_begin(message, SETTLE_RELEASE, until - now, now);
    }
}

void lanes_check_invariants(const struct route *route)
{
    const struct lanes *lanes = &route->lanes;
    size_t ready = 0, parked = 0, cursor = 0;
    struct str id;
    void *value;

    while (map_each(&lanes->by_id, &cursor, &id, &value)) {
        const struct lane *lane = value;
        SL_ASSERT(lane->messages > 0 && lane->messages >= lane->ready.count);
        SL_ASSERT((lane->state == LANE_IDLE) == (lane->ready.count == 0));
        ready += lane->ready.count;
        parked += lane->state == LANE_PARKED ? lane->ready.count : 0;
    }
    SL_ASSERT(ready == route->lists[MESSAGE_READY].count && parked == lanes->parked_messages);
}
