/* vector.h -- vectors of LANES floats, for the kernels; included by kernels_*.c, which first
 * define:
 *
 *     LANES  8 (AVX2) or 16 (AVX-512)
 *     BF16   0: activations are fp32; 1: bf16 (the upper half of an fp32), widened when loaded
 *     PAIRS  1: the processor multiplies pairs of bf16 (AVX512-BF16); needs both of the above
 *     TILES  1: also tiles of such pairs (AMX)
 *
 * Uses GCC's vector extensions: the compiler picks the instructions; intrinsics only where it does
 * not find them. A partial vector at the end is padded with zeros. */
#ifndef SHOAL_CPU_VECTOR_H
#define SHOAL_CPU_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef AVX512_IN_C
#include "test/cpu/avx512.h"
#endif

/* Fused multiply-adds are allowed here: only the outer step must agree between machines. */
#pragma STDC FP_CONTRACT ON

#define INLINE static inline __attribute__((always_inline))

/* Arrays of vectors become registers when loops over them are unrolled. Not under a sanitizer,
 * which checks each access: clang 14 would need minutes to compile the result. */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNROLL
#define UNROLL_BY_4
#else
#define UNROLL      _Pragma("clang loop unroll(full)")
/* For an unknown number of rounds: fewer jumps. */
#define UNROLL_BY_4 _Pragma("clang loop unroll_count(4)")
#endif

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ivec __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef uint32_t uvec __attribute__((vector_size(LANES * sizeof(uint32_t))));
typedef uint16_t hvec __attribute__((vector_size(LANES * sizeof(uint16_t))));
typedef double dvec __attribute__((vector_size(LANES * sizeof(double))));

/* An activation in memory. */
#if BF16
typedef uint16_t number;
#else
typedef float number;
#endif

INLINE vec splat(float x) { return x - (vec){0}; }

/* Lane by lane: mask ? a : b, mask all ones or all zeros. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }
#if LANES == 16
INLINE vec max_of(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec min_of(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vec root_of(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
#else
INLINE vec max_of(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec min_of(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vec root_of(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }
#endif

INLINE vec widen(hvec h) { return (vec)(__builtin_convertvector(h, uvec) << 16); }

/* To the nearest bf16, ties to even; NaN becomes a quiet NaN. */
INLINE hvec narrow_exactly(vec v)
{
    const uvec bits = (uvec)v, rounded = bits + 0x7fff + ((bits >> 16) & 1), nan = (uvec)(v != v);
    return __builtin_convertvector(((nan & (bits | 0x400000)) | (~nan & rounded)) >> 16, hvec);
}

/* The same, except that AVX512-BF16 flushes subnormal numbers to 0. */
INLINE hvec narrow(vec v)
{
#if PAIRS
    return (hvec)_mm512_cvtneps_pbh((__m512)v);
#else
    return narrow_exactly(v);
#endif
}

/* v rounded as by a store and load of an activation. */
INLINE vec stored(vec v)
{
#if BF16
    return widen(narrow(v));
#else
    return v;
#endif
}

/* Loads and stores of the first `count` <= LANES numbers. (No memcpy of an unknown number of bytes:
 * the compiler would merge both cases into a call for each vector.) */

#if LANES == 8
INLINE ivec first_lanes(size_t count) { return (ivec){0, 1, 2, 3, 4, 5, 6, 7} < (int32_t)count; }
INLINE void copy_lanes(uint16_t *to, const uint16_t *from, size_t count)
{
    size_t at = 0;
    for (size_t some = LANES / 2; some; some /= 2) {
        if (!(count & some)) continue;
        memcpy(to + at, from + at, some * sizeof *to);
        at += some;
    }
}
#endif

