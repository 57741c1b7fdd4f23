#include "base/hmac.h"

#include <assert.h>

#define BLOCK_BYTES 64 /* of SHA-256 */

void hmac(const struct crypto *c, struct bytes key, const struct bytes *parts, size_t count,
          uint8_t out[CRYPTO_HASH_BYTES])
{
    uint8_t block[BLOCK_BYTES] = {0}, inner[CRYPTO_HASH_BYTES];
    struct bytes all[1 + HMAC_PARTS_MAX] = {bytes_of(block, sizeof block)};
    assert(count <= HMAC_PARTS_MAX);
    if (key.count > sizeof block) crypto_hash(c, key, block);
    else if (key.count) memcpy(block, key.data, key.count);
    for (size_t i = 0; i < sizeof block; i++) block[i] ^= 0x36;
    for (size_t i = 0; i < count; i++) all[1 + i] = parts[i];
    c->hash(c->self, all, 1 + count, inner);
    for (size_t i = 0; i < sizeof block; i++) block[i] ^= 0x36 ^ 0x5c;
    all[1] = bytes_of(inner, sizeof inner);
    c->hash(c->self, all, 2, out);
}

bool hmac_equal(const uint8_t a[CRYPTO_HASH_BYTES], const uint8_t b[CRYPTO_HASH_BYTES])
{
    unsigned differ = 0;
    for (size_t i = 0; i < CRYPTO_HASH_BYTES; i++) differ |= a[i] ^ b[i];
    return differ == 0;
}
