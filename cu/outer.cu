/* outer.cu -- DiLoCo's outer step (arXiv 2311.08105), with the same bits as c/outer/outer.c and
 * SPEC.md.
 *
 *     wire = quantize(anchor - theta)     acc += weight * dequantize(wire)
 *     mean = quantize(acc / weights)      m' = mu m + d     a' = a - lr (d + mu m')
 *     theta = a', or a' + (theta - a) if our contribution is not in the mean
 *
 * Each operation is rounded separately: the intrinsics keep the compiler from fusing two. One warp
 * per block of 256, eight elements per lane; a block's bytes are written once. Roofline: 8 B read
 * and 1 B written per element to quantize, 13 B read and 12 B written for the step:
 * bandwidth-bound, and by PCIe, since anchor and momentum are in host memory, from which peers are
 * served. */
#include "outer.h"

#include "ops.h"

extern "C" {
#include "outer/outer.h"
}

#define WARPS      4
#define THREADS    (WARPS * WARP)
#define EACH       (OUTER_BLOCK / WARP) /* elements per lane */
#define ABSMAX_MIN 0x1p-100f
#define INFINITE   0x7f800000u

/* The block of this warp: its index, first element and number of elements. False: none. */
__device__ __forceinline__ bool block_at(size_t n, size_t *block, size_t *first, size_t *count)
{
    *block = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    *first = *block * OUTER_BLOCK;
    if (*first >= n) return false;
    *count = n - *first < OUTER_BLOCK ? n - *first : OUTER_BLOCK;
    return true;
}

