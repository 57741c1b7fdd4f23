/* pack.h -- sixteen bytes a thread at once: what bounds a kernel that only moves numbers is how
 * many bytes are on their way, and a warp that asks for two a lane has too few.
 *
 * A kernel is written for EACH elements a thread: pack_of<T> where all that it touches allows it,
 * else 1. */
#ifndef SHOAL_CU_PACK_H
#define SHOAL_CU_PACK_H

#include <string.h>

#include "ptx.h"

template <class T> constexpr int pack_of = 16 / (int)sizeof(T);

template <class T, int EACH> struct alignas(EACH * sizeof(T)) pack {
    T at[EACH];
};

/* EACH numbers from or to an address that is a multiple of their bytes, widened to fp32 and rounded
 * from it. */
template <int EACH, class T> __device__ __forceinline__ void load(float to[EACH], const T *from)
{
    const pack<T, EACH> p = *(const pack<T, EACH> *)from;
#pragma unroll
    for (int e = 0; e < EACH; e++) to[e] = float_of(p.at[e]);
}

/* As many numbers that are fp32 beside elements of another type, sixteen bytes at a time. */
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

/* Do rows of `width` elements from `p` on all begin where sixteen bytes may be read? */
template <class T> static inline bool packs(const void *p, size_t width)
{
    return (uintptr_t)p % 16 == 0 && width % pack_of<T> == 0;
}

/* Blocks for `count` elements, `each` to a block. */
static inline dim3 grid_of(size_t count, size_t each) { return dim3((count + each - 1) / each); }

#endif