INLINE vec take_floats(const float *p, size_t count)
{
    vec v = {0};
    if (count == LANES) memcpy(&v, p, sizeof v);
#if LANES == 16
    else v = (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#else
    else v = (vec)_mm256_maskload_ps(p, (__m256i)first_lanes(count));
#endif
    return v;
}
INLINE void put_floats(float *p, vec v, size_t count)
{
    if (count == LANES) memcpy(p, &v, sizeof v);
#if LANES == 16
    else _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#else
    else _mm256_maskstore_ps(p, (__m256i)first_lanes(count), (__m256)v);
#endif
}
INLINE hvec take_bits(const uint16_t *p, size_t count)
{
    hvec h = {0};
    if (count == LANES) memcpy(&h, p, sizeof h);
#if LANES == 16
    else h = (hvec)_mm256_maskz_loadu_epi16((__mmask16)((1u << count) - 1), p);
#else
    else copy_lanes((uint16_t *)&h, p, count);
#endif
    return h;
}
INLINE void put_bits(uint16_t *p, hvec h, size_t count)
{
    if (count == LANES) memcpy(p, &h, sizeof h);
#if LANES == 16
    else _mm256_mask_storeu_epi16(p, (__mmask16)((1u << count) - 1), (__m256i)h);
#else
    else copy_lanes(p, (const uint16_t *)&h, count);
#endif
}
INLINE vec take_halves(const uint16_t *p, size_t count) { return widen(take_bits(p, count)); }
INLINE void put_halves(uint16_t *p, vec v, size_t count) { put_bits(p, narrow(v), count); }

/* The same, preserving subnormal numbers. */
INLINE void put_exactly(number *p, vec v, size_t count)
{
#if BF16
    put_bits(p, narrow_exactly(v), count);
#else
    put_floats(p, v, count);
#endif
}

/* fp32 or bf16, by the type of the pointer. */
#define take(p, count)                                                                             \
    _Generic((p),                                                                                  \
        float *: take_floats,                                                                      \
        const float *: take_floats,                                                                \
        uint16_t *: take_halves,                                                                   \
        const uint16_t *: take_halves)((p), (count))
#define put(p, v, count)                                                                           \
    _Generic((p), float * : put_floats, uint16_t * : put_halves)((p), (v), (count))

/* Loads activations, or floats rounded to activations. */
INLINE vec take_as(const void *p, bool floats, size_t count)
{
    if (floats) return stored(take_floats(p, count));
    return take((const number *)p, count);
}

/* One number. (Not as a vector with one lane masked in: clang 22 turns a masked store of one 16-bit
 * lane into 4 bytes.) */
INLINE float take_one(const number *p)
{
#if BF16
    return widen((hvec){*p})[0];
#else
    return *p;
#endif
}
INLINE void put_one(number *p, float x)
{
#if BF16
    *p = narrow(splat(x))[0];
#else
    *p = x;
#endif
}

/* Calls `body` with `at` and `count` for each vector of [0, n): count is LANES except for the last.
 * The two copies let the compiler see full vectors in the first. */
#define EACH(n, body)                                                                              \
    do {                                                                                           \
        size_t at = 0;                                                                             \
        for (; at + LANES <= (n); at += LANES) {                                                   \
            const size_t count = LANES;                                                            \
            body                                                                                   \
        }                                                                                          \
        if (at < (n)) {                                                                            \
            const size_t count = (n)-at;                                                           \
            body                                                                                   \
        }                                                                                          \
    } while (0)

INLINE float add_lanes(vec v)
{
    float lanes[LANES];
    memcpy(lanes, &v, sizeof lanes);
    for (size_t width = LANES / 2; width; width /= 2)
        for (size_t i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}
INLINE float max_lanes(vec v)
{
    float lanes[LANES];
    memcpy(lanes, &v, sizeof lanes);
    float best = lanes[0];
    for (size_t i = 1; i < LANES; i++) best = lanes[i] > best ? lanes[i] : best;
    return best;
}

/* exp(x) to 2 ulp for -87.3 <= x <= 88; outside, the value at the nearer bound; NaN for NaN (the
 * bounds are the first operands: if one operand is NaN, max and min return the second). x = n ln 2
 * + r with |r| <= ln 2 / 2 (Cody and Waite's split of ln 2), the series of exp(r) to r^7 / 7! (the
 * next term is 5e-9 of the sum at most), then n goes into the exponent. */
INLINE vec exp_of(vec x)
{
    x = min_of(splat(88.0f), max_of(splat(-87.3f), x));
    /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
    const float round = 12582912.0f;
    vec shifted = x * 1.44269504f + round;
    ivec n = (ivec)shifted - (ivec)splat(round);
    vec whole = shifted - round;
    vec r = x - whole * 0.693359375f;
    r = r + whole * 2.12194440e-4f;
    vec p = splat(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (vec)((n + 127) << 23);
}

/* Transposes a square by interleaving the rows of both halves, log2(LANES) times. */
#if LANES == 16
#define STAGES 4
#define FIRST_HALVES(a, b)                                                                         \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define SECOND_HALVES(a, b)                                                                        \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#else
#define STAGES              3
#define FIRST_HALVES(a, b)  __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define SECOND_HALVES(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#endif
INLINE void transpose(uvec x[LANES])
{
    UNROLL for (size_t stage = 0; stage < STAGES; stage++)
    {
        uvec y[LANES];
        UNROLL for (size_t i = 0; i < LANES / 2; i++)
        {
            y[2 * i] = FIRST_HALVES(x[i], x[i + LANES / 2]);
            y[2 * i + 1] = SECOND_HALVES(x[i], x[i + LANES / 2]);
        }
        UNROLL for (size_t i = 0; i < LANES; i++) x[i] = y[i];
    }
}

#endif
