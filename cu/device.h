/* device.h -- what kernel files use: CUDA, or its stand-in that runs kernels on the host
 * (test/cuda/fiber.h).
 *
 * A launch is written LAUNCH(kernel, grid, block, shared bytes, stream, arguments...), since <<<>>>
 * is not C++. The kernel accesses its shared memory by SHARED_BYTES(name); ALLOW_SHARED must
 * precede a launch with more than 48 KiB of it. */
#ifndef SHOAL_CU_DEVICE_H
#define SHOAL_CU_DEVICE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef SHOAL_FIBER
#include "fiber.h"
#define LAUNCH(kernel, grid, block, shared, stream, ...)                                           \
    fiber::launch(#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)
#define ALLOW_SHARED(kernel, bytes) fiber::allow_shared(bytes)
#define SHARED_BYTES(name)          char *const name = fiber::dynamic_shared
#else
#include <cuda_runtime.h>
#define LAUNCH(kernel, grid, block, shared, stream, ...)                                           \
    kernel<<<grid, block, shared, stream>>>(__VA_ARGS__)
#define ALLOW_SHARED(kernel, bytes)                                                                \
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes))
#define SHARED_BYTES(name) extern __shared__ __align__(128) char name[]
#endif

#define WARP  32
#define LANES 0xffffffffu

/* The sum over a warp, in every lane, always in the same order; warp_max and block_max do the same
 * with the maximum. */
__device__ __forceinline__ float warp_sum(float x)
{
    for (int step = WARP / 2; step; step /= 2) x += __shfl_xor_sync(LANES, x, step);
    return x;
}

__device__ __forceinline__ float warp_max(float x)
{
    for (int step = WARP / 2; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(LANES, x, step));
    return x;
}

/* The sum over a block of `warps` warps, in every thread. `room` is shared memory, one float per
 * warp; it may be reused after the next barrier. */
__device__ __forceinline__ float block_sum(float x, float *room, int warps)
{
    x = warp_sum(x);
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = x;
    __syncthreads();
    x = 0;
    for (int w = 0; w < warps; w++) x += room[w];
    return x;
}

__device__ __forceinline__ float block_max(float x, float *room, int warps)
{
    x = warp_max(x);
    if (threadIdx.x % WARP == 0) room[threadIdx.x / WARP] = x;
    __syncthreads();
    x = room[0];
    for (int w = 1; w < warps; w++) x = fmaxf(x, room[w]);
    return x;
}

#endif
