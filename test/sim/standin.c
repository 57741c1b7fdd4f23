#include "standin.h"

#define XXH_STATIC_LINKING_ONLY /* for its state on the stack */
#include <xxhash.h>

#define SEED_LOW  0x243f6a8885a308d3u /* the first digits of pi: obviously arbitrary */
#define SEED_HIGH 0x13198a2e03707344u

#define KIND_AT (6 + CRYPTO_DIGEST_BYTES)

static void hash_seeded(const struct bytes *parts, size_t count, uint64_t seed, uint8_t out[32])
{
    XXH3_state_t low, high;
    XXH3_INITSTATE(&low); /* otherwise it uses a seed left over on the stack */
    XXH3_INITSTATE(&high);
    XXH3_INITSTATE(&low); /* otherwise reset uses stack contents as a secret made from this seed */
    XXH3_INITSTATE(&high);
    XXH3_128bits_reset_withSeed(&low, SEED_LOW ^ seed);
    XXH3_128bits_reset_withSeed(&high, SEED_HIGH ^ seed);
    for (size_t i = 0; i < count; i++) {
        XXH3_128bits_update(&low, parts[i].data, parts[i].count);
        XXH3_128bits_update(&high, parts[i].data, parts[i].count);
    }
    XXH128_canonicalFromHash((XXH128_canonical_t *)out, XXH3_128bits_digest(&low));
    XXH128_canonicalFromHash((XXH128_canonical_t *)(out + 16), XXH3_128bits_digest(&high));
}

static void standin_hash(void *self, const struct bytes *parts, size_t count, uint8_t out[32])
{
    (void)self;
    hash_seeded(parts, count, 0, out);
}

static void signature(uint64_t world, const uint8_t key[CRYPTO_KEY_BYTES], struct bytes message,
                      uint8_t out[CRYPTO_SIGNATURE_BYTES])
{
    struct bytes parts[] = {bytes_of(key, CRYPTO_KEY_BYTES), message};
    hash_seeded(parts, 2, world, out);
    hash_seeded(parts, 2, ~world, out + 32);
}

static void standin_sign(void *self, struct bytes message, uint8_t out[CRYPTO_SIGNATURE_BYTES])
{
    struct standin *s = self;
    s->signed_count++;
    signature(s->world, s->key, message, out);
}

static bool standin_verify(void *self, const uint8_t key[CRYPTO_KEY_BYTES], struct bytes message,
                           const uint8_t claimed[CRYPTO_SIGNATURE_BYTES])
{
    struct standin *s = self;
    uint8_t real[CRYPTO_SIGNATURE_BYTES];
    signature(s->world, key, message, real);
    bool good = memcmp(real, claimed, sizeof real) == 0;
    s->verified_count++;
    s->refused_count += !good;
    /* SPEC.md, "Signatures": 6 letters, the run, the kind. */
    if (good && message.count > KIND_AT) s->good[message.data[KIND_AT]]++;
    return good;
}

static void standin_random(void *self, void *to, size_t count)
{
    struct standin *s = self;
    uint8_t *at = to;
    for (size_t i = 0; i < count; i += 8) {
        uint64_t word = rng_next(&s->rng);
        memcpy(at + i, &word, count - i < 8 ? count - i : 8);
    }
}

struct crypto standin_crypto(struct standin *s)
{
    return (struct crypto){s, standin_hash, standin_sign, standin_verify, standin_random};
}
