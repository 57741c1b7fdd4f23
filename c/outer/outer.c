#include "outer/outer.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "outer/blocks.h"

/* Compiled without UBSan (build/components.zig) so that the loops are vectorized; each operation is
 * rounded separately, since -ffp-contract=off keeps the compiler from fusing any two. */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "floats go on the wire as they lie");
static_assert(OUTER_BLOCK % 32 == 0, "whole vectors");

#define CHUNK_BITS_MIN 12
#define CHUNK_BITS_MAX 18
#define CHUNKS_WANTED  64

/* Below this a block counts as zero: its scale would come near the subnormal numbers, where a
 * quotient loses bits. */
#define ABSMAX_MIN 0x1p-100f

#define BITS_INFINITE 0x7f800000u /* and above it the NaNs, once the sign is cleared */

struct outer_layout outer_layout_of(uint64_t parameters)
{
    assert(parameters > 0);
    unsigned bits = CHUNK_BITS_MAX;
    while (bits > CHUNK_BITS_MIN && (parameters - 1) >> bits < CHUNKS_WANTED - 1) bits--;
    uint64_t chunks = ((parameters - 1) >> bits) + 1;
    assert(chunks <= UINT32_MAX);
    return (struct outer_layout){parameters, (uint32_t)1 << bits, (uint32_t)chunks};
}

size_t outer_chunk_count(const struct outer_layout *l, uint32_t c)
{
    assert(c < l->chunks);
    uint64_t left = l->parameters - outer_chunk_start(l, c);
    return left < l->chunk_elements ? (size_t)left : l->chunk_elements;
}

size_t outer_wire_offset(const struct outer_layout *l, uint32_t c)
{
    return (size_t)c * outer_wire_bytes(l->chunk_elements);
}

/* The largest magnitude of x, as bits: unsigned comparison orders non-negative floats, with NaNs
 * above infinity. */
static uint32_t magnitude(const float *x, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return most;
}

/* Quantizes one block of x: its scale and its q. False when a number is not finite. */
static bool quantize_block(const float *x, size_t n, uint8_t *scale, uint8_t *to)
{
    uint32_t most = magnitude(x, n);
    if (most >= BITS_INFINITE) return false;
    float absmax;
    memcpy(&absmax, &most, sizeof absmax);
    float s = absmax < ABSMAX_MIN ? 0.0f : absmax / 127.0f;
    memcpy(scale, &s, sizeof s);
    if (s == 0.0f) {
        memset(to, 0, n);
        return true;
    }
    /* |x / s| <= 127 (1 + 2^-23), so rounding to nearest even never leaves -127 .. 127 */
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(int8_t)(int32_t)rintf(x[i] / s);
    return true;
}

bool outer_quantize_delta(const float *anchor, const float *parameters, size_t n, uint8_t *wire)
{
    uint8_t *q = wire + blocks_of(n) * sizeof(float);
    for (size_t b = 0; b < blocks_of(n); b++) {
        const float *a = anchor + b * OUTER_BLOCK, *p = parameters + b * OUTER_BLOCK;
        size_t count = block_count(n, b);
        float delta[OUTER_BLOCK];
        for (size_t i = 0; i < count; i++) delta[i] = a[i] - p[i];
        if (!quantize_block(delta, count, wire + b * sizeof(float), q + b * OUTER_BLOCK))
            return false;
    }
    return true;
}

bool outer_wire_valid(const uint8_t *wire, size_t n)
{
    for (size_t b = 0; b < blocks_of(n); b++) {
        uint32_t bits;
        memcpy(&bits, wire + b * sizeof bits, sizeof bits);
        if (bits >= BITS_INFINITE) return false; /* a sign bit makes it even larger */
    }
    const uint8_t *q = wire + blocks_of(n) * sizeof(float);
    uint8_t bad = 0;
    for (size_t i = 0; i < n; i++) bad |= q[i] == 0x80;
    return !bad;
}

