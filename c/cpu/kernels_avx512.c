/* kernels_avx512.c -- the kernels for AVX-512 (F, BW, DQ, VL). The attribute is here and not in
 * build.zig because Zig's -mcpu overrides flags such as -mavx512f; system headers come before
 * it. */
#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels.h"

#ifndef AVX512_IN_C /* test/cpu/avx512.h */
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))),        \
                             apply_to = function)
#endif
#define LANES   16
#define BF16    0
#define PAIRS   0
#define TILES   0
#define KERNELS kernels_avx512
#define NAME    "AVX-512"
#include "cpu/kernels_loops.h"
#ifndef AVX512_IN_C
#pragma clang attribute pop
#endif
