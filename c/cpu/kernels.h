/* kernels.h -- the vector loops of the CPU backend: one source (kernels_loops.h), compiled for AVX2 and for AVX-512.
 *
 * Each works on a range of rows (or elements) alone, so any thread may take any range. Which set runs is decided
 * once; both compute the same formulas, sums in another order. Rows may have any length and alignment. */
#ifndef SHOAL_CPU_KERNELS_H
#define SHOAL_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "backend.h"

/* A block of attention scores: rows of `stride` floats of which `columns` count; row r sees columns 0 .. first + r. */
struct kernel_scores {
    float *scores;
    size_t rows, columns, stride, first;
};

struct kernels {
    const char *name;
    /* Rows [first, last). */
    void (*norm)(const struct op_norm *o, size_t first, size_t last);
    /* gain_partial [dim] is written: this range's part of the gain's gradient. */
    void (*norm_backward)(const struct op_norm_backward *o, size_t first, size_t last,
                          float *gain_partial);
    void (*rotary)(const struct op_rotary *o, size_t first, size_t last);
    void (*swiglu)(const struct op_swiglu *o, size_t first, size_t last);
    void (*swiglu_backward)(const struct op_swiglu_backward *o, size_t first, size_t last);
    void (*cross_entropy)(const struct op_cross_entropy *o, size_t first, size_t last);
    /* Scores become probabilities, 0 beyond what a row sees; logsum [rows] may be NULL. */
    void (*softmax)(const struct kernel_scores *s, float *logsum);
    /* s becomes probabilities again, and d, the gradient of the probabilities, that of the scores' products:
     * alpha * p * (d - delta). The same shape for both. */
    void (*softmax_backward)(const struct kernel_scores *s, float *d, const float *logsum,
                             const float *delta, float alpha);
    /* Elements [first, last). */
    void (*adamw)(const struct op_adamw *o, size_t first, size_t last);
    void (*add)(float *to, const float *from, size_t count);
    float (*dot)(const float *a, const float *b, size_t count);
    double (*sum)(const float *x, size_t count);
    double (*square_sum)(const float *x, size_t count);
    /* Fused multiply-adds in registers alone, as fast as they come; how many operations that were. For benchmarks. */
    double (*multiply_add)(size_t rounds);
};

extern const struct kernels kernels_avx2, kernels_avx512;

/* Does this machine (and its system) run them? */
bool kernels_avx2_here(void);
bool kernels_avx512_here(void);

#endif
