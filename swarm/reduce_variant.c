#include "reduce_variant.h"

#include <assert.h>

#include "lineage.h"
#include "reduce_parts.h"

int reduce_variant_compare(const struct reduce_variant *a, const struct reduce_variant *b)
{
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return memcmp(a->digest, b->digest, CRYPTO_DIGEST_BYTES);
}

struct bytes reduce_vector(const struct reduce *r)
{
    struct writer w =
        writer_init(r->scratch, (size_t)r->config.layout.chunks * REDUCE_VARIANT_BYTES);
    for (uint32_t c = 0; c < r->config.layout.chunks; c++) {
        writer_u8(&w, r->chunks[c].best.rank);
        writer_copy(&w, r->chunks[c].best.digest, CRYPTO_DIGEST_BYTES);
    }
    assert(!w.full);
    return writer_bytes(&w);
}

void reduce_root(const struct reduce *r, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    lineage_root(r->config.crypto, r->group.gid, reduce_vector(r), out);
}
