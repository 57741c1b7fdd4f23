#include "reduce_variant.h"

#include <assert.h>

#include "lineage.h"
#include "reduce_parts.h"

int reduce_variant_compare(const struct reduce_variant *a, const struct reduce_variant *b)
{
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return memcmp(a->digest, b->digest, CRYPTO_DIGEST_BYTES);
}

void reduce_variant_write(struct writer *w, const struct reduce_variant *v)
{
    writer_u8(w, v->rank);
    writer_copy(w, v->digest, CRYPTO_DIGEST_BYTES);
}

struct reduce_variant reduce_variant_at(const uint8_t *vector, uint32_t c)
{
    const uint8_t *at = vector + (size_t)c * REDUCE_VARIANT_BYTES;
    struct reduce_variant v = {.rank = at[0]};
    memcpy(v.digest, at + 1, sizeof v.digest);
    return v;
}

struct bytes reduce_vector(const struct reduce *r)
{
    struct writer w = writer_init(r->scratch, reduce_vector_bytes(&r->config.layout));
    for (uint32_t c = 0; c < r->config.layout.chunks; c++)
        reduce_variant_write(&w, &r->chunks[c].best);
    assert(!w.full);
    return writer_bytes(&w);
}

void reduce_root(const struct reduce *r, uint8_t out[CRYPTO_DIGEST_BYTES])
{
    lineage_root(r->config.crypto, r->group.gid, reduce_vector(r), out);
}
