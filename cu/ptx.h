/* ptx.h -- instructions that CUDA C++ cannot express, sm_80 and later; no other file contains
 * inline PTX.
 *
 * bf16 is the upper half of an fp32, rounded to the nearest, ties to even. A warp multiplies
 * matrices in fragments, distributed over its lanes as in the PTX ISA ("Matrix Fragments for
 * mma.m16n8k16"), with g = lane / 4 and t = lane % 4:
 *
 *     a[4]   16 x 16   rows g, g + 8, g, g + 8; columns 2t and 2t + 1, plus 8 in a[2] and a[3]
 *     b[2]   16 x 8    rows 2t and 2t + 1, plus 8 in b[1]; column g
 *     c[4]   16 x 8    rows g, g, g + 8, g + 8; columns 2t, 2t + 1, 2t, 2t + 1
 *
 * All lanes of a warp take part in ldmatrix and mma. On the host test/cuda/fiber_ptx.h stands
 * in. */
#ifndef SHOAL_CU_PTX_H
#define SHOAL_CU_PTX_H

#include "device.h"

struct bf16 {
    uint16_t bits;
};

/* Sixteen bytes, moved by one instruction. */
struct alignas(16) bf16_eight {
    struct bf16 at[8];
};

#ifdef SHOAL_FIBER
#include "fiber_ptx.h"
#else

__device__ __forceinline__ uint32_t ptx_shared(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ float float_of(struct bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}

__device__ __forceinline__ struct bf16 bf16_of(float x)
{
    struct bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

/* Two of them in a register, `low` first in memory. */
__device__ __forceinline__ uint32_t bf16_pair(float low, float high)
{
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

/* 2^x within 2 ulp; results below 2^-126 are 0. */
__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Four 8 x 8 matrices from shared memory: lane l passes the address of row l % 8 of matrix l / 8,
 * 16 aligned bytes. Register m receives elements 2t and 2t + 1 of row g of matrix m. */
__device__ __forceinline__ void ldmatrix(uint32_t r[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(ptx_shared(row))
                 : "memory");
}

/* The same of the transposed matrices: elements g of rows 2t and 2t + 1. */
__device__ __forceinline__ void ldmatrix_transposed(uint32_t r[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(ptx_shared(row))
                 : "memory");
}

/* c += a b, in fp32. */
__device__ __forceinline__ void mma(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Starts an asynchronous copy of `bytes` <= 16 bytes from global to shared memory, both aligned to
 * 16, with zeros for the rest of the 16: only `bytes` are read. */
__device__ __forceinline__ void copy_async(void *to, const void *from, unsigned bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(ptx_shared(to)), "l"(from),
                 "r"(bytes)
                 : "memory");
}

/* Writes 16 aligned bytes of global memory by one instruction: the compiler may split the
 * assignment of a struct. */
__device__ __forceinline__ void store_whole(void *to, const uint32_t words[4])
{
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
                 "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
                 : "memory");
}

/* Closes a group of this thread's copies; an empty one counts too. */
__device__ __forceinline__ void copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits for all of this thread's groups except the latest N; other threads see the bytes after the
 * next barrier. */
template <int N> __device__ __forceinline__ void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#endif

/* For kernels written once for both kinds of activations, with T = float or struct bf16. */
__device__ __forceinline__ float float_of(float x) { return x; }
template <class T> __device__ __forceinline__ T number_of(float x);
template <> __device__ __forceinline__ float number_of<float>(float x) { return x; }
template <> __device__ __forceinline__ struct bf16 number_of<struct bf16>(float x) {
    return bf16_of(x);
}

#endif
