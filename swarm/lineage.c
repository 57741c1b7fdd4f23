#include "lineage.h"

static struct bytes text(const char *s) { return bytes_of(s, strlen(s)); }

void lineage_genesis(const struct crypto *c, const uint8_t run_id[CRYPTO_DIGEST_BYTES],
                     uint8_t out[CRYPTO_DIGEST_BYTES])
{
    struct bytes parts[] = {text("shoal1 genesis"), bytes_of(run_id, CRYPTO_DIGEST_BYTES)};
    crypto_digest(c, parts, 2, out);
}

void lineage_root(const struct crypto *c, const uint8_t gid[CRYPTO_DIGEST_BYTES],
                  struct bytes vector, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    struct bytes parts[] = {text("shoal1 root"), bytes_of(gid, CRYPTO_DIGEST_BYTES), vector};
    crypto_digest(c, parts, 3, out);
}

void lineage_next(const struct crypto *c, const uint8_t lineage[CRYPTO_DIGEST_BYTES],
                  uint64_t epoch, const uint8_t root[CRYPTO_DIGEST_BYTES],
                  uint8_t out[CRYPTO_DIGEST_BYTES])
{
    uint8_t number[8];
    struct writer w = writer_init(number, sizeof number);
    writer_u64(&w, epoch);
    struct bytes parts[] = {text("shoal1 step"), bytes_of(lineage, CRYPTO_DIGEST_BYTES),
                            writer_bytes(&w), bytes_of(root, CRYPTO_DIGEST_BYTES)};
    crypto_digest(c, parts, 4, out);
}

bool lineage_heavier(uint64_t tokens_a, const uint8_t a[CRYPTO_DIGEST_BYTES], uint64_t tokens_b,
                     const uint8_t b[CRYPTO_DIGEST_BYTES])
{
    if (tokens_a != tokens_b) return tokens_a > tokens_b;
    return memcmp(a, b, CRYPTO_DIGEST_BYTES) < 0;
}
