/* kernels.h -- the vector loops of the CPU backend: one source, compiled for each instruction set
 * and for activations of fp32 and of bf16 (kernels_*.c).
 *
 * Each works on a range of rows (or elements) alone, so any thread may take any range. Which set
 * runs is decided once; all compute the same formulas, sums in another order. Rows may have any
 * length and alignment. */
#ifndef SHOAL_CPU_KERNELS_H
#define SHOAL_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"

/* Operands of products are packed into strips first, but for a where it can be taken as it lies
 * (kernel_tile). A product sum[m][n] = sum over k of a[m][k] b[k][n] goes along k in steps; a step
 * takes one number of each operand, or a pair of bf16 where the processor multiplies pairs: 4 bytes
 * in either case. A strip holds `lanes` rows of a, or columns of b, side by side for each step:
 *
 *     strip [steps][lanes] of 4 bytes;  strips follow one another, steps * lanes apart
 *
 * so a product reads both operands in order, and one packing serves as either operand.
 *
 * Kernels with tiles (AMX) multiply squares of 16 steps: strips are filled up with zeros to whole
 * squares, and as the left operand a square is turned, so that a row's steps follow one another:
 *
 *     left strip [steps / 16][lanes][16] of 4 bytes */

/* Packs `rows` rows (of a; columns of b) of `depth` numbers along k. What is missing in the last
 * strip's rows and in the last step is 0. */
struct kernel_pack {
    uint32_t *strips;
    /* Element (row, k) is x[row * stride + k] where `along`, else x[k * stride + row]. */
    const void *x;
    size_t stride;
    bool along;
    bool floats; /* x is fp32, whatever activations are, and rounded on the way */
    bool left;   /* to be the left operand, a */
    size_t rows, depth;
};

/* A tile of a product. Where `along`, a is not strips but activations as they lie along k, as many
 * as `steps` say: only for kernels that take them so (`unpacked`). */
struct kernel_tile {
    const void *a;     /* the first strip, or row, at the first step to take */
    const uint32_t *b; /* the first strip */
    bool along;
    size_t a_stride; /* words from one strip to the next, or activations from one row to the next */
    size_t b_stride; /* words */
    size_t rows, columns, steps;
    float *sum; /* written, or added to; not written when there is an `out` */
    size_t sum_stride;
    bool add;
    void *out; /* NULL, or where the result goes as activations */
    size_t out_stride;
};

/* A block of attention scores: keys downwards, queries in the lanes across, `columns` of them, a
 * multiple of lanes. Query c sees key r where first_key + r <= first_query + c. */
struct kernel_scores {
    float *scores; /* [keys, columns], to be multiplied by alpha */
    size_t keys, columns, first_key, first_query;
    float alpha;
};

struct kernels {
    const char *name;
    bool bf16;              /* activations are bf16 */
    size_t lanes;           /* of a strip */
    size_t numbers_of_step; /* 2: pairs */
    size_t square;          /* steps of a strip are filled up to a multiple of this */
    /* Words of a strip of a are the same bits as activations that lie along k, where the numbers
     * along k are a multiple of this. 0: never. */
    size_t unpacked;
    bool left; /* the left operand is packed otherwise */
    /* Of a tile that makes good use of the caches: rows, and strips of columns; or as many strips
     * as have `tile_words` words, where that is not 0. */
    size_t tile_rows, tile_strips, tile_words;

    /* Rows [first, last). */
    void (*norm)(const struct op_norm *o, size_t first, size_t last);
    /* gain_partial [dim] is written: this range's part of the gain's gradient. */
    void (*norm_backward)(const struct op_norm_backward *o, size_t first, size_t last,
                          float *gain_partial);
    void (*rotary)(const struct op_rotary *o, size_t first, size_t last);
    void (*swiglu)(const struct op_swiglu *o, size_t first, size_t last);
    void (*swiglu_backward)(const struct op_swiglu_backward *o, size_t first, size_t last);
    void (*cross_entropy)(const struct op_cross_entropy *o, size_t first, size_t last);

