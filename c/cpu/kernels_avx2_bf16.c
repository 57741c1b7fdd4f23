/* kernels_avx2_bf16.c -- the same for activations of bf16, which are widened for every
 * computation. */
#define LANES   8
#define BF16    1
#define PAIRS   0
#define TILES   0
#define KERNELS kernels_avx2_bf16
#define NAME    "AVX2"
#include "cpu/kernels_loops.h"
