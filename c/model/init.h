/* init.h -- genesis parameters: a pure function of the seed, identical bits on every machine.
 *
 * Element i of the flat vector (layout.h), drawn from r = rng_at(key, i), key =
 * rng_split(rng_init(seed), 1).key (base/rng.h), with the four 16-bit words of r summed to one
 * integer:
 *
 *     s = (r & 65535) + (r >> 16 & 65535) + (r >> 32 & 65535) + (r >> 48) - 131070
 *     value = fl32(s) * fl32(sigma / D),   D = sqrt((2^32 - 1) / 3), sigma / D in fp64
 *
 * s is nearly normal (four uniforms: Irwin-Hall) with standard deviation D, |s| <= 131070 < 2^24 is
 * exact in fp32, and the one product is rounded to nearest: no libm, no fused operation. sigma is
 * 0.02 for all matrices and 0.02 / sqrt(2 * layers) for o_proj and down_proj, which write into the
 * residual stream (GPT-2's scheme); sqrt and division are IEEE 754's. Gains of norms are 1. */
#ifndef SHOAL_MODEL_INIT_H
#define SHOAL_MODEL_INIT_H

#include "backend.h"
#include "model/layout.h"

/* Writes elements [first, first + count) of the vector to `out`. */
void init_parameters(const struct layout *l, uint64_t seed, size_t first, size_t count, float *out);

/* Writes the whole vector to a device's `parameters`, a block at a time. ERR_MEMORY. */
enum err init_device(const struct layout *l, uint64_t seed, const struct backend *b,
                     float *parameters, struct why *w);

#endif
