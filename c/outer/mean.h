/* mean.h -- the mean of several workers' contributions, and what keeps one of them from deciding it.
 *
 * From OUTER_CLIP_FROM contributions on, none counts with a norm of more than four times the median:
 * what is larger is scaled down (SPEC.md, "The outer step"). `robust` adds that no weight counts more
 * than four times the median, and CenteredClip (Karimireddy et al., arXiv 2012.10333): three times the
 * mean moves by the mean of all differences from it, each of a norm of at most their median. */
#ifndef SHOAL_OUTER_MEAN_H
#define SHOAL_OUTER_MEAN_H

#include "outer/outer.h"

#define OUTER_CLIP_FROM 4  /* contributions: of fewer there is no majority against two */
#define OUTER_MEAN_MAX  32 /* contributions */

struct outer_given {
    const uint8_t *wire; /* of n elements, valid */
    uint64_t weight;     /* tokens, > 0 */
};

/* Room for n elements each; `center` and `moved` are used where `robust`, else they may be NULL. */
struct outer_mean_room {
    float *total, *center, *moved;
};

/* The mean of `count` contributions, 1 .. OUTER_MEAN_MAX, quantized: outer_wire_bytes(n) at `wire`.
 * *clipped: bit i is set where contribution i counted for less than it is. False, with `wire`
 * unspecified, when a mean is not finite. */
bool outer_mean(const struct outer_given *of, uint32_t count, size_t n, bool robust,
                const struct outer_mean_room *room, uint8_t *wire, uint32_t *clipped);

/* Its Euclidean norm. */
double outer_wire_norm(const uint8_t *wire, size_t n);

#endif
