/* sampler.h -- what a worker reads next, as a pure function of (seed, identity, position).
 *
 * No cursor, no file, no coordination between workers: the three numbers determine the tokens. The
 * training tokens are a ring of N. A pass over them is N / context windows, consecutive, starting
 * at a random place of the ring; the worker reads them in a random order, each once. The next pass
 * starts at another place and has another order:
 *
 *     pass = position / windows    window = permutation[seed, identity, pass](position % windows)
 *     first token = (turn[seed, identity, pass] + window * context) mod N,  turn uniform in [0, N)
 *
 * So in each pass every token is read at most once, fewer than `context` tokens are left out, and
 * which ones is random: over the run the whole corpus is read evenly. The permutation is a Feistel
 * network over the next power of four, iterated until the result is in range (cycle walking) (Black
 * and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). */
#ifndef SHOAL_DATA_SAMPLER_H
#define SHOAL_DATA_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/corpus.h"

#define SAMPLER_IDENTITY_BYTES 32 /* a node's ID */

struct sampler {
    const struct corpus *corpus; /* lent until the sampler is no longer used */
    uint32_t context;            /* tokens of a sequence */
    uint64_t windows;            /* of one pass */
    uint64_t key;                /* of seed and identity */
};

/* ERR_USAGE when the training or the validation tokens are fewer than context + 1. */
enum err sampler_init(struct sampler *s, const struct corpus *corpus, uint64_t seed,
                      const uint8_t identity[SAMPLER_IDENTITY_BYTES], uint32_t context,
                      struct why *w);

/* Sequences position, position + 1, ...: this worker's since its start, into
 * tokens[sequences][context + 1]. The last token of a row is the target of the one before it. */
void sampler_fill(const struct sampler *s, uint64_t position, size_t sequences, uint32_t *tokens);

/* Held-out text in consecutive windows: their number, and window `index`: context + 1 tokens, the
 * last of which is the first of the next window. */
uint64_t sampler_validation_count(const struct corpus *corpus, uint32_t context);
void sampler_validation(const struct corpus *corpus, uint32_t context, uint64_t index,
                        uint32_t *tokens);

#endif
