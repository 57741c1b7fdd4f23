/* crypto.h -- the functions of struct crypto (base/crypto.h) that need no private key, by wolfSSL.
 * identity_crypto (identity.h) makes the table. Callable from any thread. */
#ifndef SHOAL_NET_CRYPTO_H
#define SHOAL_NET_CRYPTO_H

#include "base/crypto.h"

/* `hash` and `verify` of struct crypto; `self` is not used. */
void crypto_sha256(void *self, const struct bytes *parts, size_t count,
                   uint8_t out[CRYPTO_HASH_BYTES]);
bool crypto_verify(void *self, const uint8_t key[CRYPTO_KEY_BYTES], struct bytes message,
                   const uint8_t signature[CRYPTO_SIGNATURE_BYTES]);

/* Unpredictable bytes from the system's generator; stops the program when it fails. */
void crypto_random(void *to, size_t count);

#endif
