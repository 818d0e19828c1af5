#include "sluice/base/rng.h"

#include "sluice/base/err.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void rng_init(struct rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        rng->state[i] = splitmix64(&seed);
    }
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double rng_unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1.0p-53;
}

int64_t rng_between(struct rng *rng, int64_t min, int64_t max)
{
    SL_ASSERT(min <= max);
    uint64_t span = (uint64_t)max - (uint64_t)min + 1; /* 0: the whole range of 64 bits */
    if (span == 0) {
        return (int64_t)rng_next(rng);
    }
    /* The first 2^64 mod span values would make the low results more likely: draw again. */
    uint64_t reject_below = (0 - span) % span;
    uint64_t x = rng_next(rng);
    while (x < reject_below) {
        x = rng_next(rng);
    }
    return (int64_t)((uint64_t)min + x % span);
}

double rng_exponential(struct rng *rng, double mean)
{
    return -mean * log1p(-rng_unit(rng));
}

double rng_normal(struct rng *rng)
{
    /* Box-Muller without the second value: no state beside the generator's, so that a sequence
       depends on the seed and the order of calls alone. 1 - u keeps log away from 0. */
    const double two_pi = 6.283185307179586476925286766559;
    double radius = sqrt(-2.0 * log(1.0 - rng_unit(rng)));
    return radius * cos(two_pi * rng_unit(rng));
}

double rng_lognormal(struct rng *rng, double mean, double cv)
{
    double variance = log1p(cv * cv);
    return mean * exp(sqrt(variance) * rng_normal(rng) - variance / 2);
}
