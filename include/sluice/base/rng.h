/*
 * rng: xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. For jitter, simulation and tests:
 * not for secrets. One owner, no locking; the same seed gives the same sequence everywhere.
 */
#ifndef SLUICE_BASE_RNG_H
#define SLUICE_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
double rng_unit(struct rng *rng);                               /* uniform in [0,1) */
int64_t rng_between(struct rng *rng, int64_t min, int64_t max); /* uniform, both inclusive */
double rng_exponential(struct rng *rng, double mean);
double rng_normal(struct rng *rng);                            /* mean 0, deviation 1 */
double rng_lognormal(struct rng *rng, double mean, double cv); /* of that mean and cv */

#endif
