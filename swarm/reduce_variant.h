/* reduce_variant.h -- which variant of a chunk wins, and the root over all that a member holds.
 * Part of reduce.c, on the same struct. */
#ifndef SHOAL_SWARM_REDUCE_VARIANT_H
#define SHOAL_SWARM_REDUCE_VARIANT_H

#include "reduce_parts.h"

/* Negative: `a` wins: its rank is lower, or equal with a smaller digest. 0: equal. */
int reduce_variant_compare(const struct reduce_variant *a, const struct reduce_variant *b);

/* In a vector: writes the next chunk's variant; that of chunk `c`, whose mask it does not say. */
void reduce_variant_write(struct writer *w, const struct reduce_variant *v);
struct reduce_variant reduce_variant_at(const uint8_t *vector, uint32_t c);

/* What I hold: rank u8 and digest of every chunk. Points into r->scratch. */
struct bytes reduce_vector(const struct reduce *r);

/* root = digest("shoal1 root" || gid || vector): names group, weights and every averaged byte. */
void reduce_root(const struct reduce *r, uint8_t out[CRYPTO_DIGEST_BYTES]);

#endif
