/* lineage.h -- the name of a history: a chain hash over every outer step, and which of two
 * histories counts more.
 *
 * Equal lineage means equal bits of anchor and momentum, since genesis follows from the run and
 * each outer step from its root (SPEC.md, "Lineage"). */
#ifndef SHOAL_SWARM_LINEAGE_H
#define SHOAL_SWARM_LINEAGE_H

#include "action.h"

/* digest("shoal1 genesis" || run_id): epoch 0 of a run. */
void lineage_genesis(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                     uint8_t out[CRYPTO_DIGEST_BYTES]);

/* digest("shoal1 step" || lineage || epoch u64 || root): after the outer step that leads to
 * `epoch`. `root` names the averaged bytes of all chunks. `out` may be `lineage`. */
void lineage_next(const struct crypto *c, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                  uint64_t epoch, const uint8_t root[CRYPTO_DIGEST_BYTES],
                  uint8_t out[CRYPTO_DIGEST_BYTES]);

/* Does history (tokens, lineage) a win over b? More tokens averaged win; at a tie the smaller
 * bytes. Antisymmetric; false for equal ones. */
bool lineage_heavier(uint64_t tokens_a, const uint8_t a[CRYPTO_DIGEST_BYTES], uint64_t tokens_b,
                     const uint8_t b[CRYPTO_DIGEST_BYTES]);

#endif
