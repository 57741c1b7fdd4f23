/* reduce_variant.h -- which bytes of a chunk count, and the name of all that a member holds. Part
 * of reduce.c, on the same struct. */
#ifndef SHOAL_SWARM_REDUCE_VARIANT_H
#define SHOAL_SWARM_REDUCE_VARIANT_H

#include "reduce_parts.h"

/* Below 0: `a` counts more: its rank is lower, or it is the same and its digest smaller. 0: they
 * are equal. */
int reduce_variant_compare(const struct reduce_variant *a, const struct reduce_variant *b);

/* What I hold: rank u8 and digest of every chunk; a view of r->scratch. */
struct bytes reduce_vector(const struct reduce *r);

/* root = digest("shoal1 root" || gid || vector): names group, weights and every averaged byte. */
void reduce_root(const struct reduce *r, uint8_t out[CRYPTO_DIGEST_BYTES]);

#endif
