#include "fair.h"

#include "sluice/base/list.h"
#include "sluice/base/map.h"
#include "sluice/base/mem.h"

#include <stdlib.h>

#define TENANTS_MAX   ((size_t)1 << 20) /* more than can be in flight */
#define IDLE_MAX      1024              /* tenants with nothing in flight that are remembered */
#define SHARE         10                /* noisy: more than 1 / SHARE */
#define IN_FLIGHT_MIN 30
#define FORGIVEN_MS   INT64_C(300000)
#define HALF_LIFE_MS  INT64_C(60000) /* "lately" */

struct tenant {
    struct list_node idle; /* linked while nothing is in flight, the latest last */
    struct list_node noisy;
    int64_t key, last_sent;
    uint64_t spent_ms; /* halved every HALF_LIFE_MS */
    int64_t spent_at;
    uint32_t in_flight;
};

struct fair {
    struct map tenants;
    struct list idle, noisy;
    uint64_t spent_ms; /* of all */
    int64_t spent_at;
};

static struct str key_of(const int64_t *key)
{
    return (struct str){(const char *)key, sizeof(*key)};
}

struct fair *fair_new(void)
{
    struct fair *fair = MEM_NEW(struct fair);
    map_init(&fair->tenants, TENANTS_MAX, 0);
    list_init(&fair->idle);
    list_init(&fair->noisy);
    return fair;
}

static struct tenant *find(const struct fair *fair, int64_t key)
{
    return map_get(&fair->tenants, key_of(&key));
}

static void remove_tenant(struct fair *fair, struct tenant *tenant)
{
    if (list_is_linked(&tenant->idle)) {
        list_remove(&fair->idle, &tenant->idle);
    }
    if (list_is_linked(&tenant->noisy)) {
        list_remove(&fair->noisy, &tenant->noisy);
    }
    (void)map_remove(&fair->tenants, key_of(&tenant->key));
    free(tenant);
}

/* Remembered at the end of the line of those with nothing in flight; the first one makes room. */
static void rest(struct fair *fair, struct tenant *tenant)
{
    if (list_is_linked(&tenant->idle)) {
        list_remove(&fair->idle, &tenant->idle);
    }
    list_push(&fair->idle, &tenant->idle);
    if (fair->idle.count > IDLE_MAX) {
        remove_tenant(fair, LIST_ENTRY(list_first(&fair->idle), struct tenant, idle));
    }
}

static struct tenant *find_or_make(struct fair *fair, int64_t key)
{
    struct tenant *tenant = find(fair, key);
    if (tenant == NULL) {
        tenant = MEM_NEW(struct tenant);
        tenant->key = key;
        if (map_set(&fair->tenants, key_of(&tenant->key), tenant) != 0) {
            free(tenant);
            return NULL; /* unfair beyond a million tenants, but safe */
        }
        rest(fair, tenant);
    }
    return tenant;
}

void fair_free(struct fair *fair)
{
    if (fair == NULL) {
        return;
    }
    size_t cursor = 0;
    struct str key;
    void *tenant;
    while (map_each(&fair->tenants, &cursor, &key, &tenant)) {
        free(tenant);
    }
    map_done(&fair->tenants);
    free(fair);
}

void fair_in(struct fair *fair, int64_t key)
{
    struct tenant *tenant = find_or_make(fair, key);
    if (tenant == NULL) {
        return;
    }
    if (tenant->in_flight++ == 0) {
        list_remove(&fair->idle, &tenant->idle);
    }
}

void fair_out(struct fair *fair, int64_t key)
{
    struct tenant *tenant = find(fair, key);
    if (tenant != NULL && tenant->in_flight > 0 && --tenant->in_flight == 0) {
        rest(fair, tenant);
    }
}

void fair_sent(struct fair *fair, int64_t key, int64_t now)
{
    struct tenant *tenant = find(fair, key);
    if (tenant != NULL) {
        tenant->last_sent = now;
    }
}

static uint64_t faded(uint64_t value, int64_t since, int64_t now)
{
    int64_t halvings = now > since ? (now - since) / HALF_LIFE_MS : 0;
    return halvings > 63 ? 0 : value >> halvings;
}

/* The step of halving is kept, or many small steps would never halve. */
static void spend(uint64_t *value, int64_t *at, int64_t spent_ms, int64_t now)
{
    *value = faded(*value, *at, now) + (uint64_t)spent_ms;
    *at += now > *at ? (now - *at) / HALF_LIFE_MS * HALF_LIFE_MS : 0;
}

void fair_spent(struct fair *fair, int64_t key, int64_t spent_ms, int64_t now)
{
    struct tenant *tenant = find(fair, key);
    if (spent_ms < 0) {
        return;
    }
    spend(&fair->spent_ms, &fair->spent_at, spent_ms, now);
    if (tenant != NULL) {
        spend(&tenant->spent_ms, &tenant->spent_at, spent_ms, now);
    }
}

void fair_forget(struct fair *fair, int64_t key)
{
    struct tenant *tenant = find(fair, key);
    if (tenant != NULL) {
        remove_tenant(fair, tenant);
    }
}

static bool takes_too_much(const struct fair *fair, const struct tenant *tenant, uint64_t in_flight,
                           int64_t now)
{
    uint64_t spent = faded(tenant->spent_ms, tenant->spent_at, now);
    uint64_t spent_by_all = faded(fair->spent_ms, fair->spent_at, now);
    return (tenant->in_flight >= IN_FLIGHT_MIN &&
            (uint64_t)tenant->in_flight * SHARE > in_flight) ||
           (spent > 0 && spent * SHARE > spent_by_all);
}

bool fair_is_noisy(struct fair *fair, int64_t key, uint64_t in_flight, int64_t now)
{
    struct tenant *tenant = find(fair, key);
    if (tenant == NULL) {
        return false;
    }
    bool is_noisy = list_is_linked(&tenant->noisy);
    if (!is_noisy && takes_too_much(fair, tenant, in_flight, now)) {
        tenant->last_sent = tenant->last_sent == 0 ? now : tenant->last_sent;
        list_push(&fair->noisy, &tenant->noisy);
        if (fair->noisy.count > FAIR_NOISY_MAX) {
            list_remove(&fair->noisy, list_first(&fair->noisy));
        }
        return true;
    }
    if (is_noisy && now - tenant->last_sent >= FORGIVEN_MS &&
        !takes_too_much(fair, tenant, in_flight, now)) {
        list_remove(&fair->noisy, &tenant->noisy);
        return false;
    }
    return is_noisy;
}

uint32_t fair_in_flight(const struct fair *fair, int64_t key)
{
    const struct tenant *tenant = find(fair, key);
    return tenant == NULL ? 0 : tenant->in_flight;
}
