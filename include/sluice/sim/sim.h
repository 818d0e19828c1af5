/*
 * sim: the real limits and the real flow on a virtual clock, between scripted queues and targets.
 *
 * Build: sim_new, then limits, targets, queues and routes (ids are indices from 0), then
 * sim_run_until. The script of a queue or a target is its configuration; the same seed gives the
 * same run to the nanosecond. Every turn of the simulated loop checks I2, I4, I5 (one receive at a
 * time), I6 and I8 and aborts with the expression that failed; the rest is in the reports.
 *
 * Pure, one thread. The caller owns the sim and frees it with sim_free.
 */
#ifndef SLUICE_SIM_SIM_H
#define SLUICE_SIM_SIM_H

#include "sluice/flow/flow.h"
#include "sluice/sim/latency.h"

#include <stdbool.h>
#include <stdint.h>

struct sim;

struct sim_limit_config {
    struct limit_config limit;
    uint32_t keys_max;  /* > 0: by key, which is the message's group or tenant */
    bool measured_only; /* counted at the target, not enforced: what happens without a limiter */
};

/* What the target does between two times. */
enum sim_outage_kind {
    SIM_REFUSED,    /* connections are refused: no byte is written */
    SIM_BLACK_HOLE, /* requests are written and never arrive; the call times out */
    SIM_STATUS,     /* answers `status` after status_latency */
    SIM_UNRESOLVED, /* its name does not resolve: sluice knows and does not call */
    SIM_SLOW,       /* its work takes `slower` times as long */
    SIM_UNANSWERED, /* it works, and the answer never comes */
};

struct sim_outage {
    mono_ns from, until;
    enum sim_outage_kind kind;
    int status;
    int64_t retry_after_ns; /* of a status; 0: no header */
    double share;           /* of the calls, of a status and of what is unanswered; 0: all */
    uint32_t slower;
};

/* What goes wrong with a queue between two times, by the share of its operations. */
struct sim_queue_fault {
    mono_ns from, until;
    double fail_share; /* not done */
    double lost_share; /* settlements: done, but reported as failed */
};

#define SIM_OUTAGES_MAX 64 /* where several are at once, the first of the list */
#define SIM_STALLS_MAX  64

struct sim_target_config {
    uint32_t concurrency;
    int64_t timeout_ns, abort_hold_ns;
    struct breaker_config breaker; /* zeroed: none */
    bool adaptive;
    /* How many calls it works at, and how many more it lets wait: 503 beyond; 0: no bound. */
    uint32_t servers, server_queue;
    uint32_t low_servers; /* from low_from until low_until */
    mono_ns low_from, low_until;
    struct sim_latency latency;        /* the API's work, a success */
    struct sim_latency request_delay;  /* until the last byte is at the host */
    struct sim_latency ack_delay;      /* from there until its acknowledgement is seen */
    struct sim_latency app_delay;      /* from there until the application reads it */
    struct sim_latency response_delay; /* of the answer */
    bool no_arrivals;                  /* acknowledgements cannot be observed */
    double fail_share;                 /* of the calls: fail_status after fail_latency */
    int fail_status;
    struct sim_latency fail_latency;
    double throttle_share;  /* of the calls: 429 at once */
    int64_t retry_after_ns; /* in 429; 0: no header */
    double lost_share;      /* of the calls: done, but the answer never comes */
    uint32_t own_requests;  /* its own sliding log: 429 beyond; 0: none */
    int64_t own_per_ns;
    struct sim_latency status_latency; /* of the answers of an outage */
    struct sim_outage outages[SIM_OUTAGES_MAX];
    uint32_t outage_count;
};

struct sim_queue_config {
    uint32_t backlog;     /* there at the start */
    uint32_t poison;      /* the first so many messages: the target always answers fail_status */
    bool endless;         /* never empty: saturated demand */
    uint32_t burst_count; /* messages of a burst; every burst_every_ns, bursts times */
    uint32_t bursts;
    int64_t burst_every_ns;
    double arrivals_per_second; /* a Poisson stream as well */
    mono_ns arrivals_until;     /* 0: it does not end */
    int64_t visibility_ns;      /* 0: held without a lease, as by the embedded queue */
    int64_t lease_cap_ns;       /* of a lease from its receipt; 0: twelve hours */
    uint32_t receive_max;       /* messages of one receive; 0: as many as asked for */
    uint32_t max_receives;      /* then to the dead-letter queue by the queue itself; 0: never */
    int64_t poll_ns;            /* an empty receive answers after this; 0: 20 s */
    uint32_t groups;            /* > 0: FIFO, message i is of group i % groups */
    uint32_t tenants; /* > 0: received in turn, tenant 0 last. Backlog and bursts are of tenant 0,
                         the Poisson stream of the others, the quiet ones */
    struct sim_latency receive_latency, settle_latency;
    double receive_fail_share, settle_fail_share, extend_fail_share;
    double settle_lost_share; /* done, but reported as failed */
    double duplicate_share;   /* delivered once more although it is held */
    double refused_share;     /* of the messages: always answered 400 */
    double failing_share;     /* of the messages: always answered 500 */
    struct sim_queue_fault faults[SIM_OUTAGES_MAX];
    uint32_t fault_count;
};

