/* draw.h -- random numbers in a range. */
#ifndef SHOAL_SIM_DRAW_H
#define SHOAL_SIM_DRAW_H

#include <math.h>

#include "base/instant.h"
#include "base/rng.h"

/* Uniform from low to high, both included. */
static inline uint64_t between(struct rng *r, uint64_t low, uint64_t high)
{
    return low + rng_below(r, high - low + 1);
}

static inline span milliseconds(struct rng *r, uint64_t low, uint64_t high)
{
    return span_ms(between(r, low, high));
}

/* Log-uniform from low to high. */
static inline double log_between(struct rng *r, double low, double high)
{
    return low * pow(high / low, rng_unit(r));
}

#endif
