/*
 * sim_internal: what the files of sim/ share.
 *
 * World events (arrivals, work, visibility) happen in virtual time whatever the process does.
 * Process events (what sluice gets to see) go through sim_process_at(), which a stall delays.
 */
#ifndef SLUICE_SIM_INTERNAL_H
#define SLUICE_SIM_INTERNAL_H

#include "sluice/base/err.h"
#include "sluice/limit/keyed.h"
#include "sluice/sim/clock.h"
#include "sluice/sim/sim.h"

struct sim_limit;
/* Times of arrivals, in order. */
struct sim_log {
    mono_ns *at;
    uint32_t *weight;
    size_t count, capacity;
};
void sim_log_add(struct sim_log *log, mono_ns at, uint32_t weight);
void sim_log_done(struct sim_log *log);
/* An arrival at the host of a call that takes the limit's permits. */
void sim_limit_arrival(struct sim_limit *limit, uint32_t key, mono_ns at, uint32_t weight);
void sim_limit_logs_done(struct sim_limit *limit);
/* Most weight in any half-open window of that length. */
uint32_t sim_log_peak(const struct sim_log *log, int64_t per_ns);

struct sim_limit {
    struct sim_limit_config config;
    struct limit *limit;       /* NULL when measured only, or by key */
    struct limit_keyed *keyed; /* by key */
    struct sim_log host, app;
    struct sim_log *by_key; /* at the host */
    uint32_t key_count;
    mono_ns gate_until; /* Retry-After, as the process has seen it */
};

struct sim_target {
    struct sim *sim;
    struct sim_target_config config;
    struct target *target;
    struct list calls;
    struct sim_event outage_edges[2 * SIM_OUTAGES_MAX];
    struct sim_log accepted; /* of its own log */
    size_t accepted_first;
    uint32_t running, working;
    mono_ns *free_at; /* of each server */
    uint32_t accepted_now;
    struct sim_target_report report;
};

enum sim_place { SIM_VISIBLE, SIM_HIDDEN, SIM_GONE, SIM_DEAD };

/* A message as the queue has it. */
struct sim_record {
    struct list_node node;   /* on the visible list of its group while VISIBLE */
    struct list_node all;    /* of the queue */
    struct sim_event hidden; /* the visibility timeout */
    struct sim_queue *queue;
    enum sim_place place;
    uint64_t sequence;
    uint32_t group, generation, references; /* messages and calls that know it */
    uint32_t receive_count, deliveries;
    uint32_t attempts; /* counted ones of earlier receipts: they are remembered by its id */
    mono_ns sent_at;
    int scripted; /* the status of every answer; 0: none */
    bool called, acked;
    bool unanswered; /* the last call did it and was not answered */
    char id[24], group_id[16];
};

struct sim_group {
    struct list visible; /* by sequence */
    uint32_t hidden;     /* > 0: locked */
};

struct sim_queue {
    struct sim *sim;
    struct sim_queue_config config;
    struct sim_group *groups; /* one when it is no FIFO queue */
    uint32_t group_count, group_turn;
    struct list records, handles;
    uint64_t live; /* records not gone and not dead */
    uint64_t next_sequence;
    struct sim_route *route;
    struct sim_event arrival, burst;
    uint32_t bursts_left;
    /* the one receive */
    bool asked, polling;
    uint32_t ask_max, picked_count;
    struct sim_event asking, poll_end, answer;
    struct sim_record **picked;
    mono_ns picked_at;
    int answer_error;
    struct sim_queue_report report;
    uint64_t waits;
    double *quiet_waits;
    size_t quiet_count, quiet_capacity;
};

struct sim_route {
    struct sim *sim;
    struct sim_route_config config;
    struct route *route;
    struct sim_queue *queue;
    struct sim_target *target;
    char name[16];
    mono_ns gate_until;
};

/* What a message of the flow knows: its receipt handle, and its running settlement. */
struct sim_handle {
    struct list_node all; /* of the queue */
    struct sim_record *record;
    struct message *message; /* NULL: the process that held it is dead */
    uint32_t generation;
    enum settle how;
    int64_t delay_ns;
    struct sim_event settle, settled, extend, extended;
    int settle_error, extend_error;
    mono_ns lease_until, lease_cap;
    int64_t extension_ns;
    uint32_t running; /* events that still need this */
};

struct sim {
    struct sim_clock clock;
    struct rng rng;
    uint64_t seed;
    struct flow *flow;
    uint32_t boots;
    struct sim_limit **limits;
    struct sim_target **targets;
    struct sim_queue **queues;
    struct sim_route **routes;
    uint32_t limit_count, target_count, queue_count, route_count;
    struct {
        mono_ns from, until;
    } stalls[SIM_STALLS_MAX];
    uint32_t stall_count;
    int64_t late_ns;
    struct sim_event turn;
    uint64_t turns;
};

/* When the process sees what happens at that time. */
mono_ns sim_process_at(const struct sim *sim, mono_ns at);
bool sim_chance(struct sim *sim, double share);

/* queue.c */
struct sim_queue *sim_queue_new(struct sim *sim, const struct sim_queue_config *config);
void sim_queue_free(struct sim_queue *queue);
void sim_queue_receive(struct sim_queue *queue, uint32_t max);
void sim_queue_cancel(struct sim_queue *queue);
void sim_queue_settle(struct message *message, enum settle how, int64_t delay_ns);
void sim_queue_extend(struct message *message);
void sim_queue_message_done(struct message *message);
void sim_queue_killed(struct sim_queue *queue);
bool sim_queue_is_empty(const struct sim_queue *queue);
void sim_record_unref(struct sim_record *record);
/* The first call of a message starts; a call is at the host; the API did it. */
void sim_record_called(struct sim_record *record, mono_ns now);
void sim_record_arrived(struct sim_record *record);
void sim_record_done(struct sim_record *record);

/* target.c */
struct sim_target *sim_target_new(struct sim *sim, const struct sim_target_config *config);
void sim_target_free(struct sim_target *target);
void sim_target_boot(struct sim_target *target);
void sim_target_start(struct sim_target *target, struct message *message);
void sim_target_killed(struct sim_target *target);

#endif
