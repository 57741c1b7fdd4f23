/* outer.h -- DiLoCo's outer step, defined bit for bit (arXiv 2311.08105; SPEC.md, "The outer
 * step").
 *
 *     delta = anchor - parameters                 a worker's pseudo-gradient of one epoch
 *     wire  = quantize(delta)                     int8, blocks of 256, one fp32 scale a block
 *     acc   = sum over members, in member order, of fl(weight) * dequantize(wire)
 *     mean  = quantize(acc / sum of weights)      every member uses these bytes, the owner too
 *     m'    = mu * m + d                          d = dequantize(mean)
 *     a'    = a - lr * (d + mu * m')              Nesterov; without it a' = a - lr * m'
 *
 * All in fp32, round to nearest even, each operation rounded separately (no fused multiply-add, no
 * flush to zero), in the order written in SPEC.md: any machine that follows it gets the same bits.
 * Pure functions, no allocation; the vector is processed in ranges, so that threads may share it
 * and a chunk may be averaged alone. */
#ifndef SHOAL_OUTER_OUTER_H
#define SHOAL_OUTER_OUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/whole.h"

/* Elements that share a scale: one warp times eight on a GPU; 1.6 % overhead. */
#define OUTER_BLOCK 256

/* How the flattened vector is divided. A chunk is what one owner averages: 2^18 elements for large
 * models; small models get smaller ones, at least 64 where they can be 2^12 elements, so that every
 * member owns some. */
struct outer_layout {
    uint64_t parameters;     /* elements of the vector, > 0 */
    uint32_t chunk_elements; /* a power of two, 2^12 .. 2^18: a multiple of OUTER_BLOCK */
    uint32_t chunks;         /* the last may be short */
};

struct outer_layout outer_layout_of(uint64_t parameters);

/* First element of chunk `c` < chunks, and their number. */
static inline size_t outer_chunk_start(const struct outer_layout *l, uint32_t c)
{
    return (size_t)c * l->chunk_elements;
}
size_t outer_chunk_count(const struct outer_layout *l, uint32_t c);

/* Bytes of `n` quantized elements: all scales (fp32, little-endian), then all q (int8). */
static inline size_t outer_wire_bytes(size_t n)
{
    return ceil_div(n, OUTER_BLOCK) * sizeof(float) + n;
}

/* Offset of chunk `c` in a buffer that holds all chunks' wire bytes contiguously. */
size_t outer_wire_offset(const struct outer_layout *l, uint32_t c);

/* Quantizes anchor[i] - parameters[i] for i < n. False, with `wire` unspecified, when a difference
 * is not finite. */
bool outer_quantize_delta(const float *anchor, const float *parameters, size_t n, uint8_t *wire);

/* Can quantization produce this payload: finite non-negative scales, no q of -128? */
bool outer_wire_valid(const uint8_t *wire, size_t n);

/* acc[i] = fl(acc[i] + fl(weight * fl(scale * q[i]))). The weight is a token count converted to
 * fp32 once. */
void outer_accumulate(float *acc, const uint8_t *wire, size_t n, float weight);

/* Quantizes fl(acc[i] / weight_sum). False when a mean is not finite. */
bool outer_quantize_mean(const float *acc, size_t n, float weight_sum, uint8_t *wire);

/* outer.optimizer of the experiment. */
struct outer_rule {
    float lr, momentum; /* mu */
    bool nesterov;
};

/* One outer step on n elements; *_out may equal *_in. */
void outer_step(const struct outer_rule *rule, const float *anchor_in, const float *momentum_in,
                const uint8_t *mean, size_t n, float *anchor_out, float *momentum_out);

/* ---- digests of the state ---- */

/* A leaf names a chunk: the first 16 bytes of SHA-256 of its anchors, then its momenta, as
 * little-endian fp32. Any thread may compute any leaf. */
void outer_leaf(const struct crypto *hash, struct bytes anchor, struct bytes momentum,
                uint8_t leaf[CRYPTO_DIGEST_BYTES]);

static inline size_t outer_leaves_bytes(const struct outer_layout *l)
{
    return (size_t)l->chunks * CRYPTO_DIGEST_BYTES;
}

/* The leaf of chunk `c`, at its place among all [chunks][CRYPTO_DIGEST_BYTES]; all of them. */
void outer_leaf_at(const struct crypto *hash, const struct outer_layout *l, const float *anchor,
                   const float *momentum, uint32_t c, uint8_t *leaves);
void outer_leaves(const struct crypto *hash, const struct outer_layout *l, const float *anchor,
                  const float *momentum, uint8_t *leaves);

/* The digest of the whole state: SHA-256 of all leaves. */
void outer_digest(const struct crypto *hash, const struct outer_layout *l, const uint8_t *leaves,
                  uint8_t out[CRYPTO_HASH_BYTES]);

#endif
