/* lineage.h -- names a history by a chain hash over its outer steps, and orders two histories.
 *
 * Equal lineage means equal bits of anchor and momentum, since genesis follows from the run and
 * each outer step from its root (SPEC.md, "Lineage"). */
#ifndef SHOAL_SWARM_LINEAGE_H
#define SHOAL_SWARM_LINEAGE_H

#include "action.h"

/* digest("shoal1 genesis" || run_id): the lineage of epoch 0. */
void lineage_genesis(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                     uint8_t out[CRYPTO_DIGEST_BYTES]);

/* digest("shoal1 root" || gid || vector): names the averaged bytes of all chunks. `vector` is rank u8
 * and digest of each chunk, REDUCE_VARIANT_BYTES each. */
void lineage_root(const struct crypto *c, const uint8_t gid[CRYPTO_DIGEST_BYTES],
                  struct bytes vector, uint8_t out[CRYPTO_DIGEST_BYTES]);

/* digest("shoal1 step" || lineage || epoch u64 || root): the lineage after the outer step to
 * `epoch`, where `root` names the averaged bytes of all chunks. `out` may be `lineage`. */
void lineage_next(const struct crypto *c, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                  uint64_t epoch, const uint8_t root[CRYPTO_DIGEST_BYTES],
                  uint8_t out[CRYPTO_DIGEST_BYTES]);

/* Does history (tokens, lineage) a win over b? More averaged tokens win; at a tie the smaller
 * bytes. Antisymmetric; false for equal histories. */
bool lineage_heavier(uint64_t tokens_a, const uint8_t a[CRYPTO_DIGEST_BYTES], uint64_t tokens_b,
                     const uint8_t b[CRYPTO_DIGEST_BYTES]);

#endif
