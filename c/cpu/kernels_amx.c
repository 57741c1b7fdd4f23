/* kernels_amx.c -- AVX-512 with AVX512-BF16, and products on AMX's tiles (since Sapphire
 * Rapids). */
#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cpu/kernels.h"

#ifndef AVX512_IN_C /* test/cpu/avx512.h */
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16"))),    \
    apply_to = function)
#endif
#define LANES   16
#define BF16    1
#define PAIRS   1
#define TILES   1
#define KERNELS kernels_amx
#define NAME    "AMX"
#include "cpu/kernels_loops.h"
#ifndef AVX512_IN_C
#pragma clang attribute pop
#endif
