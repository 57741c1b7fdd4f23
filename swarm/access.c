#include "access.h"

#include "base/hmac.h"

static void prove(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                  const uint8_t id[CRYPTO_KEY_BYTES], uint8_t out[CRYPTO_HASH_BYTES])
{
    const struct bytes parts[] = {bytes_of(m->config.run_id, CRYPTO_DIGEST_BYTES),
                                  bytes_of(exporter, CRYPTO_HASH_BYTES),
                                  bytes_of(id, CRYPTO_KEY_BYTES)};
    hmac(m->config.crypto, m->config.secret, parts, 3, out);
}

size_t access_prove(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                    uint8_t out[CRYPTO_HASH_BYTES])
{
    if (m->config.secret.count == 0) return 0;
    prove(m, exporter, m->config.id, out);
    return CRYPTO_HASH_BYTES;
}

bool access_admits(const struct members *m, const uint8_t exporter[CRYPTO_HASH_BYTES],
                   const uint8_t id[CRYPTO_KEY_BYTES], struct bytes proof)
{
    uint8_t wanted[CRYPTO_HASH_BYTES];
    if (m->config.secret.count == 0) return true;
    prove(m, exporter, id, wanted);
    return proof.count == CRYPTO_HASH_BYTES && hmac_equal(wanted, proof.data);
}
