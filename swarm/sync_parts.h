/* sync_parts.h -- what both sides of a download share: how a state is cut. sync.h describes the whole. */
#ifndef SHOAL_SWARM_SYNC_PARTS_H
#define SHOAL_SWARM_SYNC_PARTS_H

#include "sync.h"

#define SYNC_MANIFEST_HEAD (1 + 8 + CRYPTO_DIGEST_BYTES + 8 + 8 + 4 + 4)

static inline size_t sync_leaves_bytes(const struct sync *s)
{
    return 2 * (size_t)s->chunks * CRYPTO_DIGEST_BYTES;
}

/* Chunks 0 .. chunks-1 are the anchor's, the others the momentum's. */
static inline uint64_t sync_chunk_offset(const struct sync *s, uint32_t c)
{
    return (uint64_t)(c % s->chunks) * s->elements;
}

static inline size_t sync_chunk_bytes(const struct sync *s, uint32_t c)
{
    uint64_t left = s->config.parameters - sync_chunk_offset(s, c);
    return (size_t)(left < s->elements ? left : s->elements) * sizeof(float);
}

static inline struct bytes sync_chunk(const struct sync *s, const struct lineage_state *state,
                                      uint32_t c)
{
    const float *v = c < s->chunks ? state->anchor : state->momentum;
    return bytes_of(v + sync_chunk_offset(s, c), sync_chunk_bytes(s, c));
}

static inline void sync_digest(const struct sync *s, struct bytes b,
                               uint8_t out[CRYPTO_DIGEST_BYTES])
{
    crypto_digest(s->config.crypto, &b, 1, out);
}

/* ---- sync_fetch.c ---- */

void sync_fetch_tick(struct sync *s, instant now, const struct sink *out);
instant sync_fetch_due(const struct sync *s);

/* ---- sync_serve.c ---- */

/* Computes digests that somebody waits for. */
void sync_serve_tick(struct sync *s, const struct sink *out);
/* Does somebody wait for them? */
bool sync_serve_busy(const struct sync *s);

#endif
