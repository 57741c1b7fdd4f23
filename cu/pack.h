/* pack.h -- loads and stores of sixteen bytes per thread: a memory-bound kernel needs many bytes in
 * flight, and a warp that loads two per lane has too few.
 *
 * A kernel is written for EACH elements per thread: pack_of<T> if all its arrays allow it,
 * otherwise 1. */
#ifndef SHOAL_CU_PACK_H
#define SHOAL_CU_PACK_H

#include <string.h>

#include "ptx.h"

template <class T> constexpr int pack_of = 16 / (int)sizeof(T);

template <class T, int EACH> struct alignas(EACH * sizeof(T)) pack {
    T at[EACH];
};

/* Loads or stores EACH numbers, aligned to their total size, widening to fp32 or rounding from
 * it. */
template <int EACH, class T> __device__ __forceinline__ void load(float to[EACH], const T *from)
{
    const pack<T, EACH> p = *(const pack<T, EACH> *)from;
#pragma unroll
    for (int e = 0; e < EACH; e++) to[e] = float_of(p.at[e]);
}

/* Loads EACH fp32 numbers that accompany elements of another type, sixteen bytes at a time. */
template <int EACH> __device__ __forceinline__ void load_floats(float to[EACH], const float *from)
{
    constexpr int at_once = EACH < pack_of<float> ? EACH : pack_of<float>;
#pragma unroll
    for (int e = 0; e < EACH; e += at_once) load<at_once>(to + e, from + e);
}

template <int EACH, class T> __device__ __forceinline__ void store(T *to, const float from[EACH])
{
    pack<T, EACH> p;
#pragma unroll
    for (int e = 0; e < EACH; e++) p.at[e] = number_of<T>(from[e]);
    if constexpr (sizeof p == 16) {
        uint32_t words[4];
        memcpy(words, &p, sizeof words);
        store_whole(to, words);
    } else *(pack<T, EACH> *)to = p;
}

/* Do rows of `width` elements from `p` on all start on boundaries of sixteen bytes? */
template <class T> static inline bool packs(const void *p, size_t width)
{
    return (uintptr_t)p % 16 == 0 && width % pack_of<T> == 0;
}

/* Blocks for `count` elements, `each` to a block. */
static inline dim3 grid_of(size_t count, size_t each) { return dim3((count + each - 1) / each); }

#endif
