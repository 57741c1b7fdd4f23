/* hmac.h -- HMAC (RFC 2104) over the hash of crypto.h. */
#ifndef SHOAL_BASE_HMAC_H
#define SHOAL_BASE_HMAC_H

#include "base/crypto.h"

#define HMAC_PARTS_MAX 4

/* Of the concatenated parts, at most HMAC_PARTS_MAX, under a key of any length. */
void hmac(const struct crypto *c, struct bytes key, const struct bytes *parts, size_t count,
          uint8_t out[CRYPTO_HASH_BYTES]);

/* Are two equal? Takes the same time wherever they differ. */
bool hmac_equal(const uint8_t a[CRYPTO_HASH_BYTES], const uint8_t b[CRYPTO_HASH_BYTES]);

#endif
