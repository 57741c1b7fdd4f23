/* crypto.h -- the cryptography used by the rest of shoal, as a table of functions.
 *
 * net/ fills it from wolfSSL, the simulator with cheap stand-ins: c/ and swarm/ see neither. Hashes
 * are SHA-256 (FIPS 180-4) everywhere; a 16-byte digest is the first half of a hash. Signatures are
 * Ed25519 (RFC 8032). */
#ifndef SHOAL_BASE_CRYPTO_H
#define SHOAL_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

#define CRYPTO_KEY_BYTES       32 /* an Ed25519 public key: a node's ID */
#define CRYPTO_SIGNATURE_BYTES 64
#define CRYPTO_HASH_BYTES      32
#define CRYPTO_DIGEST_BYTES    16

struct crypto {
    void *self; /* passed to each function; for the node's own key and generator */
    /* SHA-256 of the concatenated parts. */
    void (*hash)(void *self, const struct bytes *parts, size_t count,
                 uint8_t out[CRYPTO_HASH_BYTES]);
    /* Signs with the node's own key. */
    void (*sign)(void *self, struct bytes message, uint8_t out[CRYPTO_SIGNATURE_BYTES]);
    /* Is this the signature of the message by the key's owner? */
    bool (*verify)(void *self, const uint8_t key[CRYPTO_KEY_BYTES], struct bytes message,
                   const uint8_t signature[CRYPTO_SIGNATURE_BYTES]);
    /* Unpredictable bytes (in the simulator determined by the seed). */
    void (*random)(void *self, void *to, size_t count);
};

static inline void crypto_hash(const struct crypto *c, struct bytes all,
                               uint8_t out[CRYPTO_HASH_BYTES])
{
    c->hash(c->self, &all, 1, out);
}
static inline void crypto_digest(const struct crypto *c, const struct bytes *parts, size_t count,
                                 uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint8_t whole[CRYPTO_HASH_BYTES];
    c->hash(c->self, parts, count, whole);
    memcpy(out, whole, CRYPTO_DIGEST_BYTES);
}

#endif
