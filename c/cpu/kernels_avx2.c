/* kernels_avx2.c -- kernels_loops.h for x86-64-v3, the least that shoal runs on: 8 floats a vector. */
#define LANES   8
#define KERNELS kernels_avx2
#define NAME    "AVX2"
#include "cpu/features.h"
#include "cpu/kernels_loops.h"

bool kernels_avx2_here(void) { return features_avx2(); }
