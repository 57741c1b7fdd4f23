/* kernels.h -- the vector loops of the CPU backend: one source, compiled for each instruction set
 * and for activations of fp32 and of bf16 (kernels_*.c).
 *
 * Each works on an independent range of rows (or elements), so any thread may take any range. The
 * set is chosen once; all sets compute the same formulas, with sums in different orders. Rows may
 * have any length and alignment. */
#ifndef SHOAL_CPU_KERNELS_H
#define SHOAL_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend.h"

/* Operands of products are packed into strips first, except for a where it can be used unpacked
 * (kernel_tile). A product sum[m][n] = sum over k of a[m][k] b[k][n] proceeds along k in steps; a
 * step uses one number of each operand, or a pair of bf16 where the processor multiplies pairs: 4
 * bytes in either case. A strip holds `lanes` rows of a, or columns of b, side by side for each
 * step:
 *
 *     strip [steps][lanes] of 4 bytes;  strips are contiguous, steps * lanes apart
 *
 * so a product reads both operands in order, and one packing serves as either operand.
 *
 * Kernels with tiles (AMX) multiply squares of 16 steps: strips are padded with zeros to whole
 * squares, and squares of the left operand are transposed, so that a row's steps are contiguous:
 *
 *     left strip [steps / 16][lanes][16] of 4 bytes */

/* Packs `rows` rows (of a; columns of b) of `depth` numbers along k. Missing rows of the last strip
 * and missing numbers of the last step are 0. */
struct kernel_pack {
    uint32_t *strips;
    /* Element (row, k) is x[row * stride + k] where `along`, else x[k * stride + row]. */
    const void *x;
    size_t stride;
    bool along;
    bool floats; /* x is fp32, regardless of activations, and rounded when packed */
    bool left;   /* pack for the left operand, a */
    size_t rows, depth;
};

/* A tile of a product. If `along`, a is not strips but unpacked activations contiguous along k, as
 * many as `steps` covers: only for kernels that support it (`unpacked`). */
struct kernel_tile {
    const void *a;     /* the first strip, or row, at the first step */
    const uint32_t *b; /* the first strip */
    bool along;
    size_t a_stride; /* words from strip to strip, or activations from row to row */
    size_t b_stride; /* words from strip to strip */
    size_t rows, columns, steps;
    float *sum; /* written, or added to; not written if `out` is given */
    size_t sum_stride;
    bool add;
    void *out; /* NULL, or the result as activations */
    size_t out_stride;
};

/* A block of attention scores: rows are keys, columns are queries (in the lanes), `columns` of
 * them, a multiple of lanes. Query c sees key r where first_key + r <= first_query + c. */
struct kernel_scores {
    float *scores; /* [keys, columns], to be multiplied by alpha */
    size_t keys, columns, first_key, first_query;
    float alpha;
};

struct kernels {
    const char *name;
    bool bf16;              /* activations are bf16 */
    size_t lanes;           /* rows (of a) or columns (of b) of a strip */
    size_t numbers_of_step; /* 2: pairs */
    size_t square;          /* steps of a strip are padded to a multiple of this */
    /* Activations contiguous along k can be used as a unpacked, if their number along k is a
     * multiple of this. 0: never. */
    size_t unpacked;
    bool left; /* the left operand is packed differently */
    /* Size of a tile that uses the caches well: rows, and strips of columns; or as many strips as
     * have `tile_words` words, if that is not 0. */
    size_t tile_rows, tile_strips, tile_words;

    /* Rows [first, last). */
    void (*norm)(const struct op_norm *o, size_t first, size_t last);
    /* Writes this range's part of the gain's gradient to gain_partial [dim]. */
    void (*norm_backward)(const struct op_norm_backward *o, size_t first, size_t last,
                          float *gain_partial);
    void (*rotary)(const struct op_rotary *o, size_t first, size_t last);
    void (*swiglu)(const struct op_swiglu *o, size_t first, size_t last);
    void (*swiglu_backward)(const struct op_swiglu_backward *o, size_t first, size_t last);
    void (*cross_entropy)(const struct op_cross_entropy *o, size_t first, size_t last);

    void (*pack)(const struct kernel_pack *p);
    /* Computes one tile: sums, or the result as activations. */
    void (*multiply)(const struct kernel_tile *t);
    /* Called before and after some calls of multiply on a thread, which must not block in between.
     * NULL if nothing is needed. */
    void (*enter)(void);
    void (*leave)(void);
    /* y[., first .. last) = x w^T for few rows: dot products, no packing. w is fp32, rounded as
     * when packed. */
    void (*linear)(const struct op_linear *o, size_t first, size_t last);

    /* One block of keys of the online softmax (arXiv 1805.02867; 2205.14135). top and total
     * [columns] are the largest score and the sum of exp(score - top) so far, -INFINITY and 0
     * before the first block. Writes exp(score - top) to `strips`, one of [keys /
     * numbers_of_step][lanes] for each `lanes` queries, 0 where a key is masked; scales the sums so
     * far, sums [depth, columns], by exp(old top - new top). */
    void (*softmax)(const struct kernel_scores *s, float *top, float *total, uint32_t *strips,
                    float *sums, size_t depth);
    /* Backward: p = exp(score - logsum), and with the gradient d [keys, columns] of p, ds = alpha p
     * (d - delta). Both as activations [keys, columns], and ds in strips as above. With fp32
     * activations p may alias the scores, and ds d. */
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
    /* Fused multiply-adds in registers only, as fast as possible; returns the number of
     * floating-point operations. For benchmarks. */
    double (*multiply_add)(size_t rounds);
};

/* Bytes of an activation, and the address of element `n` of an array of them. */
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
 * last two are only for bf16: with fp32 they are those of AVX-512); NULL if this machine or its
 * operating system does not support them. */
const struct kernels *kernels_named(const char *name, bool bf16);

/* The name of set `number` of all sets, narrowest first; NULL if it is not supported here, equals
 * the previous one for these activations, or does not exist. */
const char *kernels_number(size_t number, bool bf16);

/* The widest supported set; NULL below x86-64-v3. */
const struct kernels *kernels_here(bool bf16);

extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx2_bf16, kernels_avx512_bf16,
    kernels_avx512_pairs, kernels_amx;

#endif
