#include "sluice/serve/queue_metrics.h"

#include "sluice/base/mem.h"

#include <stdlib.h>

#define QUEUES_SHOWN_MAX 1000 /* series are bounded (I8) */

struct queue_metrics {
    struct metrics *metrics;
    struct store *store;
    struct loop *loop;
    struct metrics_collector collector;
    struct store_queue_stats *stats; /* QUEUES_SHOWN_MAX of them */
    uint64_t names_hash;             /* of the queues shown last */
    struct metric_family *messages, *oldest, *sent, *received, *deleted, *dead_lettered, *expired;
    struct metric *commits, *operations, *longest_commit, *error, *longest_turn;
};

static void collect_queue(struct queue_metrics *qm, const struct store_queue_stats *s)
{
    const char *const name[] = {s->name, NULL};
    const char *const visible[] = {s->name, "visible", NULL};
    const char *const in_flight[] = {s->name, "in_flight", NULL};
    const char *const delayed[] = {s->name, "delayed", NULL};

    metric_set(metric_series(qm->messages, visible), (double)s->visible);
    metric_set(metric_series(qm->messages, in_flight), (double)s->in_flight);
    metric_set(metric_series(qm->messages, delayed), (double)s->delayed);
    metric_set(metric_series(qm->oldest, name), (double)s->oldest_sent_at / 1e3);
    metric_set(metric_series(qm->sent, name), (double)s->sent);
    metric_set(metric_series(qm->received, name), (double)s->received);
    metric_set(metric_series(qm->deleted, name), (double)s->deleted);
    metric_set(metric_series(qm->dead_lettered, name), (double)s->dead_lettered);
    metric_set(metric_series(qm->expired, name), (double)s->expired);
}

/* FNV-1a over the names, each with its NUL. */
static uint64_t hash_of_names(const struct store_queue_stats *stats, uint32_t count)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (uint32_t i = 0; i < count; i++) {
        const char *c = stats[i].name;
        do {
            hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
        } while (*c++ != '\0');
    }
    return hash;
}

/* A deleted queue must not go on with its last figures: an alert on them would never end. */
static void forget_deleted(struct queue_metrics *qm, uint32_t count)
{
    struct metric_family *const families[] = {qm->messages, qm->oldest,  qm->sent,
                                              qm->received, qm->deleted, qm->dead_lettered,
                                              qm->expired};
    uint64_t hash = hash_of_names(qm->stats, count);

    if (hash == qm->names_hash) {
        return;
    }
    qm->names_hash = hash;
    for (size_t i = 0; i < SL_COUNT(families); i++) {
        metric_family_clear(families[i]);
    }
}

static void collect(void *context)
{
    struct queue_metrics *qm = context;
    struct store_stats store;
    struct loop_stats loop;
    uint32_t count = store_queue_stats(qm->store, qm->stats, QUEUES_SHOWN_MAX);

    forget_deleted(qm, count < QUEUES_SHOWN_MAX ? count : QUEUES_SHOWN_MAX);
    for (uint32_t i = 0; i < count && i < QUEUES_SHOWN_MAX; i++) {
        collect_queue(qm, &qm->stats[i]);
    }
    store_stats(qm->store, &store);
    metric_set(qm->commits, (double)store.commits);
    metric_set(qm->operations, (double)store.operations);
    metric_set(qm->longest_commit, (double)store.longest_commit_ns / (double)NS_PER_S);
    metric_set(qm->error, store.error != 0);
    loop_stats(qm->loop, &loop);
    metric_set(qm->longest_turn, (double)loop.longest_turn_ns / (double)NS_PER_S);
}

static struct metric *single(struct metrics *metrics, enum metric_type type, const char *name,
                             const char *help)
{
    return metric_series(metrics_family(metrics, type, name, help, NULL),
                         (const char *const[]){NULL});
}

struct queue_metrics *queue_metrics_new(struct metrics *metrics, struct store *store,
                                        struct loop *loop)
{
    static const char *const by_queue[] = {"queue", NULL};
    static const char *const by_state[] = {"queue", "state", NULL};
    struct queue_metrics *qm = MEM_NEW(struct queue_metrics);

