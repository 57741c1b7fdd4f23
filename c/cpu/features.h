/* features.h -- features of this processor, from CPUID (Intel SDM volume 2A) and XGETBV; the
 * compiler's tables (__builtin_cpu_supports) stay empty in a program linked by Zig. */
#ifndef SHOAL_CPU_FEATURES_H
#define SHOAL_CPU_FEATURES_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Does the operating system save the registers in `mask` of XCR0? */
static inline bool features_saved(uint32_t mask)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & mask) == mask;
}

/* AVX2 and FMA: x86-64-v3. */
static inline bool features_avx2(void)
{
    uint32_t a, b, c, d;
    bool fma = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_FMA);
    return fma && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2) && features_saved(0x06);
}

/* AVX-512 F, BW, DQ and VL. */
static inline bool features_avx512(void)
{
#ifdef AVX512_IN_C
    return true;
#endif
    uint32_t a, b, c, d, want = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & want) == want && features_saved(0xe6);
}

/* AVX512-BF16 as well (leaf 7, subleaf 1, bit 5 of EAX). */
static inline bool features_avx512_bf16(void)
{
#ifdef AVX512_IN_C
    return true;
#endif
    uint32_t a, b, c, d;
    return features_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

/* AMX's tiles and bf16 products (leaf 7, bits 24 and 22 of EDX). Linux requires a request for
 * permission (Documentation/arch/x86/xstate.rst): once for all threads of the process, including
 * running ones; it fails if a thread has an alternate signal stack too small for tiles. */
static inline bool features_amx(void)
{
#ifdef AVX512_IN_C
    return true;
#endif
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM */
    uint32_t a, b, c, d, want = 1u << 24 | 1u << 22;
    return features_avx512_bf16() && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (d & want) == want && features_saved(0x60000) &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

#endif
