#include "sluice/sim/latency.h"

int64_t sim_latency_draw(const struct sim_latency *latency, struct rng *rng)
{
    double a = (double)latency->a_ns;

    switch (latency->kind) {
    case SIM_UNIFORM:
        return rng_between(rng, latency->a_ns, latency->b_ns);
    case SIM_EXPONENTIAL:
        return a > 0 ? (int64_t)rng_exponential(rng, a) : 0;
    case SIM_LOGNORMAL:
        return a > 0 ? (int64_t)rng_lognormal(rng, a, latency->cv) : 0;
    case SIM_BIMODAL:
        return rng_unit(rng) < latency->share ? latency->b_ns : latency->a_ns;
    default:
        return latency->a_ns;
    }
}

int64_t sim_latency_mean_ns(const struct sim_latency *latency)
{
    double a = (double)latency->a_ns, b = (double)latency->b_ns;

    switch (latency->kind) {
    case SIM_UNIFORM:
        return (int64_t)((a + b) / 2);
    case SIM_BIMODAL:
        return (int64_t)(a * (1 - latency->share) + b * latency->share);
    default:
        return latency->a_ns;
    }
}