struct sim_route_config {
    uint32_t queue, target;
    uint32_t limits[LIMIT_SET_MAX];
    uint32_t limit_count;
    uint32_t concurrency, weight, share, priority;
    struct retry_config retry;
    bool has_dead_letter, paused;
};

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim);
uint32_t sim_limit_add(struct sim *sim, const struct sim_limit_config *config);
uint32_t sim_target_add(struct sim *sim, const struct sim_target_config *config);
uint32_t sim_queue_add(struct sim *sim, const struct sim_queue_config *config);
uint32_t sim_route_add(struct sim *sim, const struct sim_route_config *config);
/* The process does nothing in that time (SIGSTOP, a blocked loop); the world goes on. */
void sim_stall(struct sim *sim, mono_ns from, mono_ns until);
/* Timers fire up to that late; default 1 ms. */
void sim_timer_lateness(struct sim *sim, int64_t late_ns);

mono_ns sim_now(const struct sim *sim);
void sim_run_until(struct sim *sim, mono_ns until);
/* Until nothing is left in the queues (and settled), or that time. True: nothing is left. */
bool sim_run_until_empty(struct sim *sim, mono_ns until);
/* The process dies now and starts again: limits are cold, concurrency waits abort_hold, leases run
 * out, what was held without a lease is visible again, requests under way still arrive. */
void sim_kill(struct sim *sim);
/* Runs until everything is handed back; false when that has not happened at that time. */
bool sim_drain(struct sim *sim, mono_ns until);
void sim_send(struct sim *sim, uint32_t queue, uint32_t count);
/* For what the above has no name for: the flow itself, and its route. Valid until sim_kill. */
struct flow *sim_flow(struct sim *sim);
struct route *sim_route(struct sim *sim, uint32_t route);

struct sim_limit_report {
    uint64_t arrivals;   /* at the host */
    uint32_t peak;       /* most in any half-open window of W at the host; by key: of a key */
    uint32_t app_peak;   /* the same where the application reads */
    double per_second;   /* (arrivals - 1) / (last - first) */
    double utilisation;  /* per_second / (N / W) */
    mono_ns first, last; /* arrivals */
};
void sim_limit_report(const struct sim *sim, uint32_t limit, struct sim_limit_report *ret);

struct sim_target_report {
    uint64_t calls;          /* started by sluice */
    uint64_t first_calls;    /* of them the first of a receipt */
    uint64_t forced_calls;   /* retries after an answer that never came to work that was done */
    uint64_t gates;          /* Retry-After of a 429 or 503 that sluice has seen */
    uint64_t gated_calls;    /* started before the end of one, by the process that has seen it */
    uint64_t arrivals;       /* of them at the host */
    uint64_t rejected;       /* 429 of its own log, 503 of its full queue */
    uint32_t in_flight_peak; /* calls running, as sluice sees it */
    uint32_t work_peak;      /* requests the API worked at, also for callers that gave up */
    mono_ns last_success;
    uint64_t opened;        /* times its breaker opened, over all processes */
    uint64_t calls_open;    /* started while it was open: none */
    uint64_t received_open; /* messages asked for while it was open: none */
};
void sim_target_report(const struct sim *sim, uint32_t target, struct sim_target_report *ret);

struct sim_queue_report {
    uint64_t sent;
    uint64_t delivered;        /* distinct messages the API did */
    uint64_t repeated;         /* messages done more than once: the extra times */
    uint64_t acked;            /* deleted */
    uint64_t lost;             /* deleted although the API never did them (I3: none) */
    uint64_t scripted;         /* of them never to succeed, by the script */
    uint64_t dead;             /* in the dead-letter queue, by sluice */
    uint64_t dead_unscripted;  /* of them messages that could have succeeded */
    uint64_t dead_by_receives; /* in the dead-letter queue, by the queue's max_receives */
    uint64_t left;             /* still there: visible, hidden or held */
    uint64_t receives;         /* requests */
    uint64_t received;         /* messages */
    uint64_t extensions;       /* of leases */
    uint32_t receive_count_max;
    uint64_t receives_uncalled;     /* received, given up again and never called meanwhile (I5) */
    uint64_t hand_backs;            /* released */
    uint64_t order_broken;          /* of a group: called before an earlier one was done (I7) */
    uint32_t held_peak;             /* most messages held outside a call (I8) */
    uint32_t attempts_max;          /* counted attempts of one message */
    uint64_t unreached_counted;     /* attempts counted although nothing was written */
    double wait_mean_s, wait_max_s; /* from sent to the start of the first call */
};
/* Of the waits of quiet tenants' messages, from sent to the start of the first call, in seconds. */
double sim_queue_quiet_wait_s(const struct sim *sim, uint32_t queue, double quantile);
/* Counts from now on. */
void sim_queue_quiet_forget(struct sim *sim, uint32_t queue);
void sim_queue_report(const struct sim *sim, uint32_t queue, struct sim_queue_report *ret);

/* ---- one target behind one limit, in one call (sluice plan) ---- */
struct sim_plan {
    struct limit_config limit;
    bool limited; /* false: concurrency alone, the limit is only measured */
    uint32_t concurrency;
    struct sim_latency latency;
    struct sim_latency network; /* each way; zero: none */
    uint32_t burst;             /* messages at once; 0: saturated for the duration */
    int64_t duration_ns;        /* after the cold start */
    uint64_t seed;
};
struct sim_plan_report {
    struct sim_limit_report limit;
    uint32_t in_flight_peak;
    double wait_mean_s, wait_max_s; /* of a burst */
    uint64_t calls;
};
void sim_plan_run(const struct sim_plan *plan, struct sim_plan_report *ret);

#endif
