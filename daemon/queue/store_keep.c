/*
 * What the store does between operations: retention, move tasks, emptying purged queues, giving
 * free pages back, watching the disk, publishing statistics.
 */
#include "store_internal.h"

#include "sluice/runtime/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define PUBLISH_EVERY_NS     NS_PER_S
#define SWEEP_EVERY_NS       NS_PER_S
#define RETRY_EVERY_NS       NS_PER_S
#define WORK_BUDGET_NS       (5 * NS_PER_MS) /* what an operation may have to wait for */
#define REAP_ROWS            64
#define SHRINK_PAGES         128
#define SHRINK_EVERY_NS      (50 * NS_PER_MS)
#define SHRINK_LOOK_EVERY_NS (10 * NS_PER_S)
#define RESERVE_MAX_BYTES    ((uint64_t)16 << 20)
#define RESERVE_DIVISOR      2 /* half of a very small disk */

/* Too little room for messages? Pages that are free inside the file count, except that what the log
 * may need must be free outside. */
static bool is_disk_full(struct store *store, uint64_t *ret_reserve)
{
    struct statvfs fs;
    if (statvfs(store->path, &fs) != 0) {
        return false;
    }
    uint64_t reserve = (uint64_t)fs.f_blocks * fs.f_frsize / RESERVE_DIVISOR;
    reserve = reserve > RESERVE_MAX_BYTES ? RESERVE_MAX_BYTES : reserve;
    *ret_reserve = reserve;
    uint64_t outside = (uint64_t)fs.f_bavail * fs.f_frsize;
    int64_t inside = 0;
    if (outside >= reserve) {
        return false;
    }
    if (outside < reserve / 2 || engine_free_bytes(&store->engine, &inside) != 0) {
        return true;
    }
    return outside + (uint64_t)inside < reserve;
}

/* Room is kept for what a delete or a receive writes: only sending stops when the disk gets full.
 */
void store_check_disk(struct store *store)
{
    uint64_t reserve = 0;
    bool full = is_disk_full(store, &reserve);
    if (full == store->engine.refuses_messages) {
        return;
    }
    store->engine.refuses_messages = full;
    store_publish_error(store);
    if (full) {
        LOG_ERROR("disk of the queue is nearly full: messages are refused",
                  LOG_STR("file", store->path), LOG_I64("reserve_bytes", (int64_t)reserve));
    } else {
        LOG_INFO("disk of the queue has room again", LOG_STR("file", store->path));
    }
}

/* A transaction of its own: when it fails, only the housekeeping is late. */
static void housekeep(struct store *store, int (*work)(struct store *store))
{
    int rc = store_transaction_begin(store);
    if (rc != 0) {
        return;
    }
    rc = work(store);
    if (rc == 0) {
        rc = engine_commit(&store->engine);
    } else {
        engine_rollback(&store->engine);
    }
    if (rc != 0) {
        store_note_result(store, rc);
        store->degraded = true;
        store->next_retry = loop_now() + RETRY_EVERY_NS;
    }
}

static int sweep(struct store *store)
{
    return engine_sweep(&store->engine);
}

static int step_tasks(struct store *store)
{
    struct engine *engine = &store->engine;
    int rc = 0;
    for (mono_ns end = loop_now() + WORK_BUDGET_NS;
         rc == 0 && engine->next_task <= engine->now && loop_now() < end;) {
        rc = engine_step_tasks(engine);
    }
    return rc;
}

static int reap(struct store *store)
{
    int rc = 0;
    for (mono_ns end = loop_now() + WORK_BUDGET_NS;
         rc == 0 && store->engine.has_given_up && loop_now() < end;) {
        rc = engine_reap(&store->engine, REAP_ROWS);
    }
    return rc;
}

static int shrink(struct store *store)
{
    return engine_shrink(&store->engine, SHRINK_PAGES, &store->shrinking);
}

static bool is_sweep_due(const struct store *store, mono_ns now)
{
    const struct engine *engine = &store->engine;
    return engine->next_expiry != QUEUE_NEVER && now >= store->next_sweep &&
           lease_clock_ms(&engine->clock, now) >= engine->next_expiry;
}

static bool is_task_due(const struct store *store, mono_ns now)
{
    const struct engine *engine = &store->engine;
    return engine->next_task != QUEUE_NEVER && (!store->degraded || now >= store->next_retry) &&
           lease_clock_ms(&engine->clock, now) >= engine->next_task;
}