    qm->metrics = metrics;
    qm->store = store;
    qm->loop = loop;
    qm->stats = MEM_NEW_ARRAY(QUEUES_SHOWN_MAX, struct store_queue_stats);
    qm->messages = metrics_family(metrics, METRIC_GAUGE, "sluice_queue_messages",
                                  "Messages in the embedded queue by state.", by_state);
    qm->oldest = metrics_family(
        metrics, METRIC_GAUGE, "sluice_queue_oldest_message_timestamp_seconds",
        "Unix time at which the oldest visible message was sent; 0 when none.", by_queue);
    qm->sent = metrics_family(metrics, METRIC_COUNTER, "sluice_queue_sent_total",
                              "Messages accepted by the embedded queue.", by_queue);
    qm->received = metrics_family(metrics, METRIC_COUNTER, "sluice_queue_received_total",
                                  "Messages received from the embedded queue.", by_queue);
    qm->deleted = metrics_family(metrics, METRIC_COUNTER, "sluice_queue_deleted_total",
                                 "Messages deleted from the embedded queue.", by_queue);
    qm->dead_lettered = metrics_family(metrics, METRIC_COUNTER, "sluice_queue_dead_lettered_total",
                                       "Messages moved to the dead-letter queue.", by_queue);
    qm->expired = metrics_family(metrics, METRIC_COUNTER, "sluice_queue_expired_total",
                                 "Messages that outlived their retention.", by_queue);
    qm->commits = single(metrics, METRIC_COUNTER, "sluice_store_commits_total",
                         "Synced commits of the embedded queue.");
    qm->operations = single(metrics, METRIC_COUNTER, "sluice_store_operations_total",
                            "Operations of the embedded queue; many share a commit.");
    qm->longest_commit = single(metrics, METRIC_GAUGE, "sluice_store_longest_commit_seconds",
                                "Longest commit of the embedded queue since start.");
    qm->error = single(metrics, METRIC_GAUGE, "sluice_store_error",
                       "Whether the last commit of the embedded queue failed.");
    qm->longest_turn = single(metrics, METRIC_GAUGE, "sluice_loop_longest_turn_seconds",
                              "Longest turn of the event loop since start.");
    qm->collector = (struct metrics_collector){.collect = collect, .context = qm};
    metrics_collector_add(metrics, &qm->collector);
    return qm;
}

void queue_metrics_free(struct queue_metrics *qm)
{
    if (qm != NULL) {
        metrics_collector_remove(qm->metrics, &qm->collector);
        free(qm->stats);
        free(qm);
    }
}

void queue_metrics_status(struct store *store, struct json_writer *w)
{
    struct store_queue_stats *stats = MEM_NEW_ARRAY(QUEUES_SHOWN_MAX, struct store_queue_stats);
    uint32_t count = store_queue_stats(store, stats, QUEUES_SHOWN_MAX);
    wall_ms now = loop_wall();

    json_key_write(w, STR("queues"));
    json_array_begin(w);
    for (uint32_t i = 0; i < count && i < QUEUES_SHOWN_MAX; i++) {
        json_object_begin(w);
        json_member_str(w, "name", str_from(stats[i].name));
        json_member_i64(w, "visible", (int64_t)stats[i].visible);
        json_member_i64(w, "in_flight", (int64_t)stats[i].in_flight);
        json_member_i64(w, "delayed", (int64_t)stats[i].delayed);
        json_member_i64(w, "expired", (int64_t)stats[i].expired);
        if (stats[i].oldest_sent_at > 0) {
            json_member_double(w, "oldest_age_seconds",
                               (double)mono_max(now - stats[i].oldest_sent_at, 0) / 1e3);
        }
        if (stats[i].dead_letter[0] != '\0') {
            json_member_str(w, "dead_letter", str_from(stats[i].dead_letter));
        }
        json_object_end(w);
    }
    json_array_end(w);
    json_member_i64(w, "queue_count", count); /* those beyond QUEUES_SHOWN_MAX too */
    free(stats);
}
