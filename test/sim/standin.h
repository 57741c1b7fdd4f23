/* standin.h -- cheap cryptography for the simulator: not secure, but the simulated nodes cannot
 * forge it.
 *
 * Hashes are 256 bits of two keyed XXH3 runs: far cheaper than SHA-256 and without collisions among
 * honest inputs. A signature is a hash of the signer's secret and the message; the secret follows
 * from the public key and a secret of the world that only this file knows, so `verify` can
 * recompute what a machine under test cannot. */
#ifndef SHOAL_SIM_STANDIN_H
#define SHOAL_SIM_STANDIN_H

#include "base/crypto.h"
#include "base/rng.h"

struct standin {
    uint8_t key[CRYPTO_KEY_BYTES]; /* the node's own ID */
    uint64_t world;                /* shared by all nodes of a world */
    struct rng rng;                /* used by crypto.random */
    uint64_t signed_count, verified_count, refused_count;
    uint64_t good[256]; /* signatures of others found good, by the kind of what is signed */
};

/* A table that uses `s`, which must outlive it. */
struct crypto standin_crypto(struct standin *s);

#endif
