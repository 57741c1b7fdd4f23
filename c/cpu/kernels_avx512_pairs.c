/* kernels_avx512_pairs.c -- AVX-512 with AVX512-BF16 (since Zen 4 and Cooper Lake): products of
 * pairs of bf16. */
#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels.h"

#ifndef AVX512_IN_C /* test/cpu/avx512.h */
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))), apply_to = function)
#endif
#define LANES   16
#define BF16    1
#define PAIRS   1
#define TILES   0
#define KERNELS kernels_avx512_pairs
#define NAME    "AVX-512 BF16"
#include "cpu/kernels_loops.h"
#ifndef AVX512_IN_C
#pragma clang attribute pop
#endif
