/* own_clock.h -- the clock of one machine, as its process reads it: CLOCK_MONOTONIC.
 *
 * It has an origin of its own, is up to OWN_CLOCK_PPM fast or slow, may jump forward, and stands
 * still while its virtual machine is paused (a stopped process's clock goes on). It never goes
 * back. */
#ifndef SHOAL_SIM_OWN_CLOCK_H
#define SHOAL_SIM_OWN_CLOCK_H

#include <stdint.h>

#include "base/instant.h"

#define OWN_CLOCK_PPM 200

struct own_clock {
    uint64_t origin_ns;
    int32_t ppm; /* fast; negative: slow */
    uint64_t jumped_ns, stood_ns;
};

#define OWN_CLOCK_MILLION 1000000

/* What it shows at this moment of the world. */
static inline instant own_clock_now(const struct own_clock *c, instant at)
{
    uint64_t rate = (uint64_t)(OWN_CLOCK_MILLION + c->ppm);
    uint64_t ran = (uint64_t)((unsigned __int128)at.ns * rate / OWN_CLOCK_MILLION);
    return (instant){c->origin_ns + c->jumped_ns + ran - c->stood_ns};
}

/* The first moment of the world at which it shows `due`, if it runs on as it does. */
static inline instant own_clock_when(const struct own_clock *c, instant due)
{
    uint64_t rate = (uint64_t)(OWN_CLOCK_MILLION + c->ppm), shown = c->origin_ns + c->jumped_ns;
    if (due.ns == INSTANT_NEVER.ns) return due;
    if (due.ns + c->stood_ns <= shown) return (instant){0};
    unsigned __int128 run = (unsigned __int128)(due.ns + c->stood_ns - shown) * OWN_CLOCK_MILLION;
    return (instant){(uint64_t)((run + rate - 1) / rate)};
}

/* It stands still between these moments. */
static inline void own_clock_stand(struct own_clock *c, instant from, instant to)
{
    c->stood_ns += own_clock_now(c, to).ns - own_clock_now(c, from).ns;
}

#endif