/* Writes one block of the wire: x[k] is element k * 32 + lane. */
__device__ __forceinline__ void quantize_block(const float x[EACH], size_t n, size_t block,
                                               size_t first, size_t count, uint8_t *wire,
                                               uint32_t *bad)
{
    const size_t lane = threadIdx.x % WARP, blocks = (n + OUTER_BLOCK - 1) / OUTER_BLOCK;
    uint32_t most = 0;
    for (size_t k = 0; k < EACH; k++) {
        const uint32_t bits = __float_as_uint(x[k]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    for (int step = WARP / 2; step; step /= 2) {
        const uint32_t other = __shfl_xor_sync(LANES, most, step);
        most = other > most ? other : most;
    }
    if (most >= INFINITE) {
        if (lane == 0) *bad = 1; /* all writers write the same */
        return;
    }
    const float absmax = __uint_as_float(most);
    const float scale = absmax < ABSMAX_MIN ? 0.0f : __fdiv_rn(absmax, 127.0f);
    if (lane == 0) {
        const uint32_t bits = __float_as_uint(scale);
        for (size_t byte = 0; byte < 4; byte++) /* a chunk's bytes may be unaligned */
            wire[block * 4 + byte] = (uint8_t)(bits >> 8 * byte);
    }
    for (size_t k = 0; k < EACH; k++) {
        const size_t i = k * WARP + lane;
        if (i >= count) continue;
        const int q = scale == 0.0f ? 0 : __float2int_rn(__fdiv_rn(x[k], scale));
        wire[blocks * 4 + first + i] = (uint8_t)(int8_t)q;
    }
}

__device__ __forceinline__ float scale_of(const uint8_t *wire, size_t block)
{
    uint32_t bits = 0;
    for (size_t byte = 0; byte < 4; byte++) bits |= (uint32_t)wire[block * 4 + byte] << 8 * byte;
    return __uint_as_float(bits);
}

__device__ __forceinline__ float dequantized(const uint8_t *wire, size_t n, size_t i, float scale)
{
    const size_t blocks = (n + OUTER_BLOCK - 1) / OUTER_BLOCK;
    return __fmul_rn(scale, (float)(int8_t)wire[blocks * 4 + i]);
}

__global__ void __launch_bounds__(THREADS)
    outer_quantize_delta_blocks(const float *anchor, const float *parameters, size_t n,
                                uint8_t *wire, uint32_t *bad)
{
    size_t block, first, count;
    float x[EACH];
    if (!block_at(n, &block, &first, &count)) return;
    for (size_t k = 0; k < EACH; k++) {
        const size_t i = k * WARP + threadIdx.x % WARP;
        x[k] = i < count ? __fsub_rn(anchor[first + i], parameters[first + i]) : 0.0f;
    }
    quantize_block(x, n, block, first, count, wire, bad);
}

__global__ void __launch_bounds__(THREADS)
    outer_quantize_mean_blocks(const float *acc, float weight_sum, size_t n, uint8_t *wire,
                               uint32_t *bad)
{
    size_t block, first, count;
    float x[EACH];
    if (!block_at(n, &block, &first, &count)) return;
    for (size_t k = 0; k < EACH; k++) {
        const size_t i = k * WARP + threadIdx.x % WARP;
        x[k] = i < count ? __fdiv_rn(acc[first + i], weight_sum) : 0.0f;
    }
    quantize_block(x, n, block, first, count, wire, bad);
}

__global__ void __launch_bounds__(THREADS)
    outer_accumulate_blocks(float *acc, const uint8_t *wire, size_t n, float weight)
{
    size_t block, first, count;
    if (!block_at(n, &block, &first, &count)) return;
    const float scale = scale_of(wire, block);
    for (size_t i = first + threadIdx.x % WARP; i < first + count; i += WARP)
        acc[i] = __fadd_rn(acc[i], __fmul_rn(weight, dequantized(wire, n, i, scale)));
}

/* In place on anchor and momentum; theta may be NULL. */
__global__ void __launch_bounds__(THREADS)
    outer_step_blocks(struct outer_rule rule, float *anchor, float *momentum, const uint8_t *mean,
                      size_t n, float *theta, bool mine)
{
    size_t block, first, count;
    if (!block_at(n, &block, &first, &count)) return;
    const float scale = scale_of(mean, block);
    for (size_t i = first + threadIdx.x % WARP; i < first + count; i += WARP) {
        const float before = anchor[i], d = dequantized(mean, n, i, scale);
        const float moment = __fadd_rn(__fmul_rn(rule.momentum, momentum[i]), d);
        const float ahead = rule.nesterov ? __fadd_rn(d, __fmul_rn(rule.momentum, moment)) : moment;
        const float after = __fsub_rn(before, __fmul_rn(rule.lr, ahead));
        anchor[i] = after;
        momentum[i] = moment;
        if (theta) theta[i] = mine ? after : __fadd_rn(after, __fsub_rn(theta[i], before));
    }
}

static dim3 grid_of(size_t n)
{
    const size_t blocks = (n + OUTER_BLOCK - 1) / OUTER_BLOCK;
    return dim3((blocks + WARPS - 1) / WARPS);
}

void cuda_outer_quantize_delta(struct cuda *c, const float *anchor, const float *parameters,
                               size_t n, uint8_t *wire, uint32_t *bad)
{
    LAUNCH(outer_quantize_delta_blocks, grid_of(n), dim3(THREADS), 0, c->stream, anchor, parameters,
           n, wire, bad);
    cuda_launched(c, "outer_quantize_delta");
}

void cuda_outer_accumulate(struct cuda *c, float *acc, const uint8_t *wire, size_t n, float weight)
{
    LAUNCH(outer_accumulate_blocks, grid_of(n), dim3(THREADS), 0, c->stream, acc, wire, n, weight);
    cuda_launched(c, "outer_accumulate");
}

void cuda_outer_quantize_mean(struct cuda *c, const float *acc, size_t n, float weight_sum,
                              uint8_t *wire, uint32_t *bad)
{
    LAUNCH(outer_quantize_mean_blocks, grid_of(n), dim3(THREADS), 0, c->stream, acc, weight_sum, n,
           wire, bad);
    cuda_launched(c, "outer_quantize_mean");
}

void cuda_outer_step_range(struct cuda *c, const struct outer_rule *rule, float *anchor,
                           float *momentum, const uint8_t *mean, size_t n, float *theta, bool mine)
{
    LAUNCH(outer_step_blocks, grid_of(n), dim3(THREADS), 0, c->stream, *rule, anchor, momentum,
           mean, n, theta, mine);
    cuda_launched(c, "outer_step");
}