void outer_accumulate(float *acc, const uint8_t *wire, size_t n, float weight)
{
    const int8_t *q = (const int8_t *)wire + blocks_of(n) * sizeof(float);
    for (size_t b = 0; b < blocks_of(n); b++) {
        float s = scale_at(wire, b);
        float *to = acc + b * OUTER_BLOCK;
        const int8_t *from = q + b * OUTER_BLOCK;
        size_t count = block_count(n, b);
        for (size_t i = 0; i < count; i++) to[i] = to[i] + weight * (s * (float)from[i]);
    }
}

bool outer_quantize_mean(const float *acc, size_t n, float weight_sum, uint8_t *wire)
{
    uint8_t *q = wire + blocks_of(n) * sizeof(float);
    for (size_t b = 0; b < blocks_of(n); b++) {
        size_t count = block_count(n, b);
        float mean[OUTER_BLOCK];
        for (size_t i = 0; i < count; i++) mean[i] = acc[b * OUTER_BLOCK + i] / weight_sum;
        if (!quantize_block(mean, count, wire + b * sizeof(float), q + b * OUTER_BLOCK))
            return false;
    }
    return true;
}

/* One block with Nesterov momentum: a' = a - lr (d + mu m'), m' = mu m + d. */
static void step_nesterov(const struct outer_rule *r, const float *a, const float *m, float s,
                          const int8_t *q, size_t n, float *a_out, float *m_out)
{
    for (size_t i = 0; i < n; i++) {
        float d = s * (float)q[i];
        float moment = r->momentum * m[i] + d;
        float ahead = d + r->momentum * moment;
        a_out[i] = a[i] - r->lr * ahead;
        m_out[i] = moment;
    }
}

static void step_plain(const struct outer_rule *r, const float *a, const float *m, float s,
                       const int8_t *q, size_t n, float *a_out, float *m_out)
{
    for (size_t i = 0; i < n; i++) {
        float moment = r->momentum * m[i] + s * (float)q[i];
        a_out[i] = a[i] - r->lr * moment;
        m_out[i] = moment;
    }
}

void outer_step(const struct outer_rule *rule, const float *anchor_in, const float *momentum_in,
                const uint8_t *mean, size_t n, float *anchor_out, float *momentum_out)
{
    const int8_t *q = (const int8_t *)mean + blocks_of(n) * sizeof(float);
    for (size_t b = 0; b < blocks_of(n); b++) {
        size_t at = b * OUTER_BLOCK;
        (rule->nesterov ? step_nesterov : step_plain)(rule, anchor_in + at, momentum_in + at,
                                                      scale_at(mean, b), q + at, block_count(n, b),
                                                      anchor_out + at, momentum_out + at);
    }
}

void outer_leaf(const struct crypto *hash, struct bytes anchor, struct bytes momentum,
                uint8_t leaf[CRYPTO_DIGEST_BYTES])
{
    crypto_digest(hash, (struct bytes[]){anchor, momentum}, 2, leaf);
}

void outer_leaf_at(const struct crypto *hash, const struct outer_layout *l, const float *anchor,
                   const float *momentum, uint32_t c, uint8_t *leaves)
{
    const size_t at = outer_chunk_start(l, c), bytes = outer_chunk_count(l, c) * sizeof(float);
    outer_leaf(hash, bytes_of(anchor + at, bytes), bytes_of(momentum + at, bytes),
               leaves + (size_t)c * CRYPTO_DIGEST_BYTES);
}

void outer_leaves(const struct crypto *hash, const struct outer_layout *l, const float *anchor,
                  const float *momentum, uint8_t *leaves)
{
    for (uint32_t c = 0; c < l->chunks; c++) outer_leaf_at(hash, l, anchor, momentum, c, leaves);
}

void outer_digest(const struct crypto *hash, const struct outer_layout *l, const uint8_t *leaves,
                  uint8_t out[CRYPTO_HASH_BYTES])
{
    crypto_hash(hash, bytes_of(leaves, outer_leaves_bytes(l)), out);
}