void store_housekeep(struct store *store)
{
    mono_ns now = loop_now();
    if (is_sweep_due(store, now)) {
        store->next_sweep = now + SWEEP_EVERY_NS;
        housekeep(store, sweep);
        /* A long sweep goes on at once, in the turns between other work. */
        if (!store->degraded && store->engine.next_expiry <= store->engine.now) {
            store->next_sweep = 0;
        }
    }
    if (is_task_due(store, now)) {
        housekeep(store, step_tasks);
    }
    if (store->engine.has_given_up && (!store->degraded || now >= store->next_retry)) {
        housekeep(store, reap);
    }
    if (!store->degraded && !store->engine.has_given_up && now >= store->next_shrink) {
        housekeep(store, shrink);
        store->next_shrink = now + (store->shrinking ? SHRINK_EVERY_NS : SHRINK_LOOK_EVERY_NS);
    }
}

/* ---- statistics ---- */

static void publish_queue(struct store *store, struct queue *queue, struct store_queue_stats *slot)
{
    const struct queue_state *state = &queue->state;
    wall_ms oldest = 0;
    if (engine_advance(&store->engine, queue) != 0 ||
        engine_oldest_sent(&store->engine, queue, &oldest) != 0) {
        return; /* the old figures stay */
    }
    struct store_queue_stats stats = {
        .visible = state->counts[QUEUE_VISIBLE],
        .in_flight = state->counts[QUEUE_LEASED] + state->counts[QUEUE_HELD],
        .delayed = state->counts[QUEUE_DELAYED],
        .oldest_sent_at = oldest,
        .sent = state->sent,
        .received = state->received,
        .deleted = state->deleted,
        .dead_lettered = state->dead_lettered,
        .expired = state->expired,
    };
    str_copy(stats.name, sizeof(stats.name), queue_name(queue));
    str_copy(stats.dead_letter, sizeof(stats.dead_letter),
             str_from(queue->definition->dead_letter));
    pthread_mutex_lock(&store->mutex);
    *slot = stats;
    pthread_mutex_unlock(&store->mutex);
    queue->changed = false;
}

static void log_expired(struct queue *queue)
{
    uint64_t count = queue->state.expired - queue->expired_logged;
    if (count == 0) {
        return;
    }
    LOG_WARNING("messages outlived their retention", LOG_STR("queue", queue->name),
                LOG_I64("count", (int64_t)count),
                LOG_STR("moved_to", queue->definition->dead_letter[0] == '\0'
                                        ? NULL
                                        : queue->definition->dead_letter));
    queue->expired_logged = queue->state.expired;
}

static void log_task(struct queue *queue)
{
    const struct queue_task_end *end = &queue->state.task_end;
    if (end->count == queue->tasks_logged) {
        return;
    }
    queue->tasks_logged = end->count;
    if (end->status == SQS_MOVE_FAILED) {
        LOG_WARNING("message move task failed", LOG_STR("queue", queue->name),
                    LOG_STR("reason", end->failure), LOG_I64("moved", end->moved));
    } else {
        LOG_INFO("message move task ended", LOG_STR("queue", queue->name),
                 LOG_STR("status", sqs_move_status_name(end->status)),
                 LOG_I64("moved", end->moved));
    }
}

/* Slots for the queues there are now. */
static void publish_layout(struct store *store)
{
    struct engine *engine = &store->engine;
    uint32_t count = (uint32_t)engine->queues.count;
    struct store_queue_stats *slots = MEM_NEW_ARRAY(count, struct store_queue_stats);
    uint32_t i = 0;
    LIST_FOR(&engine->queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        queue->slot = i++;
        queue->changed = true;
        str_copy(slots[queue->slot].name, sizeof(slots[queue->slot].name), queue_name(queue));
    }
    pthread_mutex_lock(&store->mutex);
    struct store_queue_stats *old = store->published;
    store->published = slots;
    store->published_count = count;
    pthread_mutex_unlock(&store->mutex);
    free(old);
    store->published_generation = engine->generation;
}

void store_publish(struct store *store, mono_ns now)
{
    struct engine *engine = &store->engine;
    bool timed = now >= store->next_publish;
    int64_t now_ms = lease_clock_ms(&engine->clock, now);
    engine->now = now_ms > engine->now ? now_ms : engine->now;
    if (store->published_generation != engine->generation) {
        publish_layout(store);
    }
    LIST_FOR(&engine->queues, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, node);
        log_expired(queue);
        log_task(queue);
        if (queue->changed || (timed && queue->state.next_due <= engine->now)) {
            publish_queue(store, queue, &store->published[queue->slot]);
        }
    }
    if (timed) {
        store->next_publish = now + PUBLISH_EVERY_NS;
    }
}
