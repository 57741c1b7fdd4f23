/* kernels_avx512.c -- kernels_loops.h for machines with AVX-512 (F, BW, DQ, VL): 16 floats a vector. The attribute stands
 * here and not in build.zig because Zig's -mcpu overrides flags such as -mavx512f. */
#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "cpu/features.h"
#include "cpu/kernels.h"

bool kernels_avx512_here(void) { return features_avx512(); }

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))),        \
                             apply_to = function)
#define LANES   16
#define KERNELS kernels_avx512
#define NAME    "AVX-512"
#include "cpu/kernels_loops.h"
#pragma clang attribute pop
