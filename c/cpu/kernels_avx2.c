/* kernels_avx2.c -- the kernels for x86-64-v3, the minimum for shoal. */
#define LANES   8
#define BF16    0
#define PAIRS   0
#define TILES   0
#define KERNELS kernels_avx2
#define NAME    "AVX2"
#include "cpu/kernels_loops.h"
