/* draw.h -- numbers by the seed's dice. */
#ifndef SHOAL_SIM_DRAW_H
#define SHOAL_SIM_DRAW_H

#include <math.h>

#include "base/instant.h"
#include "base/rng.h"

/* From low to high, both included. */
static inline uint64_t between(struct rng *r, uint64_t low, uint64_t high)
{
    return low + rng_below(r, high - low + 1);
}

static inline span milliseconds(struct rng *r, uint64_t low, uint64_t high)
{
    return span_ms(between(r, low, high));
}

/* From low to high, as many below as above their geometric mean. */
static inline double log_between(struct rng *r, double low, double high)
{
    return low * pow(high / low, rng_unit(r));
}

#endif