    void (*pack)(const struct kernel_pack *p);
    /* One tile: sums, or their result as activations. */
    void (*multiply)(const struct kernel_tile *t);
    /* Called before and after some calls of multiply on a thread, which must not sleep in between.
     * NULL where there is nothing to do. */
    void (*enter)(void);
    void (*leave)(void);
    /* y[., first .. last) = x w^T for few rows: dot products, no packing. w is fp32 and rounded, as
     * when it is packed. */
    void (*linear)(const struct op_linear *o, size_t first, size_t last);

    /* One block of keys of the online softmax (arXiv 1805.02867; 2205.14135). top and total
     * [columns] are the largest score and the sum of exp(score - top) so far, -INFINITY and 0
     * before the first block. exp(score - top) go to `strips`, which hold queries, one of [keys /
     * numbers_of_step][lanes] for each lanes columns, 0 where a key is not seen; the sums so
     * far, sums [depth, columns], are scaled by exp(old top - new top). */
    void (*softmax)(const struct kernel_scores *s, float *top, float *total, uint32_t *strips,
                    float *sums, size_t depth);
    /* Backward: p = exp(score - logsum), and with the gradient d [keys, columns] of p, ds = alpha p
     * (d - delta). Both as activations [keys, columns], and ds in strips as above. p may be the
     * scores themselves and ds may be d where activations are fp32. */
    void (*softmax_backward)(const struct kernel_scores *s, const float *d, const float *logsum,
                             const float *delta, void *p, void *ds, uint32_t *strips);
    /* out[c][i] = sums[i][c] * factor[c] for c < rows, i < depth; sums [depth, columns]. factor
     * NULL: 1. */
    void (*turn)(const float *sums, size_t columns, const float *factor, size_t rows, size_t depth,
                 void *out, size_t out_stride);
    /* Attention of one query to `keys` keys and values, rows `stride` apart; scores [keys] and sums
     * [depth] are scratch. */
    void (*attend)(const void *query, const void *k, const void *v, size_t stride, size_t keys,
                   size_t depth, float *scores, float *sums, void *out);

    /* Elements [first, last). */
    void (*adamw)(const struct op_adamw *o, size_t first, size_t last);
    void (*round)(void *out, const float *x, size_t count); /* to activations */
    void (*add)(float *to, const void *from, size_t count); /* from: activations */
    void (*add_floats)(float *to, const float *from, size_t count);
    float (*dot)(const void *a, const void *b, size_t count); /* of activations */
    /* Sums of x and of its squares, in fp64. */
    double (*sum)(const float *x, size_t count);
    double (*square_sum)(const float *x, size_t count);
    /* Fused multiply-adds in registers alone, as fast as possible; returns the number of
     * floating-point operations. For benchmarks. */
    double (*multiply_add)(size_t rounds);
};

/* Bytes of an activation, and element `n` of an array of them. */
static inline size_t kernels_bytes(const struct kernels *k) { return k->bf16 ? 2 : 4; }
static inline void *kernels_at(const struct kernels *k, const void *x, size_t n)
{
    return (uint8_t *)x + n * kernels_bytes(k);
}

/* Steps of a strip of `depth` numbers. */
static inline size_t kernels_steps(const struct kernels *k, size_t depth)
{
    const size_t numbers = k->square * k->numbers_of_step;
    return (depth + numbers - 1) / numbers * k->square;
}

static inline void kernels_enter(const struct kernels *k)
{
    if (k->enter) k->enter();
}
static inline void kernels_leave(const struct kernels *k)
{
    if (k->leave) k->leave();
}

/* The kernels of this name, "AVX2", "AVX-512", "AVX-512 BF16" or "AMX", for these activations (the
 * last two are for bf16 alone: of fp32 they give those of AVX-512); NULL where this machine or its
 * system does not run them. */
const struct kernels *kernels_named(const char *name, bool bf16);

/* The name of set `number` of those that there are, the narrowest first; NULL where it does not run
 * here, or is for these activations the one before, or there are no more. */
const char *kernels_number(size_t number, bool bf16);

/* The widest that run here; NULL below x86-64-v3. */
const struct kernels *kernels_here(bool bf16);

extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx2_bf16, kernels_avx512_bf16,
    kernels_avx512_pairs, kernels_amx;

#endif
