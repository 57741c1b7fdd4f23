/* avx512.h -- the instructions of AVX-512 and AVX512-BF16 that c/cpu/ asks for by name, in C, for
 * processors without them. With AVX512_IN_C the kernels for AVX-512 are compiled for AVX2 and
 * these: their masks, tails, packing and numbers are tested on every machine. (What a compiler
 * makes of them for AVX-512 itself is tested where there is AVX-512.)
 *
 * What they do: Intel SDM volume 2; VDPBF16PS, VCVTNEPS2BF16 and VCVTNE2PS2BF16 take subnormal
 * numbers for 0 and round to nearest, ties to even. */
#ifndef SHOAL_TEST_CPU_AVX512_H
#define SHOAL_TEST_CPU_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define IN_C static inline __attribute__((always_inline))

typedef int32_t avx512_words __attribute__((vector_size(64)));
typedef uint32_t avx512_uwords __attribute__((vector_size(64)));
typedef uint16_t avx512_halfwords __attribute__((vector_size(32)));
union avx512_parts {
    __m512 whole;
    __m256 half[2];
};

IN_C __m512 avx512_choose(avx512_words mask, __m512 a, __m512 b)
{
    return (__m512)((mask & (avx512_words)a) | (~mask & (avx512_words)b));
}
IN_C __m512 avx512_max_ps(__m512 a, __m512 b) { return avx512_choose(a > b, a, b); }
IN_C __m512 avx512_min_ps(__m512 a, __m512 b) { return avx512_choose(a < b, a, b); }
IN_C __m512 avx512_sqrt_ps(__m512 a)
{
    union avx512_parts x = {a};
    for (int i = 0; i < 2; i++) x.half[i] = _mm256_sqrt_ps(x.half[i]);
    return x.whole;
}
IN_C __m512 avx512_fmadd_ps(__m512 a, __m512 b, __m512 c)
{
    union avx512_parts x = {a}, y = {b}, z = {c};
    for (int i = 0; i < 2; i++) z.half[i] = _mm256_fmadd_ps(x.half[i], y.half[i], z.half[i]);
    return z.whole;
}
IN_C __m512i avx512_set1_epi32(int a) { return (__m512i)((avx512_words){0} + a); }
IN_C __m512 avx512_castsi512_ps(__m512i a) { return (__m512)a; }

/* Loads and stores of the lanes whose bits are set, and of no byte beside them. */
IN_C void avx512_lanes(void *to, const void *from, uint32_t mask, size_t lanes, size_t bytes)
{
    for (size_t i = 0; i < lanes; i++)
        if (mask >> i & 1)
            memcpy((uint8_t *)to + i * bytes, (const uint8_t *)from + i * bytes, bytes);
}
IN_C __m512 avx512_maskz_loadu_ps(uint32_t mask, const void *p)
{
    __m512 v = {0};
    avx512_lanes(&v, p, mask, 16, 4);
    return v;
}
IN_C void avx512_mask_storeu_ps(void *p, uint32_t mask, __m512 v)
{
    avx512_lanes(p, &v, mask, 16, 4);
}
IN_C __m256i avx512_maskz_loadu_epi16_256(uint32_t mask, const void *p)
{
    __m256i v = {0};
    avx512_lanes(&v, p, mask, 16, 2);
    return v;
}
IN_C void avx512_mask_storeu_epi16_256(void *p, uint32_t mask, __m256i v)
{
    avx512_lanes(p, &v, mask, 16, 2);
}
IN_C __m512i avx512_maskz_loadu_epi16(uint32_t mask, const void *p)
{
    __m512i v = {0};
    avx512_lanes(&v, p, mask, 32, 2);
    return v;
}
IN_C __m512i avx512_loadu_si512(const void *p)
{
    __m512i v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Subnormal numbers become zeros of their sign. */
IN_C __m512 avx512_flush(__m512 x)
{
    const avx512_words bits = (avx512_words)x;
    return avx512_choose((bits & 0x7f800000) == 0, (__m512)(bits & INT32_MIN), x);
}
IN_C avx512_halfwords avx512_cvtneps_pbh(__m512 x)
{
    const avx512_uwords bits = (avx512_uwords)avx512_flush(x), nan = (avx512_uwords)(x != x);
    const avx512_uwords rounded = bits + 0x7fff + (bits >> 16 & 1);
    return __builtin_convertvector(((nan & (bits | 0x400000)) | (~nan & rounded)) >> 16,
                                   avx512_halfwords);
}
IN_C __m512i avx512_cvtne2ps_pbh(__m512 high, __m512 low)
{
    const avx512_halfwords both[2] = {avx512_cvtneps_pbh(low), avx512_cvtneps_pbh(high)};
    return avx512_loadu_si512(both);
}
/* The odd numbers' products are added first, each sum rounded. */
IN_C __m512 avx512_dpbf16_ps(__m512 sum, __m512i a, __m512i b)
{
    const avx512_words x = (avx512_words)a, y = (avx512_words)b, upper = (avx512_words){0} + -65536;
    sum = avx512_fmadd_ps(avx512_flush((__m512)(x & upper)), avx512_flush((__m512)(y & upper)),
                          avx512_flush(sum));
    sum = avx512_fmadd_ps(avx512_flush((__m512)(x << 16)), avx512_flush((__m512)(y << 16)),
                          avx512_flush(sum));
    return avx512_flush(sum);
}

#define _mm512_max_ps             avx512_max_ps
#define _mm512_min_ps             avx512_min_ps
#define _mm512_sqrt_ps            avx512_sqrt_ps
#define _mm512_fmadd_ps           avx512_fmadd_ps
#define _mm512_set1_epi32         avx512_set1_epi32
#define _mm512_castsi512_ps       avx512_castsi512_ps
#define _mm512_maskz_loadu_ps     avx512_maskz_loadu_ps
#define _mm512_mask_storeu_ps     avx512_mask_storeu_ps
#define _mm256_maskz_loadu_epi16  avx512_maskz_loadu_epi16_256
#define _mm256_mask_storeu_epi16  avx512_mask_storeu_epi16_256
#define _mm512_maskz_loadu_epi16  avx512_maskz_loadu_epi16
#define _mm512_loadu_si512        avx512_loadu_si512
#define _mm512_cvtneps_pbh        avx512_cvtneps_pbh
#define _mm512_cvtne2ps_pbh       avx512_cvtne2ps_pbh
#define _mm512_dpbf16_ps(s, a, b) avx512_dpbf16_ps((s), (__m512i)(a), (__m512i)(b))

#endif
