/*
 * latency: distributions of times. Pure.
 */
#ifndef SLUICE_SIM_LATENCY_H
#define SLUICE_SIM_LATENCY_H

#include "sluice/base/rng.h"

#include <stdint.h>

enum sim_latency_kind {
    SIM_CONSTANT,    /* a_ns */
    SIM_UNIFORM,     /* a_ns … b_ns */
    SIM_EXPONENTIAL, /* mean a_ns */
    SIM_LOGNORMAL,   /* mean a_ns, coefficient of variation cv: the spread of a real function */
    SIM_BIMODAL,     /* b_ns in a share of the cases, else a_ns */
};

struct sim_latency {
    enum sim_latency_kind kind;
    int64_t a_ns, b_ns;
    double cv, share;
};

#define SIM_LATENCY_CONSTANT(ns)      ((struct sim_latency){.kind = SIM_CONSTANT, .a_ns = (ns)})
#define SIM_LATENCY_UNIFORM(min, max) ((struct sim_latency){SIM_UNIFORM, (min), (max), 0, 0})
#define SIM_LATENCY_EXPONENTIAL(mean)                                                              \
    ((struct sim_latency){.kind = SIM_EXPONENTIAL, .a_ns = (mean)})
#define SIM_LATENCY_LOGNORMAL(mean, cv) ((struct sim_latency){SIM_LOGNORMAL, (mean), 0, (cv), 0})
#define SIM_LATENCY_BIMODAL(ns, other, of)                                                         \
    ((struct sim_latency){SIM_BIMODAL, (ns), (other), 0, (of)})

/* Never negative. */
int64_t sim_latency_draw(const struct sim_latency *latency, struct rng *rng);
int64_t sim_latency_mean_ns(const struct sim_latency *latency);

#endif
