#include "sluice/sim/sim.h"

#define TIMEOUT_NS (3600 * NS_PER_S) /* no call of a plan fails */

void sim_plan_run(const struct sim_plan *plan, struct sim_plan_report *ret)
{
    struct sim *sim = sim_new(plan->seed);
    const struct limit_config *config = &plan->limit;
    int64_t cold_ns = plan->limited ? config->per_ns + config->max_flight_ns + config->guard_ns : 0;
    const struct sim_limit_config limit = {.limit = plan->limit, .measured_only = !plan->limited};
    const struct sim_target_config target = {
        .concurrency = plan->concurrency,
        .timeout_ns = TIMEOUT_NS,
        .latency = plan->latency,
        .request_delay = plan->network,
        .ack_delay = plan->network,
        .response_delay = plan->network,
    };
    const struct sim_queue_config queue = {
        .endless = plan->burst == 0,
        .burst_count = plan->burst,
        .bursts = plan->burst > 0 ? 1 : 0,
        .burst_every_ns = cold_ns,
    };
    const struct sim_route_config route = {
        .limit_count = 1,
        .retry = {.min_backoff_ns = NS_PER_S, .max_backoff_ns = NS_PER_S},
    };
    struct sim_target_report at_target;
    struct sim_queue_report at_queue;

    (void)sim_limit_add(sim, &limit);
    (void)sim_target_add(sim, &target);
    (void)sim_queue_add(sim, &queue);
    (void)sim_route_add(sim, &route);
    (void)sim_run_until_empty(sim, sim_now(sim) + cold_ns + plan->duration_ns);
    sim_limit_report(sim, 0, &ret->limit);
    sim_target_report(sim, 0, &at_target);
    sim_queue_report(sim, 0, &at_queue);
    ret->in_flight_peak = at_target.in_flight_peak;
    ret->calls = at_target.calls;
    ret->wait_mean_s = at_queue.wait_mean_s;
    ret->wait_max_s = at_queue.wait_max_s;
    sim_free(sim);
}
